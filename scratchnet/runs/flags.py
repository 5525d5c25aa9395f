"""The flags of the scripts: their text, their defaults, and what is wrong with a wrong one.

A flag is a row of a table, {name: (default, takes, text)}, where takes is a key of TAKES or a tuple
of the words to choose from; those of the models are in models/recipes.py.

The flags of a training script come from four places, the later winning: the defaults, the model's
own defaults (its recipe), --config FILE.json, the command line. A config file is turned into
command-line words and read by the same parser, so that it is checked in the same way and an
unknown key is an error.
"""

import argparse
import difflib
import os
import unicodedata
from pathlib import Path

from .. import backend
from ..errors import RunError, shown
from ..optim import SCHEDULES
from . import data
from .data import script_of
from .forms import read_config, read_json

# ---------------------------------------------------------------- what flags take

def number(parse, accepted, needed, **how):
    """How argparse reads a flag that takes an int or a float."""
    def read(text):
        try:
            value = parse(text)
        except ValueError:
            value = None
        if value is None or not accepted(value):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {needed}")
        return value
    return {"type": read, "metavar": "N" if parse is int else "X"} | how


def one_of(choices):
    """How argparse reads a flag that takes one of these words."""
    def read(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not one of {', '.join(choices)}"
                                             + nearest(text, choices))
        return text
    return {"type": read, "metavar": "NAME"}


def path(text):
    """How argparse reads the name of a file or folder: one that the system can have."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{shown(text)} cannot be a name here") from None
    if not text or any(unicodedata.category(c) == "Cc" for c in text):
        raise argparse.ArgumentTypeError(f"{shown(text)} cannot be a name: it is empty, or has "
                                         f"control characters in it")
    return os.path.abspath(text) if text[0] == "-" else text  # "-x" reads like a flag when printed


def nearest(word, words):
    """"; did you mean vae?", or nothing if no word is near."""
    close = difflib.get_close_matches(word[:100], words, 1)
    return f"; did you mean {close[0]}?" if close else ""


MOST, LEAST, LARGE = 10 ** 10, 1e-18, 1e18  # the squares of the latter still fit a float32
POSITIVE_INT = (int, lambda v: 1 <= v <= MOST, f"a whole number, 1 or more, at most {MOST:,}")
TAKES = {
    "count": number(*POSITIVE_INT),
    "counts": number(*POSITIVE_INT, nargs="+"),
    "natural": number(int, lambda v: 0 <= v < 1 << 63, "a whole number, 0 or more, below 2^63"),
    "positive": number(float, lambda v: LEAST <= v <= LARGE,
                       f"a number above 0, {LEAST:g} to {LARGE:g}"),
    "not negative": number(float, lambda v: v == 0 or LEAST <= v <= LARGE,
                           f"a number, 0 or more: 0, or {LEAST:g} to {LARGE:g}"),
    "below 1": number(float, lambda v: 0 <= v < 1, "a number, 0 or more and below 1"),
    "between 0 and 1": number(float, lambda v: 0 < v < 1, "a number between 0 and 1"),
    "yes or no": {"action": argparse.BooleanOptionalAction},
    "switch": {"action": "store_true"},
    **{name: {"type": path, "metavar": name} for name in ("DIR", "RUN", "FILE")},
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
TRAINING = {
    "epochs": (10, "count", "passes over the training images"),
    "steps": (None, "count", "stop after N steps, instead of --epochs"),
    "batch_size": (128, "count", "images in one step"),
    "lr": (1e-3, "positive", "Adam's learning rate, at its highest"),
    "schedule": ("constant", tuple(SCHEDULES), "of the learning rate"),
    "average": (0.0, "below 1", "keep running means of the weights, with this decay (0.999, say), "
                "and evaluate them; 0: no"),
    "seed": (0, "natural", "of the weights, the order and the noise"),
}
# Those that may be given when a run goes on, and those that say how to run, not what: config.json
# does not repeat them.
RESUMABLE = ("epochs", "steps", "lr", "schedule", "backend", "data_dir", "quiet")
MAY_BE_GIVEN = f"only --{', --'.join(RESUMABLE)} may be given".replace("_", "-")
RUN_ONLY = ("config", "resume", "overwrite", "quiet")
RUN = {
    "out": (None, "DIR", "folder of the run (default: a new one, runs/MODEL-DATASET)"),
    "overwrite": (None, "switch", "replace the run that is in --out"),
    "resume": (None, "RUN", f"go on with the run in this folder; {MAY_BE_GIVEN} with it"),
    "config": (None, "FILE", "read flags from a JSON file, such as the config.json of a run"),
}


def defaults(flags):
    """{name: default}."""
    return {name: default for name, (default, _, _) in flags.items()}


DEFAULTS = {"dataset": None} | defaults(COMMON | IMAGES | TRAINING | RUN)


# ---------------------------------------------------------------- parsers

class Parser(argparse.ArgumentParser):
    """argparse's, for tables of flags; flags not given are absent from its result. Its errors are
    a RunError of one line, with the nearest known flag."""

    def __init__(self, script, about, usage):
        super().__init__(script, f"python {script} {usage} [flags]", about, allow_abbrev=False,
                         argument_default=argparse.SUPPRESS,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self.flags = {}

    def add(self, group, flags):
        """Add a table of flags to a group."""
        self.flags |= flags
        for name, (default, takes, text) in flags.items():
            if isinstance(takes, tuple):
                text += f"{'; ' * bool(text)}one of {', '.join(takes)}"
            if default is not None and default is not False:
                text += f" (default: {words(default)})"
            group.add_argument("--" + name.replace("_", "-"), help=text,
                               **(one_of(takes) if isinstance(takes, tuple) else TAKES[takes]))

    def error(self, message):
        message = message.removeprefix("argument ")
        flag, _, what = message.partition(": ")
        if what.startswith("expected"):  # a value, but there is none
            _, takes, text = self.flags[flag.strip("-").replace("-", "_")]
            message += f" ({'one of ' + ', '.join(takes) if isinstance(takes, tuple) else text})"
        raise RunError(message if len(message) <= 600 else f"{message[:200]}...")  # it quotes all

    def parse_args(self, argv):
        given, unknown = self.parse_known_args(argv)
        for name, value in vars(given).items():
            if value == []:  # --lr=--, to some versions of argparse
                self.error(f"argument --{name.replace('_', '-')}: expected a value")
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            if not flag:
                raise RunError(f"{shown(unknown[0])}: one word too many")
            known = [name.replace("_", "-") for name in self.flags]
            flag = flag if flag.isprintable() and len(flag) < 60 else shown(flag)
            raise RunError(f"{flag}: there is no such flag{nearest(flag.strip('-'), known)} "
                           f"(--help shows all)")
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


def build_parser(kind, about, recipes):
    """The parser of a training script. recipes: {model: Recipe}, of all models, or of one, to
    describe that alone."""
    script, models, names = script_of(kind), tuple(recipes), data.KINDS[kind].datasets
    model = "MODEL" if len(models) > 1 else models[0]
    parser = Parser(script, about, f"--model {model}")

    def default_of(name, default):
        found = [(r.training | r.sizes).get(name, default) for r in recipes.values()
                 if name in r.has or name not in sizes]
        return found[0] if all(value == found[0] for value in found) else "the model's own"

    sizes = {name: row for r in recipes.values() for name, row in r.has.items()}
    model_flag = {"model": (None, models, "")} if len(models) > 1 else {}
    data_set = {"dataset": (None, names, f"default: {names[0]}, or synthetic if that cannot be "
                            f"had")}
    for title, flags in (("what to train", model_flag | data_set | IMAGES),
                         ("how to train", TRAINING), ("the model's own sizes", sizes),
                         ("the run", RUN | COMMON)):
        parser.add(parser.add_argument_group(title), {
            name: (default_of(name, default), takes, text)
            for name, (default, takes, text) in flags.items()})
    return parser


def model_list(kind, recipes):
    """The models, a line each, and how to start one."""
    width, script = max(map(len, recipes)), script_of(kind)
    return "\n".join(["Models:", *(f"  {m:{width}}  {r.about}" for m, r in recipes.items()),
                      "", "Start one; show its flags and defaults:",
                      f"  python {script} --model vqvae",
                      f"  python {script} --model vqvae --help"])


# ---------------------------------------------------------------- reading

def read_flags(kind, about, recipes, argv):
    """The complete flags, and whether the user named the data set (or its folder). Raises
    SystemExit after --help, and RunError for the user's mistakes."""
    parser = build_parser(kind, about, recipes)
    if {"-h", "--help"} & set(argv):
        show_help(kind, about, recipes, argv)
    given = parser.parse_args(argv)
    from_file = earlier_flags(parser, given, recipes)
    for source in (given, from_file):
        if "epochs" in source and "steps" in source:
            raise RunError("give --epochs or --steps, not both")
    merged = {**vars(from_file), **vars(given)}
    if merged.get("overwrite") and "out" not in merged:
        raise RunError("--overwrite needs --out RUN: it replaces the run that is in --out")
    if "model" not in merged:
        raise RunError(f"--model is needed: one of {', '.join(recipes)}")
    flags = completed(merged, recipes[merged["model"]])
    for source in (given, from_file):  # one of the two counts, and the command line's goes first
        if "epochs" in source or "steps" in source:
            flags.epochs, flags.steps = (getattr(source, n, None) for n in ("epochs", "steps"))
            break
    return flags, flags.dataset is not None or flags.data_dir is not None


def show_help(kind, about, recipes, argv):
    """Print the help of the model that is named, or of the script; then leave."""
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--model", nargs="?")
    model = chooser.parse_known_args(argv)[0].model
    if model in recipes:
        about, recipes = f"{model}: {recipes[model].about}", {model: recipes[model]}
    else:
        about = f"{about}\n{model_list(kind, recipes)}"
    build_parser(kind, about, recipes).print_help()
    raise SystemExit(0)


def earlier_flags(parser, given, recipes):
    """The flags of the run that is resumed, or of the file --config; none without either."""
    if "resume" not in given:
        return flags_in(given.config, read_json(given.config), parser) if "config" in given else \
            argparse.Namespace()
    before = flags_in(Path(given.resume, "config.json"), read_config(given.resume), parser)
    recipe = recipes.get(getattr(before, "model", None))
    for name, (default, *_) in recipe.has.items() if recipe else ():
        if name not in before:  # a size that is younger than the run
            setattr(before, name, default)
    for name, value in vars(given).items():
        if name not in ("resume", *RESUMABLE) and value != getattr(before, name, None):
            raise RunError(f"--resume {given.resume}: that run has --{name.replace('_', '-')} "
                           f"{words(getattr(before, name, 'unset'))}, not {words(value)}; it goes "
                           f"on as it began ({MAY_BE_GIVEN})")
    return before


def completed(merged, recipe):
    """The flags that were given, {name: value}, with the defaults of the recipe's model. Raises
    RunError for one that this model does not have."""
    known = {**DEFAULTS, **recipe.training, **recipe.sizes}
    for name in merged:
        if name not in known and name != "model":
            raise RunError(f"--{name.replace('_', '-')} means nothing to --model "
                           f"{merged['model']}; its own flags are: "
                           + ", ".join("--" + n.replace("_", "-") for n in recipe.has))
    flags = argparse.Namespace(**known | merged)
    if getattr(flags, "levels", 2) > 2 and flags.binarize != "none":
        if "binarize" in merged:
            raise RunError(f"--levels {flags.levels} --binarize {flags.binarize}: binarised images "
                           f"have 2 levels; give --levels 2 or --binarize none")
        flags.binarize = "none"
    return flags


def flags_in(path, content, parser):
    """Flags from what is in a JSON file: an object of flags, or one whose "flags" is that."""
    entries = content.get("flags", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise RunError(f'{path}: needs a JSON object of flags, such as {{"model": "vae"}}')
    known = [name for name in parser.flags if name not in ("config", "resume")]
    line = []
    for key, value in entries.items():
        if key not in known:
            raise RunError(f"{path}: unknown key {shown(key)}" + (
                nearest(key, known) or f"; known keys: {', '.join(sorted(known))}"))
        line += as_words(path, key, value, parser.flags[key][1])
    try:
        return parser.parse_args(line)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def as_words(path, key, value, takes):
    """An entry of a config file as words of a command line."""
    flag = "--" + key.replace("_", "-")
    if value is None:
        return []
    if takes in ("yes or no", "switch"):
        if not isinstance(value, bool):
            raise RunError(f"{path}: {key!r} must be true or false, not {shown(str(value))}")
        return [flag] if value else [f"--no-{key}"] if takes == "yes or no" else []
    if isinstance(value, list) and all(type(v) is int for v in value):
        return [flag, *map(str, value)]
    if isinstance(value, (dict, bool, list)):
        raise RunError(f"{path}: {key!r} cannot be {shown(str(value))}")
    return [f"{flag}={value}"]


def words(value):
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
