"""The two linear maps under every convolution, and their products with the filter's matrix.

    gather    rows[n, p, q, t] = x[n, p*stride + i_t, q*stride + j_t]     (0 outside x)
    scatter   its adjoint: adds every row's pixels back where they came from

A tap (i_t, j_t) is an offset from an output position, scaled by the stride, to the input pixel it
reads. For all x and r,  < gather(x), r > = < x, scatter(r) >.  conv.py makes layers of these; what
is here besides is their speed: a few images at a time, so that rows stay in the cache.
"""

import math
import threading
from functools import cache

import numpy as np

from .backend import xp

# ---------------------------------------------------------------- gather, scatter

def gather(x, taps, stride, size):
    """The pixels under every tap at every output position, 0 where a tap falls outside x.

    x: array (N, H, W, C); size: (P, Q), the output positions; rows: (N, P, Q, T, C), on the host
    in memory that the next gather of this thread uses again.
    """
    (sh, sw), (P, Q) = stride, size
    N, H, W, C = x.shape
    if taps == ((0, 0),) and (sh, sw) == (1, 1) and (P, Q) == (H, W):
        return x.reshape(N, P, Q, 1, C)  # a 1x1 convolution is a matrix product
    border = _border(taps, stride, size, (H, W))
    x = _with_border(xp.ascontiguousarray(x), border)
    rows = empty((N, P, Q, len(taps) * C), x.dtype, "rows")
    sn, sy, sx, sc = x.strides
    for first, high, wide in _rectangles(taps):  # one copy for all taps that fill a rectangle
        i, j = taps[first]
        under = windows(x, border[0] + i, border[1] + j, (N, P, Q, high, wide * C),
                        (sn, sy * sh, sx * sw, sy, sc))
        rows[..., first * C:(first + high * wide) * C].reshape(under.shape)[...] = under
    return rows.reshape(N, P, Q, len(taps), C)


def scatter(rows, taps, stride, size, out=None):
    """The adjoint of gather: every row's pixels added to where gather would read them.

    rows: array (N, P, Q, T, C); size: (H, W) of the result (N, H, W, C), made in out if given.
    """
    N, P, Q, _, C = rows.shape
    if out is None:
        out = xp.empty((N, *size, C), rows.dtype)
    out[...] = 0
    for t, (i, j) in enumerate(taps):
        y, p = _inside(i, stride[0], P, size[0])
        x, q = _inside(j, stride[1], Q, size[1])
        out[:, y, x] += rows[:, p, q, t]
    return out


# ---------------------------------------------------------------- with the product, in blocks

BLOCK = 1 << 20  # numbers gathered at a time: 4 MB, about what stays in the cache
SMALL = 10 ** 6  # multiplications that OpenBLAS's small kernel takes


def blocks(n, numbers):
    """Slices of n images, so that `numbers` each make at most BLOCK; a GPU takes 64 times as many
    at once."""
    step = max(1, (BLOCK if on_host() else 64 * BLOCK) // max(1, numbers))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def on_host():
    return xp.ndarray is np.ndarray


def windows(x, i, j, shape, strides):
    """The memory of x, which is contiguous, from pixel (i, j) on, read with other steps:
    overlapping windows, no copy. (On the host the constructor does what as_strided does, in less
    time: with small blocks the call itself counts.)"""
    if isinstance(x, np.ndarray):
        return np.ndarray(shape, x.dtype, x, i * x.strides[1] + j * x.strides[2], strides)
    return xp.lib.stride_tricks.as_strided(x[:, i:, j:], shape, strides)


def empty(shape, dtype, purpose):
    """Memory for a passing result. On the host it is what this thread had for the same purpose
    before: fresh memory costs a page fault for every 4 KB, as much time as filling it. (On a GPU
    CuPy's pool sees to that.)"""
    if not on_host():
        return xp.empty(shape, dtype)
    buffers, size = _here.__dict__, math.prod(shape)
    buffer = buffers.get((purpose, dtype))
    if buffer is None or buffer.size < size:
        buffer = buffers[purpose, dtype] = np.empty(size, dtype)
    return buffer[:size].reshape(shape)


_here = threading.local()


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


def gather_matmul(x, matrix, taps, stride, size, b=None, relu=False):
    """gather(x) @ matrix + b: (N, P, Q, K), for matrix (T*C, K); relu: with max(x, 0) for x."""
    C, K = x.shape[3], matrix.shape[1]
    if stride == (1, 1) and NARROW * K < C:
        return _matmul_scatter(x, *mirror(matrix, taps), stride, size, b, relu)
    return _gather_matmul(x, matrix, taps, stride, size, b, relu)


def matmul_scatter(g, matrix, taps, stride, size, b=None, where=None):
    """scatter(g @ matrix^T) + b: (N, H, W, C), for g (N, P, Q, K) and matrix (T*C, K); 0 where the
    array `where`, of the result's shape, is not above 0."""
    C, K = len(matrix) // len(taps), matrix.shape[1]
    if stride == (1, 1) and NARROW * C >= K:
        return _gather_matmul(g, *mirror(matrix, taps), stride, size, b, where=where)
    return _matmul_scatter(g, matrix, taps, stride, size, b, where=where)


# With stride 1 each map is also the other, through mirrored taps: what scatter adds to pixel h
# through tap i comes from position h - i, and can as well be read from there. Gathering copies T
# times the input's channels for each pixel, scattering adds T times the output's: scatter where
# the output has less than a fourth of the channels, else gather, which needs no adding up.
NARROW = 4


def mirror(matrix, taps):
    """The matrix and the taps of the other map: (T*A, B) -> (T*B, A), taps negated."""
    T, B = len(taps), matrix.shape[1]
    matrix = matrix.reshape(T, -1, B)[::-1].transpose(0, 2, 1).reshape(T * B, -1)
    return matrix, tuple((-i, -j) for i, j in reversed(taps))


def _gather_matmul(x, matrix, taps, stride, size, b, relu=False, where=None):
    N, (P, Q), K = len(x), size, matrix.shape[1]
    y = xp.empty((N, P, Q, K), x.dtype)
    for part in blocks(N, P * Q * len(matrix)):
        out = y[part].reshape(-1, K)
        rows = gather(positive(x[part], relu), taps, stride, size).reshape(len(out), -1)
        matmul(rows, matrix, out)
        if b is not None:
            out += b
        if where is not None:
            y[part] *= where[part] > 0
    return y


def _matmul_scatter(g, matrix, taps, stride, size, b, relu=False, where=None):
    (N, P, Q, K), T, C = g.shape, len(taps), len(matrix) // len(taps)
    y = xp.empty((N, *size, C), g.dtype)
    for part in blocks(N, P * Q * T * C):
        part_g = positive(g[part], relu).reshape(-1, K)
        rows = empty((len(part_g), T * C), g.dtype, "rows")
        matmul(part_g, matrix.T, rows)
        scatter(rows.reshape(-1, P, Q, T, C), taps, stride, size, y[part])
        if b is not None:
            y[part] += b
        if where is not None:
            y[part] *= where[part] > 0
    return y


def gather_t_matmul(x, g, taps, stride, relu=False, relu_g=False):
    """gather(x)^T @ g: (T*C, K), for g (N, P, Q, K); relu, relu_g: with max(., 0) of that one.

    With stride 1 the same sums are x^T @ gather(g) through mirrored taps: the one of x and g with
    fewer channels is gathered.
    """
    C, (N, P, Q, K), T = x.shape[3], g.shape, len(taps)
    if stride == (1, 1) and K < C and T > 1:
        mirrored = tuple((-i, -j) for i, j in reversed(taps))
        total = gather_t_matmul(g, x, mirrored, stride, relu_g, relu).reshape(T, K, C)
        return total[::-1].transpose(0, 2, 1).reshape(T * C, K)
    total, product = xp.zeros((T * C, K), g.dtype), empty((T * C, K), g.dtype, "product")
    for part in blocks(N, P * Q * T * C):
        part_g = positive(g[part], relu_g, "positive_g").reshape(-1, K)
        rows = gather(positive(x[part], relu), taps, stride, (P, Q)).reshape(-1, T * C)
        total += xp.matmul(rows.T, part_g, out=product)
    return total


def both_derivatives(x, g, matrix, taps, relu=False):
    """scatter(g @ matrix^T) and gather(x)^T @ g, with stride 1, from one gathering of g through
    mirrored taps: dx (N, H, W, C), dW (T*C, K). relu: of max(x, 0), as in convolve."""
    (N, H, W, C), K, T = x.shape, g.shape[3], len(taps)
    back, mirrored = mirror(matrix, taps)
    dx, product = xp.empty(x.shape, x.dtype), empty((T * K, C), g.dtype, "product")
    total = xp.zeros((T * K, C), g.dtype)
    for part in blocks(N, H * W * T * K):
        seen, out = positive(x[part], relu).reshape(-1, C), dx[part].reshape(-1, C)
        rows = gather(g[part], mirrored, (1, 1), (H, W)).reshape(-1, T * K)
        matmul(rows, back, out)
        if relu:
            out *= seen > 0
        total += xp.matmul(rows.T, seen, out=product)
    return dx, total.reshape(T, K, C)[::-1].transpose(0, 2, 1).reshape(T * C, K)


def positive(x, relu, purpose="positive"):
    """max(x, 0) if relu, in memory that the next call uses again on the host; else x."""
    return xp.maximum(x, 0, out=empty(x.shape, x.dtype, purpose)) if relu else x


def channel_sum(g):
    """g (N, P, Q, K) summed over all but the channels, as a matrix product."""
    g = g.reshape(-1, g.shape[-1])
    return xp.ones(len(g), g.dtype) @ g


# ---------------------------------------------------------------- places

@cache
def _inside(offset, stride, positions, size):
    """Along one axis: the pixels inside an image of this size that a tap reads, and the output
    positions that read them, as slices."""
    first = max(0, -(offset // stride))
    last = min(positions - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return (slice(first * stride + offset, last * stride + offset + 1, stride),
            slice(first, last + 1))


@cache
def _rectangles(taps):
    """[(first, high, wide), ...]: the taps cut into rectangles, each in reading order."""
    runs = []  # (first, count) of taps side by side in one row
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
