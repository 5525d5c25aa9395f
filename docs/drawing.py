"""What the figures of the book share: `from drawing import ...` in a docs/draw_*.py, each of which
may be given the folder to draw into, instead of docs/images."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # where scratchnet and models are

from models import RECIPES  # noqa: E402
from scratchnet import optim  # noqa: E402
from scratchnet.runs import data, open_run  # noqa: E402
from scratchnet.runs.figures import DIGIT_COLOURS, INK, PALE, new_figure  # noqa: E402
from scratchnet.training import generator, step  # noqa: E402

GREY = "#777777"
BLUE, ORANGE, GREEN, RED, VIOLET = "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1"
BATCH, LR = 64, 4e-3  # of `trained`

__all__ = ["BLUE", "DIGIT_COLOURS", "GREEN", "GREY", "INK", "ORANGE", "PALE", "RED", "VIOLET",
           "digits", "in_box", "new_figure", "plain", "save", "trained"]


def save(figure, name, colours=None, **words):
    """Write a figure as NAME into docs/images, or into the folder that the script was given; words
    are kept in the PNG. colours: how many it may have, for a file of a third of the size."""
    path = (Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images") / name
    figure.savefig(path, dpi=110, metadata=words)
    if colours:
        from PIL import Image  # comes with Matplotlib
        with Image.open(path) as picture:
            few = picture.convert("RGB").quantize(colours)
        few.save(path, optimize=True)


def plain(axes, title, **labels):
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set(**labels)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)


def digits(name="mnist"):
    """MNIST, or the data set of that name, if its files are there (nothing is downloaded), else
    digits drawn from fonts."""
    return data.load(name if data.is_here(name) else "synthetic")


def in_box(name):
    """The run of this name of the box, with its model."""
    return open_run(DOCS.parent / "pretrained" / name, RECIPES)


def trained(model, images, epochs):
    """The model after some epochs of these images."""
    adam, per_epoch = optim.Adam(model.parameters()), len(images) // BATCH
    rate = optim.cosine(LR, epochs * per_epoch)
    for t in range(epochs * per_epoch):
        if t % per_epoch == 0:
            order = generator(0, "order", t // per_epoch).permutation(len(images))
        batch, adam.lr = order[t % per_epoch * BATCH:][:BATCH], rate(t)
        step(model, adam, images[batch], generator(0, "step", t))
    return model
