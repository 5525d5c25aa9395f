"""Damaged runs and odd command lines. (Files of data sets have checksums: test_data.py.)

    CASES=20000 pytest -m long tests/test_fuzz.py        at length; SEED=N to repeat a run

A case passes if what is made of the file is right, or if the script says in one line what is wrong
and ends with exit code 2. It fails if anything else is raised, if a damaged file is taken for a
good one with another value in it, or if a file appears. A case follows from the seed and its number
alone.
"""

import contextlib
import io
import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from damage import ODD, damaged, pick
from scripts import SCRIPTS, asked, quick, train, undrawn

CASES = int(os.environ.get("CASES", 1000))
DRAW = "generate run --num 2 --overwrite --out x.npy --quiet"
GO_ON = "--resume run --epochs 1 --quiet"


def prepare(patch):
    """A run, and what is right."""
    quick(patch)
    undrawn(patch)
    assert train("--model", "vae", "--h-dim", 4, "--z-dim", 2, "--dataset", "synthetic", "--epochs",
                 1, "--limit", 20, "--average", 0.9, "--out", "run", "--quiet") == 0
    assert asked(DRAW) == 0


def write(name, content):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)


def run_of(line, exact=False):
    """What a script said of its files; exact: what it drew is what it drew before."""
    before, said = Path("x.npy").read_bytes(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = asked(line)
        except SystemExit as leaving:  # --help
            code = leaving.code
    said = said.getvalue()
    begun = " parameters; " in said  # and then diverged, say
    assert code == 0 or code == 2 and said.count("\n") == 1 + begun + said.count("NOTE") * 2, said
    assert len(said) < 1200 or not code, said
    shutil.rmtree("new", ignore_errors=True)
    drawn = Path("x.npy").read_bytes()
    write("x.npy", before)
    assert code or not exact or drawn == before, "another value was drawn"
    return "accepted" if code == 0 else "refused"


def checkpoint(rng):
    return run_of(DRAW, exact=True) if rng.random() < 0.7 else run_of(GO_ON)


def config(rng):
    return run_of(pick(rng, [DRAW, GO_ON, "--config run/config.json --out new --steps 1 --quiet"]))


READERS = {"run/checkpoint.npz": checkpoint, "run/config.json": config}


def words(rng):
    """An odd command line."""
    script = pick(rng, ["--model", *SCRIPTS])
    flags = ["--what", "--num", "--label", "--seed", "--limit", "--binarize", "--lr", "--epochs",
             "--codes", "--dataset", "--z-dim", "--average", "--no-flip", "--nums", "-h"]
    line = f"{script} {'vae --dataset synthetic --limit 9' if script == '--model' else 'run'}"
    for _ in range(int(rng.integers(1, 4))):
        line += f" {pick(rng, flags)} {pick(rng, ODD)}"
    return run_of(line + " --out new --overwrite")


def run_case(seed, number):
    """One case: what was damaged and what came of it. AssertionError if it fails."""
    rng = np.random.default_rng([seed, number])
    name = pick(rng, [*READERS, "words"])
    if name == "words":
        return name, words(rng)
    before = {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    write(name, damaged(rng, before[name]))
    try:
        outcome = READERS[name](rng)
        assert {str(p) for p in Path().rglob("*") if p.is_file()} == before.keys(), "files appeared"
        return name, outcome
    finally:
        for path, content in before.items():
            write(path, content)


def fuzz(seed, numbers):
    """Run these cases. Returns {(what, outcome): count} and [(number, error), ...]."""
    counts, failures = Counter(), []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(patch)
        for number in numbers:
            try:
                counts[run_case(seed, number)] += 1
            except Exception as error:
                counts["any", "FAILED"] += 1
                failures.append((number, error))
    return counts, failures


@pytest.mark.long
def test_damaged_files_are_right_or_refused():
    seed = int(os.environ.get("SEED", secrets.randbelow(10 ** 6)))
    counts, failures = fuzz(seed, range(CASES))
    for (name, outcome), n in sorted(counts.items()):
        print(f"{name:45} {outcome:8} {n:6,}")
    assert not failures, f"seed {seed}: {failures[:9]}"
    assert len(counts) > len(READERS)


@pytest.mark.long
@pytest.mark.parametrize("reader, words", [
    (lambda rng: write("stray", b""), "files appeared"),
    (lambda rng: {}["x"], "KeyError"),
    (lambda rng: run_of("generate run --num 3 --overwrite --out x.npy --quiet", exact=True),
     "another value was drawn")])
def test_the_fuzzer_notices(reader, words, monkeypatch):
    """What it must: a stray file, another error, another value accepted."""
    monkeypatch.setattr(sys.modules[__name__], "READERS", {"run/metrics.csv": reader})
    monkeypatch.setattr(sys.modules[__name__], "words", reader)
    _, failures = fuzz(1, range(8))
    assert words in "".join(map(repr, (error for _, error in failures)))
