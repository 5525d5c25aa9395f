"""The folder of a run: whose it is, what is written into it, what is left of a run that was ended.
tests/test_kills.py ends runs everywhere; here are the single rules."""

import csv
import json
import os
import signal
import sys
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scripts import call, train

import evaluate
import generate
from scratchnet.runs import data, files, pictures
from scratchnet.runs import log as runs_log
from scratchnet.runs.folder import locked
from scratchnet.runs.synthetic import synthetic_digits

VAE = ["--model", "vae", "--dataset", "synthetic", "--batch-size", "32", "--h-dim", "8", "--z-dim",
       "2", "--quiet"]
PART = ".scratchnet-0123456789abcdef.part"


@cache
def few_digits():
    return synthetic_digits(train=96, test=32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test in a folder of its own, with few images and no pictures to wait for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))
    monkeypatch.setattr(pictures, "possible", lambda model: [])


def names(folder):
    return {p.name for p in Path(folder).iterdir()}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def refused(capsys, code):
    err = capsys.readouterr().err
    assert code == 2 and "error: " in err and "Traceback" not in err, err
    return err


# ---------------------------------------------------------------- what resume makes again

def test_resume_writes_the_tables_again(monkeypatch):
    monkeypatch.setattr(runs_log, "TRACE_EVERY", 2)
    train(*VAE, "--epochs", 2, "--out", "a")
    before = {name: Path("a", name).read_bytes() for name in ("metrics.csv", "train.csv")}
    for name in before:
        Path("a", name).unlink()
    assert train("--resume", "a", "--quiet") == 0
    assert {name: Path("a", name).read_bytes() for name in before} == before
    Path("a/metrics.csv").write_bytes(before["metrics.csv"][:-100])  # of the epoch before, say
    assert train("--resume", "a", "--quiet") == 0
    assert Path("a/metrics.csv").read_bytes() == before["metrics.csv"]


@pytest.mark.parametrize("schedule", ["cosine", "cooldown"])
def test_a_run_stopped_in_the_last_step_of_an_epoch_has_the_lr_of_that_step(schedule, monkeypatch):
    flags = [*VAE, "--epochs", 3, "--schedule", schedule]
    assert train(*flags, "--out", "whole") == 0
    add = runs_log.Log.add
    for step in (6, 9):
        def add_and_stop(log, *args, step=step):
            add(log, *args)
            if log.step == step:
                os.kill(os.getpid(), signal.SIGTERM)
        with monkeypatch.context() as patch:
            patch.setattr(runs_log.Log, "add", add_and_stop)
            assert train(*flags, "--out", f"parts-{step}") == 143
        assert train("--resume", f"parts-{step}", "--quiet") == 0
        found = [[row["lr"] for row in rows(f"{run}/metrics.csv")]
                 for run in ("whole", f"parts-{step}")]
        assert found[0] == found[1]


# ---------------------------------------------------------------- parts

def test_parts_have_names_that_nobody_can_prepare():
    seen = set()
    for _ in range(3):
        with files.replacing("a.png") as file:
            seen.add(Path(file.name).name)
            assert os.stat(file.name).st_mode & 0o777 == 0o666 & ~umask()
    assert len(seen) == 3 and all(map(files.is_part, seen)) and names(".") == {"a.png"}


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_name_that_was_prepared_all_the_same_is_not_followed(monkeypatch):
    """A link of that name leads to a file of ours, which must not be written."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0123456789abcdef")
    Path("mine").write_text("precious")
    os.symlink("mine", PART)
    with pytest.raises(FileExistsError), files.replacing("a.png") as file:
        file.write(b"!")
    assert Path("mine").read_text() == "precious"


def test_a_part_that_fails_is_removed_at_once():
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt, ValueError):
        with pytest.raises((OSError, KeyboardInterrupt, ValueError)), files.replacing("a") as file:
            file.write(b"half")
            raise error
    assert not names(".")


def test_parts_that_nobody_holds_are_removed_and_no_others():
    with files.replacing("a") as file:
        held = Path(file.name).name
        Path(PART).write_bytes(b"left by a run that was killed")
        others = [".scratchnet-0123.part", ".other.part", f"x{PART}", "notes.part"]
        for name in others:
            Path(name).touch()
        os.mkfifo(".scratchnet-" + "a" * 16 + ".part")  # must not be waited for
        files.remove_parts(".")
        assert names(".") >= {held, *others} and PART not in names(".")


def test_a_longest_name_has_a_part():
    name = "x" * 251 + ".png"
    with files.replacing(name) as file:
        file.write(b"1")
    assert Path(name).read_bytes() == b"1"


def test_the_next_start_cleans_up():
    train(*VAE, "--epochs", 1, "--out", "a")
    for argv in (["--resume", "a", "--quiet"], [*VAE, "--epochs", 1, "--out", "a", "--overwrite"]):
        Path("a", PART).touch()
        assert train(*argv) == 0
        assert PART not in names("a")


def test_unpacking_that_fails_leaves_nothing(monkeypatch):
    Path("data_batch_1.bin").write_bytes(bytes(3073))
    with tarfile.open("x.tar.gz", "w:gz") as tar:
        tar.add("data_batch_1.bin")
    def full(*a):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        data.unpack("x.tar.gz", Path("to"), {"data_batch_1.bin": None})
    assert not names("to")


# ---------------------------------------------------------------- ended before the first checkpoint

def begun(folder):
    """A run that was killed after config.json."""
    train(*VAE, "--epochs", 2, "--seed", 3, "--out", folder)
    for name in names(folder) - {"config.json"}:
        Path(folder, name).unlink()
    Path(folder, PART).touch()


@pytest.mark.parametrize("argv", [["--resume", "b", "--quiet"], [*VAE, "--epochs", 2, "--seed", 3,
                                                                 "--out", "b"]])
def test_a_run_ended_before_its_first_checkpoint_begins_anew(argv):
    train(*VAE, "--epochs", 2, "--seed", 3, "--out", "a")
    begun("b")
    assert train(*argv) == 0
    assert names("a") == names("b")
    with np.load("a/checkpoint.npz") as a, np.load("b/checkpoint.npz") as b:
        assert all((a[n] == b[n]).all() for n in a.files if n != "progress")
    assert Path("a/config.json").read_text() == Path("b/config.json").read_text()


def test_a_folder_of_parts_alone_is_empty():
    Path("a").mkdir()
    Path("a", PART).touch()
    assert train(*VAE, "--epochs", 1, "--out", "a") == 0
    assert PART not in names("a")


def test_another_programs_config_is_not_replaced(capsys):
    Path("a").mkdir()
    Path("a/config.json").write_text('{"architectures": []}')
    assert "and is no run" in refused(capsys, train(*VAE, "--epochs", 1, "--out", "a"))
    assert "architectures" in Path("a/config.json").read_text()


def test_a_checkpoint_that_was_lost_is_no_run_that_barely_began(capsys):
    train(*VAE, "--epochs", 1, "--out", "a")
    Path("a/checkpoint.npz").unlink()
    err = refused(capsys, train("--resume", "a", "--quiet"))
    assert "is gone" in err and "--out a --overwrite" in err
    assert "there is a run in it" in refused(capsys, train(*VAE, "--epochs", 1, "--out", "a"))
    assert train(*VAE, "--epochs", 1, "--out", "a", "--overwrite") == 0


# ---------------------------------------------------------------- whose folder it is

@pytest.mark.parametrize("out", ["a", None])
def test_a_run_that_finished_meanwhile_is_not_erased(out, monkeypatch, capsys):
    """By another process, while this one loaded its data."""
    load, folder = data.load, out or "runs/vae-synthetic"
    def load_slowly(*args):
        with monkeypatch.context() as patch:
            patch.setattr(data, "load", load)
            train(*VAE, "--epochs", 1, "--seed", 9, "--out", folder)
        return load(*args)
    monkeypatch.setattr(data, "load", load_slowly)
    code = train(*VAE, "--epochs", 1, *(["--out", out] if out else []))
    assert json.loads(Path(folder, "config.json").read_text())["flags"]["seed"] == 9
    if out:
        assert "there is a run in it" in refused(capsys, code)
    else:
        assert code == 0 and names("runs") == {"vae-synthetic", "vae-synthetic-2"}


def test_a_default_name_is_taken_by_one_alone(monkeypatch):
    from scratchnet.runs import folder
    real, first = folder.unused, []
    def late(path):
        found = real(path)
        if not first:
            first.append(found)
            found.mkdir(parents=True)  # by another process, just now
        return found
    monkeypatch.setattr(folder, "unused", late)
    assert train(*VAE, "--epochs", 1) == 0
    assert not names("runs/vae-synthetic") and "config.json" in names("runs/vae-synthetic-2")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_a_forked_process_does_not_keep_the_lock():
    ready, over = os.pipe(), os.pipe()
    Path("a").mkdir()
    with locked(Path("a")):
        if (pid := os.fork()) == 0:
            os.close(over[1])
            os.write(ready[1], b"!")
            os.read(over[0], 1)  # until the test is over
            os._exit(0)
    os.read(ready[0], 1)
    with locked(Path("a")):
        pass
    os.close(over[1])
    assert os.waitpid(pid, 0)[1] == 0
    for end in (*ready, over[0]):
        os.close(end)


# ---------------------------------------------------------------- files that cannot be written

@pytest.fixture
def full(monkeypatch):
    """A set of names of files that cannot be put in place: open elsewhere on Windows, say."""
    chosen, real = set(), os.replace
    def replace_unless_full(source, target):
        if Path(target).name in chosen:
            raise PermissionError(13, "Permission denied")
        real(source, target)
    monkeypatch.setattr(os, "replace", replace_unless_full)
    return chosen


def test_tables_and_pictures_that_cannot_be_replaced_do_not_end_a_run(full, capsys):
    full |= {"metrics.csv", "curves.png"}
    assert train(*VAE, "--epochs", 3, "--out", "a") == 0
    err = capsys.readouterr().err
    assert err.count("a/metrics.csv could not be written (Permission denied)") == 1
    assert err.count("a/curves.png could not be written") == 1 and err.count("\n") == 2
    assert names("a") == {"config.json", "checkpoint.npz"}
    full.clear()
    assert train("--resume", "a", "--quiet") == 0
    assert len(rows("a/metrics.csv")) == 3 and Path("a/curves.png").is_file()


def test_a_checkpoint_that_cannot_be_written_ends_a_run_with_the_last_one_in_place(
        full, capsys):
    train(*VAE, "--epochs", 1, "--out", "a")
    before = Path("a/checkpoint.npz").read_bytes()
    full.add("checkpoint.npz")
    err = refused(capsys, train("--resume", "a", "--epochs", 2, "--quiet"))
    assert "error: a/checkpoint.npz: Permission denied; mend that" in err
    assert Path("a/checkpoint.npz").read_bytes() == before
    assert not any(map(files.is_part, names("a")))
    full.clear()
    assert train("--resume", "a", "--epochs", 2, "--quiet") == 0


def test_evaluate_and_generate_find_a_full_disk_before_the_work(monkeypatch, capsys):
    train(*VAE, "--epochs", 1, "--out", "a")
    def never(*args):
        raise AssertionError("worked first")
    monkeypatch.setattr(evaluate, "evaluate", never)
    monkeypatch.setattr(generate, "make", never)
    monkeypatch.setattr(generate, "possible", lambda model: ["samples"])
    real, parts = open, []
    def full_open(path, mode="r", *args, **how):
        if "x" in mode:
            parts.append(path)
            real(path, mode).close()
            raise OSError(28, "No space left on device")
        return real(path, mode, *args, **how)
    before = names("a")
    monkeypatch.setattr("builtins.open", full_open)
    assert "a/evaluation.json: No space left on device" in refused(capsys, call(evaluate, "a"))
    assert "a/samples-seed0.png: No space left" in refused(capsys, call(generate, "a"))
    assert len(parts) == 2 and names("a") == before


def test_evaluate_prints_before_it_writes(full, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "check_has_room", lambda path: None)
    train(*VAE, "--epochs", 1, "--out", "a")
    full.add("evaluation.json")
    assert call(evaluate, "a") == 2
    captured = capsys.readouterr()
    assert "-ELBO" in captured.out and "In a/evaluation.json" not in captured.out
    assert "error: a/evaluation.json: Permission denied" in captured.err


@pytest.mark.parametrize("name", ["out.png", "out.npy"])
def test_generate_into_what_cannot_be_written(name, full, capsys, monkeypatch):
    train(*VAE, "--epochs", 1, "--out", "a")
    monkeypatch.setattr(generate, "possible", lambda model: ["samples"])
    full.add(name)
    err = refused(capsys, call(generate, "a", "--num", 4, "--quiet", "--out", name))
    assert f"error: {name}: Permission denied" in err
    full.clear()
    Path(name).mkdir()
    err = refused(capsys, call(generate, "a", "--num", 4, "--out", name, "--overwrite"))
    assert f"--out {name}: is a folder; name a file" in err
