"""Ops whose formula could lose digits, in float32 beside float64, over the whole range.

A gradient check runs in float64, near 0, where all forms of a formula agree. Each row of TABLE has
what the op should give, in float64 and in another form.
"""

import numpy as np
import pytest

from scratchnet import Tensor, conv, losses, ops, to_numpy
from scratchnet.fast.products import column_sum

SMALL = np.geomspace(1e-30, 85, 200)
WIDE = np.r_[np.linspace(-85, 85, 3401), SMALL, -SMALL]
FARTHER = np.r_[WIDE, -1000, -300, -100, 100, 300, 1000]
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 7, 60)
FEW = np.r_[RNG.standard_normal((50, 7)) * 3, np.zeros((1, 7)), RNG.standard_normal((9, 7)) * 30]
PIXELS = np.float32(RNG.integers(0, 256, 4000) / 255)
NEAR = PIXELS + RNG.normal(0, 0.05, 4000) * (RNG.random(4000) < 0.7)
SCALES = RNG.uniform(-7, 3, 4000)


def sigmoid(x): return np.exp(-np.logaddexp(0, -x))
def bce(x, t): return (1 - t) * np.logaddexp(0, x) + t * np.logaddexp(0, -x)
def shifted(x): return x - x.max(axis=-1, keepdims=True)
def log_softmax(x): return shifted(x) - np.log(np.exp(shifted(x)).sum(axis=-1, keepdims=True))
def of_label(x): return np.take_along_axis(x, LABELS[:, None], -1)[:, 0]
def one_hot(x): return np.arange(7) == LABELS[:, None]


def logistic(mean, log_scale):
    """-log P of PIXELS; log(1 - e^-w) with the digits of each end."""
    d, inverse_s = 1 / 255, np.exp(-log_scale)
    a, b = (PIXELS - mean + d / 2) * inverse_s, (PIXELS - mean - d / 2) * inverse_s
    w = d * inverse_s
    with np.errstate(divide="ignore"):
        rest = np.where(w < 1, np.log(-np.expm1(-w)), np.log1p(-np.exp(-w)))
    above, below = np.logaddexp(0, -a), np.logaddexp(0, b)
    return np.where(PIXELS == 0, above, np.where(PIXELS == 1, below, above + below - rest))


# name, op, inputs, its value, its slopes (None: not compared), how far float32 may be from them:
# relative, and absolute, where the formula itself subtracts two numbers that are nearly equal
TABLE = [
    ("exp", ops.exp, (WIDE,), np.exp, (np.exp,), 1e-6, 0),
    ("div", ops.div, (np.r_[1e30, -1e30, 1e-30, 3], np.r_[1e30, -1e30, 1e-30, 7]),
     np.divide, (lambda a, b: 1 / b, lambda a, b: -a / b / b), 1e-6, 0),
    ("log", ops.log, (np.geomspace(1e-30, 1e30, 500),), np.log, (lambda x: 1 / x,), 1e-6, 0),
    ("sqrt", ops.sqrt, (np.geomspace(1e-30, 1e30, 500),), np.sqrt, (lambda x: 0.5 * x ** -0.5,),
     1e-6, 0),
    ("tanh", ops.tanh, (FARTHER,), np.tanh, (lambda x: 1 - np.tanh(x) ** 2,), 1e-6, 3e-7),
    ("sigmoid", ops.sigmoid, (FARTHER,), sigmoid, (lambda x: sigmoid(x) * sigmoid(-x),), 1e-6,
     3e-7),
    ("sigmoid, left", ops.sigmoid, (WIDE[WIDE < 0],), sigmoid,
     (lambda x: sigmoid(x) * sigmoid(-x),), 1e-6, 0),
    ("softplus", ops.softplus, (FARTHER,), lambda x: np.logaddexp(0, x), (sigmoid,), 1e-6, 0),
    ("elu", ops.elu, (WIDE,), lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
     (lambda x: np.exp(np.minimum(x, 0)),), 1e-6, 0),
    ("gate", lambda t, s: ops.gate(ops.stack([t, s], axis=-1))[..., 0],
     (np.clip(WIDE[::-1], -4, 4), WIDE), lambda t, s: np.tanh(t) * sigmoid(s),
     (lambda t, s: np.cosh(t) ** -2 * sigmoid(s), None), 1e-6, 1e-7),
    *((f"bce of {t}", lambda x, t=t: losses.bce_with_logits(x, np.full(x.shape, t), "none"),
       (FARTHER,), lambda x, t=t: bce(x, t), (lambda x, t=t: sigmoid(x) - t,), 1e-6, 2e-7)
      for t in (0, 0.25, 1)),
    ("bce of 0, slope", lambda x: losses.bce_with_logits(x, np.zeros(x.shape), "none"), (WIDE,),
     lambda x: bce(x, 0), (sigmoid,), 1e-6, 0),
    *((f"{name}, {far:g}", op, (np.float32(FEW + far),), value, slopes, 3e-6, 1e-6)
      for far in (0, 1e3, 1e5, 1e8) for name, op, value, slopes in [
        ("softmax", ops.softmax, lambda x: np.exp(log_softmax(x)), (None,)),
        ("log_softmax", ops.log_softmax, log_softmax,
         (lambda x: 1 - 7 * np.exp(log_softmax(x)),)),
        ("logsumexp", ops.logsumexp,
         lambda x: x.max(axis=-1) + np.log(np.exp(shifted(x)).sum(axis=-1)),
         (lambda x: np.exp(log_softmax(x)),)),
        ("cross-entropy", lambda x: losses.softmax_cross_entropy(x, LABELS, "none"),
         lambda x: -of_label(log_softmax(x)), (lambda x: np.exp(log_softmax(x)) - one_hot(x),))]),
    ("KL", lambda m, v: losses.gaussian_kl(m, v, "none"),
     (RNG.standard_normal(300), np.r_[RNG.standard_normal(150), np.linspace(-20, 10, 150)]),
     lambda m, v: 0.5 * (m * m + np.expm1(v) - v),
     (lambda m, v: m, lambda m, v: 0.5 * np.expm1(v)), 1e-6, 1e-9),
    ("logistic", lambda m, s: losses.discretised_logistic(m, s, PIXELS, "none"), (NEAR, SCALES),
     logistic, (None, None), 1e-5, 0),
    ("log(1 - e^-w)", lambda w: Tensor(losses.log_of_rest(w.data)), (np.geomspace(1e-6, 80, 500),),
     lambda w: np.where(w < 1, np.log(-np.expm1(-w)), np.log1p(-np.exp(-w))), (None,), 1e-6, 0),
]


@pytest.mark.parametrize("name, op, inputs, value, slopes, rtol, atol", TABLE,
                         ids=[row[0] for row in TABLE])
def test_float32_keeps_its_digits(name, op, inputs, value, slopes, rtol, atol, backend):
    """The value, and the slopes by an upstream gradient of ones."""
    exact_inputs = [np.float32(x).astype(np.float64) for x in inputs]
    leaves = [Tensor(np.float32(x), requires_grad=True) for x in inputs]
    y = op(*leaves)
    if y.requires_grad:
        y.backward(np.ones(y.shape, np.float32))
    for got, exact in zip((y.data, *(x.grad for x in leaves)), (value, *slopes), strict=False):
        if exact is not None:
            got = to_numpy(got).astype(np.float64)
            np.testing.assert_allclose(got, exact(*exact_inputs) + 0 * got, rtol=rtol,
                                       atol=max(atol, 1e-36))


@pytest.mark.host_only
@pytest.mark.parametrize("layer", [
    lambda x, w, b: ops.linear(x, w, b),
    lambda x, w, b: conv.conv2d(ops.reshape(x, 1, -1, 8, 1), ops.reshape(w, 1, 1, 1, 1), b)])
def test_a_gradient_of_many_rows_does_not_saturate(layer):
    """One after another, float32 adds nothing more to 2^24."""
    n = (1 << 24) + 4096 + 8
    w, b = (Tensor(np.ones(s, np.float32), requires_grad=True) for s in ((1, 1), (1,)))
    y = layer(Tensor(np.zeros((n, 1), np.float32)), w, b)
    y.backward(np.ones(y.shape, np.float32))
    assert b.grad.item() == n


@pytest.mark.host_only
def test_a_gradient_of_many_rows_keeps_its_digits():
    g = np.random.default_rng(0).random((100_352, 3, 8), dtype=np.float32)
    found = to_numpy(column_sum(Tensor(g).data))
    np.testing.assert_allclose(found, g.sum(axis=(0, 1), dtype=np.float64), rtol=4e-7)


def test_whole_numbers_are_computed_with_as_float32(backend):
    """Not in their own type, which wraps, nor in what NumPy makes of them."""
    bytes_ = np.array([0, 200, 100], np.uint8)
    for op, expected in [
            (lambda x: x - 100, [-100, 100, 0]), (lambda x: x / 255, bytes_ / 255),
            (lambda x: -x, [0, -200, -100]), (lambda x: x * x, [0, 40000, 10000]),
            (lambda x: losses.mse(x, bytes_[::-1].copy(), "none"), [10000, 0, 10000]),
            (lambda x: ops.exp(x / 100), np.exp(bytes_ / 100)),
            (lambda x: ops.softmax(x), [0, 1, 0]), (lambda x: x.sum(), 300),
            (lambda x: x.mean(), 100),
            (lambda x: ops.linear(x, np.full((3, 1), 2, np.uint8)), [600]),
            (lambda x: x ** 2, [0, 40000, 10000]),
            (lambda x: conv.conv2d(x.reshape(1, 3, 1, 1), np.full((1, 1, 1, 1), 2, np.uint8)
                                   ).reshape(3), [0, 400, 200])]:
        for of in (bytes_, bytes_.astype(np.int64)):
            y = op(Tensor(of))
            assert y.dtype == np.float32
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6, atol=1e-6)
    for y in (ops.clip(Tensor([1, 5]), high=7), ops.stack([Tensor(bytes_), Tensor(bytes_)]),
              ops.where([True, False], 1, 0), ops.add(1.0, 2.0), ops.add(1, 2),
              ops.where([True, False], Tensor([1.5, 2.0]), np.array([1, 2])),
              ops.where([True, False], np.array([1, 2]), 0.5)):
        assert y.dtype == np.float32
