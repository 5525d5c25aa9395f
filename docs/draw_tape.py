"""Draws images/tape.png: the graph of a = x w, b = a + x, L = a b with its values, its gradients
and what each derivative passes on, all of them read from scratchnet's own tape.

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


def main():
    x, w = (Tensor(np.array(v), requires_grad=True) for v in (3.0, 2.0))
    a = x * w
    b = a + x
    L = a * b
    names = {x: "x", w: "w", a.node: "a", b.node: "b", L.node: "L"}
    values = {"x": x, "w": w, "a": a, "b": b, "L": L}
    gradients, parts, passed = {"L": 1.0}, {}, {}
    for node in (L.node, b.node, a.node):
        name = names[node]
        for source, derivative in node.edges:
            part = float(derivative(np.array(gradients[name])))
            source = names[source]
            passed[source, name] = part, part / gradients[name]
            parts.setdefault(source, []).append(part)
            gradients[source] = gradients.get(source, 0) + part

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
        axes.add_patch(FancyBboxPatch((left - WIDTH / 2, low - HEIGHT / 2), WIDTH, HEIGHT,
                                      boxstyle="round,pad=0,rounding_size=.13", lw=1.4, zorder=2,
                                      facecolor="white" if name in "wx" else "#f6f6f6",
                                      edgecolor=PALE if name in "wx" else GREY))
        found = parts.get(name, [])
        total = " + ".join(f"{p:g}" for p in found) + " = " if len(found) > 1 else ""
        for up, text, colour, weight in (
                (.36, TITLES[name], INK, "bold"), (0, f"{values[name].item():g}", BLUE, "normal"),
                (-.36, f"{total}{gradients[name]:g}", RED, "normal")):
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
    main()
