"""Subtle faults, and the test that catches each: are the tests still as sharp as they were?

    python -m tests.faults                  all of tests/faults.json, about a quarter of an hour
    python -m tests.faults --random 12      twelve of them; the seed is printed
    python -m tests.faults pixelcnn         those whose file, words or test has this in it

Each is one change to one place: a factor, an axis, a term, an index. It is made in a copy of the
repository, where its test must fail. A fault that cannot be made any more, as the line is another
now, is an error: write it anew, or take it out.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def left_out(folder, names):
    """What the copy does without."""
    return {"__pycache__", "images"} | (
        {".git", "runs", "pretrained"} if Path(folder) == ROOT else set())


def run(tree, fault):
    """What is wrong with the fault or its test, None if it is caught."""
    path = tree / fault["file"]
    before = path.read_text()
    if before.count(fault["old"]) != 1:
        return f"{fault['old']!r} is there {before.count(fault['old'])} times"
    path.write_text(before.replace(fault["old"], fault["new"]))
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-m", "", "-p",
                               "no:cacheprovider", fault["test"]],
                              cwd=tree, env=env, capture_output=True, text=True)
    finally:
        path.write_text(before)
    return {1: None, 0: "LIVES"}.get(done.returncode, done.stdout[-1000:] + done.stderr[-1000:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="?", default="")
    parser.add_argument("--random", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(10 ** 6))
    flags = parser.parse_args()
    faults = json.loads((ROOT / "tests" / "faults.json").read_text())
    faults = [f for f in faults if any(flags.words in f[k] for k in ("file", "what", "test"))]
    if flags.random:
        print(f"seed {flags.seed}")
        faults = random.Random(flags.seed).sample(faults, min(flags.random, len(faults)))
    lived = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        shutil.copytree(ROOT, tree, ignore=left_out)
        for fault in faults:
            problem = run(tree, fault)
            lived += problem is not None
            print(f"{problem or 'caught'}: {fault['file']}: {fault['what']} ({fault['test']})",
                  flush=True)
    print(f"{len(faults) - lived} passed, {lived} failed")
    return lived > 0 or not faults


if __name__ == "__main__":
    sys.exit(main())
