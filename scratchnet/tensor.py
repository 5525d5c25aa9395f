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

How a Tensor prints, compares and becomes other things, and what is refused: arraylike.py.
"""

import contextlib
import heapq
import itertools
from contextvars import ContextVar

from .arraylike import ArrayLike, as_array, check_gradient, check_unchanged, upstream
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
    inputs' data; without: shapes of the inputs that get no gradient."""

    __slots__ = ("number", "shape", "dtype", "edges", "versions", "without")

    def __init__(self, y, edges, versions, without):
        self.number, self.shape, self.dtype = next(_numbers), y.shape, y.dtype
        self.edges, self.versions, self.without = edges, versions, without


class Tensor(ArrayLike):
    """An array with a gradient.

    data: a backend array, NumPy array (moved to the backend), number or nested
        list. Python floats become float32, the precision of everything here;
        arrays keep their dtype, so float64 inputs are computed in float64.
    requires_grad: True makes it a leaf, with memory of its own, whose `.grad` backward() adds to.

    Data must not change between an op and its backward(): the derivative would be taken with the
    new numbers. Of a leaf that requires a gradient `t.data = a`, `t.data *= 2` and an optimiser's
    step are noticed, and backward() raises; what is written into an array, `t.data[0] = 1`, is not.

    Raises TypeError for data that are no numbers or masked, and for a gradient on data that are not
    floating point.
    """

    __slots__ = ("_data", "version", "grad", "requires_grad", "node", "__weakref__")

    def __init__(self, data, requires_grad=False):
        self._data, self.version = as_array(data, requires_grad), 0
        self.grad = None
        self.requires_grad = requires_grad
        self.node = None  # None for a leaf

    @property
    def data(self):
        """The array."""
        return self._data

    @data.setter
    def data(self, array):
        # Of an array without axes NumPy's results are numbers.
        self._data = xp.asanyarray(array, dtype=getattr(array, "dtype", self.dtype))
        self.version += 1  # how often the data were changed

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    dtype = property(lambda self: self._data.dtype)
    size = property(lambda self: self._data.size)

    def backward(self, g=None, keep=None):
        """Add dL/d(leaf) to `.grad` of every leaf that this Tensor was computed from.

        g: dL/d(self), same shape; may be left out for a single number, where it is 1.
        keep: a dict, which gets dL/dy of every op's result y, as keep[y.node].
        The tape is used up: a second call on the same graph is an error.

        Raises RuntimeError if nothing here needs a gradient, the tape is used up, or
        a leaf's data were changed since; ValueError if g is missing or of the wrong
        shape; and GradientShapeError (naming op and input) if an op's derivative does
        not fit its input.
        """
        g = upstream(self, g)
        if self.node is None:
            self.grad = g.copy() if self.grad is None else xp.asarray(self.grad + g)
            return
        gradients, leaves = {self.node.number: g}, []
        queue = [(-self.node.number, self.node)]  # newest first
        while queue:
            _, node = heapq.heappop(queue)
            g = gradients.pop(node.number)
            if keep is not None:
                keep[node] = g
            edges, node.edges = node.edges, None
            check_unchanged(edges, node.versions)
            for source, derivative in edges:
                gx = derivative(g)
                check_gradient(gx, source, derivative)
                if isinstance(source, Tensor):
                    # Memory of its own: gx may be g, or a view of it, which others have, too.
                    leaves.append((source, gx.copy() if xp.may_share_memory(gx, g) else gx))
                elif source.number in gradients:
                    # A fresh array: gx or the sum so far may be another node's gradient, or a view.
                    gradients[source.number] = gradients[source.number] + gx
                else:
                    gradients[source.number] = gx
                    heapq.heappush(queue, (-source.number, source))
        for leaf, gx in leaves:  # at the end: an error before has changed no gradient
            # asarray: of an array without axes NumPy's results are numbers
            leaf.grad = xp.asarray(gx if leaf.grad is None else leaf.grad + gx)

    def detach(self):
        """The same array without history: the `sg[.]` (stop-gradient) of the papers."""
        return Tensor(self.data)

    def numpy(self):
        """The values as a NumPy array (on the host)."""
        return to_numpy(self.data)

    def item(self):
        """The single value as a Python number."""
        return self.data.item()

    # Operators and methods that are ops (x + y, x.sum(), x[0]) are attached by ops/__init__.py.


def record(y, *edges):
    """Wrap the array y, computed by an op, in a Tensor, and put the op on the tape.

    edges: (input, derivative) pairs. The derivative takes g = dL/dy and returns
    dL/d(input); None is declared to be 0. Pairs whose input is None or needs no
    gradient are dropped here, so nothing is saved or computed for a batch of images
    or a frozen codebook.
    """
    out = Tensor(y)
    given = [(t, d) for t, d in edges if t is not None]
    edges = [(t, d) for t, d in given if d is not None and t.requires_grad]
    if edges and _recording.get():
        out.requires_grad = True
        out.node = Node(y, tuple((t if t.node is None else t.node, d) for t, d in edges),
                        [t.version for t, _ in edges],
                        [t.shape for t, d in given if d is None or not t.requires_grad])
    return out
