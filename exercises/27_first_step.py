"""27. How far is Adam's first step? (predict)

Two parameters, one with a tiny gradient, the other with a huge one, and SGD beside Adam. Where
does each end up, with its sign? (Two digits are enough.)

    import numpy as np
    from scratchnet import Tensor, optim
    p = Tensor(np.array([0.0, 0.0]), requires_grad=True)
    p.grad = np.array([0.001, -1000.0])
    optim.Adam([p], lr=0.01).step()
    adam_small, adam_large = p.data
    q = Tensor(np.array([0.0, 0.0]), requires_grad=True)
    q.grad = np.array([0.001, -1000.0])
    optim.SGD([q], lr=0.01).step()
    sgd_small, sgd_large = q.data

Read docs/04-adam.md, (4.4).
"""


def predict():
    # return adam_small, adam_large, sgd_small, sgd_large
    raise NotImplementedError
