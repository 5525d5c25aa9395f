"""Data sets: found in a folder, else downloaded and verified, else drawn.

A folder is looked for in this order: --data-dir, $SCRATCHNET_DATA, ~/.cache/scratchnet.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, RunError, printable
from . import images
from .files import expanded
from .sources import SOURCES, MissingDataError  # noqa: F401 - which `load` raises
from .synthetic import synthetic_digits, synthetic_scenes


@dataclass(frozen=True)
class Kind:
    """What one script trains on. datasets: the names of those there are, the usual one first; none:
    images of one's own. synthetic: the function that draws the one of that name."""

    datasets: tuple = ()
    synthetic: callable = None


KINDS = {  # train_<kind>.py
    "mnist": Kind(("mnist", "fashion-mnist", "synthetic"), synthetic_digits),
    "cifar": Kind(("cifar10", "synthetic"), synthetic_scenes),
    "images": Kind(),
}
FEWEST, TENTH = 10, 1997  # images of one's own; the seed that sets a tenth of them aside


def script_of(kind):
    """The training script for this kind of images."""
    return f"train_{kind}.py"


def training_of(kind):
    """How a command that trains on them begins."""
    return f"python {script_of(kind)}{'' if KINDS[kind].datasets else ' PATH'}"


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, H, W, C), labels uint8 (N,), both split into train and test.

    title is what pictures say; sha256 identifies the exact content. held_out: what test_images are,
    "test" or "validation". said: what was taken for granted when it was read, to be told. names: of
    the files of the test images, if they are known. classes: the names of 0, 1, ..., if they
    have some.
    """

    name: str
    title: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    sha256: str
    held_out: str = field(default="test", kw_only=True)
    said: tuple = field(default=(), kw_only=True)
    names: tuple = field(default=(), kw_only=True)
    classes: tuple = field(default=(), kw_only=True)

    @property
    def image_shape(self):
        """(H, W, C)."""
        return self.train_images.shape[1:]

    @property
    def num_classes(self):
        """One more than the largest label."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def variance(self):
        """One variance over all training pixels and channels, in units of [0, 1]."""
        sum_, squares, n = 0, 0, self.train_images.size
        for part in np.array_split(self.train_images, max(1, n // 10 ** 7)):
            counts = np.bincount(part.reshape(-1), minlength=256)
            sum_ += int(counts @ np.arange(256))
            squares += int(counts @ np.arange(256) ** 2)
        return (squares / n - (sum_ / n) ** 2) / 255 ** 2

    def with_validation(self, n):
        """The last n training images in the place of the test images, and no longer trained on: to
        choose a recipe by, so that the test images are looked at once. Raises RunError if none
        would be left."""
        if n >= len(self.train_images):
            raise RunError(f"--validation {n}: there are {len(self.train_images):,} training "
                           f"images, and some are to be trained on; give fewer")
        return replace(self.with_training(slice(-n)), test_images=self.train_images[-n:],
                       test_labels=self.train_labels[-n:], held_out="validation")

    def with_training(self, part):
        """The same, with this slice of the training images."""
        return replace(self, train_images=self.train_images[part],
                       train_labels=self.train_labels[part])

    def flipped(self, chosen, batch, rng):
        """batch, (n, H, W, C), made of the training images of these numbers: each of them mirrored
        with probability 1/2."""
        mirror = rng.random(len(batch)) < 0.5
        return np.where(mirror[:, None, None, None], self.mirrored(chosen, batch), batch)

    def mirrored(self, chosen, batch):
        """All of the batch in a mirror: left is right."""
        return batch[:, :, ::-1]

    def limited(self, n):
        """The first n training images, and at most n test images."""
        return replace(self.with_training(slice(n)), test_images=self.test_images[:n],
                       test_labels=self.test_labels[:n])


# ---------------------------------------------------------------- found, downloaded, drawn

def load(name, data_dir=None, progress=True, synthetic=synthetic_digits):
    """Load a data set by name: one of SOURCES, or "synthetic".

    synthetic: the function that draws the last one (runs/synthetic.py).

    Raises MissingDataError if its files are neither found nor downloadable (the
    message says what was tried), DataError if one is damaged.
    """
    if name == "synthetic":
        title, arrays = synthetic()
        return Dataset(name, title, *arrays, digest_of(arrays))
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(SOURCES)}, synthetic")
    source = SOURCES[name]
    arrays = source.read(root_of(data_dir) / source.folder, source, progress)
    digest = hashlib.sha256("".join(source.files.values()).encode()).hexdigest()
    return Dataset(name, source.title, *arrays, digest, classes=source.classes)


def root_of(data_dir=None):
    """The folder in which data sets are looked for. Raises RunError."""
    return expanded(data_dir or os.environ.get("SCRATCHNET_DATA") or "~/.cache/scratchnet")


def is_here(name, data_dir=None):
    """Whether the files of the data set, one of SOURCES, lie where load() looks for them."""
    source = SOURCES[name]
    return all((root_of(data_dir) / source.folder / file).is_file() for file in source.files)


def digest_of(arrays):
    """One SHA-256 for these arrays."""
    return hashlib.sha256(b"".join(hashlib.sha256(a).digest() for a in arrays)).hexdigest()


def read_own(flags, path, progress, may_have_moved):
    """(training Images, test Images or None, what was left out): those of the path and of --test.
    Raises DataError."""
    form = images.Form(flags.size, flags.grey, flags.transpose, flags.channels_first)
    try:
        found = images.read(path, form, progress)
    except DataError as error:
        if path.exists() or not may_have_moved:
            raise
        raise DataError(f"{error} (were they moved? --data-dir PATH says where they are)") from None
    left_out = []
    if flags.test:
        beside = path.parent / Path(flags.test).name  # where it is, if both were moved
        there = Path(flags.test).exists() or not beside.exists()
        test = images.read(flags.test if there else beside, form, progress)
        for part, name, here in (("test", path, found), ("train", Path(flags.test), test)):
            if part in here:
                left_out.append(f"the {part} images of {name.name} are left out, as --test says")
        found = {"train": found.get("all") or found["train"],
                 "test": test.get("all") or test["test"]}
    return found.get("train") or found["all"], found.get("test"), left_out


def load_own(flags, path=None, progress=True, may_have_moved=False):
    """The images that the flags of train_images.py name; path: where they are now, if they were
    moved; may_have_moved: the error says that it can be given. Where nothing says which are to test
    with, a tenth of them is, drawn once and for all. Raises DataError."""
    path = Path(path or flags.images)
    train, test, left_out = read_own(flags, path, progress, may_have_moved)
    parts = [part for part in (train, test) if part is not None]
    if test is not None and train.classes != test.classes:
        raise DataError(f"{path}: the training images have the classes "
                        f"{', '.join(train.classes) or '(none)'}, the test images "
                        f"{', '.join(test.classes) or '(none)'}; give both the same subfolders")
    labelled = all(part.labels is not None for part in parts)
    arrays = [a for part in parts for a in (
        part.images, part.labels if labelled else np.zeros(len(part.images), np.uint8))]
    if test is None:
        order = np.random.default_rng(TENTH).permutation(len(train.images))
        drawn = np.split(order, [len(order) // 10])  # to test with, to train on
        arrays = [a[np.sort(part)] for part in reversed(drawn) for a in arrays]
    if train.classes:  # folders lie class after class; the first or last n are to be of all
        for k in (0, 2):
            order = np.random.default_rng(TENTH).permutation(len(arrays[k]))
            arrays[k:k + 2] = arrays[k][order], arrays[k + 1][order]
    counts = [len(arrays[0]), len(arrays[2])]
    if sum(counts) < FEWEST or not all(counts):
        raise DataError(f"{path}: {sum(counts)} image{'s' * (sum(counts) != 1)}; to learn "
                        f"something, and to test it, give {FEWEST} or more")
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        one, two = (images.shape(a.shape[1:]) for a in (arrays[0], arrays[2]))
        raise DataError(f"{path}: training images of {one}, but test images of {two}; --size H W "
                        f"and --grey make them one")
    if labelled and not np.isin(arrays[3], arrays[1]).all():
        others = sorted(set(arrays[3].tolist()) - set(arrays[1].tolist()))
        raise DataError(f"{path}: test images have the labels {others[:5]}, which no training "
                        f"image has" + ("; give those classes more images, or leave them out"
                                        if test is None else ""))
    said = dict.fromkeys(words for part in parts for words in part.said)
    if train.classes:
        named = ", ".join(f"{k} {name}" for k, name in enumerate(train.classes[:20]))
        said[f"classes: {named}{', ...' * (len(train.classes) > 20)}"] = None
    name = re.sub(r"[^\w.-]+", "-", path.resolve().stem).strip("-.") or "images"
    return Dataset(name, printable(path.resolve().stem), *arrays, digest_of(arrays),
                   said=(*said, *left_out), classes=train.classes)


# ---------------------------------------------------------------- batches

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
