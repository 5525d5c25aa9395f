"""Can one name what a run drew that is told the class? A small classifier, trained here, is asked.

    python -m benchmarks.named pretrained/gated-classes-mnist

For a prior, a gated PixelCNN or a VAE trained with --conditional. Printed: of its samples of each
class, the part that the classifier takes for that class; beside it the same of test images, and of
test images that went through the prior's VQ-VAE, which is what the decoder alone loses: read a row
beside that. Drawn: samples, a row for each class (named.png); a sample of each class at the best
temperature, and the training images nearest to it in pixels (named-nearest.png). All are the first
that were drawn; every temperature begins from the same noise. The classifier takes ten minutes of
one core on CIFAR-10 (75 % of test images right), two on MNIST (98 %), once: its weights are kept.
"""

import sys
from pathlib import Path

import numpy as np

from models import RECIPES
from scratchnet import nn, no_grad, optim
from scratchnet.backend import to_numpy
from scratchnet.errors import RunError
from scratchnet.fast.memory import keep_memory
from scratchnet.losses import softmax_cross_entropy
from scratchnet.runs import data, open_run
from scratchnet.runs.figures import grid
from scratchnet.runs.files import reading, replacing
from scratchnet.runs.folder import unused
from scratchnet.runs.log import counting
from scratchnet.runs.parser import parser_of_runs, read_run_flags
from scratchnet.runs.pictures import in_order, write_figure
from scratchnet.runs.script import guarded, use_backend
from scratchnet.training import generator, step, to_batch

TEMPERATURES, SHOWN, NEAREST = (0.7, 0.85, 1.0), 6, 5
BATCH, LR = 64, 2e-3


# ---------------------------------------------------------------- the classifier

class Classifier(nn.Model):
    """log p(class | image) + constant: four 3x3 convolutions, a mean over places, a matrix.

    Three of them have stride 2: a map of 32x32 becomes 16x16, 8x8, 4x4 as its channels grow.
    """

    microbatch = 32

    def __init__(self, channels, num_classes, rng, widths=(32, 64, 128, 256)):
        self.num_classes, layers = num_classes, []
        for n_in, n_out in zip((channels, *widths), widths, strict=False):
            layers += [nn.Conv2d(n_in, n_out, 3, rng, stride=1 + bool(layers), padding=1,
                                 init=nn.he_normal), nn.Activation("relu")]
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(widths[-1], num_classes, rng)

    def logits(self, x):
        """Images (N, H, W, C) in [0, 1] -> (N, K)."""
        return self.last(self.features(x - 0.5).mean(axis=(1, 2)))

    def loss(self, x, noise=None, labels=None):
        loss = softmax_cross_entropy(self.logits(x), labels)
        return loss, {"loss": loss.detach()}

    def guesses(self, images):
        """The likeliest class of each image, bytes or in [0, 1]: integers (N,)."""
        return in_parts(self.logits, images).argmax(axis=1)


@no_grad()
def in_parts(function, images):
    """function(images), 500 at a time, on the host."""
    parts = np.array_split(images, -(-len(images) // 500))
    return np.concatenate([to_numpy(function(to_batch(x))) for x in parts])


def train(model, dataset, epochs, mirror, quiet=True):
    """Adam, down a cosine; mirror: half of the images, at random, left to right."""
    adam, per_epoch = optim.Adam(model.parameters()), len(dataset.train_images) // BATCH
    steps = epochs * per_epoch
    rate, done = optim.cosine(LR, steps), counting(quiet, steps, "classifier", "step")
    keep_memory()
    for t in range(steps):
        if t % per_epoch == 0:
            order = generator(0, "order", t // per_epoch).permutation(len(dataset.train_images))
        chosen, rng = order[t % per_epoch * BATCH:][:BATCH], generator(0, "step", t)
        batch = dataset.train_images[chosen]
        if mirror:
            batch = dataset.flipped(chosen, batch, rng)
        adam.lr = rate(t)
        step(model, adam, batch, rng, dataset.train_labels[chosen])
        done()


def classifier_of(dataset, binary, flags):
    """The one for this data set: kept in --classifier, or in the folder of the data sets."""
    path = Path(flags.classifier or data.root_of(flags.data_dir) / (
        f"classifier-{dataset.name}-{dataset.sha256[:8]}{'-binary' * binary}.npz"))
    model = Classifier(dataset.image_shape[2], dataset.num_classes, generator(0, "weights"))
    if path.exists():
        with reading(path, "classifier of these images", "remove it: it is trained again"), \
                np.load(path) as kept:
            model.load_state_dict(kept)
    else:
        photos = dataset.image_shape[2] == 3  # digits are easier, and in a mirror others or none
        train(model, dataset, epochs=10 if photos else 2, mirror=photos, quiet=flags.quiet)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(file, **model.state_dict())
    return model


# ---------------------------------------------------------------- samples, and what they are near

def drawn(model, shape, num, quiet=True, **how):
    """num samples of each class, in [0, 1]: (K * num, H, W, C), a class after the other."""
    done, found = counting(quiet, model.num_classes, "drawing", "class"), []
    for k in range(model.num_classes):
        found.append(to_numpy(model.sample(num, generator(0, "pictures", k),
                                           labels=np.full(num, k), **how)))
        done()
    return np.concatenate(found).reshape(-1, *shape).clip(0, 1)


def shares(guesses, asked, num_classes):
    """Of the images asked for as each class the part that is taken for it, and of all: (K + 1,)."""
    right = guesses == asked
    return np.array([*(right[asked == k].mean() for k in range(num_classes)), right.mean()])


def nearest(images, training, count):
    """The training images, bytes, nearest to each image in [0, 1], by squared error: their indices
    and distances, both (n, count)."""
    a, far = images.reshape(len(images), -1), []
    for part in np.array_split(training.reshape(len(training), -1), -(-len(training) // 5000)):
        b = part / np.float32(255)
        far.append((a * a).sum(axis=1)[:, None] - 2 * a @ b.T + (b * b).sum(axis=1))
    far = np.concatenate(far, axis=1)
    order = np.argsort(far, axis=1)[:, :count]
    return order, np.sqrt(np.maximum(np.take_along_axis(far, order, axis=1), 0))


# ---------------------------------------------------------------- what is printed and drawn

def table(columns, names):
    """{head: shares} as lines, in per cent."""
    cells = [columns, *([f"{100 * share:.1f}" for share in row]
                        for row in zip(*columns.values(), strict=True))]
    width = max(10, 2 + max(map(len, columns)))
    return "\n".join(f"{name:12}" + "".join(f"{cell:>{width}}" for cell in row)
                     for name, row in zip(["", *names, "all"], cells, strict=True))


def beside(samples, columns, K, num):
    """Groups of samples side by side, a class for each row, and the heads of their columns."""
    shown, parts, heads = min(SHOWN, num), [], []
    for head, images in samples.items():
        group = images.reshape(K, num, *images.shape[1:])[:, :shown]
        parts += [group, np.ones_like(group[:, :1])]  # and an empty column
        words = [""] * (shown + 1)
        words[(shown - 1) // 2] = f"{head}: {100 * columns[head][-1]:.0f} %"
        heads += words
    return np.concatenate(parts[:-1], axis=1), heads[:-1]


def measured(run, dataset, classifier, flags):
    """{head: samples} and {head: shares}, those of test images behind them."""
    K, shape, test = run.model.num_classes, dataset.image_shape, dataset.test_images
    heads = {f"T = {T:g}" + f", w = {w:g}" * (w != 1): {"temperature": T, "guidance": w}
             for w in flags.guidance or [1] for T in flags.temperature or TEMPERATURES} \
        if in_order(run.model) else {"samples": {}}
    samples = {head: drawn(run.model, shape, flags.num, flags.quiet, **how)
               for head, how in heads.items()}
    of_tests = {"test": test}
    if run.vqvae:
        of_tests = {"decoded": in_parts(run.vqvae.model.reconstruct, test).clip(0, 1), "test": test}
    def share(images, asked): return shares(classifier.guesses(images), asked, K)
    asked = np.arange(K).repeat(flags.num)
    return samples, {head: share(x, asked) for head, x in samples.items()} | {
        head: share(x, dataset.test_labels) for head, x in of_tests.items()}


def main(argv):
    flags = read_run_flags(parser_of_runs("-m benchmarks.named", __doc__, {
        "temperature": (None, "positives", "of a prior or a PixelCNN (default: 0.7 0.85 1)"),
        "guidance": (None, "positives", "of a run that was trained with --untold (default: 1)"),
        "num": (100, "count", "samples of each class"),
        "classifier": (None, "FILE", "its weights, to be trained first if they are not there "
                       "(default: a file in the folder of the data sets)"),
        "out": (".", "DIR", "folder of the two pictures")}), argv)
    use_backend(flags.backend)
    run = open_run(flags.run, RECIPES)
    pixels, K = run.vqvae or run, run.model.num_classes
    if not K:
        raise RunError(f"{run.folder}: this run is not told the class; name one that was trained "
                       f"with --conditional, such as pretrained/gated-classes-mnist")
    if flags.temperature and not in_order(run.model):
        raise RunError("--temperature: is for a prior or a PixelCNN; leave it out")
    if flags.guidance and not getattr(run.model, "untold", 0):
        raise RunError("--guidance: is for a run that was trained with --untold; leave it out")
    dataset = pixels.dataset(flags.data_dir, not flags.quiet)
    classifier = classifier_of(dataset, pixels.flags.binarize != "none", flags)
    samples, columns = measured(run, dataset, classifier, flags)
    names = [f"{k} {name}".strip() for k, name in enumerate(dataset.classes or [""] * K)]
    say = (lambda words: None) if flags.quiet else print
    say(f"{run.title}:\nper cent taken for their class, {flags.num} samples of each; test: how "
        f"often the\nclassifier is right\n\n{table(columns, names)}\n")

    best = max(samples, key=lambda head: columns[head][-1])
    shape, first, training = dataset.image_shape, samples[best][::flags.num], dataset.train_images
    near = np.concatenate([first[:, None], training[nearest(first, training, NEAREST)[0]] / 255], 1)
    shown, heads = beside(samples, columns, K, flags.num)
    of = ", ".join(f"of {part} images {100 * columns[part][-1]:.0f} %"
                   for part in ("decoded", "test") if part in columns)
    Path(flags.out).mkdir(parents=True, exist_ok=True)
    for name, figure in (
            ("named.png", grid(
                shown.reshape(-1, *shape), len(heads), f"{run.title}: samples",
                f"the first of {flags.num} of each class; above, how many a classifier takes for "
                f"their class ({of})", names=names, heads=heads)),
            ("named-nearest.png", grid(
                near.reshape(-1, *shape), NEAREST + 1, f"{run.title}: nearest",
                f"the first sample of each class, {best}, and the training images nearest to it",
                names=names, heads=["drawn", *map(str, range(1, NEAREST + 1))]))):
        write_figure(out := unused(Path(flags.out, name)), figure, dpi=165)
        say(out)


if __name__ == "__main__":
    sys.exit(guarded("benchmarks/named.py", main, sys.argv[1:]))
