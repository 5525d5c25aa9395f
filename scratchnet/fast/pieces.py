"""A batch in pieces: gradient accumulation, so that what a piece computes is still in the cache
when its backward pass reads it, and only the activations of one piece are ever in memory.

docs/09-speed.md derives the sum.
"""

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
