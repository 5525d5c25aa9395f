"""Masked convolutions a pixel at a time, over cached inputs: what makes sampling fast.

To draw pixel (i, j) of an image, a PixelCNN needs the logits of that one pixel, and these depend on
what its layers computed for the pixels before. A full forward pass for each pixel computes all that
again, H W times. Here each layer keeps its input so far, and evaluates its taps at one place:

    y[i, j] = b + sum over taps (di, dj) of  x[i + di, j + dj] W[di, dj]
            = b + sum over taps with di < 0          rows above: done for the whole row at once
                + sum over taps with di = 0          in this row: one small matrix product

Nothing is approximated: the sums are those of conv.convolve, in another order. Memory: the input of
every layer, for all images. docs/07-pixelcnn.md counts the multiplications.
"""

import copy

from ..backend import raw, xp
from .products import gather_matmul


def streaming(network, stream):
    """A copy of the network that draws where `stream` is: its masked convolutions are StreamedConv,
    with the same weights. Nothing else is copied."""
    def change(value):
        if hasattr(value, "kept"):
            taps, W = value.kept()
            return stream.conv(taps, W, raw(value.b))
        if isinstance(value, (list, tuple)):
            return type(value)(change(v) for v in value)
        return streaming(value, stream) if hasattr(value, "children") else value
    found = copy.copy(network)
    vars(found).update({name: change(value) for name, value in vars(network).items()})
    return found


class Stream:
    """Where `n` images of height x width are being drawn: at row i, pixel j."""

    def __init__(self, n, height, width):
        self.n, self.height, self.width, self.i, self.j = n, height, width, 0, 0

    def conv(self, taps, W, b=None):
        """conv.convolve with these taps, W (T*C, K) and b (K,), at the place where it is drawn."""
        return (PixelwiseConv if taps == ((0, 0),) else StreamedConv)(self, taps, W, b)


class PixelwiseConv:
    """A 1x1 convolution: y = x W + b, wherever it is."""

    def __init__(self, stream, taps, W, b):
        self.W, self.b = W, b

    def __call__(self, x):
        y = raw(x) @ self.W
        if self.b is not None:
            y += self.b
        return y


class StreamedConv:
    """One convolution. Called with arrays:

        conv(x)       x (n, 1, width, C): its result for row i, whole. Its taps may reach to the
                      right, but not below the row.
                      x (n, C): its result for pixel j. Its taps lie above, or in this row up to j.
        conv.put(x)   the input at pixel j was x after all: for the pixels that follow.
    """

    def __init__(self, stream, taps, W, b):
        self.stream, self.taps, self.W, self.b = stream, taps, W, b
        self.top, self.left = max(-i for i, _ in taps), max(0, *(-j for _, j in taps), 0)
        right = max(0, *(j for _, j in taps), 0)
        C = len(W) // len(taps)
        self.x = xp.zeros((stream.n, self.top + stream.height, self.left + stream.width + right, C),
                          W.dtype)
        # the same taps, as offsets into the rows from i - top to i of self.x
        places = [(i + self.top, j + self.left) for i, j in taps]
        above = sum(i < 0 for i, _ in taps)  # they come first, in reading order
        self.places, self.places_above = tuple(places), tuple(places[:above])
        self.W_above, self.W_here = W[:above * C], W[above * C:]
        here = [j for _, j in places[above:]]
        step = here[1] - here[0] if len(here) > 1 else 1
        self.here = slice(here[0], here[-1] + 1, step) if here else None
        self.row, self.sums_above = -1, None  # the latter for row `row`

    def __call__(self, x):
        x = raw(x)
        if x.ndim == 4:
            self.x[:, self.top + self.stream.i, self.left:self.left + self.stream.width] = x[:, 0]
            return self.at_row(self.W, self.places)
        self.put(x)
        i, j = self.stream.i, self.stream.j
        if self.row < i:
            self.row = i
            self.sums_above = self.sum_above()
        if self.here is None:
            return self.sums_above[j]
        seen = self.x[:, self.top + i, self.here.start + j:self.here.stop + j:self.here.step]
        y = seen.reshape(len(x), -1) @ self.W_here
        y += self.sums_above[j]
        return y

    def put(self, x):
        x = raw(x)
        self.x[:, self.top + self.stream.i, self.left + self.stream.j] = x

    def at_row(self, W, places):
        """b + the sum over these taps at every pixel of row i: (n, 1, width, K)."""
        rows = self.x[:, self.stream.i:self.stream.i + self.top + 1]
        return gather_matmul(rows, W, places, (1, 1), (1, self.stream.width), self.b)

    def sum_above(self):
        """b + the taps in the rows above, at every pixel of row i: (width, n, K)."""
        n, width, K = self.stream.n, self.stream.width, self.W.shape[1]
        if not self.places_above:
            b = xp.zeros(K, self.W.dtype) if self.b is None else self.b
            return xp.broadcast_to(b, (width, n, K))
        y = self.at_row(self.W_above, self.places_above)
        return xp.ascontiguousarray(y[:, 0].transpose(1, 0, 2))
