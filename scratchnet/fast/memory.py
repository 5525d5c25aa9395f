"""Memory that is used again. A fresh page costs a dozen times as much as filling it, if it is one
of 4 KB: docs/10-speed.md."""

import contextlib
import ctypes
import math
import threading

import numpy as np

from ..backend import xp

_here = threading.local()


def empty(shape, dtype, purpose):
    """xp.empty(shape, dtype), for a passing result. On the host it is what this thread had for the
    same purpose before; on a GPU CuPy's pool sees to that."""
    if not on_host():
        return xp.empty(shape, dtype)
    buffers, size = _here.__dict__, math.prod(shape)
    buffer = buffers.get((purpose, dtype))
    if buffer is None or buffer.size < size:
        buffer = buffers[purpose, dtype] = np.empty(size, dtype)
    return buffer[:size].reshape(shape)


def on_host():
    """Whether arrays are NumPy's."""
    return xp.ndarray is np.ndarray


def keep_memory():
    """Ask the C library (glibc; elsewhere nothing happens) to keep freed memory for the next array.

    By default it hands large arrays back to the system, and their successors' pages are fetched
    anew: a step of the CIFAR-10 VQ-VAE took 235 and 224 ms without this, 216 and 207 with it (four
    processes in turn, the fastest steps of each). Called when training begins.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # Windows opens no None
        library = ctypes.CDLL(None)
        library.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: larger arrays come from the system
        library.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: hand back no less than this
