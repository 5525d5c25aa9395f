"""The flags of the scripts: their text, their defaults, and what is wrong with a wrong one.

A flag is a row of a table, {name: (default, takes, text)}, where takes is a key of TAKES or a tuple
of the words to choose from; those of the models are in models/recipes.py.

The flags of a training script come from four places, the later winning: the defaults, the model's
own defaults (its recipe), --config FILE.json (or the config.json of --resume), the command line. A
config file is turned into words of a command line and read by the same parser, so that it is
checked in the same way and an unknown key is an error.
"""

import argparse
import difflib
from pathlib import Path

from .. import backend
from ..errors import RunError, fitted, shown
from ..optim import SCHEDULES
from . import data
from .data import script_of
from .files import read_json

# ---------------------------------------------------------------- what flags take

def number(parse, accepted, needed, most=float("inf"), **how):
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
    return {"type": read, "metavar": "N" if parse is int else "X"} | how


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


COUNT = (int, lambda v: v >= 1, "a whole number, 1 or more", 10 ** 10)
NATURAL = (int, lambda v: 0 <= v < 1 << 63, "a whole number, 0 or more, below 2^63")
SMALL, LARGE = 1e-18, 1e18  # the squares still fit a float32
POSITIVE = (float, lambda v: SMALL <= v <= LARGE, f"a number above 0, {SMALL:g} to {LARGE:g}")
TAKES = {
    "count": number(*COUNT),
    "counts": number(*COUNT, nargs="+"),
    "natural": number(*NATURAL),
    "naturals": number(*NATURAL, nargs="+"),
    "dpi": number(int, lambda v: 10 <= v <= 1000, "a whole number from 10 to 1,000"),
    "positive": number(*POSITIVE),
    "positives": number(*POSITIVE, nargs="+"),
    "not negative": number(float, lambda v: v == 0 or SMALL <= v <= LARGE,
                           f"a number, 0 or more: 0, or {SMALL:g} to {LARGE:g}"),
    "below 1": number(float, lambda v: 0 <= v < 1, "a number, 0 or more and below 1"),
    "between 0 and 1": number(float, lambda v: 0 < v < 1, "a number between 0 and 1"),
    "yes or no": {"action": argparse.BooleanOptionalAction},
    "switch": {"action": "store_true"},
    **{name: {"metavar": name} for name in ("DIR", "RUN", "FILE", "MODEL")},
    "PATH": {"metavar": "PATH", "nargs": "?"},  # the one word that needs no flag
    "two": number(int, lambda v: 1 <= v <= 4096, "a whole number from 1 to 4,096", nargs=2) | {
        "metavar": ("H", "W")},
}

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


# ---------------------------------------------------------------- parsers

class Parser(argparse.ArgumentParser):
    """argparse's, for tables of flags; flags not given are absent from its result. Its errors are
    a RunError of one line, with the nearest known flag."""

    def __init__(self, script, about, usage, **how):
        super().__init__(script, f"python {script} {usage} [flags]", about, allow_abbrev=False,
                         argument_default=argparse.SUPPRESS,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **how)
        self.flags = {}

    def add(self, group, flags):
        """Add a table of flags to a group."""
        self.flags |= flags
        for name, (default, takes, text) in flags.items():
            if isinstance(takes, tuple):
                text += f"{'; ' * bool(text)}one of {', '.join(takes)}"
            if default is not None and default is not False:
                text += f" (default: {words(default)})"
            group.add_argument(name if takes == "PATH" else dashed(name), help=text,
                               **(one_of(takes) if isinstance(takes, tuple) else TAKES[takes]))

    def error(self, message):
        raise RunError(message.removeprefix("argument "))

    def parse_args(self, argv):
        given, unknown = self.parse_known_args(argv)
        for name, value in vars(given).items():
            if value == []:  # --lr=--, to some versions of argparse
                raise RunError(f"{dashed(name)}: expected a value")
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            if not flag:
                models, word = self.flags.get("model", (None, ()))[1], unknown[0].lower()
                meant = f"; did you mean --model {word}?" if word in models else ""
                raise RunError(f"{shown(unknown[0])}: one word too many{meant}")
            known = [dashed(name).strip("-") for name in self.flags]
            usage = self.usage.partition(" [")[0].removesuffix(" --model MODEL")
            meant = nearest(flag.strip("-"), known).replace("mean ", "mean --")
            raise RunError(f"{flag}: there is no such flag{meant} "
                           f"({usage} --help shows all)")
        return given


def parser_of_runs(script, about, flags):
    """The parser of a script that takes a trained run."""
    parser = Parser(script, about, "RUN")
    parser.add_argument("run", **TAKES["RUN"], help="the folder of a trained run")
    parser.add(parser, flags | COMMON)
    return parser


def read_run_flags(parser, argv):
    """The complete flags of such a script."""
    return argparse.Namespace(**defaults(parser.flags) | vars(parser.parse_args(argv)))


def build_parser(kind, about, recipes, model=None):
    """The parser of a training script, for this model. recipes: {model: Recipe}."""
    models, datasets = tuple(recipes), data.KINDS[kind].datasets
    recipe = recipes[model] if model in models else None
    about = fitted(f"{model}: {recipe.about}") if recipe else "\n".join(
        [about, model_list(kind, recipes)])
    parser = Parser(script_of(kind), about, f"{'' if datasets else 'PATH '}--model "
                    f"{model if recipe else 'MODEL'}")
    changed = recipe.training | recipe.sizes if recipe else {}
    what = {"model": (None, models, "")} | ({"dataset": (
        None, datasets, f"default: {datasets[0]}, or synthetic if that cannot be had")}
        if datasets else OWN_IMAGES)
    for title, flags in (("what to train", what | IMAGES), ("how to train", TRAINING),
                         ("the model's own sizes", recipe.has if recipe else {}),
                         ("the run", RUN | COMMON)):
        parser.add(parser.add_argument_group(title), {
            name: (changed.get(name, default), takes, text)
            for name, (default, takes, text) in flags.items()})
    return parser


def model_list(kind, recipes):
    """The models, a line each, and how to start one."""
    width, script = max(map(len, recipes)), script_of(kind)
    what = "" if data.KINDS[kind].datasets else " PATH"
    lines = (fitted(f"  {m:{width}}  {r.about}", width + 4) for m, r in recipes.items())
    return "\n".join(["Models:", *lines,
                      "", "Start one; show its flags and defaults:",
                      f"  python {script}{what} --model vqvae",
                      f"  python {script} --model vqvae --help"])


# ---------------------------------------------------------------- reading

def read_flags(kind, about, recipes, argv):
    """The complete flags, and whether the user named the data set (or its folder). Raises
    SystemExit after --help, and RunError for the user's mistakes."""
    first = Parser(script_of(kind), about, "", add_help=False)
    first.add(first, {"model": (None, "MODEL", "")} | RUN)
    asked = first.parse_known_args([word for word in argv if word not in ("-h", "--help")])[0]
    path = config_of(asked.resume) if "resume" in asked else getattr(asked, "config", None)
    entries = entries_of(path, script_of(kind)) if path else {}
    first_run = None if "resume" in asked else getattr(asked, "from", None)
    begun = sizes_of(first_run, recipes) if first_run else {}
    model = getattr(asked, "model", entries.get("model", begun.get("model")))
    if "resume" in asked:
        model = entries.get("model")
    parser = build_parser(kind, about, recipes, model)
    given = parser.parse_args(argv)
    earlier = flags_in(path, entries, parser)
    sizes = flags_in(first_run and config_of(first_run), begun, parser) if (
        begun.get("model") == model) else argparse.Namespace()
    merged = vars(sizes) | vars(earlier) | vars(given)
    if "model" not in merged:
        raise RunError(f"--model is needed: one of {', '.join(recipes)}")
    recipe = recipes[merged["model"]]
    if "resume" in given:
        merged = defaults(recipe.has) | merged  # of sizes that are younger than the run
        check_resumable(given, defaults(parser.flags | recipe.has) | vars(earlier))
    if "overwrite" in merged and "out" not in merged:
        raise RunError("--overwrite needs --out RUN: it replaces the run that is in --out")
    flags = completed(merged, parser)
    if flags.keep_best and not flags.validation:
        raise RunError("--keep-best needs --validation N: the best is chosen by images that are "
                       "neither trained on nor the test images")
    if flags.patience and not flags.keep_best:
        raise RunError("--patience needs --keep-best: it waits for a better epoch")
    for source in (earlier, given):  # one of the two counts, and the command line's goes last
        if "epochs" in source and "steps" in source:
            raise RunError("give --epochs or --steps, not both")
        if "epochs" in source or "steps" in source:
            flags.epochs, flags.steps = (getattr(source, n, None) for n in ("epochs", "steps"))
    return flags, getattr(flags, "dataset", None) is not None or flags.data_dir is not None


def check_resumable(given, earlier):
    """Raise RunError if a run that goes on is given another flag than it has, {name: value}."""
    for name, value in vars(given).items():
        was = earlier.get(name)
        if name in RUN and name not in ("resume", *RESUMABLE):
            raise RunError(f"{dashed(name)}: a run that goes on stays where it is and as it is; "
                           f"leave it out, or begin another with --config {given.resume}/"
                           f"config.json")
        if name not in ("resume", *RESUMABLE) and value != was:
            its = f"no {dashed(name)}" if was is None or was is False else (
                f"{dashed(name)} {words(was)}, not {words(value)}")
            raise RunError(f"--resume {given.resume}: that run has {its}; it goes on as it began "
                           f"({MAY_BE_GIVEN})")


def completed(merged, parser):
    """The flags that were given, {name: value}, with the defaults of the parser's model."""
    flags = argparse.Namespace(**defaults(parser.flags) | merged)
    if getattr(flags, "levels", 2) > 2 and flags.binarize != "none":
        if "binarize" in merged:
            raise RunError(f"--levels {flags.levels} --binarize {flags.binarize}: binarised images "
                           f"have 2 levels; give --levels 2 or --binarize none")
        flags.binarize = "none"
    return flags


# ---------------------------------------------------------------- config files

def config_of(folder):
    """The path of a run's config.json. Raises RunError if there is none."""
    path = Path(folder, "config.json")
    if not path.is_file():
        raise RunError(f"{folder}: no run there ({path} does not exist); {meant(Path(folder))}")
    return path


def meant(folder):
    """Which run may have been meant by this path: that of a file in it, one of that name, or nearly
    so."""
    if folder.is_file() and (folder.parent / "config.json").is_file():
        return f"did you mean {folder.parent}?"
    runs = [path.parent for place in ("runs", "pretrained")
            for path in sorted(Path(place).glob("*/config.json"))]
    names = difflib.get_close_matches(folder.name[:100], [run.name for run in runs], 1, 0.7)
    near = [run for run in runs if run.name in names]
    near = [run for run in near if run.parent == folder.parent] or near
    if near:
        return f"did you mean {' or '.join(map(str, near))}?"
    return "name the folder of a run, such as runs/vae-mnist"


def entries_of(path, script):
    """What is in a JSON file of flags, or in the "flags" of a run's config.json: {name: value}.
    Raises RunError if that run is another script's (script None: any)."""
    content = read_json(path)
    entries = content.get("flags", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise RunError(f'{path}: needs a JSON object of flags, such as {{"model": "vae"}}')
    if script and content.get("script", script) != script:
        raise RunError(f"{path}: that run is another script's; use python {content['script']}")
    return entries


def sizes_of(folder, recipes):
    """The model of a run and the sizes of its own, {name: value}, for a run --from it, whichever
    script it is of."""
    entries = entries_of(config_of(folder), None)
    recipe = recipes.get(str(entries.get("model")))
    return {n: v for n, v in entries.items() if n == "model" or recipe and n in recipe.has}


def flags_in(path, entries, parser):
    """The entries of a file as flags: words of a command line, read by the parser."""
    known = [name for name in parser.flags if name not in ("config", "resume")]
    line = []
    for name, value in entries.items():
        if name not in known:
            raise RunError(f"{path}: unknown key {shown(name)}" + (
                nearest(name, known) or f"; known keys: {', '.join(sorted(known))}"))
        if parser.flags[name][1] == "PATH":
            line = [str(value), *line]
        elif isinstance(value, list):
            line += [dashed(name), *map(str, value)]
        elif value is True:
            line += [dashed(name)]
        elif value is not None and value is not False:  # those are not given
            line += [f"{dashed(name)}={value}"]
    try:
        return parser.parse_args(line)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def dashed(name):
    return "--" + name.replace("_", "-")


def words(value):
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
