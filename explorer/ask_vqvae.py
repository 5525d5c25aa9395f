"""What the page asks of a VQ-VAE: docs/07-vqvae.md. A grid of codes is lists of whole numbers."""

import numpy as np

from scratchnet import no_grad
from scratchnet.backend import to_numpy, xp
from scratchnet.errors import UserError
from scratchnet.losses import perplexity
from scratchnet.runs import pictures
from scratchnet.runs.run import code_checksum, codes_of
from scratchnet.runs.run import read as read_run
from scratchnet.training import generator

from .answers import Wrong, asked, integer, labels_of
from .runs import example

PATCH = 8   # pixels of what is shown of a code, from the middle: figures.palette shows as many
NEAREST = 10
COUNTED = 100  # examples whose codes are counted: in a browser each takes up to 30 ms


def vqvae(runs, name):
    return runs.of(name, "codes", "decode_codes")


@asked
@no_grad()
def palette(runs, run):
    """What each code decodes to in the middle of a grid of nothing else, (K, 8, 8, C); how often
    the examples have it, parts of 1 (K,), the codes from the most used on, their perplexity."""
    name, run = run, vqvae(runs, run)
    if "palette" not in runs.kept(name):
        images = patches(run.model, run.image_shape)
        found = codes_of(run.model, runs.test_images(name)[0][:COUNTED])
        parts = parts_of(found, len(images))
        runs.kept(name)["palette"] = {
            "images": images, "usage": parts, "order": np.argsort(-parts, kind="stable"),
            **used(parts), "examples": len(found)}
    return runs.kept(name)["palette"]


def patches(model, shape):
    whole, _ = pictures.palette(pictures.Request(model, "", shape, None))
    top, left = (max(0, (n - PATCH) // 2) for n in shape[:2])
    return whole[:, top:top + PATCH, left:left + PATCH].clip(0, 1)


def parts_of(grids, K):
    """How often each of K codes is in these grids, parts of 1 (K,)."""
    return np.bincount(grids.reshape(-1), minlength=K) / grids.size


def used(parts):
    """Of parts of 1 (K,): how many are not 0, and their perplexity."""
    return {"used": int((parts > 0).sum()), "perplexity": float(perplexity(xp.asarray(parts)))}


@asked
@no_grad()
def codes(runs, run, image):
    """The image, its grid of codes (h, w), and what `decode_codes` says of them."""
    name, run = run, vqvae(runs, run)
    x = example(runs, name, image)
    grid = to_numpy(run.model.codes(xp.asarray(x)))
    return {"image": x[0], "codes": grid[0], **decoded(run, grid, x)}


@asked
@no_grad()
def decode_codes(runs, run, codes, image=None):
    """The image that a grid of codes (h, w) decodes to; how many different codes it has, and their
    perplexity; with an image to compare it with, its error in the units of the loss."""
    name, run = run, vqvae(runs, run)
    x = None if image is None else example(runs, name, image)
    return decoded(run, grid_in(run, codes), x)


def grid_in(run, codes):
    """What was asked for as a grid of codes, (1, h, w). Raises Wrong."""
    h, w, K = run.image_shape[0] // 4, run.image_shape[1] // 4, len(run.model.e)
    grid = np.asarray(codes if isinstance(codes, list) and all(
        isinstance(row, list) and len(row) == w for row in codes) else [], dtype=object)
    if grid.shape != (h, w) or not all(type(k) is int and 0 <= k < K for k in grid.flat):
        raise Wrong(f"codes: needs {h} rows of {w} whole numbers from 0 to {K - 1}")
    return grid.astype(np.int32)[None]


def decoded(run, grid, x):
    image = to_numpy(run.model.decode_codes(xp.asarray(grid)))
    parts = parts_of(grid, len(run.model.e))
    found = {"decoded": image[0].clip(0, 1), **used(parts)}
    if x is not None:
        error = ((image - x) ** 2).mean() / run.model.data_variance.item()
        found |= {"recon_error": float(error), "units": run.units}
    return found


@asked
@no_grad()
def distances(runs, run, image, at):
    """For the cell [row, column]: the codes that are nearest to the encoder's vector there, and
    their distances ||z_e - e_k||, the nearest first."""
    name, run = run, vqvae(runs, run)
    z_e = to_numpy(run.model.encode(example(runs, name, image)))[0]
    i, j = cell(at, *z_e.shape[:2])
    found = np.sqrt(((z_e[i, j] - to_numpy(run.model.e.data)) ** 2).sum(axis=1))
    nearest = np.argsort(found, kind="stable")[:NEAREST]
    return {"codes": nearest, "distances": found[nearest]}


def cell(at, h, w):
    if not isinstance(at, list) or len(at) != 2:
        raise Wrong("at: needs a row and a column")
    return integer("at: row", at[0], 0, h - 1), integer("at: column", at[1], 0, w - 1)


# ---------------------------------------------------------------- priors

@asked
def priors(runs, run):
    """The names of the runs that model the codes of this VQ-VAE."""
    kept, run = runs.kept(run), vqvae(runs, run)
    if "checksum" not in kept:
        kept["checksum"] = code_checksum(run)
    return {"priors": [other for other, folder in runs.folders.items()
                       if models_codes(folder, kept["checksum"])]}


def models_codes(folder, checksum):
    try:
        found = read_run(folder)
    except (UserError, OSError):
        return False
    return found.flags.model == "prior" and found.trained_on["sha256"] == checksum


@asked
@no_grad()
def draw_codes(runs, run, prior, seed=0):
    """A whole grid of codes drawn by the prior, and what `decode_codes` says of it. A prior that is
    told the class is told one by the seed."""
    run, names = vqvae(runs, run), priors(runs, run)["priors"]
    if prior not in names:
        raise Wrong(f"prior: {str(prior)[:60]!r} models no codes of this run; "
                    f"{', '.join(names) or 'none'} would do")
    model, seed = runs.open(prior).model, integer("seed", seed, 0, 10 ** 9)
    label = seed % model.num_classes if model.num_classes else None
    grid = model.sample_values(1, generator(seed, "pictures"), **labels_of(model, label))[..., 0]
    return {"codes": grid[0], "label": label, **decoded(run, grid, None)}
