"""The flags of the scripts: their text, their defaults, and what is wrong with a wrong one.

A flag is a row of a table, {name: (default, takes, text)}, where takes is a key of TAKES or a tuple
of the words to choose from; those of the models are in models/recipes.py.
"""

import argparse
import difflib

from .. import backend
from ..errors import shown
from ..optim import SCHEDULES
from . import data
from .data import script_of

# ---------------------------------------------------------------- what flags take

def number(parse, accepted, needed, most=float("inf")):
    """How argparse reads a flag that takes an int or a float."""
    def read(text):
        try:
            value = parse(text)
        except ValueError:
            value = None
        if value is None or not accepted(value):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {needed}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{shown(text)} is too large; at most {most:,}")
        return value
    return {"type": read, "metavar": "N" if parse is int else "X"}


def one_of(choices):
    """How argparse reads a flag that takes one of these words."""
    def read(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not one of {', '.join(choices)}"
                                             + (elsewhere(text, choices) or nearest(text, choices)))
        return text
    return {"type": read, "metavar": "NAME"}


def nearest(word, words):
    """"; did you mean vae?", or nothing if no word is near. conv-vae is near to vae."""
    word = word[:100].lower()
    close = ([w for w in words if w == word] or [w for w in words if word in w.split("-")]
             or [w for w in words if sorted(w) == sorted(word)]
             or difflib.get_close_matches(word, words, 1, 0.7))
    return f"; did you mean {close[0]}?" if close else ""


def elsewhere(name, names):
    """"; python train_mnist.py has it", of a data set that another script trains on."""
    found = [kind for kind, about in data.KINDS.items() if name in about.datasets]
    return f"; python {script_of(found[0])} has it" if found and "synthetic" in names else ""


SMALL, LARGE = 1e-18, 1e18  # the squares still fit a float32
TAKES = {
    "count": number(int, lambda v: v >= 1, "a whole number, 1 or more", 10 ** 10),
    "natural": number(int, lambda v: 0 <= v < 1 << 63, "a whole number, 0 or more, below 2^63"),
    "dpi": number(int, lambda v: 10 <= v <= 1000, "a whole number from 10 to 1,000"),
    "positive": number(float, lambda v: SMALL <= v <= LARGE,
                       f"a number above 0, {SMALL:g} to {LARGE:g}"),
    "not negative": number(float, lambda v: v == 0 or SMALL <= v <= LARGE,
                           f"a number, 0 or more: 0, or {SMALL:g} to {LARGE:g}"),
    "below 1": number(float, lambda v: 0 <= v < 1, "a number, 0 or more and below 1"),
    "between 0 and 1": number(float, lambda v: 0 < v < 1, "a number between 0 and 1"),
    "yes or no": {"action": argparse.BooleanOptionalAction},
    "switch": {"action": "store_true"},
    **{name: {"metavar": name} for name in ("DIR", "RUN", "FILE", "MODEL")},
    "PATH": {"metavar": "PATH", "nargs": "?"},  # the one word that needs no flag
    "two": number(int, lambda v: 1 <= v <= 4096, "a whole number from 1 to 4,096") | {
        "nargs": 2, "metavar": ("H", "W")},
}
TAKES |= {f"{name}s": TAKES[name] | {"nargs": "+"} for name in ("count", "natural", "positive")}

# ---------------------------------------------------------------- the flags

COMMON = {  # of all scripts
    "data_dir": (None, "DIR", "folder of the data sets (default: $SCRATCHNET_DATA, else "
                 "~/.cache/scratchnet)"),
    "backend": ("numpy", backend.BACKENDS, "of arrays; cupy is a GPU's"),
    "quiet": (None, "switch", "print errors only"),
}
IMAGES = {
    "binarize": ("none", ("none", "static", "dynamic"), "static: pixels are 0 or 1, drawn once; "
                 "dynamic: drawn anew for every training batch (test images always static)"),
    "flip": (False, "yes or no", "mirror training images left to right, each with probability 1/2"),
    "limit": (None, "count", "use only the first N training and test images"),
    "validation": (None, "count", "evaluate on the last N training images, which are then not "
                   "trained on, instead of the test images: to choose flags by"),
}
OWN_IMAGES = {  # of train_images.py
    "images": (None, "PATH", "a folder of pictures (subfolders are classes), or a file: .npy, "
               ".npz, .csv, idx, CIFAR's .bin"),
    "test": (None, "FILE", "the same, to test with (default: a tenth of the images, unless it is "
             "said there which)"),
    "size": (None, "two", "resize them, cut to this shape around the middle"),
    "grey": (False, "yes or no", "without colours"),
    "transpose": (False, "yes or no", "rows and columns change places (EMNIST's letters lie on "
                  "their side)"),
    "channels_first": (False, "yes or no", "arrays are (N, C, H, W)"),
}
TRAINING = {
    "epochs": (10, "count", "passes over the training images"),
    "steps": (None, "count", "stop after N steps, instead of --epochs"),
    "batch_size": (128, "count", "images in one step"),
    "lr": (1e-3, "positive", "Adam's learning rate, at its highest"),
    "schedule": ("constant", tuple(SCHEDULES), "of the learning rate"),
    "average": (0.0, "below 1", "keep running means of the weights, with this decay (0.999, say), "
                "and evaluate them; 0: no"),
    "weight_decay": (0.0, "not negative", "shrink the weights by this times the rate at each step"),
    "keep_best": (False, "yes or no", "keep the weights of the epoch with the best validation "
                  "figure, too, and draw and evaluate with those; needs --validation"),
    "patience": (None, "count", "with --keep-best: stop after N epochs without a better one"),
    "seed": (0, "natural", "of the weights, the order and the noise"),
}
# Those that may be given when a run goes on, and those that say how to run, not what: config.json
# does not repeat them.
RESUMABLE = ("epochs", "steps", "lr", "schedule", "patience", "backend", "data_dir", "quiet")
MAY_BE_GIVEN = f"only --{', --'.join(RESUMABLE)} may be given".replace("_", "-")
RUN_ONLY = ("config", "resume", "overwrite", "quiet")
RUN = {
    "out": (None, "DIR", "folder of the run (default: a new one, runs/MODEL-DATASET)"),
    "overwrite": (None, "switch", "replace the run that is in --out"),
    "resume": (None, "RUN", f"go on with the run in this folder; {MAY_BE_GIVEN} with it"),
    "config": (None, "FILE", "read flags from a JSON file, such as the config.json of a run"),
    "from": (None, "RUN", "begin with the weights of this run, in its sizes, for other data or "
             "another schedule"),
}


def defaults(flags):
    """{name: default}."""
    return {name: default for name, (default, _, _) in flags.items()}


def dashed(name):
    return "--" + name.replace("_", "-")


def words(value):
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
