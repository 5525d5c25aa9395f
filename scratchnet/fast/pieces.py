"""A batch in pieces: gradient accumulation, so that what a piece computes is still in the cache
when its backward pass reads it, and only the activations of one piece are ever in memory.

docs/09-speed.md derives the sum.
"""

import numpy as np

from .memory import on_host


def pieces(part, n, size):
    """[(slice of the batch, its share of the n images), ...] of the slice `part`, at most `size`
    images each, about equally many (None: all at once, as on a GPU).

    A part without images gives the batch's first image, counted 0 times: its process then has
    gradients and metrics of the right shapes to add to the others', all 0.
    """
    if part.start == part.stop:
        return [(slice(0, 1), 0.0)]
    images = part.stop - part.start
    count = -(-images // size) if size and on_host() else 1
    ends = [part.start + images * k // count for k in range(count + 1)]
    return [(slice(a, b), (b - a) / n) for a, b in zip(ends, ends[1:], strict=False)]


class PieceGenerator(np.random.Generator):
    """rng for a piece of n images: it draws for all of them and hands out the piece's rows, so that
    an image's noise does not depend on how the batch is cut. Other distributions than the normal
    are drawn as by rng."""

    def __init__(self, rng, piece, n):
        super().__init__(rng.bit_generator)
        self.piece, self.n = piece, n

    def standard_normal(self, size, dtype=np.float64):
        """N(0, 1) numbers for the piece's images; size: how many, or a shape that begins so."""
        of_each = () if isinstance(size, int) else size[1:]
        return super().standard_normal((self.n, *of_each), dtype=dtype)[self.piece]
