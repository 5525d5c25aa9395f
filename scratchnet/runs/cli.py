"""What the training scripts share: a run from its flags to its summary."""

import contextlib
import importlib.util
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from .. import backend
from ..errors import CheckpointError, RunError, an, fitted
from ..fast import mpi
from ..fast.processes import processes
from ..optim import Adam
from . import checkpoint, data, pictures
from . import run as runs
from .console import Stopped
from .flags import OWN_IMAGES, dashed
from .flags import words as in_words
from .folder import barely_begun, check_free, check_has_room, claimed, clear, write_config
from .log import UNITS_APART, label, rows_since, stale
from .parser import absolute, model_list, read_flags
from .script import guarded, stop_behind, usage, use_backend
from .sketches import Sketches
from .train import total_steps, train


def main(kind, about, recipes, argv=None):
    """Run a training script; returns the exit code. kind: of images, a key of data.KINDS; about:
    for --help; recipes: {model: Recipe}."""
    argv = sys.argv[1:] if argv is None else argv
    return guarded(runs.script_of(kind), train_a_model, kind, about, recipes, argv)


def train_a_model(kind, about, recipes, argv):
    """The story of a run; the exit code. Everything that can be wrong is found before the work."""
    if not argv:
        return usage(runs.script_of(kind), model_list(kind, recipes))
    flags, named = read_flags(kind, about, recipes, argv)
    if getattr(flags, "untold", 0) and not flags.conditional:
        raise RunError("--untold: is for a run that is told the class; give --conditional, too")
    asked, flags.backend = flags.backend, use_backend(flags.backend, mpi.gpu())
    if asked == "auto":
        say(flags, f"--backend auto: using {backend.describe()}")
    if importlib.util.find_spec("matplotlib") is None:  # not after the training
        raise ImportError("there is no Matplotlib, which draws a run's pictures")
    if flags.out:
        for name in ("codes", "from"):
            if (other := getattr(flags, name, None)) and absolute(flags.out) == absolute(other):
                raise RunError(f"--out {flags.out}: is the run of --{name}; name another folder")
        check_free(Path(flags.out), flags.overwrite)
    if flags.resume and not barely_begun(Path(flags.resume)):
        checkpoint.check_goes_on(Path(flags.resume, "checkpoint.npz"))  # before any download
    dataset = load_images(flags, kind, recipes, named)
    recipe = recipes[flags.model]
    columns, units = recipe.shows(flags)
    model = runs.build_model(recipe, dataset, flags)
    begun = begin_from(flags, recipe, dataset, model)
    optimizer = Adam(model.parameters(), flags.lr, average=flags.average,
                     weight_decay=flags.weight_decay)
    images = prepared(dataset, flags)
    with contextlib.nullcontext() if mpi.rank() else claimed(flags, dataset) as folder:
        progress = begin(folder, flags, kind, dataset, model, optimizer,
                         f"{images.held_out}_{columns[0]}")
        mpi.check_same(vars(flags), dataset.sha256, progress)
        if folder and "codes" in recipe.has and not dataset.kept:
            runs.keep_codes(folder, dataset)
        for note in notes(flags, images):
            say(flags, fitted(f"NOTE: {note}"))
        say(flags, opening(flags, images, model, folder, progress) + begun)
        sketches = Sketches(model, images, title(flags, images), flags.seed, flags.quiet)
        log, stopped = train(model, optimizer, images, flags, folder, progress, flags.quiet,
                             columns, sketches)
        if folder is None:
            return 0
        resume = f"python {runs.script_of(kind)} --resume {shlex.quote(folder.as_posix())}"
        if stopped:
            print(f"\nStopped, and saved. Go on with:\n  {resume}", file=sys.stderr)
            return 128 + stopped
        try:
            with optimizer.averaged():
                if log.best_state:
                    model.load_state_dict(log.best_state)
                drawn = pictures.draw_all(model, images, log, columns, folder,
                                          title(flags, images), flags.seed, flags.quiet)
        except (Stopped, Exception) as error:
            if not (stopped := stop_behind(error)):
                raise
            print(f"\nStopped, and all is trained and saved. Draw its pictures with:\n  {resume}",
                  file=sys.stderr)
            return 128 + stopped.number
        say(flags, closing(columns, units, log, folder, drawn, resume, flags))


def begin(folder, flags, kind, dataset, model, optimizer, foremost):
    """Make the folder that of this run, which goes on or begins; the progress it has, or None. No
    folder: another process writes it. foremost: its figure in the rows of metrics.csv."""
    progress, continued = None, []
    if folder:
        check_has_room(folder / "checkpoint.npz",
                       checkpoint.size(model, optimizer, flags.keep_best))
    if flags.resume:
        progress, continued = go_on(runs.read(flags.resume), flags, dataset, model, optimizer,
                                    foremost)
    elif folder:
        clear(folder)
    if folder:
        write_config(folder, runs.script_of(kind), flags, dataset, continued)
    return progress


# ---------------------------------------------------------------- data and model

def load_images(flags, kind, recipes, named):
    """The data set; for a prior, as the codes of its VQ-VAE. named: whether the user named it."""
    if "codes" not in recipes[flags.model].has:
        return load_data(flags, data.KINDS[kind], named)
    vqvae = find_vqvae(flags, kind, recipes)
    same = OWN_IMAGES if "images" in flags else ("dataset",)
    vars(flags).update({name: getattr(vqvae.flags, name) for name in same})
    dataset = load_data(flags, data.KINDS[kind], named=True)
    kept = runs.kept_codes(flags.resume, vqvae) if flags.resume else {}
    say(flags, fitted(f"The codes are those in {flags.resume}/codes.npz" if kept else
                      f"Encoding {dataset.title} with {vqvae.folder}"))
    return runs.encoded(dataset, vqvae, flip=flags.flip, kept=kept, quiet=flags.quiet)


def load_data(flags, kind, named):
    """The data set named, or the usual one, or the synthetic one where that cannot be had."""
    if not kind.datasets:
        return own_images(flags)
    name = flags.dataset = flags.dataset or kind.datasets[0]
    try:
        return data.load(name, flags.data_dir, not flags.quiet, kind.synthetic)
    except data.MissingDataError as error:
        if named and not flags.resume and not getattr(flags, "codes", None):
            raise data.MissingDataError(f"{error}, or use --dataset synthetic, which needs no file"
                                        ) from None
        if named:
            raise
        flags.dataset = "synthetic"
        print(fitted(f"NOTE: {name} is not on this machine and could not be downloaded; going on "
                     f"with SYNTHETIC images. ({str(error).splitlines()[1].strip()})"),
              file=sys.stderr)
        return data.load("synthetic", synthetic=kind.synthetic)


def own_images(flags):
    """The images of one's own that train_images.py is given; what was taken for granted is said."""
    if not flags.images:
        raise RunError("which images? Name a folder of pictures or a file: python train_images.py "
                       "PATH --model MODEL")
    if flags.data_dir and not flags.resume and not getattr(flags, "codes", None):
        raise RunError(f"--data-dir {flags.data_dir}: says where the images of a run that goes on "
                       f"lie now; name these as the PATH")
    flags.images, flags.test = absolute(flags.images), flags.test and absolute(flags.test)
    dataset = data.load_own(flags, flags.data_dir, not flags.quiet,
                            may_have_moved=bool(flags.resume or getattr(flags, "codes", None)))
    for words in dataset.said:
        say(flags, fitted(f"NOTE: {words}"))
    return dataset


def find_vqvae(flags, kind, recipes):
    """The run of the VQ-VAE named by --codes, or of a run that goes on; RunError if there is none
    that fits."""
    if not flags.codes:
        raise RunError(f"--model {flags.model} needs --codes RUN, the run of a VQ-VAE whose codes "
                       f"it is to model: train one first, with {data.training_of(kind)} "
                       f"--model vqvae")
    if flags.binarize != "none":
        raise RunError(f"--model {flags.model}: its images are grids of codes, which cannot be "
                       f"binarised; leave out --binarize")
    if flags.resume:
        return runs.own_vqvae(replace(runs.read(flags.resume), flags=flags), {kind: recipes})
    vqvae = runs.open_vqvae(flags.codes, {kind: recipes}, kind)
    if getattr(flags, "dataset", None) not in (None, vqvae.trained_on["name"]):
        raise RunError(f"--dataset {flags.dataset}: the VQ-VAE of --codes {flags.codes} was "
                       f"trained on {vqvae.trained_on['name']}; leave out --dataset")
    for name, (default, *_) in OWN_IMAGES.items() if "images" in flags else ():
        given, its = getattr(flags, name), getattr(vqvae.flags, name)
        if given != default and (
                absolute(given) if name in ("images", "test") else given) != its:
            raise RunError(f"{given if name == 'images' else dashed(name)}: the images are those "
                           f"of the VQ-VAE of --codes {flags.codes}, {vqvae.flags.images}, read as "
                           f"for that; leave it out")
    return vqvae


def prepared(dataset, flags):
    """The part of the data that is trained and tested on, binarised where that is done once."""
    if flags.validation:
        dataset = dataset.with_validation(flags.validation)
    if flags.limit:
        dataset = dataset.limited(flags.limit)
    if flags.binarize != "none":
        dataset = data.statically_binarised(dataset, train=flags.binarize == "static")
    return dataset


def begin_from(flags, recipe, dataset, model):
    """Give the model the weights of the run --from, the averaged or the best where those are kept,
    unless it is to go on with its own; the words for it. Raises RunError if they do not fit."""
    folder = getattr(flags, "from")
    if not folder or flags.resume and not barely_begun(Path(flags.resume)):
        return ""
    run = runs.read(folder)
    if run.flags.model != flags.model:
        raise RunError(f"--from {folder}: that run is {an(run.flags.model)}, not "
                       f"{an(flags.model)}; leave out --model, or name another run")
    if "codes" in recipe.has and run.trained_on["sha256"] != dataset.sha256:
        raise RunError(f"--from {folder}: its codes are not those of {flags.codes}, and a prior's "
                       f"weights know only the codes they were trained on; leave out --codes")
    path = run.folder / "checkpoint.npz"
    if not path.is_file():
        raise RunError(f"--from {folder}: that run has no checkpoint yet; train it first")
    of_data = {n: a for n, a in model.state_dict().items() if n == "data_variance"}
    try:
        progress = checkpoint.load(path, model, averaged=True)
    except CheckpointError:
        sizes = [(dashed(name), getattr(run.flags, name, default), getattr(flags, name))
                 for name, default in recipe.sizes.items()]
        sizes += [(name.replace("_", " "), run.trained_on[name], getattr(dataset, name))
                  for name in ("image_shape", "num_classes")]
        for what, theirs, ours in sizes:
            if in_words(theirs) != in_words(ours):
                raise RunError(f"--from {folder}: that run has {what} {in_words(theirs)}, this one "
                               f"{in_words(ours)}; weights go only where they fit") from None
        raise
    model.load_state_dict(model.state_dict() | of_data)
    return "\n" + fitted(f"  with the weights of {folder} after step {progress['step']:,}")


def go_on(run, flags, dataset, model, optimizer, foremost):
    """Load the checkpoint of this Run; returns its progress (None if it was ended before its first
    checkpoint: it then begins anew), and what was changed on the way so far, for config.json.
    foremost: as in begin. Raises RunError if the run cannot go on with these flags."""
    folder = run.folder
    runs.check_data(folder, run.trained_on, dataset)
    if barely_begun(folder):
        return None, []
    progress = checkpoint.load(folder / "checkpoint.npz", model, optimizer)
    if any(foremost not in row for row in progress["history"]):
        raise RunError(f"--resume {folder}: its config.json says that it measures {foremost}, and "
                       f"its checkpoint has none: they are not of one run; restore one of the two")
    epochs = progress["history"][-1]["epoch"] if progress["history"] else 0
    for name, count in ("epochs", epochs), ("steps", progress["step"]):
        if (getattr(flags, name) or count) < count:
            raise RunError(f"--resume {folder}: that run has done {count} {name} already; give "
                           f"--{name} above {count} to go on")
    before, continued = run.config["flags"], run.config.get("continued", [])
    was = {n: before.get(n) for n in ("epochs", "steps", "lr", "schedule", "patience")
           if before.get(n) != getattr(flags, n)}
    early = stale(progress["history"], progress.get("best"), flags.patience)
    name, count = ("steps", progress["step"]) if flags.steps else ("epochs", epochs)
    if early:
        name, count = "patience", rows_since(progress["best"], progress["history"])
    idle = [dashed(n) for n in was if getattr(flags, n) is not None and n != name]
    if idle and count >= getattr(flags, name):
        raise RunError(f"--resume {folder}: that run is finished{' (stopped early)' * early}, and "
                       f"{', '.join(idle)} would change nothing; to go on, give --{name} "
                       f"above {count}, too")
    return progress, continued + (
        [{"after_step": progress["step"], "was": was}] if was else [])


# ---------------------------------------------------------------- what is said

def title(flags, dataset):
    return f"{flags.model} on {dataset.title}"


def opening(flags, images, model, folder, progress):
    """The first lines: what is trained, on what, by what, into where."""
    count = sum(p.size for p in model.parameters())
    after = ""
    if progress:
        whole = progress["step"] >= total_steps(images, flags) or stale(
            progress["history"], progress.get("best"), flags.patience)
        after = (f", which is complete: {progress['step']:,} steps" if whole else
                 f", going on after step {progress['step']:,}")
    several = f", {n} processes" if (n := processes(flags.batch_size)) > 1 else ""
    return "\n".join([
        fitted(f"{title(flags, images)}: {len(images.train_images):,} training and "
               f"{len(images.test_images):,} {images.held_out} images;"),
        fitted(f"  {count:,} parameters; {backend.describe()}{several}; into {folder}{after}")])


def notes(flags, images):
    """What is taken in another way than the flags say it."""
    n, blocks = len(images.train_images), getattr(flags, "blocks", 0)
    if flags.batch_size > n:
        yield f"--batch-size {flags.batch_size}: each step takes all {n:,} training images"
    if len(given := getattr(flags, "dilations", [1])) not in (1, blocks):
        yield (f"--dilations {' '.join(map(str, given))}: the {blocks} blocks take "
               f"{' '.join(str(given[k % len(given)]) for k in range(blocks))}")


def closing(columns, units, log, folder, drawn, resume, flags):
    """The last lines: the test figures and the best before them, where everything is, what to try
    next."""
    early = log.stale(flags.patience)
    count, unit = (flags.epochs, "epoch") if flags.epochs else (flags.steps, "step")
    more = f"--patience {2 * flags.patience}" if early else f"--{unit}s {2 * count}"
    after = f"{count:,} {unit}{'s' * (count > 1)}"
    last, part = log.final, log.held_out
    if log.best:
        after = (f"epoch {last['epoch']}, the best of {len(log.history)}"
                 + " (stopped early)" * early)
    figures = "   ".join(f"{label(n)} {last[f'{part}_{n}']:.5g}" for n in columns)
    foremost = f"{part}_{columns[0]}"  # the lower the better, whichever it is
    best = min((row for row in log.history if foremost in row), key=lambda row: row[foremost])
    whole = "   ".join(words.replace(" ", "\0") for words in figures.split("   "))  # is cut between
    of_these = [label(n) for n in columns if n not in UNITS_APART]
    whose = f"{', '.join(of_these)} " * (len(of_these) < len(columns))
    lines = ["", fitted(f"{part.capitalize()} set after {after}, {whose}in {units}:"),
             fitted(f"  {whole}").replace("\0", " ")]
    if best[foremost] < last[foremost]:
        lines += [f"  best so far: {label(columns[0])} {best[foremost]:.5g} after epoch "
                  f"{best['epoch']}"]
    lines += [f"In {folder}/:", fitted(f"  {', '.join(drawn)}"),
              "  " + ", ".join(n for n in ("metrics.csv", "train.csv", "checkpoint.npz",
                                           "config.json") if (folder / n).exists()), "Next:"]
    return "\n".join(lines + [f"  python {script} {shlex.quote(str(folder))}"
                              for script in ("generate.py", "explore.py")
                              if (Path(__file__).parents[2] / script).is_file()]
                     + [f"  {resume} {more}"])


def say(flags, text):
    if not flags.quiet:
        print(text, flush=True)
