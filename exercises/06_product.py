"""6. Both derivatives of a matrix product (write)

y = x w, for many rows x and one matrix w. Write dL/dx and dL/dw as two products of matrices; the
shapes leave only one way.

    y_ij = sum over k of x_ik w_kj

x: (n, k), w: (k, m), g: (n, m). Returns dx (n, k), dw (k, m).
Read docs/01-chain-rule.md, (1.5).
"""

import numpy as np


def derivatives(g, x, w):
    # return dx, dw
    raise NotImplementedError
