"""Convolution: copy the pixels under the filter into a row, and multiply by a matrix.

A filter is a list of **taps**: offsets (i, j) from an output position to the input pixels it reads.
A 3x3 filter with padding 1 has nine, (-1, -1) ... (1, 1). Everything here is two linear maps and a
matrix product. `gather` copies the pixels under the taps into a row for each output position
(im2col); `scatter` adds rows back to where they came from (col2im); for all x and r

    < gather(x), r >  =  < x, scatter(r) >

(both are in taps.py). That one line gives every derivative. With W the filter as a matrix, one row
for each tap and input channel, one column for each output channel:

    conv2d             y = gather(x) W      dx = scatter(g W^T)     dW = gather(x)^T g
    conv_transpose2d   y = scatter(x W^T)   dx = gather(g) W        dW = gather(g)^T x

A masked convolution is a convolution with fewer taps. docs/03-convolution.md derives all of it.

Arrays: images (N, H, W, C), filters (kh, kw, C_in, C_out), channels last, so that a tap is a run of
C numbers, and W is the filter's own memory. fast/products.py computes the three products.
"""

import numbers
from functools import cache

import numpy as np

from .backend import raw, xp
from .fast.kernels import placed
from .fast.products import column_sum, gather_matmul, gather_t_matmul, matmul_scatter
from .inputs import operands, require, shapes
from .tensor import record

# ---------------------------------------------------------------- the two ops

def convolve(x, w, b, taps, stride, size):
    """y = gather(x) W + b.   dx = scatter(g W^T),   dW = gather(x)^T g,   db = sum of g.

    x: (N, H, W, C); w: T*C*K numbers, for T taps, of which W (T*C, K) is made; b: (K,) or None;
    y: (N, *size, K). Saves x and W. The gathered rows, T times larger than x, are made again for
    dW.
    """
    W = w.data.reshape(-1, w.shape[-1])
    def dx(g): return matmul_scatter(g, W, taps, stride, x.shape[1:3])
    def dw(g): return gather_t_matmul(x.data, g, taps, stride).reshape(w.shape)
    def db(g): return column_sum(g)
    y = gather_matmul(x.data, W, taps, stride, size, raw(b))
    return record(y, (x, dx), (w, dw), (b, db))


def convolve_transposed(x, w, b, taps, stride, size):
    """y = scatter(x W^T) + b.   dx = gather(g) W,   dW = gather(g)^T x,   db = sum of g.

    x: (N, H, W, C); w: T*K*C numbers, for T taps, of which W (T*K, C) is made; b: (K,) or None;
    y: (N, *size, K). Saves x and W.
    """
    W = w.data.reshape(-1, w.shape[-1])
    def dx(g): return gather_matmul(g, W, taps, stride, x.shape[1:3])
    def dw(g): return gather_t_matmul(g, x.data, taps, stride).reshape(w.shape)
    def db(g): return column_sum(g)
    y = matmul_scatter(x.data, W, taps, stride, size, raw(b))
    return record(y, (x, dx), (w, dw), (b, db))


# ---------------------------------------------------------------- as layers call them

def conv2d(x, w, b=None, stride=1, padding=0):
    """y[n,p,q,o] = b[o] + sum over i, j, c of x[n, p*s + i - pad, q*s + j - pad, c] w[i,j,c,o].

    x: (N, H, W, C_in); w: (kh, kw, C_in, C_out); b: (C_out,) or None. stride, padding: a number
    or one each for height and width. y: (N, P, Q, C_out), P = floor((H + 2 pad - kh) / s) + 1.
    Example: 28 pixels, a filter of 3, padding 1, stride 2: floor((28 + 2 - 3) / 2) + 1 = 14.
    (Cross-correlation, as in every deep-learning library: the filter is not flipped.)

    Derivatives: `convolve`. Raises ValueError if shapes or sizes do not fit, printing the
    arithmetic.
    """
    x, w, b = operands(x, w, b)
    shapes("conv2d: x (N, H, W, C_in), w (kh, kw, C_in, C_out), b (C_out)", x, w, b)
    stride, padding = pair(stride), pair(padding)
    size = tuple(_out_size(*v) for v in
                 zip("HW", x.shape[1:3], w.shape[:2], stride, padding, strict=True))
    return convolve(x, w, b, window(w.shape[:2], padding), stride, size)


def masked_conv2d(x, w, mask, b=None, dilation=1):
    """conv2d over only those taps where mask is True, in an image that keeps its size. Nothing is
    multiplied by 0: the work shrinks with the mask, and masked weights get a gradient of exactly 0.

    mask: bool (kh, kw), both odd. dilation: how many pixels lie from one tap to the next, a factor
    on their offsets: a 3x3 with dilation 4 reads the pixels at -4, 0 and 4. Raises ValueError if
    shapes do not fit, no tap is left, or the dilation is below 1.
    """
    x, w, b = operands(x, w, b)
    mask = np.asarray(mask, dtype=bool)
    shapes("masked_conv2d: x (N, H, W, C_in), w (kh, kw, C_in, C_out), mask (kh, kw), b (C_out)",
           x, w, mask, b)
    taps, kept = masked_window(mask.tobytes(), mask.shape, dilation)
    kept = kept if isinstance(kept, slice) else xp.asarray(kept)
    return convolve(x, take_taps(w, kept), b, taps, (1, 1), x.shape[1:3])


def take_taps(w, kept):
    """The parts (T, C, K) of w (kh, kw, C, K) that belong to the taps `kept`, a slice or an array
    of their numbers.   dw = g at those taps, elsewhere 0."""
    kh, kw, C, K = w.shape
    if isinstance(kept, slice) and kept.stop == kh * kw:  # all of them
        return w
    def dw(g): return placed(g, (kh * kw, C, K), kept).reshape(w.shape)
    return record(w.data.reshape(kh * kw, C, K)[kept], (w, dw))


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0):
    """The adjoint of conv2d as a layer of its own: every pixel of x stamps w, scaled, onto y.

    x: (N, H, W, C_in); w: (kh, kw, C_out, C_in), the weights of the convolution that it
    transposes; b: (C_out,) or None. y: (N, P, Q, C_out), P = (H - 1) s + kh - 2 pad +
    output_padding; the last is below s, and picks one of the s sizes that conv2d maps onto H.
    Example: 14 pixels, a filter of 3, padding 1, stride 2: 13*2 + 3 - 2 = 27, and 28 with an
    output_padding of 1; conv2d maps both onto 14.

    Derivatives: `convolve_transposed`. Raises ValueError if shapes or sizes do not fit, printing
    the arithmetic.
    """
    x, w, b = operands(x, w, b)
    shapes("conv_transpose2d: x (N, H, W, C_in), w (kh, kw, C_out, C_in), b (C_out)", x, w, b)
    stride, padding, extra = pair(stride), pair(padding), pair(output_padding)
    size = tuple(_transposed_size(*v) for v in
                 zip("HW", x.shape[1:3], w.shape[:2], stride, padding, extra, strict=True))
    return convolve_transposed(x, w, b, window(w.shape[:2], padding), stride, size)


# ---------------------------------------------------------------- taps and sizes

def window(kernel, padding):
    """The taps of a filter in reading order: of (3, 3), with padding (1, 1), (-1, -1) to (1, 1)."""
    return tuple((i - padding[0], j - padding[1])
                 for i in range(kernel[0]) for j in range(kernel[1]))


@cache
def masked_window(mask, shape, dilation):
    """The taps that a mask keeps, around the middle, and their numbers among all taps: as a slice
    if they are the first ones. mask: bool (kh, kw) as bytes, so that this is worked out once."""
    kept = np.flatnonzero(np.frombuffer(mask, bool))
    require(len(kept) and all(k % 2 for k in shape) and dilation >= 1,
            f"masked_conv2d: given a mask {shape} of {len(kept)} taps and a dilation of "
            f"{dilation}; needs odd sizes, and 1 or more of both")
    every = window(shape, (shape[0] // 2, shape[1] // 2))
    taps = tuple((dilation * every[t][0], dilation * every[t][1]) for t in kept)
    return taps, slice(len(kept)) if kept[-1] == len(kept) - 1 else kept


def pair(v):
    """A number for both axes, or a pair of them; ValueError for anything else."""
    of_both = (v, v) if isinstance(v, numbers.Integral) else tuple(v) if np.iterable(v) else ()
    require(len(of_both) == 2 and all(isinstance(n, numbers.Integral) for n in of_both),
            "convolution: needs a whole number, or a pair such as (1, 2), not {!r}", v)
    return of_both


@cache
def _out_size(axis, n, k, s, p):
    out = (n + 2 * p - k) // max(1, s) + 1
    require(s >= 1 and p >= 0 and out >= 1,
            f"conv2d: {axis}: floor((size + 2 * padding - kernel) / stride) + 1 = floor(({n} + 2 * "
            f"{p} - {k}) / {s}) + 1 = {out}: the filter does not fit into the image; needs stride "
            f">= 1 and padding >= 0")
    return out


@cache
def _transposed_size(axis, n, k, s, p, e):
    out = (n - 1) * s + k - 2 * p + e
    require(out >= 1 and 0 <= e < s,
            f"conv_transpose2d: {axis}: (size - 1) * stride + kernel - 2 * padding + "
            f"output_padding = ({n} - 1) * {s} + {k} - 2 * {p} + {e} = {out}; needs 1 or more, and "
            f"0 <= output_padding < stride")
    return out
