"""Masked convolutions a pixel at a time, over cached activations: what makes sampling fast.

To draw pixel (i, j) of an image, a PixelCNN needs the logits of that one pixel, and these
depend on what its layers computed for the pixels before. A full forward pass for each pixel
computes all of it again, H W times. A `Stream` keeps, for each layer, the rows of its input
that its taps can still reach, and evaluates the same taps at one place:

    y[i, j] = b + sum over taps (di, dj) of  x[i + di, j + dj] W[di, dj]
            = b + sum over taps with di < 0          rows above: done for the whole row at once
                + sum over taps with di = 0          in this row: one small matrix product

Nothing is approximated: the sums are those of conv.convolve, in another order.
"""

from .. import conv
from ..backend import xp
from ..nn import MaskedConv2d
from ..taps import gather_matmul
from ..tensor import Tensor, raw


class Stream:
    """Evaluates MaskedConv2d layers of a network, row by row and pixel by pixel.

    n: the number of images; width: of a row. `row()` begins the next row (and the first one),
    `pixel(j)` says at which pixel `conv` is. Layers are called with arrays:

        conv(layer, x)    x (n, 1, width, C): the layer at a whole row. Its taps may reach to the
                          right within the row, but not below it.
                          x (n, C): the layer at pixel j. Its taps must be above, or to the left
                          and in one piece with the pixel or its left neighbour.
        write(layer, x)   corrects what `conv` was given for pixel j, for the pixels that follow.
    """

    def __init__(self, n, width):
        self.n, self.width, self.i, self.j = n, width, -1, 0
        self.layers = {}

    def row(self):
        self.i += 1

    def pixel(self, j):
        self.j = j

    def conv(self, layer, x):
        x = raw(x)
        state = self.layers.get(layer)
        if state is None:
            state = self._begin(layer, x)
        if layer.relu:
            x = xp.maximum(x, state.zero)
        if state.single:
            y = x @ state.here
            y += state.b
            return y
        if state.i < self.i:
            state.next_row(self.i)
        if x.ndim == 4:
            state.rows[:, -1, state.left:state.left + self.width] = x[:, 0]
            return state.whole_row()
        j = self.j
        state.rows[:, -1, state.left + j] = x
        if state.above is None:
            state.above = state.sum_above()
        if state.here is None:
            return state.above[j]
        y = state.rows[:, -1, j + state.first:j + state.end].reshape(self.n, -1) @ state.here
        y += state.above[j]
        return y

    def write(self, layer, x):
        state = self.layers[layer]
        state.rows[:, -1, state.left + self.j] = raw(x)

    def _begin(self, layer, x):
        if not isinstance(layer, MaskedConv2d):
            raise TypeError(f"Stream: {type(layer).__name__} is no MaskedConv2d")
        self.layers[layer] = state = LayerState(layer, self.n, self.width, x.dtype)
        return state


class LayerState:
    """What a Stream keeps for one layer: its weights in two parts, and the rows its taps reach."""

    def __init__(self, layer, n, width, dtype):
        padding = tuple(k // 2 for k in layer.mask.shape)
        taps, kept = conv.masked_taps(layer.mask.tobytes(), layer.mask.shape, padding)
        C, K = layer.w.shape[2:]
        w = raw(layer.weights()).reshape(-1, C, K)[kept]
        self.b = raw(layer.b) if layer.b is not None else xp.zeros(K, dtype)
        self.single, self.zero = taps == ((0, 0),), xp.zeros((), dtype)
        self.width, self.i = width, -1
        top, self.left = max(-i for i, _ in taps), max(0, *(-j for _, j in taps), 0)
        right = max(0, *(j for _, j in taps), 0)
        # the same taps, as offsets into `rows`, whose last row is the current one
        places = [(i + top, j + self.left) for i, j in taps]
        here = [t for t, (i, _) in enumerate(taps) if i == 0]
        above = [t for t, (i, _) in enumerate(taps) if i < 0]
        self.all_taps, self.all_w = tuple(places), w.reshape(-1, K)
        self.above_taps = tuple(places[t] for t in above)
        self.above_w = w[:len(above)].reshape(-1, K)  # rows above come first in reading order
        self.here = w[len(above):].reshape(-1, K) if here else None
        if here:
            self.first, self.end = places[here[0]][1], places[here[-1]][1] + 1
        if not self.single:
            self.rows = xp.zeros((n, top + 1, width + self.left + right, C), dtype)
        self.above = None

    def next_row(self, i):
        """Move the rows up by one (all of them are 0 before the first)."""
        if self.i >= 0:
            self.rows[:, :-1] = self.rows[:, 1:].copy()
            self.rows[:, -1] = 0
        self.i, self.above = i, None

    def sum_above(self):
        """b + the taps in the rows above, at every pixel of the row: (width, n, K)."""
        if not self.above_taps:
            return xp.broadcast_to(self.b, (self.width, len(self.rows), len(self.b)))
        y = gather_matmul(self.rows, self.above_w, self.above_taps, (1, 1), (1, self.width),
                               self.b)
        return xp.ascontiguousarray(y[:, 0].transpose(1, 0, 2))

    def whole_row(self):
        """The layer at every pixel of the row: (n, 1, width, K)."""
        return gather_matmul(self.rows, self.all_w, self.all_taps, (1, 1), (1, self.width),
                                  self.b)


def whole(layer, x):
    """The counterpart of Stream.conv for a full pass: the layer on all of x (N, H, W, C)."""
    return layer(x if isinstance(x, Tensor) else Tensor(x))
