"""Arithmetic and other elementwise ops of two inputs, broadcasting as NumPy does.

In every op: a and b are Tensors, arrays or numbers of shapes that broadcast; y is the
output, g = dL/dy has y's shape, and `da(g)` is dL/da, of a's shape. docs/01-chain-rule.md derives
what broadcasting does to it.
"""

from ..backend import raw, xp
from ..inputs import floats, number, operands
from ..tensor import record


def add(a, b):
    """y = a + b.   dL/da = g,   dL/db = g."""
    a, b = operands(a, b)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(g, a_shape)
    def db(g): return unbroadcast(g, b_shape)
    return record(a.data + b.data, (a, da), (b, db))


def unbroadcast(g, shape):
    """Sum g over the axes along which an input of this shape was broadcast: each of its elements
    was used several times, so its gradient is the sum over those uses.

    It is the adjoint of broadcasting:  <broadcast(a), g> = <a, unbroadcast(g)>.
    """
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    return g.sum(axis=axes, keepdims=True).reshape(shape)


def sub(a, b):
    """y = a - b.   dL/da = g,   dL/db = -g."""
    a, b = operands(a, b)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(g, a_shape)
    def db(g): return unbroadcast(-g, b_shape)
    return record(a.data - b.data, (a, da), (b, db))


def mul(a, b):
    """y = a * b.   dL/da = g * b,   dL/db = g * a."""
    a, b = operands(a, b)
    def da(g): return unbroadcast(g * b.data, a.shape)
    def db(g): return unbroadcast(g * a.data, b.shape)
    return record(a.data * b.data, (a, da), (b, db))


def div(a, b):
    """y = a / b.   dL/da = g / b,   dL/db = -g * a / b^2 = -g * y / b: b^2 might overflow."""
    a, b = operands(a, b)
    y = a.data / b.data
    def da(g): return unbroadcast(g / b.data, a.shape)
    def db(g): return unbroadcast(-g * y / b.data, b.shape)
    return record(y, (a, da), (b, db))


def neg(x):
    """y = -x.   dL/dx = -g."""
    x = floats(x)
    def dx(g): return -g
    return record(-x.data, (x, dx))


def power(x, n):
    """y = x^n, n a number.   dL/dx = g * n x^(n-1), and 0 at n = 0, where y is 1 for every x.

    Raises TypeError for a Tensor in the place of n.
    """
    x, n = floats(x), number(n)
    def dx(g): return g * (n * x.data ** (n - 1) if n else xp.zeros_like(x.data))
    return record(x.data ** n, (x, dx))


def where(condition, a, b):
    """y = a where condition holds, else b.   dL/da = g there, else 0; dL/db = g elsewhere.

    condition: array of bool, broadcasting with a and b.
    """
    condition = xp.asarray(raw(condition), dtype=bool)
    a, b = operands(a, b)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(xp.where(condition, g, 0), a_shape)
    def db(g): return unbroadcast(xp.where(condition, 0, g), b_shape)
    return record(xp.where(condition, a.data, b.data), (a, da), (b, db))
