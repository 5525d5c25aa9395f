"""29. A running mean of the weights (write)

Parameters jump about; their running mean a lies nearer to the middle. Over the first steps it must
not remember where it began, so it keeps less at first: d' instead of d.

    a <- d' a + (1 - d') p,    d' = min(d, (1 + t) / (10 + t))

a, p: arrays of one shape; d: a number below 1; t: this step, from 1. Returns the new a.
Read docs/04-adam.md, (4.8).
"""

import numpy as np


def average(a, p, d, t):
    raise NotImplementedError
