"""A change to a copy of the repository, and the test that must fail there: of mistakes, and of the
faults of tests/faults.py.

What is planted is a dict: edits, [[file, old, new], ...], where each old stands in its file once,
and test, what pytest is given.
"""

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
# CI: with it pytest writes the whole difference of what is not equal, which may take minutes
ENV = {k: v for k, v in os.environ.items() if k != "CI"} | {
    "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}


@contextlib.contextmanager
def a_copy():
    """A copy of the tree, which goes away again."""
    def left_out(folder, names):
        top = {".git", "runs"} if Path(folder) == ROOT else set()
        links = {name for name in names if Path(folder, name).is_symlink()}  # an editor's lock, too
        return {"__pycache__", "images", ".venv", "venv"} | top | links
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(ROOT, Path(folder, "tree"), ignore=left_out))


@contextlib.contextmanager
def planted(tree, edits):
    """Within this the edits are made in the tree. Raises ValueError if one cannot be made."""
    before = {tree / file: (tree / file).read_text(encoding="utf-8") for file, _, _ in edits}
    try:
        for file, old, new in edits:
            text = (tree / file).read_text(encoding="utf-8")
            if text.count(old) != 1:
                raise ValueError(f"{file}: {old!r} is there {text.count(old)} times, not once")
            (tree / file).write_text(text.replace(old, new), encoding="utf-8")
        yield
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


def run_test(tree, test):
    """(pytest's exit code, what it printed) for this test in the tree: 1 is a failure."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-m", "", "-p",
                           "no:cacheprovider", test],
                          cwd=tree, env=ENV, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def problem(tree, fault):
    """What is wrong with the fault or its test, None if it is caught."""
    try:
        with planted(tree, fault["edits"]):
            code, said = run_test(tree, fault["test"])
    except ValueError as error:
        return str(error)
    if code == 0:
        return "LIVES"
    return None if code == 1 and " failed" in said else said[-1000:]


def check(faults, words):
    """Plant each of the faults, as many at a time as there are cores, and print which is caught.
    words: a fault in words. Returns the exit code: 0 if all are."""
    lived, jobs = 0, os.cpu_count()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        trees = queue.SimpleQueue()
        for _ in range(jobs):
            trees.put(stack.enter_context(a_copy()))

        def one(fault):
            tree = trees.get()
            try:
                return problem(tree, fault)
            finally:
                trees.put(tree)
        for fault, found in zip(faults, pool.map(one, faults), strict=True):
            lived += found is not None
            print(f"{found or 'caught'}: {words(fault)} ({fault['test']})", flush=True)
    print(f"{len(faults) - lived} passed, {lived} failed")
    return int(lived > 0 or not faults)
