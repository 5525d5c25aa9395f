"""The tape: Tensor, backward, no_grad; what a Tensor is to Python and NumPy; what is refused."""

import copy
import gc
import operator
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scratchnet import Tensor, nn, no_grad, ops, optim, to_numpy, xp
from scratchnet.arraylike import GradientShapeError
from scratchnet.tensor import record

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values):
    return Tensor(values, requires_grad=True)


def ones():
    return leaf(np.ones((2, 2), np.float32))


def test_operators_with_numbers_and_arrays_on_either_side(backend):
    x = Tensor([1.0, 2.0, 4.0])
    a = np.array([2.0, 2.0, 2.0])
    for y, expected in [
        (2 * x, [2, 4, 8]), (x * a, [2, 4, 8]), (a * x, [2, 4, 8]), (x + 1, [2, 3, 5]),
        (1 - x, [0, -1, -3]), (a - x, [1, 0, -2]), (x / a, [.5, 1, 2]), (a / x, [2, 1, .5]),
        (8 / x, [8, 4, 2]), (x ** 2, [1, 4, 16]), (-x, [-1, -2, -4]), (x[1:], [2, 4]),
        (x @ a, 14), (a @ x, 14),
    ]:
        assert isinstance(y, Tensor) and y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), expected)


def test_what_a_tensor_is_to_python(backend):
    """Its dtype, attributes, methods, comparisons (arrays, without a derivative), lists, words."""
    for data, kind in ([1.0, 2.0], "f4"), (np.zeros(2), "f8"), ([1, 2], "i8"):
        assert Tensor(data).dtype == kind
    x = leaf(np.ones((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float32, 2)
    assert x.T.shape == (3, 2) and x.transpose(1, 0).shape == (3, 2) and x.reshape(6).shape == (6,)
    assert x.sum().item() == 6.0 and x.mean().item() == 1.0 and float(x.max().detach()) == 1.0
    x = leaf([1.0, 2.5])
    assert to_numpy(x > 2).tolist() == [False, True]
    assert to_numpy(x == Tensor([1.0, 0.0])).tolist() == [True, False] and len({x, x}) == 1
    assert [v.item() for v in x] == [1.0, 2.5]
    assert repr(x) == f"{x}" == "Tensor([1. , 2.5], shape=(2,), float32, requires_grad)"
    assert "recorded" in repr(x * 2) and f"{(x * 2).sum():.3f}" == "7.000"


def test_numpy_gets_the_values_of_a_tensor_without_history(tmp_path):
    t = leaf([1.0, 2.0]).detach()
    np.save(tmp_path / "t.npy", t)
    assert np.load(tmp_path / "t.npy").tolist() == [1.0, 2.0]  # no pickle, no objects
    assert np.concatenate([t, t]).dtype == np.asarray(t).dtype == np.float32
    assert np.asarray(t, dtype=np.float64).tolist() == [1.0, 2.0]
    copied = np.array(t)
    copied[0] = 5
    assert t.numpy()[0] == 1


@pytest.mark.parametrize("use", [
    np.asarray, lambda t: np.concatenate([t, t]), lambda t: np.where([True, False], t, 0),
    lambda t: np.dot(t, t), lambda t: np.zeros(2).__setitem__(0, t[0] * t[0])])
def test_numpy_does_not_take_a_gradient_away_without_a_word(use):
    """r[i] = p[i] * p[i] would keep a number, and p would learn nothing."""
    with pytest.raises((TypeError, ValueError)) as caught:
        use(leaf([1.0, 2.0]))
    error = caught.value.__cause__ or caught.value
    assert "its gradient would be lost: use .numpy" in str(error)


def test_a_deep_copy_shares_nothing(backend):
    x = leaf([1.0, 2.0])
    x.grad = 2 * x.data
    again = copy.deepcopy([x, x])
    assert again[0] is again[1] is not x and again[0].requires_grad
    again[0].data[...] = again[0].grad[...] = 7
    assert (x.numpy().tolist(), to_numpy(x.grad).tolist()) == ([1.0, 2.0], [2.0, 4.0])
    assert copy.deepcopy((x * 2).detach()).numpy().tolist() == [2.0, 4.0]


# ---------------------------------------------------------------- gradients

def test_fan_out_sums(backend):
    x = leaf([3.0])
    (x * x + x).backward()
    assert x.grad.item() == 7.0


def test_a_gradient_without_axes_is_an_array(backend):
    t = leaf(3.0)
    y = ops.stack([t * t, 2.0])
    y.sum().backward()
    assert y.dtype == np.float32 and isinstance(t.grad, xp.ndarray) and t.grad.item() == 6
    t.backward()
    assert isinstance(t.grad, xp.ndarray) and t.grad.item() == 7


def test_a_sum_of_gradients_is_an_array_of_its_own(backend):
    """a and b are handed the same array by a + b; what a gets besides is not b's."""
    x, w = leaf([1.0]), leaf([1.0])
    b = w * 3
    a = x * 2
    t = a * 5
    (a + b + t).backward()
    assert (x.grad.item(), w.grad.item()) == (12, 3)


def test_gradients_add_up_over_calls_until_cleared(backend):
    x = leaf([3.0])
    (x * 2).backward()
    (x * 5).backward()
    x.backward()
    assert x.grad.item() == 8.0


def test_intermediate_tensors_keep_no_grad_and_detach_stops_it(backend):
    x = leaf([2.0])
    y = x * 3
    (y * y + x * x.detach()).backward()
    assert y.grad is None and x.grad.item() == 38.0


@pytest.mark.parametrize("op", [
    lambda a, b: a + b, lambda a, b: a.reshape(4) + b.reshape(4), lambda a, b: a.sum() + b.sum(),
    lambda a, b: (a.reshape(4).reshape(2, 2) + b).reshape(1, 4),
    lambda a, b: (a.reshape(4) + b.reshape(4)) * 1.0, lambda a, b: (a + b) * 1.0,
    lambda a, b: ops.concatenate([a, b]) * 1.0, lambda a, b: ops.stack([a, b])])
def test_leaves_do_not_share_gradient_memory(op, backend):
    """Nor with the g that was given, which is read only here or there."""
    for readonly in (False, True):
        a, b = ones(), ones()
        y = op(a, b)
        g = xp.ones(y.shape, np.float32)
        y.backward(xp.broadcast_to(g, g.shape) if readonly else g)
        a.grad += 5
        assert to_numpy(b.grad).tolist() == [[1, 1]] * 2 and float(g.sum()) == g.size
        b.grad += 5
        assert to_numpy(a.grad).tolist() == [[6, 6]] * 2 and float(g.sum()) == g.size


def test_gradient_of_a_sum_is_writable(backend):
    for values in ([1.0, 2.0], [1.0]):
        x = leaf(values)
        (x.mean() * len(values)).backward()
        x.grad += 1
        assert to_numpy(x.grad).tolist() == [2.0] * len(values)


def test_no_derivative_is_computed_for_inputs_without_gradient():
    called = []
    def op(a, b):
        def da(g): return called.append("a") or g
        def db(g): return called.append("b") or g
        return record(a.data + b.data, (a, da), (b, db))
    op(leaf([1.0]), Tensor([2.0])).backward()
    assert called == ["a"]


# ---------------------------------------------------------------- length and memory

def test_a_long_chain_needs_no_recursion(backend):
    x = leaf([1.0])
    y = x
    for _ in range(20_000):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1.0
    y = x
    for _ in range(20_000):
        y = y + 0.0
    del y  # unused


def test_no_reference_cycles():
    """Counting references alone must free a graph, used or not."""
    x = leaf(np.ones(3))
    gc.collect()
    gc.disable()
    try:
        unused = ops.exp(x) * x
        watched = weakref.ref(unused)
        del unused
        assert watched() is None
        used = (ops.softmax(ops.exp(x)) * x).sum()
        watched = weakref.ref(used)
        used.backward()
        del used
        assert watched() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.host_only
def test_saved_arrays_are_freed_as_backward_goes():
    """When the first op's derivative runs, what later ops saved is gone already."""
    alive = []
    x = leaf(np.ones(4))
    def first(x):
        def dx(g):
            alive.append(watched() is not None)
            return g
        return record(x.data * 1, (x, dx))
    saved = np.ones(4).view(type("Watched", (np.ndarray,), {}))
    watched = weakref.ref(saved)
    def second(x, saved):
        def dx(g): return np.asarray(g * saved)
        return record(x.data * 2, (x, dx))
    y = second(first(x), saved)
    del saved
    y.backward(np.ones(4))
    assert alive == [False]


# ---------------------------------------------------------------- no_grad

def test_no_grad_in_every_form(backend):
    """As a decorator, nested, and left by an exception, which it lets through."""
    @no_grad()
    def double(x, again=False): return double(x) if again else x * 2
    x = leaf([1.0])
    y = double(x)
    assert not y.requires_grad and y.node is None and not double(x, again=True).requires_grad
    assert (x * 2).requires_grad
    with no_grad():
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_no_grad_holds_for_one_thread(backend):
    """One thread evaluates while another trains."""
    x, inside, done = leaf([1.0]), threading.Event(), threading.Event()
    def evaluate():
        with no_grad():
            inside.set()
            assert done.wait(10)
            return (x * 2).requires_grad
    with ThreadPoolExecutor(1) as pool:
        evaluated = pool.submit(evaluate)
        assert inside.wait(10)
        trained = (x * 2).requires_grad
        done.set()
        assert trained and not evaluated.result()
        with no_grad():  # a thread that starts in here is a training of its own
            assert ThreadPoolExecutor(1).submit(lambda: (x * 2).requires_grad).result()
    assert (x * 2).requires_grad


# ---------------------------------------------------------------- what is refused

def backward_twice():
    y = (leaf([1.0]) * 2).sum()
    y.backward()
    y.backward()


@pytest.mark.parametrize("call, error, words", [
    (lambda: (ones() * 2).backward(), ValueError, "single number"),
    (lambda: (ones() * 2).backward(np.ones(3)), ValueError, r"shape \(3,\), expected \(2, 2\)"),
    (lambda: (Tensor([1.0]) * 2).backward(), RuntimeError, "requires_grad=True"),
    (backward_twice, RuntimeError, "used up"),
    (lambda: leaf([1, 2]), TypeError, "floating-point"),
    (lambda: Tensor(ones()), TypeError, "already a Tensor"),
    (lambda: ones() * Tensor(np.ones(2)), TypeError,
     r"float32 and float64.*a.astype\(np.float32\), a Tensor by Tensor\(t.data.ast"),
    (lambda: Tensor(np.ma.masked_array([1.0, 2.0], [True, False])), TypeError, "filled"),
    (lambda: Tensor([Tensor(1.0), Tensor(2.0)]), TypeError, "list of Tensors; use ops.stack"),
    (lambda: Tensor([1, 2], requires_grad=True), TypeError, "write 1.0 for 1"),
    (lambda: Tensor(np.ones(2, int), requires_grad=True), TypeError, "use data.astype"),
    (lambda: list(ones().sum()), TypeError, "no axes"),
    (lambda: copy.deepcopy(ones() * 2), TypeError, "use .detach"),
    (lambda: ones() ** ones(), TypeError, "where a number is needed")])
def test_wrong_uses_are_explained(call, error, words, backend):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.host_only
@pytest.mark.parametrize("data", [None, "a", np.array(["a"]), np.array([0], "M8[s]"), 1j])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(TypeError, match="must be real numbers, not"):
        Tensor(data)


@pytest.mark.parametrize("bad", [lambda g: g[:1], lambda g: g.astype(np.float64)])
def test_derivative_of_wrong_shape_or_dtype_is_named(bad):
    def my_op(x):
        def dx(g): return bad(g)
        return record(x.data * 2, (x, dx))
    with pytest.raises(GradientShapeError, match="my_op: the derivative 'dx' returned"):
        my_op(leaf([1.0, 2.0])).backward(np.ones(2, np.float32))


def test_derivative_that_is_a_tensor_is_named():
    def my_op(x):
        def dx(g): return x * g
        return record(x.data * 2, (x, dx))
    with pytest.raises(TypeError, match="my_op: the derivative 'dx' returned a Tensor"):
        my_op(leaf([1.0, 2.0])).backward(np.ones(2, np.float32))


@pytest.mark.parametrize("found", [None, 0])
def test_derivative_without_a_return_is_named(found):
    def my_op(x):
        def dx(g): return found
        return record(x.data * 2, (x, dx))
    with pytest.raises(TypeError, match=f"my_op: the derivative 'dx' returned {found}, but"):
        my_op(leaf([1.0, 2.0])).backward(np.ones(2, np.float32))


@pytest.mark.parametrize("op", ["iadd", "isub", "imul", "itruediv"])
def test_a_parameter_is_not_changed_under_its_name(op, backend):
    """w -= lr * w.grad would make another Tensor, and w would never be trained."""
    w, change = leaf([1.0, 2.0]), getattr(operator, op)
    with no_grad(), pytest.raises(TypeError, match=r"write p.data -= lr \* p.grad"):
        change(w, xp.ones(2, np.float32))
    h, plain = w * 3, getattr(operator, op[1:])
    assert (change(h, 2).data == plain(3 * w.data, 2)).all()
    assert (change(Tensor([3.0]), 2).data == plain(xp.float32(3), 2)).all()


def test_a_number_that_is_trained_by_hand_stays_an_array(backend):
    """NumPy makes numbers of arrays without axes, which nothing can be written into."""
    w = Tensor(2.0, requires_grad=True)
    (w * w).backward()
    w.data = w.data - 0.5 * w.grad
    optim.Adam([w], lr=0.25).step()
    assert abs(w.item() + 0.25) < 1e-6


def test_a_leaf_that_is_trained_has_memory_of_its_own(backend):
    start = xp.ones(3, np.float32)
    a, b = leaf(start), leaf(start)
    by_a_step(a)
    assert to_numpy(start).tolist() == b.numpy().tolist() == [1, 1, 1] != a.numpy().tolist()
    assert Tensor(start).data is start


def by_a_step(w):
    w.grad = xp.ones_like(w.data)
    optim.SGD([w], 0.1).step()


def by_a_loaded_state(w):
    layer = nn.Module()
    layer.w = w
    layer.load_state_dict(layer.state_dict())


def by_another(w): w.data = 2 * w.data
def in_place(w): w.data *= 10


@pytest.mark.parametrize("change", [by_a_step, by_a_loaded_state, by_another, in_place])
def test_data_changed_between_forward_and_backward_are_noticed(change, backend):
    """The derivative would be taken with the new numbers: 2 w x instead of that of the forward
    pass."""
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    loss = (w * w * x).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"leaf of shape \(2,\) were changed after it was used"):
        loss.backward()
    w.grad = None
    (w * x * w).sum().backward()  # computed again, all is well, though w has changed and x has not
    np.testing.assert_allclose(to_numpy(w.grad), 2 * w.numpy() * x.numpy(), rtol=1e-6)


def test_a_graph_from_outside_averaged_has_no_backward_within(backend):
    """Nor one from within outside, also after a step."""
    w = leaf([1.0, 2.0])
    adam = optim.Adam([w], average=0.5)
    loss = (w * w).sum()
    with adam.averaged():
        within = (w * w).sum()
        with pytest.raises(RuntimeError, match="were changed"):
            loss.backward()
    w.grad = xp.ones(2, np.float32)
    adam.step()
    with pytest.raises(RuntimeError, match="were changed"):
        within.backward()


def test_a_backward_that_fails_changes_no_gradient(backend):
    a, w = leaf([1.0]), leaf([2.0])
    loss = (w * w + a * 3).sum()  # the newest comes first
    a.grad = xp.ones(1, np.float32)
    w.data *= 2
    with pytest.raises(RuntimeError, match="were changed"):
        loss.backward()
    assert to_numpy(a.grad).tolist() == [1.0] and w.grad is None
