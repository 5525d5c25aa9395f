"""Reductions, and softmax with its relatives, along an axis.

axis is None (all axes), a number, or a tuple of numbers; keepdims=True leaves
each reduced axis with length 1. x has any shape; y and its gradient g have the
reduced one (softmax and log_softmax reduce nothing: theirs is x's). `spread` gives
the axes back with length 1, and broadcasting does the rest. docs/02-cross-entropy.md derives
softmax, its adjoint and log-sum-exp.
"""

import math

import numpy as np

from ..backend import xp
from ..inputs import floats
from ..tensor import record


def spread(g, shape, axis, keepdims):
    """Reshape g so that it broadcasts against the shape that was reduced over `axis`."""
    if axis is None:
        return g.reshape((1,) * len(shape))
    if keepdims:
        return g
    axes = {a % (len(shape) or 1) for a in (axis if isinstance(axis, tuple) else (axis,))}
    return g.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def sum(x, axis=None, keepdims=False):
    """y = sum of x along axis.   dL/dx = g, the same for every element that was summed."""
    x = floats(x)
    shape = x.shape
    def dx(g): return xp.broadcast_to(spread(g, shape, axis, keepdims), shape)
    return record(x.data.sum(axis=axis, keepdims=keepdims), (x, dx))


def mean(x, axis=None, keepdims=False):
    """y = (sum of x along axis) / n.   dL/dx = g / n, n the number of elements in one mean."""
    x = floats(x)
    shape = x.shape
    y = x.data.mean(axis=axis, keepdims=keepdims)
    n = math.prod(shape) // (y.size or 1)
    def dx(g): return xp.broadcast_to(spread(g, shape, axis, keepdims), shape) / n
    return record(y, (x, dx))


def max(x, axis=None, keepdims=False):
    """y = largest element along axis.   dL/dx = g at the largest, shared equally at a tie."""
    x = floats(x)
    y = x.data.max(axis=axis, keepdims=True)
    def dx(g):
        at_max = x.data == y
        count = at_max.sum(axis=axis, keepdims=True, dtype=x.dtype)
        return at_max * (spread(g, x.shape, axis, keepdims) / count)
    return record(y if keepdims else drop_axes(y, axis), (x, dx))


def logsumexp(x, axis=-1, keepdims=False):
    """y = log sum e^x = m + log sum e^(x - m), m = max x.   dL/dx = g * e^(x - y) = g * softmax(x).

    The slope is e^x_k / sum e^x. Subtracting m keeps every exponent at or below 0: nothing
    overflows, and large x keep their digits.
    """
    x = floats(x)
    m = largest(x.data, axis)
    e = xp.exp(x.data - m)
    sum_ = e.sum(axis=axis, keepdims=True)
    def dx(g): return spread(g, x.shape, axis, keepdims) * (e / sum_)
    y = m + log_of_sum(sum_)
    return record(y if keepdims else drop_axes(y, axis), (x, dx))


def softmax(x, axis=-1):
    """y_i = e^(x_i - m) / sum_j e^(x_j - m), m = max x.   dL/dx_i = y_i * (g_i - sum_j g_j y_j).

    Every output depends on every input:  dy_j/dx_i = y_j ([i = j] - y_i),  and dL/dx_i is the sum
    of g_j dy_j/dx_i over j. m cancels; without it e^x would overflow. Saves y.
    """
    x = floats(x)
    y = xp.exp(x.data - largest(x.data, axis))
    y /= y.sum(axis=axis, keepdims=True)
    def dx(g): return y * (g - (g * y).sum(axis=axis, keepdims=True))
    return record(y, (x, dx))


def log_softmax(x, axis=-1):
    """y = (x - m) - log sum e^(x - m), m = max x.   dL/dx_i = g_i - softmax(x)_i * sum_j g_j.

    For dy_j/dx_i = [i = j] - softmax(x)_i. The two parts stay apart: added to the logarithm first,
    as in x - logsumexp(x), a large m would take its digits. Saves y, of which e^y is the softmax.
    """
    x = floats(x)
    y = x.data - largest(x.data, axis)
    y -= log_of_sum(xp.exp(y).sum(axis=axis, keepdims=True))
    def dx(g): return g - xp.exp(y) * g.sum(axis=axis, keepdims=True)
    return record(y, (x, dx))


def largest(x, axis):
    """The maximum of an array along axis, with length 1; 0 where it is infinite: x - m stays a
    number."""
    m = x.max(axis=axis, keepdims=True)
    return xp.where(xp.isfinite(m), m, 0)


def log_of_sum(sum_):
    """log of a sum of exponentials; -inf where all were 0."""
    with np.errstate(divide="ignore"):
        return xp.log(sum_)


def drop_axes(y, axis):
    """Drop the length-1 axes that a reduction with keepdims=True left."""
    return y.reshape(()) if axis is None else xp.squeeze(y, axis=axis)
