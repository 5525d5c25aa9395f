"""36. One training step (write)

The loss is computed. What is left of a step is three calls, and their order: forget the gradients
of the step before, find those of this loss, change the parameters.

model.loss(x) gives (loss, metrics), the loss a Tensor. optimizer has zero_grad() and step().
Returns nothing.
Read docs/05-network.md, "The loop, written out".
"""


def step(model, optimizer, x):
    loss, _ = model.loss(x)
    raise NotImplementedError
