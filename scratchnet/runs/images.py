"""Images of one's own, in whatever form they lie there, as uint8 (N, H, W, C).

`read` tells by name and content which form it is; each form has one reader; what a reader of arrays
finds goes through `pixels`, which knows which numbers are grey levels. What cannot be used is a
DataError that names the file and says what to do.
"""

import codecs
import io
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, in_brief
from .files import expanded, reading
from .formats import cifar, idx, unzipped

# What a word in the name of a folder, a file or an array says its images are for.
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test", "t10k": "test",
         "val": "test", "valid": "test", "validation": "test"}
ACCEPTED = ("give a folder of pictures (a subfolder for each class, if there are classes), a .npy, "
            ".npz or .csv, an idx file or CIFAR's .bin, or the folder of those")


@dataclass(frozen=True)
class Form:
    """How images are to be read. size: (H, W) to resize to, or None; grey: colours are averaged, as
    the eye weighs them; transpose: rows and columns change places; channels_first: arrays are
    (N, C, H, W)."""

    size: tuple = None
    grey: bool = False
    transpose: bool = False
    channels_first: bool = False


@dataclass(frozen=True)
class Images:
    """images: uint8 (N, H, W, C). labels: uint8 (N,), or None if they have none. classes: the names
    of 0, 1, ..., if they have some. said: what was taken for granted, to be told. names: of the
    files, one for each image, if they come from several. shapes: {(H, W, C), ...} before they were
    resized and their colours averaged."""

    images: np.ndarray
    labels: np.ndarray = None
    classes: tuple = ()
    said: tuple = ()
    names: tuple = ()
    shapes: frozenset = frozenset()


def read(path, form=Form(), progress=True):
    """What lies at the path: {"train": Images, "test": Images}, or {"all": Images} if it is not
    divided there. Raises DataError."""
    path = expanded(path)
    if not path.exists():
        raise DataError(f"{path}: there is nothing of that name; {ACCEPTED}")
    return read_folder(path, form, progress) if path.is_dir() else read_file(path, form)


def read_folder(path, form, progress):
    """train/ and test/, or files that say so; else pictures; without those, one file of arrays."""
    for inner in (path / "MNIST" / "raw", path / "raw"):  # torchvision's
        if any(inner.glob("*-ubyte*")):
            return read_folder(inner, form, progress)
    inside = sorted(p for p in path.iterdir() if not hidden(p))
    folders = [p for p in inside if p.is_dir()]
    arrays = [p for p in inside if ARRAYS.search(p.name) and "label" not in p.name]
    divided = {}
    for p in folders + arrays:
        named = [p.name.lower()] if p in folders else words_of(p.name)
        if part := next(filter(None, map(PARTS.get, named)), None):
            divided.setdefault(part, p)
    if len(divided) < 2:
        below = [p for p in folders[0].iterdir() if not hidden(p)] if len(inside) == 1 and (
            folders) else []
        if below and all(p.is_dir() for p in below):  # those are the classes, not this one
            return read_folder(folders[0], form, progress)
        if len(arrays) == 1 and not pictures_in(path)[0]:  # and not a table beside pictures
            return read_file(arrays[0], form)
        return {"all": read_pictures(path, form, progress)}
    found = {part: read_part(p, form, progress) for part, p in divided.items()}
    if others := [p.name for p in inside if p not in divided.values() and "label" not in p.name]:
        said = (*found["train"].said, f"left out: {', '.join(others)}")
        found["train"] = replace(found["train"], said=said)
    return found


def read_part(path, form, progress=True):
    """The Images of one file or folder that is not divided further."""
    if path.is_dir():
        return read_pictures(path, form, progress)
    found = read_file(path, form)
    if "all" not in found:
        raise DataError(f"{path}: is divided itself, into training and test images; name it alone")
    return found["all"]


# ---------------------------------------------------------------- pictures

ARRAYS = re.compile(r"\.(npy|npz|csv|bin)(\.gz)?$|-ubyte(\.gz)?$", re.I)


def hidden(path):
    """Whether it is what a system leaves behind: .DS_Store, __MACOSX."""
    return path.name.startswith((".", "__MACOSX"))


def words_of(name):
    return re.split("[-_. ]", name.lower())


def pictures_in(path):
    """The pictures of a folder and its subfolders, by their names, in order; how many other files
    there are. A link to a folder is followed, but not back to where it was already."""
    known, files, seen = picture_endings(), [], set()
    for folder, folders, names in os.walk(path, followlinks=True):
        seen.add(os.path.realpath(folder))
        folders[:] = [name for name in folders if not hidden(Path(name))
                      and os.path.realpath(Path(folder, name)) not in seen]
        files += [Path(folder, name) for name in names if not hidden(Path(name))]
    pictures = sorted((file for file in files if file.suffix.lower() in known),
                      key=lambda file: file.relative_to(path).parts)  # alike on every system
    return pictures, len(files) - len(pictures)


def read_pictures(path, form, progress):
    """The pictures of a folder; those of its subfolders are the classes, in the order of their
    names. Files that are no pictures by their names are left out, and counted."""
    pictures, others = pictures_in(path)
    if not pictures:
        raise DataError(f"{path}: no pictures in this folder; {ACCEPTED}")
    classes = sorted({p.relative_to(path).parts[0] for p in pictures if p.parent != path},
                     key=lambda name: (int(name) if name.isdecimal() else -1, name))
    if classes and any(p.parent == path for p in pictures):
        loose = next(p for p in pictures if p.parent == path)
        raise DataError(f"{path}: has classes, as subfolders, but {loose.name} and perhaps others "
                        f"lie beside them; move those into one")
    if len(classes) > 256:
        raise DataError(f"{path}: {len(classes)} subfolders, more than the 256 classes there can "
                        f"be; name the folder of one class, or put all into one")
    arrays, shapes = zip(*decoded(pictures, form, progress), strict=True)
    if not form.size:
        check_sizes(pictures, arrays)
    depth = max(a.shape[2] for a in arrays)
    images = np.empty((len(arrays), *arrays[0].shape[:2], depth), np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[:] = array  # grey ones among coloured ones have three channels alike
    labels = np.array([classes.index(p.relative_to(path).parts[0]) for p in pictures], np.uint8
                      ) if classes else None
    said = [f"left out what is no picture: {others} file{'s' * (others > 1)}"] if others else []
    return Images(images, labels, tuple(classes), tuple(said),
                  tuple(str(p.relative_to(path)) for p in pictures), frozenset(shapes))


def picture_endings():
    """.png, .jpg, ...: of the files that Pillow opens."""
    from PIL import Image
    return {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN
            and Image.MIME.get(kind, "").startswith("image/")}


def decoded(files, form, progress):
    """What decode gives of each picture, in order, by several threads: Pillow decodes outside of
    Python's lock."""
    from tqdm import tqdm
    with ThreadPoolExecutor() as threads:
        yield from tqdm(threads.map(lambda file: decode(file, form), files), "Reading pictures",
                        len(files), disable=None if progress else True, unit="")


def decode(file, form):
    """One picture, uint8 (H, W, 1 or 3), turned as its camera was held and as the form says; and
    the shape that it had before it was resized and its colours averaged. Raises DataError."""
    from PIL import Image, ImageOps
    try:
        with Image.open(file) as picture:
            picture = ImageOps.exif_transpose(picture)
            picture.load()
        if form.transpose:
            picture = picture.transpose(Image.Transpose.TRANSPOSE)
    except Exception as error:  # whatever Pillow raises for a file that is damaged
        raise DataError(f"{file}: is no picture that can be opened ({in_brief(error)}); mend or "
                        f"remove it") from None
    if picture.mode[0] in "IF":
        raise DataError(f"{file}: has 16 bits or more a pixel; save it with 8")
    if "A" in picture.getbands() or "transparency" in picture.info:
        mode, picture = "L" if picture.mode == "LA" else "RGB", picture.convert("RGBA")
        if picture.getchannel("A").getextrema()[0] < 255:
            raise DataError(f"{file}: is partly transparent, and what should be behind it is not "
                            f"said; save it without an alpha channel")
        picture = picture.convert(mode)
    colours = 1 if picture.mode in ("1", "L") else 3
    return formed(picture, form), (picture.height, picture.width, colours)


def formed(picture, form):
    """A picture of Pillow's as an array (H, W, 1 or 3), of the form's size: cut around the middle,
    then resized, downwards by averages over areas."""
    from PIL import Image, ImageOps
    grey = form.grey or picture.mode in ("1", "L")
    picture = picture.convert("L" if grey else "RGB")
    if form.size and picture.size != (size := form.size[::-1]):
        larger = size[0] > picture.width or size[1] > picture.height
        picture = ImageOps.fit(picture, size, Image.BICUBIC if larger else Image.BOX)
    array = np.asarray(picture)
    return array.reshape(*array.shape[:2], -1)


def changes(shapes, to):
    """What was done to images of these shapes (H, W, C) to make all of one: a list of words."""
    H, W, C = to
    middle = {}
    for h, w, _ in shapes:
        scale = min(h / H, w / W)
        middle[h, w] = round(scale * H), round(scale * W)
    (h, w), (height, width) = next(iter(middle.items()))
    each = f"cut from {w}x{h} to the middle {width}x{height}" if len(middle) == 1 else (
        "cut to their middles")
    return ([each] * any(before != after for before, after in middle.items())
            + [f"scaled to {W}x{H}"] * any(after != (H, W) for after in middle.values())
            + ["greyed"] * any(c > C for *_, c in shapes))


def check_sizes(files, arrays):
    for file, array in zip(files, arrays, strict=True):
        if array.shape[:2] != arrays[0].shape[:2]:
            raise DataError(f"{file}: is {shape(array.shape[:2])}, but {files[0].name} is "
                            f"{shape(arrays[0].shape[:2])}; --size H W makes all alike, such as "
                            f"--size 32 32")


# ---------------------------------------------------------------- files of arrays

def read_file(path, form):
    """What is in one file: {"train": Images, "test": Images} or {"all": Images}."""
    if path.suffix.lower() in picture_endings():
        image, before = decode(path, form)
        return {"all": Images(image[None], names=(path.name,), shapes=frozenset([before]))}
    with reading(path, "file of images", ACCEPTED, DataError):
        content = unzipped(path.read_bytes())
        name = path.name.lower().removesuffix(".gz")
        if content[:6] == b"\x93NUMPY":
            found = {"all": (np.load(io.BytesIO(content)), None)}
        elif content[:2] == b"PK":
            found = read_npz(path, content)
        elif content[:3] == b"\0\0\x08":
            found = {"all": (idx(content), read_labels_beside(path))}
        elif name.endswith(".csv"):
            found = {"all": read_csv(path, content)}
        elif name.endswith(".bin"):
            found = {"all": cifar(content)}
        else:
            raise ValueError("neither its name nor its beginning says which form it has")
        return {part: as_images(path, *arrays, form) for part, arrays in found.items()}


def read_npz(path, content):
    """Arrays of three axes or more are images, of one axis labels; a word in its name says what an
    array is for. MedMNIST's and Keras's files are such; of images to validate with and others to
    test with, the latter are taken."""
    arrays = dict(np.load(io.BytesIO(content)))
    if any("test" in words_of(name) for name in arrays):
        arrays = {name: a for name, a in arrays.items()
                  if not {"val", "valid", "validation"} & set(words_of(name))}
    def part_of(name): return next(filter(None, map(PARTS.get, words_of(name))), "train")
    images = {name: a for name, a in arrays.items() if a.ndim >= 3}
    parts = {}
    for name, array in images.items():
        part = part_of(name)
        if part in parts or len(images) > 2:
            raise DataError(f"{path}: which of its arrays are the images: {', '.join(images)}? "
                            f"Save those alone, or two, with train and test in their names")
        beside = {n: a for n, a in arrays.items()
                  if n not in images and a.ndim and part_of(n) == part}
        labels = [a.reshape(-1) for a in beside.values() if a.size == len(a) == len(array)]
        if beside and not labels:
            given = ", ".join(f"{n} {a.shape}" for n, a in beside.items())
            raise DataError(f"{path}: {given} are no labels of {len(array):,} images; save one "
                            f"whole number for each, or leave them out")
        parts[part] = array, labels[0] if labels else None
    if not parts:
        raise DataError(f"{path}: has no array of images (N, H, W) or (N, H, W, C); it has "
                        f"{', '.join(f'{n} {a.shape}' for n, a in arrays.items()) or 'nothing'}")
    return parts if len(parts) == 2 else {"all": next(iter(parts.values()))}


def read_labels_beside(path):
    """train-images-idx3-ubyte has its labels in train-labels-idx1-ubyte, if they are there."""
    for beside in path.parent.iterdir():
        if beside != path and plain(beside.name).replace("label", "image") == plain(path.name):
            return idx(unzipped(beside.read_bytes()))
    return None


def plain(name):
    """The name of an idx file without what differs between publishers."""
    return name.removesuffix(".gz").replace("idx1", "idx3").replace(".idx3", "-idx3")


def read_csv(path, content):
    """Kaggle's form: a row an image, its label first, if there is one; a line of names above."""
    content = content.removeprefix(codecs.BOM_UTF8)
    first = content.partition(b"\n")[0].decode().strip()
    counted = ",".join(map(str, range(first.count(",") + 1)))  # as pandas names columns
    named = int(first == counted or any(c.isalpha() for c in first))
    if not content.split(b"\n", named)[-1].strip():
        raise ValueError("it has no rows of numbers")
    try:
        rows = np.loadtxt(io.BytesIO(content), np.float32, delimiter=",", skiprows=named, ndmin=2)
    except ValueError as error:  # without its advice, which is a programmer's
        raise ValueError(str(error).partition("; use")[0]) from None
    labelled = side(rows.shape[1]) is None
    pixels_of = rows[:, labelled:]
    if side(pixels_of.shape[1]) is None:
        raise DataError(f"{path}: rows of {rows.shape[1]} numbers: neither they nor all but the "
                        f"first are a square image, grey or in colours")
    return pixels_of.reshape(len(rows), *side(pixels_of.shape[1])), rows[:, 0] if labelled else None


def side(count):
    """(H, W) or (H, W, 3) of a square image of so many numbers; None if there is none."""
    for channels, last in ((1, ()), (3, (3,))):
        edge = math.isqrt(count // channels)
        if edge * edge * channels == count:
            return edge, edge, *last
    return None


# ---------------------------------------------------------------- which numbers are pixels

def as_images(path, array, labels, form):
    """Arrays as Images. labels: (N,) whole numbers, or None. Raises DataError."""
    if form.channels_first and array.ndim == 4:
        array = np.moveaxis(array, 1, -1)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and not len(array):
        raise DataError(f"{path}: an array of {array.shape}: there are no images in it")
    if array.ndim != 4 or not array.size or array.shape[3] not in (1, 3):
        why = ""
        if array.ndim == 4 and array.shape[1] in (1, 3):
            why = "; --channels-first reads them as (N, C, H, W)"
        elif array.ndim == 4 and array.shape[3] == 4:
            why = ": four channels, as with transparency; leave that out"
        raise DataError(f"{path}: an array of {array.shape}, but images are (N, H, W) or (N, H, W, "
                        f"C), with 1 or 3 channels{why}")
    images, said = pixels(path, array)
    if form.transpose:
        images = images.transpose(0, 2, 1, 3)
    before = images.shape[1:]
    if form.size or (form.grey and images.shape[3] == 3):
        from PIL import Image
        of_pillow = images[..., 0] if images.shape[3] == 1 else images
        images = np.stack([formed(Image.fromarray(image), form) for image in of_pillow])
    if labels is not None:
        if len(labels) != len(images):
            raise DataError(f"{path}: {len(images):,} images, but {len(labels):,} labels")
        if labels.dtype.kind not in "buif" or not np.isin(labels, np.arange(256)).all():
            raise DataError(f"{path}: labels such as {labels[0]} and {labels[-1]}; classes are "
                            f"whole numbers from 0 to 255")
        labels = labels.astype(np.uint8)
    return Images(np.ascontiguousarray(images), labels, said=tuple(said),
                  shapes=frozenset([before]))


def pixels(path, array):
    """Numbers as grey levels, uint8, and what was taken for granted, by their range."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: an array of {array.dtype}; pixels are numbers: uint8, or float")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{path}: has NaN or infinite pixels; mend or leave out those images")
    if 0 <= low and high <= 1:
        return (np.rint(array * np.float64(255)).astype(np.uint8),
                ["numbers from 0 to 1: 0 is taken for black, 1 for white"])
    if array.dtype.kind == "f" and -1 <= low and high <= 1:
        return (np.rint((array + 1) * 127.5).astype(np.uint8),
                ["numbers from -1 to 1: -1 is taken for black, 1 for white"])
    if array.dtype == np.uint8 or 0 <= low and high <= 255 and (array == np.rint(array)).all():
        return array.astype(np.uint8), []
    raise DataError(f"{path}: pixels from {low:g} to {high:g}; accepted are whole numbers from 0 "
                    f"to 255, or floats in [0, 1] or in [-1, 1]")


def shape(size):
    return " x ".join(map(str, size))
