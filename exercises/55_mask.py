"""55. The taps that a pixel may see (write)

In reading order, a PixelCNN's filter keeps the taps before its middle. In the first layer (type A)
the middle itself is hidden, as it is what is to be predicted; in later ones (type B) it is not.

    A   1 1 1      B   1 1 1
        1 . .          1 1 .
        . . .          . . .

kind: "A" or "B"; height, width: odd. Returns an array of bool (height, width).
Read docs/08-pixelcnn.md, (8.2).
"""

import numpy as np


def mask(kind, height, width):
    raise NotImplementedError
