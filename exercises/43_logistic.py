"""43. A probability for each of 256 levels (write)

A pixel takes the levels 0, d, 2 d, ..., 1, with d = 1/255. Its probability is what a logistic
distribution has in its bin, half a step to either side; the bins at 0 and 1 reach to infinity.

    P = sigmoid(a) - sigmoid(b),    a = (x - mean + d/2) / s,    b = (x - mean - d/2) / s

where the first is 1 at x = 1, and the second 0 at x = 0. Far from the mean both sigmoids round to
the same number, and the logarithm of their difference is infinite: find a form that stays exact.
x, mean: arrays of one shape, x in [0, 1]; s: a number above 0. Returns -log P, of that shape.
Read docs/06-vae.md, (6.8).
"""

import numpy as np

from scratchnet.ops.elementwise import sigmoid_of, softplus_of


def nll(x, mean, s):
    raise NotImplementedError
