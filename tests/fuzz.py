"""Damaged files for every reader.

    python -m tests.fuzz --cases 20000             each case a number; the seed is printed
    python -m tests.fuzz --seed 7 --case 1234      one case again, with its traceback

A case passes if what is made of the file is right, or if the script says in one line what is wrong
and ends with exit code 2. It fails if anything else is raised, if a damaged file is taken for a
good one with another value in it, or if a file appears. A case follows from the seed and its number
alone.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import os
import shutil
import struct
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from damage import ODD, damaged, pick  # noqa: E402
from scripts import SCRIPTS, asked, quick, train, undrawn  # noqa: E402

from scratchnet.errors import DataError  # noqa: E402
from scratchnet.runs import data  # noqa: E402

DRAW = "generate run --num 2 --overwrite --out x.npy --quiet"
GO_ON = "--resume run --epochs 1 --quiet"


def prepare(patch):
    """A folder with a run, two data sets, and what is right."""
    quick(patch)
    undrawn(patch)
    assert train("--model", "vae", "--h-dim", 4, "--z-dim", 2, "--dataset", "synthetic", "--epochs",
                 1, "--limit", 20, "--average", 0.9, "--out", "run", "--quiet") == 0
    assert asked(DRAW) == 0
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 9, shape).astype(np.uint8) for shape in ((5, 4, 4), 5, (3, 4, 4), 3)]
    for name, a in zip(data.IDX_FILES, arrays, strict=True):
        header = struct.pack(f">{1 + a.ndim}I", 0x800 + a.ndim, *a.shape)
        write(f"data/mnist/{name}", gzip.compress(header + a.tobytes()))
    for name in data.CIFAR_FILES:
        rows = rng.integers(0, 256, (3, 3073)).astype(np.uint8)
        rows[:, 0] %= 10
        write(f"data/{data.CIFAR_FOLDER}/{name}", rows.tobytes())
    title, folder, mirrors, _ = data.SOURCES["mnist"]
    patch.setitem(data.SOURCES, "mnist", (title, folder, mirrors, sums("data/mnist")))
    patch.setattr(data, "CIFAR_FILES", sums(f"data/{data.CIFAR_FOLDER}"))


def sums(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir()}


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
    assert code == 0 or code == 2 and said.count("\n") == 1 + said.count("NOTE") * 2, said
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


def read_data(rng, name, shape):
    """A data set; half of the time it is not noticed by a checksum that its file was damaged."""
    known = data.SOURCES["mnist"][-1] if name == "mnist" else data.CIFAR_FILES
    right = dict(known)
    if rng.random() < 0.5:
        known |= sums(f"data/{'mnist' if name == 'mnist' else data.CIFAR_FOLDER}")
    try:
        found = data.load(name, "data", progress=False)
    except DataError as error:
        assert "\n" not in str(error), error
        return "refused"
    finally:
        known |= right
    assert found.image_shape == shape and len(found.train_images) == len(found.train_labels)
    return "accepted"


READERS = {  # the file that is damaged: what is done with it
    "run/checkpoint.npz": checkpoint,
    "run/config.json": config,
    f"data/mnist/{data.IDX_FILES[0]}": lambda rng: read_data(rng, "mnist", (4, 4, 1)),
    f"data/{data.CIFAR_FOLDER}/test_batch.bin": lambda rng: read_data(rng, "cifar10", (32, 32, 3)),
}


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
    counts, failures, home = Counter(), [], os.getcwd()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(patch)
        for number in numbers:
            try:
                counts[run_case(seed, number)] += 1
            except Exception as error:
                counts["any", "FAILED"] += 1
                failures.append((number, error))
    assert os.getcwd() == home
    return counts, failures


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--case", type=int, default=None, help="this one alone")
    flags = parser.parse_args(argv)
    counts, failures = fuzz(flags.seed, range(flags.cases) if flags.case is None else [flags.case])
    for (name, outcome), count in sorted(counts.items()):
        print(f"{name:45} {outcome:8} {count:6,}")
    for number, error in failures[:20]:
        print(f"\npython -m tests.fuzz --seed {flags.seed} --case {number}\n  {error!r}"[:600])
    print(f"seed {flags.seed}: {sum(counts.values()):,} cases, {len(failures)} failures")
    if flags.case is not None and failures:
        raise failures[0][1]
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
