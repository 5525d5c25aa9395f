"""Subtle faults, and the test that catches each: are the tests still as sharp as they were?

    python -m tests.faults                  all of tests/faults.json, about a quarter of an hour
    python -m tests.faults --random 12      twelve of them; the seed is printed
    python -m tests.faults pixelcnn         those whose file, words or test has this in it

Each is one change to one place: a factor, an axis, a term, an index. It is made in a copy of the
repository, where its test must fail (mistakes/planting.py). A fault that cannot be made any more,
as the line is another now, is an error: write it anew, or take it out.
"""

import argparse
import json
import random
import sys

from mistakes.planting import ROOT, check


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
    faults = [f | {"edits": [[f["file"], f["old"], f["new"]]]} for f in faults]
    return check(faults, lambda f: f"{f['file']}: {f['what']}")


if __name__ == "__main__":
    sys.exit(main())
