"""Reverse-mode automatic differentiation in one class and one loop.

A `Tensor` is an array that remembers how it was computed. Each op computes its
output array and calls `record`, which puts a node on the tape: one edge for
each input that needs a gradient, and on each edge the function that maps
g = dL/d(output) to dL/d(that input).

`backward` walks the tape from the newest node to the oldest. An output is
always newer than its inputs, so when a node's turn comes, everything that used
it has already added its part, and the chain rule

    dL/dx  =  sum over the ops y_k that used x of  (dy_k/dx)^T dL/dy_k

is complete (docs/01-chain-rule.md derives it, with numbers). No recursion: a chain of 20,000 ops is
as good as one of two.

Two rules keep memory small. A node holds the derivative functions and whatever
arrays those saved, never its own output Tensor: there are no reference cycles.
And a node lets go of them as soon as its gradient has been passed on.
"""

import contextlib
import heapq
import itertools
from contextvars import ContextVar

import numpy as np

from .backend import to_numpy, xp

_numbers = itertools.count()
_recording = ContextVar("recording", default=True)  # of this thread; another may be training


@contextlib.contextmanager
def no_grad():
    """Within `with no_grad():` nothing is put on the tape, in this thread. Also a decorator."""
    before = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(before)


class Node:
    """One op on the tape. `edges` is ((source, derivative), ...); a source is the
    node that made the input, or the input itself if it is a leaf. versions: of the
    inputs' data."""

    __slots__ = ("number", "shape", "dtype", "edges", "versions")

    def __init__(self, y, edges, versions):
        self.number, self.shape, self.dtype = next(_numbers), y.shape, y.dtype
        self.edges, self.versions = edges, versions


class Tensor:
    """An array with a gradient.

    data: a backend array, NumPy array (moved to the backend), number or nested
        list. Python floats become float32, the precision of everything here;
        arrays keep their dtype, so float64 inputs are computed in float64.
    requires_grad: True makes it a leaf whose `.grad` backward() adds to.

    Data must not change between an op and its backward(): the derivative would be taken with the
    new numbers. Of a leaf, `t.data = a`, `t.data *= 2` and an optimiser's step are noticed, and
    backward() raises; what is written into an array, as in `t.data[0] = 1`, is not.

    Raises TypeError for data that are no numbers or masked, and for a gradient on data that are not
    floating point.
    """

    __slots__ = ("_data", "version", "grad", "requires_grad", "node", "__weakref__")
    __array_ufunc__ = None  # so that `array * tensor` comes to Tensor.__rmul__

    def __init__(self, data, requires_grad=False):
        if not isinstance(data, xp.ndarray) or type(data) is np.ma.MaskedArray:
            data = _as_array(data)
        if data.dtype.kind not in "biufc":
            raise TypeError(f"Tensor(data): data must be numbers, not {data.dtype}")
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"requires_grad=True needs floating-point data, not {data.dtype}; "
                            f"use data.astype(np.float32)")
        self._data, self.version = data, 0
        self.grad = None
        self.requires_grad = requires_grad
        self.node = None  # None for a leaf

    @property
    def data(self):
        """The array."""
        return self._data

    @data.setter
    def data(self, array):
        self._data = array
        self.version += 1  # how often the data were changed

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    dtype = property(lambda self: self._data.dtype)
    size = property(lambda self: self._data.size)

    # ------------------------------------------------------------ backward

    def backward(self, g=None):
        """Add dL/d(leaf) to `.grad` of every leaf that this Tensor was computed from.

        g: dL/d(self), same shape; may be left out for a single number, where it is 1.
        The tape is used up: a second call on the same graph is an error.

        Raises RuntimeError if nothing here needs a gradient, the tape is used up, or
        a leaf's data were changed since; ValueError if g is missing or of the wrong
        shape; and GradientShapeError (naming op and input) if an op's derivative does
        not fit its input.
        """
        first = _upstream(self, g)
        taken = {_owner(first)}  # memory that somebody has: the caller, or a leaf
        if self.node is None:
            return _add_to_leaf(self, first, taken)
        gradients, leaves = {self.node.number: first}, []
        queue = [(-self.node.number, self.node)]  # newest first
        while queue:
            _, node = heapq.heappop(queue)
            g = gradients.pop(node.number)
            edges, node.edges = node.edges, None
            _check_unchanged(edges, node.versions)
            for source, derivative in edges:
                gx = derivative(g)
                _check_shape(gx, source, derivative)
                if isinstance(source, Tensor):
                    leaves.append((source, gx))
                elif source.number in gradients:
                    # A fresh array: gx or the sum so far may be another node's gradient, or a view.
                    gradients[source.number] = gradients[source.number] + gx
                else:
                    gradients[source.number] = gx
                    heapq.heappush(queue, (-source.number, source))
        for leaf, gx in leaves:  # at the end: an error before has changed no gradient
            _add_to_leaf(leaf, gx, taken)

    # ------------------------------------------------------------ leaving the tape

    def detach(self):
        """The same array without history: the `sg[.]` (stop-gradient) of the papers."""
        return Tensor(self.data)

    def numpy(self):
        """The values as a NumPy array (on the host)."""
        return to_numpy(self.data)

    def item(self):
        """The single value as a Python number."""
        return self.data.item()

    def __array__(self, dtype=None, copy=None):
        _check_detached(self)
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self):
        _check_detached(self)  # array[i] = tensor asks for this
        return float(self.item())

    def __bool__(self): return bool(self.data)
    def __format__(self, spec): return format(self.item(), spec) if spec else repr(self)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of a Tensor with no axes")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __deepcopy__(self, memo):
        if self.node is not None:
            raise TypeError("deepcopy of a recorded Tensor: the gradients of the copy would go to "
                            "copies of its leaves; use .detach()")
        found = Tensor(self.data.copy(), self.requires_grad)
        found.grad = None if self.grad is None else self.grad.copy()
        return found

    def __repr__(self):
        text = np.array2string(self.numpy(), precision=4, threshold=20, edgeitems=3,
                               separator=", ", prefix="Tensor(")
        grad = ", requires_grad" if self.requires_grad and self.node is None else ""
        history = ", recorded" if self.node is not None else ""
        return f"Tensor({text}, shape={self.shape}, {self.dtype}{grad}{history})"

    # comparisons give arrays of bool: they have no derivative
    def __lt__(self, other): return self.data < raw(other)
    def __le__(self, other): return self.data <= raw(other)
    def __gt__(self, other): return self.data > raw(other)
    def __ge__(self, other): return self.data >= raw(other)
    def __eq__(self, other): return self.data == raw(other)
    def __ne__(self, other): return self.data != raw(other)
    __hash__ = object.__hash__

    # Operators and methods that are ops (x + y, x.sum(), x[0]) are attached by ops/__init__.py.


def record(y, *edges):
    """Wrap the array y, computed by an op, in a Tensor, and put the op on the tape.

    edges: (input, derivative) pairs. The derivative takes g = dL/dy and returns
    dL/d(input). Pairs whose input is None or needs no gradient are dropped here, so
    nothing is saved or computed for a batch of images or a frozen codebook.
    """
    out = Tensor(y)
    if _recording.get() and (edges := [(t, d) for t, d in edges if t is not None
                                       and t.requires_grad]):
        out.requires_grad, out.node = True, Node(
            out.data, tuple((t if t.node is None else t.node, d) for t, d in edges),
            [t.version for t, _ in edges])
    return out


def raw(x):
    """The array (or plain number) inside x."""
    return x.data if isinstance(x, Tensor) else x


def _add_to_leaf(leaf, gx, taken):
    """leaf.grad += gx, in memory of its own: gx may show what another has, too."""
    gx = xp.asarray(gx)  # NumPy turns arrays without axes into scalars
    if leaf.grad is not None:
        leaf.grad = leaf.grad + gx
        return
    own = gx.flags.c_contiguous and getattr(gx.flags, "writeable", True)
    leaf.grad = gx if own and _owner(gx) not in taken else gx.copy()
    taken.add(_owner(leaf.grad))


def _owner(a):
    """Which array has the memory that a shows. NumPy's base is not always that array: it stops at
    a subclass, and at one whose memory is no array's (PyTorch's, a file's)."""
    while isinstance(a.base, xp.ndarray):
        a = a.base
    return id(a)


# ---------------------------------------------------------------- what is refused

class GradientShapeError(AssertionError):
    """A derivative returned an array whose shape or dtype is not its input's."""


def _as_array(data):
    """Numbers, lists and NumPy arrays as an array of the backend."""
    if isinstance(data, Tensor):
        raise TypeError("Tensor(data): data is already a Tensor; use .detach() for a copy without "
                        "history")
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError("Tensor(data): data is a masked array, whose mask no op would see; fill it "
                        "first, with .filled(0)")
    if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
        raise TypeError("Tensor(data): data is a list of Tensors; use ops.stack")
    array = xp.asarray(data)
    plain = not hasattr(data, "dtype") and array.dtype == np.float64
    return array.astype(np.float32) if plain else array


def _check_detached(t):
    if t.requires_grad:
        raise TypeError("a Tensor that needs a gradient does not become a number or a NumPy array "
                        "unasked, as its gradient would be lost: use .numpy() or .item() for the "
                        "values, .detach() for a Tensor without history, scratchnet.ops for np")


def _upstream(y, g):
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


def _check_unchanged(edges, versions):
    if edges is None:
        raise RuntimeError("backward(): this part of the graph was used up by an earlier "
                           "backward(); compute the forward pass again")
    for (source, _), version in zip(edges, versions, strict=True):
        if isinstance(source, Tensor) and source.version != version:
            raise RuntimeError(f"backward(): the data of a leaf of shape {source.shape} were "
                               f"changed after it was used, by hand or by a step of the optimiser; "
                               f"compute the forward pass again")


def _check_shape(gx, source, derivative):
    if gx.shape == source.shape and gx.dtype == source.dtype:
        return
    op, name = ("op." + derivative.__qualname__.replace(".<locals>", "")).split(".")[-2:]
    raise GradientShapeError(
        f"{op}: the derivative {name!r} returned shape {gx.shape}, {gx.dtype}, but its input "
        f"has shape {source.shape}, {source.dtype}"
    )
