"""The scripts, called as a person calls them, but in this process, and trained runs for them.
What the tests of the scripts hold on to inside scratchnet.runs stands here."""

import base64
import csv
import json
import os
import shutil
import signal
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import evaluate
import export
import generate
import runs
from explorer.answers import parts
from models import RECIPES
from scratchnet.runs import cli, data, pictures
from scratchnet.runs import log as runs_log
from scratchnet.runs import train as runs_train
from scratchnet.runs.sources import SOURCES
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes

ROOT = Path(__file__).parent.parent
SCRIPTS = {"generate": generate, "evaluate": evaluate, "export": export, "runs": runs}
SYNTHETIC = ["--dataset", "synthetic", "--batch-size", 64, "--quiet"]
PIXELS = ["--features", 8, "--blocks", 1, "--head", 8]
RUNS = {  # name: flags of train_mnist.py
    "autoencoder": ["--model", "autoencoder", "--h-dim", 16, "--z-dim", 3, *SYNTHETIC],
    "vae": ["--model", "vae", "--h-dim", 16, "--z-dim", 2, "--binarize", "dynamic", *SYNTHETIC],
    "cvae": ["--model", "vae", "--conditional", "--h-dim", 16, "--z-dim", 2, "--binarize",
             "dynamic", *SYNTHETIC],
    "grey": ["--model", "vae", "--h-dim", 16, "--z-dim", 3, *SYNTHETIC],
    "vqvae": ["--model", "vqvae", "--num-embeddings", 16, "--embedding-dim", 4, *SYNTHETIC],
    "pixelcnn": ["--model", "pixelcnn", *PIXELS, *SYNTHETIC],
    "gated": ["--model", "gated-pixelcnn", "--conditional", *PIXELS, *SYNTHETIC],
    "prior": ["--model", "prior", "--codes", "vqvae", "--conditional", "--embedding-dim", 4,
              *PIXELS, "--batch-size", 64, "--quiet"],
}
VAE = [*RUNS["grey"], "--epochs", 1]  # the quickest to train
NOBODY = "http://127.0.0.1:9/"  # refuses connections
CIFAR_FILES, CIFAR_FOLDER = tuple(SOURCES["cifar10"].files), SOURCES["cifar10"].folder


@cache
def digits():
    """200 training images, in four batches of 64, and 60 test images."""
    return synthetic_digits(train=200, test=60)


@cache
def scenes():
    return synthetic_scenes(train=40, test=20)


# ---------------------------------------------------------------- called

def train(*argv, kind="mnist"):
    """The exit code of train_mnist.py, or train_cifar.py."""
    return cli.main(kind, "", RECIPES[kind], [str(a) for a in argv])


def call(script, *argv):
    """That of another script, a module."""
    return cli.guarded(f"{script.__name__}.py", script.main, [str(a) for a in argv])


def asked(line):
    """The exit code of a command line, which begins with generate, evaluate, export or runs, or
    with a flag of train_mnist.py."""
    name, *argv = line.split()
    return call(SCRIPTS[name], *argv) if name in SCRIPTS else train(name, *argv)


def drawn(line):
    """The array that generate.py makes."""
    assert asked(f"generate {line} --quiet --overwrite --out x.npy") == 0
    return np.load("x.npy")


def answer(runs, name, request):
    """What the engine answers the page; of a stream the last part."""
    return list(parts(runs, name, request))[-1]


def refused(capsys, code):
    """The message of a call that gave this exit code: one line, but where data cannot be had: then
    all that was tried."""
    err = capsys.readouterr().err
    note, script, message = err.partition(".py: error: ")
    assert code == 2 and script and len(message) < 1000, err
    assert "\n" not in note or note.startswith("NOTE: "), err
    assert message.count("\n") == 1 or "could not be downloaded" in message, err
    assert all(c.isprintable() or c == "\n" for c in err), err
    return message


# ---------------------------------------------------------------- where

@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """A test in a folder of its own, with few images, no real data and no network in reach. Only a
    test marked `pictures` waits for those of its runs."""
    monkeypatch.chdir(tmp_path)
    quick(monkeypatch)
    if request.node.get_closest_marker("pictures") is None:
        undrawn(monkeypatch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with one of each of RUNS, trained for an epoch."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        quick(patch)
        undrawn(patch)
        for name, argv in RUNS.items():
            assert train(*argv, "--epochs", 1, "--out", name) == 0
    return folder


@pytest.fixture
def runs_here(trained, here):
    """Copies of these runs in the current folder."""
    shutil.copytree(trained, ".", dirs_exist_ok=True)


def quick(patch):
    for kind, few in (("mnist", digits), ("cifar", scenes)):
        patch.setitem(data.KINDS, kind, replace(data.KINDS[kind], synthetic=few))
    patch.setenv("SCRATCHNET_DATA", "no data")
    patch.setenv("COLUMNS", "80")
    for name in "mnist", "fashion-mnist":
        served(patch, name, (NOBODY,))
    patch.setattr(os, "fsync", lambda handle: None)


def served(patch, name, urls, files=None):
    """Let a data set be had from these addresses, as files of these checksums, {name: SHA-256}."""
    source = data.SOURCES[name]
    patch.setitem(data.SOURCES, name, replace(source, urls=urls, files=files or source.files))


def undrawn(patch):
    """A run draws its curves alone, and those are left blank."""
    patch.setattr(pictures, "possible", lambda model: [])
    patch.setattr("matplotlib.figure.Figure.savefig",
                  lambda figure, file, **how: file.write(b"blank"))


# ---------------------------------------------------------------- while it trains

def each_step(patch, instead):
    """instead(step, model, optimizer, batch, rng, labels) is called for each training step, in one
    process; step() does it."""
    real = runs_train.step
    def step(*given):
        return instead(lambda: real(*given), *given[:5])
    patch.setattr(runs_train, "processes", lambda batch_size: 1)
    patch.setattr(runs_train, "step", step)


def after_step(patch, number, then):
    """then() is called after the step of this number."""
    real = runs_log.Log.add
    def add(log, *args):
        real(log, *args)
        if log.step == number:
            then()
    patch.setattr(runs_log.Log, "add", add)


def interrupt(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def rows_of_train_csv(patch, every):
    patch.setattr(runs_log, "TRACE_EVERY", every)


# ---------------------------------------------------------------- what is left

def names(folder):
    return {p.name for p in Path(folder).iterdir()}


def idx(array):
    """The bytes of an idx file."""
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def array(answer):
    """An array in an answer to the page."""
    return np.frombuffer(base64.b64decode(answer["data"]), answer["dtype"]).reshape(answer["shape"])


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def state(folder):
    """The arrays of a checkpoint."""
    with np.load(Path(folder) / "checkpoint.npz") as file:
        return {n: file[n] for n in file.files if n != "progress"}


def assert_same_run(a, b):
    """But for the time it took."""
    for name in names(a) & {"metrics.csv", "train.csv"}:
        assert [r | {"seconds": ""} for r in rows(Path(a, name))] == [
            r | {"seconds": ""} for r in rows(Path(b, name))]
    assert state(a).keys() == state(b).keys() and names(a) == names(b)
    for name, array in state(a).items():
        np.testing.assert_array_equal(array, state(b)[name], err_msg=name)


def config_of(folder):
    return json.loads(Path(folder, "config.json").read_text())


def changed(folder, change):
    """Change what config.json says, as an editor would."""
    config = config_of(folder)
    change(config)
    Path(folder, "config.json").write_text(json.dumps(config))


def change_weights(folder, change, progress=lambda progress: None):
    """Change the arrays of a checkpoint, {name: array}, and its progress, as a training would: what
    it says of itself fits."""
    arrays = state(folder)
    with np.load(Path(folder) / "checkpoint.npz") as file:
        said = json.loads(file["progress"].item())
    change(arrays)
    progress(said)
    cli.checkpoint.write(Path(folder) / "checkpoint.npz", arrays, said)
