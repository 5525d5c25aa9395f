"""65. From nats an image to bits a dimension (write)

Losses are in nats, and of a whole image; what papers compare is in bits, and of one of its numbers:
height times width times colours.

    bits = nats / log 2

nll: -log p(x) in nats, a number; shape: (H, W, C). Returns a number.
Read docs/09-priors-and-bits.md, (9.5).
"""

import math


def bits_per_dim(nll, shape):
    raise NotImplementedError
