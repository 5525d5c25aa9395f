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

DEFAULTS = {"backend": "numpy", "dataset": None, "data_dir": None, "out": None, "epochs": 10,
            "steps": None, "batch_size": 128, "lr": 1e-3, "schedule": "constant", "seed": 0,
            "average": 0.0, "binarize": "none", "flip": False, "limit": None}
# Flags that say how to run, not what: they are not part of what config.json repeats.
RUN_ONLY = ("config", "resume", "overwrite", "quiet")
# What may differ between a run and its continuation.
RESUMABLE = ("resume", "epochs", "steps", "lr", "schedule", "quiet", "data_dir", "backend")


def build_parser(prog, about, datasets, recipes):
    """The parser. Flags not given are absent from its result; defaults are only described."""
    parser = argparse.ArgumentParser(prog, description=about, allow_abbrev=False,
                                     argument_default=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(group, name, text, **how):
        flag = "--" + name.replace("_", "-")
        values = {m: {**DEFAULTS, **r.training, **r.sizes}.get(name) for m, r in recipes.items()
                  if name in r.sizes or name in DEFAULTS}
        shown = dict.fromkeys(words(v) for v in values.values() if v is not None)
        if len(shown) == 1:
            text += f" (default: {next(iter(shown))})"
        elif shown:
            by_model = ", ".join(f"{m} {words(v)}" for m, v in values.items())
            text += f" (default: {by_model})"
        group.add_argument(flag, help=text, **how)

    what = parser.add_argument_group("what to train")
    what.add_argument("--model", choices=list(recipes), metavar="MODEL", help="; ".join(
        f"{name}: {recipe.about}" for name, recipe in recipes.items()))
    add(what, "dataset", f"{', '.join(datasets)} (default: {datasets[0]}, or synthetic if that "
        f"cannot be had)", choices=datasets, metavar="NAME")
    add(what, "data_dir", "folder of the data sets (default: $SCRATCHNET_DATA, else "
        "~/.cache/scratchnet)", metavar="DIR")
    add(what, "binarize", "none: grey pixels; static: 0 or 1, drawn once; dynamic: drawn anew for "
        "every training batch (test images always static)", choices=["none", "static", "dynamic"],
        metavar="HOW")
    what.add_argument("--flip", action=argparse.BooleanOptionalAction,
                      help="mirror training images left to right, each with probability 1/2")
    add(what, "limit", "use only the first N training and test images", type=positive_int,
        metavar="N")

    how = parser.add_argument_group("how to train")
    add(how, "epochs", "passes over the training images", type=positive_int, metavar="N")
    add(how, "steps", "stop after N steps, instead of --epochs", type=positive_int, metavar="N")
    add(how, "batch_size", "images in one step", type=positive_int, metavar="N")
    add(how, "lr", "Adam's learning rate, at its highest", type=positive_float, metavar="RATE")
    add(how, "schedule", f"of the learning rate: {', '.join(SCHEDULES)}", choices=list(SCHEDULES),
        metavar="NAME")
    add(how, "average", "keep running means of the weights, with this decay (0.999, say), and "
        "evaluate them; 0: no", type=fraction, metavar="D")
    add(how, "seed", "of the weights, the order and the noise", type=natural, metavar="N")
    add(how, "backend", "numpy, cupy (GPU), or auto", choices=backend.BACKENDS, metavar="NAME")

    sizes = parser.add_argument_group("the model's own sizes")
    for name in dict.fromkeys(n for r in recipes.values() for n in r.sizes):
        text, options = SIZES[name]
        add(sizes, name, text, **options)

    place = parser.add_argument_group("the run")
    add(place, "out", "folder of the run (default: a new one, runs/MODEL-DATASET)", metavar="DIR")
    place.add_argument("--overwrite", action="store_true",
                       help="replace the run that is in --out")
    place.add_argument("--resume", metavar="RUN",
                       help="go on with the run in this folder; only --epochs, --steps, --lr, "
                            "--schedule, --backend, --data-dir and --quiet may be given with it")
    place.add_argument("--config", metavar="FILE.json",
                       help="read flags from a file, such as the config.json of a run")
    place.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


def with_common_flags(parser):
    """The flags that generate.py and evaluate.py share, added to their own."""
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the data sets (default: "
                        "$SCRATCHNET_DATA, else ~/.cache/scratchnet)")
    parser.add_argument("--backend", choices=backend.BACKENDS, default="numpy", metavar="NAME",
                        help="numpy, cupy (GPU), or auto (default: numpy)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


def read_flags(parser, argv, recipes):
    """The complete flags, and whether the user named the data set (or its folder)."""
    given = parser.parse_args(argv)
    from_file = {}
    if "resume" in given:
        path = Path(given.resume) / "config.json"
        if not path.is_file():
            raise RunError(f"--resume {given.resume}: no run there ({path} does not exist); name "
                           f"the folder of a run, such as runs/vae-mnist")
        from_file = read_config(path, parser)
        for name in vars(given):
            if name not in RESUMABLE and getattr(given, name) != getattr(from_file, name, None):
                raise RunError(
                    f"--resume {given.resume}: that run has --{name.replace('_', '-')} "
                    f"{words(getattr(from_file, name, 'unset'))}, not {words(getattr(given, name))}"
                    f"; it goes on as it began (only --epochs, --steps, --lr, --schedule, "
                    f"--backend, --data-dir and --quiet may be given)")
    elif "config" in given:
        from_file = read_config(Path(given.config), parser)
    for source in (given, from_file):
        if "epochs" in source and "steps" in source:
            parser.error("give --epochs or --steps, not both")
    merged = {**vars(from_file), **vars(given)} if from_file else vars(given)
    if merged.get("overwrite") and "out" not in merged:
        parser.error("--overwrite needs --out RUN: it replaces the run that is in --out")
    if "model" not in merged:
        parser.error(f"--model is needed: one of {', '.join(recipes)}")
    recipe = recipes[merged["model"]]
    known = {**DEFAULTS, **recipe.training, **recipe.sizes}
    for name in merged:
        if name not in known and name not in ("model", *RUN_ONLY):
            raise RunError(f"--{name.replace('_', '-')} means nothing to --model "
                           f"{merged['model']}; its own flags are: "
                           + ", ".join("--" + n.replace("_", "-") for n in recipe.sizes))
    flags = argparse.Namespace(**dict.fromkeys(RUN_ONLY), **(known | {
        n: v for n, v in merged.items() if n not in RUN_ONLY}))
    for name in RUN_ONLY:
        setattr(flags, name, merged.get(name))
    for source in (given, from_file):  # one of the two counts, and the command line's goes first
        if "epochs" in source or "steps" in source:
            flags.epochs, flags.steps = (getattr(source, n, None) for n in ("epochs", "steps"))
            break
    if getattr(flags, "levels", 2) > 2 and flags.binarize != "none":
        if "binarize" in merged:
            raise RunError(f"--levels {flags.levels} --binarize {flags.binarize}: binarised images "
                           f"have 2 levels; give --levels 2 or --binarize none")
        flags.binarize = "none"
    named = flags.dataset is not None or flags.data_dir is not None
    return flags, named


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
    known = {a.dest: a for a in parser._actions if a.dest not in ("help", "config", "resume")}
    words_ = []
    for key, value in entries.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            raise RunError(f"{path}: unknown key {key!r}" + (
                f"; did you mean {close[0]!r}?" if close else
                f"; known keys: {', '.join(sorted(known))}"))
        flag = "--" + key.replace("_", "-")
        if known[key].nargs == 0:
            if not isinstance(value, bool):
                raise RunError(f"{path}: {key!r} must be true or false, not {value!r}")
            no = f"--no-{key.replace('_', '-')}"
            words_ += [flag] if value else [no] if no in known[key].option_strings else []
        elif isinstance(value, (dict, bool)):
            raise RunError(f"{path}: {key!r} cannot be {json.dumps(value)}")
        elif isinstance(value, list):
            words_ += [flag, *map(str, value)]
        elif value is not None:
            words_.append(f"{flag}={value}")
    before, parser.prog = parser.prog, f"{parser.prog}: {path}"
    try:
        return parser.parse_args(words_)
    finally:
        parser.prog = before


def words(value):
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


# ---------------------------------------------------------------- values of flags

def positive_int(text):
    return _number(text, int, lambda v: v >= 1, "a whole number, 1 or more")


def natural(text):
    return _number(text, int, lambda v: v >= 0, "a whole number, 0 or more")


def positive_float(text):
    return _number(text, float, lambda v: 0 < v < float("inf"), "a number above 0")


def not_negative(text):
    return _number(text, float, lambda v: 0 <= v < float("inf"), "a number, 0 or more")


def fraction(text):
    return _number(text, float, lambda v: 0 <= v < 1, "a number, 0 or more and below 1")


def share(text):
    return _number(text, float, lambda v: 0 < v < 1, "a number between 0 and 1")


def _number(text, kind, accepted, needed):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accepted(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {needed}")
    return value


# The flags of the models' sizes: the text of --help, and how argparse reads them.
SIZES = {
    "h_dim": ("hidden layers of an MLP, from the image inwards",
              {"type": positive_int, "nargs": "+", "metavar": "N"}),
    "z_dim": ("dimensions of the latent code", {"type": positive_int, "metavar": "N"}),
    "activation": ("of the hidden layers: relu, tanh, sigmoid, elu, softplus",
                   {"choices": ["relu", "tanh", "sigmoid", "elu", "softplus"], "metavar": "NAME"}),
    "likelihood": ("p(x|z): bernoulli, gaussian, or logistic (256 levels, gives bits/dim)",
                   {"choices": ["bernoulli", "gaussian", "logistic"], "metavar": "NAME"}),
    "channels": ("of the convolutions, from the image inwards",
                 {"type": positive_int, "nargs": "+", "metavar": "N"}),
    "architecture": ("of the VQ-VAE: sonnet (residual blocks) or keras (small)",
                     {"choices": ["sonnet", "keras"], "metavar": "NAME"}),
    "num_embeddings": ("K, the size of the codebook", {"type": positive_int, "metavar": "K"}),
    "embedding_dim": ("D, the length of a code vector", {"type": positive_int, "metavar": "D"}),
    "commitment_cost": ("beta of the VQ-VAE's commitment term",
                        {"type": not_negative, "metavar": "B"}),
    "codebook": ("how codes are learned: gradient, or ema (running means)",
                 {"choices": ["gradient", "ema"], "metavar": "HOW"}),
    "decay": ("gamma of the codebook's running means", {"type": share, "metavar": "G"}),
    "restart_below": ("move a code that gets less than this part of a fair share onto a random "
                      "vector (0: never)", {"type": not_negative, "metavar": "S"}),
    "levels": ("values that a pixel takes: 2 (Bernoulli) to 256",
               {"type": positive_int, "metavar": "L"}),
    "features": ("channels of the PixelCNN's feature maps", {"type": positive_int, "metavar": "N"}),
    "blocks": ("residual or gated blocks of the PixelCNN", {"type": positive_int, "metavar": "N"}),
    "dilations": ("pixels from one tap to the next, of each block; again from the start if there are "
                  "more blocks", {"type": positive_int, "nargs": "+", "metavar": "N"}),
    "head": ("channels between its last two 1x1 convolutions",
             {"type": positive_int, "metavar": "N"}),
    "codes": ("the run of a VQ-VAE, whose codes the prior models", {"metavar": "RUN"}),
    "conditional": ("condition on the class label", {"action": argparse.BooleanOptionalAction}),
    "sigma_x": ("standard deviation of a gaussian p(x|z)",
                {"type": positive_float, "metavar": "S"}),
    "beta": ("weight of the KL term", {"type": not_negative, "metavar": "B"}),
}
