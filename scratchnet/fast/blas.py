"""How many cores there are, and how many threads BLAS uses."""

import contextlib
import ctypes
import os
import sys
from functools import cache
from pathlib import Path

import numpy as np


@cache
def cores():
    """How many cores this process may use: those it is allowed, by its affinity and by a
    container's quota, but no more than BLAS uses."""
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
    package = Path(np.__file__).parent
    for path in [*package.parent.glob("numpy.libs/*openblas*"),
                 *package.glob(".dylibs/*openblas*")]:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(path))
            for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", "")):
                names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
                if all(hasattr(library, name) for name in names):
                    return tuple(getattr(library, name) for name in names)
    return None
