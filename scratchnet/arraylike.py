"""A Tensor as Python and NumPy see it: how it prints, compares, copies, becomes an array; and what
is refused, each with what would do. No math is here.
"""

import numpy as np

from .backend import raw, xp


class ArrayLike:
    """What Tensor has besides data, gradient and history."""

    __slots__ = ()
    __array_ufunc__ = None  # so that `array * tensor` comes to Tensor.__rmul__
    __hash__ = object.__hash__

    # comparisons give arrays of bool: they have no derivative
    def __lt__(self, other): return self.data < raw(other)
    def __le__(self, other): return self.data <= raw(other)
    def __gt__(self, other): return self.data > raw(other)
    def __ge__(self, other): return self.data >= raw(other)
    def __eq__(self, other): return self.data == raw(other)
    def __ne__(self, other): return self.data != raw(other)
    def __bool__(self): return bool(self.data)
    def __iter__(self): return (self[i] for i in range(len(self)))
    def __format__(self, spec): return format(self.item(), spec) if spec else repr(self)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of a Tensor with no axes")
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return np.array(_detached(self), dtype=dtype, copy=copy)

    def __float__(self):
        return float(_detached(self))  # array[i] = tensor asks for this

    def __deepcopy__(self, memo):
        if self.node is not None:
            raise TypeError("deepcopy of a recorded Tensor: the gradients of the copy would go to "
                            "copies of its leaves; use .detach()")
        found = type(self)(self.data.copy(), self.requires_grad)
        found.grad = None if self.grad is None else self.grad.copy()
        return found

    def __repr__(self):
        text = np.array2string(self.numpy(), precision=4, threshold=20, separator=", ",
                               prefix="Tensor(")
        history = ", recorded" if self.node else ", requires_grad" if self.requires_grad else ""
        return f"Tensor({text}, shape={self.shape}, {self.dtype}{history})"


def _detached(t):
    if t.requires_grad:
        raise TypeError("a Tensor that needs a gradient does not become a number or a NumPy array "
                        "unasked, as its gradient would be lost: use .numpy() or .item() for the "
                        "values, .detach() for a Tensor without history, scratchnet.ops for np")
    return t.numpy()


# ---------------------------------------------------------------- what is refused

class GradientShapeError(AssertionError):
    """A derivative returned an array whose shape or dtype is not its input's."""


def as_array(data, requires_grad):
    """Numbers, lists and arrays as an array of the backend, for a Tensor. A leaf that is trained
    gets memory of its own: an optimiser writes into it."""
    given = data
    if not isinstance(data, xp.ndarray) or type(data) is np.ma.MaskedArray:
        if isinstance(data, ArrayLike):
            raise TypeError("Tensor(data): data is already a Tensor; .detach() is the same "
                            "without history")
        if isinstance(data, np.ma.MaskedArray):
            raise TypeError("Tensor(data): data is a masked array, whose mask no op would see; "
                            "fill it first, with .filled(0)")
        if isinstance(data, (list, tuple)) and any(isinstance(x, ArrayLike) for x in data):
            raise TypeError("Tensor(data): data is a list of Tensors; use ops.stack")
        plain = not hasattr(data, "dtype")
        data = xp.asarray(data)
        data = data.astype(np.float32) if plain and data.dtype == np.float64 else data
    if data.dtype.kind not in "biuf":
        raise TypeError(f"Tensor(data): data must be real numbers, not {data.dtype}")
    if requires_grad and data.dtype.kind != "f":
        raise TypeError(f"requires_grad=True needs floating-point data, not {data.dtype}; "
                        + ("use data.astype(np.float32)" if hasattr(given, "astype") else
                           "write 1.0 for 1"))
    return data.copy(order="K") if requires_grad and data is given else data


def upstream(y, g):
    """dL/dy to begin with, as an array of y's shape and dtype."""
    if not y.requires_grad:
        raise RuntimeError("backward(): this Tensor was not computed from any Tensor with "
                           "requires_grad=True (or it was computed under no_grad())")
    if g is None and y.size != 1:
        raise ValueError(f"backward() without an argument needs a single number, but this Tensor "
                         f"has shape {y.shape}: reduce it with .sum() or .mean(), or pass "
                         f"dL/d(self)")
    g = xp.ones_like(y.data) if g is None else xp.asarray(raw(g), dtype=y.dtype)
    if g.shape != y.shape:
        raise ValueError(f"backward(g): g has shape {g.shape}, expected {y.shape}")
    return g


def check_unchanged(edges, versions):
    if edges is None:
        raise RuntimeError("backward(): this part of the graph was used up by an earlier "
                           "backward(); compute the forward pass again")
    for (source, _), version in zip(edges, versions, strict=True):
        if isinstance(source, ArrayLike) and source.version != version:
            raise RuntimeError(f"backward(): the data of a leaf of shape {source.shape} were "
                               f"changed after it was used, by hand or by a step of the optimiser; "
                               f"compute the forward pass again")


def op_of(derivative):
    """exp.<locals>.dx -> exp, dx. An op of scratchnet is the outermost function, since it may have
    helpers; anybody else's the innermost, since it may stand in a function itself."""
    *outer, name = getattr(derivative, "__qualname__", "dx").split(".<locals>.")
    ours = derivative.__module__.startswith("scratchnet.")
    return outer[0 if ours else -1].split(".")[-1] if outer else "op", name


def check_gradient(gx, source, derivative):
    if isinstance(gx, ArrayLike):
        op, name = op_of(derivative)
        raise TypeError(f"{op}: the derivative {name!r} returned a Tensor: compute with x.data in "
                        f"it, where x is the op's input")
    if not hasattr(gx, "shape"):
        op, name = op_of(derivative)
        raise TypeError(f"{op}: the derivative {name!r} returned {gx!r}, but an array of the "
                        f"input's shape, {source.shape}, is needed: is a `return` missing?")
    if gx.shape != source.shape or gx.dtype != source.dtype:
        op, name = op_of(derivative)
        raise GradientShapeError(
            f"{op}: the derivative {name!r} returned shape {gx.shape}, {gx.dtype}, but its input "
            f"has shape {source.shape}, {source.dtype}")
