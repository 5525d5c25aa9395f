"""Arithmetic and other elementwise ops of two inputs, broadcasting as NumPy does.

In every op: a and b are Tensors, arrays or numbers of shapes that broadcast; y is the
output, g = dL/dy has y's shape, and `da(g)` is dL/da, of a's shape. docs/01-chain-rule.md derives
what broadcasting does to it.
"""

from ..backend import xp
from ..inputs import floats, operands
from ..tensor import raw, record


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


def power(a, b):
    """y = a^b.   dL/da = g * b * a^(b-1),   dL/db = g * a^b * log(a)   (a^b = e^(b log a)).

    At b = 0, y is 1 for every a, and dL/da is 0. A derivative with respect to b needs a > 0; where
    a = 0 and b >= 0 it is 0, the limit from b > 0.
    """
    a, b = operands(a, b)
    y = a.data ** b.data
    def da(g):
        exponent = b.data - (b.data != 0)  # b - 1, but 0 at b = 0: 0 * 0^-1 would be nan
        return unbroadcast(g * b.data * a.data ** exponent, a.shape)
    def db(g):
        at_limit = (a.data == 0) & (b.data >= 0)  # log 1 = 0 stands in for log 0
        log_a = xp.log(xp.where(at_limit, xp.ones_like(y), a.data))
        return unbroadcast(g * y * log_a, b.shape)
    return record(y, (a, da), (b, db))


def maximum(a, b):
    """y = max(a, b).   dL/da = g where a > b, g/2 where a = b, else 0; dL/db the same, exchanged.

    At a tie the maximum has no derivative; g/2 to each is the subgradient that treats
    both alike.
    """
    a, b = operands(a, b)
    def share(won, tied, g): return xp.where(won, g, xp.where(tied, 0.5 * g, 0))
    def da(g): return unbroadcast(share(a.data > b.data, a.data == b.data, g), a.shape)
    def db(g): return unbroadcast(share(b.data > a.data, a.data == b.data, g), b.shape)
    return record(xp.maximum(a.data, b.data), (a, da), (b, db))


def where(condition, a, b):
    """y = a where condition holds, else b.   dL/da = g there, else 0; dL/db = g elsewhere.

    condition: array of bool, broadcasting with a and b.
    """
    condition = xp.asarray(raw(condition), dtype=bool)
    a, b = operands(a, b, whole=True)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(xp.where(condition, g, 0), a_shape)
    def db(g): return unbroadcast(xp.where(condition, 0, g), b_shape)
    return record(xp.where(condition, a.data, b.data), (a, da), (b, db))
