"""Draws images/speed-machine.png: what a cache line, a page and the width of a product cost on this
machine; images/speed-prices.png: the prices in docs/10-speed.md; and images/speed-ladder.png: its
tables, which benchmarks.ladder measured.

    python docs/draw_speed.py             all three
    python docs/draw_speed.py --measure   the first one's figures, in words
"""

import mmap
import re
import resource
import statistics
import sys
import time

import numpy as np
from drawing import BLUE, DOCS, GREEN, GREY, INK, ORANGE, RED, new_figure, save

from scratchnet import Tensor
from scratchnet.fast.blas import blas_threads
from scratchnet.fast.products import gather_matmul
from scratchnet.runs.figures import plain
from tests.loops import convolve_by_loops

NUMBERS = 1 << 24  # of the large arrays: 64 MB of float32


def seconds(fn, times=7):
    """The median time of a call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        fn()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def fresh(count):
    """An array in memory that nobody has touched, in pages of 4 KB."""
    return np.frombuffer(mmap.mmap(-1, 4 * count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
                         np.float32)


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def strides():
    """{k: ms to add up every k-th number of a large array}"""
    x = np.ones(NUMBERS, np.float32)
    return {k: 1e3 * seconds(lambda k=k: x[::k].sum()) for k in (1, 2, 4, 8, 16, 32, 64)}


def passes():
    """{KB: (ns a number of y = 2 x into an array in use, and into a fresh one)}"""
    found = {}
    for kb in (4, 16, 64, 256, 1024, 4096, 16384, 65536):
        n, repeat = 256 * kb, max(1, 4096 // kb)
        x, y = np.ones(n, np.float32), np.ones(n, np.float32)
        def into(out, x=x, repeat=repeat):
            for _ in range(repeat):
                np.multiply(x, 2, out=out())
        found[kb] = tuple(1e9 * seconds(lambda out=out: into(out), 5) / repeat / n
                          for out in (lambda y=y: y, lambda n=n: fresh(n)))
    return found


def products():
    """{n: GFLOP/s of (4096, 64) @ (64, n), and of (4096, n) @ (n, 64)} on one core"""
    before, found = blas_threads(1), {}
    for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
        for shape, inner in (((4096, 64, n), 64), ((4096, n, 64), n)):
            a, b = np.ones((4096, inner), np.float32), np.ones((inner, shape[2]), np.float32)
            out = np.empty((4096, shape[2]), np.float32)
            rate = 2 * 4096 * 64 * n / seconds(lambda a=a, b=b, out=out: np.matmul(a, b, out=out))
            found.setdefault(n, []).append(rate / 1e9)
    blas_threads(before)
    return found


def calls():
    """Microseconds of a NumPy call on 16 numbers, and of an op of the engine on them."""
    x = np.ones(16, np.float32)
    t = Tensor(x, requires_grad=True)
    return [1e3 * seconds(lambda fn=fn: [fn() for _ in range(1000)])
            for fn in (lambda: x + x, lambda: t + t)]


def a_layer():
    """Milliseconds of a PixelCNN's layer on one image: by loops, and as a copy and a product."""
    x, W = np.ones((1, 28, 28, 64), np.float32), np.ones((5 * 64, 64), np.float32)
    taps = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0))
    return [1e3 * seconds(fn) for fn in (
        lambda: convolve_by_loops(x, W.reshape(5, 64, 64), taps, (1, 1), (28, 28)),
        lambda: gather_matmul(x, W, taps, (1, 1), (28, 28)))]


def measure():
    for k, ms in strides().items():
        print(f"every {k}. of 16.8 million numbers, 4 bytes each: {ms:5.1f} ms")
    used = np.ones(NUMBERS, np.float32)
    for name, make in (("in use", lambda: used),
                       ("fresh, from NumPy", lambda: np.empty(NUMBERS, np.float32)),
                       ("fresh, in pages of 4 KB", lambda: fresh(NUMBERS))):
        before = faults()
        ms = 1e3 * seconds(lambda make=make: make().fill(1))
        print(f"filling 64 MB, {name}: {ms:.1f} ms, {(faults() - before) / 7:.0f} page faults")
    for kb, (kept, new) in passes().items():
        print(f"2 x, {kb:5} KB: {kept:.2f} ns a number; into fresh pages {new:.2f}")
    for n, (wide, deep) in products().items():
        print(f"(4096, 64) @ (64, {n}): {wide:.0f} GFLOP/s; (4096, {n}) @ ({n}, 64): {deep:.0f}")
    loops, product = a_layer()
    print(f"a 3x3 B of 64 channels, one image of 28x28: a pixel at a time {loops:.1f} ms, gathered "
          f"and multiplied {product:.2f} ms")
    call, op = calls()
    print(f"a NumPy call on 16 numbers: {call:.2f} us; an op that is recorded: {op:.1f} us")


def draw_machine():
    figure = new_figure(12.5, 3.9, "What this machine asks for",
                        "one core; the figures differ from machine to machine, the shapes hardly")
    left, middle, right = figure.subplots(1, 3)
    found = strides()
    left.plot(list(found), list(found.values()), "o-", color=BLUE, label="measured")
    left.plot(list(found), [found[1] / k for k in found], "--", color=GREY,
              label="if only numbers cost")
    left.set(xscale="log", ylim=(0, None), xlabel="every k-th number (64 bytes are 16)",
             ylabel="ms", xticks=list(found), xticklabels=list(found))
    left.set_title("a cache line: adding up every\nk-th of 16.8 million numbers", fontsize=10,
                   color=INK)
    found = passes()
    for which, colour, name in ((1, RED, "into fresh pages"), (0, BLUE, "into an array in use")):
        middle.plot(list(found), [v[which] for v in found.values()], "o-", color=colour, label=name)
    ticks = list(found)[::2]
    middle.set(xscale="log", yscale="log", xlabel="KB of the array", ylabel="ns a number",
               xticks=ticks, xticklabels=ticks)
    middle.set_title("a page: y = 2 x", fontsize=10, color=INK)
    found = products()
    for which, colour, name in ((1, ORANGE, "(4096, n) @ (n, 64)"),
                                (0, GREEN, "(4096, 64) @ (64, n)")):
        right.plot(list(found), [v[which] for v in found.values()], "o-", color=colour, label=name)
    ticks = list(found)[::3]
    right.set(xscale="log", ylim=(0, None), xlabel="n", ylabel="GFLOP/s", xticks=ticks,
              xticklabels=ticks)
    right.set_title("a narrow product", fontsize=10, color=INK)
    for axes in (left, middle, right):
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=9)
        plain(axes)
    save(figure, "speed-machine.png")


def draw_prices():
    text = (DOCS / "10-speed.md").read_text().partition("| one thing |")[2].partition("\n\n")[0]
    rows = [(name.replace("$", ""), float(ns)) for name, ns in
            re.findall(r"^\| (.*?) \| ([\d.]+) \|$", text, re.M)]
    figure = new_figure(10.5, 3.2, "What one thing costs, in nanoseconds")
    axes = figure.subplots()
    colours = GREEN, BLUE, BLUE, ORANGE, RED, RED
    names, prices = zip(*rows, strict=True)
    places = range(len(rows), 0, -1)
    axes.barh(places, prices, height=.62, color=colours)
    for place, ns in zip(places, prices, strict=True):
        axes.text(1.25 * ns, place, f"{ns:,g}", va="center", fontsize=9.5, color=INK)
    axes.set(xscale="log", xlim=(.005, 3e4))
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelsize=9.5, length=0)
    axes.minorticks_off()
    axes.set_xticks([10 ** k for k in range(-2, 5)],
                    ["0.01", "0.1", "1 ns", "10", "100", "1 µs", "10 µs"])
    plain(axes)
    axes.grid(visible=False, axis="y")
    save(figure, "speed-prices.png")


def ladders():
    """{model: [(measure, ratio), ...]} from the chapter's tables of "ratio to PyTorch"."""
    found, name = {}, None
    for line in (DOCS / "10-speed.md").read_text().splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("|") and "ratio to PyTorch" in cells:
            name = cells[0]
        elif not line.startswith("|"):
            name = None
        elif name and (ratio := re.match(r"\d+\.\d+", cells[2])):
            found.setdefault(name, []).append((cells[0], float(ratio[0])))
    return found


def draw_ladders():
    found = ladders()
    figure = new_figure(12.5, 4.6, "A training step, as a multiple of PyTorch's",
                        "each bar adds a measure to those above it; dashed: PyTorch, eager; the "
                        "tables of docs/10-speed.md, measured by python -m benchmarks.ladder")
    for axes, (name, rows), colour in zip(figure.subplots(1, len(found)), found.items(),
                                          (BLUE, GREEN, ORANGE), strict=True):
        names, ratios = zip(*rows, strict=True)
        places = range(len(rows), 0, -1)
        axes.barh(places, ratios, color=colour, height=.68)
        for place, ratio in zip(places, ratios, strict=True):
            axes.text(max(ratio, 1) + .02 * max(ratios), place, f"{ratio:.2f}", va="center",
                      fontsize=9, color=INK)
        axes.axvline(1, color=INK, lw=1, ls="--")
        axes.set_yticks(places, names, fontsize=9)
        axes.set_title(name.replace(", ", "\n", 1), fontsize=10.5, color=INK)
        axes.set_xlim(0, 1.2 * max(ratios))
        plain(axes)
        axes.grid(visible=False, axis="y")
    save(figure, "speed-ladder.png", colours=64)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        measure()
    else:
        draw_machine()
        draw_prices()
        draw_ladders()
