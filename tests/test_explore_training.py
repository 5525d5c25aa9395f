"""A training that is watched takes the steps of scratchnet.training; the same seed, the same."""

import numpy as np
import pytest
from scripts import answer, array

from explorer import (
    ask_all,  # noqa: F401 - what can be asked
    ask_training,
)
from explorer.ask_training import BATCH, SHOWN
from explorer.runs import Runs
from models.vae import VAE
from scratchnet import optim, training
from scratchnet.backend import to_numpy
from scratchnet.training import generator


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SHOWN + 80, 28, 28, 1)).astype(np.uint8)
    return Runs({}, {"digits": (images, rng.integers(0, 10, len(images)), "noise")})


def begun(runs, **how):
    return answer(runs, "begin_training", how)


def steps(runs, name, **how):
    return answer(runs, "train", {"training": name, **how})


def test_its_steps_are_those_of_a_training(runs):
    lr = float(np.float32(0.003))
    name = begun(runs, what="vae", seed=5)["training"]
    found = steps(runs, name, steps=3, lr=lr, beta=2)
    images = runs.examples["digits"][0]
    model = VAE(784, h_dim=128, z_dim=2, beta=2.0, rng=generator(5, "weights"))
    adam = optim.Adam(model.parameters(), lr)
    for t, loss in enumerate(found["losses"]):
        rng = generator(5, "step", t)
        batch = images[SHOWN:][rng.permutation(80)[:BATCH]]
        assert training.step(model, adam, batch, rng)["loss"] == loss
    mu, _ = model.encode(training.to_batch(images[:SHOWN]))
    np.testing.assert_array_equal(array(found["means"]), to_numpy(mu.data))
    assert found["step"] == 3 and found["grid"]["shape"] == [64, 28, 28, 1]


@pytest.mark.parametrize("how", [{"what": "vae"}, {"what": "codebook"},
                                 {"what": "codebook", "codebook": "gradient", "moving": False}])
def test_the_same_seed_gives_the_same_pictures(runs, how):
    first, second = (begun(runs, **how, seed=3) for _ in range(2))
    assert {**first, "training": ""} == {**second, "training": ""} != begun(runs, **how, seed=4)
    together = steps(runs, first["training"], steps=4)
    apart = [steps(runs, second["training"], steps=2) for _ in range(2)]
    assert together == {**apart[1], "losses": apart[0]["losses"] + apart[1]["losses"]}


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_a_codebook_settles_on_the_points(runs, codebook):
    first = begun(runs, what="codebook", K=8, codebook=codebook, seed=1)
    last = steps(runs, first["training"], steps=50, lr=0.03, gamma=0.9)
    assert last["distance"] < first["distance"] / 10 and last["used"] == 8
    points, codes, cells = array(first["points"]), array(last["codes"]), array(last["cells"])
    near = ((points[:, None] - codes) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(array(last["chosen"]), near)
    np.testing.assert_allclose(array(last["usage"]), np.bincount(near, minlength=8) / len(points))
    half = 2 - 2 / len(cells)  # the middle of the upper left cell
    assert cells[0, 0] == ((np.array([-half, half]) - codes) ** 2).sum(-1).argmin()


def test_an_ema_code_is_the_running_mean(runs):
    name = begun(runs, what="codebook", K=1, moving=False, seed=2)["training"]
    e = steps(runs, name, gamma=0)["codes"]
    points = to_numpy(runs.trainings[name].images)
    batch = points[generator(2, "step", 0).permutation(len(points))[:BATCH]]
    np.testing.assert_allclose(array(e)[0], batch.mean(0), rtol=1e-5)


def test_unused_codes_stay_where_they_are_or_are_moved(runs):
    used = {}
    for moving in (True, False):
        name = begun(runs, what="codebook", K=64, moving=moving)["training"]
        used[moving] = steps(runs, name, steps=50, gamma=0.9)["used"]
    assert used[False] < used[True]


def test_two_are_at_work_and_a_few_kept(runs, monkeypatch):
    names = [begun(runs, what="codebook")["training"] for _ in range(3)]
    assert all("error" not in steps(runs, name) for name in names[:2])
    assert "at work already" in steps(runs, names[2])["error"]
    assert "error" not in steps(runs, names[0])
    monkeypatch.setattr(ask_training, "RESTS", 0)
    assert "error" not in steps(runs, names[2])
    assert answer(runs, "end_training", {"training": names[2]}) == {"ended": True}
    assert "no longer here" in steps(runs, names[2])["error"]
    for _ in range(20):
        begun(runs, what="codebook")
    assert len(runs.trainings) == ask_training.KEPT and names[0] in runs.trainings


def test_it_ends(runs, monkeypatch):
    monkeypatch.setattr(ask_training, "LAST", 3)
    name = begun(runs, what="codebook")["training"]
    assert [len(steps(runs, name, steps=2)["losses"]) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("name, request_, says", [
    ("begin_training", {"what": "x"}, "needs 'vae'"), ("begin_training", {}, "missing a required"),
    ("begin_training", {"what": "vae", "seed": -1}, "0 to 1000000"),
    ("begin_training", {"what": "codebook", "K": 65}, "1 to 64"),
    ("begin_training", {"what": "codebook", "codebook": "x"}, "needs 'ema'"),
    ("train", {"training": "x"}, "no longer here"), ("train", {"training": []}, "no longer here"),
    ("train", {"steps": 0}, "1 to 50"), ("train", {"steps": 51}, "1 to 50"),
    ("train", {"lr": -1}, "from 0 to 10"), ("train", {"lr": "a"}, "lr: needs"),
    ("train", {"gamma": 1}, "from 0 to 0.9999"), ("train", {"beta": 1e9}, "from 0 to 100")])
def test_wrong_requests(runs, name, request_, says):
    if name == "train":
        request_ = {"training": begun(runs, what="codebook")["training"]} | request_
    assert says in answer(runs, name, request_)["error"]


def test_a_training_that_has_diverged_is_said(runs):
    name = begun(runs, what="vae")["training"]
    runs.trainings[name].model.pixels.b.data[...] = np.inf
    assert "learning rate is too high" in steps(runs, name)["error"]
