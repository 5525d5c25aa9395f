"""Every derivative against finite differences: one row for each case.

    pytest tests/test_gradcheck.py -v          prints each case by name

A row is (name, function, shapes of its inputs). Inputs are random normal float64;
`positive` draws them from [0.5, 2], `apart` makes them distinct and away from 0, for
functions with kinks. To check your own op, add a row.
"""

import numpy as np
import pytest

from scratchnet import GradientError, Tensor, conv, gradcheck, losses, ops, to_numpy, xp
from scratchnet.tensor import record

from models.vae import reparameterise  # isort: skip

pytestmark = pytest.mark.usefixtures("backend")

TARGETS = np.array([[0.0, 1.0, 0.3], [0.9, 0.0, 1.0]])
LEVELS = np.array([[0.0, 1.0, 0.2], [128 / 255, 1 / 255, 254 / 255]])
LABELS = np.array([[0, 4, 2], [1, 1, 3]])
MASK_B = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], bool)
MASK = np.array([[True, False, True], [False, False, True]])

CASES = [
    # arithmetic
    ("add", ops.add, (2, 3), (2, 3)),
    ("add broadcast", ops.add, (2, 1, 3), (4, 1)),
    ("add broadcast along two axes", ops.add, (1, 3, 1), (2, 3, 4)),
    ("add number", lambda a: 2 + a, (2, 3)),
    ("add same tensor twice", lambda a: a + a, (2, 3)),
    ("sub broadcast", ops.sub, (3,), (2, 3)),
    ("sub from number", lambda a: 1 - a, (2, 3)),
    ("mul", ops.mul, (2, 3), (2, 3)),
    ("mul broadcast", ops.mul, (2, 1), (1, 3)),
    ("mul by number", lambda a: 3 * a, (2, 3)),
    ("square by mul", lambda a: a * a, (2, 3)),
    ("div broadcast", ops.div, (2, 3), (3,), "positive"),
    ("div of number", lambda a: 2 / a, (2, 3), "positive"),
    ("neg", ops.neg, (2, 3)),
    ("power", lambda a: ops.power(a, 3), (2, 3)),
    ("power half", lambda a: a ** 0.5, (2, 3), "positive"),
    ("where", lambda a, b: ops.where(MASK, a, b), (2, 3), (3,)),
    ("where number", lambda a: ops.where(MASK, a, 0.0), (2, 3)),
    # elementwise
    ("exp", ops.exp, (2, 3)),
    ("log", ops.log, (2, 3), "positive"),
    ("sqrt", ops.sqrt, (2, 3), "positive"),
    ("tanh", ops.tanh, (2, 3)),
    ("sigmoid", ops.sigmoid, (2, 3)),
    ("softplus", ops.softplus, (2, 3), "apart"),
    ("relu", ops.relu, (2, 3), "apart"),
    ("elu", lambda a: ops.elu(a, 0.7), (2, 3), "apart"),
    ("clip", lambda a: ops.clip(a, -0.5, 0.75), (2, 3), "apart"),
    ("clip one side", lambda a: ops.clip(a, high=0.3), (2, 3), "apart"),
    # reductions
    ("sum", ops.sum, (2, 3)),
    ("sum axis", lambda a: ops.sum(a, axis=1), (2, 3, 2)),
    ("sum axes keepdims", lambda a: ops.sum(a, axis=(0, -1), keepdims=True), (2, 3, 2)),
    ("sum no axes", ops.sum, ()),
    ("mean", ops.mean, (2, 3)),
    ("mean axes", lambda a: ops.mean(a, axis=(0, 2)), (2, 3, 2)),
    ("max", ops.max, (2, 3), "apart"),
    ("max axis", lambda a: ops.max(a, axis=-1), (2, 3), "apart"),
    ("max axis keepdims", lambda a: ops.max(a, axis=0, keepdims=True), (2, 3), "apart"),
    ("logsumexp", ops.logsumexp, (2, 3)),
    ("logsumexp all", lambda a: ops.logsumexp(a, axis=None), (2, 3)),
    ("logsumexp keepdims", lambda a: ops.logsumexp(a, axis=0, keepdims=True), (2, 3)),
    ("softmax", ops.softmax, (2, 4)),
    ("softmax axis 0", lambda a: ops.softmax(a, axis=0), (3, 2)),
    ("log_softmax", ops.log_softmax, (2, 4)),
    ("log_softmax axis 0", lambda a: ops.log_softmax(a, axis=0), (3, 2)),
    # shapes
    ("reshape", lambda a: a.reshape(3, -1), (2, 3)),
    ("transpose", ops.transpose, (2, 3)),
    ("transpose axes", lambda a: a.transpose(2, 0, 1), (2, 3, 4)),
    ("T", lambda a: a.T, (2, 3)),
    ("broadcast_to", lambda a: ops.broadcast_to(a, (4, 2, 3)), (2, 1)),
    ("concatenate", lambda a, b: ops.concatenate([a, b], axis=-1), (2, 3), (2, 1)),
    ("concatenate with an array", lambda a: ops.concatenate([a, np.ones((1, 3))]), (2, 3)),
    ("stack", lambda a, b: ops.stack([a, b, a], axis=1), (2, 3), (2, 3)),
    ("split equal", lambda a: ops.mul(*ops.split(a, 2, axis=1)), (2, 4)),
    ("split sizes", lambda a: ops.split(a, [1, 3], axis=0)[1], (4, 2)),
    ("getitem slice", lambda a: a[1:, ::-2], (3, 4)),
    ("getitem number and None", lambda a: a[None, 1], (3, 4)),
    ("getitem repeated rows", lambda a: a[[0, 2, 0, 0]], (3, 4)),
    ("getitem pairs", lambda a: a[np.array([0, 2, 0]), np.array([1, 1, 1])], (3, 4)),
    ("getitem mask", lambda a: a[MASK], (2, 3)),
    # products
    ("matmul", ops.matmul, (2, 3), (3, 4)),
    ("matmul batched", ops.matmul, (5, 2, 3), (5, 3, 4)),
    ("matmul batched broadcast", ops.matmul, (5, 1, 2, 3), (4, 3, 2)),
    ("matmul vector left", ops.matmul, (3,), (2, 3, 4)),
    ("matmul vector right", ops.matmul, (2, 4, 3), (3,)),
    ("matmul two vectors", ops.matmul, (3,), (3,)),
    ("linear", ops.linear, (2, 3), (3, 4), (4,)),
    ("linear without bias", ops.linear, (2, 3), (3, 4)),
    ("linear of a grid", ops.linear, (2, 5, 3), (3, 4), (4,)),
    ("embedding with repeats", lambda table: ops.embedding(LABELS, table), (5, 2)),
    # losses
    ("mse", losses.mse, (2, 3), (2, 3)),
    ("mse none", lambda a, b: losses.mse(a, b, "none"), (2, 3), (2, 3)),
    ("bce_with_logits", lambda a: losses.bce_with_logits(a, TARGETS), (2, 3), "apart"),
    ("bce_with_logits batchmean, targets too",
     lambda a, t: losses.bce_with_logits(a, ops.sigmoid(t), "batchmean"), (2, 3), (2, 3), "apart"),
    ("softmax_cross_entropy", lambda a: losses.softmax_cross_entropy(a, LABELS), (2, 3, 5)),
    ("softmax_cross_entropy none",
     lambda a: losses.softmax_cross_entropy(a, LABELS, "none"), (2, 3, 5)),
    ("discretised_logistic", lambda m, s: losses.discretised_logistic(m, s, LEVELS), (2, 3),
     (2, 3)),
    ("discretised_logistic, 5 levels",
     lambda m, s: losses.discretised_logistic(m, s, np.round(4 * LEVELS) / 4, "none", 5), (2, 3),
     (2, 3)),
    ("logistic_mixture", lambda y: losses.logistic_mixture(y, LEVELS), (2, 20)),
    ("logistic_mixture none", lambda y: losses.logistic_mixture(y, LEVELS, "none"), (2, 10)),
    ("gaussian_kl", losses.gaussian_kl, (2, 3), (2, 3)),
    ("reparameterise", lambda mu, log_var: reparameterise(mu, log_var, TARGETS), (2, 3), (2, 3)),
    # convolution
    ("conv2d", lambda x, w, b: conv.conv2d(x, w, b, 1, 1), (2, 4, 5, 2), (3, 3, 2, 3), (3,)),
    ("conv2d stride and padding by axis", lambda x, w: conv.conv2d(x, w, None, (3, 2), (0, 2)),
     (1, 5, 4, 2), (2, 3, 2, 2)),
    ("conv2d stride larger than kernel", lambda x, w: conv.conv2d(x, w, None, 3), (1, 6, 5, 2),
     (2, 1, 2, 2)),
    ("conv2d 1x1", conv.conv2d, (2, 3, 2, 2), (1, 1, 2, 3), (3,)),
    ("conv_transpose2d", lambda x, w, b: conv.conv_transpose2d(x, w, b, 2, 1, 1), (2, 3, 2, 2),
     (3, 3, 3, 2), (3,)),
    ("conv_transpose2d stride 1", lambda x, w: conv.conv_transpose2d(x, w, None, 1, (0, 1)),
     (1, 3, 4, 2), (2, 3, 1, 2)),
    ("conv_transpose2d stride larger than kernel",
     lambda x, w: conv.conv_transpose2d(x, w, None, (2, 3)), (1, 3, 2, 2), (1, 2, 1, 2)),
    ("masked_conv2d", lambda x, w, b: conv.masked_conv2d(x, w, MASK_B, b), (2, 4, 3, 2),
     (3, 3, 2, 2), (2,)),
    ("masked_conv2d dilated", lambda x, w, b: conv.masked_conv2d(x, w, MASK_B, b, 2), (2, 4, 5, 2),
     (3, 3, 2, 3), (3,)),
    ("masked_conv2d with holes", lambda x, w: conv.masked_conv2d(x, w, MASK_B[::-1, ::-1]),
     (1, 4, 3, 2), (3, 3, 2, 3)),
    ("gate", ops.gate, (2, 3, 4)),
    # the tape
    ("one input, many uses", lambda a: a * ops.exp(a) + a[0] - a.sum() * a, (2, 3)),
    ("one result, many uses", lambda a: (lambda e: e * e + e.sum() * e)(ops.exp(a)), (2, 3)),
]


def inputs_for(shapes, kind, rng):
    if kind == "positive":
        return [rng.uniform(0.5, 2, s) for s in shapes]
    if kind == "apart":  # a shuffle of 0.1, -0.2, 0.3, ...: no two closer than 0.1, none at a kink
        count = sum(int(np.prod(s)) for s in shapes)
        values = rng.permutation(np.arange(1, count + 1) * 0.11 * (-1) ** np.arange(count))
        cuts = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
        return [v.reshape(s) for v, s in zip(np.split(values, cuts), shapes, strict=True)]
    return [rng.standard_normal(s) for s in shapes]


def parts_of(case, rng):
    """The function of a row, and its inputs."""
    _, fn, *shapes = case
    kind = shapes.pop() if isinstance(shapes[-1], str) else "normal"
    return fn, inputs_for(shapes, kind, rng)


# Layouts in memory: each gives an array of the same values, not in C order.
def on_device(a): return xp.asarray(a.copy(order="C"))
def fortran(a): return on_device(a.T).T
def channels_first(a): return xp.moveaxis(on_device(np.moveaxis(a, -1, 0)), 0, -1)
def backwards(a): return on_device(a[::-1])[::-1]
def every_other(a): return on_device(np.repeat(a, 2, axis=-1))[..., ::2]


LAYOUTS = [fortran, channels_first, backwards, every_other]


def laid_out(layout, a):
    return layout(a) if a.ndim else on_device(a)


@pytest.mark.parametrize("layout", [on_device, fortran])
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_derivative(case, layout, backend, rng):
    fn, inputs = parts_of(case, rng)
    assert gradcheck(fn, *[Tensor(laid_out(layout, v), requires_grad=True) for v in inputs])


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_order_in_memory_changes_nothing(case, backend, rng):
    """Inputs and upstream gradient in any layout, and a gradient that is one number repeated
    without memory of its own: values and gradients are those of arrays in C order."""
    fn, inputs = parts_of(case, rng)
    def results(layout, g):
        leaves = [Tensor(laid_out(layout, v), requires_grad=True) for v in inputs]
        y = fn(*leaves)
        before = to_numpy(g).copy()
        y.backward(g)
        assert (to_numpy(g) == before).all()
        return [y.numpy()] + [to_numpy(t.grad) for t in leaves]
    shape = fn(*map(Tensor, inputs)).shape
    g = rng.standard_normal(shape)
    for expected, layout, upstream in [
        *((g, layout, laid_out(layout, g)) for layout in LAYOUTS),
        (g, on_device, laid_out(fortran, g)),
        (np.full(shape, 0.3), fortran, xp.broadcast_to(on_device(np.array(0.3)), shape)),
    ]:
        for a, b in zip(results(on_device, on_device(expected)), results(layout, upstream),
                        strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_float32_in_float32_out(case, backend, rng):
    """Nothing on the way turns float32 into float64, forward or backward."""
    fn, inputs = parts_of(case, rng)
    leaves = [Tensor(v.astype(np.float32), requires_grad=True) for v in inputs]
    y = fn(*leaves)
    y.backward(xp.ones_like(y.data))
    assert [y.dtype] + [t.grad.dtype for t in leaves] == [np.float32] * (1 + len(leaves))


def test_every_op_has_a_case():
    """An op without a row in CASES fails here."""
    code = " ".join(str(getattr(fn, "__code__", fn).co_names) + fn.__name__ for _, fn, *_ in CASES)
    untested = [name for name in ops.__all__ if name not in code
                and name not in ("as_tensor", "unbroadcast", "getitem")
                # straight_through's derivative is declared; the search has none: test_vqvae.py
                and name not in ("straight_through", "nearest_code")]
    assert not untested


# ---------------------------------------------------------------- the checker, checked
# A checker that nobody ever saw fail proves nothing. Each of these ops is wrong in one way.

def sine_wrong_by_a_thousandth(x):
    def dx(g): return g * xp.cos(x.data) * 1.001
    return record(xp.sin(x.data), (x, dx))


def softmax_without_gradient(x):
    def dx(g): return xp.zeros_like(x.data)
    return record(ops.softmax(x).data, (x, dx))


def transpose_by_reshape(x):
    def dx(g): return g.reshape(x.shape)
    return record(x.data.T, (x, dx))


def not_a_number(x):
    def dx(g): return g * np.nan
    return record(x.data * 1, (x, dx))


def right_in_all_but_one(x):
    def dx(g):
        out = 3 * g
        out[1, 2] += 1e-4
        return out
    return record(3 * x.data, (x, dx))


@pytest.mark.parametrize("wrong, directions", [
    (sine_wrong_by_a_thousandth, None), (sine_wrong_by_a_thousandth, 3),
    (transpose_by_reshape, None), (transpose_by_reshape, 3), (softmax_without_gradient, None),
    (right_in_all_but_one, None), (not_a_number, None)])
def test_wrong_derivative_is_caught(wrong, directions, backend, rng):
    with pytest.raises(GradientError) as caught:
        gradcheck(wrong, rng.standard_normal((2, 3)), directions=directions)
    assert "kink" not in str(caught.value)  # the function is smooth


def test_difference_of_a_cube_is_off_by_h_squared(backend):
    """(L(x + h) - L(x - h)) / 2h is L' + h^2 L'''/6 and, for x^3, no more: 3 x^2 + h^2."""
    def cube(x):
        def dx(g): return g * (3 * x.data ** 2 + 0.1 ** 2)
        return record(x.data ** 3, (x, dx))
    at = [0.5, -1.2, 2.0]
    assert gradcheck(cube, at, eps=0.1, rtol=1e-12, atol=1e-12)
    with pytest.raises(GradientError):
        gradcheck(lambda x: x ** 3, at, eps=0.1)


def test_failure_names_input_index_values_and_error():
    def scaled(x, factor):
        def dx(g): return g * factor.data
        def dfactor(g):
            out = g * x.data
            out[1] = 7.0
            return out
        return record(x.data * factor.data, (x, dx), (factor, dfactor))

    with pytest.raises(GradientError, match=r"with respect to factor: wrong in 1 of 3 elements; "
                                            r"worst at factor\[1\]: the derivative gives 7, "
                                            r"finite differences .*, error .*allowed"):
        gradcheck(scaled, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])


@pytest.mark.parametrize("directions", [None, 3])
def test_its_tolerance_is_what_it_is_told(directions):
    def times_3(error):
        def fn(x): return record(3 * x.data, (x, lambda g: 3 * (1 + error) * g))
        return gradcheck(fn, np.ones(4), rtol=1e-3, atol=0, directions=directions)
    assert times_3(0) and times_3(0.9e-3) and times_3(-0.9e-3)
    for error in (1.1e-3, -1.1e-3):
        with pytest.raises(GradientError):
            times_3(error)


def test_kink_is_suggested():
    with pytest.raises(GradientError, match="is there a kink here"):
        gradcheck(ops.relu, [0.0, 1.0])


@pytest.mark.parametrize("directions", [None, 2])
def test_output_that_is_not_finite_is_refused(directions, backend):
    """At the inputs, or a step from them: log is right at 1e-5, and -inf at 1e-5 - eps, where an
    error of inf would be within rtol * inf."""
    near, place = ((1e-5, r"- 1e-05 along x\[0\]\[1\]") if directions is None else
                   (1e-7, r"[+-] 1e-05 along random direction 0"))
    for at, message in ((0.0, "at these inputs; check at others"), (-1.0, "at these inputs; "),
                        (near, place + "; check at other inputs")):
        x = Tensor(np.array([[1.0, at]]), requires_grad=True)
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="not finite " + message):
            gradcheck(ops.log, x, directions=directions)
        assert to_numpy(x.data).tolist() == [[1.0, at]]


def test_fn_that_draws_noise_is_refused(rng):
    with pytest.raises(ValueError, match="another result the second time"):
        gradcheck(lambda x: x * rng.standard_normal(3), [1.0, 2.0, 3.0])


def test_that_nothing_was_checked_is_said():
    w = Tensor(np.ones(2), requires_grad=True)
    for inputs, directions in (((), None), ((), 3), ((w,), 0), ((w,), -1),
                               ((np.ones((0, 3)),), None), (([],), None)):
        with pytest.raises(ValueError, match="nothing to check"):
            gradcheck(lambda *_: w * w, *inputs, directions=directions)


def test_a_derivative_that_writes_into_g_is_caught():
    def my_relu(x):
        y = xp.maximum(x.data, 0)
        def dx(g):
            g *= y > 0
            return g
        return record(y, (x, dx))
    with pytest.raises(ValueError, match="writes into g"):
        gradcheck(my_relu, [-1.0, 2.0])
    with pytest.raises(ValueError, match="the output is no Tensor that"):
        gradcheck(lambda x: x.data * 2, [1.0])


def test_float32_tensor_is_refused():
    with pytest.raises(TypeError, match="float64"):
        gradcheck(ops.exp, Tensor([1.0], requires_grad=True))


@pytest.mark.parametrize("directions", [None, 2])
def test_inputs_are_put_back(directions, backend):
    """And one without influence has a gradient of 0."""
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert gradcheck(lambda a, b: ops.exp(a) + b.detach() * 0, x, [3.0, 4.0], directions=directions)
    assert to_numpy(x.data).tolist() == [1.0, 2.0]
    def until_it_moves(a): return ops.exp(a) if a.data[1] == 2 else ops.exp(a, "?")
    with pytest.raises(TypeError):
        gradcheck(until_it_moves, x, directions=directions)
    assert to_numpy(x.data).tolist() == [1.0, 2.0]


def test_an_input_that_is_given_twice_moves_twice(backend):
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert gradcheck(lambda a, b: a * ops.exp(b), x, x, directions=2)
