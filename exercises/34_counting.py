"""34. Counting weights and steps (predict)

A network for images of 28 x 28 pixels and ten classes, with 100 hidden units. How many numbers does
it learn? How many steps has an epoch? And are two linear layers with nothing between only one?

    import numpy as np
    from scratchnet import nn
    rng = np.random.default_rng(0)
    network = nn.mlp([784, 100, 10], "relu", rng)
    numbers = sum(p.size for p in network.parameters())
    steps = len(range(0, 60_000, 128))          # batches of 128, the last one smaller
    a, b = rng.standard_normal((784, 100)), rng.standard_normal((100, 10))
    x = rng.standard_normal((5, 784))
    is_one_layer = bool(np.allclose(x @ a @ b, x @ (a @ b)))

Read docs/05-network.md, (5.3) and (5.6).
"""


def predict():
    # return numbers, steps, is_one_layer
    raise NotImplementedError
