"""Make pictures with a trained run.

    python generate.py runs/vae-mnist                         new images
    python generate.py runs/vae-mnist --what interpolation    one to another
    python generate.py pretrained/cvae-mnist --label 3 4      of these classes
    python generate.py pretrained/cvae-mnist --what styles    a z as each class
    python generate.py pretrained/vae-mnist --what traversal  a number of z each
    python generate.py pretrained/vae-mnist --what all        all that it can
    python generate.py runs/pixelcnn-mnist --temperature 0.6 0.8 1    likelier
    python generate.py runs/pixelcnn-mnist --what completion  the lower half
    python generate.py runs/prior-mnist --num 64 --out new.npy      an array
    python generate.py runs/vqvae-mnist --input mine.png      made of your own
    python generate.py RUN --input FOLDER --what scores --out scores.csv
    python generate.py RUN --input mine.png --what completion --mask mask.png
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import csv
from contextlib import suppress
from functools import cache
from itertools import product
from math import log, prod
from pathlib import Path

import numpy as np

from models import RECIPES
from scratchnet.errors import DataError, RunError, an, columns, fitted, printable
from scratchnet.runs.data import training_of
from scratchnet.runs.files import replacing
from scratchnet.runs.folder import check_has_room, put_unused, unused
from scratchnet.runs.images import Form, changes, decode
from scratchnet.runs.many import listed, metrics
from scratchnet.runs.parser import parser_of_runs, read_run_flags
from scratchnet.runs.pictures import (
    PICTURES,
    Request,
    in_order,
    make,
    origin_of,
    possible,
    write_figure,
)
from scratchnet.runs.run import open_run
from scratchnet.runs.script import guarded, usage, use_backend

OF_IMAGES = ("reconstructions", "interpolation", "traversal", "latent", "completion", "scores",
             "codes", "usage")
COOLED = "samples", "completion"
LARGEST = 10_000  # images in a picture


def main(argv):
    if not argv:
        here = listed(folder for folder in ("pretrained", "runs") if Path(folder).is_dir())
        return usage("generate.py", "\n".join(
            [__doc__.rstrip(), *["", "Runs that are here:"] * bool(here), *here]))
    flags = read_run_flags(build_parser(), argv)
    use_backend(flags.backend)
    out = Path(flags.out) if flags.out else None
    check_out(out, flags.overwrite)
    run = open_run(flags.run, RECIPES)
    names = chosen(run, flags)
    given = flags.input and run.given(flags.input, not flags.quiet)
    for words in given.said if given and not flags.quiet else ():
        print(fitted(f"NOTE: {words}"))
    if given and run.model.num_classes and flags.label is None and given.test_labels is None:
        raise RunError("--input: this run is told the class of an image; say which with --label")
    if given and given.test_labels is None and flags.label and not run.model.num_classes:
        raise RunError("--label: the images of --input have no classes; leave it out")
    mask = flags.mask and read_mask(flags.mask, run, flags.quiet)
    @cache
    def dataset(): return given or run.dataset(flags.data_dir, not flags.quiet)
    several, one = varied(flags)
    ask = Request(run.model, run.title, run.image_shape, dataset, flags.seed, flags.num, mask=mask,
                  quiet=flags.quiet, given=bool(given),
                  whole=bool(given) and in_numbers(out), variants=several, **one, origin=origin_of(
                      run.folder, run.progress["step"], history(run), flags.seed),
                  classes=run.classes)
    lacking, missing = {}, None
    for what in names:
        try:
            if missing and what in OF_IMAGES:
                raise missing
            draw(run, what, ask, flags, out)
        except (DataError, RunError) as error:
            missing = error if isinstance(error, DataError) else missing
            lacking.setdefault(error, []).append(what)
    if sum(lacking.values(), []) == names:
        raise next(iter(lacking))
    for error, without in lacking.items():
        print(f"NOTE: without {', '.join(without)}: {str(error).splitlines()[0].rstrip(':')}",
              file=sys.stderr)


def draw(run, what, ask, flags, named):
    """Write a picture, or the array or table that it shows, to the file that is named, or (None) to
    a new one of the run, and say so."""
    usual = run.folder / file_name(what, flags)
    out = named or unused(usual)
    check_has_room(out)
    array, figure = make(what, ask)
    rows = table(run, array, ask) if what == "scores" else ()
    new = not flags.overwrite
    if out.suffix == ".npy":
        with replacing(out, new=new) as file:
            np.save(file, array)
    elif out.suffix == ".csv":
        with replacing(out, "w", new) as file:
            names = "image", "nats", "bits_per_code" if run.vqvae else "bits_per_dim"
            csv.writer(file).writerows([names, *rows])
    elif named:
        write_figure(out, figure(), flags.dpi, new)
    else:
        out = put_unused(usual, lambda path: write_figure(path, figure(), flags.dpi, new=True))
    if not flags.quiet:
        per, width = "code" if run.vqvae else "dimension", min(80, columns()) - 50
        for name, nats, bits in rows:
            print(f"  {name:<{width}} {nats:12,.2f} nats {bits:10.4f} bits per {per}")
        size = " x ".join(map(str, array.shape))
        print(fitted(f"{what} of {run.title}: {out}" + f" ({size})" * (out.suffix == ".npy")))


def chosen(run, flags):
    """The names of the pictures that are asked for. Raises RunError if there are none."""
    if flags.what != "all":
        name = flags.what or next(name for name in possible(run.model)
                                  if not flags.input or name in OF_IMAGES)
        check(run, name, flags)
        return [name]
    if flags.out:
        raise RunError("--out: --what all makes several pictures, in the folder of the run; leave "
                       "it out")
    names, left_out = [], {}
    for name in possible(run.model):
        try:
            check(run, name, flags)
            names.append(name)
        except RunError as error:
            left_out[name] = error
    if not names:
        raise left_out.popitem()[1]
    for name, error in left_out.items() if not flags.quiet else ():
        print(fitted(f"NOTE: without {name}: {error}"))
    return names


def varied(flags):
    """The fields of the Requests beside each other, if several temperatures, guidances or labels
    are given, and those that are the same in all."""
    given = {n: getattr(flags, n) for n in ("temperature", "guidance", "label")
             if getattr(flags, n)}
    several = {n: values for n, values in given.items() if len(values) > 1}
    rows = [dict(zip(several, row, strict=True)) for row in product(*several.values())]
    return rows if several else (), {n: v[0] for n, v in given.items() if n not in several}


def file_name(what, flags):
    how = "".join(f"-{n}" + "-".join(f"{v:g}" for v in getattr(flags, n))
                  for n in ("temperature", "guidance") if getattr(flags, n) and what in COOLED)
    return f"{what}{how}-seed{flags.seed}.png"


def history(run):
    """The rows of its training; of a run that was exported, as far as its table can be read."""
    with suppress(RunError):
        return run.progress["history"] or metrics(run.folder)
    return []


def table(run, nats, ask):
    """(name, or number, nats, bits per dimension, or code) of each image scored, in order."""
    names = ask.dataset().names if ask.given else ()
    dims = prod(run.image_shape)
    return [(printable(names[k]) if k < len(names) else int(k), n, n / (dims * log(2)))
            for k, n in zip(ask.chosen, map(float, nats), strict=True)]


def read_mask(path, run, quiet):
    """A picture of the size of the run's images as an array (H, W): white is to be drawn."""
    size = (run.vqvae or run).image_shape[:2]
    if not Path(path).is_file():
        raise RunError(f"--mask {path}: there is no such file; give a picture, its white is drawn")
    image, before = decode(Path(path), Form(size, grey=True))
    done = changes([before], (*size, before[2]))
    if done and not quiet:
        print(fitted(f"NOTE: {path}: {', '.join(done)}"))
    mask = image[..., 0] >= 128
    if not mask.any():
        raise RunError(f"--mask {path}: nothing in it is white; what is white is drawn anew")
    return mask


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
    if what == "traversal" and hasattr(model, "mean_image"):
        return f"it is for z of more than two dimensions, and this run's has {model.z_dim}"
    if what == "styles" and hasattr(model, "sample") and hasattr(model, "mean_image"):
        return "it shows one z as each class, and this run is not told the class; " + told(run)
    return f"{an(run.flags.model)} has no {what}"


def told(run):
    """What to do for a run that is told the class."""
    model = run.flags.model if hasattr(run.flags, "conditional") else "gated-pixelcnn"
    if run.vqvae:
        return (f"train one with python {run.script} --model {model} --codes {run.vqvae.folder} "
                f"--conditional")
    return f"train one with {training_of(run.kind)} --model {model} --conditional"


def check(run, what, flags):
    """Raise RunError for what this run cannot do, before any work."""
    grey = getattr(run.model, "likelihood", None) == "bernoulli" and run.flags.binarize == "none"
    can = [name for name in possible(run.model) if name != "scores" or not grey]
    if what not in possible(run.model):
        raise RunError(f"--what {what}: {refusal(run, what)}. This run can give: {', '.join(can)}")
    count = run.trained_on["num_classes"]
    for label in flags.label or ():
        if label >= count and (run.model.num_classes or not flags.input):
            raise RunError(f"--label {label}: {run.trained_on['title']} has the classes 0 to "
                           f"{count - 1}")
        if what == "samples" and not run.model.num_classes:
            raise RunError(f"--label {label}: this run is not conditional on a class; {told(run)}")
    for name in "label", "temperature", "guidance":
        if what != "samples" and len(getattr(flags, name) or ()) > 1:
            raise RunError(f"--{name}: several are for samples; give {what} one")
    of_all = ("latent", "usage", "palette", "styles", *([] if run.model.num_classes else
                                                        ["manifold"]))
    if flags.label is not None and what in of_all:
        raise RunError(f"--label: {what} is not of one class; leave it out")
    if flags.num and what in ("latent", "usage", "palette"):
        raise RunError(f"--num: {what} is of all there is; leave it out")
    if flags.input and what not in OF_IMAGES:
        could = [name for name in can if name in OF_IMAGES]
        raise RunError(f"--input: {what} is not of images that are given; this run can give "
                       f"--what {', '.join(could)}")
    if flags.mask and what != "completion":
        raise RunError("--mask: is for --what completion; leave it out")
    if flags.out and flags.out.endswith(".csv") and what != "scores":
        raise RunError(f"--out {flags.out}: a table is of --what scores; name a .png or .npy")
    if what in ("codes", "scores") and (flags.num or 0) > 100 and not in_numbers(flags.out):
        raise RunError(f"--num {flags.num}: a picture shows the {what} of at most 100 images; "
                       f"--out {what}.npy writes those of more")
    if (flags.num or 0) ** (1 + (what == "manifold")) > LARGEST and not in_numbers(flags.out):
        raise RunError(f"--num {flags.num}: a picture shows at most {LARGEST:,} images; --out "
                       f"{what}.npy writes those of more")
    if what == "scores" and grey:
        raise RunError("--what scores: this run's pixels are grey, and a Bernoulli decoder has no "
                       "likelihood for those; take a run that was trained with --binarize dynamic")
    if flags.guidance and not getattr(run.model, "untold", 0):
        raise RunError("--guidance: is for a prior or a gated-pixelcnn that was trained with "
                       "--conditional --untold 0.1; this run was not")
    if flags.guidance and what not in COOLED:
        raise RunError(f"--guidance: means nothing to {what}; it is for samples and completions")
    if flags.temperature and not (in_order(run.model) and what in COOLED):
        raise RunError(f"--temperature: means nothing to {what} of {an(run.flags.model)}; it is "
                       f"for samples and completions of a pixelcnn or a prior")


def in_numbers(out):
    """Whether --out is an array or a table, and no picture."""
    return bool(out) and Path(out).suffix in (".npy", ".csv")


def check_out(out, overwrite):
    """Raise RunError for an --out that cannot be written, or would replace something."""
    if out is None:
        return
    if out.suffix not in (".png", ".npy", ".csv"):
        raise RunError(f"--out {out}: must end in .png (a picture), .npy (an array) or .csv (the "
                       f"table of --what scores)")
    if out.is_dir():
        raise RunError(f"--out {out}: is a folder; name a file")
    if out.exists() and not overwrite:
        raise RunError(f"--out {out}: exists; name another file, or give --overwrite")


def build_parser():
    return parser_of_runs("generate.py", __doc__, {
        "what": (None, (*PICTURES, "all"), "default: the first of these that the run can give"),
        "num": (None, "count", "how many (of a manifold: along each side; of a traversal: rows; of "
                "several labels, temperatures or guidances: in each row)"),
        "label": (None, "naturals", "draw this class (conditional models), or a row of each of "
                  "these; take test images of this class"),
        "input": (None, "FILE", "images of your own, a picture or whatever train_images.py takes, "
                  "in the place of test images; cut and resized to the run's"),
        "mask": (None, "FILE", "for completion: a picture whose white is drawn anew (default: the "
                 "lower half)"),
        "temperature": (None, "positives", "divides the logits of a PixelCNN: below 1 nearer to "
                        "the likeliest; of several a row each"),
        "guidance": (None, "positives", "above 1 more of its class, mostly less varied; 2, say "
                     "(runs trained with --untold); of several a row each"),
        "seed": (0, "natural", "of what is drawn, and of which test images are shown"),
        "out": (None, "FILE", ".png, .npy, or for scores .csv (default: a new .png in RUN)"),
        "dpi": (110, "dpi", "of a .png: pixels per inch"),
        "overwrite": (None, "switch", "replace the file --out"),
    })


if __name__ == "__main__":
    sys.exit(guarded("generate.py", main, sys.argv[1:]))
