"""15. Binary cross-entropy on logits (write)

A pixel is t = 0 or 1 (or grey, between), and p = sigmoid(l) is the model's probability of 1. Write
the loss and its derivative, from the logits l; `softplus_of` is the previous exercise.

    loss = -t log p - (1 - t) log(1 - p) = softplus(l) - l t

g, l, t: arrays of one shape; g = dL/dloss, where L is some number made of these losses. Returns
the loss, without g, and dL/dl, with it, both of that shape.
Read docs/02-cross-entropy.md, (2.8).
"""

import numpy as np

from scratchnet.ops.elementwise import sigmoid_of, softplus_of


def bce(g, l, t):
    # return loss, dl
    raise NotImplementedError
