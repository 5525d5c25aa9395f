"""export.py --out, and --overwrite: all of the new or all of the old, and nobody else's files."""

import errno
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scripts import call, refused, train

import evaluate
import export
import generate
from models import RECIPES
from scratchnet.runs import data, files, folder, pictures
from scratchnet.runs.synthetic import synthetic_digits

VAE = ["--model", "vae", "--dataset", "synthetic", "--h-dim", "4", "--z-dim", "2", "--epochs", "1",
       "--batch-size", "32", "--quiet"]
OLD, NEW = "a", "b"  # two runs; the export of the first lies in box/it, where the second is to go


@cache
def few_digits():
    return synthetic_digits(train=64, test=20)


def quick(monkeypatch):
    """Runs are quick: few images, no pictures, nothing waits for the disk."""
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))
    monkeypatch.setattr(pictures, "possible", lambda model: [])
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        quick(patch)
        for run, seed in ((OLD, 1), (NEW, 2)):
            assert train(*VAE, "--seed", seed, "--out", run) == 0
    return folder


@pytest.fixture
def two_runs(trained):
    shutil.copytree(trained, ".", dirs_exist_ok=True)


def whole(path):
    """All that is in an export: arrays and texts."""
    found = {p.name: p.read_bytes() for p in path.iterdir() if p.suffix != ".npz"}
    with np.load(path / "checkpoint.npz") as file:
        return found | {name: (a.dtype, a.tobytes()) for name, a in file.items()}


def names(path):
    return {p.name for p in Path(path).iterdir()}


# ---------------------------------------------------------------- ended before each of its calls

POINTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "fcntl.flock"}


class Raw(io.FileIO):
    """A file whose writes, the system's, are points, too."""

    def write(self, content):
        self.point("write")
        return super().write(content)


def opened(point):
    """open, for files.py."""
    def open_raw(path, mode="r", **how):
        if "x" not in mode:
            return open(path, mode, **how)
        raw = Raw(path, "x")
        raw.point = point
        file = io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, **how)
    return open_raw


def trap(number, end, box):
    """Call end() before the call of this number of those that change files, or look at those in
    the folder `box`; a function that tells how many there were."""
    whole, passed = str(Path(box).resolve()), 0

    def point(event, path=None, *_):
        nonlocal passed
        if event == "open" and isinstance(path, str) and "/" in path and not path.startswith(
                (f"{box}/", whole)):
            return  # the run's own, a module
        passed += 1
        if passed == number:
            end()

    cdll = folder.ctypes.CDLL

    class Library:
        def __init__(self, name):
            self.library = cdll(name)

        def renameat2(self, *arguments):
            point("renameat2")
            return self.library.renameat2(*arguments)

    os.fsync = lambda handle: point("fsync")  # which is slow, and for machines that are killed
    folder.ctypes.CDLL = Library
    files.open = opened(point)
    sys.addaudithook(lambda event, args: event in POINTS and point(event, *args))
    return lambda: passed


def kill():
    os._exit(77)  # nothing is written out or tidied up, as by SIGKILL


def fail():
    raise OSError(errno.EIO, "Input/output error")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def ended(work, number, end, box="box", swaps=True):
    """work() in a process of its own, ended at this point. Its exit code, how many points it passed
    (0: killed), what it said."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as count:
        if (pid := os.fork()) == 0:
            try:
                sys.stdout = sys.stderr = said
                passed = trap(number, end, box)
                if not swaps:  # as where the system, or its file system, cannot exchange folders
                    cannot = SimpleNamespace(**{"renameat2": lambda *_: -1} if number % 2 else {})
                    folder.ctypes.CDLL = lambda name: cannot
                code = work()
                count.write(str(passed()))
            except BaseException:
                traceback.print_exc(file=said)
                code = 99
            said.flush()
            count.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        count.seek(0)
        return code, int(count.read() or 0), said.read()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("overwrite, swaps", [(False, True), (True, True), (True, False)],
                         ids=["fresh", "overwrite", "overwrite in two steps"])
@pytest.mark.parametrize("end, code", [(kill, 77), (fail, 2), (interrupt, 130)])
def test_an_export_ended_at_any_call_is_the_old_or_the_new_one(end, code, overwrite, swaps,
                                                               two_runs):
    for run, limit in ((OLD, 10), (NEW, 20)):
        assert call(evaluate, run, "--limit", limit, "--quiet") == 0
        assert call(export, run, "--out", f"kept/{run}", "--quiet") == 0
    old, new = whole(Path("kept", OLD)), whole(Path("kept", NEW))
    out, argv = Path("box/it"), [NEW, "--out", "box/it", "--quiet"]
    number, passed = 0, 0
    while passed >= number or not passed:  # fewer: it was not ended
        number += 1
        shutil.rmtree("box", ignore_errors=True)
        if overwrite:
            shutil.copytree(f"kept/{OLD}", out)
        found, passed, said = ended(
            lambda: call(export, *argv, *["--overwrite"] * overwrite), number, end, swaps=swaps)
        story = f"point {number}: {found}, {said}"
        assert "Traceback" not in said and "Exception ignored" not in said, story
        assert found in (code, 0) and said.count("\n") == bool(found and code != 77), story
        if out.exists():
            left = whole(out)
            assert left == new or overwrite and left == old, story
            assert left == new or found, story
        else:
            assert found and (not overwrite or not swaps and end is kill), story
        assert passed >= number or not passed or names("box") == {"it"}, story
        if end is not kill and found:
            assert overwrite or not out.exists(), story
        again = ["--overwrite"] if overwrite or out.exists() else []
        assert call(export, *argv, *again) == 0, story
        assert whole(out) == new, story
        assert names("box") == {"it"}, story
    assert number > 40


# ---------------------------------------------------------------- whose files they are

USERS = ["holiday.png", "my-slide.png", "evaluation-of-my-thesis.json", "evaluations.json",
         "samples-seed.png", "samples-seed01.png", "samples-seed0-.png", "samples-seed0-2-3.png",
         "curves-seed0.png", "xsamples.png", "samples.png.bak", "evaluation-first.json",
         "evaluation-first07.json", "evaluation-first5-static.json", "validation-importance.json",
         "train.csv.old", "notes.txt", "checkpoint.npz~", "samples-seed0.PNG", "test.csv",
         "samples-seed0xpng", "curvesxpng", "metricsxcsv", "evaluationxjson", "trainxcsv"]


def run_of_seed(path):
    return json.loads(Path(path, "config.json").read_text())["flags"]["seed"]


def test_overwrite_erases_what_a_run_can_name_and_no_more(two_runs):
    own = ["samples.png", "latent.png", "palette-seed0.png", "samples-seed12-2.png",
           "evaluation-static-first5-importance10.json", "validation-first7.json"]
    for name in own + USERS:
        Path(OLD, name).write_text(name)
    Path(OLD, "manifold.png").mkdir()
    assert train(*VAE, "--seed", 3, "--out", OLD, "--overwrite") == 0
    assert run_of_seed(OLD) == 3
    assert names(OLD) == {"config.json", "checkpoint.npz", "metrics.csv", "curves.png",
                          "manifold.png", *USERS}
    assert all(Path(OLD, name).read_text() == name for name in USERS)


@pytest.mark.parametrize("name", USERS)
def test_an_export_does_not_take_the_place_of_a_folder_with_other_files(name, two_runs, capsys):
    assert call(export, OLD, "--out", "box", "--quiet") == 0
    Path("box", name).write_text("mine")
    before = whole(Path("box"))
    err = refused(capsys, call(export, NEW, "--out", "box", "--overwrite"))
    assert f"{name!r} in it is not the run's; move it, or name another folder" in err
    assert whole(Path("box")) == before


def test_a_run_that_is_to_be_replaced_has_its_checkpoint_to_the_last(two_runs, monkeypatch, capsys):
    """It can still go on if the rest cannot be removed."""
    Path(OLD, "validation.json").write_text("{}")
    before, real = names(OLD), Path.unlink
    for left in range(len(before) - 1):
        calls = []
        def unlink(path, left=left, calls=calls, **how):
            calls.append(path.name)
            if len(calls) > left:
                raise PermissionError(13, "Permission denied", str(path))
            real(path, **how)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            assert f"{OLD}/" in refused(capsys, train(*VAE, "--out", OLD, "--overwrite"))
        assert {"config.json", "checkpoint.npz"} <= names(OLD)
        Path(OLD, "validation.json").write_text("{}")
        assert train("--resume", OLD, "--quiet") == 0 and names(OLD) == before


@pytest.mark.parametrize("dangling", ["runs", "runs/vae-synthetic"])
def test_a_link_to_nowhere_is_no_free_name(dangling, capsys):
    Path(dangling).parent.mkdir(exist_ok=True)
    os.symlink("nowhere/at/all", dangling)
    code = train(*VAE)
    if dangling == "runs":
        assert "runs: File exists" in refused(capsys, code)
    else:
        assert code == 0 and names("runs") == {"vae-synthetic", "vae-synthetic-2"}


@pytest.mark.parametrize("config", ['{"site": 1}', "[]", "", '{"flags": {"model": "vae"}}'])
def test_a_folder_that_is_no_run_is_not_overwritten(config, two_runs, capsys):
    Path("site").mkdir()
    for name in ("metrics.csv", "samples.png", "holiday.png"):
        Path("site", name).write_text("mine")
    Path("site/config.json").write_text(config)
    for script in (lambda *argv: train(*VAE, *argv), lambda *argv: call(export, NEW, *argv)):
        err = refused(capsys, script("--out", "site", "--overwrite"))
        assert "--out site: the folder has files in it and is no run" in err
    assert len(names("site")) == 4 and Path("site/config.json").read_text() == config


def test_what_the_scripts_write_has_the_names_of_a_run(two_runs):
    argv = (["--limit", 5], ["--importance-samples", 2, "--binarize", "static"], [])
    for flags in argv:
        assert call(evaluate, OLD, *flags, "--quiet") == 0
    for _ in range(3):
        path = folder.unused(Path(OLD, "samples-seed0.png"))
        path.write_text("")
    for what in pictures.PICTURES:
        Path(OLD, f"{what}.png").write_text("")
    assert len(names(OLD)) == 4 + 3 + 3 + 9 and folder.own(Path(OLD)) == names(OLD)


def test_an_export_under_a_link_and_from_inside(two_runs, monkeypatch):
    Path("deep").mkdir()
    os.symlink("deep/real", "link")
    for run in (OLD, NEW):
        assert call(export, run, "--out", "link", "--overwrite", "--quiet") == 0
        assert os.path.islink("link") and run_of_seed("deep/real") == {OLD: 1, NEW: 2}[run]
    os.chmod("deep/real", 0o700)
    monkeypatch.chdir("deep/real")
    assert call(export, f"../../{OLD}", "--out", ".", "--overwrite", "--quiet") == 0
    monkeypatch.chdir("../..")
    assert run_of_seed("deep/real") == 1 and names("deep") == {"real"}
    assert os.stat("deep/real").st_mode & 0o777 == 0o700


def test_an_export_into_a_folder_that_is_trained_into(two_runs, capsys):
    before = whole(Path(OLD))
    with folder.locked(Path(OLD)):
        err = refused(capsys, call(export, NEW, "--out", OLD, "--overwrite"))
    assert "another process is training into this folder" in err and whole(Path(OLD)) == before


def test_an_export_that_is_being_written_is_not_cleaned_away(two_runs, monkeypatch):
    real = export.checkpoint.save_weights
    def meanwhile(path, *args, **how):
        found = real(path, *args, **how)
        monkeypatch.setattr(export.checkpoint, "save_weights", real)
        assert call(export, OLD, "--out", "box/other", "--quiet") == 0
        return found
    monkeypatch.setattr(export.checkpoint, "save_weights", meanwhile)
    assert call(export, NEW, "--out", "box/it", "--quiet") == 0
    assert names("box") == {"it", "other"} and run_of_seed("box/it") == 2


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_comes_into_the_folder_meanwhile_is_not_lost(overwrite, two_runs, monkeypatch, capsys):
    if overwrite:
        assert call(export, OLD, "--out", "box", "--quiet") == 0
    def meanwhile(*args, **how):
        Path("box").mkdir(exist_ok=True)
        Path("box/mine.txt").write_text("mine")
        return []
    monkeypatch.setattr(export.checkpoint, "write_json", meanwhile)
    refused(capsys, call(export, NEW, "--out", "box", *["--overwrite"] * overwrite))
    assert Path("box/mine.txt").read_text() == "mine" and names(".") == {OLD, NEW, "box"}


# ---------------------------------------------------------------- numbers that do not survive

def changed_weights(run, change):
    """Change the weights of a run, as a training would have: its digests fit."""
    opened = export.open_run(run, RECIPES)
    arrays = {f"model/{n}": a for n, a in opened.model.state_dict().items()}
    change(arrays)
    progress = {n: v for n, v in opened.progress.items() if n != "digests"}
    export.checkpoint.write(Path(run, "checkpoint.npz"), arrays, progress)


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_weights_that_float16_does_not_hold_are_kept_in_float32(scale, two_runs, capsys):
    with np.load(f"{NEW}/checkpoint.npz") as file:
        first = next(n for n in file.files if n.startswith("model/") and file[n].size > 5)
    changed_weights(NEW, lambda arrays: arrays.update({first: arrays[first] * np.float32(scale)}))
    assert call(export, NEW, "--out", "box", "--quiet") == 0
    err = capsys.readouterr().err
    assert f"NOTE: {first.removeprefix('model/')} is as it was" in err and err.count("\n") == 1
    with np.load("box/checkpoint.npz") as half, np.load(f"{NEW}/checkpoint.npz") as full:
        assert half[first].dtype == np.float32 and (half[first] == full[first]).all()
        others = [half[n] for n in half.files if n.startswith("model/") and n != first]
        assert all(a.dtype == np.float16 for a in others)
    assert call(generate, "box", "--what", "samples", "--num", 2, "--out", "x.npy", "--quiet") == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_averaged_weights_that_are_not_finite_are_not_handed_on(value, capsys):
    assert train(*VAE, "--average", "0.9", "--out", "a") == 0
    with np.load("a/checkpoint.npz") as file:
        arrays = {n: file[n] for n in file.files if n != "progress"}
        progress = json.loads(file["progress"].item().partition("\n")[0])
    arrays["optimizer/average.0"].flat[3] = value
    del progress["digests"]
    export.checkpoint.write("a/checkpoint.npz", arrays, progress)
    for script, *argv in ((generate,), (evaluate,), (export, "--out", "b"), (None,)):
        err = refused(capsys, call(script, "a", *argv) if script else
                      train("--resume", "a", "--epochs", 2))
        assert "checkpoint.npz is damaged" in err and "average.0: has values" in err
    assert names(".") == {"a"}


def test_figures_that_are_not_finite_are_said_and_not_written(two_runs, capsys):
    def change(arrays):
        for array in arrays.values():
            array *= np.float32(1e30)
    changed_weights(NEW, change)
    with np.errstate(all="ignore"):
        assert "the training diverged" in refused(capsys, call(evaluate, NEW, "--quiet"))
    assert "evaluation.json" not in names(NEW)
