"""What training asks of a model; one training step, and one evaluation, as the formulas say.

Random numbers come from generators named by (seed, purpose, number): the weights,
the order of epoch e, the noise of step t. Nothing random is carried along, so a
run that stops after any step and goes on later makes the same draws. docs/10-papers.md has the step
beside the paper's minibatches.
"""

import contextlib
import math

import numpy as np

from . import nn
from .backend import to_numpy, xp
from .fast.pieces import pieces
from .fast.team import ALONE
from .tensor import no_grad, raw

PURPOSES = ("weights", "order", "step", "evaluation", "pictures")


class Model(nn.Module):
    """What training asks of a model.

    num_classes: above 0, the loss and the samples also take `labels`. noise_dim: how many N(0, 1)
    numbers the loss takes for an image. piece: images taken through it at a time (None: the whole
    batch). steps_done: of its training, for what changes with it: `step` sets it (inf: it is over).

    What else can be made with a model is found by asking whether it has the method:

        sample(n, rng)      reconstruct(x)     encode(x), mean_image(z)    codes(x), decode_codes(k)
        complete(x, rng): it draws its images in order, row by row
        neg_log_likelihood(x): exactly          log_likelihood(x, K, rng): an estimate
    """

    num_classes, noise_dim, piece, steps_done = 0, 0, None, math.inf

    def loss(self, x, noise=None):
        """A batch -> (loss, metrics): the loss a Tensor, the metrics arrays; all are means over the
        images. noise: (n, noise_dim), N(0, 1), float32."""
        raise NotImplementedError(f"{type(self).__name__} has no loss()")

    def prepare(self, batch, rng):
        """Called before each step with its images, as the data set has them: for what starts from
        data (a codebook)."""

    def update(self, means, n):
        """Called after each step with the metrics' means over its n images: learns what is learned
        without gradients (a codebook), and returns those that are worth keeping."""
        return means

    def batch_metrics(self, means):
        """means, and the metrics of a whole batch that are no mean over images."""
        return means

    def epoch_metrics(self, means):
        """The same for all images of an epoch or a test set; all are numbers then."""
        return means


def step(model, optimizer, batch, rng, labels=(), team=ALONE):
    """One training step. Returns its metrics, means over the batch, in arrays.

        L = sum over pieces of the batch of  n_piece/n  L_piece,   dL/dp likewise

    batch: images uint8 (n, H, W, C), or codes; rng: the step's generator; labels: (n,), for a model
    that is conditional; team: the processes that take the step together, each with these arguments.
    """
    n, means = len(batch), {}
    model.steps_done = max(optimizer.steps)
    model.prepare(batch, rng)
    optimizer.zero_grad()
    noise = noise_for(model, n, rng)
    for piece, share in pieces(team.part(n), n, model.piece):
        loss, metrics = model.loss(to_batch(batch[piece]), noise[piece],
                                   **classes(model, labels[piece]))
        loss.backward(share)
        add(means, metrics, share)
    team.add_gradients()  # over its processes: for one there is nothing to add
    optimizer.step()
    return model.batch_metrics(model.update(team.add_up(means), n))


@no_grad()
def evaluate(model, images, batch_size, labels=(), team=ALONE):
    """The model's metrics on these images: means over all images, as numbers.

    The noise is the same for every model and every run, so that figures compare. Batches
    count by their size: the last may be smaller.
    """
    rng, sums = generator(0, "evaluation"), {}
    with evaluating(model):
        for start in range(0, len(images), batch_size):
            batch, of_batch = (a[start:start + batch_size] for a in (images, labels))
            n, means = len(batch), {}
            noise = noise_for(model, n, rng)
            for piece, share in pieces(team.part(n), n, model.piece):
                _, metrics = model.loss(to_batch(batch[piece]), noise[piece],
                                        **classes(model, of_batch[piece]))
                add(means, metrics, share)
            for name, value in model.batch_metrics(team.add_up(means)).items():
                sums[name] = sums.get(name, 0.0) + value.astype(np.float64) * n
    return summarise(model, sums, len(images))


@contextlib.contextmanager
def evaluating(model):
    """Within this the model is in evaluation mode; afterwards in the mode it was in."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


def noise_for(model, n, rng):
    """N(0, 1) for a batch of n images, (n, noise_dim). It is drawn whole, on the host, before the
    batch is cut: an image's noise depends neither on the pieces nor on processes or backend."""
    return rng.standard_normal((n, model.noise_dim), dtype=np.float32)


def add(means, metrics, share):
    """means += share * metrics, for each name."""
    for name, value in metrics.items():
        part = raw(value) if share == 1 else share * raw(value)
        means[name] = means[name] + part if name in means else part


def classes(model, labels):
    """{"labels": labels} for the loss of a model that is conditional on them, else nothing."""
    return {"labels": labels} if model.num_classes else {}


def summarise(model, sums, count):
    """The means from the sums, as plain numbers."""
    if not sums:
        return {}
    means = {name: to_numpy(total) / count for name, total in sums.items()}
    return {name: np.asarray(value).item() for name, value in model.epoch_metrics(means).items()}


def to_batch(images):
    """uint8 images (n, H, W, C), moved to the backend as float32 in [0, 1]; grids of codes, which
    are wider integers, as they are."""
    if images.dtype != np.uint8:
        return xp.asarray(images)
    return xp.divide(xp.asarray(images), np.float32(255), dtype=np.float32)


def generator(seed, purpose, number=0):
    """The np.random.Generator for this purpose (one of PURPOSES) and number."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])
