"""Runs that are killed (SIGKILL: nothing can be done about it) and go on as if nothing had been.

    python -m tests.test_kills --kills 400        at length; --seed N to choose the points again

A run is killed at a point chosen: before it opens, locks, syncs, renames or removes a file, or
makes a folder; or at a random moment. Half of the runs are killed again while they go on. What is
in the folder at the end must be what an uninterrupted run leaves, to the bit, and nothing else;
and no process may be left.

Runs are forked from this process, which has imported everything: they take a tenth of a second.
"""

import argparse
import os
import random
import secrets
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from scripts import assert_same_run, config_of, quick, rows_of_train_csv, train  # noqa: E402

from scratchnet.runs import figures, pictures  # noqa: E402
from scratchnet.runs import train as runs_train  # noqa: E402

SMALL = ["--dataset", "synthetic", "--batch-size", "8", "--limit", "24", "--epochs", "2", "--quiet"]
VAE = ["--model", "vae", *SMALL, "--h-dim", "8", "--z-dim", "2", "--binarize", "dynamic"]
KINDS = {  # name: (processes, flags)
    "vae": (1, VAE),
    "vqvae": (1, ["--model", "vqvae", *SMALL, "--codebook", "ema", "--num-embeddings", "8",
                  "--embedding-dim", "4"]),
    "gated-pixelcnn": (1, ["--model", "gated-pixelcnn", *SMALL, "--features", "4", "--blocks", "1",
                           "--head", "4"]),
    "two-processes": (2, [*VAE, "--average", "0.9"]),
}
POINTS = {"open", "fcntl.flock", "os.rename", "os.remove", "os.mkdir"}  # audit events; and fsync
PATIENCE = 120  # seconds for what takes a tenth of one, on a machine that is not busy


class Drawing:
    """A figure that is drawn soon."""

    def savefig(self, file, **how):
        file.write(b"a picture" * 1000)


def small(patch, processes):
    """Runs are small: few images, no real pictures, but a checkpoint after every step."""
    quick(patch)
    rows_of_train_csv(patch, 2)
    patch.setattr(pictures, "make", lambda *a: (None, Drawing))
    patch.setattr(figures, "curves", lambda *a: Drawing())
    patch.setattr(runs_train, "SAVE_EVERY", -1)
    patch.setattr(runs_train, "processes", lambda size: processes)


def trap(folder, number):
    """Kill this process at its point of this number, of those in the folder; a function that tells
    how many there were so far."""
    first, passed = os.getpid(), 0

    def note(event, path):
        nonlocal passed
        if event in POINTS and os.getpid() == first and (
                not isinstance(path, (str, Path)) or Path(path).is_relative_to(folder)):
            passed += 1
            if passed == number:
                os.kill(first, signal.SIGKILL)

    # What was written is there when a process is killed: fsync is for machines that are, and slow.
    os.fsync = lambda handle: note("open", handle)
    sys.addaudithook(lambda event, args: note(event, args[0] if args else None))
    return lambda: passed


def forked(folder, argv, point=None, moment=None):
    """Train in a process of its own, which is killed at this point, or after so many seconds.
    Returns its exit code (-9: killed), how many points it passed, and what it printed. When this
    returns, it has ended, and all that it started."""
    told, tell = os.pipe()
    with tempfile.TemporaryFile("w+") as said:
        pid = os.fork()
        if pid == 0:
            try:
                sys.stdout = sys.stderr = said
                passed = trap(folder, point)
                code = train(*argv)
                os.write(tell, b"%d" % passed())
            except BaseException:
                traceback.print_exc()
                code = 99
            said.flush()
            os._exit(code)
        os.close(tell)  # others have it until they have ended
        if moment is not None and not select.select([told], [], [], moment)[0]:
            os.kill(pid, signal.SIGKILL)
        passed = b""
        while more := (select.select([told], [], [], PATIENCE)[0] or pytest.fail("still there")) \
                and os.read(told, 100):
            passed += more
        os.close(told)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return code, int(passed or 0), said.read()


class Kills:
    """Kills runs of a kind, in a folder. done: {what happened: how often}."""

    def __init__(self, kind, folder, dice):
        processes, self.flags = KINDS[kind]
        self.folder, self.dice, self.done = Path(folder), dice, Counter()
        self.patch = pytest.MonkeyPatch()
        small(self.patch, processes)
        train(*self.flags, "--out", self.folder / "warm")
        begun = time.monotonic()
        whole = self.folder / "whole"
        code, self.points, said = forked(whole, [*self.flags, "--out", whole])
        self.seconds = time.monotonic() - begun
        assert code == 0, said

    def kill(self, number):
        """As many kills at points, all different as long as there are others, and at moments."""
        points = range(1, self.points + 1)
        order = (p for _ in range(number) for p in self.dice.sample(points, len(points)))
        try:
            while self.done["at points"] < number:
                self.one("at points", lambda: {"point": next(order)})
            while self.done["at moments"] < number:
                self.one("at moments", lambda: {"moment": self.dice.uniform(0, self.seconds)})
        finally:
            self.patch.undo()

    def one(self, what, how):
        """Kill a run, and perhaps again as it goes on; let it end, and look at what it leaves."""
        folder = self.folder / f"killed-{self.done['runs']}"
        self.done["runs"] += 1
        story = []
        for again in (True, self.dice.random() < 0.5, False):
            argv = ["--resume", folder, "--quiet"] if (folder / "config.json").exists() else \
                [*self.flags, "--out", folder]
            kill = how() if again else {}
            code, _, said = forked(folder, argv, **kill)
            story += [argv[0], kill, code, said]
            assert code == (-signal.SIGKILL if code < 0 and kill else 0), story
            self.done[what] += code < 0
            self.done["goes on"] += argv[0] == "--resume"
        print(story)  # shown where the next line fails
        assert_same_run(self.folder / "whole", folder)
        assert config_of(self.folder / "whole") == config_of(folder)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_runs_end_as_if_they_had_not_been(kind, tmp_path):
    seed = secrets.randbelow(10 ** 6)
    print(f"again: python -m tests.test_kills --kills 80 --seed {seed}")
    kills = Kills(kind, tmp_path, random.Random(f"{seed} {kind}"))
    kills.kill(10)
    assert kills.points > 50
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10 ** 6))
    flags = parser.parse_args()
    print(f"seed {flags.seed}")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            kills = Kills(kind, folder, random.Random(f"{flags.seed} {kind}"))
            kills.kill(-(-flags.kills // (2 * len(KINDS))))
        print(f"{kind}: {kills.points} points in a run; {dict(kills.done)}", flush=True)
    print("all as uninterrupted runs")


if __name__ == "__main__":
    main()
