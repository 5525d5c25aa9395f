"""Draws images/convolution.png: a convolution of a 4x4 image as rows and a product;
images/scatter.png: the rows, added back; and images/convolution-sizes.png: what stride, padding and
rounding do to sizes, both ways. All by the real functions.

    python docs/draw_convolution.py
"""

import matplotlib
import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, VIOLET, save
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scratchnet.conv import conv2d, conv_transpose2d, window
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.taps import gather, places, scatter

TAPS, WEIGHTS = ((0, 0), (0, 1), (1, 0), (1, 1)), np.array([[1.0], [2.0], [3.0], [4.0]])
COLOURS = BLUE, ORANGE, GREEN, VIOLET
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


def image():
    """x, its rows, and a pale colour for each pixel."""
    x = np.arange(1, 17, dtype=float).reshape(1, 4, 4, 1)
    cells = matplotlib.colormaps["rainbow"]((np.arange(16) * 7 % 16) / 15).reshape(4, 4, 4)
    cells[..., :3] = 0.45 * cells[..., :3] + 0.55
    return x, gather(x, TAPS, (1, 1), (3, 3)).reshape(9, 4).copy(), cells


def row_table(axes, rows, cells, title):
    table(axes, rows, cells.reshape(16, 4)[rows.astype(int) - 1], title)
    for p in range(9):
        axes.text(-.2, p + .5, f"({p // 3}, {p % 3})", ha="right", va="center", fontsize=8,
                  color=GREY)


def between(axes, word):
    """A sign between two tables, and for a word of several letters an arrow below it."""
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    long = len(word) > 1
    axes.text(.5, .53 if long else .5, word, ha="center", va="bottom" if long else "center",
              fontsize=10 if long else 20, color=GREY)
    if long:
        axes.annotate("", (1, .5), (0, .5),
                      arrowprops={"arrowstyle": "->", "color": GREY, "lw": 1.5})


def draw_gather():
    x, rows, cells = image()
    grey = np.full((9, 1, 4), .93)
    figure = Figure((11, 4.7), facecolor="white", layout="constrained")
    panels = figure.subplots(1, 7, gridspec_kw={"width_ratios": [1, .32, 1.12, .16, .3, .16, .75]})
    table(panels[0], x[0, ..., 0], cells, "x, and the window\nof position (1, 1)")
    outline(panels[0], 1, 1, 2, 2)
    between(panels[1], "gather")
    row_table(panels[2], rows, cells, "gather(x): a row for each\nposition, a column for each tap")
    outline(panels[2], 0, POSITION, 4, 1)
    between(panels[3], "×")
    table(panels[4], WEIGHTS, grey, "W: a weight\nfor each tap")
    between(panels[5], "=")
    y = (rows @ WEIGHTS).reshape(3, 3)
    table(panels[6], y, grey.reshape(3, 3, 4), "y: 94 = 6·1 + 7·2\n+ 10·3 + 11·4")
    outline(panels[6], 1, 1, 1, 1)
    save(figure, "convolution.png")


def draw_scatter():
    _, rows, cells = image()
    back = scatter(rows.reshape(1, 3, 3, 4, 1), TAPS, (1, 1), (4, 4)).reshape(4, 4)
    figure = Figure((7.2, 4.4), facecolor="white", layout="constrained")
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.12, .5, 1]})
    row_table(left, rows, cells, "a row for each position:\nhere the rows of gather(x)")
    table(right, back, cells, "scatter of them: each pixel,\ntimes the windows it was in")
    between(middle, "scatter\nadds up")
    for p, t in np.argwhere(rows == 6):  # position and tap of each copy of pixel 6
        outline(left, t, p, 1, 1)
    outline(right, 1, 1, 1, 1)
    save(figure, "scatter.png")


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
            "arrowstyle": "->", "color": COLOURS[position], "lw": 1.6, "ls": style})
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
                                 facecolor=COLOURS[position]))
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
    draw_scatter()
    draw_sizes()


if __name__ == "__main__":
    main()
