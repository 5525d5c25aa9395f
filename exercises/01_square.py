"""1. The derivative of a square (write)

An op does not return dy/dx: it is given g = dL/dy, the derivative of some number L at the end, and
returns dL/dx. Write it for y = x^2, elementwise.

    dL/dx = g dy/dx

g, x: arrays of one shape; the result has it, too.
Read docs/01-chain-rule.md, (1.3).
"""

import numpy as np


def dx(g, x):
    raise NotImplementedError
