"""What train_mnist.py and train_cifar.py share: flags, the run folder, the summary.

Flags come from four places, the later winning: the defaults, the model's own
defaults (its recipe), --config FILE.json, the command line. A config file is turned
into command-line words and read by the same parser, so that it is checked in the
same way and an unknown key is an error.
"""

import argparse
import difflib
import json
import os
import shlex
import sys
import warnings
from pathlib import Path

from . import backend, checkpoint, data, runs
from .errors import RunError, UserError
from .optim import SCHEDULES, Adam
from .training import generator, label, train

DEFAULTS = {"backend": "numpy", "dataset": None, "data_dir": None, "out": None, "epochs": 10,
            "steps": None, "batch_size": 128, "lr": 1e-3, "schedule": "constant", "seed": 0,
            "average": 0.0, "binarize": "none", "flip": False, "limit": None}
# Flags that say how to run, not what: they are not part of what config.json repeats.
RUN_ONLY = ("config", "resume", "overwrite", "quiet")
# What may differ between a run and its continuation.
RESUMABLE = ("resume", "epochs", "steps", "quiet", "data_dir", "backend")


def main(prog, about, datasets, recipes, synthetic, argv=None):
    """Run a training script; returns the exit code: 0, 2 for the user's mistake, 130 for Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    return guarded(prog, run, prog, about, datasets, recipes, synthetic, argv)


def guarded(prog, work, *arguments):
    """The exit code of work(*arguments): what it returns, 2 for the user's mistake, said in one
    line, 130 for Ctrl-C."""
    try:
        return work(*arguments) or 0
    except UserError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: stopped", file=sys.stderr)
        return 130


def run(prog, about, datasets, recipes, synthetic, argv):
    parser = build_parser(prog, about, datasets, recipes)
    flags, named_dataset = read_flags(parser, argv, recipes)
    library = backend.use(flags.backend)
    if flags.backend == "auto":
        say(flags, f"--backend auto: using {backend.describe()}")
    if flags.out:
        check_folder(Path(flags.out), flags.overwrite)
    recipe = recipes[flags.model]
    codec = find_codec(flags, prog, recipe, recipes) if "codes" in recipe.sizes else None
    if codec is not None:
        flags.dataset = codec.trained_on["name"]
    dataset = load_data(flags, datasets[0], synthetic, named_dataset or codec is not None)
    if codec is not None:
        say(flags, f"Encoding {dataset.title} with {codec.folder}")
        dataset = runs.encoded(dataset, codec)
    folder = Path(flags.resume or flags.out or free_folder(f"{flags.model}-{dataset.name}"))
    check_writable(folder)
    sizes = {name: getattr(flags, name) for name in recipe.sizes}
    try:
        model = recipe.build(dataset, generator(flags.seed, "weights"), **sizes)
    except ValueError as error:
        raise RunError(str(error)) from None
    optimizer = Adam(model.parameters(), flags.lr, average=flags.average)

    progress = None
    config_path = folder / "config.json"
    if flags.resume:
        recorded = json.loads(config_path.read_text()).get("dataset") or {}
        if not {"title", "sha256"} <= set(recorded):
            raise RunError(f"{config_path}: says no data set that the run was trained on; it is "
                           f"no longer the file that the run wrote")
        if codec is not None and recorded["sha256"] != dataset.sha256:
            raise RunError(runs.codes_changed(folder, codec))
        if recorded["sha256"] != dataset.sha256:
            raise RunError(f"{folder}: was trained on {recorded['title']} with SHA-256 "
                           f"{recorded['sha256'][:12]}..., but the data found now has "
                           f"{dataset.sha256[:12]}...; resume needs the same data")
        progress = checkpoint.load(folder / "checkpoint.npz", model, optimizer)
        done = {"epochs": len(progress["history"]), "steps": progress["step"]}
        for name, count in done.items():
            if (getattr(flags, name) or count) < count:
                raise RunError(f"--resume {folder}: that run has done {count} {name} already; give "
                               f"--{name} above {count} to go on")
    else:
        start_folder(folder)
    flags.backend, flags.dataset = library, dataset.name
    write_config(config_path, prog, flags, dataset)

    whole = dataset
    if flags.limit:
        whole = whole.limited(flags.limit)
    if flags.binarize != "none":
        whole = data.statically_binarised(whole, train=flags.binarize == "static")
    title = f"{flags.model} on {whole.title}"
    count = sum(p.size for p in model.parameters())
    after = f", going on after step {progress['step']:,}" if progress else ""
    say(flags, f"{title}: {len(whole.train_images):,} training and {len(whole.test_images):,} test "
               f"images; {count:,} parameters; {backend.describe()}; into {folder}{after}")
    # A loss that overflows is reported once, with its step and term, not by NumPy line by line.
    warnings.filterwarnings("ignore", message="overflow encountered|invalid value")
    log, complete = train(model, optimizer, whole, flags, folder, progress, flags.quiet)
    resume = f"python {prog} --resume {shlex.quote(str(folder))}"
    if not complete:
        print(f"\nStopped, and saved. Go on with:\n  {resume}", file=sys.stderr)
        return 130

    from . import figures
    with optimizer.averaged():
        pictures = figures.draw_all(model, whole, log, folder, title, flags.seed)
    say(flags, summary(model, log.history[-1], folder, pictures, resume, flags))
    return 0


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
                       help="go on with the run in this folder; only --epochs, --steps, "
                            "--backend, --data-dir and --quiet may be given with it")
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
                    f"; it goes on as it began (only --epochs, --steps, --backend, --data-dir and "
                    f"--quiet may be given)")
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


def check_folder(folder, overwrite):
    """Raise RunError if --out names something that a new run must not be written over."""
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "config.json").is_file():
            raise RunError(f"--out {folder}: the folder has files in it and is no run; name a new "
                           f"or empty one")
        if not overwrite:
            raise RunError(f"--out {folder}: there is a run in it; go on with --resume {folder}, "
                           f"replace it with --overwrite, or name another folder")


def check_writable(folder):
    """Raise RunError if the folder cannot be made or written."""
    above = folder
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise RunError(f"the run cannot be written to {folder}: {above} is a file; name another "
                       f"folder with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RunError(f"the run cannot be written to {folder}: no permission to write in {above}; "
                       f"name another folder with --out")


def free_folder(name):
    """runs/name, or with the first number that makes it new."""
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def load_data(flags, default, synthetic, named):
    """The data set named, or the default one, or the synthetic one where that cannot be had."""
    name = flags.dataset or default
    try:
        return data.load(name, flags.data_dir, not flags.quiet, synthetic)
    except data.MissingDataError as error:
        if named:
            raise
        print(f"NOTE: {name} is not on this machine and could not be downloaded; going on with "
              f"SYNTHETIC images.\n      ({str(error).splitlines()[1].strip()})", file=sys.stderr)
        return data.load("synthetic", synthetic=synthetic)


def find_codec(flags, prog, recipe, recipes):
    """The run of the VQ-VAE named by --codes; RunError if there is none that fits."""
    if not flags.codes:
        raise RunError(f"--model {flags.model} needs --codes RUN, the run of a VQ-VAE whose codes "
                       f"it is to model: train one first, with python {prog} --model vqvae")
    if flags.flip or flags.binarize != "none":
        raise RunError(f"--model {flags.model}: its images are grids of codes, which cannot be "
                       f"flipped or binarised; leave out --flip and --binarize")
    codec = runs.open_codec(flags.codes, {prog: recipes}, prog)
    if flags.dataset not in (None, codec.trained_on["name"]):
        raise RunError(f"--dataset {flags.dataset}: the VQ-VAE of --codes {flags.codes} was "
                       f"trained on {codec.trained_on['name']}; leave out --dataset")
    return codec


def start_folder(folder):
    """Make the folder; if --overwrite was given, remove the files of the run that was there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("*.png"), *(folder / n for n in (
                "checkpoint.npz", "metrics.csv", "train.csv", "evaluation.json"))]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"the run cannot be written to {folder}: {error.strerror}; name another "
                       f"folder with --out") from None


def write_config(path, prog, flags, dataset):
    """config.json: everything that repeats the run, and what it ran on."""
    kept = {n: v for n, v in vars(flags).items() if n not in (*RUN_ONLY, "out", "data_dir")}
    content = {"script": prog, "flags": kept,
               "dataset": {"name": dataset.name, "title": dataset.title, "sha256": dataset.sha256,
                           "image_shape": list(dataset.image_shape),
                           "num_classes": dataset.num_classes},
               "versions": backend.versions()}
    try:
        with checkpoint.replacing(path, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
    except OSError as error:
        raise RunError(f"the run cannot be written to {path.parent}: {error.strerror}; name "
                       f"another folder with --out") from None


def summary(model, last, folder, pictures, resume, flags):
    """The closing lines: the test figures, where everything is, what to try next."""
    more = f"--epochs {2 * flags.epochs}" if flags.epochs else f"--steps {2 * flags.steps}"
    after = (f"{flags.epochs} epoch{'s' * (flags.epochs > 1)}" if flags.epochs else
             f"{flags.steps:,} steps")
    figures = "   ".join(f"{label(n)} {last[f'test_{n}']:.5g}" for n in model.table)
    lines = [f"\nTest set after {after}, in {model.units}:", f"  {figures}",
             f"In {folder}/:", f"  {', '.join(pictures)}",
             "  " + ", ".join(n for n in ("metrics.csv", "train.csv", "checkpoint.npz",
                                          "config.json") if (folder / n).exists()),
             "Next:", f"  {resume} {more}"]
    return "\n".join(lines)


def say(flags, text):
    if not flags.quiet:
        print(text, flush=True)


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
    "head": ("channels between its last two 1x1 convolutions",
             {"type": positive_int, "metavar": "N"}),
    "codes": ("the run of a VQ-VAE, whose codes the prior models", {"metavar": "RUN"}),
    "conditional": ("condition on the class label", {"action": argparse.BooleanOptionalAction}),
    "sigma_x": ("standard deviation of a gaussian p(x|z)",
                {"type": positive_float, "metavar": "S"}),
    "beta": ("weight of the KL term", {"type": not_negative, "metavar": "B"}),
}
