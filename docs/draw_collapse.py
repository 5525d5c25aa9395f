"""Draws images/codebook-collapse.png: a codebook that collapses, is cured, or never does;
images/commitment.png: what the commitment term holds back. VQ-VAEs with codes in a plane, trained
here on synthetic digits of 16x16 pixels.

    python docs/draw_collapse.py
"""

import numpy as np
from draw_quantiser import descend
from drawing import BLUE, GREY, INK, ORANGE, PALE, RED, new_figure, save

from models import VQVAE, moving_codes
from scratchnet import ops, optim
from scratchnet.runs.figures import plain
from scratchnet.runs.synthetic import synthetic_digits
from scratchnet.training import generator, step, to_batch

K, BATCH, STEPS, CURE, CURED = 64, 32, 600, 100, 200


def digits():
    """Digits (n, 16, 16, 1), uint8: means of 2x2 pixels, with a rim of one pixel."""
    _, (x, *_) = synthetic_digits(1000, 1)
    x = x.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4))
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).round().astype(np.uint8)


def train(images, prepare=True, init_steps=500, cured_at=STEPS, beta=0.25):
    """At each step perplexity, error, and the root mean square length of z_e; and at CURE and CURED
    the plane: (z_e, codes)."""
    model = VQVAE((16, 16, 1), "keras", K, 2, beta, data_variance=(images / 255).var(),
                  rng=generator(0, "weights"))
    model.prepare = model.prepare if prepare else lambda *_: None
    adam, metrics, planes = optim.Adam(model.parameters(), lr=2e-3), [], []
    before, moving_codes.INIT_STEPS = moving_codes.INIT_STEPS, init_steps
    for t in range(STEPS):
        model.restart_below = moving_codes.FAIR_PART if t >= cured_at else 0.0
        start = t * BATCH % (len(images) - BATCH)
        found = step(model, adam, images[start:start + BATCH], generator(0, "step", t))
        z = model.encode(to_batch(images[:120])).numpy().reshape(-1, 2)
        metrics.append((float(found["perplexity"]), found["recon_error"].item(),
                        (z * z).sum(axis=1).mean() ** .5))
        if t + 1 in (CURE, CURED):
            planes.append((z, model.e.numpy().copy()))
    moving_codes.INIT_STEPS = before
    return np.array(metrics).T, planes


def smooth(values, n=15):
    """Means of n steps."""
    return np.convolve(values, np.full(n, 1 / n), "valid")


def plane(axes, z, codes, limits):
    """The vectors, the borders of the codes' cells, the codes. Returns how many are used."""
    used = np.bincount(ops.nearest_code(z, codes), minlength=len(codes)) > 0
    side = np.linspace(*limits, 700)
    cells = ops.nearest_code(np.stack(np.meshgrid(side, side), -1), codes)
    border = np.zeros(cells.shape, bool)
    border[:-1] = cells[1:] != cells[:-1]
    border[:, :-1] |= cells[:, 1:] != cells[:, :-1]
    axes.imshow(1 - .18 * border, extent=[*limits, *limits], origin="lower", cmap="gray", vmin=0,
                vmax=1)
    axes.scatter(*z[::3].T, s=5, c="#aaaaaa", linewidths=0)
    axes.plot(*codes[used].T, "o", color=BLUE, mec="white", mew=.8, ms=8, zorder=3)
    axes.plot(*codes[~used].T, "x", color=RED, ms=6, mew=1.6, zorder=4)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    return used.sum()


def draw_collapse(random, once, placed, planes):
    figure = new_figure(10.5, 7.6, "A codebook of 64 codes in a plane collapses, and is cured")
    top, bottom = figure.subfigures(2, 1, height_ratios=[.9, 1])
    curves = top.subplots(1, 2)
    for axes, row, title in zip(curves, (0, 1), (
            "perplexity of a batch: how many codes are in use (more is better)",
            "reconstruction error (less is better)"), strict=True):
        for found, colour, name in (
                (random, INK, "codes drawn near 0, never moved"),
                (once, ORANGE, f"placed once; unused codes moved from step {CURE} on"),
                (placed, BLUE, "placed, and unused codes moved from the start (default)")):
            values = smooth(found[row])
            axes.plot(np.arange(len(values)) + STEPS - len(values) + 1, values, color=colour, lw=2,
                      label=name)
        axes.axvline(CURE, color=GREY, lw=1, ls=":")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set(xlabel="training step (mean of 15)", xlim=(0, STEPS))
        plain(axes)
    curves[0].set(ylim=(0, 40))
    curves[1].set(ylim=(.1, .8))
    curves[1].legend(fontsize=9, frameon=False, loc="upper right")
    maps = bottom.subplots(1, 3)
    far = 1.05 * max(np.abs(z).max() for z, _ in planes)
    for axes, (z, codes), limit, title in zip(
            maps, (planes[0], planes[0], planes[1]), (far, .16, far),
            (f"orange, step {CURE}", "the same, the frame enlarged",
             f"orange, step {CURED}: codes moved"), strict=True):
        used = plane(axes, z, codes, (-limit, limit))
        if limit == far:
            title += f"\n{used} of {K} codes in use"
        axes.set_title(title, fontsize=10, loc="left")
    maps[0].indicate_inset([-.16, -.16, .32, .32], edgecolor=INK, alpha=1)
    bottom.supxlabel("grey: some of the encoder's vectors; blue: codes that some vector chose; "
                     "red crosses: codes that none chose; lines: where the nearest code changes",
                     x=.02, ha="left", fontsize=9, color=INK)
    save(figure, "codebook-collapse.png", colours=96)


def draw_commitment(lengths):
    figure = new_figure(13, 4.3, "What the commitment term holds back")
    away, ways, training = figure.subplots(1, 3)
    for axes, codes in ((away, np.arange(-1.0, 3)), (ways, np.arange(-1.0, 4))):
        for edge in (codes[1:] + codes[:-1]) / 2:
            axes.axhline(edge, color=PALE, lw=1)
        for code in codes:
            axes.plot(-4, code, "o", color=INK, ms=5, clip_on=False)
        for beta, colour in ((0.0, RED), (1.0, BLUE)):
            axes.plot(descend(.75, beta, codes), color=colour, lw=2,
                      label=f"$\\beta$ = {beta:.0f}")
        axes.legend(fontsize=9, frameon=False, loc="center right")
        axes.set(xlabel="step of descent", ylabel="z", xlim=(-4, 120))
    ways.set_title("codes -1 to 3: z is thrown to and fro, or rests", fontsize=10, loc="left")
    away.set_title("codes -1 to 2: z runs away, or rests", fontsize=10, loc="left")
    for (beta, values), colour in zip(lengths.items(), (RED, ORANGE, BLUE), strict=True):
        training.semilogy(np.arange(1, STEPS + 1), values, color=colour, lw=2,
                          label=f"$\\beta$ = {beta:g}")
    training.legend(fontsize=9, frameon=False, loc="upper left")
    training.set_title("a VQ-VAE in training: length of its vectors", fontsize=10, loc="left")
    training.set(xlabel="training step", ylabel="root mean square of $||z_e||$")
    training.set_yticks([.1, 1, 10], ["0.1", "1", "10"])
    for axes in (ways, away, training):
        plain(axes)
        axes.grid(False)
    save(figure, "commitment.png", colours=96)


def main():
    images = digits()
    random, _ = train(images, prepare=False)
    once, planes = train(images, init_steps=0, cured_at=CURE)
    placed, _ = train(images)
    draw_collapse(random, once, placed, planes)
    draw_commitment({0: train(images, beta=0.0)[0][2], .25: placed[2],
                     1: train(images, beta=1.0)[0][2]})


if __name__ == "__main__":
    main()
