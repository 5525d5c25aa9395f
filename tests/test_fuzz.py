"""A short run of the fuzzer, with a seed of its own each time (see fuzz.py for longer ones)."""

import os
import time

import fuzz
import pytest


@pytest.mark.long
def test_2000_broken_inputs():
    """At least 2,000 in at most 20 s on one core; the seed is printed where one fails."""
    seed, start = int.from_bytes(os.urandom(4), "little"), time.monotonic()
    counts, failures = fuzz.fuzz(seed, range(2000))
    text = fuzz.report(seed, counts, failures, time.monotonic() - start)
    print(text)
    assert not failures, text
    assert sum(counts.values()) == 2000


def test_the_fuzzer_notices():
    """What it must: another value accepted, another error, a stray file, too much memory."""
    def wrong(world, rng):
        raise AssertionError("value")

    def other(world, rng):
        raise KeyError("x")

    def stray(world, rng):
        (world.folder / "stray").write_text("")

    def greedy(world, rng):
        bytearray(b"x") * (fuzz.MEMORY + (64 << 20))
    before = dict(fuzz.readers.READERS)
    for reader, words in ((wrong, "wrong result"), (other, "KeyError"), (stray, "files appeared"),
                          (greedy, "memory")):
        fuzz.readers.READERS.clear()
        fuzz.readers.READERS["it"] = reader
        try:
            _, failures = fuzz.fuzz(1, range(1))
        finally:
            fuzz.readers.READERS.clear()
            fuzz.readers.READERS.update(before)
        assert words in str(failures[0][1])
