"""A network."""

import numpy as np

from models import Autoencoder
from scratchnet import Tensor, losses, nn, ops, optim, training

from ..check import N, Wrong, answer, predicted
from .chapter_1 import through

LINEAR = "scratchnet.ops.products.linear"


@answer(f"{LINEAR}: y = rows", f"{LINEAR}: y += b", f"dx = {LINEAR}.dx", f"dw = {LINEAR}.dw",
        f"db = {LINEAR}.db", then="return y, dx, dw, db", returns=("y", "dx", "dw", "db"),
        swap={"g.reshape(n, n_out)": "g", ".reshape(x.shape)": "", "rows": "x"},
        cases=[dict(g=N(4, 2), x=N(4, 3), w=N(3, 2), b=N(2))],
        hint="b is added to every row, so its gradient is the sum of g over the rows.",
        wrong={"return x @ w + b, g @ w.T, x.T @ g, g": "db: expected shape (2,), found (4, 2): "
               "summed over axis 0 it would be right",
               "return x @ w + b, g @ w.T, x.T @ g, g.mean(axis=0)": "1/4 times",
               "return x @ w, g @ w.T, x.T @ g, g.sum(axis=0)": "y at"})
def linear(g, x, w, b):
    leaves = [Tensor(v, requires_grad=True) for v in (x, w, b)]
    y = ops.linear(*leaves)
    y.backward(g)
    return y.data, *(t.grad for t in leaves)


@answer("scratchnet.ops.elementwise.where_positive", returns=("dL/dx",),
        cases=[dict(g=np.array([[1.0, -2, 3], [-4, 5, -6]]),
                    y=np.array([[0.0, 0, 2], [1, 0, 0.5]]))],
        hint="The slope of max(x, 0) is 1 where x > 0, and y is above 0 exactly there. g may have "
             "either sign.",
        wrong={"return g * (y >= 0)": "where g = 5, y = 0", "return g * y":
               "where g = ", "return (y > 0).astype(float)": "It does not depend on g"})
def relu(g, y):
    return through(ops.relu, g, np.where(y > 0, y, -1))


@answer("scratchnet.nn.he_normal", measure=lambda f, shape, fan_in:
        f(np.random.default_rng(1), shape, fan_in),
        cases=[dict(shape=(8, 3), fan_in=8), dict(shape=(3, 3, 2, 4), fan_in=18)],
        returns=("w",), hint="rng.normal(0, s, shape) takes the standard deviation s, the root of "
                             "the variance.",
        wrong={"return rng.normal(0, 2 / fan_in, shape)": "1/2 times",
               "return rng.normal(0, (1 / fan_in) ** 0.5, shape)": "0.7071 times",
               "return rng.normal(0, (2 / shape[0]) ** 0.5, shape)": "2.449 times",
               "return rng.uniform(-1, 1, shape) * (2 / fan_in) ** 0.5": "w at ("})
def he(shape, fan_in):
    return nn.he_normal(np.random.default_rng(1), shape, fan_in, 0)


predicted("counting", "numbers, steps, is_one_layer",
          hint="A layer from n to m numbers has n m weights and m biases; 60,000 / 128 is 468.75.",
          wrong={"return 79400, 469, True": "numbers: expected 79510, found 79400",
                 "return 79510, 468, True": "steps: expected 469, found 468",
                 "return 79510, 469, False": "is_one_layer: expected True"})


def block(Block, h):
    """What a block computes, and its gradients."""
    module = Block(4, np.random.default_rng(2)).astype(np.float64)
    h = Tensor(h, requires_grad=True)
    y = module(h)
    y.sum().backward()
    return y.data, h.grad


class Block(nn.ResidualBlock):
    def __init__(self, size, rng):
        self.narrow, self.widen = nn.Linear(size, size // 2, rng), nn.Linear(size // 2, size, rng)


@answer("scratchnet.nn.ResidualBlock.forward", swap={"x": "h"}, returns=("y", "dL/dh"),
        measure=block, cases=[dict(h=N(3, 4))],
        hint="y = self.narrow(ops.relu(h)) is the first half.",
        wrong={"y = self.narrow(ops.relu(h))\nreturn self.widen(ops.relu(y))": "y at (",
               "y = ops.relu(self.narrow(h))\nreturn h + self.widen(y)": "y at (",
               "y = self.narrow(ops.relu(h))\nreturn h + self.widen(y)": "y at (",
               "self.narrow(ops.relu(h))": "What came back cannot be used"})
def module(h):
    return block(Block, h)


def weights(step, x):
    """The weights after each of two steps."""
    model = Autoencoder(4, 3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = []
    for _ in range(2):
        step(model, optimizer, x)
        found.append(model.code.w.data.copy())
    return tuple(found)


@answer(*[f"examples.vae_in_60_lines.train: {line}" for line in
          ("adam.zero_grad()", "loss.backward()", "adam.step()")], swap={"adam": "optimizer"},
        cases=[dict(x=np.float32([[0, 1, 0.5, 1], [1, 0, 0, 0.2]]))], measure=weights,
        returns=("the weights after one step", "the weights after two steps"), rtol=1e-4,
        hint="backward() adds to what .grad has already: without zero_grad() the second step goes "
             "by the sum of both gradients.",
        wrong={"loss.backward()\noptimizer.step()": "the weights after two steps",
               "optimizer.zero_grad()\nloss.backward()": "the weights after one step",
               "loss.backward()\noptimizer.zero_grad()\noptimizer.step()":
               "the weights after one step"})
def step(x):
    return weights(lambda model, optimizer, x: training.step(
        model, optimizer, x[:, None, :, None], np.random.default_rng(0)), x)


def with_a_tape(loss, logits, x):
    found = loss(Tensor(logits, requires_grad=True), x)
    if not isinstance(found, Tensor) or not found.requires_grad:
        raise Wrong(f"the loss: found a {type(found).__name__} without a tape; a Tensor that "
                    f"depends on the logits is asked for: nothing could be trained")
    return found.data


@answer("models.autoencoder.Autoencoder.loss: loss =", then="return loss",
        swap={"self.decode(z)": "logits"}, measure=with_a_tape, returns=("the loss",),
        cases=[dict(logits=N(3, 4), x=np.array([[0, 1, 0.5, 1], [1, 0, 0, 0], [1, 1, 1, 0.0]])),
               dict(logits=N(2, 4), x=np.array([[0, 1, 0.5, 1], [1, 0, 0, 0.0]]))],
        hint='reduction="batchmean" is the sum over all, divided by the number of images alone.',
        wrong={'return losses.bce_with_logits(logits, x, reduction="sum")': "the loss: expected",
               'return losses.bce_with_logits(logits, x, reduction="mean") * len(x)':
               "the loss: expected",
               'return losses.bce_with_logits(logits, x, "none").data.sum(axis=1).mean()':
               "found a float64 without a tape",
               'losses.bce_with_logits(logits, x, "batchmean")': "found a NoneType"})
def autoencoder(logits, x):
    return losses.bce_with_logits(logits, x, "none").data.sum(axis=1).mean()


predicted("pca", "right, up, first, third, error",
          hint="(3, 4) has the length 5, so the direction is (3, 4)/5, and a code is a length "
               "along it. All points are on the line.",
          wrong={"return 3.0, 4.0, 5.0, 10.0, 0.0": "right: expected 0.6, found 3",
                 "return 0.6, 0.8, 25.0, 100.0, 0.0": "first: expected 5, found 25",
                 "return 0.6, 0.8, 5.0, 10.0, 1.0": "error: expected 0, found 1"})
