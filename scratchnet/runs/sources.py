"""The data sets that there are: where they are downloaded from, and how their files are known.

Every file is checked against its SHA-256, whether it was found or downloaded, before anything else
is done with it, and a download is put in place in one step: a damaged file is never taken for a
good one.
"""

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, field

import numpy as np

from ..errors import DataError, in_brief
from .files import new_folder, replacing
from .formats import check_sum, cifar, idx, sha256_of, unpack, unzipped

TIMEOUT = 15  # seconds without a byte before a download is given up


class MissingDataError(DataError):
    """The files are not there and cannot be downloaded (as opposed to: are damaged)."""


@dataclass(frozen=True)
class Source:
    """A data set that is downloaded. folder: of its files; urls: where they are, or the archive
    with all of them; files: {name: SHA-256}; read: (folder, source, progress) -> train images
    (N, H, W, C), labels, test images, labels. unpacked: {name: SHA-256 of what is in the gzip
    file}, by which it is known under other names. classes: the names of 0, 1, ..., if they are not
    the numbers themselves."""

    title: str
    folder: str
    urls: tuple
    files: dict
    read: callable
    unpacked: dict = field(default_factory=dict)
    classes: tuple = ()


def read_mnist(folder, source, progress):
    """The four idx files of MNIST and its kin, downloaded one by one."""
    arrays = []
    for file, sha256 in source.files.items():
        path = folder / file
        packed = path.read_bytes() if path.is_file() else None
        if packed is None or sha256_of(packed) != sha256:
            found = in_another_form(folder, file, source.unpacked.get(file))
            if found is None and packed is not None:
                check_sum(path, packed, sha256)  # says how it is damaged
            elif found is None:
                download(path, [url + file for url in source.urls], sha256, progress)
                found = path.read_bytes()
            packed = found
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
    ), strict=True)), ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                       "sneaker", "bag", "boot")),
    "cifar10": Source("CIFAR-10", "cifar-10-batches-bin", (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ), {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    }, read_cifar, classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog",
                            "horse", "ship", "truck")),
}


# ---------------------------------------------------------------- downloaded

def download(path, urls, sha256, progress=True):
    """Fetch the first of the urls that delivers a file with this SHA-256 (None: any), to path.
    Raises MissingDataError, naming every address tried and what became of it."""
    tried = []
    with new_folder(path.parent):
        for url in urls:
            try:
                with replacing(path) as out:
                    fetch(out, url, sha256, progress)
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError,
                    http.client.HTTPException, DataError) as error:
                tried.append(f"{url}: {in_brief(error)}")
    raise MissingDataError(
        f"{path} is not there, and could not be downloaded:\n  " + "\n  ".join(tried) +
        "\nPut the file there yourself, or name its folder with --data-dir or $SCRATCHNET_DATA")


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
