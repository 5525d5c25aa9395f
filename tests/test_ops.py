"""Forward values against loops or NumPy's own functions, and stability far out.

A gradient check cannot see a forward pass that computes the wrong function.
"""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, mutually_broadcastable_shapes

from scratchnet import Tensor, losses, ops, to_numpy, xp
from scratchnet.inputs import shapes
from scratchnet.ops import unbroadcast

pytestmark = pytest.mark.usefixtures("backend")

FLOATS = st.floats(-3, 3, width=32)
BYTES = np.array([[0, 255, 7]], np.uint8)


def each(fn, *values):
    """fn applied to one number at a time, in Python's own floats."""
    flat = [np.asarray(v, np.float64).ravel().tolist() for v in values]
    return np.array([fn(*v) for v in zip(*flat, strict=True)]).reshape(np.shape(values[0]))


def test_gate_by_loops(backend, rng):
    x = rng.standard_normal((3, 2, 8))
    a, b = x[..., :4], x[..., 4:]
    expected = each(lambda a, b: math.tanh(a) / (1 + math.exp(-b)), a, b)
    np.testing.assert_allclose(ops.gate(x).numpy(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="cannot be halved"):
        ops.gate(x[..., :3])


@pytest.mark.parametrize("op, plain", [
    (ops.exp, math.exp), (ops.tanh, math.tanh), (ops.neg, lambda v: -v),
    (ops.sigmoid, lambda v: 1 / (1 + math.exp(-v))),
    (ops.softplus, lambda v: math.log(1 + math.exp(v))),
    (ops.relu, lambda v: v if v > 0 else 0.0),
    (ops.elu, lambda v: v if v > 0 else math.exp(v) - 1),
    (lambda x: ops.clip(x, -0.5, 0.75), lambda v: min(max(v, -0.5), 0.75)),
    (lambda x: ops.power(x, 3), lambda v: v * v * v),
    (lambda x: ops.log(x * x + 1), lambda v: math.log(v * v + 1)),
    (lambda x: ops.sqrt(x * x + 1), lambda v: math.sqrt(v * v + 1)),
    (lambda x: ops.where(x > 0, x, -2.0), lambda v: v if v > 0 else -2.0),
])
def test_elementwise_values(op, plain, backend, rng):
    x = rng.standard_normal((3, 4))
    np.testing.assert_allclose(op(Tensor(x)).numpy(), each(plain, x), rtol=1e-12)


def test_reduction_values(backend, rng):
    x = rng.standard_normal((3, 4, 2))
    for op, plain in ((ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max)):
        for axis in (None, 0, -1, (0, 2)):
            for keepdims in (False, True):
                np.testing.assert_allclose(op(Tensor(x), axis=axis, keepdims=keepdims).numpy(),
                                           plain(x, axis=axis, keepdims=keepdims))
    e = np.exp(x)
    np.testing.assert_allclose(ops.softmax(Tensor(x)).numpy(), e / e.sum(-1, keepdims=True))
    np.testing.assert_allclose(ops.log_softmax(Tensor(x), axis=1).numpy(),
                               np.log(e / e.sum(1, keepdims=True)))
    np.testing.assert_allclose(ops.logsumexp(Tensor(x), axis=(0, 1)).numpy(),
                               np.log(e.sum((0, 1))))


def test_shape_values(backend, rng):
    x, y = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    for op, plain in [
        (lambda a, b: ops.concatenate([a, b], axis=1), np.concatenate([x, y], axis=1)),
        (lambda a, b: ops.stack([a, b], axis=-1), np.stack([x, y], axis=-1)),
        (lambda a, b: ops.split(a, [1, 2], axis=1)[1], x[:, 1:]),
        (lambda a, b: ops.transpose(a, 1, 0), x.T),
        (lambda a, b: ops.broadcast_to(a, (4, 2, 3)), np.broadcast_to(x, (4, 2, 3))),
        (lambda a, b: a[[1, 0, 1], 2], x[[1, 0, 1], 2]),
    ]:
        np.testing.assert_array_equal(op(Tensor(x), Tensor(y)).numpy(), plain)


def test_linear_and_embedding_by_loops(backend, rng):
    x, w, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4)), rng.standard_normal(4)
    y = [[sum(x[n, i] * w[i, o] for i in range(3)) + b[o] for o in range(4)] for n in range(2)]
    np.testing.assert_allclose(ops.linear(Tensor(x), Tensor(w), Tensor(b)).numpy(), y)
    looked_up = ops.embedding(np.array([[2, 0], [1, 2]]), Tensor(w)).numpy()
    np.testing.assert_array_equal(looked_up, [[w[2], w[0]], [w[1], w[2]]])


@settings(max_examples=60, deadline=None)
@given(st.data(), mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_broadcasting_and_its_adjoint(data, shapes):
    """<broadcast(a), g> = <a, unbroadcast(g)> for every a and g."""
    a = data.draw(arrays(np.float64, shapes.input_shapes[0], elements=FLOATS))
    g = data.draw(arrays(np.float64, shapes.result_shape, elements=FLOATS))
    left = (np.broadcast_to(a, shapes.result_shape) * g).sum()
    assert math.isclose(left, (a * unbroadcast(g, a.shape)).sum(), abs_tol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(1, 3),
       max_size=2), st.booleans())
def test_matmul_by_loops(n, k, m, batch, shared):
    rng = np.random.default_rng(n + 5 * k + 25 * m)
    a, b = rng.standard_normal((*batch, n, k)), rng.standard_normal((*([] if shared else batch),
                                                                     k, m))
    y = ops.matmul(Tensor(a), Tensor(b)).numpy()
    for index in np.ndindex(*y.shape):
        *lead, i, j = index
        row, column = a[(*lead, i)], b[(*([] if shared else lead), slice(None), j)]
        assert math.isclose(y[index], sum(p * q for p, q in zip(row, column, strict=True)),
                            abs_tol=1e-9)


# ---------------------------------------------------------------- where formulas end

def test_logsumexp_of_impossible_events():
    assert ops.logsumexp(Tensor([-math.inf, -math.inf])).item() == -math.inf
    assert ops.logsumexp(Tensor([-math.inf, 2.0])).item() == 2.0


@pytest.mark.parametrize("call, words", [
    (lambda: ops.matmul(np.ones((2, 3)), np.ones((2, 3))), r"\(2, 3\) and \(2, 3\) do not fit"),
    (lambda: ops.linear(np.ones((2, 3)), np.ones((4, 3))),
     r"linear: given x \(2, 3\), w \(4, 3\); needs x \(..., n_in\)"),
    (lambda: ops.linear(np.ones((2, 3)), np.ones((3, 4)), np.ones(3)), r"b \(3,\); needs"),
    (lambda: ops.gate(np.ones(())), "cannot be halved"),
    (lambda: ops.transpose(np.ones((2, 3)), 1, 2), "out of bounds"),
    (lambda: losses.softmax_cross_entropy(np.ones(()), np.array(0)), r"given logits \(\); needs"),
    (lambda: ops.split(np.ones(5), 2), r"length 5 cannot be cut into lengths \[2, 2\]"),
    (lambda: ops.split(np.ones(5), [6, -1]), "cannot be cut"),
    (lambda: ops.linear(Tensor(np.ones((2, 3), np.float32)), Tensor(np.ones((3, 4), np.float32)),
                        Tensor(np.ones(4))), "float32 and float64"),
    (lambda: ops.clip(np.ones(2), 1, 0), "low = 1 is above high = 0"),
    (lambda: ops.embedding(np.array([0.5]), np.ones((5, 2))), "must be integers"),
    (lambda: ops.embedding(np.array([0]), np.ones(5)), r"table \(5,\); needs table \(K, D\)"),
    (lambda: losses.mse(np.ones(2), np.ones((2, 1))),
     r"x_hat \(2,\), x \(2, 1\); needs .* of one shape"),
    (lambda: losses.mse(np.ones(2), np.ones(2), "total"), "unknown reduction 'total'"),
    (lambda: losses.softmax_cross_entropy(np.ones((2, 3)), np.ones(2)), "must be integers"),
    (lambda: losses.softmax_cross_entropy(np.ones((2, 3)), np.array([[1, 1]])),
     r"labels \(1, 2\); needs"),
    (lambda: losses.logistic_mixture(np.zeros((2, 19)), np.zeros((2, 3))),
     "19 numbers for a pixel of 3 channels: needs a multiple of 10"),
    (lambda: losses.logistic_mixture(np.zeros((1, 20)), np.zeros((2, 3))),
     r"given y \(1, 20\), x \(2, 3\); needs"),
    # 0..255 taken for [0, 1] would train, and its loss mean nothing
    *((lambda use=use, t=t: use(Tensor(np.zeros((1, 3), np.float32)), t), "uint8.*divide .* by 255")
      for t in (BYTES, Tensor(BYTES)) for use in (
          losses.bce_with_logits, losses.mse, lambda x, t: losses.mse(t, x),
          lambda x, t: losses.discretised_logistic(x, x, t), lambda x, t: ops.linear(t, x.T))),
])
def test_wrong_input_is_explained(call, words, backend):
    with pytest.raises((ValueError, TypeError, IndexError), match=words):
        call()


@pytest.mark.host_only
@pytest.mark.parametrize("wrong", [-1, 5, 255])
def test_values_out_of_range_are_explained(wrong):
    """Indices, labels and targets; asking a GPU would wait for it."""
    zeros = np.zeros((1, 3))
    for call, words in [
            (lambda: ops.embedding(np.array([0, wrong]), np.ones((5, 2))), "rows 0 to 4"),
            (lambda: losses.softmax_cross_entropy(np.ones((2, 5)), np.array([0, wrong])),
             "classes 0 to 4"),
            *((lambda t=t: losses.bce_with_logits(zeros, t), "needs values in .0, 1.")
              for t in (np.array([[0, wrong, 1]]), np.float32([[0, wrong, 1]]))),
            (lambda: losses.discretised_logistic(zeros, zeros, zeros + wrong), "needs values in")]:
        with pytest.raises((IndexError, ValueError), match=f"{wrong}.*{words}"):
            call()
    losses.bce_with_logits(np.zeros((0, 3)), np.zeros((0, 3)), "sum")  # none


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64, np.int8, np.int64])
def test_indices_of_every_integer_type(dtype, backend):
    """Rows that were taken twice get both gradients."""
    index = np.array([2, 0, 2]).astype(dtype)
    for take in (lambda t: t[index], lambda t: ops.embedding(index, t),
                 lambda t: t[xp.asarray(index), :]):
        table = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
        y = take(table)
        assert y.numpy().tolist() == [[4, 5], [0, 1], [4, 5]]
        y.sum().backward()
        assert to_numpy(table.grad).tolist() == [[1, 1], [0, 0], [2, 2]]
    nll = losses.softmax_cross_entropy(np.zeros((3, 4)), index)
    assert nll.item() == pytest.approx(math.log(4))


def slope(fn, *values, dtype=np.float64):
    """The gradients of the sum of fn(*values)."""
    leaves = [Tensor(np.asarray(v, dtype), requires_grad=True) for v in values]
    fn(*leaves).sum().backward()
    return [to_numpy(t.grad).tolist() for t in leaves]


def test_slopes_at_the_kinks(backend):
    """Where no derivative exists, what the docstrings take it for; x^0 is 1 everywhere."""
    at = [-1.0, 0.0, 1.0]
    assert slope(ops.relu, at) == [[0, 0, 1]]
    assert slope(lambda x: ops.clip(x, -1, 1), [-1.5, *at, 1.5]) == [[0, 1, 1, 1, 0]]
    assert slope(lambda x: ops.elu(x, 0.5), [0.0]) == [[0.5]]
    assert slope(lambda x: x.max(), [2.0, 2.0, 1.0]) == [[0.5, 0.5, 0.0]]
    assert slope(lambda a, b: ops.where(a > 0, a, b), at, at) == [[0, 0, 1], [1, 1, 0]]
    for n, expected in (0, [0, 0]), (1, [1, 1]), (2, [0, 4]):
        assert slope(lambda x, n=n: x ** n, [0.0, 2.0]) == [expected]


def test_numpy_numbers_do_not_widen_float32(backend):
    """np.float64(2) is a number like 2.0, wherever a number may stand."""
    two, three = np.float64(2), np.int64(3)
    for op in [lambda x: ops.clip(x, -two, two), lambda x: ops.clip(x, high=two),
               lambda x: ops.elu(x, two), lambda x: x * two, lambda x: two * x, lambda x: two + x,
               lambda x: two / x, lambda x: x ** two, lambda x: ops.where(x > two, x, two),
               lambda x: x * three, lambda x: x ** three, lambda x: ops.where(x > two, two, x),
               lambda x: x.sum() / np.float32(2)]:
        x = Tensor([1.0, 2.5, 4.0], requires_grad=True)
        y = op(x)
        y.sum().backward()
        assert (y.dtype, x.grad.dtype) == (np.float32, np.float32)
    assert [len(t) for t in ops.split(Tensor(np.zeros(6)), three)] == [2, 2, 2]


def test_nothing_in_nothing_out(backend):
    """Batches and selections without elements go forward and backward."""
    def ones(*shape): return Tensor(np.ones(shape), requires_grad=True)
    x, w, b = ones(0, 3), ones(3, 4), ones(4)
    ops.linear(x, w, b).sum().backward()
    assert (x.grad.shape, w.grad.shape, b.grad.shape) == ((0, 3), (3, 4), (4,))
    assert not to_numpy(w.grad).any() and not to_numpy(b.grad).any()
    x, w = ones(2, 0), ones(0, 4)
    y = ops.linear(x, w, b)
    assert y.numpy().tolist() == np.ones((2, 4)).tolist()
    y.sum().backward()
    assert (x.grad.shape, w.grad.shape) == ((2, 0), (0, 4))
    for index, shape in [([], (0, 4)), ([[]], (1, 0, 4)), ((slice(None), []), (3, 0)),
                         (np.zeros(0, int), (0, 4)), (np.zeros(3, bool), (0, 4))]:
        x = ones(3, 4)
        y = x[index]
        assert y.shape == shape
        y.sum().backward()
        assert not to_numpy(x.grad).any()
    table = ones(3, 4)
    ops.embedding(np.zeros((2, 0), int), table).sum().backward()
    assert not to_numpy(table.grad).any()
    logits = ones(0, 5)
    losses.softmax_cross_entropy(logits, np.zeros(0, int), "sum").backward()
    assert logits.grad.shape == (0, 5)
    assert ops.nearest_code(np.ones((0, 4)), np.ones((3, 4))).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_code_far_from_the_origin(dtype, backend, rng):
    """||z||^2 is 10^4 times the distances here: without a shift float32 has no digits left."""
    codebook = (100 + 0.1 * rng.standard_normal((64, 16))).astype(dtype)
    z = (100 + 0.1 * rng.standard_normal((500, 16))).astype(dtype)
    exact = ((z[:, None].astype(float) - codebook.astype(float)) ** 2).sum(-1).argmin(1)
    assert (to_numpy(ops.nearest_code(z, codebook)) == exact).mean() > 0.995


# ---------------------------------------------------------------- losses

@pytest.mark.parametrize("mean, log_scale", [(0.5, -3.0), (0.02, -2.0), (1.1, -5.0), (0.3, -7.0),
                                             (-0.4, 3.0)])
def test_discretised_logistic_is_a_distribution(mean, log_scale, backend):
    """The 256 levels' probabilities sum to one, and each is a difference of two sigmoids."""
    x = np.arange(256) / 255
    nll = losses.discretised_logistic(np.full(256, mean), np.full(256, log_scale), x, "none")
    p = np.exp(-nll.numpy())
    assert p.sum() == pytest.approx(1, abs=1e-9)
    def below(v): return 1 / (1 + math.exp(-(v - mean) / math.exp(log_scale)))
    assert p[100] == pytest.approx(below(100.5 / 255) - below(99.5 / 255), rel=1e-6, abs=1e-12)
    assert p[0] == pytest.approx(below(0.5 / 255), rel=1e-6)


def mixture_by_loops(y, pixel, levels):
    """P(pixel), from the sigmoids of each component's bins; y: rows of K numbers."""
    C = len(pixel)
    total, weights = 0.0, np.exp(y[0]) / np.exp(y[0]).sum()
    for k, weight in enumerate(weights):
        p, pair = weight, 1 + 2 * C
        for c, x in enumerate(pixel):
            mean, scale = 0.5 + y[1 + c, k], math.exp(min(max(y[1 + C + c, k] - 2, -7), 3))
            for j in range(c):
                mean += math.tanh(y[pair, k]) * (pixel[j] - 0.5)
                pair += 1
            def below(v, mean=mean, scale=scale): return (1 + math.tanh((v - mean) / scale / 2)) / 2
            half = 0.5 / (levels - 1)
            p *= (1 if x == 1 else below(x + half)) - (0 if x == 0 else below(x - half))
        total += p
    return total


@pytest.mark.parametrize("C, K, levels", [(1, 3, 256), (2, 2, 6), (3, 4, 5), (5, 2, 2), (4, 3, 3)])
def test_logistic_mixture_is_a_distribution(C, K, levels, backend, rng):
    """The probabilities of all values of a pixel sum to one; each is what its sigmoids say, also
    where scales are beyond their bounds."""
    rows = 1.5 * rng.standard_normal((1 + 2 * C + C * (C - 1) // 2, K))
    rows[1 + C, [0, -1]] = 9, -9
    pixels = np.array(list(itertools.product(np.arange(levels) / (levels - 1), repeat=C)))
    y = np.broadcast_to(rows.reshape(-1), (len(pixels), rows.size))
    p = np.exp(-losses.logistic_mixture(y, pixels, "none", levels).numpy())
    assert p.shape == (levels ** C,) and p.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(p, [mixture_by_loops(rows, pixel, levels) for pixel in pixels],
                               rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("mean, log_scale", [
    (0.3, -3.0), (-7.0, 1.0), (1.2, -1.5), (0.5, 3.0), (2.0, -6.0), (-40.0, -7.0), (0.0, -2.0)])
def test_the_mean_of_a_logistic_that_is_cut_off(mean, log_scale, backend):
    """The sum of x P(x) over all levels; that of a mixture is the mean of these."""
    x, m, s = np.arange(256) / 255, np.full(256, mean), np.full(256, log_scale)
    expected = np.exp(-losses.discretised_logistic(m, s, x, "none").numpy()) @ x
    assert losses.logistic_image(Tensor(m[:1]), Tensor(s[:1])).item() == pytest.approx(expected,
                                                                                       abs=1e-5)
    y = np.array([0, 0, mean - 0.5, 0.5, log_scale + 2, -4])
    assert losses.mixture_image(y, 1).item() == pytest.approx((expected + 1) / 2, abs=0.03)


@pytest.mark.parametrize("C, K, levels", [(1, 3, 256), (2, 2, 64), (3, 2, 24)])
def test_mixture_image_is_the_mean_of_the_distribution(C, K, levels, backend, rng):
    """Where nothing is cut off at 0 and 1: the sum of x p(x) over all values of a pixel."""
    rows = 0.05 * rng.standard_normal((1 + 2 * C + C * (C - 1) // 2, K))
    rows[0], rows[1:1 + C] = rng.standard_normal(K), rng.uniform(-0.12, 0.12, (C, K))
    rows[1 + C:1 + 2 * C] -= 1.8
    rows[1 + 2 * C:] = rng.uniform(-1, 1, rows[1 + 2 * C:].shape)
    pixels = np.array(list(itertools.product(np.arange(levels) / (levels - 1), repeat=C)))
    y = np.broadcast_to(rows.reshape(-1), (len(pixels), rows.size))
    p = np.exp(-losses.logistic_mixture(y, pixels, "none", levels).numpy())
    np.testing.assert_allclose(losses.mixture_image(rows.reshape(-1), C).numpy(), p @ pixels,
                               atol=1e-3 / C)


@pytest.mark.parametrize("log_scale", [-12.0, -7.0, -2.0, 0.0, 3.0, 6.0])
def test_discretised_logistic_keeps_its_digits_in_float32(log_scale, backend, rng):
    """Loss and both gradients in float32 are those in float64 at any scale, also where the two
    sigmoids' difference is 0 in float32, or a step is so many scales wide that e^w overflows."""
    x = rng.integers(0, 256, 200) / 255
    mean = np.round(x + rng.uniform(-0.5, 0.5, 200), 3)
    found = {}
    for dtype in (np.float32, np.float64):
        m = Tensor(mean.astype(dtype), requires_grad=True)
        s = Tensor(np.full(200, log_scale, dtype), requires_grad=True)
        loss = losses.discretised_logistic(m, s, x.astype(dtype), "sum")
        loss.backward()
        found[dtype] = loss.numpy(), to_numpy(m.grad), to_numpy(s.grad)
    for narrow, exact in zip(*found.values(), strict=True):
        np.testing.assert_allclose(narrow, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())


def test_loss_values_by_loops(backend, rng):
    z, t = rng.standard_normal((3, 4)), rng.uniform(size=(3, 4))
    bce = each(lambda a, b: -(b * math.log(1 / (1 + math.exp(-a)))
                              + (1 - b) * math.log(1 - 1 / (1 + math.exp(-a)))), z, t)
    kl = each(lambda m, v: (m * m + math.exp(v) - 1 - v) / 2, z, t)
    for reduction, reduce in [("none", lambda v: v), ("sum", np.sum), ("mean", np.mean),
                              ("batchmean", lambda v: v.sum() / 3)]:
        for loss, expected in [(losses.bce_with_logits, bce), (losses.mse, (z - t) ** 2),
                               (losses.gaussian_kl, kl)]:
            np.testing.assert_allclose(loss(Tensor(z), Tensor(t), reduction).numpy(),
                                       reduce(expected), rtol=1e-9)
    for loss, expected in (losses.mse, (z - t) ** 2), (losses.bce_with_logits, bce), (
                           losses.gaussian_kl, kl):  # without being told
        assert loss(Tensor(z), Tensor(t)).item() == pytest.approx(expected.sum() / 3)
    assert losses.mse(Tensor(2.0), Tensor(5.0)).item() == 9  # of one number


def test_softmax_cross_entropy_by_loops(backend, rng):
    logits, labels = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    for i in range(2):
        for j in range(3):
            p = math.exp(logits[i, j, labels[i, j]]) / sum(math.exp(v) for v in logits[i, j])
            found = losses.softmax_cross_entropy(Tensor(logits), labels, "none")[i, j].item()
            assert math.isclose(found, -math.log(p))


def test_cross_entropy_is_smallest_at_the_shares(backend, rng):
    """Over labels with shares q it is the entropy of q at p = q, and KL(q || p) more elsewhere."""
    labels, q = np.repeat(np.arange(3), [5, 3, 2]), np.array([0.5, 0.3, 0.2])
    entropy = -sum(v * math.log(v) for v in q)
    for p in (q, np.full(3, 1 / 3), *rng.dirichlet(np.ones(3), 5)):
        kl = sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
        logits = np.broadcast_to(np.log(p) + rng.standard_normal(), (10, 3)).copy()
        found = losses.softmax_cross_entropy(Tensor(logits), labels).item()
        assert found == pytest.approx(entropy + kl, rel=1e-12)
        assert found > entropy or p is q


def of(*shape):
    return np.empty(shape)


@pytest.mark.parametrize("form, fits, inputs", [
    ("x (..., n), w (n, m), b (m)", True, (of(4, 2, 3), of(3, 5), of(5))),
    ("x (..., n), w (n, m), b (m)", True, (of(3), of(3, 5), None)),
    ("x (...), y (...)", True, (of(), of())), ("x (...), y (...)", True, (of(2, 1), of(2, 1))),
    ("z (..., K), k (...)", True, (of(2, 3, 7), of(2, 3))),
    ("x (..., n), w (n, m)", False, (of(4, 2), of(3, 5))),
    ("x (..., n), w (n, m)", False, (of(), of(3, 5))), ("x (n, n)", False, (of(2, 3),)),
    ("x (n)", False, (of(2, 3),)), ("x (n)", False, (of(),)),
    ("x (...), y (...)", False, (of(2, 1), of(2))), ("x (...), y (...)", False, (of(2), of(3))),
    ("z (..., K), k (...)", False, (of(2, 3, 7), of(3, 2)))])
def test_shapes_that_a_form_wants(form, fits, inputs):
    """Each letter is one size wherever it comes, "..." the same axes; None has any shape."""
    if fits:
        return shapes(f"op: {form}", *inputs)
    with pytest.raises(ValueError, match=f"^op: given {form[0]} .*; needs {re.escape(form)}$"):
        shapes(f"op: {form}", *inputs)
