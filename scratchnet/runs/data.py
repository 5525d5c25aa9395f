"""Data sets: found in a folder, else downloaded and verified, else drawn.

A folder is looked for in this order: --data-dir, $SCRATCHNET_DATA, ~/.cache/scratchnet. Every file
is checked against its SHA-256, whether it was found or downloaded, before anything else is done
with it, and a download is put in place in one step: a damaged file is never taken for a good one.
"""

import contextlib
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, RunError, in_brief, printable
from . import images
from .files import replacing
from .formats import check_sum, cifar, idx, sha256_of, unpack, unzipped
from .synthetic import synthetic_digits, synthetic_scenes

TIMEOUT = 15  # seconds without a byte before a download is given up

# ---------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Source:
    """A data set that is downloaded. folder: of its files; urls: where they are, or the archive
    with all of them; files: {name: SHA-256}; read: (folder, source, progress) -> train images
    (N, H, W, C), labels, test images, labels. unpacked: {name: SHA-256 of what is in the gzip
    file}, by which it is known under other names."""

    title: str
    folder: str
    urls: tuple
    files: dict
    read: callable
    unpacked: dict = field(default_factory=dict)


def read_mnist(folder, source, progress):
    """The four idx files of MNIST and its kin, downloaded one by one."""
    arrays = []
    for file, sha256 in source.files.items():
        path = folder / file
        if not path.is_file() or sha256_of(path.read_bytes()) != sha256:
            content = in_another_form(folder, file, source.unpacked.get(file))
            if content is not None:
                arrays.append(idx(content))
                continue
        if not path.is_file():
            download(path, [url + file for url in source.urls], sha256, progress)
        check_sum(path, packed := path.read_bytes(), sha256)
        arrays.append(idx(unzipped(packed)))
    train_images, train_labels, test_images, test_labels = arrays
    return train_images[..., None], train_labels, test_images[..., None], test_labels


def in_another_form(folder, file, sha256):
    """The content of an idx file, if it lies there unzipped, gzipped anew, with a dot in its name,
    or where torchvision puts it; it is known by its checksum. None if it does not."""
    names = {file, file.removesuffix(".gz")}
    names |= {name.replace("-idx", ".idx") for name in names}
    for place in (folder, folder / "raw", folder.parent, *folder.parent.glob("*/raw")):
        for name in names:
            if (place / name).is_file():
                with contextlib.suppress(OSError, EOFError, zlib.error):
                    content = unzipped((place / name).read_bytes())
                    if sha256_of(content) == sha256:
                        return content
    return None


def read_cifar(folder, source, progress):
    """CIFAR-10, binary version: five files for training and one for testing, from one archive."""
    if not all((folder / file).is_file() for file in source.files):
        archive = folder.with_name(source.urls[0].rpartition("/")[2])
        if not archive.is_file():
            download(archive, source.urls, None, progress)
        unpack(archive, folder, source.files)
    contents = {file: (folder / file).read_bytes() for file in source.files}
    for file, sha256 in source.files.items():
        check_sum(folder / file, contents[file], sha256)
    images, labels = zip(*map(cifar, contents.values()), strict=True)
    return np.concatenate(images[:5]), np.concatenate(labels[:5]), images[5], labels[5]


IDX_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
             "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
SOURCES = {
    "mnist": Source("MNIST", "mnist", (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ), dict(zip(IDX_FILES, (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ), strict=True)), read_mnist, dict(zip(IDX_FILES, (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ), strict=True))),
    "fashion-mnist": Source("Fashion-MNIST", "fashion-mnist", (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ), dict(zip(IDX_FILES, (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ), strict=True)), read_mnist, dict(zip(IDX_FILES, (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ), strict=True))),
    "cifar10": Source("CIFAR-10", "cifar-10-batches-bin", (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ), {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    }, read_cifar),
}


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


class MissingDataError(DataError):
    """The files are not there and cannot be downloaded (as opposed to: are damaged)."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, H, W, C), labels uint8 (N,), both split into train and test.

    title is what pictures say; sha256 identifies the exact content. held_out: what test_images are,
    "test" or "validation". said: what was taken for granted when it was read, to be told. names: of
    the files of the test images, if they are known.
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

    synthetic: the function that draws the last one (scratchnet.synthetic).

    Raises MissingDataError if its files are neither found nor downloadable (the
    message says what was tried), DataError if one is damaged.
    """
    if name == "synthetic":
        title, arrays = synthetic()
        return Dataset(name, title, *arrays, digest_of(arrays))
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(SOURCES)}, synthetic")
    source = SOURCES[name]
    root = Path(data_dir or os.environ.get("SCRATCHNET_DATA") or "~/.cache/scratchnet")
    try:
        root = root.expanduser()
    except RuntimeError:
        raise DataError(f"{root}: there is no such home folder; choose another folder with "
                        f"--data-dir or $SCRATCHNET_DATA") from None
    arrays = source.read(root / source.folder, source, progress)
    digest = hashlib.sha256("".join(source.files.values()).encode()).hexdigest()
    return Dataset(name, source.title, *arrays, digest)


def digest_of(arrays):
    """One SHA-256 for these arrays."""
    return hashlib.sha256(b"".join(hashlib.sha256(a).digest() for a in arrays)).hexdigest()


def load_own(flags, path=None, progress=True):
    """The images that the flags of train_images.py name; path: where they are now, if they were
    moved. Where nothing says which are to test with, a tenth of them is, drawn once and for all.
    Raises DataError."""
    path = Path(path or flags.images)
    form = images.Form(flags.size, flags.grey, flags.transpose, flags.channels_first)
    found = images.read(path, form, progress)
    if flags.test:
        test = images.read(flags.test, form, progress)
        found = {"train": found.get("all") or found["train"],
                 "test": test.get("all") or test["test"]}
    train, test = found.get("all") or found["train"], found.get("test")
    labelled = train.labels is not None and (test is None or test.labels is not None)
    def labels_of(part): return part.labels if labelled else np.zeros(len(part.images), np.uint8)
    if test is None:
        n = len(train.images)
        order = np.random.default_rng(TENTH).permutation(n)
        tests = np.sort(order[:n // 10])
        trains = np.sort(order[n // 10:])
        labels = labels_of(train)
        arrays = train.images[trains], labels[trains], train.images[tests], labels[tests]
    else:
        arrays = train.images, labels_of(train), test.images, labels_of(test)
    if len(arrays[0]) + len(arrays[2]) < FEWEST or not len(arrays[2]):
        raise DataError(f"{path}: {len(arrays[0]) + len(arrays[2])} images; to learn something, "
                        f"and to test it, give {FEWEST} or more")
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        one, two = (images.shape(a.shape[1:]) for a in (arrays[0], arrays[2]))
        raise DataError(f"{path}: training images of {one}, but test images of {two}; --size H W "
                        f"and --grey make them one")
    said = dict.fromkeys(train.said + (test.said if test else ()))
    name = re.sub(r"[^\w.-]+", "-", path.resolve().stem).strip("-.") or "images"
    return Dataset(name, printable(path.resolve().stem), *arrays, digest_of(arrays),
                   said=tuple(said))


def download(path, urls, sha256, progress=True):
    """Fetch the first of the urls that delivers a file with this SHA-256 (None: any), to path.
    Raises MissingDataError, naming every address tried and what became of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tried = []
    for url in urls:
        try:
            with replacing(path) as out:
                fetch(out, url, sha256, progress)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException,
                DataError) as error:
            tried.append(f"{url}: {in_brief(error)}")
    raise MissingDataError(
        f"{path} is not there, and could not be downloaded:\n  " + "\n  ".join(tried) +
        "\nPut the file there yourself, name its folder with --data-dir or $SCRATCHNET_DATA, "
        "or use --dataset synthetic, which needs no file")


def fetch(out, url, sha256, progress):
    """Write what is at the url to an open file."""
    from tqdm import tqdm

    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, unit="B", unit_scale=True, desc=url.rpartition("/")[2],
                  disable=None if progress else True) as bar:
            while chunk := response.read(1 << 16):
                digest.update(chunk)
                bar.update(out.write(chunk))
    if out.tell() < total:
        raise ConnectionError(f"cut after {out.tell():,} of {total:,} bytes")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise DataError(f"wrong bytes: SHA-256 is {digest.hexdigest()}, expected {sha256}")


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
