"""Softmax, cross-entropy and the logistic loss."""

import numpy as np

from scratchnet import losses, ops

from ..check import N, answer, predicted
from .chapter_1 import through

LARGE = np.array([[1000, 1001, 998.5], [0.5, -1, 2], [-1000, -1000, -1002]])
WIDE = np.array([[-1000.0, 0, 1000]])  # nothing but its largest may be taken off


@answer("scratchnet.ops.reductions.softmax: y =", "scratchnet.ops.reductions.softmax: y /=",
        swap={"axis=axis": "axis=-1", "axis)": "-1)"}, then="return y",
        cases=[{"x": LARGE}, {"x": WIDE}],
        hint="m = x.max(axis=-1, keepdims=True) keeps its axis, so that x - m broadcasts.",
        wrong={"y = np.exp(x)\nreturn y / y.sum(axis=-1, keepdims=True)": "overflows",
               "y = np.exp(x - x.max(axis=-1, keepdims=True))\nreturn y / y.sum()":
               "Along axis 1 it is off by one and the same factor",
               "y = np.exp(x - x.max(axis=0))\nreturn y / y.sum(axis=-1, keepdims=True)":
               "found nan",
               "y = np.exp(x - x[:, :1])\nreturn y / y.sum(axis=-1, keepdims=True)": "found nan"})
def softmax(x):
    return ops.softmax(x).data


@answer("scratchnet.ops.reductions.softmax.dx", swap={"axis=axis": "axis=-1"}, returns=("dL/dx",),
        cases=[{"g": N(2, 3), "y": softmax(np.array([[1, 2, 0], [0.5, 0, -3]]))}],
        hint="Put the formula in: the sum over j of g_j y_j ([i = j] - y_i) is g_i y_i less y_i "
             "times the row's sum of g_j y_j.",
        wrong={"return g * y * (1 - y)": "It should also depend on g",
               "return g * y": "It should also depend on g",
               "return y * (g - (g * y).sum(axis=-1))": "ValueError",
               "return y * (g - (g * y).sum())": "It depends on g[0, 0], and should not",
               "return y * (1 - y.sum(axis=-1, keepdims=True))": "It does not depend on g"})
def softmax_backward(g, y):
    return through(ops.softmax, g, np.log(y))


@answer("scratchnet.ops.reductions.logsumexp: m =", "scratchnet.ops.reductions.logsumexp: e =",
        "scratchnet.ops.reductions.logsumexp: sum_ =", "scratchnet.ops.reductions.logsumexp: y =",
        swap={"axis=axis": "axis=-1", ", axis)": ", -1)"}, then="return y[..., 0]",
        cases=[{"x": LARGE}, {"x": WIDE}],
        hint="e^x = e^m e^(x - m): the logarithm of the first factor is m. Take m from the row, "
             "and add it at the end.",
        wrong={"m = x.max(axis=-1, keepdims=True)\nreturn np.log(np.exp(x - m).sum(axis=-1))":
               "wrong in 3 of 3", "return x.max(axis=-1)": "wrong in 3 of 3",
               "m = x.max(axis=-1, keepdims=True)\n"
               "return m + np.log(np.exp(x - m).sum(axis=-1))": "shape (3,), found (3, 3)",
               "m = x.mean(axis=-1)\nreturn m + np.log(np.exp(x - m[:, None]).sum(axis=-1))":
               "found inf"})
def logsumexp(x):
    return ops.logsumexp(x).data


@answer("scratchnet.losses.softmax_cross_entropy: chosen =",
        "scratchnet.losses.softmax_cross_entropy: m =",
        "scratchnet.losses.softmax_cross_entropy: sum_ =",
        "scratchnet.losses.softmax_cross_entropy.dlogits", swap={"logits": "z"}, returns=("dL/dz",),
        cases=[{"g": N(3), "z": N(3, 4), "labels": np.array([2, 0, 3])}],
        hint="d = softmax(z); d[np.arange(n), labels] -= 1; g[:, None] is a factor for each row.",
        wrong={"d = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)\n"
               "d[np.arange(3), labels] -= 1\nreturn d": "It does not depend on g",
               "d = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)\nreturn g[:, None] * d":
               "wrong in 3 of 12",
               "d = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)\n"
               "d[np.arange(3), labels] -= 1\nreturn -g[:, None] * d": "-1 times",
               "d = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)\n"
               "d[np.arange(3), labels] -= 1\nreturn g[:, None] * d / 3": "1/3 times"})
def cross_entropy(g, z, labels):
    return through(lambda z: losses.softmax_cross_entropy(z, labels, "none"), g, z)


predicted("know_nothing", "loss, right_class, all_ten",
          hint="Each class gets 1/10, so the loss is log 10; the derivative is the softmax less 1 "
               "at the right class.",
          wrong={"return 2.303, 0.1, 0.0": "right_class: expected -0.9, found 0.1",
                 "return 1.0, -0.9, 0.0": "loss: expected 2.30259",
                 "return 2.303, -0.9, 1.0": "all_ten"})

FAR = np.array([[-1000.0, -40, -1], [0, 2, 1000]])


@answer("scratchnet.ops.elementwise.softplus_of", atol=0, cases=[{"x": FAR}],
        hint="np.maximum(x, 0) is elementwise; np.abs(x) makes the exponent -|x|, never above 0.",
        wrong={"return np.log(1 + np.exp(x))": "overflows",
               "return np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x)))": "where x = -40",
               "return np.maximum(x, 0) + np.log1p(np.exp(-x))": "overflows",
               "return np.log1p(np.exp(-np.abs(x)))": "wrong in 2 of 6"})
def softplus(x):
    return ops.softplus(x).data


@answer("loss = scratchnet.losses.bce_of", "dl = scratchnet.losses.bce_slope",
        then="return loss, dl", swap={"logits": "l"}, returns=("loss", "dL/dl"),
        cases=[{"g": N(2, 3), "l": FAR, "t": np.array([[0, 0.3, 1], [1, 0, 1]])}],
        hint="dL/dl = g (sigmoid(l) - t): the slope of softplus is sigmoid.",
        wrong={"return softplus_of(l) - l * t, sigmoid_of(l) - t": "It does not depend on g",
               "return softplus_of(l) - l * t, g * (t - sigmoid_of(l))": "-1 times",
               "return softplus_of(l) - t, g * (sigmoid_of(l) - t)": "loss at",
               "p = sigmoid_of(l)\n"
               "return -t * np.log(p) - (1 - t) * np.log(1 - p), g * (p - t)": "logarithm of 0"})
def bce(g, l, t):
    return (losses.bce_with_logits(l, t, "none").data,
            through(lambda l: losses.bce_with_logits(l, t, "none"), g, l))
