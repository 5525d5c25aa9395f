"""Draws images/convolution.png: taps, gather and scatter on a 4x4 image, by the real functions.

    python docs/draw_convolution.py
"""

import matplotlib
import numpy as np
from drawing import GREY, INK, save
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from scratchnet.taps import gather, scatter

TAPS = ((0, 0), (0, 1), (1, 0), (1, 1))
POSITION = 4  # the output position (1, 1), whose window and row are outlined


def table(axes, values, colours, title):
    """A grid of numbers on coloured cells."""
    rows, columns = values.shape
    for (i, j), value in np.ndenumerate(values):
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colours[i, j], edgecolor="white", lw=2))
        axes.text(j + .5, i + .5, f"{value:g}", ha="center", va="center", fontsize=10, color=INK)
    axes.set(xlim=(-.1, columns + .1), ylim=(rows + .1, -.1), aspect="equal")
    axes.axis("off")
    axes.set_title(title, fontsize=10, color=INK)


def outline(axes, x, y, width, height):
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=INK, lw=2.2, zorder=3))


def main():
    x = np.arange(1, 17, dtype=float).reshape(1, 4, 4, 1)
    rows = gather(x, TAPS, (1, 1), (3, 3)).reshape(9, 4).copy()
    back = scatter(rows.reshape(1, 3, 3, 4, 1), TAPS, (1, 1), (4, 4)).reshape(4, 4)
    cells = matplotlib.colormaps["rainbow"]((np.arange(16) * 7 % 16) / 15).reshape(4, 4, 4)
    cells[..., :3] = 0.45 * cells[..., :3] + 0.55  # pale: one colour for each pixel of x

    figure = Figure((10.5, 4.6), facecolor="white", layout="constrained")
    panels = figure.subplots(1, 4, gridspec_kw={"width_ratios": [1, .62, 1.15, 1]})
    table(panels[0], x[0, ..., 0], cells, "x, and the window of\noutput position (1, 1)")
    outline(panels[0], 1, 1, 2, 2)
    table(panels[1], np.zeros((2, 2)), np.full((2, 2, 4), .93), "the filter's\nfour taps (i, j)")
    for text, tap in zip(panels[1].texts, TAPS, strict=True):
        text.set_text(str(tap))
    table(panels[2], rows, cells.reshape(16, 4)[rows.astype(int) - 1],
          "gather(x): a row for each\noutput position, a column\nfor each tap")
    outline(panels[2], 0, POSITION, 4, 1)
    for p in range(9):
        panels[2].text(-.2, p + .5, f"({p // 3}, {p % 3})", ha="right", va="center", fontsize=8,
                       color=GREY)
    table(panels[3], back, cells, "scatter(gather(x)): each pixel,\ntimes the windows it was in")
    figure.add_artist(ConnectionPatch((4.1, 4.5), (0, 2), "data", "data", axesA=panels[2],
                                      axesB=panels[3], arrowstyle="->", color=GREY, lw=1.2))
    save(figure, "convolution.png")


if __name__ == "__main__":
    main()
