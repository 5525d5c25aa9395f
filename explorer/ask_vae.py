"""What the page asks of a VAE, or of a plain autoencoder: docs/06-vae.md."""

import numpy as np

from scratchnet import losses, no_grad
from scratchnet.backend import to_numpy, xp
from scratchnet.runs.pictures import mean_code
from scratchnet.runs.plane import principal_axes
from scratchnet.training import generator, to_batch

from .answers import Wrong, asked, integer, labels_of, numbers
from .runs import example

MANY = 100  # points of a path
DRAWS = 8   # of one image
WIDEST = 256  # numbers of a code: the axes of a map of thousands take a minute, and as many sliders


def frame(runs, name):
    """(mean, axes, codes, labels): the codes of the test images (n, d); the axes (d, d) in which a
    point is given are z's own for a plane, else the codes' principal directions, the widest first,
    about their mean."""
    run = runs.of(name, "encode", "mean_image")
    if run.model.z_dim > WIDEST:
        raise Wrong(f"{name}: a code of {run.model.z_dim:,} numbers is too long to move in; "
                    f"those of up to {WIDEST} are shown here. python generate.py draws from it")
    if "frame" not in runs.kept(name):
        images, labels, _ = runs.test_images(name)
        how = {"labels": np.asarray(labels)} if run.model.num_classes else {}
        with no_grad():
            codes = to_numpy(mean_code(run.model.encode(to_batch(images), **how)))
        mean, axes = np.zeros(codes.shape[1], np.float32), np.eye(codes.shape[1], dtype=np.float32)
        if codes.shape[1] > 2:
            mean, _, axes = principal_axes(codes)
        runs.kept(name)["frame"] = mean, axes, codes, labels
    return runs.kept(name)["frame"]


@asked
def plane(runs, run):
    """The codes of the test images in the frame, (n, d), their labels, and each axis' spread."""
    mean, axes, codes, labels = frame(runs, run)
    at = (codes - mean) @ axes.T
    return {"at": at, "labels": np.asarray(labels), "spread": at.std(axis=0)}


@asked
@no_grad()
def decode(runs, run, at, label=None):
    """The image (H, W, C) of the point `at` of the frame."""
    return {"image": decoded(runs, run, [at], label)[0]}


def decoded(runs, name, at, label):
    """Images (n, H, W, C) of points (n, d) of the frame."""
    run, (mean, axes, *_) = runs.open(name), frame(runs, name)
    z = mean + numbers("at", at, (None, len(axes)), -100, 100) @ axes
    images = run.model.mean_image(xp.asarray(z), **labels_of(run.model, label, len(z)))
    return np.clip(to_numpy(images), 0, 1).reshape(-1, *run.image_shape)


@asked
@no_grad()
def interpolate(runs, run, path, label=None):
    """Images of the points of a path (n, d)."""
    if not isinstance(path, list) or not 1 <= len(path) <= MANY:
        raise Wrong(f"path: needs 1 to {MANY} points")
    return {"images": decoded(runs, run, path, label)}


@asked
@no_grad()
def encode(runs, run, image):
    """Of an example: where its code is in the frame; its class, where the model is told it; for a
    VAE sigma along the frame's axes, KL in nats, DRAWS draws decoded; its reconstruction."""
    name, run, (mean, axes, *_) = run, runs.of(run, "encode", "mean_image"), frame(runs, run)
    x = example(runs, name, image)
    label = int(runs.test_images(name)[1][image]) if run.model.num_classes else None
    how = labels_of(run.model, label)
    code = run.model.encode(x, **how)
    mu = to_numpy(mean_code(code))[0]
    found = {"image": x[0], "label": label, "at": (mu - mean) @ axes.T,
             "reconstruction": decoded(runs, name, [(mu - mean) @ axes.T], label)[0]}
    if isinstance(code, tuple):
        sigma = np.exp(0.5 * to_numpy(code[1])[0])
        eps = generator(0, "pictures").standard_normal((DRAWS, len(mu)), dtype=np.float32)
        found |= {"sigma": np.sqrt((axes ** 2) @ sigma ** 2),
                  "kl": losses.gaussian_kl(*code).item(),
                  "draws": decoded(runs, name, (eps * sigma + mu - mean) @ axes.T, label)}
        found["neg_elbo"] = run.model.loss(x, eps[:1], **how)[1]["neg_elbo"].item()
        if run.model.likelihood == "bernoulli" and not set(np.unique(x)) <= {0, 1}:
            found["grey"] = True  # -ELBO of grey pixels is a loss, no bound
    return found


@asked
@no_grad()
def sample_latent(runs, run, count=16, seed=0, label=None):
    """Images of codes drawn from the prior, N(0, 1), and the codes in the frame."""
    name, count = run, integer("count", count, 1, 64)
    mean, axes, *_ = frame(runs, run)
    z = generator(integer("seed", seed, 0, 10 ** 9), "pictures", 1).standard_normal(
        (count, len(mean)), dtype=np.float32)
    at = (z - mean) @ axes.T
    return {"at": at, "images": decoded(runs, name, at, label)}
