"""Draws images/codebook-collapse.png: a codebook that collapses, is cured, or never does, in three
VQ-VAEs with codes in a plane, trained here on synthetic digits of 16x16 pixels.

    python docs/draw_collapse.py
"""

import matplotlib
import numpy as np
from drawing import GREEN, GREY, INK, ORANGE, RED, new_figure, save

from models import VQVAE, moving_codes
from scratchnet import ops, optim
from scratchnet.runs.figures import plain
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.training import generator, step, to_batch

K, BATCH, STEPS, CURE = 64, 32, 200, 100


def digits():
    """Digits (n, 16, 16, 1), uint8: means of 2x2 pixels, with a rim of one pixel."""
    _, (x, *_) = synthetic_digits(1000, 1)
    x = x.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4))
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).round().astype(np.uint8)


def train(images, prepare, init_steps=0, cured_at=STEPS, seen_at=()):
    """Perplexity and error at each step, and the plane at some: (z_e, codes, their usage)."""
    model = VQVAE((16, 16, 1), "keras", K, 2, data_variance=(images / 255).var(),
                  rng=generator(0, "weights"))
    model.prepare = model.prepare if prepare else lambda *_: None
    adam, metrics, planes = optim.Adam(model.parameters(), lr=2e-3), [], []
    before, moving_codes.INIT_STEPS = moving_codes.INIT_STEPS, init_steps
    for t in range(STEPS):
        model.restart_below = moving_codes.FAIR_PART if t >= cured_at else 0.0
        start = t * BATCH % (len(images) - BATCH)
        found = step(model, adam, images[start:start + BATCH], generator(0, "step", t))
        metrics.append((float(found["perplexity"]), found["recon_error"].item()))
        if t + 1 in seen_at:
            z = model.encode(to_batch(images[:120])).numpy().reshape(-1, 2)
            planes.append((z, model.e.numpy().copy(), metrics[-1]))
    moving_codes.INIT_STEPS = before
    return np.array(metrics), planes


def plane(axes, z, codes, limits, size):
    """The vectors and the codes, each code's cell in a colour of its own; unused codes as crosses.
    Returns how many codes are used."""
    k = ops.nearest_code(z, codes)
    used = np.bincount(k, minlength=len(codes)) > 0
    hue = matplotlib.colormaps["rainbow"]((np.arange(len(codes)) * 0.61803) % 1)[:, :3]
    side = np.linspace(*limits, 400)
    cells = ops.nearest_code(np.stack(np.meshgrid(side, side), -1), codes)
    axes.imshow(.3 * hue[cells] + .7, extent=[*limits, *limits], origin="lower",
                interpolation="nearest")
    axes.scatter(*z.T, s=3, c=.7 * hue[k], linewidths=0, alpha=.5)
    axes.plot(*codes[~used].T, "x", color=INK, ms=5, mew=1, zorder=3)
    axes.scatter(*codes[used].T, s=size, c=hue[used], edgecolors=INK, linewidths=1.1, zorder=4)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    return used.sum()


def main():
    images = digits()
    random, _ = train(images, prepare=False)
    once, planes = train(images, prepare=True, cured_at=CURE, seen_at=(CURE, STEPS))
    placed, _ = train(images, prepare=True, init_steps=500)
    figure = new_figure(13, 4.8, "A codebook of 64 codes in a plane collapses, and is cured")
    curves, *maps = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.05, 1, 1]})
    for found, colour, name in (
            (placed, GREEN, "placed over the first steps (default)"),
            (once, ORANGE, f"placed once; restarts from step {CURE} on"),
            (random, RED, "drawn from U(-1/K, 1/K), never placed")):
        curves.plot(np.arange(1, STEPS + 1), found[:, 0], color=colour, lw=1.8, label=name)
    curves.axvline(CURE, ymax=.78, color=GREY, lw=1, ls=":")
    curves.legend(fontsize=8.5, frameon=False, loc="upper right")
    curves.set_title("perplexity of a batch", fontsize=10, loc="left")
    curves.set(xlabel="training step", ylim=(0, 50))
    plain(curves)
    top = max(np.abs(np.concatenate([p[0] for p in planes])).max(), 1)
    for axes, (z, codes, (_, error)), title in zip(
            maps, planes, (f"step {CURE}, before the restarts", f"step {STEPS}, with restarts"),
            strict=True):
        used = plane(axes, z, codes, (-1.05 * top, 1.05 * top), 55)
        axes.set_title(f"{title}: {used} of {K} codes used,\nrecon. error {error:.2f}", fontsize=10,
                       loc="left")
        axes.set(xlabel="$z_1$", ylabel="$z_2$")
    z, codes, _ = planes[0]
    inset = maps[0].inset_axes([.03, .03, .4, .4])
    plane(inset, z, codes, (-.3, .3), 30)
    inset.set(xticks=[], yticks=[])
    maps[0].indicate_inset_zoom(inset, edgecolor=INK, alpha=.8)
    save(figure, "codebook-collapse.png")


if __name__ == "__main__":
    main()
