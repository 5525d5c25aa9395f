"""Tricks that make NumPy use the whole machine. None changes what is computed.

Threads over slices. NumPy lets other threads run while it computes, so slices of a batch
can go to one thread each, and copies and elementwise passes use all cores, which BLAS alone
does not. Two threads over slices with one BLAS thread each: 8.9 ms for a 4x4 convolution
from 64 to 128 channels; one thread with two BLAS threads: 10.7 (2 cores, batch 128). The
slices do not depend on the number of threads, so neither does a convolution's result; a
linear layer's may be rounded otherwise on one thread, where its product is not cut.

Narrow products. OpenBLAS has a faster kernel for products of up to a million
multiplications. A tall matrix times a narrow one, cut into pieces of that size: 183 GFLOP/s
instead of 114 for (4096, 48) @ (48, 64), one core.
"""

import contextlib
import ctypes
import math
import os
import threading
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from .backend import xp

SLICE = 1 << 16  # elements of an elementwise op that one thread takes at a time
PIECE = 4 * 10 ** 6  # multiplications below which a product is not worth a second thread
SMALL = 10 ** 6  # multiplications that OpenBLAS's small kernel takes


def run(fn, parts, begin=True):
    """fn(part) for every part, spread over the threads; an exception in one is raised here.

    begin=False: only if the threads are ours already (see active), else one after another.
    """
    parts = list(parts)
    alone = len(parts) < 2 or xp.ndarray is not np.ndarray or within()
    if alone or not (begin or active()) or threads() < 2:
        for part in parts:
            fn(part)
        return
    job = _Job(fn, parts)
    for _ in range(min(threads(), len(parts)) - 1):
        _queue().put(job)
    job.work()
    job.wait()


def within():
    """Whether this is a part of a run already, which stays on its thread."""
    return getattr(_here, "working", False)


@contextlib.contextmanager
def on_one_thread():
    """Within this nothing is handed to other threads. Also a decorator."""
    before, _here.working = within(), True
    try:
        yield
    finally:
        _here.working = before


def each(fn, parts):
    """[fn(part), ...] like run, where each part is a whole computation of its own: also on a
    single thread it is worked as one part, so that the results do not depend on the threads."""
    results = [None] * len(parts)
    @on_one_thread()
    def one(k):
        results[k] = fn(parts[k])
    run(one, range(len(parts)))
    return results


def elementwise(fn, *arrays):
    """fn(*arrays, out=out) for an elementwise fn of arrays of one shape; returns out. On the host
    large arrays go in slices to all threads."""
    first = arrays[0]
    if not isinstance(first, np.ndarray):
        return fn(*arrays)
    out = np.empty(first.shape, first.dtype)
    if first.size <= SLICE or within() or not active() or not all(
            a.flags.c_contiguous for a in arrays):
        return fn(*arrays, out=out)
    flat = [a.reshape(-1) for a in (*arrays, out)]
    def part(start):
        *inputs, result = (a[start:start + SLICE] for a in flat)
        fn(*inputs, out=result)
    run(part, range(0, first.size, SLICE))
    return out


def row_slices(a):
    """Slices of a's first axis that hold about SLICE elements each, parts for run(); one on a GPU,
    which wants few, large kernels."""
    on_host = isinstance(a, np.ndarray)
    step = max(1, SLICE * len(a) // max(1, a.size) if on_host else len(a))
    return [slice(i, i + step) for i in range(0, len(a), step)]


def product(a, b):
    """a @ b for matrices, large ones in pieces to all threads: rows of a, or columns of b if those
    are more. The number of pieces depends on the sizes alone."""
    (m, k), n = a.shape, b.shape[1]
    if not isinstance(a, np.ndarray) or m * k * n < PIECE or not active():
        return a @ b
    out = np.empty((m, n), a.dtype)
    pieces = min(8, max(2, m * k * n // (8 * PIECE)))
    def piece(i):
        if m >= n:
            part = slice(m * i // pieces, m * (i + 1) // pieces)
            np.matmul(a[part], b, out=out[part])
        else:
            part = slice(n * i // pieces, n * (i + 1) // pieces)
            np.matmul(a, b[:, part], out=out[:, part])
    run(piece, range(pieces))
    return out


def matmul(a, b, out):
    """out = a @ b for matrices; a tall, narrow product is cut into small ones."""
    (m, k), n = a.shape, b.shape[1]
    rows = SMALL // (k * n) // 8 * 8
    if min(k, n) > 64 or rows < 16 or m < 2 * rows or not isinstance(out, np.ndarray):
        return xp.matmul(a, b, out=out)
    rows = min(rows, 128)
    whole = m // rows * rows
    np.matmul(a[:whole].reshape(-1, rows, k), b, out=out[:whole].reshape(-1, rows, n))
    if whole < m:
        np.matmul(a[whole:], b, out=out[whole:])
    return out


@cache
def threads():
    """How many threads to use: BLAS's own number, if it can be told to leave them to us, else 1."""
    blas = _openblas()
    if blas is None:
        return 1
    get, set_ = blas
    count = min(get(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else get())
    set_(1)
    return max(1, count)


def keep_memory():
    """Ask the C library (glibc; elsewhere nothing happens) to keep freed memory for the next array.
    By default it hands large arrays back to the system, and their successors' pages are fetched
    anew: a step of the CIFAR-10 VQ-VAE took 235 and 224 ms without this, 216 and 207 with it (four
    processes in turn, the fastest steps of each). Called when training begins."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: larger arrays come from the system
        library.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: hand back no less than this


def active():
    """Whether run() has been used, and BLAS left the threads to us. A network of matrix products
    alone (the MLP of the small VAE) never gets here, and is better off with BLAS's own threads:
    0.97 of PyTorch's time instead of 1.06."""
    return threads.cache_info().currsize > 0 and threads() > 1


def scratch(shape, dtype, purpose):
    """An uninitialised array that this thread gets again at the next call with this purpose.
    Fresh memory costs a page fault for every 4 KB: as much time as filling it."""
    buffers = _here.__dict__.setdefault("buffers", {})
    size = math.prod(shape)
    buffer = buffers.get((purpose, dtype))
    if buffer is None or buffer.size < size:
        buffer = buffers[purpose, dtype] = np.empty(size, dtype)
    return buffer[:size].reshape(shape)


_here = threading.local()


class _Job:
    def __init__(self, fn, parts):
        self.fn, self.parts, self.left = fn, iter(parts), len(parts)
        self.error, self.lock, self.finished = None, threading.Lock(), threading.Lock()
        self.finished.acquire()

    def work(self):
        _here.working = True  # a run within a run stays on its thread
        for part in self.parts:
            try:
                if self.error is None:
                    self.fn(part)
            except BaseException as error:
                self.error = error
            with self.lock:
                self.left -= 1
                if not self.left:
                    self.finished.release()
        _here.working = False

    def wait(self):
        self.finished.acquire()
        if self.error is not None:
            raise self.error


@cache
def _queue():
    queue = SimpleQueue()
    def serve():
        while True:
            queue.get().work()
    for _ in range(threads() - 1):
        threading.Thread(target=serve, daemon=True).start()
    return queue


def _openblas():
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
