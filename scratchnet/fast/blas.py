"""How many cores there are, and how many threads BLAS uses."""

import contextlib
import ctypes
import os
import sys
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np


@cache
def cores():
    """How many this process may use, by its affinity and a container's quota: no more than BLAS."""
    blas = openblas()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(allowed, quota(), blas[0]() if blas else allowed)


def quota(path="/sys/fs/cgroup/cpu.max"):
    """The cores' worth of time that a container gives its processes, at least 1 (Linux: the file
    says "200000 100000", microseconds in each period, or "max 100000")."""
    try:
        time_given, period = Path(path).read_text().split()
        return max(1, int(time_given) // int(period))
    except (OSError, ValueError):
        return sys.maxsize


def blas_threads(count):
    """Let BLAS use this many threads; returns how many it used before."""
    get, set_ = openblas()
    before = get()
    set_(count)
    return before


@cache
def openblas():
    """(get, set) of the number of threads of the OpenBLAS that NumPy brings, or None."""
    numpy = Path(np.__file__).parent  # beside it are the libraries of its wheels: Linux's, macOS's
    for path in [*numpy.parent.glob("numpy.libs/*openblas*"), *numpy.glob(".dylibs/*openblas*")]:
        for prefix, suffix in product(("scipy_", ""), ("64_", "")):
            with contextlib.suppress(OSError, AttributeError):
                library = ctypes.CDLL(str(path))
                return tuple(getattr(library, f"{prefix}openblas_{verb}_num_threads{suffix}")
                             for verb in ("get", "set"))
    return None
