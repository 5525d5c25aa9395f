"""The tape that the page shows is the engine's, and an expression runs nothing but ops."""

import copy

import numpy as np
import pytest
from scripts import answer

from explorer import ask_all  # noqa: F401 - what can be asked
from explorer.ask_backprop import FUNCTIONS, words
from explorer.runs import Runs
from scratchnet import Tensor, losses, ops
from scratchnet.tensor import Node, record
from scratchnet.training import generator


def tape(expression, **leaves):
    return answer(Runs({}), "tape", {"expression": expression, "leaves": leaves})


def test_the_tape_of_an_expression_is_the_engines(backend):
    x, w, b = [[1, 2]], [[1, 2, 0], [0.1, -1, 1]], [0, 0, 1]
    found = tape("tanh(x @ w + b)", x=x, w=str(w), b=b)
    given = [Tensor(np.array(a, np.float64), requires_grad=True) for a in (x, w, b)]
    y = ops.tanh(given[0] @ given[1] + given[2])
    y.backward(np.ones(y.shape))
    rows = {row["name"]: row for row in found["rows"]}
    assert [row["op"] for row in found["rows"]] == ["leaf", "leaf", "matmul", "leaf", "add", "tanh"]
    assert rows["tanh(x @ w + b)"]["value_words"] == words(y)
    for name, t in zip("xwb", given, strict=True):
        assert rows[name]["gradient_words"] == words(t.grad)
    assert all(one["agrees"] for one in found["differences"])
    assert rows["x @ w"]["sources"] == [0, 1] and rows["tanh(x @ w + b)"]["kept"] == "24 B"


def test_what_is_used_twice_gets_two_parts_that_add_up():
    found = tape("(a + x) * a", a=2, x=1)
    parts = [p for step in found["back"] for p in step["parts"] if p["to"] == 0]
    assert [(p["part_words"], p["sum_words"], p["from"]) for p in parts] == [
        ("3", "3", 2), ("2", "5", 2)]
    assert found["rows"][0]["gradient_words"] == "5"


@pytest.mark.parametrize("expression, leaves, none", [
    ("mean((e - detach(z)) ** 2)", {"e": [1, 2], "z": [1.5, 1]}, {"z"}),
    ("softmax_cross_entropy(z, k)", {"z": [[1, 2, 3]], "k": [1]}, {"k"}),
    ("x * w", {"x": 1, "w": 2}, set())])
def test_what_gets_no_gradient_is_said(expression, leaves, none):
    found = tape(expression, **leaves)
    assert {leaf["name"] for leaf in found["leaves"] if leaf["none"]} == none
    assert {one["name"] for one in found["differences"] if one["gradient"] == "none"} == none
    assert all(one["agrees"] for one in found["differences"])


def test_a_declared_derivative_and_a_kink_do_not_agree():
    declared = tape("straight_through(e, z) * w", e=[1, 2], z=[1.5, 1], w=[2, 3])["differences"]
    assert {one["name"]: one["agrees"] for one in declared} == {"e": True, "z": False, "w": True}
    kink, = tape("relu(x)", x=0)["differences"]
    assert (kink["gradient"], kink["numeric"], kink["agrees"]) == ("0", "0.5", False)


def test_every_row_has_its_value_and_its_op_says_its_derivative():
    for name in sorted(FUNCTIONS.keys() - {"detach", "linear", "straight_through"}):
        two = name in ("add", "sub", "mul", "div", "matmul", "mse", "bce_with_logits",
                       "gaussian_kl")
        second = {"power": "2", "softmax_cross_entropy": "k"}.get(name, "w" if two else "")
        found = tape(f"{name}(x{', ' * bool(second)}{second})", x=[[0.5, 0.25]], k=[1],
                     w=[[0.5], [1]] if name == "matmul" else [[1, 0.5]])
        assert "error" not in found and all(r["value_words"] for r in found["rows"]), name
        assert all("dL/d" in row["doc"] for row in found["rows"] if row["op"] != "leaf"), name
        assert all(one["agrees"] for one in found["differences"]), name


@pytest.mark.parametrize("expression, says", [
    ("__import__('os').system('ls')", "is no function here"), ("x.data", "'x.data' cannot be"),
    ("x[0]", "'x[0]' cannot be"), ("[x for x in w]", "cannot be in it"), ("'a'", "cannot be in it"),
    ("(lambda: x)()", "is no function here"), ("x if x else w", "cannot be in it"),
    ("x := 2", "cannot be read"), ("f'{x}'", "cannot be in it"), ("True * x", "cannot be in it"),
    ("x +", "cannot be read"), ("", "needs 1 to 200"), ("x" * 201, "needs 1 to 200"),
    ("(" * 150 + "x", "cannot be read"), ("x" + " + x" * 49, "has more than 60 parts"),
    ("exp", "exp is a function"), ("x @ w", "in 'x @ w'"), ("exp(x, 1, 2)", "in 'exp(x, 1, 2)'"),
    ("sum(*x)", "cannot be in it"), ("sum(x, **w)", "cannot be in it"),
    ("x_ * _y", "'_y' cannot be"),
    ("sum(x, axis=w)", "'axis=w' cannot be"), ("sum(x, axis=5)", "in 'sum(x, axis=5)'"),
    ("9 ** 9 ** 9 * x", "is no number"), ("1 / 0 * x", "is no number"), ("1e9 * x", "too large"),
    ("(0 - 8) ** 0.5 * x", "no such result"), ("x ** w", "exponent must be a number"),
    ("x * missing", "missing: has no value"), ("x", "has no operation"), ("2 * 3", "has no")])
def test_a_wrong_expression_is_one_sentence(expression, says):
    found = tape(expression, x=2, w=[1, 2], x_=1)
    assert says in found["error"] and "\n" not in found["error"], found["error"]


@pytest.mark.parametrize("leaf, says", [
    ("[1,", "needs a number"), ([[1], [1, 2]], "rows must be of one length"), (True, "needs a num"),
    ([[[1]]], "needs a number"), (1e9, "from -1e6"), ([0] * 37, "1 to 36 numbers"), ([], "1 to 36"),
    (float("nan"), "from -1e6"), ({"a": 1}, "needs a number"), ("[" * 900, "needs a number")])
def test_a_wrong_leaf_is_one_sentence(leaf, says):
    assert says in tape("x * 2", x=leaf)["error"]


def test_what_cannot_be_moved_is_said():
    found = tape("bce_with_logits(x, t)", x=[[2]], t=[[1]])["differences"]
    assert [one["apart"] == "" for one in found] == [False, True]
    assert "cannot be moved" in found[1]["numeric"] and found[1]["gradient"] == "[[-2]]"


def test_the_leaves_come_in_their_order():
    found = answer(Runs({}), "expression_leaves", {"expression": "tanh(b + a * b) * exp(c)"})
    assert found["leaves"] == ["b", "a", "c"] and "tanh" in found["functions"]


# ---------------------------------------------------------------- a model's loss

@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    return Runs({"vae": "pretrained/vae2-mnist", "vqvae": "pretrained/vqvae-mnist"},
                {"mnist": (images, np.arange(3), "noise")})


def test_the_tape_of_a_models_loss(backend, runs):
    for _ in range(2):  # nothing is left from the first
        found = answer(runs, "loss_tape", {"run": "vae", "image": 1})
    model = copy.deepcopy(runs.open("vae").model)
    x = runs.test_images("vae")[0][1:2] / np.float32(255)
    noise = generator(0, "evaluation").standard_normal((1, 2), dtype=np.float32)
    loss, _ = model.loss(x, noise)
    loss.backward()
    rows = {row["name"]: row for row in found["rows"]}
    assert found["rows"][-1]["value_words"] == words(loss)
    assert rows["posterior.b"]["gradient_words"] == words(model.posterior.b.grad)
    assert not any(leaf["none"] for leaf in found["leaves"])
    assert all(p.grad is None for p in runs.open("vae").model.parameters())


def test_differences_of_a_models_loss(runs):
    one = answer(runs, "loss_difference", {"run": "vae", "name": "encoder.layers.0.w"})
    assert one["agrees"] and float(one["gradient"]) != 0
    before = answer(runs, "loss_difference", {"run": "vqvae", "name": "encoder.layers.0.b"})
    behind = answer(runs, "loss_difference", {"run": "vqvae", "name": "decoder.layers.0.b"})
    assert behind["agrees"] and not before["agrees"]  # the codes' derivative is declared


def test_what_is_folded_gets_its_gradient(runs):
    found = answer(runs, "loss_tape", {"run": "vqvae"})
    assert max(row["times"] for row in found["rows"]) > 1
    assert {leaf["name"] for leaf in found["leaves"] if leaf["none"]} <= {"e", "N", "m"}


@pytest.mark.parametrize("name, request_, says", [
    ("loss_tape", {"run": "none"}, "is none of"),
    ("loss_tape", {"run": "vae", "image": 9}, "0 to 2"),
    ("loss_difference", {"run": "vae", "name": "x"}, "no parameter"),
    ("loss_difference", {"run": "vae", "name": 1}, "no parameter")])
def test_wrong_requests(runs, name, request_, says):
    assert says in answer(runs, name, request_)["error"]


def test_the_tape_itself_is_as_before():
    tape("x * 2", x=1)
    tape("x * ", x=1)
    x = Tensor([1.0], requires_grad=True)
    y = record(x.data, (x, lambda g: g))
    assert type(y.node) is Node and not hasattr(y.node, "value")
    assert losses.mse(x, [0.0]).item() == 1
