"""Draws images/mixture.png: a mixture of logistics and its bins, what a step does to neighbours,
and two colours that go together.

    python docs/draw_mixture.py
"""

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, new_figure, save

from scratchnet import Tensor, losses
from scratchnet.runs.figures import plain

WEIGHTS, MEANS, SCALES = np.array([.5, .3, .2]), np.array([.25, .6, .95]), np.array([.05, .04, .05])
BINS = 16
LEVELS = np.arange(BINS) / (BINS - 1)
STEP = 1 / (BINS - 1)


def numbers(weights, means, scales, coefficients=()):
    """What a network would give for a pixel: means and scales (C, K), coefficients (pairs, K)."""
    return np.concatenate([np.ravel(part) for part in (
        np.log(weights), means - 0.5, np.log(scales) + 2, np.arctanh(coefficients))])


def probability(y, x, levels):
    """P(x) of pixels x (N, C) by the loss."""
    return np.exp(-losses.logistic_mixture(np.tile(y, (len(x), 1)), x, "none", levels).numpy())


def draw_bins(axes):
    """Bars as high as the mean density of their bins: area is probability."""
    p = probability(numbers(WEIGHTS, MEANS, SCALES), LEVELS[:, None], BINS)
    v = np.linspace(-.2, 1.2, 1401)
    for weight, mean, scale, colour in zip(WEIGHTS, MEANS, SCALES, (BLUE, ORANGE, GREEN),
                                           strict=True):
        e = np.exp(-np.abs(v - mean) / scale)
        axes.plot(v, weight * e / scale / (1 + e) ** 2, color=colour, lw=1.7,
                  label=f"weight {weight}, mean {mean}, s = {scale}")
    axes.bar(LEVELS, p / STEP, width=STEP, color=PALE, ec="white", lw=.8, zorder=0)
    axes.vlines([STEP / 2, 1 - STEP / 2], 0, 1.7, color=GREY, lw=1, ls=":")
    axes.annotate("the last bin has\nno upper edge", (1.03, .9), (1.22, 1.9), fontsize=9, color=INK,
                  ha="right", arrowprops={"arrowstyle": "->", "color": GREY})
    axes.text(-.16, 3.5, f"{BINS} bars, whose areas sum to {p.sum():.6f}", fontsize=9, color=INK)
    axes.set(title="three components, one sum", xlabel="value x", ylabel="density",
             xlim=(-.2, 1.22), ylim=(0, 5.2))
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def change(price, y, seen, rate):
    """What a step down the slope of the price of `seen` adds to each level's probability."""
    y = Tensor(y, requires_grad=True)
    price(y, seen).backward()
    return np.subtract(*([np.exp(-price(Tensor(v), k).item()) for k in range(BINS)]
                         for v in (y.data - rate * y.grad, y.data)))


def draw_step(axes):
    seen = 11
    softmax = change(lambda y, k: losses.softmax_cross_entropy(y, np.array([k])),
                     np.zeros((1, BINS)), seen, .2)
    mixture = change(lambda y, k: losses.logistic_mixture(y, LEVELS[[[k]]], levels=BINS),
                     np.zeros((1, 3)), seen, .005)
    levels = np.arange(BINS)
    axes.axhline(0, color=INK, lw=.8)
    axes.bar(levels - .2, softmax, .4, color=ORANGE, label="softmax over 16 levels")
    axes.bar(levels + .2, mixture, .4, color=BLUE, label="mixture (one component)")
    axes.annotate("seen", (seen, max(softmax[seen], mixture[seen])), (seen, .0165), fontsize=9,
                  color=INK, ha="center", arrowprops={"arrowstyle": "->", "color": GREY})
    axes.set(title="what one step for one pixel changes", xlabel="level",
             ylabel="change of probability", ylim=(-.013, .021), xticks=range(0, BINS, 3))
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def draw_pair(axes):
    """Red and green of a mixture of two: the second's green follows its red."""
    y = numbers([.5, .5], np.array([[.25, .7], [.8, .45]]), np.full((2, 2), .04), [[.0, .9]])
    pairs = np.indices((32, 32)).reshape(2, -1).T / 31
    p = probability(y, pairs, 32).reshape(32, 32)
    axes.imshow(p.T, origin="lower", extent=(-1 / 62, 1 + 1 / 62) * 2, cmap="Blues",
                interpolation="nearest")
    axes.text(.25, .97, "a = 0", ha="center", fontsize=9, color=INK)
    axes.text(.74, .76, "a = 0.9", ha="center", fontsize=9, color=INK)
    axes.set(title="two colours, two components", xlabel="red", ylabel="green")
    axes.text(.02, .03, f"32 · 32 colours sum to {p.sum():.6f}", fontsize=9, color=INK)


def main():
    figure = new_figure(13.2, 4.3, "A mixture of discretised logistics, by the loss itself",
                        "left: a bar's area is the probability of its level, the weight of all "
                        "components between its edges (dotted: those of the first and the last); "
                        "right: darker is likelier")
    panels = figure.subplots(1, 3, width_ratios=(1.25, 1.1, .95))
    for axes, draw in zip(panels, (draw_bins, draw_step, draw_pair), strict=True):
        draw(axes)
        axes.title.set(fontsize=11, color=INK)
        plain(axes)
    panels[2].grid(False)
    save(figure, "mixture.png")


if __name__ == "__main__":
    main()
