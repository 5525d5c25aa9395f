"""How the flags of the scripts are read.

Those of a training script come from five places, the later winning: the defaults, the model's own
defaults (its recipe), the sizes of the run --from names, --config FILE.json (or the config.json of
--resume), the command line. A config file is turned into words of a command line and read by the
same parser, so that it is checked in the same way and an unknown key is an error.
"""

import argparse
import difflib
from pathlib import Path

from ..errors import RunError, fitted, shown
from . import data
from .data import script_of
from .files import expanded, read_json, reading
from .flags import (
    COMMON,
    IMAGES,
    MAY_BE_GIVEN,
    OWN_IMAGES,
    RESUMABLE,
    RUN,
    TAKES,
    TRAINING,
    dashed,
    defaults,
    nearest,
    one_of,
    words,
)


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
            if value in ([], ""):  # --lr=--, to some versions of argparse; an unset variable
                word = {"run": "RUN", "images": "PATH"}.get(name, dashed(name))
                raise RunError(f"{word}: expected a value")
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
    def default_of(name, usual):
        found = [(r.training | r.sizes).get(name, usual)
                 for r in ([recipe] if recipe else recipes.values())]
        return found[0] if found.count(found[0]) == len(found) else "depends on the model"
    what = {"model": (None, models, "")} | ({"dataset": (
        None, datasets, f"default: {datasets[0]}, or synthetic if that cannot be had")}
        if datasets else OWN_IMAGES)
    for title, flags in (("what to train", what | IMAGES), ("how to train", TRAINING),
                         ("the model's own sizes", recipe.has if recipe else {}),
                         ("the run", RUN | COMMON)):
        parser.add(parser.add_argument_group(title), {
            name: (default_of(name, default), takes, text)
            for name, (default, takes, text) in flags.items()})
    return parser


def model_list(kind, recipes):
    """The models, a line each, and how to start one."""
    width = max(map(len, recipes))
    lines = (fitted(f"  {m:{width}}  {r.about}", width + 4) for m, r in recipes.items())
    return "\n".join(["Models:", *lines,
                      "", "Start one; show its flags and defaults:",
                      f"  {data.training_of(kind)} --model vqvae",
                      f"  python {script_of(kind)} --model vqvae --help"])


# ---------------------------------------------------------------- reading

def read_flags(kind, about, recipes, argv):
    """The complete flags, and whether the user named the data set (or its folder). Raises
    SystemExit after --help, and RunError for the user's mistakes."""
    first = Parser(script_of(kind), about, "", add_help=False)
    first.add(first, {"model": (None, "MODEL", "")} | RUN)
    asked = vars(first.parse_known_args([w for w in argv if w not in ("-h", "--help")])[0])
    path = config_of(asked["resume"]) if "resume" in asked else asked.get("config")
    entries = entries_of(path, script_of(kind)) if path else {}
    if "resume" in asked:
        with as_written(path):
            model, begun = entries["model"], {}
    else:
        asked.setdefault("from", entries.get("from"))
        begun = sizes_of(asked["from"], recipes, script_of(kind)) if asked["from"] else {}
        model = asked.get("model", entries.get("model", begun.get("model")))
    parser = build_parser(kind, about, recipes, model)
    given = parser.parse_args(argv)
    earlier = flags_in(path, entries, parser)
    fitting = begun if begun.get("model") == model else {}
    sizes = flags_in(Path(asked.get("from") or "", "config.json"), fitting, parser)
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
        if name in ("images", "test") and was and absolute(value) == absolute(was):
            continue
        if name not in ("resume", *RESUMABLE) and value != was:
            its = f"no {dashed(name)}" if was is None or was is False else (
                f"{dashed(name)} {words(was)}, not {words(value)}")
            if name == "images":
                its = f"the images {was}, not {value} (were they moved? --data-dir {value})"
            raise RunError(f"--resume {given.resume}: that run has {its}; it goes on as it began "
                           f"({MAY_BE_GIVEN})")


def absolute(path):
    return str(expanded(path).resolve())


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
    model = folder.name.rpartition("-")[0]  # the same one may be here, of other data
    near = ([run for run in near if run.parent == folder.parent]
            or [run for run in runs if model and run.parent == folder.parent
                and run.name.rpartition("-")[0] == model] or near)
    if near:
        return f"did you mean {' or '.join(map(str, near))}?"
    return "name the folder of a run, such as runs/vae-mnist"


def as_written(path):
    """Whatever goes wrong inside is blamed on the config.json at path, as one error."""
    return reading(path, "config.json that a run wrote", "restore it, or train again")


def entries_of(path, *scripts):
    """What is in a JSON file of flags, or in the "flags" of a run's config.json: {name: value}.
    Raises RunError if that run is of none of these scripts (none: of any)."""
    content = read_json(path)
    entries = content.get("flags", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise RunError(f'{path}: needs a JSON object of flags, such as {{"model": "vae"}}')
    if scripts and content.get("script", scripts[0]) not in scripts:
        raise RunError(f"{path}: that run is another script's; use python {content['script']}")
    return entries


def sizes_of(folder, recipes, script):
    """The model of a run and the sizes of its own, {name: value}, for a run --from it: of the
    script, or where one of the two is of images of any size."""
    own = script_of("images")
    entries = entries_of(config_of(folder), *([] if script == own else [script, own]))
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
        takes = parser.flags[name][1]
        several = not isinstance(takes, tuple) and "nargs" in TAKES[takes]
        if isinstance(value, dict) or isinstance(value, list) and not several or (
                value is True and takes not in ("switch", "yes or no")):
            raise RunError(f"{path}: {shown(name)} is {shown(str(value))}; it takes one value")
        if takes == "PATH":
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
