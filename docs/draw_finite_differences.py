"""Draws images/finite-differences.png: the error of (L(x + h) - L(x - h)) / 2h over h, for L = e^x,
in float64 and in float32, beside the two bounds that make it a V.

    python docs/draw_finite_differences.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, new_figure, save

from scratchnet import Tensor, no_grad, ops
from scratchnet.runs.figures import plain

POINTS = np.linspace(0.5, 1.5, 41)
SIZE = np.exp(POINTS).mean()  # of L, and of L'''


def errors(dtype, hs):
    """The mean error over POINTS, for each h."""
    def L(x):
        with no_grad():
            return ops.exp(Tensor(x.astype(dtype))).numpy()
    x = POINTS.astype(dtype)
    slope = np.exp(x.astype(np.float64))
    found = []
    for h in hs.astype(dtype):
        difference = (L(x + h) - L(x - h)) / (2 * h)
        found.append(np.abs(difference.astype(np.float64) - slope).mean())
    return np.array(found)


def main():
    figure = new_figure(8.6, 5.2, "The error of a finite difference has a best h")
    axes = figure.subplots()
    for dtype, name, colour, smallest in ((np.float32, "float32", ORANGE, -6.8),
                                          (np.float64, "float64", BLUE, -13)):
        hs, unit = np.logspace(smallest, 0, 150), float(np.finfo(dtype).eps) / 2
        axes.loglog(hs, errors(dtype, hs), ".", ms=4.5, color=colour, label=name)
        axes.loglog(hs, unit * SIZE / hs, "--", lw=1.2, color=colour)
        best = (3 * unit) ** (1 / 3)
        axes.plot([best], [SIZE * best ** 2 / 2], "o", ms=10, mfc="none", mec=INK, mew=1.5)
        axes.annotate(f"best h = {best:.1g}\nbound {SIZE * best ** 2 / 2:.1g}",
                      (best, SIZE * best ** 2 / 2), (-24, -12), textcoords="offset points",
                      ha="right", va="top", fontsize=10, color=INK)
    hs = np.logspace(-7, 0, 9)
    axes.loglog(hs, SIZE * hs ** 2 / 6, "-", lw=1.2, color=GREY)
    axes.text(2.4e-4, 1.6e-9, "truncation:  $h^2 |L'''|\\ /\\ 6$", color=GREY, rotation=50,
              fontsize=11, rotation_mode="anchor")
    for place, colour in (((4e-12, 2e-4), BLUE), ((1.6e-5, 2.7e-2), ORANGE)):
        axes.text(*place, "rounding:  $u |L|\\ /\\ h$", color=colour, rotation=-31, fontsize=11,
                  rotation_mode="anchor")
    axes.axvline(1e-5, color=GREY, lw=1, ls=":")
    axes.text(7e-6, 1.5e-3, "gradcheck's h", color=GREY, fontsize=10, ha="right")
    axes.set(xlim=(1e-13, 1), ylim=(1e-12, 2), xlabel="h",
             ylabel="mean error of the slope of $e^x$, x from 0.5 to 1.5")
    axes.legend(frameon=False, loc="lower left", markerscale=2.5, fontsize=10.5)
    plain(axes)
    save(figure, "finite-differences.png")


if __name__ == "__main__":
    main()
