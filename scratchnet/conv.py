"""Convolution: copy the pixels under the filter into a row, and multiply by a matrix.

A filter is a list of **taps**: offsets (i, j) from an output position, scaled by the
stride, to the input pixels it reads. A 3x3 filter with padding 1 has nine,
(-1, -1) ... (1, 1). Everything here is two linear maps and a matrix product:

    gather    rows[n, p, q, t] = x[n, p*stride + i_t, q*stride + j_t]     (0 outside x)
    scatter   its adjoint: adds every row's pixels back where they came from

`gather` copies and `scatter` adds, over the same list of places, so that for all x and r

    < gather(x), r >  =  < x, scatter(r) >

(both in taps.py). That one line gives every derivative in this file. With W the filter as a matrix,
one row for each tap and input channel, one column for each output channel:

    conv2d             y = gather(x) W      dx = scatter(g W^T)     dW = gather(x)^T g
    conv_transpose2d   y = scatter(x W^T)   dx = gather(g) W        dW = gather(g)^T x

A masked convolution is a convolution with fewer taps. docs/convolution.md has a picture.

Arrays: images (N, H, W, C), filters (kh, kw, C_in, C_out), channels last, so that a tap
is a run of C numbers and horizontally neighbouring taps are one longer run.
"""

from functools import cache

import numpy as np

from .backend import xp
from .ops.arithmetic import as_tensor, operands
from .taps import (
    NARROW,
    both_derivatives,
    channel_sum,
    gather_matmul,
    gather_t_matmul,
    matmul_scatter,
)
from .tensor import raw, record


def conv2d(x, w, b=None, stride=1, padding=0, relu=False):
    """y[n,p,q,o] = b[o] + sum over i, j, c of x[n, p*s + i - pad, q*s + j - pad, c] w[i,j,c,o].

    x: (N, H, W, C_in); w: (kh, kw, C_in, C_out); b: (C_out,) or None. stride, padding: a number
    or one each for height and width. y: (N, P, Q, C_out), P = floor((H + 2 pad - kh) / s) + 1.
    (Cross-correlation, as in every deep-learning library: the filter is not flipped.)
    relu: of max(x, 0) instead of x, which is then never written down whole.

    Saves x and w. The gathered rows, kh*kw times larger than x, are made again for dw.
    Raises ValueError if shapes or sizes do not fit, printing the arithmetic.
    """
    x, w = operands(x, w)
    _check_shapes("conv2d", x, w, w.shape[2:3])
    taps, stride, padding = _taps(w.shape[:2], padding), pair(stride), pair(padding)
    size = tuple(_out_size("conv2d", *v) for v in
                 zip("HW", x.shape[1:3], w.shape[:2], stride, padding, strict=True))
    return convolve(x, w, b, taps, stride, size, relu)


def masked_conv2d(x, w, mask, b=None, padding=None, relu=False):
    """conv2d with stride 1 over only those taps where mask is True. Nothing is multiplied by 0:
    the work shrinks with the mask, and masked weights get a gradient of exactly 0.

    mask: bool (kh, kw). padding: as in conv2d; None keeps the image's size (odd filters).
    relu: of max(x, 0) instead of x. Raises ValueError if shapes or sizes do not fit, or no tap
    is left.
    """
    x, w = operands(x, w)
    _check_shapes("masked_conv2d", x, w, w.shape[2:3])
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != w.shape[:2] or not mask.any():
        raise ValueError(f"masked_conv2d: the mask has shape {mask.shape} and {mask.sum()} taps; "
                         f"needs {w.shape[:2]} and at least 1")
    padding = pair(tuple(k // 2 for k in mask.shape) if padding is None else padding)
    size = tuple(_out_size("masked_conv2d", *v) for v in
                 zip("HW", x.shape[1:3], mask.shape, (1, 1), padding, strict=True))
    taps, kept = masked_taps(mask.tobytes(), mask.shape, padding)
    kept = kept if isinstance(kept, slice) else xp.asarray(kept)
    return convolve(x, w, b, taps, (1, 1), size, relu, kept)


@cache
def masked_taps(mask, shape, padding):
    """The offsets ((i, j), ...) of the taps that a mask keeps, and their places among all taps: a
    slice if they are the first ones. mask: bool (kh, kw) as bytes, so that this is worked out once.
    """
    kept = np.flatnonzero(np.frombuffer(mask, bool))
    all_taps = _taps(shape, padding)
    taps = tuple(all_taps[t] for t in kept)
    return taps, slice(len(kept)) if kept[-1] == len(kept) - 1 else kept


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0):
    """The adjoint of conv2d as a layer of its own: every pixel of x stamps w, scaled, onto y.

    x: (N, H, W, C_in); w: (kh, kw, C_out, C_in), the weights of the convolution that it
    transposes; b: (C_out,) or None. y: (N, P, Q, C_out), P = (H - 1) s + kh - 2 pad +
    output_padding; the last is below s, and picks one of the s sizes that conv2d maps onto H.

    Saves x and w. Raises ValueError if shapes or sizes do not fit, printing the arithmetic.
    """
    x, w = operands(x, w)
    _check_shapes("conv_transpose2d", x, w, w.shape[3:4])
    taps, stride, padding = _taps(w.shape[:2], padding), pair(stride), pair(padding)
    extra = pair(output_padding)
    size = tuple((n - 1) * s + k - 2 * p + e for n, s, k, p, e in
                 zip(x.shape[1:3], stride, w.shape[:2], padding, extra, strict=True))
    for axis, n, s, k, p, e, out in zip("HW", x.shape[1:3], stride, w.shape[:2], padding, extra,
                                        size, strict=True):
        if out < 1 or not 0 <= e < s:
            raise ValueError(
                f"conv_transpose2d: {axis}: (size - 1) * stride + kernel - 2 * padding + "
                f"output_padding = ({n} - 1) * {s} + {k} - 2 * {p} + {e} = {out}; needs 1 or more, "
                f"and 0 <= output_padding < stride")
    return convolve_transposed(x, w, b, taps, stride, size)


# ---------------------------------------------------------------- the two ops

def convolve(x, w, b, taps, stride, size, relu=False, kept=slice(None)):
    """y = gather(x) W + b.   dx = scatter(g W^T),   dW = gather(x)^T g,   db = sum of g.

    x: (N, H, W, C); w: (kh, kw, C, K), a matrix for each tap; y: (N, *size, K). kept: which of the
    kh kw taps `taps` are; the others take no part.
    relu: with max(x, 0) for x, and  dx = scatter(g W^T) where x > 0, else 0. Done a few images at
    a time, while they are in the cache: the whole of max(x, 0) is never written or read.
    """
    kh, kw, C, K = w.shape
    matrix = w.data.reshape(kh * kw, C, K)[kept].reshape(-1, K)
    done = []  # dW, where it came with dx
    def dx(g):
        if stride == (1, 1) and NARROW * C >= K and w.requires_grad:
            result, total = both_derivatives(x.data, g, matrix, taps, relu)
            done.append(total)
            return result
        return matmul_scatter(g, matrix, taps, stride, x.shape[1:3],
                              where=x.data if relu else None)
    def dw(g):
        total = done.pop() if done else gather_t_matmul(x.data, g, taps, stride, relu)
        if len(taps) == kh * kw:
            return total.reshape(w.shape)
        out = xp.zeros((kh * kw, C, K), w.dtype)
        out[kept] = total.reshape(-1, C, K)
        return out.reshape(w.shape)
    def db(g): return channel_sum(g)
    b = _bias("conv2d", b, K)
    y = gather_matmul(x.data, matrix, taps, stride, size, raw(b), relu)
    return record(y, (x, dx), (w, dw), *([(b, db)] if b is not None else []))


def convolve_transposed(x, w, b, taps, stride, size):
    """y = scatter(x W^T) + b.   dx = gather(g) W,   dW = gather(g)^T x,   db = sum of g.

    x: (N, H, W, C); w: (kh, kw, K, C), a matrix for each tap; y: (N, *size, K).
    """
    K, C = w.shape[2:]
    matrix = w.data.reshape(-1, C)
    def dx(g): return gather_matmul(g, matrix, taps, stride, x.shape[1:3])
    def dw(g): return gather_t_matmul(g, x.data, taps, stride).reshape(w.shape)
    def db(g): return channel_sum(g)
    b = _bias("conv_transpose2d", b, K)
    y = matmul_scatter(x.data, matrix, taps, stride, size, raw(b))
    return record(y, (x, dx), (w, dw), *([(b, db)] if b is not None else []))


# ---------------------------------------------------------------- sizes and places

def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def _taps(kernel, padding):
    ph, pw = pair(padding)
    return tuple((i - ph, j - pw) for i in range(kernel[0]) for j in range(kernel[1]))


def _bias(name, b, K):
    """b as a Tensor, which must be (K,), or None."""
    b = b if b is None else as_tensor(b)
    if b is not None and b.shape != (K,):
        raise ValueError(f"{name}: b has shape {b.shape}, expected {(K,)}")
    return b


def _check_shapes(name, x, w, channels):
    if x.ndim != 4 or w.ndim != 4 or x.shape[3:] != tuple(channels):
        raise ValueError(f"{name}: x {x.shape} and w {w.shape} do not fit; needs x (N, H, W, C_in) "
                         f"and w (kh, kw, "
                         f"{'C_out, C_in' if 'transpose' in name else 'C_in, C_out'})")


def _out_size(name, axis, n, k, s, p):
    out = (n + 2 * p - k) // s + 1 if s > 0 else 0
    if s < 1 or p < 0 or n + 2 * p < k:
        raise ValueError(f"{name}: {axis}: floor((size + 2 * padding - kernel) / stride) + 1 = "
                         f"floor(({n} + 2 * {p} - {k}) / {s}) + 1 = {out}: the "
                         f"filter does not fit into the image; needs stride >= 1, padding >= 0 and "
                         f"size + 2 * padding >= kernel")
    return out


# ---------------------------------------------------------------- pooling

def avg_pool2d(x, k):
    """y = mean of each k x k block, (N, H, W, C) -> (N, H/k, W/k, C).   dx = g / k^2, repeated.

    Raises ValueError if k does not divide H and W.
    """
    x = as_tensor(x)
    N, H, W, C = x.shape
    if H % k or W % k:
        raise ValueError(f"avg_pool2d: {H} x {W} is not a multiple of {k} x {k}")
    y = x.data.reshape(N, H // k, k, W // k, k, C).mean(axis=(2, 4))
    def dx(g): return _repeat(g / (k * k), k)
    return record(y, (x, dx))


def upsample_nearest(x, k):
    """Every pixel becomes a k x k block, (N, H, W, C) -> (N, kH, kW, C).   dx = its sum of g."""
    x = as_tensor(x)
    N, H, W, C = x.shape
    def dx(g): return g.reshape(N, H, k, W, k, C).sum(axis=(2, 4))
    return record(_repeat(x.data, k), (x, dx))


def _repeat(a, k):
    N, H, W, C = a.shape
    return xp.broadcast_to(a[:, :, None, :, None], (N, H, k, W, k, C)).reshape(N, H * k, W * k, C)
