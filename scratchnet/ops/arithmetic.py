"""Arithmetic and other elementwise ops of two inputs, broadcasting as NumPy does.

If an input was broadcast, each of its elements was used several times, so its
gradient is the sum over those uses: `unbroadcast`.

In every op: y is the output, g = dL/dy has y's shape, and `da(g)` is dL/da.
"""

import numbers

from ..backend import xp
from ..tensor import Tensor, raw, record


class Scalar:
    """A Python number as an operand. It stays a number: an array of it would be
    float64 and turn every float32 result into float64."""

    __slots__ = ("data",)
    shape, ndim, requires_grad, node = (), 0, False, None

    def __init__(self, data):
        self.data = data


def operands(*inputs):
    """Make each input a Tensor or Scalar, in the precision of the Tensors among them.

    Arrays and lists take the dtype of the floating-point Tensors present. Raises
    TypeError where float32 and float64 Tensors meet: a silent promotion would
    double the cost of everything that follows.
    """
    dtypes = {x.dtype for x in inputs if isinstance(x, Tensor) and x.dtype.kind == "f"}
    if len(dtypes) > 1:
        names = " and ".join(sorted(str(d) for d in dtypes))
        raise TypeError(f"operands of {names} in one op: convert one, "
                        f"with Tensor(x.data.astype(...))")
    dtype = dtypes.pop() if dtypes else None
    return tuple(_operand(x, dtype) for x in inputs)


def _operand(x, dtype):
    if isinstance(x, numbers.Number) and not hasattr(x, "dtype"):
        return Scalar(x)
    if not isinstance(x, Tensor):
        x = Tensor(x)
    if dtype is not None and x.dtype != dtype:  # an integer Tensor, or an array of another float
        x = Tensor(x.data.astype(dtype))
    return x


def as_tensor(x):
    """x itself if it is a Tensor, else a Tensor of it."""
    return x if isinstance(x, Tensor) else Tensor(x)


def unbroadcast(g, shape):
    """Sum g over the axes along which an input of this shape was broadcast.

    It is the adjoint of broadcasting:  <broadcast(a), g> = <a, unbroadcast(g)>.
    """
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    return g.sum(axis=axes, keepdims=True).reshape(shape)


def add(a, b):
    """y = a + b.   dL/da = g,   dL/db = g."""
    a, b = operands(a, b)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(g, a_shape)
    def db(g): return unbroadcast(g, b_shape)
    return record(a.data + b.data, (a, da), (b, db))


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
    """y = a / b.   dL/da = g / b,   dL/db = -g * a / b^2 = -g * y / b."""
    a, b = operands(a, b)
    def da(g): return unbroadcast(g / b.data, a.shape)
    def db(g): return unbroadcast(-g * a.data / (b.data * b.data), b.shape)
    return record(a.data / b.data, (a, da), (b, db))


def neg(x):
    """y = -x.   dL/dx = -g."""
    x = as_tensor(x)
    def dx(g): return -g
    return record(-x.data, (x, dx))


def power(a, b):
    """y = a^b.   dL/da = g * b * a^(b-1),   dL/db = g * a^b * log(a).

    A derivative with respect to b needs a > 0; where a = 0 and b > 0 it is 0, its limit.
    """
    a, b = operands(a, b)
    y = a.data ** b.data
    def da(g): return unbroadcast(g * b.data * a.data ** (b.data - 1), a.shape)
    def db(g):
        log_a = xp.log(xp.where(y == 0, xp.ones_like(y), a.data))
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
    a, b = operands(a, b)
    a_shape, b_shape = a.shape, b.shape
    def da(g): return unbroadcast(xp.where(condition, g, 0), a_shape)
    def db(g): return unbroadcast(xp.where(condition, 0, g), b_shape)
    return record(xp.where(condition, a.data, b.data), (a, da), (b, db))
