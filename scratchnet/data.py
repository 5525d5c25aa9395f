"""Data sets: found in a folder, else downloaded and verified, else drawn.

A folder is looked for in this order: --data-dir, $SCRATCHNET_DATA,
~/.cache/scratchnet. Every file is checked against its SHA-256, whether it was
found or downloaded, and a download is put in place in one step, so a damaged
file is never taken for a good one.
"""

import gzip
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .backend import xp
from .errors import DataError

TIMEOUT = 15  # seconds without a byte before a download is given up
TRIES = 3     # a connection that broke off is tried again

# name: (title, folder, mirrors, {file: SHA-256})
IDX_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
             "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
SOURCES = {
    "mnist": ("MNIST", "mnist", (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ), dict(zip(IDX_FILES, (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ), strict=True))),
    "fashion-mnist": ("Fashion-MNIST", "fashion-mnist", (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ), dict(zip(IDX_FILES, (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ), strict=True))),
}


class MissingDataError(DataError):
    """The files are not there and cannot be downloaded (as opposed to: are damaged)."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, H, W, C), labels uint8 (N,), both split into train and test.

    title is what pictures say; sha256 identifies the exact content.
    """

    name: str
    title: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    sha256: str

    @property
    def image_shape(self):
        """(H, W, C)."""
        return self.train_images.shape[1:]

    def limited(self, n):
        """The first n training images, and at most n test images."""
        return replace(self, train_images=self.train_images[:n], train_labels=self.train_labels[:n],
                       test_images=self.test_images[:n], test_labels=self.test_labels[:n])


def load(name, data_dir=None, progress=True):
    """Load a data set by name: "mnist", "fashion-mnist" or "synthetic".

    Raises MissingDataError if its files are neither found nor downloadable (the
    message says what was tried), DataError if one is damaged.
    """
    if name == "synthetic":
        return synthetic_digits()
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(SOURCES)}, synthetic")
    title, folder, mirrors, files = SOURCES[name]
    root = Path(data_dir or os.environ.get("SCRATCHNET_DATA") or "~/.cache/scratchnet").expanduser()
    arrays = []
    for file, sha256 in files.items():
        path = root / folder / file
        if not path.is_file():
            download(path, [mirror + file for mirror in mirrors], sha256, progress)
        arrays.append(read_idx(path, axes=3 if "images" in file else 1, sha256=sha256))
    train_images, train_labels, test_images, test_labels = arrays
    for part, images, labels in (("training", train_images, train_labels),
                                 ("test", test_images, test_labels)):
        if len(images) != len(labels):
            raise DataError(f"{root / folder}: {len(images)} {part} images, {len(labels)} labels")
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    return Dataset(name, title, train_images[..., None], train_labels,
                   test_images[..., None], test_labels, digest)


def read_idx(path, axes, sha256=None):
    """Read a gzipped idx file of unsigned bytes (the format of MNIST): an array of `axes` axes.

    The format: a big-endian 32-bit magic number 0x800 + axes, one such number for
    each axis, then the bytes. Raises DataError if the file is unreadable, has
    another magic number, is truncated, or has another SHA-256.
    """
    remedy = "delete the file and run again to download it anew"
    try:
        packed = Path(path).read_bytes()
        content = gzip.decompress(packed)
    except OSError as error:  # gzip.BadGzipFile is one
        raise DataError(f"{path}: cannot be read: {error}; {remedy}") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}); {remedy}") from None
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{path}: truncated: {len(content)} bytes, not even an idx header; "
                        f"{remedy}")
    header = np.frombuffer(content, dtype=">u4", count=1 + axes)
    if header[0] != 0x800 + axes:
        raise DataError(f"{path}: wrong magic number {header[0]}, expected {0x800 + axes} (an idx "
                        f"file of unsigned bytes with {axes} axes); {remedy}")
    shape = tuple(int(n) for n in header[1:])
    body = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes)
    if body.size != np.prod(shape, dtype=np.int64):
        raise DataError(f"{path}: truncated: the header promises {' x '.join(map(str, shape))} "
                        f"bytes, but {body.size:,} are there; {remedy}")
    if sha256 and (found := hashlib.sha256(packed).hexdigest()) != sha256:
        raise DataError(f"{path}: checksum mismatch: SHA-256 is {found}, expected {sha256}; "
                        f"{remedy}")
    return body.reshape(shape)


def download(path, urls, sha256, progress=True):
    """Fetch the first of the urls that delivers a file with this SHA-256, and put it at path.

    A connection that breaks off is tried again, up to TRIES times. Raises
    MissingDataError, naming every address tried and what became of it.
    """
    tried = []
    for url in urls:
        for attempt in range(TRIES):
            try:
                _fetch(path, url, sha256, progress)
                return
            except urllib.error.HTTPError as error:
                tried.append(f"{url}: HTTP {error.code} {error.reason}")
                break
            except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
                tried.append(f"{url}: {error or type(error).__name__}")
                time.sleep(0.2 * 2 ** attempt)
            except urllib.error.URLError as error:
                tried.append(f"{url}: {error.reason}")
                break
            except DataError as error:
                tried.append(str(error))
                break
            except OSError as error:
                raise DataError(f"cannot write {path}: {error}; choose another folder with "
                                f"--data-dir or $SCRATCHNET_DATA") from None
    raise MissingDataError(
        f"{path} is not there, and could not be downloaded:\n  " + "\n  ".join(tried) +
        "\nPut the file there yourself, name its folder with --data-dir or $SCRATCHNET_DATA, "
        "or use --dataset synthetic, which needs no file"
    )


def _fetch(path, url, sha256, progress):
    from tqdm import tqdm

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response, open(part, "wb") as out:
            total = int(response.headers.get("Content-Length") or 0)
            with tqdm(total=total or None, unit="B", unit_scale=True, desc=path.name,
                      disable=None if progress else True) as bar:
                while chunk := response.read(1 << 16):
                    out.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if total and out.tell() < total:
                raise ConnectionError(f"connection cut after {out.tell():,} of {total:,} bytes")
        if digest.hexdigest() != sha256:
            raise DataError(f"{url}: wrong bytes: SHA-256 is {digest.hexdigest()}, "
                            f"expected {sha256}")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# ---------------------------------------------------------------- batches

def to_batch(images):
    """uint8 images (n, H, W, C), moved to the backend as float32 in [0, 1]."""
    return xp.asarray(images).astype(np.float32) / np.float32(255)


def binarise(images, rng):
    """Each pixel becomes 255 with probability value/255, else 0: a Bernoulli draw (uint8)."""
    return np.where(rng.integers(0, 255, images.shape, dtype=np.uint8) < images,
                    np.uint8(255), np.uint8(0))


def statically_binarised(dataset, train=True):
    """Binarise the test images, and the training images unless train=False, once and for all.

    The draws come from a fixed seed whatever the run's own, so that every run is
    tested on the same images and figures compare.
    """
    return replace(
        dataset,
        train_images=(binarise(dataset.train_images, np.random.default_rng(2011))
                      if train else dataset.train_images),
        test_images=binarise(dataset.test_images, np.random.default_rng(1901)))


# ---------------------------------------------------------------- synthetic digits

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmb10",
)


def synthetic_digits(train=20_000, test=4_000, seed=28):
    """28x28 grey digits drawn from the fonts that Matplotlib ships, each randomly warped.

    Every image is a glyph seen through a random rotation, shear, scale and shift,
    bent by a smooth random field, and drawn with a random stroke width.
    """
    glyphs = _glyphs()
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, train + test).astype(np.uint8)
    fonts = rng.integers(0, len(FONTS), train + test)
    images = np.concatenate([_warp(glyphs, fonts[i:i + 2000], labels[i:i + 2000], rng)
                             for i in range(0, train + test, 2000)])[..., None]
    return Dataset("synthetic", "synthetic digits", images[:train], labels[:train],
                   images[train:], labels[train:], hashlib.sha256(images).hexdigest())


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
