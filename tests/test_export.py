"""export.py --out, and --overwrite: all of the new or all of the old, and nobody else's files."""

import errno
import os
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import evaluate
import export
from models import RECIPES
from scratchnet.runs import cli, data, files, folder, pictures
from scratchnet.runs.synthetic import synthetic_digits

VAE = ["--model", "vae", "--dataset", "synthetic", "--h-dim", "4", "--z-dim", "2", "--epochs", "1",
       "--batch-size", "32", "--quiet"]
OLD, NEW = "a", "b"  # two runs; the export of the first lies in box/it, where the second is to go


@cache
def few_digits():
    return synthetic_digits(train=64, test=20)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))
    monkeypatch.setattr(pictures, "possible", lambda model: [])
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def train(*argv):
    return cli.main("mnist", "", RECIPES["mnist"], [str(a) for a in argv])


def call(script, *argv):
    return cli.guarded(f"{script.__name__}.py", script.main, [str(a) for a in argv])


def refused(capsys, code):
    err = capsys.readouterr().err
    assert code == 2 and "error: " in err and err.count("\n") == 1, err
    return err


def whole(path):
    """All that is in an export: arrays and texts."""
    found = {p.name: p.read_bytes() for p in path.iterdir() if p.suffix != ".npz"}
    with np.load(path / "checkpoint.npz") as file:
        return found | {name: (a.dtype, a.tobytes()) for name, a in file.items()}


def names(path):
    return {p.name for p in Path(path).iterdir()}


# ---------------------------------------------------------------- ended before each of its calls

POINTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "fcntl.flock"}


class Ended:
    """A file whose writes are points, too."""

    def __init__(self, file, point):
        self.file, self.point = file, point

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.point("write")
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)


def trap(number, end):
    """Call end() before the call of this number of those that change files, or look at those in
    box/; a function that tells how many there were."""
    box, passed = str(Path("box").resolve()), 0

    def point(event, path=None, *_):
        nonlocal passed
        if event == "open" and isinstance(path, str) and "/" in path and not path.startswith(
                ("box", box)):
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
    files.open = lambda *a, **how: Ended(open(*a, **how), point)
    sys.addaudithook(lambda event, args: event in POINTS and point(event, *args))
    return lambda: passed


def kill():
    os._exit(77)  # nothing is written out or tidied up, as by SIGKILL


def fail():
    raise OSError(errno.EIO, "Input/output error")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def ended(argv, number, end, swaps):
    """Export in a process of its own, ended at this point. Its exit code, how many points it
    passed (0: killed), what it said."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as count:
        if (pid := os.fork()) == 0:
            try:
                sys.stdout = sys.stderr = said
                passed = trap(number, end)
                if not swaps:  # as where the system cannot exchange two folders
                    folder.ctypes.CDLL = lambda name: object()
                code = call(export, *argv)
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


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("overwrite, swaps", [(False, True), (True, True), (True, False)],
                         ids=["fresh", "overwrite", "overwrite in two steps"])
@pytest.mark.parametrize("end, code", [(kill, 77), (fail, 2), (interrupt, 130)])
def test_an_export_ended_at_any_call_is_the_old_or_the_new_one(end, code, overwrite, swaps):
    for run, seed in ((OLD, 1), (NEW, 2)):
        assert train(*VAE, "--seed", seed, "--out", run) == 0
        assert call(evaluate, run, "--limit", 10 * seed, "--quiet") == 0
        assert call(export, run, "--out", f"kept/{run}", "--quiet") == 0
    old, new = whole(Path("kept", OLD)), whole(Path("kept", NEW))
    out, argv = Path("box/it"), [NEW, "--out", "box/it", "--quiet"]
    number, passed = 0, 0
    while passed >= number or not passed:  # fewer: it was not ended
        number += 1
        shutil.rmtree("box", ignore_errors=True)
        if overwrite:
            shutil.copytree(f"kept/{OLD}", out)
        found, passed, said = ended(argv + ["--overwrite"] * overwrite, number, end, swaps)
        story = f"point {number}: {found}, {said}"
        assert "Traceback" not in said and "Exception ignored" not in said, story
        assert found in (code, 0) and said.count("\n") == bool(found and code != 77), story
        if out.exists():
            left = whole(out)
            assert left == new or overwrite and left == old, story
            assert left == new or found, story
        else:
            assert found and (not overwrite or not swaps and end is kill), story
        if end is not kill and found:
            assert overwrite or not out.exists(), story
        again = ["--overwrite"] if overwrite or out.exists() else []
        assert call(export, *argv, *again) == 0, story
        assert whole(out) == new, story
        assert names("box") == {"it"}, story
    assert number > 40
