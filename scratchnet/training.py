"""One step, and one evaluation, as the formulas say.

Random numbers come from generators named by (seed, purpose, number): the weights,
the order of epoch e, the noise of step t. Nothing random is carried along, so a
run that stops after any step and goes on later makes the same draws.
"""

import numpy as np

from .backend import to_numpy, xp
from .fast.processes import ALONE
from .nn import Module
from .tensor import no_grad, raw

PURPOSES = ("weights", "order", "step", "evaluation", "pictures")


def to_batch(images):
    """uint8 images (n, H, W, C), moved to the backend as float32 in [0, 1]; grids of codes, which
    are wider integers, as they are."""
    if images.dtype != np.uint8:
        return xp.asarray(images)
    return xp.asarray(images).astype(np.float32) / np.float32(255)


def generator(seed, purpose, number=0):
    """The np.random.Generator for this purpose (one of PURPOSES) and number."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])


class Model(Module):
    """A module with a `loss`, and what it says of itself.

    table: the metrics worth a column, the first foremost. units: of these. num_classes: above 0,
    the loss and the samples also take `labels`. gives: what can be made with it, of

        samples         sample(n, rng)         latent          encode(x), vectors
        reconstructions reconstruct(x)         interpolation   and mean_image(z)
        completion      complete(x, rng)       manifold        z is a plane, with a prior
        codes           codes(x)               exact_nll       neg_log_likelihood(x)
        importance_nll  log_likelihood(x, K, rng), an estimate

    A model that gives completions draws its images in order, row by row.
    """

    table, units, num_classes, gives = (), "", 0, frozenset()


def step(model, optimizer, batch, rng, labels=(), team=ALONE):
    """One step on a batch of images (uint8, or codes): loss, gradients, update. Returns the
    metrics, means over the batch, in arrays. labels: (n,), for models that are conditional. team:
    the processes that take this step together, each with the same arguments."""
    n, crew = len(batch), team.of(len(batch))
    part = crew.part(n)
    loss, metrics = model.loss(to_batch(batch[part]), crew.generator(rng, n),
                               **classes(model, labels[part]))
    optimizer.zero_grad()
    loss.backward(xp.full_like(loss.data, crew.share(n)))
    crew.add_gradients()
    if crew is not team:
        team.wait()  # until nobody reads the old parameters any more, as add_gradients does
    optimizer.step()
    model.after_step(rng, crew)
    metrics = crew.mean(metrics, n)
    if crew is not team:
        team.wait()  # until all have updated their share of the parameters, as mean does
    return model.complete_metrics(metrics)


def classes(model, labels):
    """{"labels": labels} for the loss of a model that is conditional on them, else nothing."""
    return {"labels": labels} if getattr(model, "num_classes", 0) else {}


@no_grad()
def evaluate(model, images, batch_size, labels=(), team=ALONE):
    """The model's metrics on these images: means over all images, as numbers.

    The noise is the same for every model and every run, so that figures compare. Batches
    count by their size: the last may be smaller.
    """
    model.eval()
    rng, sums = generator(0, "evaluation"), {}
    for start in range(0, len(images), batch_size):
        batch = images[start:start + batch_size]
        n, crew = len(batch), team.of(len(batch))
        part = crew.part(n)
        _, metrics = model.loss(to_batch(batch[part]), crew.generator(rng, n), **classes(
            model, labels[start:start + batch_size][part]))
        for name, value in model.complete_metrics(crew.mean(metrics, n)).items():
            sums[name] = sums.get(name, 0.0) + raw(value).astype(np.float64) * n
    model.train()
    return summarise(model, sums, len(images))


def summarise(model, sums, count):
    """The means from the sums, as plain numbers."""
    if not sums:
        return {}
    means = {name: to_numpy(total) / count for name, total in sums.items()}
    return {name: np.asarray(value).item() for name, value in model.summarise(means).items()}
