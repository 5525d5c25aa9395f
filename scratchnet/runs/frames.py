"""training.gif: how the samples and reconstructions of a run became what they are, a small frame of
each time that they were drawn. The GIF's comment has the steps of its frames."""

import io

import numpy as np

from .figures import below_each_other, mosaic
from .files import replacing
from .log import reached

SHOWN = "samples", "reconstructions"
COLUMNS, ROWS = 10, 6
WIDEST = 320          # pixels
LARGEST = 10 ** 6     # bytes: every other frame is then left out


def add_frame(log, arrays, step):
    """Add a frame of those of these pictures, {name: array}, that are shown in training.gif, in the
    folder of the Log, in the place of those of this step and later ones; the names of the files
    that were to be written."""
    shown = [tiles(name, arrays[name]) for name in SHOWN if name in arrays]
    if not shown:
        return []
    path, new = log.folder / "training.gif", frame(shown, reached(step, log.history))
    found = [(earlier, image) for earlier, image in frames_of(path, new.mode) if earlier < step]
    with log.dispensable(path.name):
        content = gif([*found, (step, new)])
        with replacing(path) as file:
            file.write(content)
    return [path.name]


def tiles(name, array):
    """Rows of its images as one; of reconstructions each above what became of it."""
    if name == "reconstructions":
        return mosaic(below_each_other(array[:2 * COLUMNS], COLUMNS), COLUMNS, pairs=True)
    return mosaic(array[:ROWS * COLUMNS], COLUMNS)


def frame(shown, words):
    """One image of several, one below the other, and below them words."""
    from PIL import Image, ImageDraw

    gap = np.ones((8, *shown[0].shape[1:]), np.float32)
    pixels = np.concatenate([part for picture in shown for part in (picture, gap)])
    image = Image.fromarray(np.uint8(255 * pixels + 0.5))
    image.thumbnail((WIDEST, image.height))
    whole = Image.new(image.mode, (max(100, image.width), image.height + 14), "white")
    whole.paste(image)
    ImageDraw.Draw(whole).text((2, image.height), words, fill="black")
    if whole.mode == "L":  # sixteen greys, or 64 colours, halve a GIF
        return whole.point([v // 16 * 17 for v in range(256)])
    return whole.quantize(64, dither=0).convert("RGB")


def frames_of(path, mode):
    """[(step, image), ...] of a GIF that gif() made; [] if there is none."""
    from PIL import Image, ImageSequence

    try:
        with Image.open(path) as image:
            steps = [int(step) for step in image.info["comment"].split()]
            return list(zip(steps, [part.convert(mode) for part in ImageSequence.Iterator(image)],
                            strict=True))
    except Exception:  # whatever Pillow makes of what another program has left there
        return []


def gif(frames):
    """The bytes of a GIF that is not too large."""
    while True:
        steps, images = zip(*frames, strict=True)
        file, each = io.BytesIO(), max(100, min(500, 8000 // len(images)))
        images[0].save(file, "GIF", save_all=True, append_images=images[1:], loop=0,
                       duration=[each] * (len(images) - 1) + [2500],
                       comment=" ".join(map(str, steps)).encode())
        if file.tell() < LARGEST or len(frames) == 1:
            return file.getvalue()
        frames = frames[::-2][::-1]  # the last stays
