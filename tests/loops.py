"""Convolution a pixel at a time, in Python: what everything else is compared with."""

import numpy as np


def convolve_by_loops(x, W, taps, stride, size):
    """What a convolution is, a pixel at a time: y[n, p, q] = sum over t of x[under tap t] W[t].

    x: (N, H, W, C); W: (T, C, K), a matrix for each tap; y: (N, P, Q, K).
    """
    N, height, width, _ = x.shape
    y = np.zeros((N, *size, W.shape[2]), x.dtype)
    for n, p, q in np.ndindex(N, *size):
        for t, (i, j) in enumerate(taps):
            row, column = p * stride[0] + i, q * stride[1] + j
            if 0 <= row < height and 0 <= column < width:
                y[n, p, q] += x[n, row, column] @ W[t]
    return y


def transposed_by_loops(x, W, taps, stride, size):
    """What its transpose is: each pixel x[n, p, q] adds W[t] x[n, p, q] to the pixel under tap t.

    x: (N, P, Q, C); W: (T, K, C); y: (N, *size, K).
    """
    N, P, Q, _ = x.shape
    y = np.zeros((N, *size, W.shape[1]), x.dtype)
    for n, p, q in np.ndindex(N, P, Q):
        for t, (i, j) in enumerate(taps):
            row, column = p * stride[0] + i, q * stride[1] + j
            if 0 <= row < size[0] and 0 <= column < size[1]:
                y[n, row, column] += W[t] @ x[n, p, q]
    return y
