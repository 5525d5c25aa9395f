"""Draws images/recipe.png: the program a = x w, b = a + x, L = a b read forwards and backwards; and
images/tape.png: its graph, with what each derivative passes on. All numbers are read from
scratchnet's own tape.

    python docs/draw_tape.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, PALE, RED, new_figure, save
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from scratchnet import Tensor

PLACES = {"w": (1.0, 3.3), "x": (1.0, 0.7), "a": (4.3, 2.0), "b": (7.5, 2.0), "L": (10.7, 2.0)}
TITLES = {"w": "w", "x": "x", "a": "a = x w", "b": "b = a + x", "L": "L = a b"}
WIDTH, HEIGHT = 1.7, 1.25
# (from, to): how far the arrow bends, and where what is passed back is written
EDGES = {("w", "a"): (0, (3.2, 2.93)), ("x", "a"): (0, (2.05, 1.6)), ("a", "b"): (0, (5.9, 2.2)),
         ("x", "b"): (0.16, (4.9, 0.22)), ("a", "L"): (-0.3, (7.5, 3.8)),
         ("b", "L"): (0, (9.1, 2.2))}


def computed():
    """The values by name, what was passed along (from, to) as (product, slope), the gradients."""
    x, w = (Tensor(np.array(v), requires_grad=True) for v in (3.0, 2.0))
    a = x * w
    b = a + x
    L = a * b
    names = {x: "x", w: "w", a.node: "a", b.node: "b", L.node: "L"}
    gradients, passed = {"L": 1.0}, {}
    for node in (L.node, b.node, a.node):
        name = names[node]
        for source, derivative in node.edges:
            part = float(derivative(np.array(gradients[name])))
            source = names[source]
            passed[source, name] = part, part / gradients[name]
            gradients[source] = gradients.get(source, 0) + part
    return {"x": x, "w": w, "a": a, "b": b, "L": L}, passed, gradients


def total(name, passed):
    """The gradient as a sum of what arrived: 9 + 6 = 15."""
    found = [part for (source, _), (part, _) in passed.items() if source == name]
    return " + ".join(f"{p:g}" for p in found) + " = " if len(found) > 1 else ""


def box(axes, left, low, width, height, strong):
    axes.add_patch(FancyBboxPatch((left, low), width, height, zorder=2, lw=1.4,
                                  boxstyle="round,pad=0,rounding_size=.13",
                                  facecolor="#f6f6f6" if strong else "white",
                                  edgecolor=GREY if strong else PALE))


def draw_recipe():
    values, passed, gradients = computed()
    figure = new_figure(10.5, 4.3, "One program, read forwards for the values, backwards for the "
                                   "gradients")
    axes = figure.subplots()
    axes.set(xlim=(0, 13.4), ylim=(-.1, 5.35), aspect="equal")
    axes.axis("off")
    lines = {"": 4.2, "a": 2.9, "b": 1.6, "L": 0.3}
    for name, low in lines.items():
        box(axes, 1, low, 4.6, .95, name)
        box(axes, 6.9, low, 5.6, .95, name)
        head = "the ingredients" if not name else f"step {'abL'.index(name) + 1}:   {TITLES[name]}"
        made = f"= {values[name].item():g}" if name else ", ".join(
            f"{k} = {values[k].item():g}" for k in "xw")
        axes.text(1.25, low + .475, head, color=INK, fontsize=12, va="center", weight="bold",
                  zorder=3)
        axes.text(5.4, low + .475, made, color=BLUE, fontsize=12.5, va="center", ha="right",
                  zorder=3)
        told = [f"tells {source}:  {gradients[name]:g} · {slope:g} = {part:g}"
                for (source, to), (part, slope) in passed.items() if to == name] or [
            f"{source} has   {total(source, passed)}{gradients[source]:g}"
            for source in "xw"]
        if name:
            has = f"{total(name, passed)}{gradients[name]:g}"
            axes.text(7.1, low + .475, f"{name} has   {has}", color=RED, fontsize=11.5, va="center",
                      zorder=3)
        for k, text in enumerate(told):
            axes.text(10.05 if name else 7.1, low + .68 - .41 * k, text, color=RED, zorder=3,
                      fontsize=11 if name else 11.5, va="center")
    for at, low, high, colour, word in ((.5, 4.7, .5, BLUE, "forwards"),
                                        (13, .5, 4.7, RED, "backwards")):
        axes.add_patch(FancyArrowPatch((at, low), (at, high), color=colour, lw=2,
                                       arrowstyle="-|>", mutation_scale=20))
        axes.text(at - .22 if at < 1 else at + .22, 2.6, word, color=colour, fontsize=11,
                  rotation=90, ha="center", va="center")
    save(figure, "recipe.png")


def draw_graph():
    values, passed, gradients = computed()
    figure = new_figure(10.5, 4.3, "Values go right, gradients go left")
    axes = figure.subplots()
    axes.set(xlim=(.05, 11.65), ylim=(-.1, 4.1), aspect="equal")
    axes.axis("off")
    for (start, end), (bend, place) in EDGES.items():
        (x0, y0), (x1, y1) = PLACES[start], PLACES[end]
        down = start == "x" and end == "b"
        ends = {0: ((x0 + WIDTH / 2, y0), (x1 - WIDTH / 2, y1))}.get(
            bend, ((x0 + WIDTH / 2, y0 - .25), (x1, y1 - HEIGHT / 2)) if down else
            ((x0, y0 + HEIGHT / 2), (x1, y1 + HEIGHT / 2)))
        axes.add_patch(FancyArrowPatch(*ends, connectionstyle=f"arc3,rad={bend}", color=GREY,
                                       arrowstyle="-|>", mutation_scale=13, lw=1.3, zorder=1,
                                       shrinkA=0, shrinkB=1))
        part, slope = passed[start, end]
        axes.text(*place, f"$\\leftarrow$ {gradients[end]:g} · {slope:g} = {part:g}", color=RED,
                  ha="center", va="center", fontsize=11)
    for name, (left, low) in PLACES.items():
        box(axes, left - WIDTH / 2, low - HEIGHT / 2, WIDTH, HEIGHT, name not in "wx")
        for up, text, colour, weight in (
                (.36, TITLES[name], INK, "bold"), (0, f"{values[name].item():g}", BLUE, "normal"),
                (-.36, f"{total(name, passed)}{gradients[name]:g}", RED, "normal")):
            axes.text(left, low + up, text, color=colour, fontweight=weight, fontsize=12,
                      ha="center", va="center", zorder=3)
    for turn, name in enumerate("Lba", 1):
        left, low = PLACES[name]
        axes.text(left + WIDTH / 2 - .05, low - HEIGHT / 2 - .17, f"turn {turn}", color=GREY,
                  fontsize=9.5, ha="right", va="center")
    axes.text(11.55, 0.42, "value", color=BLUE, fontsize=11, ha="right")
    axes.text(11.55, 0.08, "gradient: dL / d(this)", color=RED, fontsize=11, ha="right")
    save(figure, "tape.png")


if __name__ == "__main__":
    draw_recipe()
    draw_graph()
