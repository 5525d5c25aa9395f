"""Make pictures with a trained run.

    python generate.py runs/vae-mnist                               new images
    python generate.py runs/vae-mnist --what interpolation          from one image to another
    python generate.py pretrained/cvae-mnist --label 3              new images of one class
    python generate.py pretrained/cvae-mnist --what styles          one z as each class
    python generate.py runs/pixelcnn-mnist --temperature 0.9        nearer to what is likeliest
    python generate.py runs/pixelcnn-mnist --what completion        the lower half, drawn anew
    python generate.py runs/prior-mnist --num 64 --out new.npy      the images as an array
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

from functools import cache
from pathlib import Path

import numpy as np

from models import RECIPES
from scratchnet.errors import RunError
from scratchnet.runs.cli import guarded, usage, use_backend
from scratchnet.runs.files import replacing
from scratchnet.runs.flags import parser_of_runs, read_run_flags
from scratchnet.runs.folder import check_has_room, unused
from scratchnet.runs.pictures import PICTURES, Request, in_order, make, possible, write_figure
from scratchnet.runs.run import open_run


def main(argv):
    if not argv:
        return usage("generate.py", __doc__)
    flags = read_run_flags(build_parser(), argv)
    use_backend(flags.backend)
    out = Path(flags.out) if flags.out else None
    check_out(out, flags.overwrite)
    run = open_run(flags.run, RECIPES)
    what = flags.what or possible(run.model)[0]
    check(run, what, flags)
    out = out or unused(run.folder / f"{what}-seed{flags.seed}.png")
    check_has_room(out)
    @cache
    def dataset(): return run.dataset(flags.data_dir, not flags.quiet)
    array, figure = make(what, Request(run.model, run.title, run.image_shape, dataset, flags.seed,
                                       flags.num, flags.label, flags.temperature, flags.quiet))
    if out.suffix == ".npy":
        with replacing(out) as file:
            np.save(file, array)
    else:
        write_figure(out, figure())
    if not flags.quiet:
        size = " x ".join(map(str, array.shape))
        print(f"{what} of {run.title}: {out}" + (f" ({size})" if out.suffix == ".npy" else ""))


# ---------------------------------------------------------------- what cannot be asked

def refusal(run, what):
    """Why this run cannot give `what`."""
    model = run.model
    if what == "samples" and hasattr(model, "codes"):
        return (f"a VQ-VAE has nothing to draw new codes from: train a prior over its codes, "
                f"with python {run.script} --model prior --codes {run.folder}, and draw from that")
    if what == "manifold" and hasattr(model, "sample") and hasattr(model, "mean_image"):
        return (f"it shows a latent plane, and this run's z has {model.z_dim} dimensions; "
                f"train one with --z-dim 2")
    if what == "styles" and hasattr(model, "sample") and hasattr(model, "mean_image"):
        return "it shows one z as each class, and this run is not told the class; " + told(run)
    return f"a {run.flags.model} has no {what}"


def told(run):
    """What to do for a run that is told the class."""
    model = run.flags.model if hasattr(run.flags, "conditional") else "gated-pixelcnn"
    return f"train one with python {run.script} --model {model} --conditional"


def check(run, what, flags):
    """Raise RunError for what this run cannot do, before any work."""
    if what not in possible(run.model):
        raise RunError(f"--what {what}: {refusal(run, what)}. This run can give: "
                       f"{', '.join(possible(run.model))}")
    count = run.trained_on["num_classes"]
    if flags.label is not None and flags.label >= count:
        raise RunError(f"--label {flags.label}: {run.trained_on['title']} has the classes 0 to "
                       f"{count - 1}")
    if flags.label is not None and what == "samples" and not run.model.num_classes:
        raise RunError(f"--label {flags.label}: this run is not conditional on a class; "
                       f"{told(run)}")
    of_all = ("latent", "usage", "palette", "styles", *([] if run.model.num_classes else
                                                        ["manifold"]))
    if flags.label is not None and what in of_all:
        raise RunError(f"--label: {what} is not of one class; leave it out")
    if flags.num and what in ("latent", "usage", "palette"):
        raise RunError(f"--num: {what} is of all there is; leave it out")
    if flags.temperature and not (in_order(run.model) and what in ("samples", "completion")):
        raise RunError(f"--temperature: means nothing to {what} of a {run.flags.model}; it is for "
                       f"samples and completions of a pixelcnn or a prior")


def check_out(out, overwrite):
    """Raise RunError for an --out that cannot be written, or would replace something."""
    if out is None:
        return
    if out.suffix not in (".png", ".npy"):
        raise RunError(f"--out {out}: must end in .png (a picture) or .npy (an array)")
    if out.is_dir():
        raise RunError(f"--out {out}: is a folder; name a file")
    if out.exists() and not overwrite:
        raise RunError(f"--out {out}: exists; name another file, or give --overwrite")


def build_parser():
    return parser_of_runs("generate.py", __doc__, {
        "what": (None, tuple(PICTURES), "default: the first of these that the run can give"),
        "num": (None, "count", "how many (of a manifold: along each side)"),
        "label": (None, "natural", "draw this class (conditional models); take test images of this "
                  "class"),
        "temperature": (None, "positive", "divides the logits of a PixelCNN: below 1 nearer to the "
                        "likeliest"),
        "seed": (0, "natural", "of what is drawn, and of which test images are shown"),
        "out": (None, "FILE", ".png or .npy (default: a new .png in RUN)"),
        "overwrite": (None, "switch", "replace the file --out"),
    })


if __name__ == "__main__":
    sys.exit(guarded("generate.py", main, sys.argv[1:]))
