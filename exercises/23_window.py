"""23. The taps of a filter (mistake)

The taps of a filter of kh x kw pixels, in reading order. Somebody put the filter's middle over the
pixel, which is right where the padding is half of the filter, and nowhere else. At position 0 the
first tap must read the first of what the padding has put before the image.

    return tuple((i - kernel[0] // 2, j - kernel[1] // 2)
                 for i in range(kernel[0]) for j in range(kernel[1]))

kernel: (kh, kw); padding: (rows above, columns to the left). Returns kh*kw pairs (i, j).
Read docs/03-convolution.md, (3.9).
"""


def window(kernel, padding):
    raise NotImplementedError
