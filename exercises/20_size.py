"""20. How large is the output? (write)

n pixels, with p zeros put on either side, and a filter of k that moves s pixels at a time. Count
the positions at which it lies inside.

    floor((n + 2 p - k) / s) + 1

All are whole numbers, and so is the result; p is the a of (3.9).
Read docs/03-convolution.md, (3.9).
"""


def out_size(n, k, s, p):
    raise NotImplementedError
