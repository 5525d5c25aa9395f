"""Make pictures with a trained run.

    python generate.py runs/vae-mnist                               new images
    python generate.py runs/vae-mnist --what interpolation          from one image to another
    python generate.py runs/pixelcnn-mnist --temperature 0.9        nearer to what is likeliest
    python generate.py runs/pixelcnn-mnist --what completion        the lower half, drawn anew
    python generate.py runs/prior-mnist --num 64 --out new.npy      the images as an array
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from models import RECIPES
from scratchnet import backend, no_grad
from scratchnet.errors import RunError
from scratchnet.runs.checkpoint import replacing
from scratchnet.runs.cli import guarded
from scratchnet.runs.flags import natural, positive_float, positive_int, with_common_flags
from scratchnet.runs.log import progress_bar
from scratchnet.runs.run import open_run
from scratchnet.training import generator, to_batch


def main(argv):
    flags = build_parser().parse_args(argv)
    backend.use(flags.backend)
    out = Path(flags.out) if flags.out else None
    check_out(out, flags.overwrite)
    run = open_run(flags.run, RECIPES)
    what = flags.what or ("samples" if not refusal(run, "samples") else "reconstructions")
    check(run, what, flags)
    array, figure = WHAT[what](run, flags)
    if out is None:
        out = free_name(run.folder, f"{what}-seed{flags.seed}")
    with replacing(out) as file:
        if out.suffix == ".npy":
            np.save(file, array)
        else:
            figure().savefig(file, format="png", dpi=110)
    if not flags.quiet:
        size = " x ".join(map(str, array.shape))
        print(f"{what} of {run.title}: {out}" + (f" ({size})" if out.suffix == ".npy" else ""))


# ---------------------------------------------------------------- what can be made
# Each returns the images as an array, for .npy, and a function that draws the figure.

@no_grad()
def samples(run, flags):
    """New images: (num, H, W, C) in [0, 1]."""
    from scratchnet.runs import figures

    model, num = run.model, flags.num or 64
    how = {"temperature": flags.temperature} if flags.temperature else {}
    if getattr(model, "num_classes", 0):
        labels = np.arange(num) % model.num_classes if flags.label is None else \
            np.full(num, flags.label)
        how["labels"] = labels
    if hasattr(model, "complete"):
        how["progress"] = drawing_bar(model.image_shape[0], flags).update
    images = figures.host(model.sample(num, generator(flags.seed, "pictures"), **how))
    images = images.reshape(num, *figures.picture_shape(shape(run), images))
    side = min(16, int(np.ceil(num ** 0.5)))
    columns = model.num_classes if "labels" in how and flags.label is None else \
        next((c for c in range(side, 17) if num % c == 0), side)  # full rows, if there are any
    words = [f"{n} {v}" for n, v in (("temperature", flags.temperature), ("label", flags.label))
             if v is not None]
    title = ", ".join([f"{run.title}: samples", *words])
    return images, lambda: figures.grid(images, min(columns, num), title,
                                        figures.sample_note(model))


@no_grad()
def reconstructions(run, flags):
    """Test images and what the model makes of them: (num, 2, H, W, C)."""
    from scratchnet.runs import figures

    images, _ = test_images(run, flags, flags.num or 60)
    again = figures.host(run.model.reconstruct(to_batch(images)))
    pairs = np.stack([images / np.float32(255), again], axis=1)
    columns = min(20, len(pairs))
    rows = [pairs[i:i + columns].swapaxes(0, 1) for i in range(0, len(pairs), columns)]
    rows[-1] = np.concatenate([rows[-1], np.ones((2, columns - rows[-1].shape[1], *shape(run)),
                                                 np.float32)], axis=1)
    return pairs, lambda: figures.grid(
        np.concatenate([r.reshape(-1, *shape(run)) for r in rows]), columns,
        f"{run.title}: reconstructions", "test images in the upper row of each pair, their "
        "reconstructions below", pairs=True)


@no_grad()
def interpolation(run, flags, steps=11):
    """From one test image to another in equal steps of z: (num, steps, H, W, C)."""
    from scratchnet.runs import figures

    num = flags.num or 10
    images, _ = test_images(run, flags, 2 * num)
    z = figures.host(figures.first(run.model.encode(to_batch(images))))
    starts, ends = z[:num], np.roll(z[num:], -1, axis=0)  # each class to the next one
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    between = np.concatenate([(1 - t) * a + t * b for a, b in zip(starts, ends, strict=True)])
    found = figures.host(run.model.mean_image(backend.xp.asarray(between)))
    found = found.reshape(num, steps, *shape(run))
    return found, lambda: figures.grid(
        found.reshape(-1, *shape(run)), steps, f"{run.title}: interpolation",
        "left and right: the model's reconstructions of two test images; between them z moves in "
        "a straight line")


@no_grad()
def manifold(run, flags):
    """The latent plane of a model with z_dim 2: (side * side, H, W, C)."""
    from scratchnet.runs import figures

    side = flags.num or 20
    images = figures.manifold_images(run.model, shape(run), side)
    return images, lambda: figures.manifold(images, f"{run.title}: decoded manifold")


@no_grad()
def completion(run, flags):
    """The lower half of test images, drawn anew: (num, 6, H, W, C), of each image the half that
    was seen, four completions and the image itself."""
    from scratchnet.runs import figures

    images, labels = test_images(run, flags, flags.num or 16)
    how = {"temperature": flags.temperature} if flags.temperature else {}
    bar = drawing_bar(4 * run.model.image_shape[0], flags)
    found, figure = figures.completions(
        run.model, images, labels, generator(flags.seed, "pictures"),
        f"{run.title}: completions", progress=bar.update, **how)
    return found, lambda: figure


@no_grad()
def codes(run, flags):
    """The grids of codes of test images: integers (num, h, w)."""
    from scratchnet.runs import figures

    images, _ = test_images(run, flags, flags.num or 10)
    found = figures.host(run.model.codes(to_batch(images)))
    return found, lambda: figures.code_maps(run.model, images, found, f"{run.title}: codes")


WHAT = {"samples": samples, "reconstructions": reconstructions, "interpolation": interpolation,
        "manifold": manifold, "completion": completion, "codes": codes}


def refusal(run, what):
    """Why this run cannot give `what`; "" if it can."""
    model, name = run.model, run.flags.model
    script = run.script
    if what == "samples" and not hasattr(model, "sample"):
        if hasattr(model, "codes"):
            return (f"a VQ-VAE has nothing to draw new codes from: train a prior over its codes, "
                    f"with python {script} --model prior --codes {run.folder}, and draw from that")
        return f"an {name} knows no distribution of its codes to draw from; train a vae"
    if what == "reconstructions" and not hasattr(model, "reconstruct"):
        return f"a {name} draws images and has no code to reconstruct one from"
    if what == "interpolation" and not hasattr(model, "mean_image"):
        return f"a {name} has no continuous latent space to move in"
    if what == "manifold":
        if not hasattr(model, "mean_image"):
            return f"a {name} has no latent plane"
        if model.z_dim != 2:
            return (f"it shows a latent plane, and this run's z has {model.z_dim} dimensions; "
                    f"train one with --z-dim 2")
    if what == "completion" and not hasattr(model, "complete"):
        return f"a {name} does not draw an image in order; a pixelcnn or a prior does"
    if what == "codes" and not hasattr(model, "codes"):
        return f"a {name} has no codes; a vqvae has"
    return ""


def check(run, what, flags):
    """Raise RunError for what this run cannot do, before any work."""
    why = refusal(run, what)
    if why:
        can = [name for name in WHAT if not refusal(run, name)]
        raise RunError(f"--what {what}: {why}. This run can give: {', '.join(can)}")
    count = run.trained_on["num_classes"]
    if flags.label is not None and flags.label >= count:
        raise RunError(f"--label {flags.label}: {run.trained_on['title']} has the classes 0 to "
                       f"{count - 1}")
    if flags.label is not None and what == "samples" and not getattr(run.model, "num_classes", 0):
        raise RunError(f"--label {flags.label}: this run is not conditional on a class; train one "
                       f"with python {run.script} --model gated-pixelcnn --conditional (or prior)")
    if flags.label is not None and what == "manifold":
        raise RunError("--label: a manifold has no classes; leave it out")
    if flags.temperature and not (hasattr(run.model, "complete")
                                  and what in ("samples", "completion")):
        raise RunError(f"--temperature: means nothing to {what} of a {run.flags.model}; it is for "
                       f"samples and completions of a pixelcnn or a prior")


# ---------------------------------------------------------------- the rest

def shape(run):
    """(H, W, C) of the images of a run that is no prior."""
    return tuple(run.trained_on["image_shape"])


def test_images(run, flags, num):
    """num test images, through all classes or of flags.label, with their labels."""
    dataset = run.dataset(flags.data_dir, not flags.quiet)
    labels = dataset.test_labels
    allowed = np.flatnonzero(labels == flags.label) if flags.label is not None \
        else np.arange(len(labels))
    if not 0 < num <= len(allowed):
        raise RunError(f"--num: {num} test images are needed, but there are {len(allowed)}")
    rng = generator(flags.seed, "pictures", 2)
    chosen = rng.permutation(allowed)
    # The classes in turn: first the first image of each, then the second of each, ...
    turn = np.empty(len(chosen), int)
    for k in np.unique(labels[chosen]):
        of_class = labels[chosen] == k
        turn[of_class] = np.arange(of_class.sum())
    chosen = chosen[np.lexsort((labels[chosen], turn))][:num]
    return dataset.test_images[chosen], labels[chosen]


def drawing_bar(rows, flags):
    return progress_bar(flags.quiet, total=rows, unit="row", desc="drawing")


def check_out(out, overwrite):
    """Raise RunError for an --out that cannot be written, or would replace something."""
    if out is None:
        return
    if out.suffix not in (".png", ".npy"):
        raise RunError(f"--out {out}: must end in .png (a picture) or .npy (an array)")
    if not out.parent.is_dir():
        raise RunError(f"--out {out}: there is no folder {out.parent}")
    if out.exists() and not overwrite:
        raise RunError(f"--out {out}: exists; name another file, or give --overwrite")


def free_name(folder, stem):
    """folder/stem.png, or with the first number that makes it new."""
    path, number = folder / f"{stem}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path


def build_parser():
    parser = argparse.ArgumentParser(
        "generate.py", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="the folder of a trained run")
    parser.add_argument("--what", choices=list(WHAT), metavar="WHAT",
                        help=f"{', '.join(WHAT)} (default: samples, else reconstructions)")
    parser.add_argument("--num", type=positive_int, metavar="N",
                        help="how many (of a manifold: along each side)")
    parser.add_argument("--label", type=natural, metavar="K",
                        help="draw this class (conditional models); take test images of this class")
    parser.add_argument("--temperature", type=positive_float, metavar="T",
                        help="divides the logits of a PixelCNN: below 1 nearer to the likeliest")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--out", metavar="FILE", help=".png or .npy (default: a new .png in RUN)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file --out")
    return with_common_flags(parser)


if __name__ == "__main__":
    sys.exit(guarded("generate.py", main, sys.argv[1:]))
