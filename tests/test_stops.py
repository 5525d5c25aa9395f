"""Signals, and output that cannot be written: in real processes, as a person meets them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scripts import names

from scratchnet.runs import files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and shells")
ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds for what takes one, on a machine that is not busy
# A training script with few images, a small model, and no pictures to wait for. `extra` is done
# before it starts.
PROGRAM = """
import os, signal, sys, time
from dataclasses import replace
from functools import partial
sys.path.insert(0, {root!r})
import early
from models import RECIPES
from scratchnet.fast import processes
from scratchnet.runs import cli, data, pictures, train
from scratchnet.runs.log import Log
from scratchnet.runs.synthetic import synthetic_digits
data.KINDS["mnist"] = replace(data.KINDS["mnist"],
                              synthetic=partial(synthetic_digits, train=64, test=32))
pictures.draw_all = lambda *a: []
add, end_epoch = Log.add, Log.end_epoch
{extra}
sys.exit(cli.main("mnist", "", RECIPES["mnist"]))
"""
FLAGS = ["--model", "vae", "--dataset", "synthetic", "--h-dim", "8", "--z-dim", "2",
         "--batch-size", "32", "--out", "run"]
SHOUT = """
def add_and_shout(log, *args):
    add(log, *args)
    if log.step == 3:
        print("at step 3", flush=True)
        {then}
Log.add = add_and_shout
"""


@pytest.fixture(autouse=True, scope="module")
def hang_ups_arrive():
    """Also where the tests are run by nohup, whose programs' programs would ignore them, too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def command(tmp_path, *flags, extra="", epochs=2):
    (tmp_path / "train_mnist.py").write_text(PROGRAM.format(root=str(ROOT), extra=extra))
    return [sys.executable, "train_mnist.py", *FLAGS, "--epochs", str(epochs), *flags]


def start(tmp_path, *flags, extra="", epochs=2, **how):
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return subprocess.Popen(command(tmp_path, *flags, extra=extra, epochs=epochs), cwd=tmp_path,
                            **how)


def saved_step(tmp_path):
    with np.load(tmp_path / "run" / "checkpoint.npz") as file:
        return int(re.search(r'"step": (\d+)', file["progress"].item()).group(1))


# ---------------------------------------------------------------- output

@pytest.mark.parametrize("variables", [
    {"PYTHONIOENCODING": "ascii:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_output_that_cannot_be_encoded(variables, tmp_path):
    process = start(tmp_path, env={**os.environ, **variables})
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and not err
    assert " train " in out and "Test set after 2 epochs" in out and saved_step(tmp_path) == 4


@pytest.mark.parametrize("redirection", ["| head -1 >&2", ">/dev/full 2>&1", ">&- 2>&-"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_output_that_cannot_be_written(redirection, tmp_path):
    line = " ".join(command(tmp_path))
    shell = subprocess.run(
        ["sh", "-c", f"({line}; echo $? >code) {redirection}"], cwd=tmp_path, timeout=PATIENCE,
        capture_output=True, text=True)
    assert "Traceback" not in shell.stderr
    assert (tmp_path / "code").read_text() == "0\n" and saved_step(tmp_path) == 4
    assert names(tmp_path / "run") == {"config.json", "checkpoint.npz", "metrics.csv"}


@pytest.mark.parametrize("redirection, code", [("| true", 0), (">/dev/full", 2)])
@pytest.mark.parametrize("program", ["-m mistakes", "-m exercises", "runs.py pretrained"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_what_only_prints_fails_if_it_cannot(program, redirection, code, tmp_path):
    """A reader who has seen enough is no failure."""
    shell = subprocess.run(["sh", "-c", f"({sys.executable} {program}; echo $? >{tmp_path}/code) "
                            f"{redirection}"], cwd=ROOT, capture_output=True, text=True)
    assert (tmp_path / "code").read_text() == f"{code}\n"
    assert shell.stderr.count("\n") == shell.stderr.count("No space left") == bool(code)


# ---------------------------------------------------------------- signals

INSIDE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
sys.path.insert(0, {root!r})
sys.argv = ["x.py", *{argv}]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as end:
    print(end.code)
assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
"""


@pytest.mark.parametrize("script, argv, code", [
    ("train_mnist.py", [], 2), ("generate.py", ["nowhere"], 2), ("export.py", ["--help"], 0),
    ("evaluate.py", ["without NumPy"], 2),
    ("train_mnist.py", ["--model", "vae", "--dataset", "synthetic", "--limit", "9", "--h-dim", "4",
                        "--steps", "1", "--quiet"], 0)])
def test_a_session_that_ran_a_script_has_its_signal_handlers_again(script, argv, code, tmp_path):
    """As in IPython, after %run."""
    if argv == ["without NumPy"]:
        (tmp_path / "numpy.py").write_text("raise ImportError")
    program = INSIDE.format(root=str(ROOT), argv=argv, script=str(ROOT / script))
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True)
    assert found.returncode == 0 and found.stdout.split()[-1] == str(code), found.stderr


STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_in_the_middle_finishes_the_step_and_saves(number, tmp_path):
    process = start(tmp_path, "--quiet", extra=SHOUT.format(
        then=f"os.kill(os.getpid(), {int(number)})"), epochs=1000)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert err.endswith("Go on with:\n  python train_mnist.py --resume run\n")
    assert saved_step(tmp_path) == 3


def test_a_second_signal_stops_at_once_and_tidies_up(tmp_path):
    """In the middle of a save: the part is removed."""
    then = (f"os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "        import numpy\n"
            "        def slow(file, **arrays):\n"
            "            file.write(b'half'); file.flush()\n"
            "            print(os.listdir('run'), flush=True)\n"
            "            time.sleep(0.6)  # signals that come together are one\n"
            f"            os.kill(os.getpid(), {int(signal.SIGHUP)})\n"
            "            time.sleep(600)\n"
            "        numpy.savez = slow\n")
    process = start(tmp_path, "--quiet", extra=SHOUT.format(then=then), epochs=1000)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGHUP and "Traceback" not in err
    assert ".part" in out and not any(map(files.is_part, names(tmp_path / "run")))
    assert saved_step(tmp_path) == 2


def test_two_signals_together_are_one(tmp_path):
    """To the whole group, as a terminal that closes sends them, and a wrapper once more."""
    then = ("if os.getppid() == first:\n"
            "            for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) * 2:\n"
            "                os.killpg(0, n)\n")
    extra = "first = os.getppid()\ntrain.processes = lambda size: 2\n" + SHOUT.format(then=then)
    process = start(tmp_path, "--quiet", extra=extra, epochs=1000, start_new_session=True)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in {128 + n for n in STOPS}
    assert "Traceback" not in err and saved_step(tmp_path) == 3
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody is left of the group


@pytest.mark.parametrize("place", ["data.load", "pictures.draw_all"])
def test_a_signal_before_training_and_after(place, tmp_path):
    """While data are loaded, and while pictures are drawn."""
    extra = (f"def hit(*a, **k):\n    os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
             f"    time.sleep(600)\n{place} = hit")
    process = start(tmp_path, "--quiet", extra=extra)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == ("train_mnist.py: stopped\n" if place == "data.load" else
                   "\nStopped, and all is trained and saved. Draw its pictures with:\n"
                   "  python train_mnist.py --resume run\n")


@pytest.mark.parametrize("script", ["train_mnist", "generate"])
def test_a_signal_during_imports(script, tmp_path):
    """NumPy, say, which this one takes the place of."""
    (tmp_path / "numpy.py").write_text("import os, time\nos.kill(os.getpid(), int(os.environ"
                                       "['NUMBER']))\ntime.sleep(600)\n")
    for number in STOPS:
        found = subprocess.run(
            [sys.executable, str(ROOT / f"{script}.py")], capture_output=True, timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "NUMBER": str(int(number))}, text=True)
        assert found.returncode in (128 + number, -number) and not found.stderr


def test_nohup_is_kept(tmp_path):
    process = start(tmp_path, extra=SHOUT.format(then="os.kill(os.getpid(), signal.SIGHUP)"),
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and saved_step(tmp_path) == 4
