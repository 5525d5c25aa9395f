"""Draws images/masks.png: the taps of every masked layer, and which colours a middle tap joins.

    python docs/draw_masks.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, PALE, save
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models import GatedPixelCNN, PixelCNN
from models.pixelcnn import channel_mask

COLOURS = ("#d1495b", "#3a9d5d", "#3f72c4")


def taps(axes, left, top, layer, kind, name):
    """A layer's filter: blue taps are read, the middle one is outlined."""
    mask = layer.mask
    height, width = mask.shape
    for (i, j), kept in np.ndenumerate(mask):
        axes.add_patch(Rectangle((left + j, top - i - 1), 1, 1, edgecolor="white", lw=1.5,
                                 facecolor=BLUE if kept else PALE))
    axes.add_patch(Rectangle((left + width // 2, top - height // 2 - 1), 1, 1, fill=False,
                             edgecolor=ORANGE, lw=2.4, zorder=3))
    axes.text(left + width / 2, top + 1.25, name, ha="center", fontsize=10, color=INK)
    axes.text(left + width / 2, top + .3, f"{kind}{height}x{width}: {mask.sum()} of {mask.size}",
              ha="center", fontsize=9, color=GREY)


def wires(axes, left, kind):
    """Which colours of a pixel (below) the middle tap shows to which (above)."""
    joined = channel_mask(kind, np.arange(3), np.arange(3))
    for (seen, seer), kept in np.ndenumerate(joined):
        if kept:
            axes.annotate("", (left + 2.2 * seer, -1.6), (left + 2.2 * seen, -5.4), arrowprops={
                "arrowstyle": "->", "color": COLOURS[seen], "lw": 1.8})
    for k, name in enumerate("RGB"):
        for y in (-1, -6):
            axes.text(left + 2.2 * k, y, name, ha="center", va="center", fontsize=11, color="white",
                      weight="bold", bbox={"boxstyle": "circle,pad=.25", "fc": COLOURS[k],
                                           "ec": "white"})
    axes.text(left + 2.2, 1.25, f"middle tap, {kind}", ha="center", fontsize=10, color=INK)
    axes.text(left + 2.2, .3, f"{joined.sum()} of 9 colour pairs", ha="center", fontsize=9,
              color=GREY)


def main():
    plain, gated = PixelCNN((8, 8, 1), blocks=1), GatedPixelCNN((8, 8, 1), blocks=1)
    block = gated.blocks[0]
    figure = Figure((13.5, 3.2), facecolor="white", layout="constrained")
    axes = figure.subplots()
    taps(axes, 0, 0, plain.first, "A ", "first layer")
    taps(axes, 9, 0, plain.blocks[0].middle, "B ", "blocks")
    taps(axes, 17, 0, gated.first_v, "", "first, vertical")
    taps(axes, 26, 0, block.v, "", "blocks, vertical")
    taps(axes, 33, 0, gated.first, "A ", "first, horizontal")
    taps(axes, 35, -5, block.h, "B ", "blocks, horizontal")
    wires(axes, 46, "A")
    wires(axes, 55, "B")
    for left, right, title in ((0, 13, "the plain model"), (17, 41, "the gated model's two stacks"),
                               (45, 61, "within a pixel")):
        axes.plot([left, right], [2.9, 2.9], color=GREY, lw=1)
        axes.text((left + right) / 2, 3.2, title, ha="center", fontsize=11.5, color=INK,
                  weight="bold")
    axes.set(xlim=(-1, 62), ylim=(-8, 4.6), aspect="equal")
    axes.axis("off")
    save(figure, "masks.png")


if __name__ == "__main__":
    main()
