"""A short run of the fuzzer, with a seed of its own each time (see fuzz.py for longer ones)."""

import os

import fuzz
import pytest


@pytest.mark.long
def test_1000_damaged_files():
    seed = int.from_bytes(os.urandom(4), "little")
    counts, failures = fuzz.fuzz(seed, range(1000))
    assert not failures, f"seed {seed}: {failures[:9]}"
    assert sum(counts.values()) == 1000 and len(counts) > len(fuzz.READERS)


@pytest.mark.parametrize("reader, words", [
    (lambda rng: fuzz.write("stray", b""), "files appeared"),
    (lambda rng: {}["x"], "KeyError"),
    (lambda rng: fuzz.run_of("generate run --num 3 --overwrite --out x.npy --quiet", exact=True),
     "another value was drawn")])
def test_the_fuzzer_notices(reader, words, monkeypatch):
    """What it must: a stray file, another error, another value accepted."""
    monkeypatch.setattr(fuzz, "READERS", {"run/metrics.csv": reader})
    monkeypatch.setattr(fuzz, "words", reader)
    _, failures = fuzz.fuzz(1, range(8))
    assert words in "".join(map(repr, (error for _, error in failures)))
