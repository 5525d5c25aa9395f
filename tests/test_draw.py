"""The drawn tape shows what was recorded: ops, inputs, memory, gradients."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from models import VQVAE, GatedPixelCNN, PixelCNN
from scratchnet import Tensor, draw, nn, no_grad, ops
from scratchnet.backend import to_numpy, xp
from scratchnet.tensor import record


def leaf(*shape):
    return Tensor(xp.asarray(np.ones(shape, np.float32)), requires_grad=True)


def test_ops_inputs_and_gradients(backend):
    """Chapter 1's: a = x w, b = a + x, L = a b, and its gradients by school calculus."""
    x, w = (Tensor(xp.asarray(np.array(v)), requires_grad=True) for v in (3.0, 2.0))
    a = x * w
    b = a + x
    L = a * b
    graph = draw(L, x=x, w=w, a=a, b=b, L=L)
    named = [(row.name, row.op, [graph.called(i) for i in row.sources]) for row in graph.rows]
    assert named == [("x", "leaf", []), ("w", "leaf", []), ("a", "mul", ["x", "w"]),
                     ("b", "add", ["a", "x"]), ("L", "mul", ["a", "b"])]
    assert not any(map(graph.norms, graph.rows))  # before backward()
    L.backward(keep=graph.gradients)
    assert [graph.norm(row.key) for row in graph.rows] == [36, 45, 15, 6, 1]
    assert graph.gradients[a.node].item() == 15
    line = next(line for line in str(graph).splitlines() if line.startswith("a "))
    assert line.split() == ["a", "mul", "a", "number", "x,", "w", "15"]


def test_bytes_are_those_that_the_derivatives_hold():
    """Once each: exp keeps its result, a product both factors, a sum nothing; leaves and views
    keep nothing that was not there."""
    x = leaf(1000)
    y = ops.exp(x)
    z = y * y.reshape(10, 100).reshape(1000) + x
    graph = draw(z.sum(), x=x)
    assert {row.op: row.kept for row in graph.rows} == {
        "leaf": 0, "exp": 4000, "reshape": 0, "mul": 0, "add": 0, "sum": 0}
    assert graph.kept() == 4000 and "kept for the way back: 4 kB" in str(graph)
    assert draw((x * Tensor(np.ones(500, np.float32).repeat(2))).sum()).kept() == 4000


def test_views_keep_no_more_than_there_is():
    """Two halves are counted both; a million that are one number repeated are one; what a
    derivative has as a default, and one that calls itself, are looked at, too."""
    halves = (leaf(2, 500) * 1).reshape(1000)
    assert draw((halves[:500] * halves[500:]).sum()).kept() == 4000
    wide = ops.broadcast_to(leaf(1) * 1, (1000, 1000))
    assert draw((wide * wide).sum()).kept() == 4

    def power(x):
        y = xp.asarray(np.ones(100, np.float32))
        def dx(g, saved=y, n=2):
            return g * saved if n == 0 else dx(g, saved, n - 1)
        return record(x.data * 1, (x, dx))
    graph = draw(power(leaf(100)))
    assert [(row.op, row.kept) for row in graph.rows] == [("leaf", 0), ("power", 400)]


def test_an_op_with_helpers_has_its_own_name():
    x = leaf(2, 3)
    both = ops.stack([ops.concatenate([x, x * 2]), ops.concatenate([x, x])]).sum()
    assert [row.op for row in draw(both).rows] == ["leaf", "mul", "concatenate", "concatenate",
                                                   "stack", "sum"]


def test_the_gradients_are_those_of_this_backward():
    """Before it none is shown, not even what .grad has from the step before."""
    x = leaf(4)
    (x * x).sum().backward()
    y = (x * 3).sum()
    graph = draw(y, x=x, y=y)
    assert len(graph.rows) == 3 and not any(map(graph.norms, graph.rows))


def test_parameters_stand_where_they_are_used():
    """In the picture what is made of parameters alone is right above what uses it, and a frame of a
    block has none but its rows."""
    model = GatedPixelCNN((8, 8, 1), features=4, blocks=5, head=4)
    graph = draw(model.loss(np.ones((2, 8, 8, 1), np.float32), None)[0], model)
    boxes = {}
    for x, y, name in re.findall(r'rect class="\w*" x="(\d+)" y="(\d+)"[^>]*><text class="op"[^>]*>'
                                 r'([^<]*)', graph._repr_svg_()):
        boxes.setdefault(name, []).append((int(x), int(y)))
    lowest = {y for _, y in boxes["take_taps"]}
    assert len(lowest) > 5 and len(boxes["take_taps"]) > 5
    assert len({x for places in boxes.values() for x, _ in places}) <= 4
    frames = [tuple(map(int, f)) for f in re.findall(
        r'class="block" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', graph._repr_svg_())]
    [(first, length, _)] = graph.blocks
    inside = [(x, y) for places in boxes.values() for x, y in places
              if any(a < x < a + w and b < y < b + h for a, b, w, h in frames)]
    beside = graph._repr_svg_().count("blocks.0.link.") + graph._repr_svg_().count("blocks.1.v.b")
    assert len(inside) == length - beside


def test_what_gets_no_gradient_is_shown(backend):
    z, e = leaf(2, 3), leaf(2, 3)
    y = ops.straight_through(e * 2, z)
    row = draw((y - e.detach() * 1).sum(), z=z, e=e).rows[1]
    assert (row.op, row.sources, row.without) == ("straight_through", [0], [(2, 3)])
    graph = draw(((y - 1) * np.ones(3, np.float32)).sum())
    assert "[3]" in str(graph) and "[in brackets]: gets no gradient" in str(graph)
    assert "no gradient: 2 x 3" in graph._repr_svg_()


def test_repeated_blocks_are_folded(backend):
    """A PixelCNN's 15 blocks are one; its bytes and the range of its gradients are those of all."""
    model = PixelCNN((8, 8, 1), features=4, blocks=15, head=4, rng=np.random.default_rng(0))
    loss, _ = model.loss(np.ones((2, 8, 8, 1), np.float32), None)
    graph = draw(loss, model)
    [(first, length, times)] = graph.blocks
    assert times == 15 and len(graph.rows) < 40 and "| 15 times:" in str(graph)
    block = graph.rows[first:first + length]
    loss.backward(keep=graph.gradients)
    weights = next(row for row in block if row.name == "blocks.0.middle.w")
    norms = [np.linalg.norm(to_numpy(b.middle.w.grad)) for b in model.blocks]
    assert weights.key is model.blocks[0].middle.w and graph.norms(weights) == \
        f"{min(norms):.3g} to {max(norms):.3g}"
    once = sum(row.kept for row in block)
    assert graph.kept() == sum(row.kept for row in graph.rows) + 14 * once > 15 * once


def test_what_differs_is_not_folded():
    """One layer used six times is not six layers, whose weights are as far away each time."""
    layer, x = nn.Linear(4, 4, np.random.default_rng(0)), leaf(2, 4)
    y = x
    for _ in range(6):
        y = layer(y)
    assert not draw(y.sum()).blocks
    many = [nn.Linear(4, 4, np.random.default_rng(k)) for k in range(3)]
    assert [times for *_, times in draw(many[2](many[1](many[0](x))).sum()).blocks] == [3]


def test_a_long_chain():
    y = leaf(2)
    for _ in range(5_000):
        y = y + 1
    graph = draw(y)
    assert graph.blocks == [(1, 1, 5_000)] and len(graph.rows) == 2


def test_the_picture_is_svg_with_every_name(backend, tmp_path):
    model = VQVAE((8, 8, 1), num_embeddings=8, embedding_dim=4)
    x = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    model.prepare(x, np.random.default_rng(0))
    loss, _ = model.loss(x)
    graph = draw(loss, model, **{"L<1>": loss})
    loss.backward(keep=graph.gradients)
    graph.save(tmp_path / "loss.svg")
    words = [e.text for e in ElementTree.parse(tmp_path / "loss.svg").iter() if e.text]
    assert "L<1> = add" in words and "2 times" in words
    for row in graph.rows:
        assert any(word.startswith(row.name or row.op) for word in words), row
    boxes = re.findall(r'<rect class="" x="([\d.]+)" y="([\d.]+)"', graph._repr_svg_())
    assert len(boxes) == len(set(boxes)) == sum(row.op != "leaf" for row in graph.rows)


def test_nothing_to_draw():
    x = leaf(2)
    y = (x * x).sum()
    y.backward()
    with no_grad():
        unrecorded = x * x
    for wrong in (x, y, unrecorded, 3.0):
        with pytest.raises(ValueError, match="nothing is on the tape"):
            draw(wrong)
    h = x * x
    h.sum().backward()
    with pytest.raises(ValueError, match="of a part that y was computed from"):
        draw((h * 2).sum())
    with pytest.raises(TypeError, match=r"x=\.\.\.\): a Tensor can have a name .* is a ndarray"):
        draw((x * x).sum(), x=np.ones(2))


def test_kept_gradients_are_finite_differences():
    """Of an intermediate that is used in several ways and through views."""
    def tail(h):
        return (h * h + ops.exp(h)).sum() + (h.reshape(3, 2)[1:] * h[:, :2]).sum() + (h + h).mean()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3)), requires_grad=True)
    h, keep = ops.tanh(x), {}
    tail(h).backward(keep=keep)
    for i in np.ndindex(h.shape):
        d = np.zeros(h.shape)
        d[i] = 1e-6
        slope = (tail(Tensor(h.data + d)) - tail(Tensor(h.data - d))).item() / 2e-6
        assert abs(keep[h.node][i] - slope) < 1e-7
