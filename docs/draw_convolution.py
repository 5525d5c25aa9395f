"""Draws images/convolution.png: taps, gather and scatter on a 4x4 image, by the real functions;
and images/convolution-sizes.png: what stride, padding and rounding do to sizes, both ways.

    python docs/draw_convolution.py
"""

import matplotlib
import numpy as np
from drawing import DIGIT_COLOURS, GREY, INK, PALE, save
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from scratchnet.conv import conv2d, conv_transpose2d, window
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.taps import gather, places, scatter

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


def draw_gather():
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


# ---------------------------------------------------------------- sizes

def chain(figure):
    """An image through two convolutions of stride 2 and back through two transposed ones."""
    images = synthetic_digits(train=1, test=1)[1][0]
    maps, w = [images.astype(float) / 255], np.outer([1, 2, 1], [1, 2, 1]).reshape(3, 3, 1, 1)
    for _ in range(2):
        maps.append(conv2d(maps[-1], w / 16, None, 2, 1).numpy())
    for _ in range(2):  # w / 4: the stamps that meet at a pixel add up to 1
        maps.append(conv_transpose2d(maps[-1], w / 4, None, 2, 1, 1).numpy())
    words = ["(28 + 2 - 3) / 2 = 13.5\n13 + 1 = 14", "(14 + 2 - 3) / 2 = 6.5\n6 + 1 = 7",
             "(7 - 1) * 2 + 3 - 2\n+ 1 = 14", "(14 - 1) * 2 + 3 - 2\n+ 1 = 28"]
    axes = figure.subplots()
    left, gap = 0, 23
    for k, picture in enumerate(maps):
        side = picture.shape[1]
        axes.imshow(1 - picture[0, ..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest",
                    extent=(left, left + side, -side / 2, side / 2))
        axes.add_patch(Rectangle((left, -side / 2), side, side, fill=False, ec=INK, lw=1.2))
        axes.text(left + side / 2, side / 2 + 1.2, f"{side} x {side}", ha="center", fontsize=11,
                  color=INK, weight="bold")
        if k < len(words):
            right = left + side
            axes.annotate("", (right + gap - 1, 0), (right + 1, 0),
                          arrowprops={"arrowstyle": "->", "color": GREY, "lw": 1.5})
            axes.text(right + gap / 2, 1.5, "conv2d" if k < 2 else "conv_transpose2d", ha="center",
                      va="bottom", fontsize=9.5, color=INK)
            axes.text(right + gap / 2, -1.5, words[k], ha="center", va="top", fontsize=8.5,
                      color=GREY, linespacing=1.4)
        left += side + gap
    axes.set(xlim=(-2, left - gap + 2), ylim=(-15, 18), aspect="equal")
    axes.axis("off")
    axes.set_title("filter 3, stride 2, padding 1, and output_padding 1 on the way back",
                   fontsize=11, color=INK, loc="left")


def lines(axes, pixels, upwards, title, note):
    """The pixels of a row (below) and the output positions over them, joined by their taps."""
    taps, positions = window((1, 3), (0, 1)), conv2d(
        np.ones((1, 1, pixels, 1)), np.ones((1, 3, 1, 1)), None, (1, 2), (0, 1)).shape[2]
    joined = [(pixel, position, "-") for _, j, _, q in places(taps, (1, 2), (1, positions),
                                                              (1, pixels))
              for pixel, position in zip(range(*j.indices(pixels)), range(*q.indices(positions)),
                                         strict=True)]
    for pixel, position, style in [*joined, (-1, 0, ":")]:
        ends = [(2 * position + .5, 1.75), (pixel + .5, 1.05)]
        axes.annotate("", *(ends if upwards else ends[::-1]), arrowprops={
            "arrowstyle": "->", "color": DIGIT_COLOURS[position], "lw": 1.6, "ls": style})
    for pixel in range(-1, pixels + 1):
        outside = pixel in (-1, pixels)
        axes.add_patch(Rectangle((pixel + .04, .2), .92, .8, facecolor="white" if outside else PALE,
                                 edgecolor=GREY, ls="--" if outside else "-", lw=1))
        axes.text(pixel + .5, .6, str(pixel) if not outside else "0" if upwards else "",
                  ha="center", va="center", fontsize=10, color=GREY if outside else INK)
    for pixel, word in ((-1, "padding" if upwards else "cut off"), (pixels, "left over")):
        axes.text(pixel + .5, .1, word, ha="center", va="top", fontsize=9, color=GREY)
    for position in range(positions):
        axes.add_patch(Rectangle((2 * position + .04, 1.8), .92, .8, edgecolor="white",
                                 facecolor=DIGIT_COLOURS[position]))
        axes.text(2 * position + .5, 2.2, str(position), ha="center", va="center", fontsize=10,
                  color="white", weight="bold")
    axes.text(-1.2, 2.2, "y" if upwards else "x", ha="right", va="center", fontsize=12, color=INK)
    axes.text(-1.2, .6, "x" if upwards else "y", ha="right", va="center", fontsize=12, color=INK)
    axes.set(xlim=(-1.6, pixels + 1.4), ylim=(-.25, 2.7), aspect="equal")
    axes.axis("off")
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.text(.5, -.06, note, transform=axes.transAxes, ha="center", va="top", fontsize=9,
              color=GREY)


def draw_sizes():
    figure = Figure((12.5, 5.7), facecolor="white", layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    chain(above)
    left, right = below.subplots(1, 2)
    lines(left, 8, True, "conv2d, 8 pixels to 4: each y gathers from three",
          "the last window ends at pixel 7; 7 pixels would give 4 positions, too")
    lines(right, 8, False, "conv_transpose2d, 4 back to 8: each x stamps three",
          "without output_padding, y ends at pixel 6")
    save(figure, "convolution-sizes.png")


def main():
    draw_gather()
    draw_sizes()


if __name__ == "__main__":
    main()
