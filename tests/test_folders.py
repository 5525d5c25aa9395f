"""The folder of a run: its name, whose it is, what is left in it of a run that was ended, a system
that refuses. tests/test_kills.py ends runs everywhere; here are the single rules."""

import errno
import gc
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from endings import ended, fail
from scripts import (
    RUNS,
    VAE,
    asked,
    changed,
    config_of,
    interrupt,
    names,
    refused,
    rows,
    state,
    train,
)

import evaluate
import generate
from models import RECIPES
from scratchnet.runs import checkpoint, cli, data, files, folder, pictures
from scratchnet.runs import run as runs
from scratchnet.runs.folder import locked

pytestmark = pytest.mark.usefixtures("runs_here")
PART = ".scratchnet-0123456789abcdef.part"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_scratchnet_alone():
    repository, inner = Path("outer"), Path("outer/site-packages")
    inner.mkdir(parents=True)
    (repository / "a.py").write_text("1")
    for argv in ["init"], ["add", "."], ["commit", "-m", "x"]:
        subprocess.run(["git", "-C", repository, "-c", "user.name=x", "-c", "user.email=x@x",
                        *argv], check=True, capture_output=True)
    commit = folder.commit_of(repository)
    assert len(commit) == 12 and int(commit, 16)
    (repository / "a.py").write_text("2")
    assert folder.commit_of(repository) == f"{commit}-dirty"
    assert folder.commit_of(inner) == "unknown (no git)"
    (inner / ".git").mkdir()  # no repository
    assert folder.commit_of(inner) == "unknown (no git)"


def test_json_is_written_strictly(tmp_path):
    path = tmp_path / "new" / "x.json"
    path.parent.mkdir()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"value": float("nan")})
    assert not names(path.parent)


# ---------------------------------------------------------------- names and titles

NAMES = ["a\xa0b", "\u3000", os.fsdecode(b"v\xff\xfe"), "\u202eabc", "$\\frac{$", "$x_1$",
         "x" * 240, "%s{}"]


@pytest.mark.filterwarnings("ignore:Glyph")  # what Matplotlib's font lacks
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_vqvae_with_any_name_has_a_prior(name):
    """It is drawn from, measured, exported and gone on with."""
    os.rename("vqvae", name)
    assert train(*RUNS["prior"], "--codes", name, "--steps", 1, "--out", "q") == 0
    for line in ("generate q --num 10 --quiet", "evaluate q --limit 9 --quiet",
                 "--resume q --steps 2 --quiet", "export q --out box --quiet",
                 "generate box --num 1 --out x.npy --quiet"):
        assert asked(line) == 0
    title = config_of("box")["dataset"]["title"]
    assert title.isprintable() and (not name.isprintable() or title.endswith(f"codes of {name}"))


@pytest.mark.pictures
@pytest.mark.parametrize("title", ["$\\frac{$", "$x_1$", "\\$x_1$", "a\xa0b", "\ud800",
                                   "\x1b[31m\n", ""])
def test_a_title_with_anything_in_it_is_drawn_as_it_stands(title, capsys):
    changed("grey", lambda config: config["dataset"].update(title=title))
    for line in ("generate grey --num 2 --out x.png", "evaluate grey", "export grey --out b",
                 "--resume grey --epochs 2"):
        assert asked(line) == 0
    out = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in out.out + out.err)
    run = runs.open_run(Path("b"), RECIPES)
    _, figure = pictures.make("samples", pictures.Request(run.model, run.title, run.image_shape,
                                                          None, num=2))
    text = figure()._suptitle
    assert not text.get_parse_math() and text.get_text() == f"{run.title}: samples"
    assert title in run.title or not title.isprintable()


def test_a_default_name_never_takes_an_old_run():
    for _ in range(2):
        assert train(*VAE) == 0
    assert names("runs") == {"vae-synthetic", "vae-synthetic-2"}


# ---------------------------------------------------------------- whose folder it is

def test_two_processes_do_not_train_into_one_folder(capsys):
    before = state("grey")
    with locked(Path("grey")):  # by another process, say
        for code in (lambda: asked("--resume grey --epochs 2"),
                     lambda: train(*VAE, "--out", "grey", "--overwrite"),
                     lambda: asked("export vae --out grey --overwrite")):
            assert "another process is training into this folder" in refused(capsys, code())
    for name, array in state("grey").items():
        np.testing.assert_array_equal(array, before[name])
    assert asked("--resume grey --epochs 2 --quiet") == 0


@pytest.mark.parametrize("out", ["a", None])
def test_a_run_that_finished_meanwhile_is_not_erased(out, monkeypatch, capsys):
    """By another process, while this one loaded its data."""
    load, folder = data.load, out or "runs/vae-synthetic"
    def load_slowly(*args):
        with monkeypatch.context() as patch:
            patch.setattr(data, "load", load)
            train(*VAE, "--seed", 9, "--out", folder)
        return load(*args)
    monkeypatch.setattr(data, "load", load_slowly)
    code = train(*VAE, *(["--out", out] if out else []))
    assert config_of(folder)["flags"]["seed"] == 9
    if out:
        assert "there is a run in it" in refused(capsys, code)
    else:
        assert code == 0 and names("runs") == {"vae-synthetic", "vae-synthetic-2"}


# ---------------------------------------------------------------- what is left of what was ended

def test_the_next_start_cleans_up_what_nobody_holds():
    others = [".scratchnet-0123.part", ".other.part", f"x{PART}", "notes.part"]
    for argv in ["--resume", "grey"], [*VAE, "--out", "new"], [*VAE, "--out", "new", "--overwrite"]:
        folder = Path(argv[-1] if argv[0] == "--resume" else "new")
        folder.mkdir(exist_ok=True)
        (folder / PART).touch()
        for name in others if folder.name == "grey" else ():
            (folder / name).touch()
        with files.replacing(folder / "held") as file:
            assert train(*argv, "--quiet") == 0
            assert PART not in names(folder) and Path(file.name).name in names(folder)
        (folder / "held").unlink()
    assert set(others) <= names("grey")


def test_of_two_processes_that_choose_one_name_neither_loses_its_file(monkeypatch, capsys):
    """The other writes after this one has chosen."""
    choose, times = folder.unused, []
    def both_choose(path):
        found = choose(path)
        times.append(found)
        if len(times) == 2:  # once before the work, then to write
            found.write_text("the other's")
        return found
    monkeypatch.setattr(folder, "unused", both_choose)
    monkeypatch.setattr(generate, "unused", both_choose)
    assert asked("generate grey --num 4") == 0
    first, second = Path("grey/samples-seed0.png"), Path("grey/samples-seed0-2.png")
    assert first.read_text() == "the other's" and str(second) in capsys.readouterr().out
    assert second.is_file() and not any(map(files.is_part, names("grey")))


@pytest.mark.parametrize("line, name", [
    ("generate grey --num 4", "x.png"), ("generate grey --num 4", "x.npy"),
    ("generate pixelcnn --num 1 --what scores", "x.csv"), ("evaluate grey", "x.json")])
def test_a_file_that_appears_meanwhile_is_not_replaced_unasked(line, name, monkeypatch, capsys):
    real = folder.check_has_room
    def another_begins(path):
        real(path)
        path.write_text("the other's")
    for script in generate, evaluate:
        monkeypatch.setattr(script, "check_has_room", another_begins)
    assert "File exists" in refused(capsys, asked(f"{line} --out {name}"))
    assert Path(name).read_text() == "the other's"
    if "generate" in line:
        assert asked(f"{line} --out {name} --overwrite") == 0
        assert Path(name).read_bytes() != b"the other's"


# ---------------------------------------------------------------- files that cannot be written

@pytest.fixture
def full(monkeypatch):
    """A set of names of files that cannot be put in place: open elsewhere on Windows, say."""
    chosen = set()
    def unless_full(real):
        def call(source, target):
            if Path(target).name in chosen:
                raise PermissionError(errno.EACCES, "Permission denied")
            real(source, target)
        return call
    for name in "replace", "link":  # a new file is put in place by the latter, if it can be
        monkeypatch.setattr(os, name, unless_full(getattr(os, name)))
    return chosen


def test_tables_and_pictures_that_cannot_be_replaced_do_not_end_a_run(full, capsys):
    full |= {"metrics.csv", "curves.png"}
    assert train(*RUNS["grey"], "--epochs", 2, "--out", "a") == 0
    err = capsys.readouterr().err
    assert err.count("a/metrics.csv") == err.count("a/curves.png") == 1 and err.count("\n") == 2
    assert names("a") == {"config.json", "checkpoint.npz"}
    full.clear()
    assert asked("--resume a --quiet") == 0
    assert len(rows("a/metrics.csv")) == 2 and Path("a/curves.png").is_file()


@pytest.mark.parametrize("line, name", [
    ("--resume grey --epochs 2 --quiet", "grey/checkpoint.npz"),
    ("generate grey --num 4 --quiet --out x.png", "x.png"),
    ("generate grey --num 4 --quiet --out x.npy", "x.npy"),
    ("evaluate grey --quiet", "grey/evaluation.json")])
def test_what_cannot_be_written_is_one_line_and_the_old_stays(line, name, full, capsys):
    before = {p: p.read_bytes() for p in Path("grey").iterdir()}
    full.add(Path(name).name)
    err = refused(capsys, asked(line))
    assert name in err and "Permission denied" in err
    assert not any(map(files.is_part, names("grey") | names(".")))
    assert {p: p.read_bytes() for p in before if p.name != "config.json"} == {
        p: content for p, content in before.items() if p.name != "config.json"}
    full.clear()
    assert asked(line) == 0


def test_evaluate_and_generate_find_a_full_disk_before_the_work(monkeypatch, capsys):
    def never(*args):
        raise AssertionError("worked first")
    monkeypatch.setattr("evaluate.evaluate", never)
    monkeypatch.setattr(generate, "make", never)
    real, before = open, names("grey")
    def full_open(path, mode="r", *args, **how):
        if "x" in mode:
            real(path, mode).close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *args, **how)
    monkeypatch.setattr("builtins.open", full_open)
    for line in "evaluate grey", "generate grey":
        err = refused(capsys, asked(line))
        assert "No space left" in err and "grey/" in err
    assert names("grey") == before


def test_training_finds_a_full_disk_before_the_work_and_says_what_is_needed(monkeypatch, capsys):
    monkeypatch.setattr(cli, "train", None)
    def no_room(handle):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(files, "lock", no_room)
    before = state("grey")
    for argv in (["--resume", "grey", "--epochs", 2], [*VAE, "--out", "grey", "--overwrite"],
                 [*VAE, "--out", "new/grey"]):
        err = refused(capsys, train(*argv))
        assert "grey/checkpoint.npz: No space left" in err and "1.4 MB are needed" in err
    assert not Path("new").exists()
    assert state("grey").keys() == before.keys() and "metrics.csv" in names("grey")


def test_a_disk_that_becomes_full_is_said_with_what_is_kept(full, capsys):
    assert train(*VAE, "--out", "a") == 0
    full.add("checkpoint.npz")
    err = refused(capsys, train("--resume", "a", "--epochs", 2))
    assert re.search(r"a/checkpoint.npz \(1\.\d MB\): Permission denied. The checkpoint of step 4 "
                     r"is kept: mend that, and go on with --resume a$", err)
    err = refused(capsys, train(*VAE, "--out", "b"))
    assert "There is no checkpoint yet: mend that" in err
    full.clear()
    assert train("--resume", "a") == train("--resume", "b") == 0


# ---------------------------------------------------------------- a system that refuses

CALLS = ("generate grey --num 1 --quiet", "evaluate prior --limit 2 --quiet",
         "--resume grey --epochs 2 --quiet",
         "--model vae --h-dim 4 --z-dim 2 --dataset synthetic --limit 9 --epochs 1 --quiet",
         "--model vae --h-dim 4 --dataset synthetic --limit 9 --epochs 1 --out grey --overwrite "
         "--quiet")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("line", CALLS)
def test_any_call_that_fails_is_one_line(line, trained):
    number = passed = 0
    while passed >= number:
        number += 1
        shutil.rmtree("box", ignore_errors=True)
        shutil.copytree(trained, "box")
        def work():
            os.chdir("box")
            return asked(line)
        code, passed, said = ended(work, "box", number, fail)
        story = f"point {number}: {code}, {said}"
        assert code in (0, 2) and "Traceback" not in said, story
        assert code == 0 or said.count("\n") == 1 + said.count("NOTE") and "error: " in said, story
        assert not [n for n in Path("box").rglob("*") if files.is_part(n.name)], story
    assert number > 10


# ---------------------------------------------------------------- Ctrl-C in other people's code

@pytest.mark.long
def test_an_interrupt_at_any_line_of_a_save_is_one(capsys):
    """Of NumPy's lines, and of zipfile's."""
    path = Path("box/c.npz")
    path.parent.mkdir()
    number = passed = lost = 0
    def trace(frame, event, arg):
        nonlocal passed
        theirs = any(name in frame.f_code.co_filename for name in ("zipfile", "numpy"))
        if event == "line" and theirs:
            passed += 1
            if passed == number:
                interrupt()
        return trace if theirs or frame.f_code.co_name == "write" else None
    def work():
        sys.settrace(trace)
        try:
            checkpoint.write(path, {"model/a": np.zeros(3), "model/b": np.zeros(3)}, {})
        finally:
            sys.settrace(None)
    while passed >= number:
        number, passed = number + 1, 0
        path.write_text("old")
        code = cli.guarded("x.py", work)
        err = capsys.readouterr().err
        assert (code, err) in ((130, "x.py: stopped\n"), (0, "")), (number, err)
        assert names("box") == {"c.npz"} and (code == 0 or path.read_text() == "old")
        lost += code == 0  # in a destructor, which lets no exception through
    assert number > 200 and lost < 20
    gc.collect()  # what half-made objects say belongs to this test


def test_what_a_desktop_leaves_is_nobodys_file():
    Path("new").mkdir()
    Path("new", ".DS_Store").write_bytes(b"Bud1")
    assert train(*VAE, "--out", "new") == 0 and ".DS_Store" in os.listdir("new")
    assert asked("export new --out new --overwrite --quiet") == 2  # the run itself
    assert asked("export vae --out new --overwrite --quiet") == 0
