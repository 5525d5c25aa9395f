"""Ops that move elements and compute nothing. Each is a linear map that copies
elements to new places, so its derivative carries g back to where they came from.
x has any shape; g has y's.
"""

import itertools
import numbers

from ..backend import xp
from ..fast.kernels import placed
from ..inputs import as_tensor, axis_index, operands, require
from ..tensor import record
from .arithmetic import unbroadcast


def reshape(x, *shape):
    """The same elements in another shape; one -1 is worked out.   dL/dx = g, reshaped back."""
    x = as_tensor(x)
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    old = x.shape
    def dx(g): return g.reshape(old)
    return record(x.data.reshape(shape), (x, dx))


def transpose(x, *axes):
    """Axes in a new order, y.shape[i] = x.shape[axes[i]]; without axes, reversed.

    dL/dx = g with the inverse order.
    """
    x = as_tensor(x)
    axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
    axes = axes or tuple(reversed(range(x.ndim)))
    y = x.data.transpose(axes)
    axes = [a % x.ndim for a in axes]
    inverse = tuple(axes.index(i) for i in range(x.ndim))
    def dx(g): return g.transpose(inverse)
    return record(y, (x, dx))


def broadcast_to(x, shape):
    """x repeated along new or length-1 axes.   dL/dx = g summed over the repeats."""
    x = as_tensor(x)
    old = x.shape
    def dx(g): return unbroadcast(g, old)
    return record(xp.broadcast_to(x.data, shape), (x, dx))


def concatenate(tensors, axis=0):
    """The tensors one after another along axis, on which alone their shapes may differ.

    dL/d(tensor k) = its stretch of g.
    """
    tensors = operands(*tensors)
    ends = itertools.accumulate(t.shape[axis] for t in tensors)
    def stretch(t, end):
        def dx(g): return g[(slice(None),) * (axis % g.ndim) + (slice(end - t.shape[axis], end),)]
        return dx
    y = xp.concatenate([t.data for t in tensors], axis=axis)
    return record(y, *((t, stretch(t, end)) for t, end in zip(tensors, ends, strict=True)))


def stack(tensors, axis=0):
    """Tensors of one shape along a new axis.   dL/d(tensor k) = g at position k of that axis."""
    tensors = operands(*(xp.asarray(t) if isinstance(t, numbers.Number) else t for t in tensors))
    def at(k):
        def dx(g): return g[(slice(None),) * (axis % g.ndim) + (k,)]
        return dx
    y = xp.stack([t.data for t in tensors], axis=axis)
    return record(y, *((t, at(k)) for k, t in enumerate(tensors)))


def split(x, sections, axis=0):
    """Cut x along axis into a list of Tensors: the inverse of concatenate.

    sections: how many of one size, or a list of their sizes. The derivative of each is getitem's: 0
    outside its stretch. Raises ValueError unless the sizes add up to x's.
    """
    x = as_tensor(x)
    n = x.shape[axis]
    sizes = [n // sections] * sections if isinstance(sections, numbers.Integral) else list(sections)
    require(sum(sizes) == n and min(sizes, default=0) >= 0,
            "split: an axis of length {} cannot be cut into lengths {}", n, sizes)
    before = (slice(None),) * (axis % x.ndim)
    return [getitem(x, (*before, slice(end - size, end)))
            for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]


def getitem(x, index):
    """y = x[index], for any NumPy index: slices, numbers, None, arrays of int or bool.

    dL/dx = 0, but g where the elements came from; an element taken several times
    gets the sum.
    """
    x = as_tensor(x)
    parts = index if isinstance(index, tuple) else (index,)
    index = tuple(axis_index(i) for i in parts)
    repeats = any(isinstance(i, xp.ndarray) and i.dtype.kind in "iu" for i in index)
    def dx(g):
        if not repeats:
            return placed(g, x.shape, index)
        out = xp.zeros(x.shape, x.dtype)
        xp.add.at(out, index, g)
        return out
    return record(x.data[index], (x, dx))
