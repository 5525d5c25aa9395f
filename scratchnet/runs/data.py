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
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from .files import replacing
from .synthetic import synthetic_digits, synthetic_scenes

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


CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_ARCHIVES = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
CIFAR_FILES = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
REMEDY = "delete the file and run again to download it anew"


@dataclass(frozen=True)
class Kind:
    """Images of one shape. datasets: the names of those there are, the usual one first;
    synthetic: the function that draws the one of that name."""

    datasets: tuple
    synthetic: callable


KINDS = {  # train_<kind>.py
    "mnist": Kind(("mnist", "fashion-mnist", "synthetic"), synthetic_digits),
    "cifar": Kind(("cifar10", "synthetic"), synthetic_scenes),
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

    def limited(self, n):
        """The first n training images, and at most n test images."""
        return replace(self, train_images=self.train_images[:n], train_labels=self.train_labels[:n],
                       test_images=self.test_images[:n], test_labels=self.test_labels[:n])


def load(name, data_dir=None, progress=True, synthetic=synthetic_digits):
    """Load a data set by name: "mnist", "fashion-mnist", "cifar10" or "synthetic".

    synthetic: the function that draws the last one (scratchnet.synthetic).

    Raises MissingDataError if its files are neither found nor downloadable (the
    message says what was tried), DataError if one is damaged.
    """
    root = Path(data_dir or os.environ.get("SCRATCHNET_DATA") or "~/.cache/scratchnet").expanduser()
    if name == "synthetic":
        title, arrays = synthetic()
        digest = hashlib.sha256(b"".join(hashlib.sha256(a).digest() for a in arrays)).hexdigest()
        return Dataset(name, title, *arrays, digest)
    if name == "cifar10":
        return load_cifar10(root / CIFAR_FOLDER, progress)
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(SOURCES)}, cifar10, "
                        f"synthetic")
    title, folder, mirrors, files = SOURCES[name]
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
    try:
        packed = Path(path).read_bytes()
        content = gzip.decompress(packed)
    except OSError as error:  # gzip.BadGzipFile is one
        raise DataError(f"{path}: cannot be read: {error}; {REMEDY}") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}); {REMEDY}") from None
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{path}: truncated: {len(content)} bytes, not even an idx header; "
                        f"{REMEDY}")
    header = np.frombuffer(content, dtype=">u4", count=1 + axes)
    if header[0] != 0x800 + axes:
        raise DataError(f"{path}: wrong magic number {header[0]}, expected {0x800 + axes} (an idx "
                        f"file of unsigned bytes with {axes} axes); {REMEDY}")
    shape = tuple(int(n) for n in header[1:])
    body = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes)
    if body.size != np.prod(shape, dtype=np.int64):
        raise DataError(f"{path}: truncated: the header promises {' x '.join(map(str, shape))} "
                        f"bytes, but {body.size:,} are there; {REMEDY}")
    _check_sum(path, packed, sha256)
    return body.reshape(shape)


def _check_sum(path, content, sha256):
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise DataError(f"{path}: checksum mismatch: SHA-256 is {found}, expected {sha256}; "
                        f"{REMEDY}")


def load_cifar10(folder, progress=True):
    """CIFAR-10, binary version; downloaded and unpacked into the folder if it is not there."""
    if not all((folder / file).is_file() for file in CIFAR_FILES):
        archive = folder.with_name("cifar-10-binary.tar.gz")
        if not archive.is_file():
            download(archive, CIFAR_ARCHIVES, None, progress)
        unpack(archive, folder, CIFAR_FILES)
    parts = [read_cifar10(folder / file, sha256) for file, sha256 in CIFAR_FILES.items()]
    images, labels = zip(*parts, strict=True)
    digest = hashlib.sha256("".join(CIFAR_FILES.values()).encode()).hexdigest()
    return Dataset("cifar10", "CIFAR-10", np.concatenate(images[:5]), np.concatenate(labels[:5]),
                   images[5], labels[5], digest)


def read_cifar10(path, sha256=None):
    """One .bin file: images uint8 (n, 32, 32, 3) and labels (n,).

    The format: records of 3,073 bytes, a label 0 to 9, then the red, the green and the blue
    plane, each row by row. Raises DataError if the file is damaged.
    """
    record = 1 + 3 * 32 * 32
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; {REMEDY}") from None
    if not content or len(content) % record:
        raise DataError(f"{path}: truncated: {len(content):,} bytes are no whole number of records "
                        f"of {record:,} bytes; {REMEDY}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    if rows[:, 0].max() > 9:
        raise DataError(f"{path}: damaged: a label is {rows[:, 0].max()}, expected 0 to 9; "
                        f"{REMEDY}")
    _check_sum(path, content, sha256)
    planes = rows[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0]


def unpack(archive, folder, files):
    """Take the files named (name: SHA-256) out of a .tar.gz into the folder, each verified first.

    Raises DataError if a member's path leads outside the archive, which an honest archive never
    has, if a file is missing or differs, or if the archive is damaged.
    """
    remedy = REMEDY.replace("file", "archive")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                parts = Path(member.name).parts
                if Path(member.name).is_absolute() or ".." in parts or member.issym() \
                        or member.islnk():
                    raise DataError(f"{archive}: unsafe path or link {member.name!r} in it; "
                                    f"nothing was unpacked; do not trust this archive")
            found = {Path(m.name).name: m for m in members if m.isfile()}
            for file, sha256 in files.items():
                if file not in found:
                    raise DataError(f"{archive}: has no {file} in it; {remedy}")
                content = tar.extractfile(found[file]).read()
                _check_sum(f"{archive}: {file}", content, sha256)
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(folder / file) as out:
                    out.write(content)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{archive}: damaged archive ({error}); {remedy}") from None
    except OSError as error:
        raise DataError(f"cannot unpack {archive} into {folder}: {error}; choose another folder "
                        f"with --data-dir or $SCRATCHNET_DATA") from None


def download(path, urls, sha256, progress=True):
    """Fetch the first of the urls that delivers a file with this SHA-256 (None: any), to path.

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
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, replacing(path) as out:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, unit="B", unit_scale=True, desc=path.name,
                  disable=None if progress else True) as bar:
            while chunk := response.read(1 << 16):
                out.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
        if total and out.tell() < total:
            raise ConnectionError(f"connection cut after {out.tell():,} of {total:,} bytes")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise DataError(f"{url}: wrong bytes: SHA-256 is {digest.hexdigest()}, "
                            f"expected {sha256}")


# ---------------------------------------------------------------- batches

def binarise(images, rng):
    """Each pixel becomes 255 with probability value/255, else 0: a Bernoulli draw (uint8)."""
    return np.where(rng.integers(0, 255, images.shape, dtype=np.uint8) < images,
                    np.uint8(255), np.uint8(0))


def flipped(images, rng):
    """Each image left-right mirrored with probability 1/2."""
    mirror = rng.random(len(images)) < 0.5
    return np.where(mirror[:, None, None, None], images[:, :, ::-1], images)


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
