"""73. N/M, and what becomes of it (predict)

The paper's bound is of the whole data set, N/M times the sum over a batch of M; the loss here is
the mean over the batch. N is 1000, M is 4, and there is one parameter. How many times as large are
the paper's gradient, its first step of SGD, and its first step of Adam?

    import numpy as np
    from scratchnet import Tensor, optim
    def first_step(optimizer, factor):
        p = Tensor(np.array([0.5]), requires_grad=True)
        (factor * (p * np.array([1.0, 2.0, 3.0, 4.0])).sum()).backward()
        gradient = p.grad[0]
        optimizer([p], lr=0.01).step()
        return gradient, p.data[0] - 0.5
    (paper, sgd_paper), (ours, sgd_ours) = [first_step(optim.SGD, f) for f in (1000 / 4, 1 / 4)]
    (_, adam_paper), (_, adam_ours) = [first_step(optim.Adam, f) for f in (1000 / 4, 1 / 4)]
    gradients, sgd, adam = paper / ours, sgd_paper / sgd_ours, adam_paper / adam_ours

Read docs/11-papers.md, (11.2).
"""


def predict():
    # return gradients, sgd, adam
    raise NotImplementedError
