"""A loss over a batch, a few images at a time.

The images of a batch do not look at each other, so the batch can be cut into parts, and each
taken through the whole model, forward and back, before the next:

    y = 1/N sum over parts of sum of losses(part),    dy/dp = 1/N sum over parts of d(...)/dp

What a part computes then stays in the cache of one core until its backward pass has used it,
each thread works on a part of its own, and only the activations of one part for each thread are
ever in memory. The small PixelCNN, batch 32, two cores: 142 ms for loss and gradients in two
parts, 164 in one.
"""

import numpy as np

from . import parallel
from .backend import xp
from .tensor import record, recording


def mean_by_parts(losses, n, size):
    """The mean of the losses of n images, a Tensor, computed `size` images at a time.

    losses: a slice of the images -> their losses, Tensor (len,). y is linear in g = dL/dy, so its
    derivatives are computed with each part at once, for g = 1, and only multiplied by g later.
    The sums are taken in the order of the parts: the result does not depend on the threads. On a
    GPU the batch is one part.
    """
    if xp.ndarray is not np.ndarray or n <= size:
        return losses(slice(0, n)).mean()
    backward = recording()
    def one(part):
        total = losses(part).sum()
        gradients = total.gradients(xp.ones_like(total.data)) if backward else {}
        return total.data, gradients
    results = parallel.each(one, [slice(i, min(i + size, n)) for i in range(0, n, size)])
    y = sum(total for total, _ in results) / n
    sums = {}
    for _, gradients in results:
        for leaf, gradient in gradients.items():
            if leaf in sums:
                sums[leaf] += gradient
            else:
                sums[leaf] = gradient
    def slope(total):
        def dp(g): return total * (g / n)
        return dp
    return record(xp.asarray(y), *((leaf, slope(total)) for leaf, total in sums.items()))
