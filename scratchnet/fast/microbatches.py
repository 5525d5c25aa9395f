"""A batch in micro-batches: gradient accumulation, so that what one computes is still in the cache
when its backward pass reads it, and only the activations of one are ever in memory.

docs/10-speed.md derives the sum.
"""

from .memory import on_host


def microbatches(shard, n, size):
    """[(slice of the batch, its weight n_b/n), ...] of the slice `shard` of n images, at most
    `size` images each, about equally many (None: all at once, as on a GPU).

    A shard without images gives the batch's first image, with weight 0: its process then has
    gradients and metrics of the right shapes to add to the others', all 0.
    """
    if shard.start == shard.stop:
        return [(slice(0, 1), 0.0)]
    images = shard.stop - shard.start
    count = -(-images // size) if size and on_host() else 1
    ends = [shard.start + images * k // count for k in range(count + 1)]
    return [(slice(a, b), (b - a) / n) for a, b in zip(ends, ends[1:], strict=False)]
