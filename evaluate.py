"""Measure a trained run on its test set, in the field's units.

    python evaluate.py runs/vae-mnist           -ELBO
    python evaluate.py runs/vqvae-cifar10       recon_error, perplexity, codes
    python evaluate.py runs/pixelcnn-mnist      -log p(x), exactly
    python evaluate.py runs/prior-mnist         nats per code
    python evaluate.py runs/vae-iwae-mnist --importance-samples 5000    log p(x)

Prints the figures and writes them, with what they were measured on, to
evaluation.json in the run; with --limit, --binarize or --importance-samples
beside it, to a file that is named so. A file that has these figures already is
left alone; --out names another place, for a run in a folder of somebody else's.
A run that was trained with --validation N is measured on those images with
--validation.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import math
import time
from pathlib import Path

import numpy as np

from models import RECIPES
from scratchnet import backend, no_grad
from scratchnet.backend import to_numpy
from scratchnet.errors import DivergenceError, RunError, an, fitted
from scratchnet.fast import mpi
from scratchnet.fast.processes import processes, start_group
from scratchnet.runs.data import statically_binarised
from scratchnet.runs.files import read_json, write_json
from scratchnet.runs.folder import check_has_room, versions
from scratchnet.runs.log import counting, label
from scratchnet.runs.parser import parser_of_runs, read_run_flags
from scratchnet.runs.run import open_run
from scratchnet.runs.script import guarded, usage, use_backend
from scratchnet.training import classes, evaluate, generator, to_batch

IMAGES = 500  # images in one batch of importance sampling: 500 x 784 numbers stay in the cache


def main(argv):
    if not argv:
        return usage("evaluate.py", __doc__)
    flags = read_run_flags(build_parser(), argv)
    if flags.out and (not flags.out.endswith(".json") or Path(flags.out).exists()):
        raise RunError(f"--out {flags.out}: name a file that is not there yet, and ends in .json")
    use_backend(flags.backend, mpi.gpu())
    run, dataset, binarised = opened(flags)
    mpi.check_same(vars(flags), run.checksum())
    out = Path(flags.out or run.folder / file_name(flags))
    if mpi.rank() == 0:
        check_has_room(out)
    images, labels = dataset.test_images, dataset.test_labels
    if not flags.quiet:
        print(fitted(f"{run.title}: {len(images):,} {dataset.held_out} images"
                     + (", binarised once (--binarize static)" if binarised else "")
                     + f"; after step {run.progress['step']:,}{', the best' * run.flags.keep_best}"
                     f"; {backend.describe()}"), flush=True)

    with start_group(processes(flags.batch_size)) as group:
        def bar(size, desc):
            return counting(flags.quiet or group.rank > 0, -(-len(images) // size), desc, "part")
        means = evaluate(run.model, images, flags.batch_size, labels, group,
                         bar(flags.batch_size, "evaluating"))
        figures = {name: {"value": value} for name, value in means.items()}
        if hasattr(run.model, "neg_log_likelihood"):
            nll = per_image(run.model, images, labels, flags.batch_size, group,
                            bar(flags.batch_size, "-log p(x) of each image"))
            figures["nll"]["standard_error"] = standard_error(nll)
        if flags.importance_samples:
            figures["importance_nll"] = importance(run.model, images, labels, flags, group,
                                                   bar(IMAGES, "importance sampling"))
    if group.rank:  # one of those that MPI started
        return
    units = run.units
    if bernoulli(run.model):
        given = ", given its class" if run.model.num_classes else ""
        units = f"nats per image{given}" + ("" if binarised else " (grey pixels: a loss)")
    show(run, figures, units, flags)
    wrong = [name for name, figure in figures.items() if not math.isfinite(figure["value"])]
    if wrong:
        raise DivergenceError(f"{run.folder}: {wrong[0]!r} is {figures[wrong[0]]['value']}, no "
                              f"figure to keep: the training diverged; train again, with a lower "
                              f"--lr")

    content = {"run": str(run.folder), "model": run.flags.model, "units": units,
               "dataset": dataset.title, "binarised": binarised,
               f"{dataset.held_out}_images": len(images),
               "step": run.progress["step"], "batch_size": flags.batch_size,
               "importance_samples": flags.importance_samples, "figures": figures,
               "versions": versions()}
    known = unchanged(out, content)
    replaced = ", in the place of other figures" * out.exists()
    if not known:
        write_json(out, content, new=bool(flags.out))
    if not flags.quiet:
        print(f"As {out} says" if known else f"In {out}{replaced}")


def opened(flags):
    """The Run, the data that it is measured on, and whether they are binary."""
    run = open_run(flags.run, RECIPES)
    check(run, flags)
    dataset = run.dataset(flags.data_dir, not flags.quiet, flags.validation)
    binarised = run.flags.binarize != "none" or flags.binarize == "static"
    if flags.binarize == "static" and run.flags.binarize == "none":
        dataset = statically_binarised(dataset)
    if flags.limit and flags.limit >= len(dataset.test_images):
        flags.limit = None  # all there are, and called so
    dataset = dataset.limited(flags.limit) if flags.limit else dataset
    return run, dataset, binarised


def unchanged(out, content):
    """Whether a file has the same figures already, but for rounding: one that is kept under version
    control is then left as it is."""
    try:
        before = read_json(out)
        figures, others = content["figures"], content.keys() - {"figures", "run", "versions"}
        return (before["figures"].keys() == figures.keys()
                and all(before[name] == content[name] for name in others)
                and all(math.isclose(before["figures"][name]["value"], figure["value"],
                                     rel_tol=1e-6) for name, figure in figures.items()))
    except (RunError, OSError, KeyError, TypeError, AttributeError):  # none, or another form
        return False


def file_name(flags):
    """A longer or a shorter measurement replaces none but its like."""
    name = "validation" if flags.validation else "evaluation"
    name += "-static" if flags.binarize else ""
    name += f"-first{flags.limit}" if flags.limit else ""
    name += f"-importance{flags.importance_samples}" if flags.importance_samples else ""
    return f"{name}.json"


@no_grad()
def per_image(model, images, labels, size, group, done):
    """-log p(x) in nats for each image, (N,)."""
    def nll(part):
        return to_numpy(model.neg_log_likelihood(to_batch(images[part], model.takes_codes),
                                                 **classes(model, labels[part])))
    return dealt(nll, len(images), size, group, done)


def dealt(fn, n, size, group, done):
    """fn(slice) of `size` images at a time, dealt to the group's processes: their results, (n,).
    done: called with how many slices they have done."""
    results = np.zeros(n)
    for start in range(size * group.rank, n, size * group.size):
        part = slice(start, min(start + size, n))
        results[part] = fn(part)
        done(group.size)
    return group.all_reduce(results)


@no_grad()
def importance(model, images, labels, flags, group, done):
    """-log p(x), or -log p(x|y), estimated with K importance samples (models/vae.py,
    log_likelihood): its mean over the images, and the standard error of that mean, which comes from
    the images being a sample.

    The estimate is an upper bound on average, and falls with K; how far it still is from the limit
    shows when K is doubled. Each batch has a generator of its own, so that the figure does not
    depend on the number of processes.
    """
    begun = time.monotonic()
    def nll_of(part):
        rng = generator(0, "evaluation", part.start // IMAGES + 1)
        return -to_numpy(model.log_likelihood(to_batch(images[part]), flags.importance_samples,
                                              rng, **classes(model, labels[part])))
    nll = dealt(nll_of, len(images), IMAGES, group, done)
    return {"value": float(nll.mean()), "standard_error": standard_error(nll),
            "seconds": round(time.monotonic() - begun, 1)}


def standard_error(values):
    """Of the mean of these values: s / sqrt(n). None for one value, which does not tell."""
    if len(values) == 1:
        return None
    return float(np.std(values.astype(np.float64), ddof=1) / math.sqrt(len(values)))


def bernoulli(model):
    """Whether it is a VAE whose likelihood is one of binary pixels only."""
    return getattr(model, "likelihood", None) == "bernoulli"


def check(run, flags):
    """Raise RunError for what this run cannot be asked, before any work."""
    name, model = run.flags.model, run.model
    if flags.validation and not run.flags.validation:
        raise RunError("--validation: this run set no training images aside; train one with "
                       "--validation N")
    if flags.importance_samples:
        if not hasattr(model, "log_likelihood"):
            raise RunError("--importance-samples: is for VAEs; " + (
                f"the -log p(x) of {an(name)} is exact without it"
                if hasattr(model, "neg_log_likelihood") else f"{an(name)} has no likelihood"))
        grey = run.flags.binarize == "none" and flags.binarize != "static"
        if bernoulli(model) and grey:
            raise RunError("--importance-samples: this run's pixels are grey, and a Bernoulli "
                           "decoder has no likelihood for those; add --binarize static, or train "
                           "with --binarize dynamic")
    if flags.binarize == "static" and run.vqvae is not None:
        raise RunError("--binarize: the images of a prior are grids of codes, which cannot be "
                       "binarised; leave it out")


def show(run, figures, default, flags):
    """Print the figures, one to a line. default: the unit of those not named here."""
    if flags.quiet:
        return
    held_out = "validation" if flags.validation else "test"
    names = {name: label(name) for name in figures} | {
        "importance_nll": f"-log p(x), {flags.importance_samples} importance samples",
        "epoch_perplexity": f"perplexity of all these {held_out} images",
        "perplexity": f"perplexity, mean over batches of {flags.batch_size}"}
    units = {"bits_per_dim": "bits per dimension", "nats_per_code": "nats per code",
             "nll": "nats per grid of codes" if run.vqvae else "nats per image",
             "vq": "", "perplexity": "", "epoch_perplexity": ""}
    if hasattr(run.model, "codes"):
        units["codes_used"] = f"of {len(run.model.e)}"
    width = max(len(names[name]) for name in figures)
    for name, figure in figures.items():
        if name == "loss" and len(figures) > 1:
            continue
        error = figure.get("standard_error")
        error = f" +- {error:.2g}" if error is not None else ""
        unit = units.get(name, default)
        if run.model.num_classes and "given" not in unit:
            unit += ", given its class"
        print(fitted(f"  {names[name]:<{width}} {figure['value']:.6g}{error} {unit}", width + 3))


def build_parser():
    return parser_of_runs("evaluate.py", __doc__, {
        "importance_samples": (None, "count", "estimate log p(x) of a VAE with N weights for each "
                               "image"),
        "binarize": (None, ("static",), "measure a run trained on grey pixels on the fixed "
                     "binarisation; runs trained on binary pixels always are"),
        "limit": (None, "count", "only N test images"),
        "validation": (None, "switch", "measure on the images that the run set aside with "
                       "--validation instead, into validation.json"),
        "batch_size": (128, "count", "the mean perplexity of batches depends on it"),
        "out": (None, "FILE", "a new .json for the figures (default: evaluation.json in RUN)"),
    })


if __name__ == "__main__":
    sys.exit(guarded("evaluate.py", main, sys.argv[1:]))
