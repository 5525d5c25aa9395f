"""Elementwise functions of one input x (any shape); y and g = dL/dy have its shape.

Each is written so that it neither overflows nor loses digits for large |x|. (The slopes of
sigmoid and tanh are off by up to 1e-7, which is much where they are tiny.) The gradient is g times
the slope, f'(x); where f' is simplest in terms of y, y is saved instead of x. docs/01-chain-rule.md
says why a derivative takes g, docs/02-cross-entropy.md how sigmoid and softplus keep their digits,
docs/05-network.md what a ReLU is for.
"""

import math

import numpy as np

from ..backend import fused, xp
from ..inputs import floats, number, require
from ..tensor import record


def exp(x):
    """y = e^x.   dL/dx = g * y."""
    x = floats(x)
    y = xp.exp(x.data)
    def dx(g): return g * y
    return record(y, (x, dx))


def log(x):
    """y = ln x.   dL/dx = g / x."""
    x = floats(x)
    def dx(g): return g / x.data
    return record(xp.log(x.data), (x, dx))


def sqrt(x):
    """y = sqrt(x).   dL/dx = g / (2 y)."""
    x = floats(x)
    y = xp.sqrt(x.data)
    def dx(g): return g / (2 * y)
    return record(y, (x, dx))


def tanh(x):
    """y = tanh(x).   dL/dx = g * (1 - y^2)."""
    x = floats(x)
    y = xp.tanh(x.data)
    def dx(g): return g * (1 - y * y)
    return record(y, (x, dx))


def sigmoid(x):
    """y = 1 / (1 + e^-x).   dL/dx = g * y * (1 - y), for e^-x / (1 + e^-x) is 1 - y."""
    x = floats(x)
    y = sigmoid_of(x.data)
    def dx(g): return g * y * (1 - y)
    return record(y, (x, dx))


def softplus(x):
    """y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).   dL/dx = g * sigmoid(x)."""
    x = floats(x)
    def dx(g): return g * sigmoid_of(x.data)
    return record(softplus_of(x.data), (x, dx))


def relu(x):
    """y = max(x, 0).   dL/dx = g where x > 0, else 0 (also at x = 0, where no slope exists)."""
    x = floats(x)
    y = xp.maximum(x.data, 0)
    def dx(g): return where_positive(g, y)
    return record(y, (x, dx))


@fused
def where_positive(g, y):
    return g * (y > 0)


def gate(x):
    """y = tanh(a) sigmoid(b), a and b being the first and the second half of x's last axis.

        dL/da = g s (1 - t^2),   dL/db = g t s (1 - s),   t = tanh(a),  s = sigmoid(b)
    x: (..., 2h); y: (..., h). Saves t and s. Source: van den Oord et al. 2016b (1606.05328), eq. 2;
    docs/08-pixelcnn.md derives it.
    Raises ValueError if the last axis cannot be halved.
    """
    x = floats(x)
    require(x.ndim and x.shape[-1] % 2 == 0, "gate: the last axis of {} cannot be halved", x.shape)
    h = x.shape[-1] // 2
    y, t, s = gate_of(x.data[..., :h], x.data[..., h:])
    def dx(g):
        out = xp.empty(x.shape, x.dtype)
        gate_slopes(g, t, s, out[..., :h], out[..., h:])
        return out
    return record(y, (x, dx))


@fused
def gate_of(a, b):
    t, s = xp.tanh(a), sigmoid_of(b)
    return t * s, t, s


@fused
def gate_slopes(g, t, s, da, db):
    da[...] = g * s * (1 - t * t)
    db[...] = g * t * s * (1 - s)


def elu(x, alpha=1.0):
    """y = x for x > 0, else alpha (e^x - 1).   dL/dx = g for x > 0, else g * alpha e^x.

    (Not g (y + alpha), which is the same but loses digits: for very negative x, y is near -alpha.)

    Source: Clevert et al. 2015 (1511.07289).
    """
    x, alpha = floats(x), number(alpha)
    y = xp.where(x.data > 0, x.data, alpha * xp.expm1(xp.minimum(x.data, 0)))
    def dx(g): return xp.where(x.data > 0, g, g * (alpha * xp.exp(xp.minimum(x.data, 0))))
    return record(y, (x, dx))


def clip(x, low=-math.inf, high=math.inf):
    """y = min(max(x, low), high).   dL/dx = g where low <= x <= high, else 0.

    low, high: numbers, low <= high; ValueError otherwise.
    """
    low, high = number(low), number(high)
    require(low <= high, "clip: low = {} is above high = {}", low, high)
    x = floats(x)
    def dx(g): return where_between(g, x.data, low, high)
    return record(xp.clip(x.data, low, high), (x, dx))


@fused
def where_between(g, x, low, high):
    return g * ((x >= low) & (x <= high))


@fused
def sigmoid_of(x):
    """1 / (1 + e^-x) of an array. Where e^-x overflows it is infinite, and this 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + xp.exp(-x))


@fused
def softplus_of(x):
    """log(1 + e^x) of an array, as max(x, 0) + log(1 + e^-|x|): no overflow at any x."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))
