"""16. A convolution, a pixel at a time (write)

A filter is a list of taps, offsets (i, j) from an output position to the pixels that it reads, and
a matrix W[t] for each tap. Write it by loops; a tap outside the image adds nothing.

    y[n, p, q] = sum over t of x[n, p + i_t, q + j_t] W[t]

x: (N, H, W, C); W: (T, C, K); taps: T pairs (i, j). Returns y (N, H, W, K).
Read docs/03-convolution.md, (3.1).
"""

import numpy as np


def convolve(x, W, taps):
    raise NotImplementedError
