"""24. A step with momentum (write)

Gradient descent, with a memory: u is a sum of all gradients so far, in which the older ones count
less and less. Weight decay adds a part of the parameter itself to its gradient.

    u <- momentum u + g + weight_decay p,    p <- p - lr u

p, g, u: arrays of one shape; the rest: numbers. Returns the new p and the new u.
Read docs/04-adam.md, (4.1).
"""

import numpy as np


def step(p, g, u, lr, momentum, weight_decay):
    # return p, u
    raise NotImplementedError
