"""22. A transposed convolution: a pixel is a stamp (write)

Here a pixel of x is not what a tap reads but what it writes: x[n, p, q], times W[t], is added to
the pixel of y under tap t. Write it by loops; a tap outside of y adds nothing.

    y[n, p s + i_t, q s + j_t]  gets  W[t] x[n, p, q]    for all n, p, q, t

x: (N, P, Q, C); W: (T, K, C); taps: T pairs; stride: s; size: (H, W). Returns y (N, H, W, K).
Read docs/03-convolution.md, (3.7).
"""

import numpy as np


def transposed(x, W, taps, stride, size):
    raise NotImplementedError
