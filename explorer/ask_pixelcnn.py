"""What the page asks of a PixelCNN, or of a prior over codes: docs/08-pixelcnn.md.

The image is an example's number, pixels of one's own, or {"values": whole numbers (H, W, C)}, as
`complete` gives them; for a prior these are codes.
"""

import contextlib
import math

import numpy as np

from models import sampling
from models.likelihoods import LogisticMixture
from scratchnet import Tensor, no_grad, ops
from scratchnet.backend import to_numpy, xp
from scratchnet.training import generator

from .answers import Wrong, asked, integer, labels_of, number
from .ask_vqvae import cell, patches
from .runs import grid_of

LIKELIEST = 10
DECADES = 4  # of a gradient's size that a heat map tells apart


def opened(runs, name, image, label=None):
    """(model, the image's values (1, H, W, C) below L, {"labels"} where it is told the class)."""
    model = runs.of(name, "complete", "neg_log_likelihood").model
    if isinstance(image, dict):
        values = values_in(model, image.get("values"))
    else:
        values = to_numpy(model.values_of(xp.asarray(grid_of(runs, name, image))))
    return model, values, labels_of(model, label)


def values_in(model, values):
    """Whole numbers (H, W, C) of a request, as (1, H, W, C). Raises Wrong."""
    H, W, C = model.image_shape
    try:
        found = np.asarray(values)
    except ValueError:
        found = np.zeros(0)
    fits = found.shape == model.image_shape and found.dtype.kind == "i"
    if not fits or found.min() < 0 or found.max() >= model.levels:
        raise Wrong(f"values: needs whole numbers from 0 to {model.levels - 1}, {H} x {W} x {C}")
    return found.astype(np.int32)[None]


# ---------------------------------------------------------------- drawing

@asked
def complete(runs, run, image, keep, count=6, seed=0, temperature=1.0, label=None):
    """Draw all but the first `keep` rows of an image anew, `count` times at once. After each row:
    how many rows there are, and the images so far (count, H, W, C); of the rows below a prior's
    codes are 0. The last part has the values too."""
    model, values, _ = opened(runs, run, image, label)
    H, W, _ = model.image_shape
    keep, count = integer("keep", keep, 0, H - 1), integer("count", count, 1, 16)
    rng = generator(integer("seed", seed, 0, 10 ** 9), "pictures")
    mask = np.zeros((H, W), bool)
    mask[keep:] = True
    drawn = sampling.rows(model, count, rng, known=values * ~mask[..., None], mask=mask,
                          temperature=number("temperature", temperature, 0.05, 5),
                          **labels_of(model, label, count))
    for i, so_far in enumerate(drawn):
        if i >= keep:
            yield {"rows": i + 1, "of": H, "images": pictures_of(model, so_far)} | (
                {"values": to_numpy(so_far)} if i == H - 1 else {})


def pictures_of(model, values):
    return to_numpy(model.images(xp.asarray(values))).clip(0, 1)


# ---------------------------------------------------------------- what a pixel costs

@asked
@no_grad()
def pixel_bits(runs, run, image, label=None):
    """The image as the model sees it; the bits of each of its pixels or codes, all colours together
    (H, W), and as shades from 0 to 1; in all: nats, bits, and bits for each number."""
    model, values, how = opened(runs, run, image, label)
    x = xp.asarray(values)
    nats = to_numpy(model.likelihood.nll(model.logits(x, **how), x))[0].sum(axis=-1)
    bits, total = nats / math.log(2), float(nats.sum(dtype=np.float64))
    return {"image": pictures_of(model, values)[0], "bits": bits,
            "shade": bits / max(bits.max(), 1e-9), "most": float(bits.max()), "nats": total,
            "total": total / math.log(2), "each": total / math.log(2) / values[0].size}


# ---------------------------------------------------------------- the next pixel

@asked
def next_pixel(runs, run, image, at, label=None):
    """Of the pixel or code at [row, column]: p, the probabilities of its values given all before
    it, for each colour (C, L); for codes the ten likeliest, and what they decode to; its own value.
    The gradient of its logit (of the likeliest value; colours are added up) with respect to what
    the network sees of each pixel, its length (H, W), and as shades from 0 to 1."""
    model, values, how = opened(runs, run, image, label)
    i, j = cell(at, *values.shape[1:3])
    x = model.inputs(xp.asarray(values[:, :i + 1]))  # what comes below has no part in it
    x = Tensor(to_numpy(x.data), requires_grad=True)
    labels = model.check_labels(how.get("labels"), 1)
    with held(model):
        y = model.network(x, labels)[:, i, j]
        likeliest(model, y, values[:, i, j]).backward()
    gradient = np.zeros(values.shape[1:3], np.float32)
    gradient[:i + 1] = np.sqrt((to_numpy(x.grad)[0] ** 2).sum(axis=-1))
    before = i * values.shape[2] + j  # (other colours of the pixel itself are not among those)
    seen = int((gradient.reshape(-1)[:before] > 0).sum())
    found = {"gradient": gradient, "shade": shades(gradient), "seen": seen, "before": before,
             "value": values[0, i, j]}
    with no_grad():
        p = probabilities(model, y.detach(), values[0, i, j])
    if not model.takes_codes:
        return found | {"p": p}
    top = np.argsort(-p[0], kind="stable")[:LIKELIEST]
    vqvae = runs.open(run).vqvae
    return found | {"p": p[:, top], "codes": top, "own": float(p[0, values[0, i, j, 0]]),
                    "patches": patches_of(runs, run, vqvae)[top]}


@contextlib.contextmanager
def held(model):
    """The parameters get no gradient, which costs half of a backward pass."""
    parameters = model.parameters()
    try:
        for p in parameters:
            p.requires_grad = False
        yield
    finally:
        for p in parameters:
            p.requires_grad = True


def likeliest(model, y, value):
    """The logit of the likeliest value, added up over colours, from y (1, colours, outputs); for a
    mixture, which has no logits, -log p of the value."""
    if isinstance(model.likelihood, LogisticMixture):
        return model.likelihood.nll(y[:, None, None], value[:, None, None]).sum()
    top = to_numpy(y.data).argmax(axis=-1)[0]
    return ops.sum(y[0][np.arange(len(top)), top])


def probabilities(model, y, value):
    """p (C, L) of the values of a pixel, from y (1, colours, outputs); of a mixture each colour's
    given those before it in `value` (C,)."""
    every = np.arange(model.levels, dtype=np.int32)
    if not isinstance(model.likelihood, LogisticMixture):
        nll = [model.likelihood.nll(Tensor(to_numpy(y.data)[:, c:c + 1].repeat(len(every), 0)),
                                    xp.asarray(every[:, None])) for c in range(y.shape[1])]
        return np.exp(-np.stack([to_numpy(n)[:, 0] for n in nll]))
    C, y = len(value), to_numpy(y.data)[0, 0]
    found = []
    for c in range(C):  # p(x_c | x_1 .. x_c-1) = p(x_1 .. x_c) / p(x_1 .. x_c-1)
        x = np.tile(value[:c + 1], (len(every), 1))
        x[:, c] = every
        log_p = of_colours(y, x, C, model.levels)
        found.append(np.exp(log_p - (of_colours(y, x[:1, :c], C, model.levels) if c else 0)))
    return np.stack(found)


def of_colours(y, x, C, levels):
    """log p of the first colours x (n, c) of a pixel, whose mixture is y (outputs of all C): the
    same mixture without the others."""
    n, c = x.shape
    rows = y.reshape(1 + 2 * C + C * (C - 1) // 2, -1)
    kept = [0, *range(1, 1 + c), *range(1 + C, 1 + C + c),
            *range(1 + 2 * C, 1 + 2 * C + c * (c - 1) // 2)]
    part = LogisticMixture(rows.shape[1], levels, c)
    y = np.tile(rows[kept].reshape(1, 1, -1), (n, 1, 1))
    return -to_numpy(part.nll(Tensor(y), xp.asarray(x)))[:, 0]


def shades(gradient):
    """From 0 to 1, a quarter for each factor of ten below the largest; 0 where it is 0."""
    found = np.zeros_like(gradient)
    seen = gradient > 0
    if seen.any():
        found[seen] = 1 + np.log10(gradient[seen] / gradient.max()) / DECADES
    return found.clip(0, 1)


def patches_of(runs, name, vqvae):
    if "patches" not in runs.kept(name):
        runs.kept(name)["patches"] = patches(vqvae.model, vqvae.image_shape)
    return runs.kept(name)["patches"]
