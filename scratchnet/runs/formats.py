"""The files of the data sets: idx, CIFAR's .bin, and the archive that those come in.

What has the right SHA-256 needs no other check; what goes wrong without one is one error of
`reading`.
"""

import gzip
import hashlib
import tarfile
from pathlib import Path

import numpy as np

from ..errors import DataError
from .files import reading, replacing

REMEDY = "delete the file and run again to download it anew"


def check_sum(name, content, sha256):
    """Raise DataError if the bytes have another SHA-256."""
    found = sha256_of(content)
    if found != sha256:
        raise DataError(f"{name}: checksum mismatch: SHA-256 is {found}, expected {sha256}; "
                        f"{REMEDY}")


def sha256_of(content):
    return hashlib.sha256(content).hexdigest()


def unzipped(content):
    """What is in a gzip file; other bytes as they are."""
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def idx(content):
    """An idx file of unsigned bytes (the format of MNIST) as an array.

    The format: the bytes 0, 0, 8 (unsigned bytes) and the number of axes; the length of each axis,
    a big-endian 32-bit number; then the bytes. Raises ValueError if they are other ones.
    """
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"an idx file of bytes begins with 0, 0, 8, not with {content[:3]}")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def cifar(content):
    """A .bin file of CIFAR-10 or CIFAR-100: images uint8 (n, 32, 32, 3) and labels (n,).

    The format: records of a label (CIFAR-100: of twenty, and then of a hundred classes; the latter
    is taken), then the red, the green and the blue plane, each row by row. Raises ValueError.
    """
    for labels, classes in ((1, 10), (2, 100)):
        if len(content) % (labels + 3 * 32 * 32) == 0:
            rows = np.frombuffer(content, np.uint8).reshape(-1, labels + 3 * 32 * 32)
            if (rows[:, labels - 1] < classes).all():
                planes = rows[:, labels:].reshape(-1, 3, 32, 32)
                return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, labels - 1]
    raise ValueError(f"{len(content):,} bytes are no records of 3,073 (CIFAR-10) or 3,074 "
                     f"(CIFAR-100)")


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
