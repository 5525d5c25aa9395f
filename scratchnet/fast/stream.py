"""Masked convolutions a pixel at a time, over cached inputs: what makes sampling fast.

To draw pixel (i, j) of an image, a PixelCNN needs the logits of that one pixel, and these depend on
what its layers computed for the pixels before. A full forward pass for each pixel computes all that
again, H W times. Here each layer keeps its input so far, and evaluates its taps at one place:

    y[i, j] = b + sum over taps (di, dj) of  x[i + di, j + dj] W[di, dj]
            = b + sum over taps with di < 0          rows above: done for the whole row at once
                + sum over taps with di = 0          in this row: one small matrix product

Nothing is approximated: the sums are those of conv.convolve, in another order. Memory: the input
of every layer in the rows that its taps reach, for all images. docs/08-pixelcnn.md derives this,
docs/10-speed.md counts the multiplications.
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
    """Where `n` images of this width are being drawn: at row i, pixel j."""

    def __init__(self, n, width):
        self.n, self.width, self.i, self.j = n, width, 0, 0
        self.convs = []

    def conv(self, taps, W, b=None):
        """conv.convolve with these taps, W (T*C, K) and b (K,), at the place where it is drawn."""
        kind = PixelwiseConv if taps == ((0, 0),) else StreamedConv
        self.convs.append(kind(self, taps, W, b))
        return self.convs[-1]

    def widen(self, n):
        """Between two rows: from now on n images, so far all like the one there was."""
        self.n = n
        for conv in self.convs:
            conv.widen(n)


class PixelwiseConv:
    """A 1x1 convolution: y = x W + b, wherever it is."""

    def __init__(self, stream, taps, W, b):
        b = xp.zeros(W.shape[1], W.dtype) if b is None else b
        self.W, self.b = W, xp.tile(b, (stream.n, 1))  # not broadcast: half the time

    def widen(self, n):
        self.b = xp.tile(self.b, (n, 1))

    def __call__(self, x):
        x = raw(x)
        if x.ndim == 2:
            y = xp.dot(x, self.W)
            y += self.b
            return y
        return x @ self.W + self.b[0]


class StreamedConv:
    """One convolution. Called with arrays:

        conv(x)       x (n, 1, width, C): its result for row i, whole. Its taps may reach to the
                      right, but not below the row.
                      x (n, C): its result for pixel j. Its taps lie above, or in this row up to j.
        conv.put(x)   the pixel is drawn: x is its input, for the pixels that follow.
    """

    def __init__(self, stream, taps, W, b):
        self.stream, self.W, self.b = stream, W, b
        self.top, self.left = max(-i for i, _ in taps), max(0, *(-j for _, j in taps))
        right = max(0, *(j for _, j in taps))
        C = len(W) // len(taps)
        # Its input in the rows i - top to i. (All rows of all layers would not stay in the cache.)
        self.x = xp.zeros((stream.n, self.top + 1, self.left + stream.width + right, C), W.dtype)
        self.row = -1
        # The same taps, as offsets into self.x
        places = [(i + self.top, j + self.left) for i, j in taps]
        above = sum(i < 0 for i, _ in taps)  # they come first, in reading order
        self.places, self.places_above = tuple(places), tuple(places[:above])
        self.W_above, self.W_here = W[:above * C], W[above * C:]
        here = [j for _, j in places[above:]]
        # A row's taps are equally far apart: one slice.
        step = here[1] - here[0] if len(here) > 1 else 1
        self.here = (here[0], here[-1] + 1, step) if here else None

    def widen(self, n):
        self.x = xp.repeat(self.x, n, axis=0)

    def __call__(self, x):
        x, j = raw(x), self.stream.j
        if self.row < self.stream.i:
            self.begin_row(x.ndim == 4)
        if x.ndim == 4:
            self.x[:, -1, self.left:self.left + self.stream.width] = x[:, 0]
            return self.at_row(self.W, self.places)
        self.now[:, self.left + j] = x
        if self.here is None:
            return self.sums_above[j]
        first, last, step = self.here
        seen = self.now[:, first + j:last + j:step].reshape(len(x), -1)
        y = xp.dot(seen, self.W_here)
        y += self.sums_above[j]
        return y

    def put(self, x):
        self.x[:, -1, self.left + self.stream.j] = raw(x)

    def begin_row(self, whole):
        """Move up by a row; unless the row comes whole, sum what the taps above give, b included,
        at every pixel of it: (width, n, K)."""
        self.row, self.now = self.stream.i, self.x[:, -1]
        if self.row:
            self.x[:, :-1] = self.x[:, 1:]
        if whole:
            return
        if self.places_above:
            y = self.at_row(self.W_above, self.places_above)
            self.sums_above = xp.ascontiguousarray(y[:, 0].transpose(1, 0, 2))
        else:
            b = xp.zeros(self.W.shape[1], self.W.dtype) if self.b is None else self.b
            self.sums_above = xp.tile(b, (self.stream.width, self.stream.n, 1))

    def at_row(self, W, places):
        """b + the sum over these taps at every pixel of row i: (n, 1, width, K)."""
        return gather_matmul(self.x, W, places, (1, 1), (1, self.stream.width), self.b)
