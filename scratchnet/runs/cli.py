"""What train_mnist.py and train_cifar.py share: a run from its flags to its summary, and the
checks that come before any long work."""

import contextlib
import json
import os
import shlex
import sys
import warnings
from pathlib import Path

from .. import backend
from ..errors import RunError, UserError
from ..optim import Adam
from ..fast.processes import processes
from ..training import generator
from . import checkpoint, data
from . import run as runs
from .flags import RUN_ONLY, build_parser, read_flags
from .log import label
from .train import train


def main(prog, about, datasets, recipes, synthetic, argv=None):
    """Run a training script; returns the exit code: 0, 2 for the user's mistake, 130 for Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    return guarded(prog, start, prog, about, datasets, recipes, synthetic, argv)


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


def start(prog, about, datasets, recipes, synthetic, argv):
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
    flags.backend, flags.dataset = library, dataset.name
    with held(folder):
        return carry_out(prog, flags, dataset, codec, model, optimizer, folder)


def carry_out(prog, flags, dataset, codec, model, optimizer, folder):
    """Begin or resume the run in the folder, train, draw, say how it went; the exit code."""
    progress, continued = None, []
    config_path = folder / "config.json"
    if flags.resume:
        config = json.loads(config_path.read_text())
        recorded = config.get("dataset") or {}
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
        before = config.get("flags", config)
        changed = {n: before.get(n) for n in ("epochs", "steps", "lr", "schedule")
                   if before.get(n) != getattr(flags, n)}
        continued = config.get("continued", []) + (
            [{"after_step": progress["step"], "was": changed}] if changed else [])
    else:
        start_folder(folder)
    write_config(config_path, prog, flags, dataset, continued)

    whole = dataset
    if flags.limit:
        whole = whole.limited(flags.limit)
    if flags.binarize != "none":
        whole = data.statically_binarised(whole, train=flags.binarize == "static")
    title = f"{flags.model} on {whole.title}"
    count = sum(p.size for p in model.parameters())
    after = f", going on after step {progress['step']:,}" if progress else ""
    several = f", {n} processes" if (n := processes(flags.batch_size)) > 1 else ""
    say(flags, f"{title}: {len(whole.train_images):,} training and {len(whole.test_images):,} test "
               f"images; {count:,} parameters; {backend.describe()}{several}; into {folder}{after}")
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


@contextlib.contextmanager
def held(folder):
    """Make the folder if it is not there, and keep other processes from training into it: RunError
    if one does already. (By a lock on the folder itself, which leaves no file and goes with the
    process; on systems without such locks nothing is kept.)"""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the run cannot be written to {folder}: {error.strerror}; name another "
                       f"folder with --out") from None
    try:
        import fcntl
        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(f"{folder}: another process is training into this folder; wait until it is "
                       f"done, or stop it, and then use --resume {folder}") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def start_folder(folder):
    """Remove the files of the run that was there, if --overwrite was given."""
    try:
        for old in [*folder.glob("*.png"), *(folder / n for n in (
                "checkpoint.npz", "metrics.csv", "train.csv", "evaluation.json"))]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"the run cannot be written to {folder}: {error.strerror}; name another "
                       f"folder with --out") from None


def write_config(path, prog, flags, dataset, continued):
    """config.json: everything that repeats the run, and what it ran on. continued: what was
    changed on the way, by --resume: [{"after_step": n, "was": {flag: earlier value}}, ...]."""
    kept = {n: v for n, v in vars(flags).items() if n not in (*RUN_ONLY, "out", "data_dir")}
    content = {"script": prog, "flags": kept,
               "dataset": {"name": dataset.name, "title": dataset.title, "sha256": dataset.sha256,
                           "image_shape": list(dataset.image_shape),
                           "num_classes": dataset.num_classes},
               **({"continued": continued} if continued else {}),
               "versions": backend.versions(), "processes": processes(flags.batch_size)}
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
