"""Broken inputs for every reader, with a fixed budget.

    python -m tests.fuzz --cases 20000             each case a number; the seed is printed
    python -m tests.fuzz --seed 7 --case 1234      one case again, with its traceback

A case passes if the reader gives the right result, or what the scripts explain in one line: a
UserError, or what the system refuses. It fails if anything else is raised, if what was damaged is
accepted with another value in it, if a file appears outside the folder that is written to, or if
more than MEMORY is taken. A case follows from the seed and its number alone. tests/readers.py has
the readers and what is done to their inputs.
"""

import argparse
import contextlib
import ctypes
import io
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import readers  # noqa: E402

from scratchnet.errors import UserError  # noqa: E402
from scratchnet.runs.cli import explained  # noqa: E402
from scratchnet.runs.data import MissingDataError  # noqa: E402

MEMORY = 200 << 20  # bytes above what the process took before


class Failure(Exception):
    """What a reader must not do."""


def run_case(world, seed, number):
    """One case: the name of its reader and what came of it; raises Failure."""
    rng = np.random.default_rng([seed, number])
    name = list(readers.READERS)[number % len(readers.READERS)]
    before, said = world.files(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            outcome = readers.READERS[name](world, rng) or "accepted"
    except (UserError, OSError) as error:
        message = explained(error)
        if len(message) > 1000 or "\n" in message and not isinstance(error, MissingDataError):
            raise Failure(f"{name}: a message of several lines: {message!r}") from error
        outcome = "refused"
    except AssertionError as error:
        raise Failure(f"{name}: a wrong result: {error}") from error
    except Exception as error:
        raise Failure(f"{name}: {type(error).__name__}: {error}") from error
    if more := world.files() - before:
        raise Failure(f"{name}: files appeared: {sorted(more)}")
    return name, outcome


def fuzz(seed, numbers):
    """Run these cases. Returns {(reader, outcome): count} and [(number, Failure), ...]."""
    counts, failures = Counter(), []
    with tempfile.TemporaryDirectory() as folder, patched(Path(folder)) as world:
        before = peak(anew=True)
        for number in numbers:
            try:
                counts[run_case(world, seed, number)] += 1
                if peak() - before > MEMORY:
                    before = peak(anew=True)
                    raise Failure("took too much memory")
            except Failure as failure:
                counts["any", "FAILED"] += 1
                failures.append((number, failure))
    return counts, failures


def peak(anew=False):
    """The most memory, in bytes, that this process has had; anew: of now, counting on from here."""
    with contextlib.suppress(OSError, StopIteration):  # Linux
        if anew:
            with contextlib.suppress(AttributeError):
                ctypes.CDLL(None).malloc_trim(0)  # memory freed before would hide what is taken
            Path("/proc/self/clear_refs").write_text("5")
        line = next(row for row in Path("/proc/self/status").read_text().splitlines()
                    if row.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin"
                                                                  else 10)


@contextlib.contextmanager
def patched(folder):
    """The readers' world in a folder; while it is there, the folder is the current one."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        with readers.World(folder) as world:
            yield world
    finally:
        os.chdir(before)


def report(seed, counts, failures, seconds):
    """What came of it, a line for each reader, and how to repeat each failure."""
    names = [*readers.READERS, "any"]
    lines = [f"{name:12}" + "".join(f"  {outcome} {counts[name, outcome]:6,}" for outcome in (
        "accepted", "refused", "FAILED") if counts[name, outcome]) for name in names
             if any(counts[name, o] for o in ("accepted", "refused", "FAILED"))]
    for number, failure in failures[:20]:
        lines.append(f"\npython -m tests.fuzz --seed {seed} --case {number}\n  {failure}"[:600])
        cause = failure.__cause__
        lines += traceback.format_tb(cause.__traceback__)[-1:] if cause else []
    total = sum(counts.values())
    return "\n".join([*lines, f"seed {seed}: {total:,} cases, {len(failures)} failures, "
                      f"{seconds:.1f} s"])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", type=int, default=None, help="this one alone")
    flags = parser.parse_args(argv)
    seed = flags.seed if flags.seed is not None else int.from_bytes(os.urandom(4), "little")
    start = time.monotonic()
    numbers = range(flags.cases) if flags.case is None else [flags.case]
    counts, failures = fuzz(seed, numbers)
    print(report(seed, counts, failures, time.monotonic() - start))
    if flags.case is not None and failures:
        raise failures[0][1]
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
