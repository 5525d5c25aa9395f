"""Modules, initialisation, optimisers, schedules."""

import math

import numpy as np
import pytest

from scratchnet import Tensor, nn, ops, optim, to_numpy, xp
from scratchnet.fast import update

pytestmark = pytest.mark.usefixtures("backend")


class Net(nn.Module):
    def __init__(self, rng):
        self.first = nn.Linear(3, 4, rng)
        self.blocks = [nn.Linear(4, 4, rng), nn.Linear(4, 4, rng)]
        self.running = Tensor(np.zeros(4, np.float32))  # state, but not a parameter
        self.last = nn.Sequential(nn.Activation("relu"), nn.Linear(4, 2, rng, bias=False))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def test_state_is_found_in_order_by_dotted_name(rng):
    net = Net(rng)
    assert list(net.tensors()) == [
        "running", "first.w", "first.b", "blocks.0.w", "blocks.0.b", "blocks.1.w", "blocks.1.b",
        "last.layers.1.w"]
    assert "running" not in net.named_parameters() and len(net.parameters()) == 7
    net.kept = net(Tensor(np.ones((1, 3), np.float32)))  # an activation, and no state
    assert "kept" not in net.tensors()
    net.more = {"a": nn.parameter([1]), "b": [[nn.Linear(2, 1, rng)], nn.parameter([2]), 3, "c"],
                "losses": [Tensor(1.0)]}  # what it remembers is no state
    assert list(net.named_parameters()) == [
        "more.a", "more.b.1", *list(net.tensors())[3:10], "more.b.0.0.w", "more.b.0.0.b"]
    assert not net.eval().more["b"][0][0].training


def test_a_parameter_in_two_places_is_one(rng):
    """Counted, printed and updated once; saved under both of its names."""
    net = Net(rng)
    net.blocks[1].w, before = net.blocks[0].w, net.blocks[0].w.numpy().copy()
    assert len(net.parameters()) == 6 and len(net.state_dict()) == 8
    assert repr(net).startswith("Net: 48 parameters")
    net.blocks[0].w.grad = xp.ones((4, 4), np.float32)
    optim.SGD(net.parameters(), 0.5).step()
    np.testing.assert_array_equal(net.blocks[1].w.numpy(), before - np.float32(0.5))


def test_a_state_is_loaded_whole_or_not_at_all(backend, rng):
    a, b = Net(rng), Net(rng)
    x = Tensor(rng.standard_normal((5, 3)).astype(np.float32))
    before = b.state_dict()
    state = {**before, "extra": np.zeros(1), "first.w": np.zeros((3, 5))}
    del state["running"]
    with pytest.raises(ValueError, match=r"missing running; unknown extra; first.w has shape "
                                         r"\(3, 5\), expected \(3, 4\)"):
        b.load_state_dict(state)
    with pytest.raises(ValueError):  # the last one is no numbers
        b.load_state_dict({**a.state_dict(), "last.layers.1.w": np.full((4, 2), "a")})
    for name, value in b.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(a(x).numpy(), b(x).numpy())
    a.first.w.data[...] = 0  # a copy was loaded, not the memory
    assert b.first.w.numpy().any()


def test_train_and_eval_reach_every_module(rng):
    net = Net(rng)
    assert net.eval() is net
    assert not net.training and not net.blocks[1].training and not net.last.layers[0].training
    assert net.train().last.layers[1].training


def test_repr_has_names_shapes_and_a_count(rng):
    lines = repr(Net(rng)).splitlines()
    assert lines[:3] == ["Net: 64 parameters", "  running (4,)", "  first.w (3, 4)"]


def test_activations_have_the_names_of_their_ops(rng):
    x = Tensor(rng.standard_normal(9))
    for name in nn.ACTIVATIONS:
        np.testing.assert_array_equal(nn.Activation(name)(x).numpy(), getattr(ops, name)(x).numpy())
    for name, schedule in optim.SCHEDULES.items():
        assert schedule is getattr(optim, name)


@pytest.mark.parametrize("init, variance", [
    (nn.lecun_uniform, 1 / (3 * 400)), (nn.glorot_uniform, 2 / (400 + 200)),
    (nn.he_normal, 2 / 400)])
def test_initial_variance_is_the_authors(init, variance, rng):
    w = init(rng, (400, 200), 400, 200)
    assert math.isclose(w.var(), variance, rel_tol=0.03) and abs(w.mean()) < 1e-3


@pytest.mark.parametrize("init, activation, factor", [
    (nn.he_normal, ops.relu, 1), (nn.glorot_uniform, ops.relu, 1 / 2),
    (nn.lecun_uniform, ops.relu, 1 / 6), (nn.glorot_uniform, None, 1)])
def test_a_signal_keeps_its_size_through_ten_layers(init, activation, factor, backend, rng):
    """docs/05-network.md: a layer multiplies the mean square by n Var(w), a ReLU by 1/2, on the way
    forward and on the way back."""
    x = y = Tensor(rng.standard_normal((100, 300)).astype(np.float32), requires_grad=True)
    for _ in range(10):
        y = nn.Linear(300, 300, rng, init=init)(y)
        y = activation(y) if activation else y
    g = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(xp.asarray(g))
    for after, before in ((y.numpy(), x.numpy()), (to_numpy(x.grad), g)):
        each = ((after ** 2).mean() / (before ** 2).mean()) ** (1 / 10)
        assert each == pytest.approx(factor, rel=0.1)


def test_dropout_leaves_out_whole_maps(backend, rng):
    """Those of the lowest numbers, a part p of all; the others grow, so that the mean stays."""
    x = rng.uniform(1, 2, (400, 2, 3, 50)).astype(np.float32)
    noise = rng.standard_normal((400, 50), dtype=np.float32)
    y = nn.dropout(Tensor(x), noise, 0.3).numpy()
    assert y.dtype == np.float32
    left_out = (y == 0).all(axis=(1, 2))
    assert noise[left_out].max() < noise[~left_out].min()
    assert left_out.mean() == pytest.approx(0.3, abs=0.01)
    kept = np.broadcast_to(~left_out[:, None, None], x.shape)
    np.testing.assert_allclose(y[kept], x[kept] / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(nn.dropout(Tensor(x[:, 0, 0]), noise, 0.3).numpy(), y[:, 0, 0])
    with pytest.raises(ValueError, match=r"dropout: noise \(50, 400\) for x"):
        nn.dropout(Tensor(x), noise.T, 0.3)


def test_layers_start_as_they_say(rng):
    """Glorot's before an activation, LeCun's for a layer alone; biases at 0; rows N(0, 1)."""
    hidden, alone = nn.mlp([300, 200], "tanh", rng).layers[0], nn.Linear(300, 200, rng)
    rows = nn.Embedding(300, 200, rng).table
    for w, variance in (hidden.w, 2 / 500), (alone.w, 1 / 900), (rows, 1):
        assert w.numpy().var() == pytest.approx(variance, rel=0.03)
    for layer in (hidden, alone, nn.Conv2d(2, 3, 3, rng), nn.ConvTranspose2d(2, 3, 3, rng),
                  nn.MaskedConv2d(2, 3, np.ones((3, 3)), rng)):
        assert not to_numpy(layer.b.data).any()


# ---------------------------------------------------------------- optimisers

@pytest.mark.parametrize("decay", [0, 0.5])
def test_adam_against_the_algorithm_written_plainly(decay, backend, rng):
    """And AdamW, whose decay is outside of the fraction and goes with the rate."""
    p = Tensor(rng.standard_normal(5), requires_grad=True)
    usual = optim.Adam([p])  # the paper's
    assert (usual.lr, usual.betas, usual.eps, usual.average, usual.weight_decay) == (
        1e-3, (0.9, 0.999), 1e-8, 0, 0)
    theta, m, v = p.numpy().copy(), np.zeros(5), np.zeros(5)
    adam = optim.Adam([p], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=decay)
    for t in range(1, 100):
        g = rng.standard_normal(5)
        p.grad = Tensor(g).data
        adam.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g ** 2
        theta = theta - 0.01 * decay * theta
        theta -= 0.01 * (m / (1 - 0.8 ** t)) / (np.sqrt(v / (1 - 0.95 ** t)) + 1e-6)
    np.testing.assert_allclose(p.numpy(), theta, rtol=1e-10)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
                                  lambda p: optim.Adam(p, 0.1, average=0.9, weight_decay=0.1)])
def test_all_parameters_at_once_are_each_one_alone(make, backend, rng):
    """On a GPU they lie in one array; 64 and more numbers, so that places are not all full."""
    shapes = [(3, 5), (), (64,), (65, 2), (1, 1, 2)]
    values = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    together, alone = ([Tensor(v.copy(), requires_grad=True) for v in values] for _ in range(2))
    one, each = make(together), [make([p]) for p in alone]
    for step in range(4):
        for p, q in zip(together, alone, strict=True):
            g = rng.standard_normal(p.shape).astype(np.float32)
            p.grad, q.grad = xp.asarray(g.T.copy()).T, xp.asarray(g)  # in another order in memory
        if step == 2:  # one without a gradient: each by itself
            together[1].grad = alone[1].grad = None
        for optimizer in [one, *each]:
            optimizer.step()
        assert hasattr(one, "flat") == (backend != "numpy")
    for i, (p, q) in enumerate(zip(together, alone, strict=True)):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-6)
        for name in one.slots:
            np.testing.assert_allclose(*(to_numpy(a) for a in (
                one.state[name][i], each[i].state[name][0])), rtol=1e-6)
    assert one.steps == [4, 3, 4, 4, 4]


def test_adam_gives_the_same_in_blocks(rng, monkeypatch):
    gradients = [rng.standard_normal((7, 9)) for _ in range(3)]
    found = []
    for block in (10 ** 6, 62, 31, 9, 5):  # two blocks and one number more, whole blocks, ...
        monkeypatch.setattr(update, "BLOCK", block)
        p = Tensor(np.ones((7, 9)), requires_grad=True)
        adam = optim.Adam([p])
        for g in gradients:
            p.grad = xp.asarray(g)
            adam.step()
        found.append(p.numpy().copy())
    for in_small_blocks in found[1:]:
        np.testing.assert_array_equal(in_small_blocks, found[0])


@pytest.mark.host_only
def test_adam_keeps_no_subnormal_numbers():
    """They would make each step several times slower (fast.update.flush_tiny), but nothing that
    matters is flushed."""
    p = Tensor(np.ones(3, np.float32), requires_grad=True)
    adam = optim.Adam([p])
    p.grad = np.full(3, 1e-3, np.float32)
    adam.step()
    p.grad = np.zeros(3, np.float32)
    for _ in range(2000):
        adam.step()
        m = adam.state["m"][0]
        assert not ((m != 0) & (np.abs(m) < np.finfo(np.float32).tiny)).any()
    slow = [optim.Adam([Tensor([0.0], requires_grad=True)], eps=eps) for eps in (1e-20, 0)]
    for adam in slow:  # beside an eps this small, they matter: a step stays lr long
        for _ in range(200):
            adam.parameters[0].grad = np.full(1, 1e-16, np.float32)
            adam.step()
        assert abs(adam.parameters[0].item() + 0.2) < 1e-3
    small = np.array([1e-29, -1e-29, 1e-31, 0], np.float32)
    update.flush_tiny([small], 64)
    assert small.tolist() == np.array([1e-29, -1e-29, 0, 0], np.float32).tolist()


def test_a_late_first_gradient_moves_a_parameter_as_an_early_one(backend):
    """Each parameter's bias correction counts its own updates."""
    p, q = (Tensor(np.ones(3, np.float32), requires_grad=True) for _ in range(2))
    adam = optim.Adam([p, q], 0.1)
    for _ in range(1000):
        p.grad = xp.ones(3, np.float32)
        adam.step()
    q.grad = xp.full(3, 1e-3, np.float32)
    adam.step()
    np.testing.assert_allclose(q.numpy(), 0.9, rtol=1e-4)
    assert adam.steps == [1001, 1]


def test_no_step_of_adam_is_longer_than_its_bound(backend, rng):
    """|m_hat| / sqrt(v_hat) is 1 at first, and at most sqrt(sum a_k^2 / b_k), a and b being the
    weights of the two means; gradients in the proportion a_k / b_k reach it."""
    b1, b2, steps = 0.9, 0.99, 70
    growing = (b1 / b2) ** np.arange(steps - 1.0, -1, -1)
    p = Tensor(np.zeros(6), requires_grad=True)
    adam = optim.Adam([p], lr=0.5, betas=(b1, b2), eps=0)
    for t in range(1, steps + 1):
        before, g = p.numpy().copy(), np.full(6, 7.0)
        g[:4], g[4] = rng.standard_normal(4) * 10.0 ** rng.integers(-3, 4, 4), growing[t - 1]
        g[3] *= 1e-20  # without an eps, no gradient is too small to count
        p.grad = xp.asarray(g)
        adam.step()
        length = np.abs(p.numpy() - before) / 0.5
        a, b = ((1 - b) * b ** np.arange(t) / (1 - b ** t) for b in (b1, b2))
        bound = np.sqrt((a * a / b).sum())
        assert (length <= bound * (1 + 1e-9)).all()
        assert length[4:].tolist() == pytest.approx([bound, 1])  # growing; constant
        if t == 1:
            np.testing.assert_allclose(length, 1)
    assert bound > 1.5


def test_a_parameter_whose_memory_is_replaced_is_still_trained(backend):
    """Also by one in another order."""
    p = Tensor(np.ones((2, 3)), requires_grad=True)
    sgd = optim.SGD([p], 0.25)
    for _ in range(2):  # before the first step, and after it
        p.data = xp.asfortranarray(p.data.copy())
        p.grad = xp.ones((2, 3))
        sgd.step()
    assert to_numpy(p.data).tolist() == [[0.5] * 3] * 2


def test_sgd_with_momentum_and_weight_decay(backend):
    p = Tensor(np.array([2.0]), requires_grad=True)
    sgd = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5)
    theta, u = 2.0, 0.0
    for g in (1.0, -2.0, 0.5):
        p.grad = Tensor(np.array([g])).data
        sgd.step()
        u = 0.9 * u + g + 0.5 * theta
        theta -= 0.1 * u
    assert math.isclose(p.item(), theta)


def test_adam_averages_the_parameters(backend, rng):
    p = Tensor(rng.standard_normal(5), requires_grad=True)
    adam, mean = optim.Adam([p], lr=0.01, average=0.9), p.numpy().copy()
    for t in range(1, 200):
        p.grad = Tensor(rng.standard_normal(5)).data
        adam.step()
        d = min(0.9, (1 + t) / (10 + t))
        mean = d * mean + (1 - d) * p.numpy()
        np.testing.assert_allclose(to_numpy(adam.state["average"][0]), mean, rtol=1e-10)
    last, loss = p.numpy().copy(), (p * p).sum()
    with adam.averaged():  # nothing is trained or saved, and one within another changes nothing
        with adam.averaged():
            np.testing.assert_allclose(p.numpy(), mean, rtol=1e-10)
        np.testing.assert_allclose(p.numpy(), mean, rtol=1e-10)
        for call in (adam.step, adam.state_dict, lambda: adam.load_state_dict({})):
            with pytest.raises(RuntimeError, match="within averaged"):
                call()
    with pytest.raises(KeyError), adam.averaged():
        raise KeyError
    np.testing.assert_array_equal(p.numpy(), last)
    loss.backward()  # evaluations between forward and backward change nothing
    adam = optim.Adam([p])
    with adam.averaged():  # keeps none: nothing changes
        np.testing.assert_array_equal(p.numpy(), last)
        adam.load_state_dict(adam.state_dict())


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.05, momentum=0.9),
                                  lambda p: optim.Adam(p, 0.05),
                                  lambda p: optim.Adam(p, 0.05, average=0.5)])
def test_optimiser_state_resumes_exactly(make, backend, rng):
    gradients = [rng.standard_normal(4).astype(np.float32) for _ in range(6)]
    def run(p, optimizer, part):
        for g in part:
            p.grad = xp.asarray(g)
            optimizer.step()
    p = Tensor(np.ones(4, np.float32), requires_grad=True)
    whole = make([p])
    run(p, whole, gradients[:3])
    q = Tensor(p.numpy().copy(), requires_grad=True)
    resumed = make([q])
    resumed.load_state_dict(whole.state_dict())
    run(p, whole, gradients[3:])
    run(q, resumed, gradients[3:])
    np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_schedules():
    assert optim.constant(0.1, 100)(57) == 0.1
    cosine = optim.cosine(1.0, 1000, warmup=0.1, final=0.2)
    rates = [cosine(s) for s in range(1000)]
    assert rates[0] == pytest.approx(0.01) and max(rates) == rates[99] == 1.0
    assert rates[549] == pytest.approx(0.6, abs=2e-3) and rates[-1] == pytest.approx(0.2, abs=1e-3)
    cooldown = optim.cooldown(1.0, 100)
    assert [cooldown(s) for s in (0, 80, 90, 99)] == pytest.approx([1, 1, 0.5, 0.05])
    assert [f(1.0, 100)(130) >= 0 for f in optim.SCHEDULES.values()] == [True] * 4  # never uphill
    falling = optim.exponential(1.0, 100, final=0.01)
    assert falling(50) == pytest.approx(0.1) and falling(100) == pytest.approx(0.01)
    usual = optim.cosine(1.0, 1000)  # the defaults: 2 % warm-up, down to 1 %
    assert [usual(s) for s in (9, 19, 510, 1000)] == pytest.approx([0.5, 1, 0.505, 0.01])
    assert optim.exponential(1.0, 100)(50) == pytest.approx(0.1)


def test_clipping_scales_all_gradients_by_one_factor(backend):
    p, q = Tensor(np.zeros(1), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    p.grad, q.grad = Tensor(np.array([3.0])).data, Tensor(np.array([4.0])).data
    assert float(optim.clip_grad_norm([p, q], 10)) == 5 and p.grad.item() == 3
    optim.clip_grad_norm([p, q], 1)
    assert (p.grad.item(), q.grad.item()) == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize("make, words", [
    (lambda: nn.Activation("rleu"), "choose one of relu, tanh"),
    (lambda: nn.mlp([4, 0, 2], "relu", np.random), "sizes must be 1 or more, not"),
    (lambda: nn.Linear(0, 2, np.random), "sizes must be 1 or more, not"),
    (lambda: optim.Adam([leaf_of_ones()]).load_state_dict(optim.Adam([
        Tensor(np.ones(5), requires_grad=True)]).state_dict()), "does not fit Adam: m.0 has shape"),
    (lambda: optim.Adam([leaf_of_ones()]).load_state_dict({}), "does not fit Adam: missing steps"),
    (lambda: optim.Adam([]), "no parameters"),
    (lambda: optim.SGD(leaf_of_ones(), 0.1), "must be leaves"),  # its rows are none
    (lambda: optim.Adam([leaf_of_ones() * 2]), "must be leaves"),
    (lambda: optim.Adam([Tensor(np.ones(2))]), "must be leaves"),
    (lambda: optim.Adam(nn.Linear(2, 3, np.random.default_rng(0)).named_parameters()), "must be"),
    (lambda: optim.Adam([leaf_of_ones()], lr=-1), "lr must be 0 or more"),
    (lambda: optim.Adam([leaf_of_ones()], betas=(0.9, 1)), "betas and average must be"),
    (lambda: optim.Adam([leaf_of_ones()], betas=(-0.1, 0.9)), "betas and average must be"),
    (lambda: optim.Adam([leaf_of_ones()], average=1), "betas and average must be"),
    (lambda: optim.Adam([leaf_of_ones()], eps=-1e-8), "eps 0 or more"),
    (lambda: optim.SGD([leaf_of_ones()], 1, momentum=1), "momentum < 1"),
    (lambda: optim.SGD([leaf_of_ones()], 1, weight_decay=-1), "weight_decay >= 0")])
def test_what_does_not_fit_is_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1), lambda p: optim.Adam(p, 0.1)])
def test_what_an_optimiser_does_not_take(make, backend):
    """A gradient that would be broadcast; and a parameter that comes twice moves once."""
    p, q = leaf_of_ones(), leaf_of_ones()
    p.grad = q.grad = xp.ones((2, 3), np.float32)
    make([p, p]).step()
    make([q]).step()
    np.testing.assert_array_equal(p.numpy(), q.numpy())
    before = p.numpy().copy()
    p.grad = xp.ones((1, 3), np.float32)
    with pytest.raises(ValueError, match=r"gradient of shape \(1, 3\) for a parameter"):
        make([p]).step()
    np.testing.assert_array_equal(p.numpy(), before)


def test_an_optimiser_made_between_forward_and_backward(backend):
    """It moves the parameters, on a GPU into other memory, but changes none of their numbers."""
    p = leaf_of_ones()
    loss = (p * p).sum()
    sgd = optim.SGD([p], 0.25)
    loss.backward()
    sgd.step()
    assert (p.numpy() == 0.5).all()


def leaf_of_ones():
    return Tensor(np.ones((2, 3), np.float32), requires_grad=True)
