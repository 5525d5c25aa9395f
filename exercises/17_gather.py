"""17. The pixels under every tap, as rows (write)

Copy what the taps read at each output position (p, q), so that a convolution is one product of
matrices. With a stride s, position (p, q) lies over pixel (p s, q s).

    rows[n, p, q, t] = x[n, p s + i_t, q s + j_t], and 0 outside the image

x: (N, H, W, C); taps: T pairs (i, j); stride: s; size: (P, Q). Returns (N, P, Q, T, C).
Read docs/03-convolution.md, (3.2).
"""

import numpy as np


def gather(x, taps, stride, size):
    raise NotImplementedError
