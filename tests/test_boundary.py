"""What comes from outside: names with anything in them, folders that somebody sends, a system that
refuses. Each is taken as it is, or is one line and exit code 2."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scripts import call, refused, train
from test_export import ended, fail

import evaluate
import export
import generate
from models import RECIPES
from scratchnet.errors import CheckpointError
from scratchnet.runs import checkpoint, cli, data, files, machine, pictures
from scratchnet.runs import log as runs_log
from scratchnet.runs import run as runs
from scratchnet.runs.synthetic import synthetic_digits

ROOT = Path(__file__).parent.parent
QUICK = ["--dataset", "synthetic", "--epochs", "1", "--batch-size", "32", "--quiet"]
VAE = ["--model", "vae", "--h-dim", "4", "--z-dim", "2", *QUICK]
VQVAE = ["--model", "vqvae", "--num-embeddings", "4", "--embedding-dim", "2", *QUICK]
PRIOR = ["--model", "prior", "--features", "4", "--blocks", "1", "--head", "4", "--epochs", "1",
         "--batch-size", "32", "--quiet"]


@cache
def few_digits():
    return synthetic_digits(train=40, test=20)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(pictures, "possible", lambda model: [])
        patch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))
        assert train(*VAE, "--out", "a") == 0
        assert train(*VQVAE, "--out", "vq") == 0
        assert train(*PRIOR, "--codes", "vq", "--out", "p") == 0
    return folder


@pytest.fixture
def runs_here(trained):
    shutil.copytree(trained, ".", dirs_exist_ok=True)


def names(folder):
    return {p.name for p in Path(folder).iterdir()}


def changed(folder, change):
    """Change the config.json in a folder."""
    config = json.loads(Path(folder, "config.json").read_text())
    change(config)
    Path(folder, "config.json").write_text(json.dumps(config))


# ---------------------------------------------------------------- names and titles

NAMES = ["a\xa0b", "\u3000", os.fsdecode(b"v\xff\xfe"), "\u202eabc", "$\\frac{$", "$\\foo$",
         "$x_1$", os.fsdecode(b"\xff" * 240), "x" * 240, "%s{}"]


@pytest.mark.filterwarnings("ignore:Glyph")  # what Matplotlib's font lacks
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_vqvae_with_any_name_has_a_prior(name, runs_here, monkeypatch):
    """With its pictures, and it is drawn from, measured, exported and gone on with."""
    monkeypatch.setattr(pictures, "possible", lambda model: ["samples"])
    os.rename("vq", name)
    assert train(*PRIOR, "--codes", name, "--out", "q") == 0
    for script in (generate, evaluate):
        assert call(script, "q", "--quiet") == 0
    assert train("--resume", "q", "--epochs", 2, "--quiet") == 0
    assert call(export, "q", "--out", "box", "--quiet") == 0
    assert call(generate, "box", "--num", 1, "--out", "x.npy", "--quiet") == 0
    title = json.loads(Path("box/config.json").read_text())["dataset"]["title"]
    assert title.isprintable() and (not name.isprintable() or title.endswith(f"codes of {name}"))


@pytest.mark.parametrize("title", ["$\\frac{$", "$\\foo$", "$x_1$", "a\xa0b", "\ud800", "\udcff",
                                   "\x1b[31m\x07", "a\nb", "$", "\\$x_1$", ""])
def test_a_title_with_anything_in_it_is_drawn_as_it_stands(title, runs_here, capsys):
    changed("a", lambda config: config["dataset"].update(title=title))
    assert call(generate, "a", "--num", 2, "--out", "x.png") == 0
    assert call(evaluate, "a") == 0
    assert call(export, "a", "--out", "b") == 0
    assert train("--resume", "a", "--epochs", 2) == 0
    out = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in out.out + out.err)
    run = runs.open_run("b", RECIPES)
    _, figure = pictures.make("samples", pictures.Request(run.model, run.title, run.image_shape,
                                                          None, num=2))
    text = figure()._suptitle
    assert not text.get_parse_math() and text.get_text() == f"{run.title}: samples"
    assert title in run.title or not title.isprintable()


def test_what_is_said_of_other_peoples_names_is_printable(runs_here, capsys, monkeypatch):
    os.rename("a", "\x1b[31m")
    monkeypatch.setenv("SCRATCHNET_DATA", "\x1b[32m")
    changed("p", lambda config: config["flags"].update(codes="\x1b[31m"))
    for argv in (["p"], ["\x1b[31m"]):
        assert "control characters" in refused(capsys, call(generate, *argv))
    def obey():
        raise OSError(5, "Input/output error", "\x1b[31m/\udcff")
    assert "\\x1b[31m/\\udcff: Input/output error; mend that" in refused(
        capsys, cli.guarded("x.py", obey))


def test_a_prior_that_was_moved_with_its_vqvae_goes_on(runs_here, capsys):
    Path("under").mkdir()
    for name in ("vq", "p"):
        shutil.move(name, f"under/{name}")
    assert train("--resume", "under/p", "--epochs", 2, "--quiet") == 0
    Path("vq").mkdir()  # what was put there since is no matter
    shutil.copytree("under/vq", "vq", dirs_exist_ok=True)
    changed("vq", lambda config: config["dataset"].update(sha256="0" * 64))
    assert train("--resume", "under/p", "--epochs", 3, "--quiet") == 0
    assert json.loads(Path("under/p/config.json").read_text())["flags"]["codes"] == "vq"
    shutil.rmtree("under/vq")
    assert "are no longer those of vq" in refused(capsys, train("--resume", "under/p", "--epochs",
                                                                4))
    shutil.rmtree("vq")
    assert "neither at vq nor at" in refused(capsys, train("--resume", "under/p", "--epochs", 4))


# ---------------------------------------------------------------- Ctrl-C in other people's code

def interrupted_at(number, work):
    """work(), interrupted at the line of this number, of NumPy's and zipfile's. How many passed."""
    passed = 0
    def trace(frame, event, arg):
        nonlocal passed
        theirs = "zipfile" in frame.f_code.co_filename or "numpy" in frame.f_code.co_filename
        if event == "line" and theirs:
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGINT)
        return trace if theirs or frame.f_code.co_name == "write" else None
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return passed


@pytest.mark.long
def test_an_interrupt_at_any_line_of_a_save_is_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    arrays = {"model/a": np.zeros(3), "model/b": np.zeros(3)}
    path = tmp_path / "c.npz"
    def work(number):
        return interrupted_at(number, lambda: checkpoint.write(path, dict(arrays), {}))
    total = work(0)
    assert total > 200
    lost = 0
    for number in range(1, total + 1):
        path.write_text("old")
        code = cli.guarded("x.py", lambda number=number: work(number) and 0)
        err = capsys.readouterr().err
        assert (code, err) in ((130, "x.py: stopped\n"), (0, "")), (number, err)
        assert names(tmp_path) == {"c.npz"} and (code == 0 or path.read_text() == "old")
        lost += code == 0  # in a destructor, which lets no exception through
    assert lost < 20
    gc.collect()  # what half-made objects say belongs to this test


# ---------------------------------------------------------------- progress that does not fit

def with_progress(folder, change):
    """Change the progress of a run, with its digests made anew."""
    path = Path(folder, "checkpoint.npz")
    with np.load(path) as file:
        arrays = {n: file[n] for n in file.files if n != "progress"}
        progress = json.loads(file["progress"].item().partition("\n")[0])
    del progress["digests"]
    change(progress)
    checkpoint.write(path, arrays, progress)


def test_rows_of_history_with_other_columns_go_on(runs_here):
    """As those of a run that an earlier version began: each column is there, once."""
    def change(progress):
        progress["history"][0] |= {"test_energy": 3.5}
        progress["trace"] = [{"step": 1, "extra": 1.0, "neg_elbo": 1.0, "kl": 1.0,
                              "reconstruction": 1.0},
                             {"step": 2, "neg_elbo": 1.0, "kl": 1.0, "reconstruction": 1.0}]
    with_progress("a", change)
    assert train("--resume", "a", "--epochs", 2, "--quiet") == 0
    lines = Path("a/metrics.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,step,lr,seconds") and lines[0].endswith(",test_energy")
    assert lines[1].endswith(",3.5") and lines[2].endswith(",") and len(lines) == 3
    assert Path("a/train.csv").read_text().startswith("step,neg_elbo,")


@pytest.mark.parametrize("run, sums", [
    ("a", {"kl": [1.0, 2.0]}), ("vq", {"loss": 1.0}), ("vq", {"usage": [[1.0]]}),
    ("a", {"kl": []})], ids=str)
@pytest.mark.parametrize("part", ["epoch", "window"])
def test_sums_that_are_not_the_models_are_refused(run, sums, part, runs_here, capsys):
    with_progress(run, lambda progress: progress.update({part: sums, "counts": [3, 3]}))
    err = refused(capsys, train("--resume", run, "--epochs", 2, "--quiet"))
    assert f"{run}/checkpoint.npz is damaged" in err


def test_sums_of_no_images_are_refused(runs_here, capsys):
    with_progress("a", lambda progress: progress.update(epoch={"kl": 1.0}, counts=[0, 0]))
    assert "is damaged" in refused(capsys, train("--resume", "a", "--epochs", 2, "--quiet"))


@pytest.mark.parametrize("usage", [[1.0, 2.0], 1.0, [1.0] * 5])
def test_sums_of_another_shape_are_refused(usage, runs_here, capsys):
    before = Path("vq/checkpoint.npz").stat().st_mtime_ns
    with_progress("vq", lambda progress: progress.update(
        epoch={"usage": usage}, window={}, counts=[3, 0]))
    before = Path("vq/checkpoint.npz").read_bytes()
    err = refused(capsys, train("--resume", "vq", "--epochs", 2, "--quiet"))
    assert "the checkpoint's sum of 'usage' is of another shape" in err
    assert Path("vq/checkpoint.npz").read_bytes() == before
    with pytest.raises(CheckpointError):
        runs_log.Sums({"kl": [1.0]}, 1).add({"kl": np.float64(1)}, 1)


# ---------------------------------------------------------------- a system that refuses

SCRIPTS = {"generate": lambda: call(generate, "a", "--num", 1, "--quiet"),
           "evaluate": lambda: call(evaluate, "p", "--limit", 2, "--quiet"),
           "resume": lambda: train("--resume", "a", "--epochs", 2, "--quiet"),
           "train": lambda: train(*VAE),
           "overwrite": lambda: train(*VAE, "--out", "a", "--overwrite")}


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("script", SCRIPTS)
def test_any_call_that_fails_is_one_line(script, trained, monkeypatch):
    monkeypatch.setattr(pictures, "possible", lambda model: [])
    monkeypatch.setattr("matplotlib.figure.Figure.savefig",
                        lambda figure, file, **how: file.write(b"blank"))
    number = passed = 0
    while passed >= number:
        number += 1
        shutil.rmtree("box", ignore_errors=True)
        shutil.copytree(trained, "box")
        def work():
            os.chdir("box")
            return SCRIPTS[script]()
        code, passed, said = ended(work, number, fail, box="box")
        story = f"point {number}: {code}, {said}"
        assert code in (0, 2) and "Traceback" not in said, story
        assert code == 0 or said.count("\n") == 1 + said.count("NOTE") and "error: " in said, story
        assert not [n for n in Path("box").rglob("*") if files.is_part(n.name)], story
    assert number > 10


def as_a_user(work):
    """The exit code of work(), and what it printed, by a user who is not root."""
    with open("said", "w+") as said:
        if (pid := os.fork()) == 0:
            sys.stdout = sys.stderr = said
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            code = work()
            said.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return code, said.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
@pytest.mark.parametrize("mode", [0o400, 0o300, 0o000])
def test_a_folder_that_may_not_be_looked_into(mode, runs_here):
    if os.geteuid() == 0:
        for path in Path().rglob("*"):
            os.chown(path, 65534, 65534)
    os.chmod("a", mode)
    for work in (lambda: call(generate, "a", "--quiet"), lambda: call(evaluate, "a", "--quiet"),
                 lambda: train("--resume", "a", "--epochs", 2, "--quiet"),
                 lambda: train(*VAE, "--out", "a"), lambda: train(*VAE, "--config",
                                                                  "a/config.json", "--out", "x")):
        code, said = as_a_user(work)
        if mode & 0o100 and code == 0:
            continue  # who knows the names of the files may read them
        assert code == 2 and said.count("\n") == 1, said
        assert "ermission" in said and "does not exist" not in said, said
    os.chmod("a", 0o700)


# ---------------------------------------------------------------- folders that somebody sends

@pytest.mark.parametrize("name", ["samples.png", "metrics.csv", "evaluation.json"])
def test_a_link_in_a_run_is_not_followed_into_an_export(name, runs_here, capsys):
    Path("private").write_text('{"step": 2, "secret": 1}')
    Path("a", name).unlink(missing_ok=True)
    os.symlink("../private", f"a/{name}")
    assert call(export, "a", "--out", "b") == 0
    assert f"{name} was left out: it is a link" in capsys.readouterr().out
    assert name not in names("b")


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "evaluation.json",
                                  "checkpoint.npz"])
def test_a_pipe_is_not_waited_for(name, runs_here, capsys):
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    Path("a", name).unlink(missing_ok=True)
    os.mkfifo(f"a/{name}")
    signal.alarm(60)
    try:
        refused(capsys, call(export, "a", "--out", "b"))
        if name in ("config.json", "checkpoint.npz"):
            for code in (lambda: call(generate, "a"), lambda: call(evaluate, "a"),
                         lambda: train("--resume", "a", "--epochs", 2)):
                refused(capsys, code())
        if name == "config.json":
            refused(capsys, train("--config", "a/config.json"))
            refused(capsys, train("--config", "/dev/zero"))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert not Path("b").exists()


@pytest.mark.parametrize("name", ["metrics.csv", "evaluation.json", "config.json"])
def test_a_file_with_a_hole_is_not_read_whole(name, runs_here, capsys):
    import tracemalloc
    with open(f"a/{name}", "r+b" if Path("a", name).exists() else "w+b") as file:
        file.truncate(1 << 31)
    tracemalloc.start()
    try:
        err = refused(capsys, call(export, "a", "--out", "b"))
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()
    assert f"a/{name}" in err and "has more than" in err and not Path("b").exists()


# ---------------------------------------------------------------- and the rest

def test_a_byte_order_mark_is_no_mistake(runs_here):
    """As editors on Windows write."""
    for run in ("a", "vq"):
        path = Path(run, "config.json")
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert call(evaluate, "a", "--quiet") == 0
    assert train("--resume", "a", "--epochs", 2, "--quiet") == 0
    assert train("--config", "vq/config.json", "--out", "new", "--quiet") == 0


@pytest.mark.parametrize("versions, expected", [
    ({"commit": "0123456789ab"}, "0123456789ab"), ({}, machine.UNKNOWN), (3, machine.UNKNOWN)])
def test_a_slow_git_does_not_change_the_commit(versions, expected, runs_here, monkeypatch):
    changed("a", lambda config: config.update(versions=versions))
    def slow(command, **how):
        raise subprocess.TimeoutExpired(command, how["timeout"])
    with monkeypatch.context() as patch:
        patch.setattr(machine.subprocess, "run", slow)
        assert train("--resume", "a", "--epochs", 2, "--quiet") == 0
    found = json.loads(Path("a/config.json").read_text())["versions"]
    assert found["commit"] == expected and found["numpy"] == np.__version__
    monkeypatch.setattr(machine, "commit_of", lambda checkout: "ba9876543210")
    assert train("--resume", "a", "--epochs", 3, "--quiet") == 0
    assert json.loads(Path("a/config.json").read_text())["versions"]["commit"] == "ba9876543210"


@pytest.mark.parametrize("script", ["train_mnist", "train_cifar", "generate", "evaluate", "export"])
@pytest.mark.parametrize("error", ["raise ImportError('no\\nlibrary')", "raise MemoryError",
                                   "import nothing_of_that_name"])
def test_without_numpy_a_script_says_so(script, error, tmp_path):
    (tmp_path / "numpy.py").write_text(error)
    found = subprocess.run([sys.executable, str(ROOT / f"{script}.py")], capture_output=True,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True)
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert "NumPy cannot be loaded" in found.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits as on Linux")
def test_without_memory_for_numpy_a_script_says_so():
    found = subprocess.run(["sh", "-c", f"ulimit -v 60000; exec {sys.executable} {ROOT}/generate.py"
                            f" x"], capture_output=True, text=True)
    assert found.returncode == 2 and "there is not enough memory" in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_library_that_cannot_be_loaded_is_one_line(capsys):
    def work():
        raise ImportError("PIL/_imaging.so: failed to map segment from shared object")
    assert "failed to map segment" in refused(capsys, cli.guarded("x.py", work))
