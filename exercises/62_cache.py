"""62. One pixel of a convolution, from what is known (write)

While an image is drawn, a layer keeps its input of this row, and the sum over the taps in rows
above is known for the whole row. What is left for pixel j are the taps in the row itself.

    y_j = sums_above_j + sum over taps q of now[j + q] W_q,    q = first, first + step, ... < last

now: (n, zeros + width, C), the row, with zeros before it so that no tap is below 0; W_here:
(T*C, K), of the T taps in this row; sums_above: (width, n, K). Returns (n, K).
Read docs/08-pixelcnn.md, (8.19).
"""

import numpy as np


def at_pixel(now, W_here, sums_above, j, first, last, step):
    raise NotImplementedError
