"""Draws images/straight-through.png: the gradient declared for a choice, beside the true ones;
images/running-means.png: codes as running means, a code that nobody chooses, perplexity.

    python docs/draw_quantiser.py
"""

import math

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, VIOLET, new_figure, save

from models import VQVAE
from scratchnet import Tensor, ops, optim
from scratchnet.fast.segments import count, segment_sum
from scratchnet.losses import perplexity
from scratchnet.runs.figures import plain

CODES = np.arange(-1.0, 4.0)
NOISE = 0.3


# ---------------------------------------------------------------- straight-through

def loss(y):
    """What the decoder and the error make of a code: one function of one number."""
    return y ** 4 / 4 - y ** 3 + y / 2 + 6


def quantise(z, codes=CODES):
    """The nearest of the codes, with the straight-through derivative, for z (n,)."""
    k = ops.nearest_code(z.data[:, None], codes[:, None])
    return ops.straight_through(codes[k], z)


def declared(z):
    """The loss of each z's nearest code, and the derivative that z gets."""
    z = Tensor(z, requires_grad=True)
    values = loss(quantise(z))
    values.sum().backward()
    return values.numpy(), z.grad


def smoothed(z):
    """With noise on z: the derivative of the expected loss, and the mean of the declared one."""
    t = (z[:, None] - (CODES[1:] + CODES[:-1]) / 2) / NOISE
    density = np.exp(-t * t / 2) / (NOISE * math.sqrt(2 * math.pi))
    beyond = (1 + np.vectorize(math.erf)(t / math.sqrt(2))) / 2  # P(z + noise > an edge)
    slopes = declared(CODES)[1]
    return density @ np.diff(loss(CODES)), slopes[0] + beyond @ np.diff(slopes)


def descend(start, beta, codes, steps=120, lr=0.03):
    """The way of z under SGD on loss + beta (z - sg[y])^2."""
    z, way = Tensor(np.array([start]), requires_grad=True), []
    sgd = optim.SGD([z], lr=lr)
    for _ in range(steps):
        way.append(z.item())
        y = quantise(z, codes)
        commitment = (z - y.detach()) ** 2
        sgd.zero_grad()
        (loss(y) + beta * commitment).sum().backward()
        sgd.step()
    return way


def draw_straight_through():
    figure = new_figure(10.5, 4.7, "The straight-through estimator on a line with five codes")
    stairs, slopes = figure.subplots(1, 2)
    z = np.linspace(-1.5, 3.5, 2001)
    true, mean = smoothed(z)

    stairs.plot(z, loss(z), color=GREY, lw=1.2, ls=":", label="$\\ell(y)$ between the codes")
    for k, (e, slope) in enumerate(zip(CODES, declared(CODES)[1], strict=True)):
        stairs.plot([e - .5, e + .5], [loss(e)] * 2, color=BLUE, lw=3, solid_capstyle="butt",
                    label="$\\ell$ of the nearest code: flat" if k == 0 else None)
        towards = e - np.sign(slope)  # the code that a step of descent leads to
        wrong = towards in CODES and loss(towards) > loss(e)
        colour = RED if wrong else ORANGE
        stairs.plot(e, loss(e), "o", color=INK, ms=6, zorder=5)
        stairs.annotate("", (e - .62 * np.sign(slope), loss(e) + .62), (e, loss(e) + .62),
                        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.4,
                                    "shrinkA": 0, "shrinkB": 0})
    for colour, text in ((ORANGE, "straight-through: to a better code"),
                         (RED, "straight-through: to a worse code")):
        stairs.plot([], [], color=colour, lw=2.4, label=text)
    stairs.legend(fontsize=8.5, frameon=False, loc="lower left")
    stairs.set_title("the loss of z, and the way it is sent", fontsize=10, loc="left")
    stairs.set(xlabel="z", xticks=CODES, ylim=(-1.2, 8.4))

    opposed = true * mean < 0
    slopes.fill_between(z, -5, 2, where=opposed, color=RED, alpha=.13, lw=0,
                        label="the two have opposite signs")
    slopes.axhline(0, color=BLUE, lw=3, label="of the staircase: 0 almost everywhere")
    slopes.plot(z, true, color=INK, lw=1.8, label="of its mean under noise: true")
    slopes.plot(z, mean, color=ORANGE, lw=2, label="straight-through, mean under noise")
    slopes.legend(fontsize=8.5, frameon=False, loc="lower left")
    slopes.set_title(f"derivatives (noise of standard deviation {NOISE} on z)", fontsize=10,
                     loc="left")
    slopes.set(xlabel="z", xticks=CODES, ylim=(-7.6, 1.4))

    for axes in (stairs, slopes):
        plain(axes)
        axes.grid(False)
    save(figure, "straight-through.png", colours=96)


# ---------------------------------------------------------------- running means

def codebook(codes, **changes):
    """A VQ-VAE of one vector an image, its codes placed here; only its codebook is used."""
    model = VQVAE((4, 4, 1), "keras", len(codes), codes.shape[1], **changes).astype(np.float64)
    model.e.data[...] = model.m.data[...] = codes
    return model


def update(model, z):
    """One update of the codebook with these vectors, and the indices of their codes."""
    k = ops.nearest_code(z, model.e)
    model.update({"usage": count(k, len(model.e), float) / len(z),
                  "sums": segment_sum(k, z, len(model.e)) / len(z)}, len(z))
    return k


def draw_means(axes):
    rng = np.random.default_rng(4)
    centres = np.array([[-2.2, 1.2], [-.4, -1.6], [1.9, -.6], [1.2, 1.9], [-2.0, -1.2]])
    def batch(n): return centres[rng.integers(0, 5, n)] + .38 * rng.standard_normal((n, 2))
    start = np.array([[-.6, 1.0], [-.4, .2], [.5, -.3], [.4, .9], [-1.0, -.3]])
    model, ways = codebook(start, decay=0.95), [start]
    for _ in range(150):
        update(model, batch(64))
        ways.append(model.e.numpy().copy())
    z = batch(250)
    colours = np.array([BLUE, ORANGE, GREEN, RED, VIOLET])
    axes.scatter(*z.T, s=9, c=colours[ops.nearest_code(z, model.e)], alpha=.6, linewidths=0)
    for way, colour in zip(np.stack(ways, 1), colours, strict=True):
        axes.plot(*way.T, color=INK, lw=1.3)
        axes.plot(*way[0], "o", color="white", mec=INK, ms=7)
        axes.plot(*way[-1], "o", color=colour, mec=INK, mew=1.5, ms=12)
    axes.set_title("150 updates of five codes, decay 0.95", fontsize=10, loc="left")
    axes.set(xlabel="first dimension", ylabel="second dimension", aspect="equal")


def draw_unused(axes):
    for decay, colour in ((0.95, GREEN), (0.99, BLUE), (0.995, ORANGE)):
        model, found = codebook(np.array([[1.0], [2.0]]), decay=decay), []
        for _ in range(2800):
            found.append(model.e.numpy()[1, 0])
            update(model, np.ones((1, 1)))
        half = math.log(1e-5) / math.log(decay)
        axes.plot(found, color=colour, lw=2, label=f"decay {decay}: half way at {half:,.0f}")
    axes.axhline(1, color=GREY, lw=1, ls=":")
    axes.legend(fontsize=8.5, frameon=False, loc="upper right")
    axes.set_title("where a code at 2 goes that nobody chooses", fontsize=10, loc="left")
    axes.set(xlabel="updates", ylabel="the code", ylim=(-.05, 2.75))


def draw_perplexity(axes):
    rng, K = np.random.default_rng(0), 512
    zipf = 1 / np.arange(1.0, K + 1)
    sizes = 2 ** np.arange(4, 18)
    for p, colour, name in ((np.full(K, 1 / K), BLUE, "512 codes, all alike"),
                            (zipf / zipf.sum(), ORANGE, "512 codes, shares as 1, 1/2, 1/3, ...")):
        found = [np.mean([float(perplexity(count(rng.choice(K, n, p=p), K, float) / n))
                          for _ in range(8 if n < 5000 else 1)]) for n in sizes]
        axes.semilogx(sizes, found, "o-", color=colour, ms=4, lw=2, label=name, base=2)
        axes.axhline(float(perplexity(p)), color=colour, lw=1, ls=":")
    axes.plot(sizes[:6], sizes[:6], color=GREY, lw=1, ls="--", label="as many codes as vectors")
    axes.set_xticks([16, 128, 1024, 8192, 65536], ["16", "128", "1,024", "8,192", "65,536"])
    axes.minorticks_off()
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    axes.set_title("perplexity of one batch", fontsize=10, loc="left")
    axes.set(xlabel="vectors in the batch", ylabel="perplexity", ylim=(0, 730))


def draw_running_means():
    figure = new_figure(13, 4.4, "Codes as running means, and how many of them a batch uses")
    panels = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.1, 1, 1]})
    for draw, axes in zip((draw_means, draw_unused, draw_perplexity), panels, strict=True):
        draw(axes)
        plain(axes)
    save(figure, "running-means.png", colours=224)


if __name__ == "__main__":
    draw_straight_through()
    draw_running_means()
