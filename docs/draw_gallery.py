"""Draws images/gallery.png, for the README: what the trained models of the box draw.

    python docs/draw_gallery.py

MNIST has to be there: other digits would not do for what some of the models saw.
"""

import sys

import numpy as np
from drawing import INK, digits, in_box, new_figure, save

from scratchnet import no_grad
from scratchnet.errors import DataError
from scratchnet.runs.data import binarise, is_here, root_of
from scratchnet.runs.figures import mosaic, quantiles_of
from scratchnet.runs.script import guarded
from scratchnet.training import generator, to_batch


def rng():
    return generator(0, "pictures")


def shown(axes, images, columns, title, gap=2):
    axes.imshow(mosaic(images, columns, gap), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.axis("off")


@no_grad()
def main():
    if not is_here("mnist"):
        raise DataError(f"MNIST is not in {root_of()}; let train_mnist.py download it, or name its "
                        f"folder with $SCRATCHNET_DATA")
    dataset = digits()
    figure = new_figure(11.5, 6.1, "Drawn by the models in pretrained/")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.06])
    prior, classes, seen = left.subplots(3, 1)
    plane = right.subplots()
    shown(prior, in_box("prior-mnist").model.sample(36, rng()), 12,
          "New digits: a prior over the codes of a VQ-VAE")
    labels = np.tile(np.r_[np.arange(10), 3, 8], 3)
    shown(classes, in_box("gated-classes-mnist").model.sample(36, rng(), labels=labels), 12,
          "Told the class, 0 to 9, 3 and 8: a gated PixelCNN")
    x = to_batch(binarise(dataset.test_images[:12], rng()))
    model, draws = in_box("gated-pixelcnn-mnist").model, rng()
    again = [model.complete(x, draws) for _ in range(2)]
    half = np.where(np.arange(28)[:, None, None] < 14, x, 0.5)
    shown(seen, np.concatenate([half, *again]), 12,
          "Of these it saw the upper half: two ways to go on")
    z = np.array([[a, b] for b in reversed(quantiles_of(15)) for a in quantiles_of(15)], np.float32)
    images = in_box("vae2-mnist").model.mean_image(z).numpy().reshape(-1, 28, 28, 1)
    shown(plane, images, 15, "A plane of codes, decoded: a VAE", gap=0)
    save(figure, "gallery.png", colours=16)


if __name__ == "__main__":
    sys.exit(guarded("draw_gallery.py", main))
