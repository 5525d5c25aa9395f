"""Draws images/gated-block.png: one block of the gated PixelCNN, as models/gated.py has it, and the
network that is made of such blocks.

    python docs/draw_gated.py
"""

import inspect
import textwrap

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, new_figure, save
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from models import GatedPixelCNN

V, H = 5.6, 13.4  # the columns of the two stacks
FILL = {BLUE: "#e3ebf4", ORANGE: "#fdebd8", GREEN: "#e2efdf"}


def box(axes, x, y, words, colour, width=3.6, height=.9, size=11.5):
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, lw=1.4,
                                  boxstyle="round,pad=0,rounding_size=.15", ec=colour,
                                  fc=FILL[colour], zorder=3))
    axes.text(x, y, words, ha="center", va="center", fontsize=size, color=INK, zorder=4)


def circle(axes, x, y, sign):
    axes.add_patch(Circle((x, y), .27, fc="white", ec=INK, lw=1.2, zorder=3))
    axes.text(x, y, sign, ha="center", va="center", fontsize=12, color=INK, zorder=4)


def arrow(axes, *points, colour=INK, head=True):
    """A line through the points, with a head at its end."""
    x, y = np.array(points).T
    axes.plot(x[:-1], y[:-1], color=colour, lw=1.3, zorder=1, solid_joinstyle="miter")
    axes.annotate("", points[-1], points[-2], zorder=2, arrowprops={
        "arrowstyle": "-|>" if head else "-", "color": colour, "lw": 1.3, "shrinkA": 0,
        "shrinkB": 0, "mutation_scale": 11})


def note(axes, x, y, words, **how):
    axes.text(x, y, words, fontsize=10.5, color=GREY, va="center", **how)


def taps(axes, x, y, mask, colour, size=.3):
    """A layer's filter, its middle at (x, y)."""
    height, width = mask.shape
    for (i, j), kept in np.ndenumerate(mask):
        corner = x + (j - width / 2) * size, y + (height / 2 - i - 1) * size
        axes.add_patch(Rectangle(corner, size, size, fc=colour if kept else PALE, ec="white", lw=1,
                                 zorder=3))
    axes.add_patch(Rectangle((x - size / 2, y - size / 2), size, size, fill=False, ec=INK, lw=1.4,
                             zorder=4))


def gate(axes, x, y, colour):
    """From (x, y) down: two halves, tanh of one times sigmoid of the other."""
    for side, name, half in ((-1, "tanh", "a"), (1, r"$\sigma$", "b")):
        arrow(axes, (x, y), (x + side, y), (x + side, y - .55))
        box(axes, x + side, y - .95, name, colour, 1.4, .8)
        arrow(axes, (x + side, y - 1.35), (x + side, y - 1.9), (x + side * .27, y - 1.9))
        note(axes, x + side * 1.12, y - .28, half, ha="left" if side > 0 else "right")
    circle(axes, x, y - 1.9, "×")


def block(axes, of):
    p = of.out.w.shape[-1]
    for x, name, rows in ((V, "vertical stack", "knows the rows above"),
                          (H, "horizontal stack", "knows these, and its row up to the pixel")):
        axes.text(x, 12.9, name, ha="center", fontsize=13, weight="bold", color=INK)
        note(axes, x, 12.35, rows, ha="center")
    # y = add_label(self.v(v), ...)
    axes.text(V, 11.7, "$v$", ha="center", va="center", fontsize=15)
    arrow(axes, (V, 11.4), (V, 10.65))
    box(axes, V, 10.2, "v: 3x3, masked", BLUE)
    taps(axes, V - 2.6, 10.2, of.v.mask, BLUE)
    arrow(axes, (V, 9.75), (V, 8.97))
    circle(axes, V, 8.7, "+")
    arrow(axes, (V - 1.4, 8.7), (V - .27, 8.7))
    note(axes, V - 1.5, 8.7, "label's row", ha="right")
    note(axes, V + .15, 9.4, f"{2 * p}", ha="left")
    arrow(axes, (V, 8.43), (V, 6.2), head=False)
    note(axes, V + .15, 7.1, "$y_v$", ha="left")
    # gate(y), link(y)
    arrow(axes, (V, 7.6), (7.7, 7.6))
    box(axes, 9.3, 7.6, "link: 1x1", GREEN, 3.2)
    gate(axes, V, 6.2, BLUE)
    arrow(axes, (V, 4.03), (V, 1.35))
    note(axes, V + .15, 3.6, f"{p}", ha="left")
    axes.text(V, .95, "$v^{new}$", ha="center", va="center", fontsize=15)
    # y = add_label(self.h(h) + link, ...)
    axes.text(H, 11.7, "$h$", ha="center", va="center", fontsize=15)
    arrow(axes, (H, 11.4), (H, 10.65))
    box(axes, H, 10.2, "h: 1x3, masked", ORANGE)
    taps(axes, H + 2.5, 10.2, of.h.mask, ORANGE)
    arrow(axes, (H, 9.75), (H, 7.87))
    note(axes, H + .15, 9.4, f"{2 * p}", ha="left")
    arrow(axes, (10.9, 7.6), (H - .27, 7.6))
    circle(axes, H, 7.6, "+")
    arrow(axes, (H + 1.4, 7.6), (H + .27, 7.6))
    note(axes, H + 1.5, 7.6, "label's row", ha="left")
    arrow(axes, (H, 7.33), (H, 6.2), head=False)
    note(axes, H + .15, 6.7, "$y_h$", ha="left")
    # h + self.out(ops.gate(y))
    gate(axes, H, 6.2, ORANGE)
    arrow(axes, (H, 4.03), (H, 3.55))
    box(axes, H, 3.1, "out: 1x1", ORANGE)
    arrow(axes, (H, 2.65), (H, 2.22))
    circle(axes, H, 1.95, "+")
    arrow(axes, (H, 11.05), (H + 3.6, 11.05), (H + 3.6, 1.95), (H + .27, 1.95))
    arrow(axes, (H, 1.68), (H, 1.35))
    note(axes, H + 3.45, 2.3, "$h$, as it was", ha="right")
    axes.text(H, .95, "$h^{new}$", ha="center", va="center", fontsize=15)
    for x, method in ((-1.2, of.vertical), (9.3, of.horizontal)):
        axes.text(x, -.1, textwrap.dedent(inspect.getsource(method)).strip(), fontsize=8, color=INK,
                  family="monospace", va="center", linespacing=1.5)
    axes.set(xlim=(-1.3, 18.6), ylim=(-1, 13.3), aspect="equal")


def network(axes, model):
    """The whole: two first layers, blocks, two 1x1 layers."""
    axes.text(3, 12.9, "the network", ha="center", fontsize=13, weight="bold", color=INK)
    axes.text(3, 11.7, "image $x$", ha="center", va="center", fontsize=12)
    for x, layer, colour in ((1.2, model.first_v, BLUE), (4.8, model.first, ORANGE)):
        arrow(axes, (3, 11.3), (x, 11.3), (x, 10.65))
        name = "first_v" if colour == BLUE else "first"
        box(axes, x, 10.2, f"{name}\n{layer.mask.sum()} taps", colour, 2.4, .95, 10)
        arrow(axes, (x, 9.7), (x, 8.75))
    blocks = len(model.blocks)
    axes.add_patch(Rectangle((-.2, 5.15), 6.4, 3.6, fc="white", ec=GREY, lw=1.2, ls="--"))
    for k, y in enumerate((8.1, 7.1, 5.8)):
        name = f"block {k + 1 if k < 2 else blocks}"
        axes.text(3, y, name, ha="center", va="center", fontsize=10.5, color=INK)
        for x, colour in ((1.2, BLUE), (4.8, ORANGE)):
            axes.add_patch(Rectangle((x - .5, y - .3), 1, .6, fc=FILL[colour], ec=colour, lw=1.2))
        arrow(axes, (1.75, y - .2), (4.25, y - .2), colour=GREEN)
    for x in (1.2, 4.8):
        for y, end in ((7.8, 7.4), (6.8, 6.55), (6.35, 6.1)):
            arrow(axes, (x, y), (x, end), head=end != 6.55)
    axes.text(3, 6.45, "...", ha="center", va="center", fontsize=12, color=INK)
    arrow(axes, (4.8, 5.5), (4.8, 4.4))
    note(axes, 1.2, 4.75, "not used\nany more", ha="center")
    for y, name in ((3.95, "ReLU, head: 1x1"), (2.5, "ReLU, logits_of: 1x1")):
        box(axes, 4.8, y, name, ORANGE, 3.9, size=9.5)
    arrow(axes, (4.8, 3.5), (4.8, 2.95))
    arrow(axes, (4.8, 2.05), (4.8, 1.35))
    axes.text(4.8, .95, "logits", ha="center", va="center", fontsize=12)
    axes.set(xlim=(-.4, 6.8), ylim=(-1, 13.3), aspect="equal")


def main():
    model = GatedPixelCNN((28, 28, 1), blocks=7)
    figure = new_figure(12.2, 6.6, "A block of the gated PixelCNN, and the network")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [19.9, 7.2]})
    block(left, model.blocks[0])
    network(right, model)
    for axes in (left, right):
        axes.axis("off")
    save(figure, "gated-block.png")


if __name__ == "__main__":
    main()
