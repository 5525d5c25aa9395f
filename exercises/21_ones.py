"""21. A filter of ones over an image of ones (predict)

Without padding, with padding, and the other way round: what does each pixel of the result count,
and how large is it?

    import numpy as np
    from scratchnet.conv import conv2d, conv_transpose2d
    x, w = np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1))
    inside = conv2d(x, w).data[0, 0, 0, 0]
    corner = conv2d(x, w, padding=1).data[0, 0, 0, 0]
    stamped = conv_transpose2d(np.ones((1, 3, 3, 1)), w, stride=2)
    size = stamped.shape[1]
    where_four_meet = stamped.data[0, 2, 2, 0]

Read docs/03-convolution.md, (3.1) and (3.7).
"""


def predict():
    # return inside, corner, size, where_four_meet
    raise NotImplementedError
