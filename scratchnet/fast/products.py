"""The three products of taps.py, sooner. Each docstring is the plain line that it stands for.

How: rows are made for a few images at a time, so that they are still in the cache when the product
reads them, in memory that is used again; all taps of a rectangle are one copy; and with stride 1
each map is computed as the other one, through mirrored taps, where that takes less work.
docs/10-speed.md derives them and says what each gains.
"""

from functools import cache, lru_cache

import numpy as np

from ..backend import xp
from ..taps import as_matrix, places
from . import kernels
from .memory import empty, on_host

BLOCK = 1 << 20  # numbers gathered at a time: 4 MB, about what stays in the cache
SUMMED = 4096    # rows that column_sum adds up at once
SMALL = 10 ** 6  # multiplications that OpenBLAS's small kernel takes


def gather_matmul(x, W, taps, stride, size, b=None):
    """gather(x) W + b.   x: (N, H, W, C), W: (T*C, K), b: (K,) or None -> (N, P, Q, K)."""
    if stride == (1, 1) and scatter_is_less(len(taps), x.shape[3], W.shape[1]):
        return scattered(x, *mirror(W, taps), stride, size, b)
    return gathered(x, W, taps, stride, size, b)


def matmul_scatter(g, W, taps, stride, size, b=None):
    """scatter(g W^T) + b.   g: (N, P, Q, K), W: (T*C, K), b: (C,) or None -> (N, H, W, C)."""
    if stride == (1, 1) and not scatter_is_less(len(taps), W.shape[1], len(W) // len(taps)):
        return gathered(g, *mirror(W, taps), stride, size, b)
    return scattered(g, W, taps, stride, size, b)


def gather_t_matmul(x, g, taps, stride):
    """gather(x)^T g.   x: (N, H, W, C), g: (N, P, Q, K) -> (T*C, K)."""
    C, (N, P, Q, K), T = x.shape[3], g.shape, len(taps)
    if stride == (1, 1) and K < C and T > 1:  # x^T gather(g) has the same sums, of fewer numbers
        return mirror(gather_t_matmul(g, x, mirrored(taps), stride), taps)[0]
    total = None
    for part in blocks(N, P * Q * T * C):
        rows = as_matrix(gather(x[part], taps, stride, (P, Q))).reshape(-1, T * C)
        product = xp.matmul(rows.T, g[part].reshape(-1, K))
        if total is None:
            total = product
        else:
            total += product
    return total


# With stride 1 gather and scatter are each other's mirror images. What scatter adds to pixel h
# through tap i comes from position h - i, and can as well be read from there, through tap -i: a
# gather. Example: through taps -1, 0 and 1, pixel 5 gets something from the positions 6, 5 and 4.

def mirrored(taps):
    """The taps negated, in reverse order."""
    return tuple((-i, -j) for i, j in reversed(taps))


def mirror(W, taps):
    """(T*A, B) -> (T*B, A), the matrix of the other map, and its taps."""
    T, B = len(taps), W.shape[1]
    if T == 1 and not on_host():  # a launch less; OpenBLAS takes 1.5 times as long for such a view
        return W.T, mirrored(taps)
    W = W.reshape(T, -1, B)[::-1].transpose(0, 2, 1).reshape(T * B, -1)
    return W, mirrored(taps)


def scatter_is_less(T, read, written):
    """Whether scattering is less work than gathering: it adds T numbers for each channel that is
    written, gathering copies T for each that is read, and an addition costs about four copies; on a
    GPU, where it is one kernel, about one. One tap is gathered without a copy."""
    return T > 1 and (4 * written < read if on_host() else written <= read)


def gathered(x, W, taps, stride, size, b):
    """gather(x) W + b, as it stands here, a few images at a time."""
    y = xp.empty((len(x), *size, W.shape[1]), x.dtype)
    for part in blocks(len(x), size[0] * size[1] * len(W)):
        rows = as_matrix(gather(x[part], taps, stride, size))
        out = y[part].reshape(-1, W.shape[1])
        matmul(rows.reshape(-1, len(W)), W, out)
        if b is not None:
            out += b
    return y


def scattered(g, W, taps, stride, size, b):
    """scatter(g W^T) + b, as it stands here, a few images at a time."""
    (N, P, Q, K), T = g.shape, len(taps)
    y = xp.empty((N, *size, len(W) // T), g.dtype)
    for part in blocks(N, P * Q * len(W)):
        rows = empty((len(g[part]) * P * Q, len(W)), g.dtype, "rows")
        matmul(g[part].reshape(-1, K), W.T, rows)
        scatter(rows.reshape(-1, P, Q, T, len(W) // T), taps, stride, b, y[part])
    return y


def scatter(rows, taps, stride, b, y):
    """y[...] = taps.scatter(rows) + b."""
    if not on_host():
        return kernels.scatter(rows, taps, stride, b, y)
    y[...] = 0 if b is None else b
    for t, (i, j, p, q) in enumerate(places(taps, stride, rows.shape[1:3], y.shape[1:3])):
        y[:, i, j] += rows[:, p, q, t]


def blocks(n, numbers, most=None):
    """Slices of n images (one at least), so that `numbers` each make at most `most` (BLOCK); a GPU
    takes 64 times as many at once: it wants few, large kernels."""
    most = (most or BLOCK) * (1 if on_host() else 64)
    step = max(1, most // max(1, numbers))
    return [slice(i, min(i + step, n)) for i in range(0, max(1, n), step)]


def gather(x, taps, stride, size):
    """taps.gather(x); on the host in memory that the next call uses again."""
    (sh, sw), (P, Q) = stride, size
    N, H, W, C = x.shape
    if taps == ((0, 0),) and (sh, sw) == (1, 1) and (P, Q) == (H, W):
        return x.reshape(N, P, Q, 1, C)  # a 1x1 convolution is a matrix product
    if not on_host():
        return kernels.gather(x, taps, stride, size)
    border = _border(taps, stride, size, (H, W))
    # Flattened and back: an axis of length 1 may come with any stride, which is read below.
    x = _with_border(xp.ascontiguousarray(x).reshape(-1).reshape(x.shape), border)
    rows = empty((N, P, Q, len(taps) * C), x.dtype, "rows")
    sn, sy, sx, sc = x.strides
    for first, high, wide in _rectangles(taps):  # one copy for all taps that fill a rectangle
        i, j = taps[first]
        under = windows(x, border[0] + i, border[1] + j, (N, P, Q, high, wide * C),
                        (sn, sy * sh, sx * sw, sy, sc))
        rows[..., first * C:(first + high * wide) * C].reshape(under.shape)[...] = under
    return rows.reshape(N, P, Q, len(taps), C)


def windows(x, i, j, shape, strides):
    """The memory of x, which is contiguous, from pixel (i, j) on, read with other steps:
    overlapping windows, no copy. (The constructor does what as_strided does, in less time: with
    small blocks the call itself counts.)"""
    if x.size:
        return np.ndarray(shape, x.dtype, x, i * x.strides[1] + j * x.strides[2], strides)
    return np.lib.stride_tricks.as_strided(x[:, i:, j:], shape, strides)


def matmul(a, b, out):
    """out = a @ b for matrices. OpenBLAS has a faster kernel for small products, of up to a million
    multiplications; a tall matrix times a narrow one is cut into such: 183 GFLOP/s instead of 114
    for (4096, 48) @ (48, 64), one core."""
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


def column_sum(g):
    """g.sum(axis=tuple(range(g.ndim - 1))): over all axes but the last, as a product with ones.

    On the host SUMMED rows at a time, and then their sums: one after another, float32 would add
    nothing more from 2^24 = 16,777,216 on.
    """
    g = g.reshape(-1, g.shape[-1])
    if g.shape[1] == 1 and not on_host():
        return g.sum(axis=0)  # CuPy would make the product in four steps
    whole = len(g) // SUMMED * SUMMED if on_host() else 0
    if whole <= SUMMED:
        return ones(xp.ones, len(g), g.dtype) @ g
    sums = ones(xp.ones, SUMMED, g.dtype) @ g[:whole].reshape(-1, SUMMED, g.shape[1])
    return column_sum(sums) + ones(xp.ones, len(g) - whole, g.dtype) @ g[whole:]


@lru_cache(100)
def ones(make, n, dtype):
    """make(n, dtype), made once for each of the last hundred sizes."""
    return make(n, dtype)


# ---------------------------------------------------------------- places

@cache
def _rectangles(taps):
    """[(first, high, wide), ...]: the taps cut into rectangles, each in reading order."""
    runs = []  # [first, count] of taps side by side in one row
    for t, (i, j) in enumerate(taps):
        if t and (i, j - 1) == taps[t - 1]:
            runs[-1][1] += 1
        else:
            runs.append([t, 1])
    found = []
    for first, wide in runs:
        i, j = taps[first]
        if found and found[-1][2] == wide and taps[found[-1][0] + (found[-1][1] - 1) * wide] == (
                i - 1, j):
            found[-1][1] += 1
        else:
            found.append([first, 1, wide])
    return found


@cache
def _border(taps, stride, positions, size):
    """How far taps at these output positions reach over each side of an image of this size:
    (top, left, bottom, right)."""
    reach = []
    for axis in (0, 1):
        low, high = min(t[axis] for t in taps), max(t[axis] for t in taps)
        last = (positions[axis] - 1) * stride[axis] + high
        reach.append((max(0, -low), max(0, last - (size[axis] - 1))))
    (top, bottom), (left, right) = reach
    return top, left, bottom, right


def _with_border(x, border):
    """x with zeros around it."""
    N, H, W, C = x.shape
    top, left, bottom, right = border
    if any(border):
        padded = empty((N, H + top + bottom, W + left + right, C), x.dtype, "padded")
        padded[:, :top], padded[:, top + H:] = 0, 0
        padded[:, top:top + H, :left], padded[:, top:top + H, left + W:] = 0, 0
        padded[:, top:top + H, left:left + W] = x
        x = padded
    return x
