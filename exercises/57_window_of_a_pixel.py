"""57. How far a pixel sees (predict)

A 7x7 layer of type A, and two 3x3 of type B. Does pixel (10, 10) see itself, how many rows up does
it see, and how far to the right in the row above, and two rows above?

    import numpy as np
    from models.pixelcnn import masked_conv
    from scratchnet import Tensor
    x = Tensor(np.zeros((1, 21, 21, 1), np.float32), requires_grad=True)
    y = masked_conv("A", 1, 1, 7, 1, np.random.default_rng(0))(x)
    for layer in range(2):
        y = masked_conv("B", 1, 1, 3, 1, np.random.default_rng(layer))(y)
    y[0, 10, 10, 0].backward()
    seen = x.grad[0, :, :, 0] != 0
    itself = bool(seen[10, 10])
    rows_up = 10 - np.flatnonzero(seen.any(axis=1))[0]
    right_one_up = np.flatnonzero(seen[9])[-1] - 10
    right_two_up = np.flatnonzero(seen[8])[-1] - 10

Read docs/08-pixelcnn.md, (8.4).
"""


def predict():
    # return itself, rows_up, right_one_up, right_two_up
    raise NotImplementedError
