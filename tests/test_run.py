"""A run: what it trains on, what it leaves, what it says."""

import itertools
import re
import time
from pathlib import Path

import numpy as np
import pytest
from scripts import (
    RUNS,
    SYNTHETIC,
    VAE,
    after_step,
    assert_same_run,
    call,
    config_of,
    digits,
    each_step,
    interrupt,
    names,
    refused,
    rows,
    rows_of_train_csv,
    state,
    train,
)

import generate
from models import RECIPES
from scratchnet import nn, training
from scratchnet.errors import DivergenceError
from scratchnet.runs import log as runs_log
from scratchnet.runs import train as runs_train
from scratchnet.runs.run import open_run

pytestmark = pytest.mark.usefixtures("here")
SMALL = {name: RUNS[name] for name in ("autoencoder", "vae", "vqvae", "pixelcnn")} | {
    "gated-pixelcnn": RUNS["gated"],
    "conv-vae": ["--model", "conv-vae", "--conditional", "--channels", 4, 8, "--h-dim", 16,
                 *SYNTHETIC],
    "vae-paper": ["--model", "vae-paper", "--h-dim", 16, *SYNTHETIC],
    "vae-iwae": ["--model", "vae-iwae", "--h-dim", 16, "--z-dim", 3, *SYNTHETIC]}
IMAGES = {"gated-pixelcnn": {"samples", "completion"}, "pixelcnn": {"samples", "completion"},
          "vqvae": {"reconstructions", "codes", "usage", "palette"},
          "autoencoder": {"reconstructions", "latent", "interpolation", "traversal"},
          "conv-vae": {"samples", "reconstructions", "latent", "interpolation", "styles",
                       "traversal"},
          "vae": {"samples", "reconstructions", "latent", "interpolation", "manifold"}}


# ---------------------------------------------------------------- what it leaves

def spoken(argv):
    return [word for word in argv if word != "--quiet"]


@pytest.mark.parametrize("model", [pytest.param(m, marks=[pytest.mark.pictures] * (m in IMAGES))
                                   for m in RECIPES["mnist"] if m != "prior"])
def test_a_run_leaves_everything_it_promises(model, capsys):
    """All but a prior, which needs the run of a VQ-VAE."""
    assert train(*spoken(SMALL[model]), "--limit", 100, "--epochs", 2) == 0
    folder = Path(f"runs/{model}-synthetic")
    assert names(folder) == {"config.json", "metrics.csv", "checkpoint.npz", "curves.png"} | {
        f"{what}.png" for what in IMAGES.get(model, ())} | set(["training.gif"][:model in IMAGES])
    assert [(r["epoch"], r["step"]) for r in rows(folder / "metrics.csv")] == [("1", "2"),
                                                                                ("2", "4")]
    out = capsys.readouterr().out
    assert f"{model} on synthetic digits" in out and "Test set after 2 epochs" in out
    if whose := {"vqvae": "recon. err", "pixelcnn": "NLL"}.get(model):
        assert f"Test set after 2 epochs, {whose} in " in out  # other units are in the names
    assert f"  python generate.py {folder}\n" in out  # what to try next
    assert f"--resume {folder} --epochs 4" in out
    config = config_of(folder)
    assert config["dataset"]["title"] == "synthetic digits" and config["flags"]["seed"] == 0
    assert {"numpy", "python", "commit", "backend"} <= set(config["versions"])
    learned = sum(p.size for p in open_run(folder, RECIPES).model.parameters())
    assert f"; {learned:,} parameters" in " ".join(out.split())
    assert all(len(line) < 80 for line in out.splitlines())
    if model == "vqvae":  # its squared error is divided by the variance of the training pixels
        assert state(folder)["model/data_variance"] == pytest.approx(
            (digits()[1][0] / 255).var(), rel=1e-6)


def test_a_run_is_repeated_by_its_config_and_by_its_seed_only():
    train(*RUNS["vae"], "--epochs", 2, "--seed", 5, "--out", "a")
    train("--config", "a/config.json", "--quiet", "--out", "again")
    assert_same_run("a", "again")
    train("--config", "again/config.json", "--quiet", "--out", "other", "--seed", 6)
    assert (state("other")["model/pixels.w"] != state("again")["model/pixels.w"]).any()


def test_steps_end_a_run_within_an_epoch_and_train_csv_has_its_rows(monkeypatch):
    rows_of_train_csv(monkeypatch, 3)
    assert train(*RUNS["grey"], "--steps", 7, "--out", "a") == 0
    assert [r["step"] for r in rows("a/metrics.csv")] == ["4", "7"]
    assert [r["step"] for r in rows("a/train.csv")] == ["3", "6"]
    assert train("--resume", "a", "--steps", 9, "--quiet") == 0
    assert [r["step"] for r in rows("a/metrics.csv")] == ["4", "7", "8", "9"]


def test_grey_levels_are_not_binarised_and_one_image_is_enough():
    argv = [*RUNS["pixelcnn"], "--steps", 1, "--limit", 1]
    for out, *more in ["binary"], ["grey", "--levels", 4]:
        assert train(*argv, *more, "--out", out) == 0
    assert [config_of(f)["flags"]["binarize"] for f in ("binary", "grey")] == ["dynamic", "none"]
    for name in "autoencoder", "vae", "vqvae":
        assert train(*RUNS[name], "--epochs", 1, "--limit", 1) == 0


def test_no_data_named_goes_on_with_synthetic_digits_and_says_so(capsys):
    assert train("--model", "vae", "--h-dim", 8, "--limit", 50, "--epochs", 1) == 0
    err = capsys.readouterr().err
    assert err.startswith("NOTE: mnist is not on this machine") and "SYNTHETIC" in err
    assert config_of("runs/vae-synthetic")["flags"]["dataset"] == "synthetic"


# ---------------------------------------------------------------- what it trains on

def seen_in_training(patch, see, *argv):
    """see(model, optimizer, batch, rng, labels) of each step of a run that learns nothing."""
    seen = []
    each_step(patch, lambda step, *given: seen.append(see(*given)) or {"loss": np.zeros(())})
    patch.setattr(runs_train, "evaluate", lambda *a: {"loss": 0.0})
    assert train(*RUNS["autoencoder"], *argv) == 0
    return seen


def test_batches_are_shuffled_anew_and_see_every_image_once(monkeypatch):
    """With their labels; and each step has noise of its own, named by the steps so far."""
    _, (images, labels, *_) = digits()
    label_of = dict(zip(map(bytes, images), labels, strict=True))
    seen = seen_in_training(monkeypatch, lambda model, optimizer, batch, rng, labels: (
        batch, labels, rng.random()), "--epochs", 2, "--seed", 3)
    batches, of_batches, noise = zip(*seen, strict=True)
    epochs = [np.concatenate(batches[:4]), np.concatenate(batches[4:])]
    for epoch in epochs:
        assert sorted(map(bytes, epoch)) == sorted(map(bytes, images))
        assert not np.array_equal(epoch, images)
    assert not np.array_equal(*epochs)
    assert [label_of[bytes(image)] for image in epochs[1]] == [*np.concatenate(of_batches[4:])]
    assert noise == tuple(training.generator(3, "step", t).random() for t in range(8))
    assert len(set(noise)) == 8


def test_weights_order_and_noise_each_depend_on_the_seed(monkeypatch):
    def see(model, optimizer, batch, rng, labels):
        return model.state_dict()["code.w"], batch, rng.random(), optimizer.average
    *differ, average = zip(*(seen_in_training(monkeypatch, see, "--steps", 1, "--seed", seed,
                                              "--average", 0.9995)[0] for seed in (0, 1)),
                           strict=True)
    assert all(np.any(a != b) for a, b in differ) and average == (0.9995, 0.9995)


@pytest.mark.parametrize("how", ["", "--flip", "--binarize static", "--binarize dynamic"])
def test_what_the_steps_are_given_of_one_image(how, monkeypatch):
    """As it is; or it and its mirror image; or one draw of binary pixels; or one for each step."""
    image = digits()[1][0][0]
    monkeypatch.setattr(runs_log.Log, "save", lambda log: None)
    seen = seen_in_training(monkeypatch, lambda model, optimizer, batch, *rest: batch[0],
                            "--limit", 1, "--epochs", 40, *how.split())
    found, times = np.unique(seen, axis=0, return_counts=True)
    expected = {"": [image], "--flip": [image, image[:, ::-1]]}
    if how in expected:
        np.testing.assert_array_equal(found, np.unique(expected[how], axis=0))
        assert min(times) > 7
    else:
        assert set(np.unique(seen)) == {0, 255} and len(found) == (40 if "dynamic" in how else 1)
        p, n = image / 255, len(found)
        assert (np.abs(found.mean(axis=0) / 255 - p) <= 6 * np.sqrt(p * (1 - p) / n)).all()


def test_no_two_generators_are_the_same():
    """Neither of two seeds, nor of two purposes, nor of two numbers."""
    first = [training.generator(*names).random() for names in itertools.product(
        range(3), training.PURPOSES, range(3))]
    assert len(set(first)) == 9 * len(training.PURPOSES)
    # Runs that began before go on with the same ones: a new purpose comes last.
    assert training.PURPOSES[:5] == ("weights", "order", "step", "evaluation", "pictures")


def test_evaluation_draws_other_noise_for_every_batch_and_the_same_each_time():
    class Noisy(nn.Model):
        noise_dim = 3

        def __init__(self):
            self.drawn = []

        def loss(self, x, noise):
            self.drawn.append(noise.tolist())
            return None, {"loss": np.asarray(0.1, np.float32)}

    model, noise = Noisy(), training.generator(0, "evaluation")
    for _ in range(2):  # the sum is kept in float64
        assert training.evaluate(model, np.zeros((400, 2, 2, 1), np.uint8), 4)["loss"] == (
            pytest.approx(float(np.float32(0.1)), rel=1e-14))
    first, second = model.drawn[:100], model.drawn[100:]
    assert first == second == [noise.standard_normal((4, 3), dtype=np.float32).tolist()
                               for _ in range(100)]
    assert len(set(map(str, first))) == 100


def test_validation_images_are_the_last_training_images_and_not_trained_on(monkeypatch, capsys):
    _, (images, labels, *_) = digits()
    evaluated = []
    real = runs_train.evaluate
    def evaluate(model, images, size, labels, *rest):
        evaluated.append((images, labels))
        return real(model, images, size, labels, *rest)
    monkeypatch.setattr(runs_train, "evaluate", evaluate)
    argv = [*spoken(VAE), "--validation", 50, "--out", "a", "--overwrite"]
    for limit in 150, 90:  # fewer to train on; the others are the same
        seen = []
        with monkeypatch.context() as patch:
            each_step(patch, lambda step, model, optimizer, batch, *rest, seen=seen: (
                seen.extend(batch) or step()))
            assert train(*argv, "--limit", limit) == 0
        assert sorted(map(bytes, seen)) == sorted(map(bytes, images[:limit]))
        for found, expected in zip(evaluated.pop(), (images, labels), strict=True):
            np.testing.assert_array_equal(found, expected[150:])
        out = capsys.readouterr().out
        assert f"{limit} training and 50 validation images" in out
        assert "Validation set after 1 epoch" in out and "test" not in out.lower()
    assert train("--resume", "a", "--epochs", 2, "--quiet") == 0
    for row in rows("a/metrics.csv"):
        assert "validation_neg_elbo" in row and not any(n.startswith("test_") for n in row)


# ---------------------------------------------------------------- what it says

def test_what_a_run_says_is_what_it_did(monkeypatch, capsys):
    """The csv files, the table and the summary, from what each step was given and gave."""
    did = []
    def note(step, model, optimizer, batch, *rest):
        metrics = step()
        did.append((optimizer.lr, len(batch), {n: float(v) for n, v in metrics.items()}))
        return metrics
    def mean(name, steps):
        return sum(n * m[name] for _, n, m in did[steps]) / sum(n for _, n, _ in did[steps])
    each_step(monkeypatch, note)
    rows_of_train_csv(monkeypatch, 3)
    assert train(*spoken(RUNS["grey"]), "--warmup", 3, "--schedule", "exponential", "--lr", 1e-2,
                 "--steps", 7, "--out", "a") == 0
    assert [n for _, n, _ in did] == [64, 64, 64, 8, 64, 64, 64]
    assert [lr for lr, _, _ in did] == pytest.approx([1e-2 * 0.01 ** (t / 7) for t in range(7)])
    table, (_, _, metrics) = rows("a/metrics.csv"), did[0]
    for row, steps in zip(table, (slice(4), slice(4, 7)), strict=True):
        assert float(row["lr"]) == did[steps][-1][0]
        for name in metrics:
            assert float(row[f"train_{name}"]) == pytest.approx(mean(name, steps), rel=1e-12)
    for row, steps in zip(rows("a/train.csv"), (slice(3), slice(3, 6)), strict=True):
        for name in metrics:
            assert float(row[name]) == pytest.approx(mean(name, steps), rel=1e-12)
    out = capsys.readouterr().out
    assert "200 training and 60 test images;\n  " in out
    lines, shown = out.splitlines(), ("neg_elbo", "reconstruction", "kl")
    for row in table:
        said, = (words for words in map(str.split, lines) if words[:1] == [row["epoch"]])
        assert said[2:] == [f"{float(row[f'{p}_{n}']):.5g}" for p in ("train", "test")
                            for n in shown]
    at = next(k for k, line in enumerate(lines) if {"train", "test"} <= set(line.split()) and
              len(line.split()) < 5)
    assert [word for word in lines[at].split() if word.isalpha()] == ["train", "test"]
    assert lines[at + 1].split() == ["epoch", "time", *2 * ["-ELBO", "recon.", "KL"]]
    summary = next(k for k, line in enumerate(lines) if line.startswith("Test set after 7 steps"))
    assert "   ".join(f"{label} {float(table[-1][f'test_{n}']):.5g}" for label, n in zip(
        ("-ELBO", "recon.", "KL"), shown, strict=True)) in lines[summary + 1]


def test_what_is_taken_otherwise_than_it_was_asked_is_said(capsys):
    pixels = spoken(RUNS["pixelcnn"])
    for argv, words in (
            (["--blocks", 2, "--dilations", 1, 2, 4], "--dilations 1 2 4: the 2 blocks take 1 2"),
            (["--blocks", 3, "--dilations", 1, 2], "--dilations 1 2: the 3 blocks take 1 2 1"),
            (["--blocks", 2, "--dilations", 1, 2], ""), (["--dilations", 2], ""),
            (["--batch-size", 99], "--batch-size 99: each step takes all 64 training images")):
        assert train(*pixels, "--limit", 64, "--steps", 1, *argv) == 0
        out = capsys.readouterr().out
        assert (f"NOTE: {words}\n" in out if words else "NOTE" not in out)
        assert "after 1 step," in out


def test_the_best_figure_so_far_is_said_if_it_is_not_the_last(monkeypatch, capsys):
    found = iter([5.0, 3.25, 4.0, 3.0])
    monkeypatch.setattr(runs_train, "evaluate", lambda *a: {"loss": next(found)})
    assert train(*spoken(RUNS["autoencoder"]), "--epochs", 3, "--out", "a") == 0
    assert "\n  loss 4\n  best so far: loss 3.25 after epoch 2\n" in capsys.readouterr().out
    assert train("--resume", "a", "--epochs", 4) == 0
    assert "best so far" not in capsys.readouterr().out


@pytest.mark.pictures
def test_pictures_of_a_run_are_of_its_averaged_weights_and_take_its_seed():
    """They are those that generate.py makes of it, whose weights are."""
    train(*RUNS["autoencoder"], "--epochs", 1, "--average", 0.9, "--seed", 4, "--out", "a")
    for out, *argv in ["same.png", "--seed", 4], ["other.png"]:
        assert call(generate, "a", "--what", "reconstructions", "--out", out, *argv) == 0
    drawn = Path("a/reconstructions.png").read_bytes()
    assert drawn == Path("same.png").read_bytes() != Path("other.png").read_bytes()


def test_the_time_of_a_run_is_that_of_all_its_parts(monkeypatch, capsys):
    """Ten seconds a step, here."""
    now = [100.0]
    def slow(step, *given):
        now[0] += 10
        return step()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    each_step(monkeypatch, slow)
    with monkeypatch.context() as patch:
        after_step(patch, 6, interrupt)
        assert train(*RUNS["grey"], "--epochs", 2, "--out", "a") == 130
    assert train("--resume", "a") == 0
    said, = (line.split() for line in capsys.readouterr().out.splitlines()
             if line.split()[:1] == ["2"])
    assert said[1] == "1:20"
    assert train("--resume", "a", "--epochs", 3, "--quiet") == 0
    assert [float(r["seconds"]) for r in rows("a/metrics.csv")] == [40, 80, 120]


def test_a_progress_bar_has_the_figures_of_its_columns():
    table = runs_log.Table(("kl", "neg_elbo"), "test", 3, quiet=False)
    assert table.short({"neg_elbo": 3.0, "loss": 9.0, "kl": 2.0}) == "KL 2  -ELBO 3"


@pytest.mark.parametrize("columns, shown", [(80, "ababcd"), (60, "aabc"), (40, "aa")])
def test_the_table_of_a_training_fits_the_terminal(columns, shown, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    table = runs_log.Table(tuple("abcd"), "test", 3, quiet=False)
    table.row({"epoch": 1, "seconds": 5} | {f"{p}_{n}": 1e-5 / 7 for p in ("train", "test")
                                            for n in "abcd"})
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert "".join(out.splitlines()[1].split()[2:]) == shown


# ---------------------------------------------------------------- a training that diverges

@pytest.mark.parametrize("model, where, words", [
    ("grey", "loss", "step 6: the term 'kl' of the loss became inf"),
    ("vqvae", "op", "step 6: nearest_code: vectors have NaN in them"),
    ("autoencoder", "weights", "step 8: the parameter 'encoder.layers.0.w' became NaN"),
    ("autoencoder", "test", "figure 'loss' became inf")])
def test_divergence_names_its_step_and_keeps_the_last_good_checkpoint(model, where, words, capsys,
                                                                      monkeypatch):
    done = []
    def diverge(step, net, optimizer, batch, *rest):
        done.append(1)
        if where == "op" and len(done) == 6:  # the codes of NaN are looked for before the loss is
            net.encoder.layers[0].w.data[...] = np.nan
        metrics = step()
        if where == "loss" and len(done) == 6:
            metrics = {**metrics, "kl": metrics["kl"] * np.inf}
        if where == "weights" and len(done) == 8:  # the last of the epoch: its loss was finite
            optimizer.parameters[0].data[0, 0] = np.nan
        return metrics
    each_step(monkeypatch, diverge)
    if where in ("weights", "test"):
        monkeypatch.setattr(runs_train, "evaluate", lambda *a: {
            "loss": np.inf if where == "test" and len(done) == 8 else 0.0})
    argv = [*RUNS[model], "--limit", 100, "--batch-size", 25, "--epochs", 3, "--out", "a"]
    err = refused(capsys, train(*argv))
    assert words in err and err.endswith(
        "The checkpoint of step 4 is kept: go on with --resume a and a lower --lr\n")
    assert len(rows("a/metrics.csv")) == 1
    assert all(np.isfinite(array).all() for array in state("a").values())


@pytest.mark.parametrize("model", ["autoencoder", "grey", "gated"])
def test_a_loss_far_above_that_of_the_untrained_model_is_divergence(model, capsys):
    err = refused(capsys, train(*RUNS[model], "--epochs", 2, "--lr", 1e6, "--out", "a"))
    assert re.search(r"the test loss is .*e\+\d\d, and that of the untrained model was \d", err)
    assert err.endswith("There is no checkpoint yet: train anew, with a lower --lr\n")
    assert names("a") == {"config.json"}


def test_a_loss_may_begin_near_0_and_a_run_that_goes_on_knows_no_first_loss():
    log = runs_log.Log(None, None, None, None)
    log.check_test({"loss": 1e9})
    log.untrained = -0.01
    log.check_test({"loss": 90.0})
    log.check_test({})
    for before, loss in (-0.01, 110.0), (-500.0, 6e4):
        log.untrained = before
        with pytest.raises(DivergenceError, match="the test loss is"):
            log.check_test({"loss": loss})
