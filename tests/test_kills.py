"""Runs that are killed (SIGKILL: nothing can be done about it) and go on as if nothing had been.

    KILLS=400 pytest -m long tests/test_kills.py        at length; SEED=N to choose the points again

A run is killed at a point chosen (tests/endings.py), or at a random moment. Half of the runs are
killed again while they go on. What is in the folder at the end must be what an uninterrupted run
leaves, to the bit, and nothing else; and no process may be left.

Runs are forked from this process, which has imported everything: they take a tenth of a second.
"""

import os
import random
import secrets
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from endings import ended
from scripts import assert_same_run, config_of, rows_of_train_csv, train

from scratchnet.runs import figures, pictures, sketches
from scratchnet.runs import train as runs_train

SMALL = ["--dataset", "synthetic", "--batch-size", "8", "--limit", "24", "--epochs", "2", "--quiet"]
VAE = ["--model", "vae", *SMALL, "--h-dim", "8", "--z-dim", "2", "--binarize", "dynamic"]
KINDS = {  # name: (processes, flags)
    "vae": (1, VAE),
    "vqvae": (1, ["--model", "vqvae", *SMALL, "--codebook", "ema", "--num-embeddings", "8",
                  "--embedding-dim", "4"]),
    "gated-pixelcnn": (1, ["--model", "gated-pixelcnn", *SMALL, "--features", "4", "--blocks", "1",
                           "--head", "4"]),
    "two-processes": (2, [*VAE, "--average", "0.9", "--validation", "20", "--keep-best"]),
}
KILLS = int(os.environ.get("KILLS", 80))


class Drawing:
    """A figure that is drawn soon."""

    def savefig(self, file, **how):
        file.write(b"a picture" * 1000)


@pytest.fixture
def small(here, monkeypatch):
    """Few images, no real pictures but one after every epoch, and a checkpoint after every step."""
    monkeypatch.setattr(pictures, "possible", lambda model: ["samples"])
    monkeypatch.setattr(pictures, "make", lambda *a: (np.ones((4, 8, 8, 1)), Drawing))
    monkeypatch.setattr(sketches, "SHARE", 1e9)
    monkeypatch.setattr(figures, "curves", lambda *a: Drawing())
    monkeypatch.setattr(figures, "signed", lambda figure, words: figure)
    monkeypatch.setattr(runs_train, "SAVE_EVERY", -1)
    rows_of_train_csv(monkeypatch, 2)


def killed(folder, flags, how, dice):
    """Train into the folder, killed as how() says, and perhaps again as it goes on; let it end. How
    often it was killed."""
    kills, story = 0, []
    for again in (True, dice.random() < 0.5, False):
        argv = ["--resume", folder, "--quiet"] if (folder / "config.json").exists() else \
            [*flags, "--out", folder]
        kill = how() if again else {}
        code, _, said = ended(lambda argv=argv: train(*argv), folder, **kill)
        story += [argv[0], kill, code, said]
        assert code == (-signal.SIGKILL if code < 0 and kill else 0), story
        kills += code < 0
    print(story)  # shown where it is not the same
    return kills


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_runs_end_as_if_they_had_not_been(kind, small, monkeypatch):
    seed = os.environ.get("SEED", secrets.randbelow(10 ** 6))
    print(f"again: SEED={seed} KILLS={KILLS} pytest -m long tests/test_kills.py -k {kind}")
    dice, (processes, flags) = random.Random(f"{seed} {kind}"), KINDS[kind]
    monkeypatch.setattr(runs_train, "processes", lambda size: processes)
    train(*flags, "--out", "warm")
    whole, begun = Path("whole"), time.monotonic()
    code, points, said = ended(lambda: train(*flags, "--out", whole), whole)
    assert code == 0 and points > 50, said
    seconds, number, kills = time.monotonic() - begun, KILLS // 8, 0
    order = [p for _ in range(number) for p in dice.sample(range(1, points + 1), points)]
    ways = [lambda: {"number": order.pop(0)}, lambda: {"moment": dice.uniform(0, seconds)}]
    for way, enough in zip(ways, (number, 2 * number), strict=True):
        while kills < enough:
            folder = Path(f"killed-{kills}-{secrets.token_hex(2)}")
            kills += killed(folder, flags, way, dice)
            assert_same_run(whole, folder)
            assert config_of(whole) == config_of(folder)
    print(f"{kind}: {points} points in a run, {kills} kills")
    assert not [p for p in Path().iterdir() if p.is_file()]
