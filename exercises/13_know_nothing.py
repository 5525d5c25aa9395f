"""13. The loss of a model that knows nothing (predict)

Ten classes, and all logits are 0. What is the loss in nats, what is its derivative with respect to
the logit of the right class, and what do the derivatives of all ten logits add up to?

    import numpy as np
    from scratchnet import Tensor, losses
    z = Tensor(np.zeros((1, 10)), requires_grad=True)
    loss = losses.softmax_cross_entropy(z, np.array([3]))
    loss.backward()
    right_class = z.grad[0, 3]
    all_ten = z.grad.sum()

Read docs/02-cross-entropy.md, (2.5).
"""


def predict():
    # return loss, right_class, all_ten
    raise NotImplementedError
