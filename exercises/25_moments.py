"""25. Adam's two running means (write)

Adam keeps a running mean of each parameter's gradient and one of its square. Both take a small
part of what is new, and keep the rest of what they were.

    m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2

m, v, g: arrays of one shape; b1, b2: numbers below 1. Returns the new m and the new v.
Read docs/04-adam.md, (4.2).
"""

import numpy as np


def moments(m, v, g, b1, b2):
    # return m, v
    raise NotImplementedError
