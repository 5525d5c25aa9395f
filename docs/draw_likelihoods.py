"""Draws images/likelihoods.png: the three likelihoods of a pixel as the models compute them.

    python docs/draw_likelihoods.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, PALE, new_figure, save

from models import VAE
from scratchnet import Tensor, losses, no_grad
from scratchnet.runs.figures import plain

LEVELS = np.arange(256) / 255


def bernoulli(x, p):
    """e^-BCE of the values x, for a pixel that is 1 with probability p."""
    logits = np.full_like(x, np.log(p / (1 - p)))
    return np.exp(-losses.bce_with_logits(logits, x, "none").numpy())


def gaussian(x, mean, sigma_x):
    model = VAE(input_dim=1, h_dim=1, z_dim=1, likelihood="gaussian", sigma_x=sigma_x)
    output = Tensor(np.full((len(x), 1), mean))
    return np.exp(-model.reconstruction_loss(output, Tensor(x[:, None]), "none").numpy()[:, 0])


def logistic(x, mean, s):
    return np.exp(-losses.discretised_logistic(np.full_like(x, mean), np.full_like(x, np.log(s)),
                                               x, "none").numpy())


def draw_bernoulli(axes):
    x = np.linspace(0, 1, 401)
    for p, height, colour in ((.5, .54, ORANGE), (.9, .92, BLUE)):
        y = bernoulli(x, p)
        axes.plot(x, y, color=colour, lw=1.6)
        axes.plot([0, 1], y[[0, -1]], "o", color=colour, ms=8)
        axes.fill_between(x, y, color=colour, alpha=.12, lw=0)
        area = np.trapezoid(y, x)
        axes.text(.02, height, f"p = {p}: dots sum to {y[0] + y[-1]:.0f},\n"
                  f"area {area:.3f}", color=colour, fontsize=9)
    axes.set(title="Bernoulli: two values", xlabel="pixel x", ylabel="probability (dots)",
             ylim=(0, 1.05))


def draw_gaussian(axes):
    x = np.linspace(-.35, 1.35, 851)
    axes.axvspan(-.35, 0, color=PALE, alpha=.5, lw=0)
    axes.axvspan(1, 1.35, color=PALE, alpha=.5, lw=0)
    for mean, sigma_x, colour in ((.5, .2, ORANGE), (.9, .1, BLUE)):
        y = gaussian(x, mean, sigma_x)
        axes.plot(x, y, color=colour, lw=1.8)
        axes.fill_between(x, y, color=colour, alpha=.12, lw=0)
        outside = np.trapezoid(np.where((x < 0) | (x > 1), y, 0), x)
        axes.text(mean - 1.1 * sigma_x, y.max() - .1, f"mean {mean}, $\\sigma_x$ = {sigma_x}:\n"
                  f"{outside:.0%} outside", color=colour, fontsize=9, ha="right", va="top")
    axes.set(title="Gaussian: a density on the whole line", xlabel="pixel x", ylabel="density",
             xlim=(-.35, 1.35), ylim=(0, 4.5))


def draw_logistic(axes):
    for mean, s, colour in ((.4, .02, ORANGE), (.95, .025, BLUE)):
        y = logistic(LEVELS, mean, s)
        axes.bar(255 * LEVELS, y, width=1, color=colour, alpha=.8, lw=0,
                 label=f"mean {mean}, s = {s}\n256 bars sum to {y.sum():.6f}")
    axes.annotate("the last bar holds\nall that is above", (254, .122), (178, .085), fontsize=9,
                  color=INK, ha="center", arrowprops={"arrowstyle": "->", "color": GREY})
    axes.set(title="discretised logistic: 256 values", xlabel="level, 255 x", ylabel="probability",
             ylim=(0, .15))
    axes.legend(frameon=False, fontsize=9, loc="upper left")


@no_grad()
def main():
    figure = new_figure(13.2, 4.1, "Three likelihoods of one pixel, by the models' own losses",
                        "left: dots are the probabilities of 0 and 1, the curve is e^-BCE at grey "
                        "values, where it is no density; middle: on grey, values that no pixel has")
    panels = figure.subplots(1, 3)
    for axes, draw in zip(panels, (draw_bernoulli, draw_gaussian, draw_logistic), strict=True):
        draw(axes)
        axes.title.set(fontsize=11, color=INK)
        plain(axes)
    save(figure, "likelihoods.png")


if __name__ == "__main__":
    main()
