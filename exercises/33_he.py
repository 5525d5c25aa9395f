"""33. How large weights begin (write)

An output is a sum of fan_in products, so its variance is fan_in times that of a weight times the
mean of x^2; a ReLU before it has halved that mean. Draw weights so that the variance stays.

    w ~ N(0, 2 / fan_in)        the second number is the variance

rng: a np.random.Generator; call it once, for float64 numbers: the check calls one with the same
seed. shape: a tuple. Returns an array of that shape.
Read docs/05-network.md, (5.8).
"""

import numpy as np


def he_normal(rng, shape, fan_in):
    raise NotImplementedError
