"""Data sets that are drawn, not downloaded: digits from fonts, and coloured scenes."""

from pathlib import Path

import numpy as np

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmb10",
)


def synthetic_digits(train=20_000, test=4_000, seed=28):
    """(title, (train images, train labels, test images, test labels)), uint8, images (N, H, W, 1):
    28x28 grey digits drawn from the fonts that Matplotlib ships, each randomly warped.

    Every image is a glyph seen through a random rotation, shear, scale and shift,
    bent by a smooth random field, and drawn with a random stroke width.
    """
    glyphs = _glyphs()
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, train + test).astype(np.uint8)
    fonts = rng.integers(0, len(FONTS), train + test)
    images = np.concatenate([_warp(glyphs, fonts[i:i + 2000], labels[i:i + 2000], rng)
                             for i in range(0, train + test, 2000)])[..., None]
    return "synthetic digits", (images[:train], labels[:train], images[train:], labels[train:])


def _glyphs(size=56):
    """Blurred glyphs (font, digit, size, size) in [0, 1], each fitted to the same box."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFilter, ImageFont  # Pillow comes with Matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    glyphs = np.empty((len(FONTS), 10, size, size), np.float32)
    for f, name in enumerate(FONTS):
        font = ImageFont.truetype(str(folder / f"{name}.ttf"), 64)
        for digit in range(10):
            left, top, right, bottom = font.getbbox(str(digit))
            height, width = 40, max(8, round(40 * (right - left) / (bottom - top)))
            image = Image.new("L", (right - left, bottom - top))
            ImageDraw.Draw(image).text((-left, -top), str(digit), fill=255, font=font)
            canvas = Image.new("L", (size, size))
            canvas.paste(image.resize((min(width, 40), height), Image.Resampling.LANCZOS),
                         ((size - min(width, 40)) // 2, (size - height) // 2))
            glyphs[f, digit] = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.6)))
    return glyphs / 255


def _warp(glyphs, fonts, labels, rng):
    """One warped 28x28 image (uint8) for each (font, label)."""
    n, size = len(labels), glyphs.shape[-1]
    def draw(low, high): return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)
    v, u = np.meshgrid(*[np.linspace(-1, 1, 28, dtype=np.float32)] * 2, indexing="ij")
    angle, shear, sx, sy = draw(-.22, .22), draw(-.3, .3), draw(.85, 1.2), draw(.9, 1.15)
    # A smooth field: a few sine waves of random phase across the image.
    bend = [sum(draw(-.07, .07) * np.sin(k * (a * u + b * v) + draw(0, 6.28))
                for k, a, b in ((2, 1, .3), (2, -.3, 1), (3.5, .7, .7))) for _ in range(2)]
    x = sx * (np.cos(angle) * u + np.sin(angle) * v + shear * v) + bend[0] + draw(-.08, .08)
    y = sy * (np.cos(angle) * v - np.sin(angle) * u) + bend[1] + draw(-.08, .08)
    column = np.clip((x + 1) * (size - 1) / 2, 0, size - 1.001)
    row = np.clip((y + 1) * (size - 1) / 2, 0, size - 1.001)
    i, j = row.astype(np.intp), column.astype(np.intp)
    di, dj = row - i, column - j
    flat = glyphs.reshape(-1)
    at = (fonts[:, None, None] * 10 + labels[:, None, None]) * size * size + i * size + j
    value = ((1 - di) * ((1 - dj) * flat[at] + dj * flat[at + 1])
             + di * ((1 - dj) * flat[at + size] + dj * flat[at + size + 1]))
    threshold = draw(.22, .5)  # of a blurred glyph: a low one gives a broad stroke
    return (255 * np.clip((value - threshold) * 4 + .5, 0, 1) * (value > .02)).astype(np.uint8)


# ---------------------------------------------------------------- scenes

def synthetic_scenes(train=10_000, test=2_000, seed=10):
    """(title, (train images, train labels, test images, test labels)), uint8, images (N, H, W, 3):
    32x32 pictures of one of ten shapes, the label, standing before a sky and a ground.

    Colours, horizon, light, and the shape's place, size, angle and colour are random; edges are
    smooth, the shape is shaded and throws a shadow, and everything is faintly textured.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, train + test).astype(np.uint8)
    images = np.concatenate([_scenes(labels[i:i + 1000], rng)
                             for i in range(0, train + test, 1000)])
    return "synthetic scenes", (images[:train], labels[:train], images[train:], labels[train:])


def _scenes(labels, rng):
    """One 32x32 picture (uint8, RGB) for each label."""
    n = len(labels)
    def draw(low, high, channels=1):
        return rng.uniform(low, high, (n, 1, 1, channels)).astype(np.float32)
    v, u = (a[None, :, :, None] for a in
            np.meshgrid(*[np.linspace(-1, 1, 32, dtype=np.float32)] * 2, indexing="ij"))
    horizon, tilt = draw(-.1, .5), draw(-.25, .25)
    below = _smooth(v - horizon - tilt * u)
    sky = draw(.35, .95, 3) + (draw(.5, 1, 3) - .6) * .6 * (v + 1) / 2
    ground = draw(.1, .65, 3) * (1 - .35 * (v - horizon))
    texture = sum(draw(0, .05) * np.sin(k * (a * u + b * v) + draw(0, 6.28))
                  for k, a, b in ((9, 1, .4), (13, -.5, 1), (21, .7, .7)))
    picture = (1 - below) * sky + below * ground + texture * (.4 + .6 * below)
    angle, size, x0, y0 = draw(-.5, .5), draw(.38, .62), draw(-.35, .35), draw(-.2, .35)
    x, y = (u - x0) / size, (v - y0) / size
    x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    shadow = _smooth(1 - ((u - x0 - .12) / size) ** 2 - ((v - y0 - size) / (.3 * size)) ** 2, .3)
    picture = picture * (1 - .45 * shadow * below)
    inside = _smooth(size * _shape(x, y, labels[:, None, None, None]))
    colour = draw(0, 1, 3) * (1.15 - .35 * (x + y) * draw(.3, 1))
    picture = (1 - inside) * picture + inside * colour
    return (255 * np.clip(picture + rng.normal(0, .012, picture.shape), 0, 1)).astype(np.uint8)


def _smooth(distance, width=.06):
    """0 where a signed distance is negative, 1 where positive, a soft edge between."""
    return np.clip(distance / width + .5, 0, 1)


def _shape(x, y, label):
    """Signed distance to the edge of the label's shape, about; positive inside. y points down."""
    r, ax, ay = np.hypot(x, y), abs(x), abs(y)
    shapes = (
        1 - r,                                                       # disk
        .85 - np.maximum(ax, ay),                                    # square
        np.minimum(.7 - y, .6 + .45 * y - .8 * ax),                  # triangle
        .3 - abs(r - .7),                                            # ring
        np.minimum(.95 - np.maximum(ax, ay), .32 - np.minimum(ax, ay)),  # cross
        .75 - (ax + ay) * .75,                                       # diamond
        np.minimum(1 - r, np.hypot(x - .5, y + .2) - .75),           # crescent
        .8 + .25 * np.cos(5 * np.arctan2(x, -y)) - r,                # star
        np.minimum(1 - ax, .3 - ay),                                 # bar
        np.minimum(1 - r, y),                                        # bowl
    )
    return np.choose(label, [np.broadcast_to(s, np.broadcast_shapes(x.shape, label.shape))
                             for s in shapes])
