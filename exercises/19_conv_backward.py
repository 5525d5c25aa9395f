"""19. Both derivatives of a convolution (write)

y = gather(x) W, with W as one matrix. Write dL/dx and dL/dW: derivatives of a product, and the
adjoint of gather, which is scatter. as_matrix makes (N, P, Q, T*C) of rows (N, P, Q, T, C).

    dx = scatter(g W^T),    dW = gather(x)^T g, summed over all positions

scatter takes rows (N, P, Q, T, C), so reshape g W^T first.
g: (N, P, Q, K); x: (N, H, W, C); W: (T*C, K). Returns dx as x, dW as W.
Read docs/03-convolution.md, (3.5).
"""

import numpy as np

from scratchnet.taps import as_matrix, gather, scatter


def derivatives(g, x, W, taps, stride):
    # gather(x, taps, stride, size of g), scatter(rows, taps, stride, size of x); return dx, dW
    raise NotImplementedError
