"""The files of the data sets: idx (gzipped), CIFAR-10's .bin, and the archive that those come in.

A file is checked against its SHA-256 before anything else is done with it. What has the right one
needs no other check; what goes wrong without one is one error of `reading`.
"""

import gzip
import hashlib
import tarfile
from pathlib import Path

import numpy as np

from ..errors import DataError
from .files import reading, replacing

REMEDY = "delete the file and run again to download it anew"


def read_file(path, sha256=None):
    """The bytes of a file. Raises DataError if it has another SHA-256 (None: any)."""
    content = Path(path).read_bytes()
    check_sum(path, content, sha256)
    return content


def check_sum(name, content, sha256):
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise DataError(f"{name}: checksum mismatch: SHA-256 is {found}, expected {sha256}; "
                        f"{REMEDY}")


def read_idx(path, sha256=None):
    """Read a gzipped idx file of unsigned bytes (the format of MNIST): an array.

    The format: the bytes 0, 0, 8 (unsigned bytes) and the number of axes; the length of each axis,
    a big-endian 32-bit number; then the bytes. Raises DataError if the file is damaged.
    """
    packed = read_file(path, sha256)
    with reading(path, "gzipped idx file of bytes", REMEDY, DataError):
        content = gzip.decompress(packed)
        if content[:3] != b"\0\0\x08":
            raise ValueError(f"it begins with {content[:3]}")
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_cifar10(path, sha256=None):
    """One .bin file: images uint8 (n, 32, 32, 3) and labels (n,).

    The format: records of 3,073 bytes, a label 0 to 9, then the red, the green and the blue
    plane, each row by row. Raises DataError if the file is damaged.
    """
    content = read_file(path, sha256)
    with reading(path, "file of records of 3,073 bytes", REMEDY, DataError):
        rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    planes = rows[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0]


def unpack(archive, folder, files):
    """Take the files named (name: SHA-256) out of a .tar.gz into the folder, whatever folder of the
    archive they are in, when all have been found and verified. Raises DataError if one is missing
    or differs, or if the archive is damaged."""
    found = {}
    with reading(archive, ".tar.gz", REMEDY, DataError), tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = Path(member.name).name
            if name in files and member.isfile():
                found[name] = tar.extractfile(member).read()
                check_sum(f"{archive}: {name}", found[name], files[name])
    if missing := files.keys() - found.keys():
        raise DataError(f"{archive}: has no {min(missing)} in it; {REMEDY}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        with replacing(folder / name) as part:
            part.write(content)
