"""The files of the data sets: idx (gzipped), CIFAR-10's .bin, and the archive that those come in.

A file is checked against its SHA-256 before anything else is done with it, and nothing is unpacked
that is larger than the real files are.
"""

import gzip
import hashlib
import io
import math
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError, in_brief, shown
from .files import replacing

LARGEST = 1 << 28  # bytes of a file, packed or not: CIFAR-10's archive has 184 MB in it
REMEDY = "delete the file and run again to download it anew"
ELSEWHERE = "choose another folder with --data-dir or $SCRATCHNET_DATA"


def read_file(path, sha256=None):
    """The bytes of a file. Raises DataError if it is larger than any file of a data set, or has
    another SHA-256 (None: any)."""
    with open(path, "rb") as file:
        check_size(path, os.fstat(file.fileno()).st_size)
        content = file.read()
    check_sum(path, content, sha256)
    return content


def check_size(name, size):
    if size > LARGEST:
        raise DataError(f"{name}: has {size:,} bytes, more than any file of a data set; {REMEDY}")


def check_sum(name, content, sha256):
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise DataError(f"{name}: checksum mismatch: SHA-256 is {found}, expected {sha256}; "
                        f"{REMEDY}")


def read_idx(path, axes, sha256=None):
    """Read a gzipped idx file of unsigned bytes (the format of MNIST): an array of `axes` axes.

    The format: a big-endian 32-bit magic number 0x800 + axes, one such number for
    each axis, then the bytes. Raises DataError if the file is unreadable, has
    another magic number, is truncated, or has another SHA-256.
    """
    packed = read_file(path, sha256)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            shape = read_idx_header(path, file.read(4 + 4 * axes), axes)
            size = math.prod(shape)
            body = file.read(size + 1)  # no more than that, whatever the file unpacks to
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"{path}: truncated or damaged gzip file ({error}); {REMEDY}") from None
    if len(body) != size:
        there = "more" if len(body) > size else f"{len(body):,}"
        raise DataError(f"{path}: the header promises {' x '.join(map(str, shape))} bytes, but "
                        f"{there} are there; {REMEDY}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_idx_header(path, content, axes):
    """The shape of the array in an idx file, from the file's beginning."""
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{path}: truncated: {len(content)} bytes, not even an idx header; "
                        f"{REMEDY}")
    magic, *shape = (int(n) for n in np.frombuffer(content, dtype=">u4"))
    if magic != 0x800 + axes:
        raise DataError(f"{path}: wrong magic number {magic}, expected {0x800 + axes} (an idx "
                        f"file of unsigned bytes with {axes} axes); {REMEDY}")
    words = " x ".join(map(str, shape))
    if 0 in shape:
        raise DataError(f"{path}: the header promises {words} bytes: no images; {REMEDY}")
    check_size(f"{path}: the header promises {words} bytes: it", math.prod(shape))
    return shape


def read_cifar10(path, sha256=None):
    """One .bin file: images uint8 (n, 32, 32, 3) and labels (n,).

    The format: records of 3,073 bytes, a label 0 to 9, then the red, the green and the blue
    plane, each row by row. Raises DataError if the file is damaged.
    """
    record = 1 + 3 * 32 * 32
    content = read_file(path, sha256)
    if not content or len(content) % record:
        raise DataError(f"{path}: truncated: {len(content):,} bytes are no whole number of records "
                        f"of {record:,} bytes; {REMEDY}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    if rows[:, 0].max() > 9:
        raise DataError(f"{path}: damaged: a label is {rows[:, 0].max()}, expected 0 to 9; "
                        f"{REMEDY}")
    planes = rows[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0]


# ---------------------------------------------------------------- archives

def unpack(archive, folder, files):
    """Take the files named (name: SHA-256) out of a .tar.gz into the folder, all verified first.

    Raises DataError if a member's path leads outside the archive, which an honest archive never
    has, if a file is missing or differs, or if the archive is damaged.
    """
    try:
        found = members(archive, files)
    except DataError:
        raise
    except Exception as error:  # what tarfile raises for a wrong archive has no end
        raise DataError(f"{archive}: damaged archive ({type(error).__name__}: {in_brief(error)}); "
                        f"{REMEDY}") from None
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in found.items():
        with replacing(folder / file) as part:
            part.write(content)


def members(archive, files):
    """{name: bytes} of the files named (name: SHA-256), found in any folder of a .tar.gz."""
    found = {}
    with (gzip.open(archive) as unpacked,
          tarfile.open(fileobj=Bounded(archive, unpacked), mode="r|") as tar):
        for member in tar:
            path = Path(member.name)
            if path.is_absolute() or ".." in path.parts or member.issym() or member.islnk() \
                    or member.issparse():
                raise DataError(f"{archive}: unsafe path or link {shown(member.name)} in it; "
                                f"nothing was unpacked; do not trust this archive")
            if path.name in files and member.isfile():
                content = tar.extractfile(member).read()
                check_sum(f"{archive}: {path.name}", content, files[path.name])
                found[path.name] = content
    for name in files:
        if name not in found:
            raise DataError(f"{archive}: has no {name} in it; {REMEDY}")
    return found


class Bounded:
    """A stream that raises DataError when LARGEST bytes have been read: names and headers in a tar
    file may be as long as the files."""

    def __init__(self, name, stream):
        self.name, self.stream, self.count = name, stream, 0

    def read(self, size):
        content = self.stream.read(size)
        self.count += len(content)
        check_size(f"{self.name}, unpacked,", self.count)
        return content
