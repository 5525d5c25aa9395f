"""Draws images/sampling-cost.png: what the cache keeps, and the multiplications it saves, counted.

    python docs/draw_sampling.py
"""

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, new_figure, save
from matplotlib.patches import Rectangle

from models import GatedPixelCNN, PixelCNN
from scratchnet import no_grad

SIDE, KEPT = 28, "#9fbbd8"


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
    """Multiplications of a full pass; and of drawing one image, up to each pixel."""
    for p in model.parameters():
        p.data = p.data.view(Counted)
    Counted.total, so_far = 0, []
    with no_grad():
        model.logits(np.zeros((1, SIDE, SIDE, 1), np.int32))
    full, Counted.total = Counted.total, 0
    draw = model.likelihood.draw
    model.likelihood.draw = lambda *how: so_far.append(Counted.total) or draw(*how)
    model.sample_values(1, np.random.default_rng(0))
    return full, np.array(so_far)


def cache(axes):
    """A layer's input while pixel (3, 4) of 6 x 8 is drawn, under a 3x3 filter of type B."""
    here = (3, 4)
    for i, j in np.ndindex(6, 8):
        kept = (i, j) <= here
        axes.add_patch(Rectangle((j, -i - 1), 1, 1, facecolor=KEPT if kept else PALE,
                                 edgecolor="white", lw=1.5))
    for j in range(3, 6):
        axes.add_patch(Rectangle((j + .12, -2.88), .76, .76, facecolor=GREEN, edgecolor="none"))
    for j in (3, 4):
        axes.add_patch(Rectangle((j + .12, -3.88), .76, .76, facecolor=ORANGE, edgecolor="none"))
    axes.add_patch(Rectangle((here[1], -here[0] - 1), 1, 1, fill=False, edgecolor=INK, lw=2.4))
    legend = ((GREEN, "taps in the rows above:\nfor a whole row at once, as it begins"),
              (ORANGE, "taps in this row:\na small product for each pixel"),
              (KEPT, "kept from pixels drawn before"))
    for y, (colour, words) in zip((-7.5, -9, -10.5), legend, strict=True):
        axes.add_patch(Rectangle((.1, y), .7, .7, facecolor=colour, edgecolor="none"))
        axes.text(1.1, y + .35, words, va="center", fontsize=9, color=INK)
    axes.set(xlim=(-.1, 8.6), ylim=(-10.8, .2), aspect="equal")
    axes.axis("off")
    axes.set_title("a layer's input, kept while an image is drawn", fontsize=10.5, color=INK)


def main():
    figure = new_figure(12, 4.9, "What drawing one image of 28x28 costs",
                        "multiplications of inputs with weights, counted by the weights themselves")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 2.1]})
    cache(left)
    pixels = np.arange(1, SIDE * SIDE + 1)
    for name, model, colour in (
            ("small PixelCNN", PixelCNN((SIDE, SIDE, 1)), BLUE),
            ("gated, 7 blocks", GatedPixelCNN((SIDE, SIDE, 1), blocks=7), ORANGE)):
        full, cached = counts(model)
        right.plot(pixels, pixels * full, color=colour, lw=1.8, ls="--")
        right.plot(pixels, cached, color=colour, lw=1.8, drawstyle="steps-post")
        right.plot([1, pixels[-1]], [full, full], color=colour, lw=.8, ls=":")
        gated, last = name != "small PixelCNN", pixels[-1]
        for value, words in ((last * full, f"{last * full / 1e9:.1f} billion"),
                             (cached[-1], f"{cached[-1] / 1e6:.1f} million")):
            right.text(last * 1.12, value, words, va="center", fontsize=9, color=INK)
        right.text(30, 30 * full * (1.9 if gated else .4), f"{name},\na full pass for each pixel",
                   ha="right" if gated else "left", va="center", fontsize=9, color=colour)
        right.text(1.1, cached[0] * 1.7, f"{name}, cached", fontsize=9, color=colour, va="center")
    right.set(xscale="log", yscale="log", xlabel="pixels drawn", ylabel="multiplications so far",
              xlim=(1, 3200), xticks=[1, 10, 28, 100, 784], xticklabels=[1, 10, 28, 100, 784])
    right.minorticks_off()
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    right.set_title("dotted: one full pass. With the cache it pays for the whole image",
                    fontsize=10.5, color=INK)
    right.tick_params(colors=GREY)
    save(figure, "sampling-cost.png")


if __name__ == "__main__":
    main()
