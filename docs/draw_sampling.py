"""Draws images/cache.png: what is kept while an image is drawn. Draws images/sampling-cost.png: the
multiplications that this saves, counted.

    python docs/draw_sampling.py
"""

import numpy as np
from drawing import GREEN, GREY, INK, ORANGE, PALE, new_figure, save
from matplotlib.patches import Rectangle

from models import GatedPixelCNN, PixelCNN
from scratchnet import no_grad

SIDE, HERE, KEPT = 28, (3, 4), "#9fbbd8"


class Counted(np.ndarray):
    """Weights that count the multiplications of every matrix product that they are in."""

    total = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=(None,), **how):
        a, *rest = inputs = [np.asarray(v) for v in inputs]
        if ufunc is np.matmul:
            Counted.total += a.size * rest[0].shape[-1]
        out = None if out[0] is None else np.asarray(out[0])
        return getattr(ufunc, method)(*inputs, out=out, **how)

    def __array_function__(self, function, types, inputs, how):
        if function is np.dot:
            return self.__array_ufunc__(np.matmul, "__call__", *inputs)
        return super().__array_function__(function, types, inputs, how)


def counts(model):
    """Multiplications of a full pass, and of drawing one image."""
    for p in model.parameters():
        p.data = p.data.view(Counted)
    Counted.total = 0
    with no_grad():
        model.logits(np.zeros((1, SIDE, SIDE, 1), np.int32))
    full, Counted.total = Counted.total, 0
    model.sample_values(1, np.random.default_rng(0))
    return full, Counted.total


def cell(axes, i, j, colour, inset=0.0):
    axes.add_patch(Rectangle((j + inset, -i - 1 + inset), 1 - 2 * inset, 1 - 2 * inset,
                             facecolor=colour, edgecolor="white" if not inset else "none", lw=1.2))


def layer(axes, colours):
    """A layer's features at the pixels of an image of 6x8, each in a colour."""
    for (i, j), colour in np.ndenumerate(colours):
        cell(axes, i, j, colour)
    axes.add_patch(Rectangle((HERE[1], -HERE[0] - 1), 1, 1, fill=False, edgecolor=INK, lw=2))
    axes.set(xlim=(-.1, 8.1), ylim=(-6.1, .1), aspect="equal")
    axes.axis("off")


def draw_cache():
    figure = new_figure(12, 4.4, "Drawing one pixel (outlined)")
    left, right = figure.subfigures(1, 2, width_ratios=[1.65, 1])
    panels = left.subplots(2, 4)
    drawn = np.array([[(i, j) < HERE for j in range(8)] for i in range(6)])
    here = np.array([[(i, j) == HERE for j in range(8)] for i in range(6)])
    image = np.where(drawn, INK, PALE)
    again = np.full((6, 8), ORANGE)
    kept = np.where(here, ORANGE, np.where(drawn, KEPT, PALE))
    names = ("pixels so far", "first layer", "first block", "second block")
    for row, name, features in ((panels[0], "a full pass", again), (panels[1], "cached", kept)):
        for axes, title in zip(row, names, strict=True):
            layer(axes, image if axes is row[0] else features)
            if row is panels[0]:
                axes.set_title(title, fontsize=10, color=INK)
        row[0].text(-.5, -3, name, fontsize=10.5, color=INK, rotation=90, ha="right", va="center")
    axes = right.subplots()
    layer(axes, np.where(here, KEPT, kept))
    for j in (3, 4, 5):
        cell(axes, 2, j, GREEN, .14)
    for j in (3, 4):
        cell(axes, 3, j, ORANGE, .14)
    legend = ((ORANGE, "computed for this pixel"), (KEPT, "kept from the pixels before"),
              (GREEN, "taps in rows above: summed for the\nwhole row as it began"))
    for y, (colour, words) in zip((-7.2, -8.2, -9.4), legend, strict=True):
        axes.add_patch(Rectangle((.1, y), .6, .6, facecolor=colour, edgecolor="none"))
        axes.text(1, y + .3, words, va="center", fontsize=9.5, color=INK)
    axes.set(ylim=(-9.7, .1))
    axes.set_title("the filter of the second block, cached", fontsize=10, color=INK)
    save(figure, "cache.png", 32)


def work(axes, done, title):
    """Squares (pixel that is drawn, pixel whose features are computed) that take work."""
    side = len(done)
    for (i, j), colour in np.ndenumerate(done):
        axes.add_patch(Rectangle((j, -i - 1), 1, 1, facecolor=colour, edgecolor="white", lw=.4))
    axes.set(xlim=(0, side), ylim=(-side, 0), aspect="equal", xticks=[], yticks=[],
             xlabel=f"pixels 1 to {side}, whose features are computed",
             ylabel=f"pixels 1 to {side}, which are drawn")
    axes.set_title(title, fontsize=10.5, color=INK)
    axes.spines[:].set_visible(False)


def draw_cost():
    side, n = 6, 36
    figure = new_figure(13, 4.6, "What drawing an image costs")
    slow, cached, bars = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1, 1.35]})
    work(slow, np.full((n, n), ORANGE),
         f"6x6 pixels, a full pass for each:\n{n} · {n} = {n * n:,} squares")
    k = np.arange(n)
    begins = (k[:, None] % side == 0) & (k[:, None] // side == k // side)  # sums from above
    work(cached, np.where(np.eye(n, dtype=bool), ORANGE, np.where(begins, GREEN, PALE)),
         "cached: each pixel once\n(green: a row's taps above, as it begins)")
    y = 0
    for name, model in (("small PixelCNN", PixelCNN((SIDE, SIDE, 1))),
                        ("gated, 7 blocks", GatedPixelCNN((SIDE, SIDE, 1), blocks=7))):
        full, drawing = counts(model)
        bars.text(1e6, y + .65, name, fontsize=10, color=INK, weight="bold", va="center")
        for words, value, colour in (("one pass", full, KEPT), ("drawn, cached", drawing, GREEN),
                                     ("drawn, a pass for each pixel", SIDE ** 2 * full, ORANGE)):
            unit, name = (1e9, "billion") if value > 1e9 else (1e6, "million")
            bars.barh(y, value, color=colour, height=.8)
            bars.text(1.25e6, y, words, va="center", fontsize=9.5, color=INK)
            bars.text(value * 1.25, y, f"{value / unit:.1f} {name}", va="center", fontsize=9.5,
                      color=INK)
            y -= 1
        y -= .9
    bars.set(xscale="log", xlim=(1e6, 4e12), yticks=[], xlabel="multiplications (logarithmic)")
    bars.set_title("28x28 pixels, counted by the weights themselves", fontsize=10.5, color=INK)
    for edge in ("top", "right", "left"):
        bars.spines[edge].set_visible(False)
    bars.tick_params(colors=GREY)
    save(figure, "sampling-cost.png", 32)


if __name__ == "__main__":
    draw_cache()
    draw_cost()
