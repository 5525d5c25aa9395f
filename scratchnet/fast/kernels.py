"""What takes NumPy several passes, as one kernel on a GPU. Each docstring is the plain line.

A kernel is a few lines of C for one element of the result, number i; CuPy puts the loop around it,
and compiles it once for a dtype. Tests compile the same lines for the host, and compare
(tests/strict.py).
"""

import math
from functools import cache, lru_cache

import numpy as np

from ..backend import xp
from .memory import on_host

GEOMETRY = ", ".join(f"int32 {n}" for n in ("S", "SH", "SW", "P", "Q", "H", "W", "C"))
KERNELS = {  # name: inputs, output, body
"gather": (f"raw T x, raw int32 taps, {GEOMETRY}", "T row", """
    int e = i, c = e % C; e /= C;
    int t = e % S; e /= S;
    int q = e % Q; e /= Q;
    int p = e % P, n = e / P;
    int h = p * SH + taps[2 * t], w = q * SW + taps[2 * t + 1];
    bool inside = 0 <= h && h < H && 0 <= w && w < W;
    row = inside ? x[((n * H + h) * W + w) * C + c] : T(0);
"""),
"scatter": (f"raw T rows, raw T b, raw int32 taps, {GEOMETRY}, int32 biased", "T y", """
    int e = i, c = e % C; e /= C;
    int w = e % W; e /= W;
    int h = e % H, n = e / H;
    T sum = biased ? b[c] : T(0);
    for (int t = 0; t < S; t++) {
        int p = h - taps[2 * t], q = w - taps[2 * t + 1];
        if (p >= 0 && q >= 0 && p % SH == 0 && q % SW == 0 && p / SH < P && q / SW < Q)
            sum += rows[(((n * P + p / SH) * Q + q / SW) * S + t) * C + c];
    }
    y = sum;
"""),
"place": ("raw T g, int32 start, int32 length, int32 A, int32 C", "T y", """
    int e = i, c = e % C; e /= C;
    int a = e % A - start, n = e / A;
    y = 0 <= a && a < length ? g[(n * length + a) * C + c] : T(0);
"""),
"pack": ("raw uint64 arrays, raw int64 starts, raw int64 sizes, int32 count", "T flat", """
    int k = 0, end = count;  // place k begins at starts[k] <= i
    while (end - k > 1) {
        int middle = (k + end) / 2;
        if (i < starts[middle]) end = middle; else k = middle;
    }
    long long at = i - starts[k];
    flat = at < sizes[k] ? ((const T*)arrays[k])[at] : T(1);
""")}


def gather(x, taps, stride, size):
    """taps.gather(x, taps, stride, size)."""
    rows = xp.empty((len(x), *size, len(taps), x.shape[3]), x.dtype)
    kernel("gather")(xp.ascontiguousarray(x), table(taps, np.int32),
                     len(taps), *stride, *size, *x.shape[1:], rows)
    return rows


def scatter(rows, taps, stride, b, out):
    """out[...] = taps.scatter(rows, taps, stride, out.shape[1:3]) + b, where b may be None."""
    kernel("scatter")(rows, rows if b is None else xp.ascontiguousarray(b), table(taps, np.int32),
                      len(taps), *stride, *rows.shape[1:3], *out.shape[1:], int(b is not None), out)


def placed(g, shape, index):
    """out = xp.zeros(shape);  out[index] = g. One kernel if the index is a stretch of one axis."""
    found = None if on_host() or math.prod(shape) >= 1 << 31 else stretch(shape, index)
    if found is None:
        out = xp.zeros(shape, g.dtype)
        out[index] = g
        return out
    axis, start = found
    out = xp.empty(shape, g.dtype)
    kernel("place")(xp.ascontiguousarray(g), start, g.shape[axis], shape[axis],
                    math.prod(shape[axis + 1:]), out)
    return out


def stretch(shape, index):
    """(axis, start) of an index that cuts one axis and keeps the others whole, else None."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(i, slice) and i.step in (None, 1) for i in index):
        return None
    cut = [(axis, i.indices(n)[0]) for axis, (i, n) in enumerate(zip(index, shape, strict=False))
           if i.indices(n)[:2] != (0, n)]
    return cut[0] if len(cut) == 1 else None


class Packer:
    """pack(arrays): [arrays[0], 1 ..., arrays[1], 1 ..., ...] in one array, each from its place on.
    sizes: of the arrays; places: where they begin, and where the last one ends.

    The kernel reads where they lie from a table. CuPy's pool gives the same memory again and again:
    few tables are moved to the GPU."""

    def __init__(self, sizes, places, dtype):
        self.total, self.dtype = places[-1], dtype
        self.sizes, self.places = table(tuple(sizes), np.int64), table(tuple(places[:-1]), np.int64)

    def __call__(self, arrays):
        arrays = [xp.ascontiguousarray(a, self.dtype) for a in arrays]
        pointers = table(tuple(a.data.ptr for a in arrays), np.uint64)
        flat = xp.empty(self.total, self.dtype)
        kernel("pack")(pointers, self.places, self.sizes, len(arrays), flat)
        return flat


def kernel(name):
    return _kernel(xp.ElementwiseKernel, name)


@cache
def _kernel(make, name):
    return make(*KERNELS[name], name)


def table(numbers, dtype):
    """The numbers, flattened, in an array on the GPU that is made once."""
    return _table(xp.asarray, numbers, dtype)


@lru_cache(1000)
def _table(asarray, numbers, dtype):
    return asarray(np.array(numbers, dtype).reshape(-1))
