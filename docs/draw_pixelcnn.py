"""Draws images/pixelcnn.png: how an image is written, pixel by pixel, by the gated PixelCNN of
pretrained/. Draws images/pixelcnn-small.png: what the two small models that chapter 8 trains draw.

    python docs/draw_pixelcnn.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, RED, in_box, new_figure, save
from matplotlib.patches import FancyBboxPatch, Rectangle

from models import GatedPixelCNN, PixelCNN
from scratchnet import no_grad, optim
from scratchnet.runs.figures import mosaic
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.training import evaluate, step

SEED, PIXEL, UNKNOWN = 7, (14, 10), (.80, .85, .91)
STAGES = (150, 250, 350, 450, 550, 784)


def written(values, upto):
    """An image of which only the pixels before number `upto` are written: RGB."""
    picture = np.repeat(values[..., None].astype(float), 3, axis=-1)
    picture.reshape(-1, 3)[upto:] = UNKNOWN
    return picture


def panel(axes, picture, title):
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=12, color=INK)
    for spine in axes.spines.values():
        spine.set_color(GREY)


@no_grad()
def draw_whole():
    model = in_box("gated-pixelcnn-mnist").model
    values = model.sample_values(1, np.random.default_rng(SEED))
    p = float(1 / (1 + np.exp(-model.logits(values).numpy()[0, ..., 0, 0][PIXEL])))
    number = PIXEL[0] * 28 + PIXEL[1]
    image = values[0, ..., 0]
    figure = new_figure(12, 5.4, "An image is written like a sentence, one pixel after another")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.55, 1])
    left, axes = top.subplots(1, 2, gridspec_kw={"width_ratios": [1, 2.9]})
    panel(left, written(image, number), "")
    left.set_xlabel(f"{number} pixels are written.\nWhich value has the next (red)?", fontsize=12)
    left.add_patch(Rectangle((PIXEL[1] - .5, PIXEL[0] - .5), 1, 1, fc=RED, ec=RED))
    axes.annotate("", (2.1, 2), (0, 2), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.6})
    axes.text(1, 2.15, "all pixels before it,\nand no other", ha="center", fontsize=12, color=INK)
    axes.add_patch(FancyBboxPatch((2.2, 1.35), 2.3, 1.3, boxstyle="round,pad=0,rounding_size=.12",
                                  fc="#e3ebf4", ec=BLUE, lw=1.5))
    axes.text(3.35, 2, "one network,\nthe same for\nevery pixel", ha="center", va="center",
              fontsize=13, color=INK)
    axes.annotate("", (5.5, 2), (4.6, 2), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.6})
    for y, share, fill, name in ((2.25, p, "white", "white"), (1.3, 1 - p, "black", "black")):
        axes.add_patch(Rectangle((6.4, y), 2 * share, .5, fc=BLUE, ec=INK, lw=.8))
        axes.add_patch(Rectangle((5.75, y), .4, .5, fc=fill, ec=INK, lw=1))
        axes.text(6.55 + 2 * share, y + .25, f"{name}: {share:.2f}", va="center", fontsize=12,
                  color=INK)
    axes.plot([7, 7, .3], [1.1, .75, .75], color=ORANGE, lw=1.8)
    axes.annotate("", (0, .75), (.4, .75), arrowprops={"arrowstyle": "-|>", "color": ORANGE,
                                                       "lw": 1.8})
    axes.text(3.35, .35, "draw one of the two by these chances, write it down, go on to the next",
              ha="center", fontsize=12, color=INK)
    axes.set(xlim=(-.2, 9.8), ylim=(.2, 3.1))
    axes.axis("off")
    for axes, upto in zip(bottom.subplots(1, len(STAGES)), STAGES, strict=True):
        panel(axes, written(image, upto), f"after {upto} pixels")
    save(figure, "pixelcnn.png")


def small(x):
    """28x28 bytes -> 12x12 pixels, 0 or 1: no margin, and 1 where the mean of 2x2 is above 100."""
    means = x[:, 2:26, 2:26].reshape(-1, 12, 2, 12, 2, 1).mean(axis=(2, 4))
    return (means > 100).astype(np.float32)


def train(model, images, epochs, batch=32):
    """Chapter 8's loop."""
    adam, rng = optim.Adam(model.parameters()), np.random.default_rng(0)
    for left in np.linspace(1, 0, epochs, endpoint=False):
        adam.lr = 1e-2 * left
        for k in np.array_split(rng.permutation(len(images)), len(images) // batch):
            step(model, adam, images[k], rng)
    return model


def draw_small():
    images, _, test, _ = synthetic_digits(train=2000, test=200)[1]
    images, test = small(images), small(test)
    shape = (12, 12, 1)
    def plain(): return PixelCNN(shape, features=16, blocks=5, head=16)
    def gated(): return GatedPixelCNN(shape, features=12, blocks=3, head=16, dilations=(1, 2, 4))
    rows = [("training images", images[:16])]
    for name, build, epochs in (("plain, 2 epochs", plain, 2), ("gated, 2 epochs", gated, 2),
                                ("gated, 15 epochs", gated, 15)):
        model = train(build(), images, epochs)
        nats = evaluate(model, test, batch_size=100)["nll"]
        rows.append((f"{name}:\n{nats:.1f} nats", model.sample(16, np.random.default_rng(0))))
    figure = new_figure(11, 3.2, "Synthetic digits of 12x12 pixels, and what small PixelCNNs draw")
    for axes, (name, row) in zip(figure.subplots(len(rows), 1), rows, strict=True):
        axes.imshow(mosaic(row, 16), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    save(figure, "pixelcnn-small.png")


if __name__ == "__main__":
    draw_whole()
    draw_small()
