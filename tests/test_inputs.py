"""What people give: flags, config.json, names, sizes. Each mistake is one line and exit code 2."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scripts import call, refused, train

import evaluate
import generate
from scratchnet.runs import cli, data, folder
from scratchnet.runs.synthetic import synthetic_digits

VAE = ["--model", "vae", "--dataset", "synthetic", "--h-dim", "4", "--z-dim", "2", "--epochs", "1"]


@cache
def few_digits():
    return synthetic_digits(train=40, test=20)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path / "no data"))
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run of a VAE, one of a VQ-VAE and one of a prior over its codes."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=few_digits))
        assert train(*VAE, "--out", "a", "--quiet") == 0
        assert train("--model", "vqvae", "--dataset", "synthetic", "--num-embeddings", 4,
                     "--embedding-dim", 2, "--epochs", 1, "--out", "vq", "--quiet") == 0
        assert train("--model", "prior", "--codes", "vq", "--features", 4, "--blocks", 1, "--head",
                     4, "--epochs", 1, "--out", "p", "--quiet") == 0
    return folder


@pytest.fixture
def runs_here(trained):
    shutil.copytree(trained, ".", dirs_exist_ok=True)


# ---------------------------------------------------------------- command lines

@pytest.mark.parametrize("argv, words", [
    (["--epochs", "1" * 400], "is too large; at most 10,000,000,000"),
    (["--steps", "9" * 30], "is too large; at most 10,000,000,000"),
    (["--seed", "1" * 400], "is not a whole number, 0 or more, below 2^63"),
    (["--sigma-x", "1e-200"], "'1e-200' is not a number above 0, 1e-18 to 1e+18"),
    (["--lr", "1e300"], "is not a number above 0"), (["--beta", "1e-300"], "0, or 1e-18 to 1e+18"),
    (["--out", "x" * 256], "File name too long"),
    (["\n" * 300], "one word too many"),
    (["--data-dir", "~nosuchuser", "--dataset", "mnist"], "there is no such home folder")])
def test_wrong_words(argv, words, capsys):
    argv = (["--model", "vae"] if "--model=--" not in argv else []) + argv
    assert words in refused(capsys, train(*argv))
    assert not Path("runs").exists()


def test_without_a_home(monkeypatch, capsys):
    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.delenv("SCRATCHNET_DATA")
    monkeypatch.setattr(Path, "expanduser", expanduser)
    assert "no such home folder" in refused(capsys, train("--model", "vae"))
    assert train(*VAE, "--quiet") == 0


# ---------------------------------------------------------------- config.json

def changed(**changes):
    """Change a/config.json: dotted names, as a.b=value; ... to leave it out."""
    config = json.loads(Path("a/config.json").read_text())
    for name, value in changes.items():
        part = config
        *path, last = name.split("__")
        for key in path:
            part = part[key]
        part[last] = value
        if value is ...:
            del part[last]
    Path("a/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("changes", [
    {"script": 3}, {"script": None}, {"script": ...}, {"flags": []}, {"flags": ...},
    {"flags__model": ["vae"]}, {"flags__model": "gan"}, {"flags__model": "x\ny"},
    {"flags__h_dim": "four"}, {"flags__h_dim": [[4]]},
    {"flags__h_dim": []}, {"flags__h_dim": [5]}, {"flags__h_dim": {}}, {"flags__h_dim": True},
    {"flags__seed": -1}, {"flags__seed": 1.5}, {"flags__seed": 10 ** 400},
    {"flags__z_dim": 1e999}, {"flags__z_dim": float("nan")}, {"flags__h_dim": [10 ** 9, 10 ** 9]},
    {"flags__binarize": 3}, {"flags__binarize": "half"}, {"flags__nonsense": 1},
    {"flags__sigma_x": 0}, {"flags__beta": -1}, {"flags__activation": "gelu"},
    {"dataset": "mnist"}, {"dataset__title": 3}, {"dataset__image_shape": 28},
    {"dataset__name": ...},
], ids=str)
def test_a_config_that_was_changed(changes, runs_here, capsys):
    changed(**changes)
    before = sorted(Path().rglob("*"))
    refused(capsys, call(generate, "a", "--quiet"))
    refused(capsys, call(evaluate, "a", "--quiet"))
    refused(capsys, train("--resume", "a", "--epochs", 2, "--quiet"))
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 10 ** 5, b'{"flags": ' * 10 ** 5,
                                     b"1" * 5000, b" " * (1 << 25), b"null", b'"flags"'], ids=[
    "empty", "bytes", "lists", "objects", "number", "long", "null", "text"])
def test_what_is_no_config(content, runs_here, capsys):
    Path("a/config.json").write_bytes(content)
    for argv in (["--config", "a/config.json"], ["--resume", "a"]):
        refused(capsys, train(*argv))
    refused(capsys, call(generate, "a"))


def test_dilations_beyond_the_image(capsys):
    err = refused(capsys, train("--model", "pixelcnn", "--dataset", "synthetic", "--dilations", 1,
                                10 ** 9))
    assert "dilations must be 1 or more, at most 28 for these images" in err


def test_memory_that_runs_out_all_the_same(capsys):
    def work():
        np.empty(1 << 60, np.uint8)
    assert "Unable to allocate" in refused(capsys, cli.guarded("x.py", work))


# ---------------------------------------------------------------- what else a run asks for

def git(folder, *argv):
    subprocess.run(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x", *argv],
                   check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose file monitor and hooks leave a mark when they run."""
    folder = tmp_path / "outer"
    folder.mkdir()
    git(folder, "init")
    (folder / "a.py").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "x")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {shlex.quote(str(tmp_path / 'mark'))}\n")
    program.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(program))
    hook = folder / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(program, hook)
    os.utime(folder / "a.py", (1, 1))  # so that the index is out of date
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_scratchnet_alone(repository, tmp_path, monkeypatch):
    commit = folder.commit_of(repository)
    assert len(commit) == 12 and int(commit, 16)
    (repository / "a.py").write_text("2")
    assert folder.commit_of(repository) == f"{commit}-dirty"
    inner = repository / "site-packages"
    inner.mkdir()
    assert folder.commit_of(inner) == "unknown (no git)"
    (inner / ".git").mkdir()  # no repository
    assert folder.commit_of(inner) == "unknown (no git)"


def test_json_is_written_strictly(tmp_path):
    from scratchnet.runs.files import write_json
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())
