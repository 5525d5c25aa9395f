"""One training step, and one evaluation, as the formulas say.

Random numbers come from generators named by (seed, purpose, number): the weights, the order of
epoch e, the noise of step t. Nothing random is carried along, so a run that stops after any step
and goes on later makes the same draws. docs/05-network.md has the loop whose body the step is,
docs/11-papers.md the step beside the paper's minibatches.
"""

import contextlib
import math

import numpy as np

from .backend import raw, to_numpy, xp
from .fast.group import ALONE
from .fast.microbatches import microbatches
from .inputs import require
from .tensor import no_grad

# A name's place is part of every seed: append, never reorder.
PURPOSES = ("weights", "order", "step", "evaluation", "pictures")


def step(model, optimizer, batch, rng, labels=(), group=ALONE):
    """One training step. Returns its metrics, means over the batch, in arrays.

        L = sum over micro-batches b of  n_b/n  L_b,   dL/dp likewise

    batch: images (n, H, W, C), bytes or floats in [0, 1], or codes (n, h, w); rng: the step's
    generator; labels: (n,), for a model that is conditional; group: the processes that take the
    step together, each with these arguments. Raises ValueError as check_bytes.
    """
    check_bytes(model, batch)
    means = {}
    model.steps_done = max(optimizer.steps)  # a parameter without a gradient is not counted
    model.prepare(batch, rng)
    optimizer.zero_grad()
    for weight, loss, metrics in losses(model, batch, rng, labels, group):
        loss.backward(weight)
        add(means, metrics, weight)
    group.reduce_gradients()  # over its processes: for one there is nothing to add
    optimizer.step()
    model.steps_done = math.inf  # whoever goes on with a loop of his own counts none
    return model.batch_metrics(model.update(group.reduce_metrics(means), len(batch)))


@no_grad()
def evaluate(model, images, batch_size, labels=(), group=ALONE, progress=None):
    """The model's metrics on these images (N, H, W, C), labels (N,): means over all, as numbers.

    The noise is the same for every model and every run, so that figures compare. Batches
    count by their size: the last may be smaller. progress: called after each. Raises ValueError as
    check_bytes.
    """
    check_bytes(model, images)
    rng, sums = generator(0, "evaluation"), {}
    with evaluating(model):
        for start in range(0, len(images), batch_size):
            batch, of_batch = (a[start:start + batch_size] for a in (images, labels))
            means = {}
            for weight, _, metrics in losses(model, batch, rng, of_batch, group):
                add(means, metrics, weight)
            for name, value in model.batch_metrics(group.reduce_metrics(means)).items():
                sums[name] = sums.get(name, 0.0) + xp.asarray(value, np.float64) * len(batch)
            if progress is not None:
                progress()
    return summarise(model, sums, len(images))


def losses(model, batch, rng, labels, group):
    """yield n_b/n, L_b and its metrics  for each micro-batch of this process's part of the batch.

    The noise, N(0, 1), is drawn whole and on the host, and cut as the batch is: an image's noise
    depends neither on the micro-batches nor on processes or backend.
    """
    n = len(batch)
    noise = rng.standard_normal((n, model.noise_dim), dtype=np.float32)
    for b, weight in microbatches(group.shard(n), n, model.microbatch):
        x = to_batch(batch[b], model.takes_codes)
        yield weight, *model.loss(x, noise[b], **classes(model, labels[b]))


def add(means, metrics, weight):
    """means += weight * metrics, for each name."""
    for name, value in metrics.items():
        part = raw(value) if weight == 1 else weight * raw(value)
        means[name] = means[name] + part if name in means else part


def classes(model, labels):
    """{"labels": labels} for the loss of a model that is conditional on them, else nothing."""
    return {"labels": labels} if model.num_classes else {}


@contextlib.contextmanager
def evaluating(model):
    """Within this the model is in evaluation mode; afterwards in the mode it was in."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


def summarise(model, sums, count):
    """The means from the sums, as plain numbers."""
    if not sums:
        return {}
    means = {name: to_numpy(total) / count for name, total in sums.items()}
    return {name: np.asarray(value).item() for name, value in model.epoch_metrics(means).items()}


def to_batch(images, codes=False):
    """Images (n, H, W, C) of bytes, 0 to 255 in any type of integer, moved to the backend as
    float32 in [0, 1]; floats, and grids of codes, as they are. codes: model.takes_codes says it."""
    if codes or images.dtype.kind not in "iu":
        return xp.asarray(images)
    return xp.divide(xp.asarray(images), np.float32(255), dtype=np.float32)


def check_bytes(model, images):
    """Raises ValueError for images of integers that are no bytes: above 255, or levels of the
    model, 0 and 1 in a VAE, which would be trained on as black."""
    if model.takes_codes or images.dtype.kind not in "iu":
        return
    largest, levels = int(images.max()) if images.size else 0, getattr(model, "levels", 2)
    require(largest < 256, "images of integers up to {}: bytes go to 255", largest)
    # Of many levels a batch of bytes may just be dark.
    require(largest == 0 or largest >= levels or levels > 16, "images of integers up to {}: as "
            "bytes they go to 255; of levels 0 to {} make floats, x / np.float32({})", largest,
            levels - 1, levels - 1)


def generator(seed, purpose, number=0):
    """The np.random.Generator for this purpose (one of PURPOSES) and number."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])
