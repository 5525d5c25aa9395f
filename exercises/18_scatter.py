"""18. Rows put back where they came from (mistake)

scatter is the adjoint of gather: it adds every row's pixels to where gather read them. Somebody
wrote the lines below; they give back an image, and <gather(x), r> = <x, scatter(r)> fails.

    x = np.zeros((len(rows), *size, rows.shape[4]), rows.dtype)
    for t, (i, j, p, q) in enumerate(places(taps, stride, rows.shape[1:3], size)):
        x[:, i, j] = rows[:, p, q, t]
    return x

rows: (N, P, Q, T, C); taps, stride: pairs; size: (H, W). Returns (N, H, W, C). `places` has for
each tap the pixels inside the image that it reads, and the positions that read them, as slices.
Read docs/03-convolution.md, (3.3).
"""

import numpy as np

from scratchnet.taps import places


def scatter(rows, taps, stride, size):
    raise NotImplementedError
