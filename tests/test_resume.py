"""Resume: what was stopped goes on as if nothing had been, to the bit; and the checkpoints that it
goes on from. tests/test_kills.py ends runs everywhere; here are the single rules."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scripts import (
    RUNS,
    VAE,
    after_step,
    assert_same_run,
    call,
    change_weights,
    changed,
    config_of,
    interrupt,
    names,
    refused,
    rows,
    rows_of_train_csv,
    train,
)

import evaluate
import generate
from scratchnet import nn, optim
from scratchnet.runs import checkpoint
from scratchnet.runs import train as runs_train

pytestmark = pytest.mark.usefixtures("here")
PART = ".scratchnet-0123456789abcdef.part"


# ---------------------------------------------------------------- to the bit

@pytest.mark.parametrize("name, steps, more", [
    ("vae", (1, 4, 6, 11), ["--schedule", "cosine"]),
    ("grey", (8, 12), ["--schedule", "cooldown", "--average", 0.9]),
    ("vqvae", (5,), ["--codebook", "ema"]), ("vqvae", (5,), ["--codebook", "gradient"]),
    ("prior", (2, 5), [])])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(name, steps, more, runs_here,
                                                                  monkeypatch, capsys):
    """In the middle of an epoch, at its end, in the last step; with all sums and running means."""
    rows_of_train_csv(monkeypatch, 2)
    flags = [*RUNS[name], "--epochs", 3, *more]
    if name in ("vqvae", "prior"):
        flags += ["--limit", 40, "--batch-size", 14]
    assert train(*flags, "--out", "whole") == 0
    for step in steps:
        with monkeypatch.context() as patch:
            after_step(patch, step, interrupt)
            assert train(*flags, "--out", f"parts-{step}") == 130
        assert f"python train_mnist.py --resume parts-{step}" in capsys.readouterr().err
        assert train("--resume", f"parts-{step}", "--quiet") == 0
        assert_same_run("whole", f"parts-{step}")


@pytest.mark.parametrize("argv", [["--resume", "b"], [*RUNS["grey"], "--epochs", 2, "--out", "b"]])
def test_a_run_ended_before_its_first_checkpoint_begins_anew(argv):
    for folder in "a", "b":
        train(*RUNS["grey"], "--epochs", 2, "--out", folder)
    for name in names("b") - {"config.json"}:
        Path("b", name).unlink()
    Path("b", PART).touch()  # what a kill left
    assert train(*argv, "--quiet") == 0
    assert_same_run("a", "b")
    assert config_of("a") == config_of("b")


def test_a_long_epoch_is_saved_on_the_way(monkeypatch):
    saves, save = [], checkpoint.save
    monkeypatch.setattr(runs_train, "SAVE_EVERY", -1)
    monkeypatch.setattr(checkpoint, "save", lambda *a: saves.append(a[3]["step"]) or save(*a))
    train(*VAE)
    assert saves == [1, 2, 3, 4, 4]


# ---------------------------------------------------------------- what it makes again

def test_resume_writes_the_tables_again(monkeypatch):
    rows_of_train_csv(monkeypatch, 2)
    train(*RUNS["grey"], "--epochs", 2, "--out", "a")
    before = {name: Path("a", name).read_bytes() for name in ("metrics.csv", "train.csv")}
    Path("a/train.csv").unlink()
    Path("a/metrics.csv").write_bytes(before["metrics.csv"][:-100])  # of the epoch before, say
    assert train("--resume", "a", "--quiet") == 0
    assert {name: Path("a", name).read_bytes() for name in before} == before


def test_what_resume_changed_is_written_down(capsys):
    train(*RUNS["grey"], "--epochs", 2, "--out", "a")
    train("--resume", "a", "--epochs", 3, "--lr", 1e-4, "--schedule", "cosine", "--quiet")
    train("--resume", "a", "--epochs", 4, "--quiet")
    config, table = config_of("a"), rows("a/metrics.csv")
    assert config["continued"] == [
        {"after_step": 8, "was": {"epochs": 2, "lr": 1e-3, "schedule": "cooldown"}},
        {"after_step": 12, "was": {"epochs": 3}}]
    assert config["flags"]["schedule"] == "cosine" and config["flags"]["lr"] == 1e-4
    assert [r["epoch"] for r in table] == ["1", "2", "3", "4"] and float(table[2]["lr"]) < 1e-4
    assert "4 epochs already" in refused(capsys, train("--resume", "a", "--epochs", 3))


def test_a_run_that_is_complete_is_not_said_to_go_on(capsys):
    for argv, words in ((["--epochs", 2, "--out", "a"], "into a"),
                        (["--resume", "a"], "into a, which is complete: 8 steps"),
                        (["--resume", "a", "--epochs", 3], "into a, going on after step 8")):
        more = RUNS["grey"][:-1] if "--out" in argv else []
        assert train(*more, *argv) == 0
        assert f"{words}\n" in capsys.readouterr().out


def test_rows_are_not_epochs(runs_here):
    """A run of 6, then of 7 steps has three rows, of at most four steps each, and two epochs."""
    assert train("--resume", "grey", "--steps", 6, "--quiet") == 0
    assert train("--resume", "grey", "--steps", 7, "--quiet") == 0
    assert [row["epoch"] for row in rows("grey/metrics.csv")] == ["1", "2", "2"]
    assert train("--resume", "grey", "--epochs", 2, "--quiet") == 0
    assert rows("grey/metrics.csv")[-1]["step"] == "8"


def test_a_flag_that_changes_nothing_in_a_finished_run_is_refused(runs_here, capsys):
    before = config_of("grey")
    assert ("grey: that run is finished, and --lr, --schedule would change nothing; to go on, give "
            "--epochs above 1, too\n") in refused(capsys, train(
                "--resume", "grey", "--lr", 1e-4, "--schedule", "cosine", "--quiet"))
    assert config_of("grey") == before
    assert train("--resume", "grey", "--lr", before["flags"]["lr"], "--quiet") == 0  # is as it was
    assert train("--resume", "grey", "--lr", 1e-4, "--steps", 5, "--quiet") == 0
    assert "--lr would change nothing; to go on, give --steps above 5, too" in (
        refused(capsys, train("--resume", "grey", "--lr", 1e-3)))


def test_rows_of_history_with_other_columns_go_on(runs_here):
    """As those of a run that an earlier version began: each column is there, once."""
    change_weights("grey", lambda arrays: None,
                   lambda progress: progress["history"][0].update(test_energy=3.5))
    assert train("--resume", "grey", "--epochs", 2, "--quiet") == 0
    lines = Path("grey/metrics.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,step,lr,seconds") and lines[0].endswith(",test_energy")
    assert lines[1].endswith(",3.5") and lines[2].endswith(",") and len(lines) == 3


def test_a_prior_that_was_moved_with_its_vqvae_goes_on(runs_here, capsys):
    Path("under").mkdir()
    for name in ("vqvae", "prior"):
        shutil.move(name, f"under/{name}")
    assert train("--resume", "under/prior", "--epochs", 2, "--quiet") == 0
    shutil.copytree("under/vqvae", "vqvae")  # what was put there since is no matter
    changed("vqvae", lambda config: config["dataset"].update(sha256="0" * 64))
    assert train("--resume", "under/prior", "--epochs", 3, "--quiet") == 0
    assert config_of("under/prior")["flags"]["codes"] == "vqvae"
    shutil.rmtree("under/vqvae")
    more = ["--resume", "under/prior", "--epochs", 4]
    message = refused(capsys, train(*more))
    assert "are not those of vqvae" in message and message.count("under/prior") == 1
    shutil.rmtree("vqvae")
    assert "codes are those of a VQ-VAE that is not at vqvae, nor at" in refused(
        capsys, train(*more))
    changed("under/prior", lambda config: config["flags"].update(
        codes=str(Path("under/vqvae").resolve())))
    assert refused(capsys, train(*more)).count("under/vqvae") == 1
    changed("under/prior", lambda config: config["flags"].update(codes="vqvae"))
    shutil.copytree("grey", "vqvae")
    assert "under/prior: the VQ-VAE whose codes it models is looked for at vqvae, but" in refused(
        capsys, train(*more))


def test_a_byte_order_mark_is_no_mistake(runs_here):
    """As editors on Windows write."""
    path = Path("grey/config.json")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert call(evaluate, "grey", "--quiet") == train("--resume", "grey", "--epochs", 2) == 0
    assert train("--config", "grey/config.json", "--out", "new", "--quiet") == 0


# ---------------------------------------------------------------- what it refuses

def spoilt(keep):
    """How the bytes of the checkpoint become keep(bytes)."""
    path = Path("grey/checkpoint.npz")
    return lambda: path.write_bytes(keep(path.read_bytes()))


def of_another(folder):
    return lambda: shutil.copy(f"{folder}/checkpoint.npz", "grey/checkpoint.npz")


def flipped(content):
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


DAMAGE = {  # what was done to a run: (how, the words of --resume)
    "cut": (spoilt(lambda b: b[:-300]), "damaged"),
    "empty": (spoilt(lambda b: b""), "damaged"),
    "text": (spoilt(lambda b: b"no zip"), "damaged"),
    "a bit": (spoilt(flipped), "damaged"),
    "a pickle": (lambda: np.savez("grey/checkpoint.npz", progress=np.array([None])), "damaged"),
    "NaN": (lambda: change_weights("grey", lambda arrays: arrays["model/pixels.w"].fill(np.nan)),
            "damaged"),
    "of a VQ-VAE": (of_another("vqvae"), "checkpoint of another model"),
    "of another z": (of_another("vae"), "checkpoint of another model"),
    "lost": (lambda: Path("grey/checkpoint.npz").unlink(), "checkpoint.npz: No such file"),
    "other data": (lambda: changed("grey", lambda c: c["dataset"].update(sha256="0" * 64)),
                   "needs the same data"),
    "another bound": (lambda: changed("grey", lambda c: c["flags"].update(importance_samples=5)),
                      "test_neg_bound"),
    "other images": (lambda: changed("grey", lambda c: c["flags"].update(validation=3)),
                     "validation_neg_elbo"),
    "no config": (lambda: Path("grey/config.json").write_text(
        '{"model": "vae", "dataset": "synthetic"}'), "config.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run_that_was_damaged_does_not_go_on(damage, runs_here, capsys):
    do, words = DAMAGE[damage]
    do()
    before = {p.name: p.read_bytes() for p in Path("grey").iterdir()}
    err = refused(capsys, train("--resume", "grey", "--epochs", 2, "--quiet"))
    assert words in err and "grey" in err
    assert before == {p.name: p.read_bytes() for p in Path("grey").iterdir()}
    if damage in ("cut", "empty", "text", "NaN") or "another model" in words:
        for script in (generate, evaluate):
            assert words in refused(capsys, call(script, "grey", "--quiet"))


# ---------------------------------------------------------------- checkpoints

class Tied(nn.Module):
    """One parameter in two places, before another: named three times, two in the optimiser."""

    def __init__(self, rng):
        self.a = nn.Linear(2, 2, rng, bias=False)
        self.again = self.a
        self.b = nn.Linear(2, 2, rng, bias=False)


def test_averages_of_tied_parameters_find_their_names(rng, tmp_path):
    model = Tied(rng)
    optimizer = optim.Adam(model.parameters(), average=0.5)
    for number, average in enumerate(optimizer.state["average"]):
        average[...] = number
    checkpoint.save(tmp_path / "c.npz", model, optimizer, {
        "step": 3, "seconds": 1.5, "counts": [0, 0], "epoch": {}, "window": {}, "trace": [],
        "history": []})
    loaded = Tied(rng)
    checkpoint.load(tmp_path / "c.npz", loaded, averaged=True)
    assert (loaded.a.w.numpy() == 0).all() and (loaded.b.w.numpy() == 1).all()
