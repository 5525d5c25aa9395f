"""Draws images/arithmetic-coder.png: the number line of an arithmetic coder, cut three times, with
the message of docs/09-priors-and-bits.md: the codes 3, 3, 2.

    python docs/draw_coder.py
"""

import math

from drawing import BLUE, GREEN, GREY, INK, ORANGE, VIOLET, new_figure, save
from matplotlib.patches import Polygon, Rectangle

COLOURS = BLUE, GREEN, ORANGE, VIOLET  # of the codes 0 to 3
MESSAGE = 3, 3, 2
HEIGHT, GAP = 1, .75                   # of a line, and below it


def after(before):
    """Each code's probability: alike at first, then the last one again with 0.8."""
    return [.25] * 4 if not before else [.8 if k == before[-1] else .2 / 3 for k in range(4)]


def bar(axes, y, parts, kept, names):
    """A line cut into parts; the kept one in its colour. Returns that one's ends."""
    x = 0
    for k, (part, name) in enumerate(zip(parts, names, strict=True)):
        axes.add_patch(Rectangle((x, y), part, HEIGHT, facecolor=COLOURS[k],
                                 alpha=.9 if k == kept else .25, edgecolor="white", lw=1.5))
        axes.text(x + part / 2, y + HEIGHT / 2, name, ha="center", va="center", fontsize=9.5,
                  color="white" if k == kept else INK, fontweight="bold" if k == kept else None)
        x += part
    return sum(parts[:kept]), sum(parts[:kept + 1])


def main():
    figure = new_figure(12, 5.2, "A message is an interval, and an interval is a number",
                        "each line is the part kept of the line above, made as wide as the page")
    axes = figure.subplots()
    low, width, y = 0, 1, 0
    for i, code in enumerate(MESSAGE):
        p = after(MESSAGE[:i])
        names = [f"{k}\n{share:.2f}" if share > .1 else str(k) for k, share in enumerate(p)]
        left, right = bar(axes, y, p, code, names)
        axes.text(-.012, y + HEIGHT / 2, f"{('first', 'second', 'third')[i]} code: {code}",
                  ha="right", va="center", fontsize=10.5, color=INK)
        for x, value, side in ((0, low, "left"), (1, low + width, "right")):
            axes.text(x, y + HEIGHT + .04, f"{value:.4g}", ha=side, va="bottom", fontsize=9,
                      color=GREY)
        low, width = low + width * sum(p[:code]), width * p[code]
        axes.text(1.012, y + HEIGHT / 2, f"{-math.log2(p[code]):.2f} bits", va="center",
                  fontsize=10.5, color=INK)
        axes.add_patch(Polygon([(left, y), (right, y), (1, y - GAP), (0, y - GAP)], lw=0,
                               facecolor=COLOURS[code], alpha=.12))
        y -= HEIGHT + GAP
    b = 1 + math.ceil(-math.log2(width))
    m = math.ceil(low * 2 ** b)
    axes.add_patch(Rectangle((0, y), 1, HEIGHT, facecolor="none", edgecolor=COLOURS[MESSAGE[-1]],
                             lw=1.5))
    start, size = (m / 2 ** b - low) / width, 1 / 2 ** b / width
    axes.add_patch(Rectangle((start, y), size, HEIGHT, facecolor=INK, lw=0))
    axes.text(start + size / 2, y + HEIGHT / 2, f"0.{m:0{b}b} and\nwhatever follows", ha="center",
              va="center", fontsize=10, color="white")
    axes.text(-.012, y + HEIGHT / 2, "what is written", ha="right", va="center", fontsize=10.5,
              color=INK)
    axes.text(1.012, y + HEIGHT / 2, f"{-math.log2(width):.2f} bits\nin all: {b} digits",
              va="center", fontsize=10.5, color=INK)
    for x, value, side in ((0, low, "left"), (1, low + width, "right")):
        axes.text(x, y + HEIGHT + .04, f"{value:.4g}", ha=side, va="bottom", fontsize=9, color=GREY)
    axes.set(xlim=(-.16, 1.14), ylim=(y - .1, HEIGHT + .35))
    axes.axis("off")
    save(figure, "arithmetic-coder.png")


if __name__ == "__main__":
    main()
