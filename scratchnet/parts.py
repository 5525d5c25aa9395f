"""A loss over a batch, a few images at a time.

The images of a batch do not look at each other, so the batch can be cut into parts, and each
taken through the whole model, forward and back, before the next:

    y = 1/N sum over parts of sum of losses(part),    dy/dp = 1/N sum over parts of d(...)/dp

What a part computes then stays in the cache until its backward pass has used it, and only the
activations of one part are ever in memory.
"""

import numpy as np

from .backend import xp
from .tensor import record, recording


def mean_by_parts(losses, n, size):
    """The mean of the losses of n images, a Tensor, computed `size` images at a time.

    losses: a slice of the images -> their losses, Tensor (len,). y is linear in g = dL/dy, so its
    derivatives are computed with each part at once, for g = 1, and only multiplied by g later.
    On a GPU the batch is one part.
    """
    if xp.ndarray is not np.ndarray or n <= size:
        return losses(slice(0, n)).mean()
    y, sums = 0, {}
    for start in range(0, n, size):
        total = losses(slice(start, min(start + size, n))).sum()
        y = y + total.data
        if not recording():
            continue
        for leaf, gradient in total.gradients(xp.ones_like(total.data)).items():
            if leaf in sums:
                sums[leaf] += gradient
            else:
                sums[leaf] = gradient
    def slope(total):
        def dp(g): return total * (g / n)
        return dp
    return record(xp.asarray(y / n), *((leaf, slope(total)) for leaf, total in sums.items()))
