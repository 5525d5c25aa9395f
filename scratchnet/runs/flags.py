"""The flags of the scripts: their text, their defaults, and what is wrong with a wrong one.

Flags come from four places, the later winning: the defaults, the model's own
defaults (its recipe), --config FILE.json, the command line. A config file is turned
into command-line words and read by the same parser, so that it is checked in the
same way and an unknown key is an error.
"""

import argparse
import difflib
import json
from pathlib import Path

from .. import backend
from ..errors import RunError
from ..optim import SCHEDULES
from . import data
from .run import script_of

DEFAULTS = {"backend": "numpy", "dataset": None, "data_dir": None, "out": None, "epochs": 10,
            "steps": None, "batch_size": 128, "lr": 1e-3, "schedule": "constant", "seed": 0,
            "average": 0.0, "binarize": "none", "flip": False, "limit": None}
# Flags that say how to run, not what: they are not part of what config.json repeats.
RUN_ONLY = ("config", "resume", "overwrite", "quiet")
# What may differ between a run and its continuation.
RESUMABLE = ("resume", "epochs", "steps", "lr", "schedule", "quiet", "data_dir", "backend")
MAY_BE_GIVEN = ", ".join(f"--{n.replace('_', '-')}" for n in RESUMABLE if n != "resume")


# ---------------------------------------------------------------- values of flags

def nearest(word, words):
    """"; did you mean vae?", or nothing if no word is near."""
    close = difflib.get_close_matches(word, words, 1)
    return f"; did you mean {close[0]}?" if close else ""


def one_of(*choices):
    """The type of a flag that takes one of these words."""
    def read(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}"
                                             + nearest(text, choices))
        return text
    return {"type": read, "metavar": "NAME"}


def number(kind, accepted, needed):
    """The type of a flag that takes an int or a float."""
    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not accepted(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {needed}")
        return value
    return {"type": read, "metavar": "N" if kind is int else "X"}


COUNT = number(int, lambda v: v >= 1, "a whole number, 1 or more")
NATURAL = number(int, lambda v: v >= 0, "a whole number, 0 or more")
POSITIVE = number(float, lambda v: 0 < v < float("inf"), "a number above 0")
NOT_NEGATIVE = number(float, lambda v: 0 <= v < float("inf"), "a number, 0 or more")
BELOW_1 = number(float, lambda v: 0 <= v < 1, "a number, 0 or more and below 1")
BETWEEN_0_AND_1 = number(float, lambda v: 0 < v < 1, "a number between 0 and 1")

# How the sizes of models are read (models/recipes.py).
KINDS = {"count": COUNT, "counts": COUNT | {"nargs": "+"}, "positive": POSITIVE,
         "not negative": NOT_NEGATIVE, "between 0 and 1": BETWEEN_0_AND_1,
         "yes or no": {"action": argparse.BooleanOptionalAction}, "run": {"metavar": "RUN"}}


# ---------------------------------------------------------------- parsers

class Parser(argparse.ArgumentParser):
    """argparse's, whose errors are a RunError of one line, with the nearest known flag."""

    def __init__(self, prog, description, **how):
        super().__init__(prog, description=description, allow_abbrev=False, **how,
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        raise RunError(message.removeprefix("argument "))

    def parse_args(self, argv):
        flags, unknown = self.parse_known_args(argv)
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            if not flag:
                raise RunError(f"{unknown[0]!r}: one word too many")
            known = [o.strip("-") for action in self.actions() for o in action.option_strings]
            raise RunError(f"{flag}: there is no such flag{nearest(flag.strip('-'), known)} "
                           f"(--help shows all)")
        return flags

    def actions(self):
        return self._actions


def with_common_flags(parser):
    """The flags that generate.py and evaluate.py share, added to their own."""
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the data sets (default: "
                        "$SCRATCHNET_DATA, else ~/.cache/scratchnet)")
    parser.add_argument("--backend", **one_of(*backend.BACKENDS), default="numpy",
                        help="numpy, cupy (GPU), or auto (default: numpy)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


def model_list(kind, recipes):
    """The models, a line each, and how to start one."""
    width, script = max(map(len, recipes)), script_of(kind)
    return "\n".join(["Models:", *(f"  {m:{width}}  {r.about}" for m, r in recipes.items()),
                      "", "Start one; show its flags and defaults:",
                      f"  python {script} --model vqvae",
                      f"  python {script} --model vqvae --help"])


def build_parser(kind, about, recipes):
    """The parser of a training script: flags not given are absent from its result, defaults are
    only described. recipes: {model: Recipe}, of all models, or of one to describe that alone."""
    model = next(iter(recipes)) if len(recipes) == 1 else "MODEL"
    parser = Parser(script_of(kind), about, argument_default=argparse.SUPPRESS,
                    usage=f"python {script_of(kind)} --model {model} [flags]")

    def add(group, name, text, **how):
        defaults = {words({**DEFAULTS, **r.training, **r.sizes}[name])
                    for r in recipes.values() if name in r.has or name in DEFAULTS}
        if len(defaults) > 1:
            text += " (default: the model's own)"
        elif not defaults & {"None", "False"}:
            text += f" (default: {min(defaults)})"
        group.add_argument("--" + name.replace("_", "-"), help=text, **how)

    what = parser.add_argument_group("what to train")
    if model == "MODEL":
        what.add_argument("--model", **one_of(*recipes), help=f"one of {', '.join(recipes)}")
    add_data_flags(add, what, data.KINDS[kind].datasets)
    add_training_flags(add, parser.add_argument_group("how to train"))
    sizes = parser.add_argument_group("the model's own sizes")
    for name, size in {n: s for r in recipes.values() for n, s in r.has.items()}.items():
        if isinstance(size.kind, tuple):
            add(sizes, name, f"{size.text}; one of {', '.join(size.kind)}", **one_of(*size.kind))
        else:
            add(sizes, name, size.text, **KINDS[size.kind])
    add_run_flags(add, parser.add_argument_group("the run"))
    return parser


def add_data_flags(add, group, names):
    add(group, "dataset", f"{', '.join(names)} (default: {names[0]}, or synthetic if that cannot "
        f"be had)", **one_of(*names))
    add(group, "data_dir", "folder of the data sets (default: $SCRATCHNET_DATA, else "
        "~/.cache/scratchnet)", metavar="DIR")
    add(group, "binarize", "none: grey pixels; static: 0 or 1, drawn once; dynamic: drawn anew for "
        "every training batch (test images always static)", **one_of("none", "static", "dynamic"))
    add(group, "flip", "mirror training images left to right, each with probability 1/2",
        action=argparse.BooleanOptionalAction)
    add(group, "limit", "use only the first N training and test images", **COUNT)


def add_training_flags(add, group):
    add(group, "epochs", "passes over the training images", **COUNT)
    add(group, "steps", "stop after N steps, instead of --epochs", **COUNT)
    add(group, "batch_size", "images in one step", **COUNT)
    add(group, "lr", "Adam's learning rate, at its highest", **POSITIVE)
    add(group, "schedule", f"of the learning rate: {', '.join(SCHEDULES)}", **one_of(*SCHEDULES))
    add(group, "average", "keep running means of the weights, with this decay (0.999, say), and "
        "evaluate them; 0: no", **BELOW_1)
    add(group, "seed", "of the weights, the order and the noise", **NATURAL)
    add(group, "backend", "numpy, cupy (GPU), or auto", **one_of(*backend.BACKENDS))


def add_run_flags(add, group):
    add(group, "out", "folder of the run (default: a new one, runs/MODEL-DATASET)", metavar="DIR")
    group.add_argument("--overwrite", action="store_true", help="replace the run that is in --out")
    group.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; only "
                       f"{MAY_BE_GIVEN} may be given with it")
    group.add_argument("--config", metavar="FILE.json",
                       help="read flags from a file, such as the config.json of a run")
    group.add_argument("--quiet", action="store_true", help="print errors only")


# ---------------------------------------------------------------- reading

def read_flags(kind, about, recipes, argv):
    """The complete flags, and whether the user named the data set (or its folder). Raises
    SystemExit after --help, and RunError for the user's mistakes."""
    parser = build_parser(kind, about, recipes)
    if {"-h", "--help"} & set(argv):
        show_help(kind, about, recipes, argv)
    given = parser.parse_args(argv)
    from_file = earlier_flags(parser, given)
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


def earlier_flags(parser, given):
    """The flags of the run that is resumed, or of the file --config; none without either."""
    if "resume" not in given:
        return read_config(Path(given.config), parser) if "config" in given else \
            argparse.Namespace()
    path = Path(given.resume) / "config.json"
    if not path.is_file():
        raise RunError(f"--resume {given.resume}: no run there ({path} does not exist); name "
                       f"the folder of a run, such as runs/vae-mnist")
    before = read_config(path, parser)
    for name, value in vars(given).items():
        if name not in RESUMABLE and value != getattr(before, name, None):
            raise RunError(f"--resume {given.resume}: that run has --{name.replace('_', '-')} "
                           f"{words(getattr(before, name, 'unset'))}, not {words(value)}; it goes "
                           f"on as it began (only {MAY_BE_GIVEN} may be given)")
    return before


def completed(merged, recipe):
    """The flags that were given, {name: value}, with the defaults of the recipe's model. Raises
    RunError for one that this model does not have."""
    known = {**DEFAULTS, **recipe.training, **recipe.sizes}
    for name in merged:
        if name not in known and name not in ("model", *RUN_ONLY):
            raise RunError(f"--{name.replace('_', '-')} means nothing to --model "
                           f"{merged['model']}; its own flags are: "
                           + ", ".join("--" + n.replace("_", "-") for n in recipe.has))
    flags = argparse.Namespace(**dict.fromkeys(RUN_ONLY) | known | merged)
    if getattr(flags, "levels", 2) > 2 and flags.binarize != "none":
        if "binarize" in merged:
            raise RunError(f"--levels {flags.levels} --binarize {flags.binarize}: binarised images "
                           f"have 2 levels; give --levels 2 or --binarize none")
        flags.binarize = "none"
    return flags


def read_config(path, parser):
    """Flags from a JSON file: an object of flags, or one whose "flags" is that object."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise RunError(f"--config {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RunError(f"{path}: is not JSON: {error}") from None
    entries = content.get("flags", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise RunError(f'{path}: needs a JSON object of flags, such as {{"model": "vae"}}')
    known = {a.dest: a for a in parser.actions() if a.dest not in ("help", "config", "resume")}
    line = []
    for key, value in entries.items():
        if key not in known:
            raise RunError(f"{path}: unknown key {key!r}" + (
                nearest(key, known) or f"; known keys: {', '.join(sorted(known))}"))
        line += as_words(path, key, value, known[key])
    try:
        return parser.parse_args(line)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def as_words(path, key, value, action):
    """An entry of a config file as words of a command line."""
    flag = "--" + key.replace("_", "-")
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise RunError(f"{path}: {key!r} must be true or false, not {value!r}")
        no = f"--no-{key.replace('_', '-')}"
        return [flag] if value else [no] if no in action.option_strings else []
    if isinstance(value, (dict, bool)):
        raise RunError(f"{path}: {key!r} cannot be {json.dumps(value)}")
    if isinstance(value, list):
        return [flag, *map(str, value)]
    return [] if value is None else [f"{flag}={value}"]


def words(value):
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
