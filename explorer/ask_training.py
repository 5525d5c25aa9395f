"""What the page asks of a training that it watches: a small VAE on digits, a codebook on points.

A training is kept between requests; each asks for the next steps, with the learning rate, beta and
so on of that moment. So the page sets the pace, may pause, and one that was left asks for no more.
Two are at work at most; a few that rest are kept.
"""

import math
import secrets
import time

import numpy as np

from models import moving_codes
from models.vae import VAE
from models.vqvae import VQVAE, mean_square
from scratchnet import Tensor, losses, no_grad, ops, optim, training
from scratchnet.backend import raw, to_numpy, xp
from scratchnet.fast.segments import count, segment_sum
from scratchnet.nn import Model
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.training import generator

from .answers import Wrong, asked, integer, number

MOST, KEPT = 2, 8  # trainings at work, and in memory
RESTS = 3       # seconds without a request after which a training is no longer at work
LAST = 5000     # steps of one training
AT_ONCE = 50    # steps of one request
TRAIN, SHOWN, RECONSTRUCTED = 1000, 200, 6  # digits
BATCH = 32
SIDE, REACH = 8, 2.0  # of the grid of decoded points, from -REACH to REACH
POINTS, CLUSTERS, SPREAD = 600, 7, 0.12  # of the points
CELLS, EDGE = 100, 2.0  # of the picture of the nearest code, from -EDGE to EDGE


@asked
def begin_training(runs, what, seed=0, K=8, codebook="ema", moving=True):
    """A new training of a "vae" or of a "codebook": its name for train(), and what it looks like
    before the first step. codebook: "ema" or "gradient"; moving: whether it starts on points, and
    codes that are not chosen are moved; K: its codes."""
    seed = integer("seed", seed, 0, 10 ** 6)
    if what == "vae":
        made = Digits(digits(runs), seed)
    elif what == "codebook":
        if codebook not in ("ema", "gradient"):
            raise Wrong("codebook: needs 'ema' or 'gradient'")
        made = Codebook(seed, integer("K", K, 1, 64), codebook, bool(moving))
    else:
        raise Wrong("what: needs 'vae' or 'codebook'")
    make_room(runs.trainings)
    name = secrets.token_hex(8)
    runs.trainings[name] = made
    return {"training": name, "last": LAST, **made.still(), **made.picture()}


def make_room(trainings):
    """Forget those that have rested longest, if there are too many."""
    while len(trainings) >= KEPT:
        del trainings[min(trainings, key=lambda name: trainings[name].asked)]


@asked
def train(runs, training, steps=1, lr=1e-3, beta=1.0, gamma=0.9):
    """The next steps of a training: the loss of each, and what it looks like now. lr: the learning
    rate; beta: the weight of a VAE's KL; gamma: of an EMA codebook's running means."""
    found = runs.trainings.get(training) if isinstance(training, str) else None
    if found is None:
        raise Wrong("this training is no longer here: the last few are kept. Start anew")
    others = [other for other in runs.trainings.values() if other is not found]
    if sum(time.monotonic() - other.asked < RESTS for other in others) >= MOST:
        raise Wrong(f"{MOST} trainings are at work already, in other windows; pause one of them")
    steps = integer("steps", steps, 1, AT_ONCE)
    how = {"lr": number("lr", lr, 0, 10), "beta": number("beta", beta, 0, 100),
           "gamma": number("gamma", gamma, 0, 0.9999)}
    measured = []
    for _ in range(min(steps, LAST - found.step)):
        with np.errstate(all="ignore"):
            measured.append(found.one(**how))
        if not np.isfinite(measured[-1]):
            raise Wrong(f"step {found.step}: the loss is no number any more: the learning rate is "
                        f"too high. Start anew with a lower one")
    found.asked = time.monotonic()
    return {"losses": measured, **found.picture()}


@asked
def end_training(runs, training):
    """Forget a training."""
    return {"ended": runs.trainings.pop(str(training), None) is not None}


class Watched:
    """A training: its steps are those of scratchnet.training.step."""

    def __init__(self, model, optimizer, images, seed):
        self.model, self.optimizer, self.images, self.seed = model, optimizer, images, seed
        self.step, self.asked = 0, -math.inf  # asked: when it was last at work

    def one(self, lr):
        """One step on a random batch; its loss."""
        rng = generator(self.seed, "step", self.step)
        batch = self.images[rng.permutation(len(self.images))[:BATCH]]
        found = self.change(batch, rng, lr)
        self.step += 1
        return float(raw(found["loss"]))

    def change(self, batch, rng, lr):
        self.optimizer.lr = lr
        return training.step(self.model, self.optimizer, batch, rng)


# ---------------------------------------------------------------- a VAE on digits

class Digits(Watched):
    """A VAE, 784-128-2, on digits."""

    def __init__(self, found, seed):
        images, self.labels, self.title = found
        model = VAE(784, h_dim=128, z_dim=2, rng=generator(seed, "weights"))
        super().__init__(model, optim.Adam(model.parameters()), images[SHOWN:], seed)
        self.shown = training.to_batch(images[:SHOWN])

    def one(self, lr, beta, gamma):
        self.model.beta = beta
        return super().one(lr)

    def still(self):
        return {"labels": np.asarray(self.labels[:SHOWN]), "title": self.title, "reach": REACH,
                "images": as_bytes(self.shown[:RECONSTRUCTED]), "trained_on": len(self.images)}

    @no_grad()
    def picture(self):
        """means: of the images shown, (n, 2); reconstructions of the first; grid: the decoder's
        image at each point of a grid over the plane, row by row from its upper left."""
        with training.evaluating(self.model):
            mu, log_var = self.model.encode(self.shown)
            seen = self.model.mean_image(mu[:RECONSTRUCTED])
            across = np.linspace(-REACH, REACH, SIDE, dtype=np.float32)
            z = np.stack(np.meshgrid(across, across[::-1]), axis=-1).reshape(-1, 2)
            grid = self.model.mean_image(xp.asarray(z))
        return {"step": self.step, "means": mu, "sigma": float(np.exp(log_var.data / 2).mean()),
                "reconstructions": as_bytes(seen), "grid": as_bytes(grid)}


def as_bytes(images):
    """Images (n, 28, 28, 1) as bytes."""
    images = to_numpy(images)
    return np.uint8(255 * np.clip(images, 0, 1) + 0.5).reshape(-1, 28, 28, 1)


def digits(runs):
    """(images, labels, title): beside the page, or drawn now, the same."""
    if "digits" not in runs.examples:
        runs.examples["digits"] = drawn()
    return runs.examples["digits"]


def drawn():
    """The first SHOWN are not trained on."""
    try:
        title, (images, labels, _, _) = synthetic_digits(train=TRAIN + SHOWN, test=1)
    except ImportError:
        raise Wrong("the digits are drawn in Matplotlib's fonts: pip install matplotlib") from None
    return images, labels, title


# ---------------------------------------------------------------- a codebook on points

class Points(Model):
    """A VQ-VAE whose encoder and decoder are the identity: z_e are the points themselves, images of
    one vector, and what is learned is the codebook alone, by the lines of models.VQVAE."""

    update, batch_metrics = VQVAE.update, VQVAE.batch_metrics
    vectors, restart_below = 1, 0.0

    def __init__(self, K, codebook, moving, rng):
        e = rng.uniform(-1 / K, 1 / K, (K, 2)).astype(np.float32)
        self.codebook, self.moving, self.decay = codebook, moving, 0.9
        self.updates, self.placed = 0, False
        self.e = Tensor(e, requires_grad=codebook == "gradient")
        self.N, self.m = Tensor(np.ones(K, np.float32)), Tensor(e.copy())

    def encode(self, x):
        return Tensor(x)

    def prepare(self, batch, rng):
        if self.moving:
            moving_codes.prepare(self, batch, rng)

    def loss(self, x, noise=None):
        """The codebook term ||sg[z_e] - e||^2, a mean over vectors and dimensions."""
        z_e, K = self.encode(x), len(self.e)
        k = ops.nearest_code(z_e, self.e)
        loss = mean_square(ops.embedding(k, self.e) - z_e)
        metrics = {"loss": loss.detach(), "usage": count(k, K, z_e.dtype) / k.size}
        if self.codebook == "ema":
            metrics["sums"] = segment_sum(k, z_e.data, K) / k.size
        return loss, metrics


class Codebook(Watched):
    """A codebook of K codes on points that lie in clusters."""

    def __init__(self, seed, K, codebook, moving):
        rng = generator(seed, "pictures")
        middles = rng.uniform(-1.5, 1.5, (CLUSTERS, 2))
        points = middles[rng.integers(0, CLUSTERS, POINTS)] + SPREAD * rng.standard_normal(
            (POINTS, 2))
        model = Points(K, codebook, moving, generator(seed, "weights"))
        optimizer = optim.Adam([model.e]) if codebook == "gradient" else None
        super().__init__(model, optimizer, xp.asarray(points, dtype=np.float32), seed)

    def one(self, lr, beta, gamma):
        self.model.decay = gamma
        return super().one(lr)

    def change(self, batch, rng, lr):
        if self.optimizer:
            return super().change(batch, rng, lr)
        self.model.prepare(batch, rng)  # the same without a gradient: nothing else is learned
        _, means = self.model.loss(batch)
        return self.model.update(means, len(batch))

    def still(self):
        return {"points": self.images, "edge": EDGE}

    @no_grad()
    def picture(self):
        """codes (K, 2); chosen: of each point its code; cells: of each place of a picture the
        nearest code, row by row from its upper left; distance: mean squared, of all points."""
        e = self.model.e
        chosen = ops.nearest_code(self.images, e)
        across = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS * 2 * EDGE - EDGE
        places = np.stack(np.meshgrid(across, across[::-1]), axis=-1)
        usage = count(chosen, len(e)) / len(chosen)
        return {"step": self.step, "codes": e, "chosen": chosen.astype(np.int32),
                "cells": ops.nearest_code(xp.asarray(places), e).astype(np.uint8), "usage": usage,
                "perplexity": float(losses.perplexity(usage)), "used": int((usage > 0).sum()),
                "distance": mean_square(ops.embedding(chosen, e) - self.images).item()}
