"""The training script as a person uses it: runs, resumes, interruptions, mistakes."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models import RECIPES, VQVAE
from scratchnet import optim, training
from scratchnet.errors import DivergenceError
from scratchnet.runs import checkpoint, cli, data
from scratchnet.runs import log as runs_log
from scratchnet.runs import train as runs_train
from scratchnet.runs.folder import locked
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes

ROOT = Path(__file__).parent.parent
SMALL = ["--dataset", "synthetic", "--batch-size", "64"]
QUICK = [*SMALL, "--h-dim", "16", "--z-dim", "3"]
SIZES = {"conv-vae": [*QUICK, "--channels", "4", "8"],
         "vqvae": [*SMALL, "--num-embeddings", "16", "--embedding-dim", "4"]}
SIZES |= dict.fromkeys(["pixelcnn", "gated-pixelcnn"], [
    *SMALL, "--features", "4", "--blocks", "1", "--head", "4"])


@cache
def few_digits():
    return synthetic_digits(train=300, test=120)


@cache
def few_scenes():
    return synthetic_scenes(train=100, test=50)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, request):
    """Each test in a folder of its own, with no real data and no network in reach. Pictures take
    four fifths of so short a run: but in tests marked `pictures` their files are left blank."""
    if request.node.get_closest_marker("pictures") is None:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig",
                            lambda figure, file, **how: file.write(b"blank"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path / "no data"))
    for name in ("mnist", "fashion-mnist"):
        title, folder, _, files = data.SOURCES[name]
        monkeypatch.setitem(data.SOURCES, name, (title, folder, ("http://127.0.0.1:9/",), files))
    for kind, few in (("mnist", few_digits), ("cifar", few_scenes)):
        monkeypatch.setitem(data.KINDS, kind, replace(data.KINDS[kind], synthetic=few))


def train(*argv, kind="mnist"):
    return cli.main(kind, "", RECIPES[kind], [str(a) for a in argv])


def train_cifar(*argv):
    return train(*argv, kind="cifar")


def build(model, rng, **sizes):
    return RECIPES["mnist"][model].build(SimpleNamespace(image_shape=(28, 28, 1)), rng,
                                                  **sizes)


def state(folder):
    with np.load(Path(folder) / "checkpoint.npz") as file:
        return {n: file[n] for n in file.files if n != "progress"}


def figures(folder):
    """metrics.csv without the time."""
    with open(Path(folder) / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(a, b):
    assert figures(a) == figures(b)
    assert [p.read_text() for p in Path(a).glob("train.csv")] == [
        p.read_text() for p in Path(b).glob("train.csv")]
    assert state(a).keys() == state(b).keys()
    for name, array in state(a).items():
        np.testing.assert_array_equal(array, state(b)[name], err_msg=name)


# ---------------------------------------------------------------- a run

# The prior, which needs the run of a VQ-VAE, is in test_generate.py.
@pytest.mark.pictures
@pytest.mark.parametrize("model", [m for m in RECIPES["mnist"] if m != "prior"])
def test_a_run_leaves_everything_it_promises(model, capsys):
    assert train("--model", model, *SIZES.get(model, QUICK), "--epochs", 2) == 0
    folder = Path(f"runs/{model}-synthetic")
    names = {"config.json", "metrics.csv", "checkpoint.npz", "curves.png"}
    if "pixelcnn" in model:
        names |= {"samples.png", "completion.png"}
    elif model == "vqvae":
        names |= {"reconstructions.png", "codes.png", "usage.png", "palette.png"}
    else:
        names |= {"reconstructions.png", "latent.png", "interpolation.png"}
        names |= {"samples.png"} if "vae" in model else set()
    assert {p.name for p in folder.iterdir()} == names
    rows = figures(folder)
    assert [r["epoch"] for r in rows] == ["1", "2"] and rows[1]["step"] == "10"
    out = capsys.readouterr().out
    assert f"{model} on synthetic digits" in out and "Test set after 2 epochs" in out
    assert f"--resume {folder} --epochs 4" in out  # what to try next
    config = json.loads((folder / "config.json").read_text())
    assert config["dataset"]["title"] == "synthetic digits" and config["flags"]["seed"] == 0
    assert {"numpy", "python", "commit", "backend"} <= set(config["versions"])
    if model == "vqvae":  # its squared error is divided by the variance of the training pixels
        assert state(folder)["model/data_variance"] == pytest.approx(
            (few_digits()[1][0] / 255).var(), rel=1e-6)


def test_grey_levels_are_not_binarised():
    argv = ["--model", "pixelcnn", *SIZES["pixelcnn"], "--steps", 1, "--quiet"]
    train(*argv, "--out", "binary")
    train(*argv, "--levels", 4, "--out", "grey")
    for folder, how in (("binary", "dynamic"), ("grey", "none")):
        config = json.loads(Path(folder, "config.json").read_text())
        assert config["flags"]["binarize"] == how


@pytest.mark.parametrize("model", ["autoencoder", "vae", "vqvae", "pixelcnn"])
def test_one_image_is_enough(model):
    assert train("--model", model, *SIZES.get(model, QUICK), "--limit", 1, "--epochs", 1,
                 "--quiet") == 0


def test_two_dimensional_latent_gets_its_manifold():
    assert train("--model", "vae", *QUICK, "--epochs", 1, "--z-dim", 2, "--quiet") == 0
    assert Path("runs/vae-synthetic/manifold.png").is_file()


def test_training_lowers_the_loss_on_test_images():
    train("--model", "vae", *QUICK, "--epochs", 8, "--lr", 3e-3, "--quiet")
    test = [float(r["test_neg_elbo"]) for r in figures("runs/vae-synthetic")]
    assert test[-1] < 0.8 * test[0]


def test_a_run_is_repeated_by_its_config_and_by_its_seed_only():
    train("--model", "vae", *QUICK, "--epochs", 2, "--seed", 5, "--binarize", "dynamic", "--quiet")
    train("--config", "runs/vae-synthetic/config.json", "--quiet", "--out", "again")
    assert_same_run("runs/vae-synthetic", "again")
    train("--config", "again/config.json", "--quiet", "--out", "other", "--seed", 6)
    assert figures("other") != figures("again")


def test_a_default_name_never_takes_an_old_run():
    for _ in range(2):
        train("--model", "vae", *QUICK, "--epochs", 1, "--quiet")
    assert {p.name for p in Path("runs").iterdir()} == {"vae-synthetic", "vae-synthetic-2"}


def test_overwrite_replaces_only_when_told(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    before = state("a")
    measured = {Path("a", n) for n in ("evaluation.json", "evaluation-first7.json")}
    for path in measured:
        path.write_text("{}")
    assert train("--model", "autoencoder", *QUICK, "--epochs", 1, "--out", "a") == 2
    assert all(path.exists() for path in measured)
    assert "there is a run in it; go on with --resume a" in capsys.readouterr().err
    assert state("a").keys() == before.keys()
    assert train("--model", "autoencoder", *QUICK, "--epochs", 1, "--out", "a", "--overwrite",
                 "--quiet") == 0
    assert not any(path.exists() for path in {Path("a/samples.png"), *measured})


@pytest.mark.parametrize("argv", [
    ["--model", "conv-vae", "--channels", "4", "8", "--h-dim", "16", "--z-dim", "4", "--epochs", 1],
    ["--model", "vqvae", "--steps", 5, "--num-embeddings", 8, "--embedding-dim", 4, "--flip"]])
def test_cifar_models_run_on_scenes(argv, capsys):
    assert train_cifar(*argv, "--batch-size", 25, "--dataset", "synthetic", "--out", "a") == 0
    assert Path("a/reconstructions.png").is_file()
    out = capsys.readouterr().out
    assert "synthetic scenes" in out and ("bits/dim" in out) == ("conv-vae" in argv)


def test_steps_end_a_run_within_an_epoch_and_train_csv_has_its_rows(monkeypatch):
    monkeypatch.setattr(runs_log, "TRACE_EVERY", 3)
    assert train("--model", "vae", *QUICK, "--steps", 8, "--out", "a", "--quiet") == 0
    assert [r["step"] for r in figures("a")] == ["5", "8"]
    with open("a/train.csv", newline="") as file:
        assert [r["step"] for r in csv.DictReader(file)] == ["3", "6"]
    assert train("--resume", "a", "--steps", 12, "--quiet") == 0
    assert figures("a")[-1]["step"] == "12"


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_interrupted_vqvae_goes_on_bit_for_bit(codebook, monkeypatch):
    """Its codebook, running means and step count are in the checkpoint; its sums are too."""
    flags = ["--model", "vqvae", *SIZES["vqvae"], "--epochs", 2, "--codebook", codebook, "--quiet"]
    monkeypatch.setattr(runs_log, "TRACE_EVERY", 2)
    assert train(*flags, "--out", "whole") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7)
        assert train(*flags, "--out", "parts") == 130
    assert train("--resume", "parts", "--quiet") == 0
    assert_same_run("whole", "parts")


def test_no_data_named_goes_on_with_synthetic_digits_and_says_so(capsys):
    assert train("--model", "vae", "--limit", 100, "--epochs", 1) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("NOTE: mnist is not on this machine")
    assert "SYNTHETIC" in captured.err
    config = json.loads(Path("runs/vae-synthetic/config.json").read_text())
    assert config["flags"]["dataset"] == "synthetic"


def test_last_partial_batch_counts_by_its_size(rng):
    """300 images in batches of 64 leave one of 44, in batches of 299 one of 1."""
    model = build("autoencoder", rng, h_dim=8, z_dim=2)
    images = few_digits()[1][0]
    whole, _ = model.loss(training.to_batch(images))
    for size in (64, 299, 1000):
        found = training.evaluate(model, images, size)["loss"]
        assert found == pytest.approx(whole.item(), rel=1e-5)


def test_batches_are_shuffled_anew_and_see_every_image_once(monkeypatch):
    seen = []
    record_steps(monkeypatch, lambda batch, rng, labels: seen.append(batch))
    train("--model", "autoencoder", *QUICK, "--epochs", 2, "--quiet")
    epochs = [np.concatenate(seen[:5]), np.concatenate(seen[5:])]
    images = few_digits()[1][0]
    in_order = sorted(image.tobytes() for image in images)
    for epoch in epochs:
        assert sorted(image.tobytes() for image in epoch) == in_order
        assert not np.array_equal(epoch, images)
    assert not np.array_equal(*epochs)


def record_steps(monkeypatch, note):
    """Call note(batch, rng, labels) in place of every training step, in one process."""
    def step(model, optimizer, batch, rng, labels, group):
        note(batch, rng, labels)
        return {"loss": np.zeros(())}
    monkeypatch.setattr(runs_train, "processes", lambda batch_size: 1)
    monkeypatch.setattr(runs_train, "step", step)
    monkeypatch.setattr(runs_train, "evaluate", lambda *a: {"loss": 0.0})
    monkeypatch.setattr("scratchnet.runs.pictures.draw_all", lambda *a: [])


def test_every_step_of_the_run_has_noise_of_its_own(monkeypatch):
    """Step 1 of the second epoch too: its noise is named by the number of steps so far."""
    seen = []
    record_steps(monkeypatch, lambda batch, rng, labels: seen.append(rng.random()))
    train("--model", "autoencoder", *QUICK, "--epochs", 2, "--seed", 3, "--quiet")
    assert seen == [training.generator(3, "step", t).random() for t in range(10)]
    assert len(set(seen)) == 10


def test_no_two_generators_are_the_same():
    """Neither of two seeds, nor of two purposes, nor of two numbers."""
    first = [training.generator(*names).random() for names in itertools.product(
        range(3), training.PURPOSES, range(3))]
    assert len(set(first)) == 9 * len(training.PURPOSES)
    # Runs that began before go on with the same ones: a new purpose comes last.
    assert training.PURPOSES[:5] == ("weights", "order", "step", "evaluation", "pictures")


def test_weights_order_and_noise_each_depend_on_the_seed(monkeypatch):
    seen = []
    def step(model, optimizer, batch, rng, labels, group):
        seen.append((model.state_dict()["code.w"], batch, rng.random(), optimizer.average))
        return {"loss": np.zeros(())}
    record_steps(monkeypatch, None)
    monkeypatch.setattr(runs_train, "step", step)
    for seed in (0, 1):
        train("--model", "autoencoder", *QUICK, "--steps", 1, "--seed", seed, "--average", 0.9995,
              "--quiet")
    *differ, average = zip(*seen, strict=True)
    assert all(np.any(a != b) for a, b in differ) and average == (0.9995, 0.9995)


@pytest.mark.parametrize("how", ["", "--flip", "--binarize static", "--binarize dynamic"])
def test_what_the_steps_are_given_of_one_image(how, monkeypatch):
    """As it is; or it and its mirror image; or one draw of binary pixels; or one for each step."""
    image, seen = few_digits()[1][0][0], []
    record_steps(monkeypatch, lambda batch, rng, labels: seen.append(batch[0]))
    monkeypatch.setattr(runs_log.Log, "save", lambda log: None)
    train("--model", "autoencoder", *QUICK, "--limit", 1, "--epochs", 40, *how.split(), "--quiet")
    found, times = np.unique(seen, axis=0, return_counts=True)
    expected = {"": [image], "--flip": [image, image[:, ::-1]]}
    if how in expected:
        np.testing.assert_array_equal(found, np.unique(expected[how], axis=0))
        assert min(times) > 7
    else:
        assert set(np.unique(seen)) == {0, 255} and len(found) == (40 if "dynamic" in how else 1)
        p, n = image / 255, len(found)
        assert (np.abs(found.mean(axis=0) / 255 - p) <= 6 * np.sqrt(p * (1 - p) / n)).all()


def test_images_are_trained_on_with_their_labels(monkeypatch):
    _, (images, labels, _, _) = few_digits()
    label_of, seen = dict(zip(map(bytes, images), labels, strict=True)), []
    record_steps(monkeypatch, lambda batch, rng, labels: seen.extend(
        zip(map(bytes, batch), labels, strict=True)))
    train("--model", "autoencoder", *QUICK, "--epochs", 1, "--quiet")
    assert len(seen) == 300 and all(label_of[image] == label for image, label in seen)


def test_evaluation_draws_other_noise_for_every_batch_and_the_same_each_time():
    class Noisy(training.Model):
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


def test_the_mean_over_the_epoch_does_not_depend_on_when_it_is_looked_at(monkeypatch):
    for look_every, name in ((1, "a"), (1000, "b")):
        monkeypatch.setattr(runs_train, "LOOK_EVERY", look_every)
        train("--model", "vae", *QUICK, "--epochs", 1, "--out", name, "--quiet")
    assert_same_run("a", "b")


# ---------------------------------------------------------------- what a run says

def test_what_a_run_says_is_what_it_did(monkeypatch, capsys):
    """The csv files, the table and the summary, from what each step was given and gave."""
    real, did = runs_train.step, []
    def step(model, optimizer, batch, *rest):
        metrics = real(model, optimizer, batch, *rest)
        did.append((optimizer.lr, len(batch), {n: float(v) for n, v in metrics.items()}))
        return metrics
    def mean(name, steps):
        return sum(n * m[name] for _, n, m in did[steps]) / sum(n for _, n, _ in did[steps])
    monkeypatch.setattr(runs_train, "processes", lambda batch_size: 1)
    monkeypatch.setattr(runs_train, "step", step)
    monkeypatch.setattr(runs_log, "TRACE_EVERY", 3)
    monkeypatch.setattr("scratchnet.runs.pictures.draw_all", lambda *a: [])
    assert train("--model", "vae", *QUICK, "--warmup", 3, "--schedule", "exponential", "--lr", 1e-2,
                 "--steps", 8, "--out", "a") == 0
    assert [n for _, n, _ in did] == [64, 64, 64, 64, 44, 64, 64, 64]
    assert [lr for lr, _, _ in did] == pytest.approx([1e-2 * 0.01 ** (t / 8) for t in range(8)])
    rows, (_, _, metrics) = figures("a"), did[0]
    for row, steps in zip(rows, (slice(5), slice(5, 8)), strict=True):
        assert float(row["lr"]) == did[steps][-1][0]
        for name in metrics:
            assert float(row[f"train_{name}"]) == pytest.approx(mean(name, steps), rel=1e-12)
    with open("a/train.csv", newline="") as file:
        for row, steps in zip(csv.DictReader(file), (slice(3), slice(3, 6)), strict=True):
            for name in metrics:
                assert float(row[name]) == pytest.approx(mean(name, steps), rel=1e-12)
    out = capsys.readouterr().out
    learned = sum(a.size for n, a in state("a").items() if n.startswith("model/"))
    assert f"300 training and 120 test images; {learned:,} parameters" in out
    lines, shown = out.splitlines(), ("neg_elbo", "reconstruction", "kl")
    for row in rows:
        said, = (words for words in map(str.split, lines) if words[:1] == [row["epoch"]])
        assert said[2:] == [f"{float(row[f'{p}_{n}']):.5g}" for p in ("train", "test")
                            for n in shown]
    at = next(k for k, line in enumerate(lines) if "train ─" in line)
    assert lines[at].split()[0::2] == ["train", "test"]
    assert lines[at + 1].split() == ["epoch", "time", *2 * ["-ELBO", "recon.", "KL"]]
    assert "   ".join(f"{label} {float(rows[-1][f'test_{n}']):.5g}" for label, n in zip(
        ("-ELBO", "recon.", "KL"), shown, strict=True)) in lines[lines.index(
            "Test set after 8 steps, in nats per image (a likelihood if the pixels are binary, a "
            "loss if they are grey):") + 1]


def test_pictures_of_a_run_are_of_its_averaged_weights_and_take_its_seed(monkeypatch):
    seen = []
    monkeypatch.setattr("scratchnet.runs.pictures.draw_all", lambda model, *rest: seen.append(
        (model.state_dict(), rest[-2:])) or [])
    train("--model", "autoencoder", *QUICK, "--epochs", 1, "--average", 0.9, "--seed", 4, "--out",
          "a", "--quiet")
    (drawn, how), saved = *seen, state("a")
    for i, (name, array) in enumerate(drawn.items()):
        np.testing.assert_array_equal(array, saved[f"optimizer/average.{i}"])
        assert (array != saved[f"model/{name}"]).any()
    assert how == ("autoencoder on synthetic digits", 4)


def test_the_time_of_a_run_is_that_of_all_its_parts(monkeypatch, rng, tmp_path, capsys):
    now, model = [100.0], build("autoencoder", rng, h_dim=3, z_dim=2)
    monkeypatch.setattr(runs_log, "time", SimpleNamespace(monotonic=lambda: now[0]))
    optimizer = optim.Adam(model.parameters())
    log = runs_log.Log({"step": 1, "seconds": 30.0, "epoch": {}, "window": {}, "counts": [0, 0],
                        "history": [], "trace": []}, tmp_path, model, optimizer)
    now[0] = 195.5
    with pytest.raises(DivergenceError, match="the test figure 'loss' became inf"):
        log.end_epoch(1, 1e-3, {"loss": np.inf})
    row = log.end_epoch(1, 1e-3, {"loss": 2.0})
    saved = checkpoint.load(tmp_path / "checkpoint.npz", model, optimizer)
    assert row["seconds"] == saved["seconds"] == saved["history"][0]["seconds"] == 125.5
    table = runs_log.Table(("kl", "neg_elbo"), "test", 3, quiet=False)
    table.row(row | {f"{p}_{n}": 1.0 for p in ("train", "test") for n in ("kl", "neg_elbo")})
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["1", "2:05"]
    assert table.short({"neg_elbo": 3.0, "loss": 9.0, "kl": 2.0}) == "KL 2  -ELBO 3"


# ---------------------------------------------------------------- interruption and resumption

def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Send this process a signal during the given step."""
    add = runs_log.Log.add
    def add_and_interrupt(log, *args):
        add(log, *args)
        if log.step == step:
            os.kill(os.getpid(), number)
    monkeypatch.setattr(runs_log.Log, "add", add_and_interrupt)


@pytest.mark.parametrize("step", [1, 3, 5, 7, 14])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(step, monkeypatch, capsys):
    flags = ["--model", "vae", *QUICK, "--epochs", 3, "--binarize", "dynamic", "--quiet"]
    assert train(*flags, "--out", "whole") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert train(*flags, "--out", "parts") == 130
    assert "python train_mnist.py --resume parts" in capsys.readouterr().err
    assert train("--resume", "parts", "--quiet") == 0
    assert_same_run("whole", "parts")
    assert Path("parts/samples.png").is_file()


def test_killed_without_warning_goes_on_from_the_last_checkpoint(monkeypatch):
    flags = ["--model", "vae", *QUICK, "--epochs", 3, "--quiet"]
    train(*flags, "--out", "whole")
    add = runs_log.Log.add
    with monkeypatch.context() as patch:
        def add_and_die(log, *args):
            add(log, *args)
            if log.step == 8:
                raise ZeroDivisionError
        patch.setattr(runs_log.Log, "add", add_and_die)
        with pytest.raises(ZeroDivisionError):
            train(*flags, "--out", "parts")
    assert train("--resume", "parts", "--quiet") == 0
    assert_same_run("whole", "parts")


def test_a_long_epoch_is_saved_on_the_way(monkeypatch):
    saves = []
    monkeypatch.setattr(runs_train, "SAVE_EVERY", -1)
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *a: saves.append(a[-1]["step"]) or save(*a))
    train("--model", "vae", *QUICK, "--epochs", 1, "--quiet")
    assert saves == [1, 2, 3, 4, 5, 5]


def test_ctrl_c_in_a_real_process(tmp_path):
    """The signal, the exit code and the words on the terminal, as a person meets them."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train_mnist.py"), "--model", "vae", "--dataset", "synthetic",
         "--epochs", "1000", "--out", "run"], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped, and saved. Go on with:\n  python train_mnist.py --resume run" in err
    assert "Traceback" not in err


def test_resume_goes_further_and_keeps_the_history():
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    assert train("--resume", "a", "--epochs", 3, "--quiet") == 0
    assert [r["epoch"] for r in figures("a")] == ["1", "2", "3"]


# ---------------------------------------------------------------- validation

VALIDATED = ["--model", "vae", *QUICK, "--validation", 70, "--epochs", 1]


def test_validation_images_are_the_last_training_images_and_not_trained_on(monkeypatch, capsys):
    seen = {}
    def look(model, optimizer, dataset, *rest):
        seen["set"] = dataset
        return runs_train.train(model, optimizer, dataset, *rest)
    monkeypatch.setattr(cli, "train", look)
    assert train(*VALIDATED) == 0
    _, (images, labels, *_) = few_digits()
    np.testing.assert_array_equal(seen["set"].train_images, images[:230])
    np.testing.assert_array_equal(seen["set"].train_labels, labels[:230])
    np.testing.assert_array_equal(seen["set"].test_images, images[230:])
    np.testing.assert_array_equal(seen["set"].test_labels, labels[230:])
    out = capsys.readouterr().out
    assert "230 training and 70 validation images" in out and "Validation set after 1 epoch" in out
    assert "test" not in out.lower()
    train(*VALIDATED, "--limit", 100, "--quiet")  # fewer to train on; the others are the same
    np.testing.assert_array_equal(seen["set"].train_images, images[:100])
    np.testing.assert_array_equal(seen["set"].test_images, images[230:])


def test_validation_figures_are_called_so_and_go_on():
    train(*VALIDATED, "--quiet")
    assert train("--resume", "runs/vae-synthetic", "--epochs", 2, "--quiet") == 0
    for row in figures("runs/vae-synthetic"):
        assert "validation_neg_elbo" in row and not any(n.startswith("test_") for n in row)


def test_a_run_whose_validation_was_edited_does_not_go_on(capsys):
    train(*VALIDATED, "--quiet")
    config = Path("runs/vae-synthetic/config.json")
    content = json.loads(config.read_text())
    del content["flags"]["validation"]
    config.write_text(json.dumps(content))
    assert "the run has no test figures" in refused(capsys, "--resume", "runs/vae-synthetic")


def test_all_images_for_validation_are_refused(capsys):
    assert "--validation 300: there are 300 training images" in refused(
        capsys, *VALIDATED, "--validation", 300)
    assert not Path("runs").exists()


# ---------------------------------------------------------------- mistakes

def refused(capsys, *argv):
    """Run, expect exit code 2 and no traceback; returns the message."""
    code = train(*argv)
    err = capsys.readouterr().err
    assert code == 2 and "train_mnist.py: error: " in err and "Traceback" not in err
    return err


@pytest.mark.parametrize("argv, words", [
    (["--model", "gan"], "--model: 'gan' is not one of autoencoder, vae"),
    (["--epochs", "1"], "--model is needed: one of autoencoder, vae"),
    (["--model", "vqvea"], "did you mean vqvae?"),
    (["--model"], "--model: expected one argument (one of autoencoder, vae"),
    (["--model", "vae", "--h-dim"], "at least one argument (hidden layers, from the image"),
    (["--model", "vae", "--schedule", "cosin"], "did you mean cosine?"),
    (["--model", "vae", "extra"], "'extra': one word too many"),
    (["--model", "vae", "--batch-size", "-5"], "'-5' is not a whole number, 1 or more"),
    (["--model", "vae", "--epochs", "0"], "'0' is not a whole number, 1 or more"),
    (["--model", "vae", "--epochs", "ten"], "'ten' is not a whole number"),
    (["--model", "vae", "--lr", "nan"], "'nan' is not a number above 0"),
    (["--model", "vae", "--epoch", "3"], "--epoch: there is no such flag; did you mean epochs"),
    (["--model", "autoencoder", "--beta", "2"], "--beta means nothing to --model autoencoder"),
    (["--model", "vae", "--dataset", "imagenet"], "'imagenet' is not one of mnist, fashion"),
    (["--model", "vae", "--config", "missing.json"], "missing.json: No such file"),
    (["--resume", "nowhere"], "no run there"),
    (["--model", "vae", "--overwrite"], "--overwrite needs --out"),
    (["--model", "vqvae", "--num-embeddings", "0"], "'0' is not a whole number, 1 or more"),
    (["--model", "vqvae", "--embedding-dim", "0"], "'0' is not a whole number, 1 or more"),
    (["--model", "vqvae", "--z-dim", "3"], "--z-dim means nothing to --model vqvae"),
    (["--model", "vqvae", "--decay", "1"], "'1' is not a number between 0 and 1"),
    (["--model", "pixelcnn", "--levels", "1"], "1 level: a pixel needs at least 2 values"),
    (["--model", "pixelcnn", "--levels", "300"], "give --levels 2 to 256"),
    (["--model", "pixelcnn", "--conditional"], "--conditional means nothing to --model pixelcnn"),
    (["--model", "pixelcnn", "--levels", "4", "--binarize", "static"],
     "binarised images have 2 levels; give --levels 2 or --binarize none"),
    (["--model", "vae", "--average", "1"], "'1' is not a number, 0 or more and below 1"),
    (["--model", "vae", "--epochs", "1", "--steps", "1"], "give --epochs or --steps, not both"),
])
def test_wrong_flags(argv, words, capsys):
    message = refused(capsys, *argv).partition("error: ")[2]
    assert words in message and message.count("\n") == 1
    assert not Path("runs").exists()


def test_without_arguments_the_models_are_listed(capsys):
    assert train() == 2
    err = capsys.readouterr().err
    assert all(f"\n  {model} " in err for model in RECIPES["mnist"])
    assert "python train_mnist.py --model vqvae" in err and "--lr" not in err


@pytest.mark.parametrize("argv", [["--model", "vae"], ["--model=vae"]])
def test_help_for_one_model_has_its_flags_and_defaults_alone(argv, capsys):
    for order in ([*argv, "--help"], ["-h", *argv]):
        with pytest.raises(SystemExit) as caught:
            train(*order)
        assert caught.value.code == 0
        found = " ".join(capsys.readouterr().out.split())
        assert "--h-dim N [N ...] hidden layers, from the image inwards (default: 400)" in found
        assert "(default: cooldown)" in found and "--lr" in found
        assert "--channels" not in found and "vqvae" not in found


def test_help_without_a_model_has_all_flags(capsys):
    with pytest.raises(SystemExit):
        train("--help")
    found = capsys.readouterr().out
    assert {"--h-dim", "--channels", "--codes", "--num-embeddings"} <= set(found.split())
    assert all(f"\n  {model} " in found for model in RECIPES["mnist"])


def test_sizes_that_do_not_fit_the_images(capsys):
    err = refused(capsys, "--model", "conv-vae", "--dataset", "synthetic", "--channels", 4, 4, 4)
    assert "multiples of 8; give fewer channels" in err
    assert not Path("runs").exists()


def test_vqvae_checkpoint_given_to_a_vae(capsys):
    train("--model", "vqvae", *SIZES["vqvae"], "--epochs", 1, "--out", "a", "--quiet")
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "b", "--quiet")
    os.replace("a/checkpoint.npz", "b/checkpoint.npz")
    assert "checkpoint of another model: state does not fit VAE" in refused(
        capsys, "--resume", "b", "--epochs", 2)


def test_named_data_set_without_files(capsys):
    err = refused(capsys, "--model", "vae", "--dataset", "mnist")
    assert "could not be downloaded" in err and "127.0.0.1:9" in err
    assert "--dataset synthetic" in err


def test_named_data_folder_without_files(capsys, tmp_path):
    err = refused(capsys, "--model", "vae", "--data-dir", tmp_path)
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte.gz") in err


def test_damaged_data_is_not_replaced_by_synthetic(capsys, tmp_path):
    path = tmp_path / "no data" / "mnist" / "train-images-idx3-ubyte.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x1f\x8b damaged")
    assert f"{path}: " in refused(capsys, "--model", "vae")


@pytest.mark.parametrize("content, words", [
    ('{"model": "vae", "batch_sise": 3}', "unknown key 'batch_sise'; did you mean batch_size?"),
    ('{"model": "vae", "epochs": -1}', "'-1' is not a whole number, 1 or more"),
    ('{"model": "vae", "epochs": [1, 2]}', "'2': one word too many"),
    ('{"model": "vae", "quiet": 3}', "'quiet' must be true or false"),
    ('{"model": "vae", "lr": {"a": 1}}', "'lr' cannot be"),
    ('{"model": "vae",}', "is not JSON"),
    ('[1]', "needs a JSON object of flags"),
])
def test_wrong_config(content, words, capsys):
    Path("c.json").write_text(content)
    assert words in refused(capsys, "--config", "c.json")


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/version").exists(), reason="needs /proc")
def test_unwritable_output(capsys):
    Path("file").write_text("")
    assert "file is a file" in refused(capsys, "--model", "vae", *QUICK, "--out", "file/run")
    assert "/proc/run: No such file" in refused(capsys, "--model", "vae", *QUICK, "--out",
                                                       "/proc/run")
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    err = refused(capsys, "--model", "vae", *QUICK, "--out", "full", "--overwrite")
    assert "has files in it and is no run" in err and Path("full/thesis.txt").read_text() == "mine"


def test_cupy_asked_for_and_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    err = refused(capsys, "--model", "vae", *QUICK, "--backend", "cupy")
    assert "CuPy is not installed" in err and "pip install cupy-cuda12x" in err


def test_cupy_there_but_no_gpu(capsys, monkeypatch):
    class Runtime:
        @staticmethod
        def getDeviceCount():
            raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    cupy = type(sys)("cupy")
    cupy.__version__, cupy.cuda = "14.0.0", type("cuda", (), {"runtime": Runtime})
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    err = refused(capsys, "--model", "vae", *QUICK, "--backend", "cupy")
    assert "finds no usable GPU" in err and "no CUDA-capable device" in err
    assert train("--model", "vae", *QUICK, "--epochs", 1, "--backend", "auto") == 0
    assert "--backend auto: using numpy" in capsys.readouterr().out


def test_resume_as_another_model(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    err = refused(capsys, "--resume", "a", "--model", "autoencoder")
    assert "that run has --model vae, not autoencoder" in err


def test_checkpoint_of_another_model(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    train("--model", "autoencoder", *QUICK, "--epochs", 1, "--out", "b", "--quiet")
    os.replace("b/checkpoint.npz", "a/checkpoint.npz")
    assert "checkpoint of another model: state does not fit VAE: missing posterior.w" in refused(
        capsys, "--resume", "a", "--epochs", 2)


@pytest.mark.parametrize("damage", [lambda b: b[:-300], lambda b: b[:100], lambda b: b"",
                                    lambda b: b"no zip", lambda b: b[:5000] + b"\0\1\2" * 200 +
                                    b[5600:]], ids=["tail", "head", "empty", "text", "middle"])
def test_corrupted_checkpoint(damage, capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    path = Path("a/checkpoint.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert "checkpoint.npz is damaged" in refused(capsys, "--resume", "a", "--epochs", 2)


def test_run_without_checkpoint(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    os.remove("a/checkpoint.npz")
    assert "is gone, though the run had saved it" in refused(capsys, "--resume", "a")


def test_resume_with_other_data(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    config = json.loads(Path("a/config.json").read_text())
    config["dataset"]["sha256"] = "0" * 64
    Path("a/config.json").write_text(json.dumps(config))
    assert "it needs the same data" in refused(capsys, "--resume", "a", "--epochs", 2)


def test_resume_with_a_config_that_was_changed(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    Path("a/config.json").write_text('{"model": "vae"}')
    assert "no longer the file that the run wrote" in refused(capsys, "--resume", "a")


def test_two_processes_do_not_train_into_one_folder(capsys):
    train("--model", "vae", *QUICK, "--epochs", 1, "--out", "a", "--quiet")
    before = state("a")
    with locked(Path("a")):  # another process, say
        err = refused(capsys, "--resume", "a", "--epochs", 2)
        assert "another process is training into this folder" in err
        err = refused(capsys, "--model", "vae", *QUICK, "--out", "a", "--overwrite")
        assert "another process is training into this folder" in err
    for name, array in state("a").items():
        np.testing.assert_array_equal(array, before[name])
    assert train("--resume", "a", "--epochs", 2, "--quiet") == 0


def test_what_resume_changed_is_written_down():
    train("--model", "vae", *QUICK, "--epochs", 2, "--out", "a", "--quiet")
    train("--resume", "a", "--epochs", 3, "--lr", 1e-4, "--schedule", "cosine", "--quiet")
    train("--resume", "a", "--epochs", 4, "--quiet")
    config = json.loads(Path("a/config.json").read_text())
    assert config["continued"] == [
        {"after_step": 10, "was": {"epochs": 2, "lr": 1e-3, "schedule": "cooldown"}},
        {"after_step": 15, "was": {"epochs": 3}}]
    assert config["flags"]["schedule"] == "cosine" and config["flags"]["lr"] == 1e-4
    assert float(figures("a")[2]["lr"]) < 1e-4


def test_resume_to_fewer_epochs(capsys):
    train("--model", "vae", *QUICK, "--epochs", 2, "--out", "a", "--quiet")
    assert "has done 2 epochs already" in refused(capsys, "--resume", "a", "--epochs", 1)


def test_divergence_names_step_and_term_and_keeps_the_last_good_checkpoint(capsys, monkeypatch):
    add = runs_log.Log.add
    def poison(log, metrics, images):
        if log.step == 7:
            metrics = {**metrics, "kl": metrics["kl"] * np.inf}
        add(log, metrics, images)
    monkeypatch.setattr(runs_log.Log, "add", poison)
    err = refused(capsys, "--model", "vae", *QUICK, "--epochs", 3, "--out", "a", "--quiet")
    assert "step 8: the term 'kl' of the loss became inf" in err
    assert len(figures("a")) == 1 and np.isfinite(state("a")["model/pixels.w"]).all()


def test_divergence_that_an_op_refuses_is_a_divergence(capsys, monkeypatch):
    """A VQ-VAE looks for the nearest code of NaN before its loss is NaN."""
    encode = VQVAE.encode
    monkeypatch.setattr(VQVAE, "encode", lambda net, x: encode(net, x) * (
        np.nan if net.steps_done == 7 else 1))
    err = refused(capsys, "--model", "vqvae", *SIZES["vqvae"], "--epochs", 3, "--out", "a",
                  "--quiet")
    assert "step 8: nearest_code: vectors have NaN in them" in err and err.count("\n") == 1
    assert len(figures("a")) == 1


def test_weights_that_are_not_finite_are_not_saved(capsys, monkeypatch):
    """The loss of the step before was still finite."""
    step = optim.Adam.step
    def step_and_break(adam):
        step(adam)
        if adam.steps[0] == 10:  # the last of the second epoch
            adam.parameters[0].data[0, 0] = np.nan
    monkeypatch.setattr(optim.Adam, "step", step_and_break)
    monkeypatch.setattr(runs_train, "evaluate", lambda *a: {"loss": 0.0})
    err = refused(capsys, "--model", "autoencoder", *QUICK, "--epochs", 3, "--out", "a", "--quiet")
    assert "step 10: the parameter 'encoder.layers.0.w' became NaN" in err
    assert np.isfinite(state("a")["model/encoder.layers.0.w"]).all() and len(figures("a")) == 1


def test_failed_save_leaves_the_old_checkpoint(monkeypatch, rng, tmp_path):
    model = build("vae", rng, h_dim=3, z_dim=2)
    optimizer = optim.Adam(model.parameters())
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, model, optimizer, {"step": 1})
    before = path.read_bytes()
    def full(file, **arrays):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left on device"):
        checkpoint.save(path, model, optimizer, {"step": 2})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
