"""Draws images/elbo-gap.png and images/iwae.png: the gap between ELBO and log p(x), where both are
known, and how it closes with K weights, in a VAE trained here (MNIST if it is there).

    python docs/draw_elbo.py
"""

import math

import numpy as np
from drawing import BLUE, GREEN, INK, ORANGE, RED, digits, new_figure, save, trained

from models import VAE
from scratchnet import losses, no_grad
from scratchnet.runs.data import statically_binarised
from scratchnet.runs.figures import plain
from scratchnet.training import generator, to_batch

W, B, S, X = 0.4, 0.5, 0.2, 0.9  # p(z) = N(0, 1), p(x|z) = N(W z + B, S^2), and the image
POSTERIOR = 0.8, 0.2  # mean and variance of p(z|X), by chapter 6's formulas
LOG_P = -math.log(2 * math.pi * 0.2) / 2 - 0.4
WEIGHTS = 2 ** np.arange(10)


def density(z, mean, variance):
    return np.exp(-(z - mean) ** 2 / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def elbo(mean, variance):
    """E_q[log p(X|z)] - KL(q || p) of q = N(mean, variance), exactly."""
    error = (X - B - W * mean) ** 2 + W ** 2 * variance
    kl = losses.gaussian_kl(mean, np.log(variance) + 0 * mean, "none").numpy()
    return -error / (2 * S ** 2) - math.log(S * math.sqrt(2 * math.pi)) - kl


@no_grad()
def draw_gap(figure):
    left, right = figure.subplots(1, 2)
    z = np.linspace(-3, 3, 601)
    for name, mean, variance, colour in (("prior p(z) = N(0, 1)", 0, 1, INK),
                                         ("posterior p(z|x) = N(0.8, 0.2)", *POSTERIOR, GREEN),
                                         ("q(z|x) = N(0.3, 0.36)", .3, .36, ORANGE)):
        left.plot(z, density(z, mean, variance), color=colour, lw=1.8, label=name)
        left.fill_between(z, density(z, mean, variance), color=colour, alpha=.1, lw=0)
    left.set(title=f"x = {X}: what z was it?", xlabel="z", ylabel="density", ylim=(0, 1.3))
    means = np.linspace(-1.1, 2.7, 381)
    right.axhline(LOG_P, color=INK, lw=1.6)
    right.text(2.68, LOG_P + .07, f"log p(x) = {LOG_P:.4f}", color=INK, fontsize=9.5, ha="right")
    for variance, colour in ((.2, GREEN), (.36, ORANGE), (1., BLUE)):
        right.plot(means, elbo(means, variance), color=colour, lw=1.8,
                   label=f"ELBO, variance of q {variance:g}")
    at = float(elbo(np.array([.3]), .36)[0])
    right.annotate("", (.3, LOG_P), (.3, at), arrowprops={"arrowstyle": "<->", "color": RED,
                                                          "lw": 1.8, "shrinkA": 0, "shrinkB": 0})
    right.annotate(f"KL(q || posterior) = {LOG_P - at:.4f}", (.3, (LOG_P + at) / 2),
                   (-1.05, .25), color=RED, fontsize=9.5,
                   arrowprops={"arrowstyle": "-", "color": RED, "lw": .8})
    right.plot(.3, at, "o", color=ORANGE, ms=6)
    right.set(title="the gap is the KL to the posterior", xlabel="mean of q", ylabel="nats",
              ylim=(-4, 1.4))
    for axes in (left, right):
        axes.title.set(fontsize=11, color=INK)
        axes.legend(frameon=False, fontsize=9, loc="upper left" if axes is left else "upper right")
        plain(axes)


def linear_vae(mean, variance):
    """A VAE whose decoder is W z + B, from relu(z) - relu(-z) = z, and whose q is the same for
    every x."""
    vae = VAE(input_dim=1, h_dim=2, z_dim=1, likelihood="gaussian", sigma_x=S).astype(np.float64)
    vae.load_state_dict({
        "encoder.layers.0.w": np.zeros((1, 2)), "encoder.layers.0.b": np.zeros(2),
        "posterior.w": np.zeros((2, 2)), "posterior.b": np.array([mean, math.log(variance)]),
        "decoder.layers.0.w": np.array([[1, -1]]), "decoder.layers.0.b": np.zeros(2),
        "pixels.w": np.array([[W], [-W]]), "pixels.b": np.array([B])})
    return vae


@no_grad()
def draw_iwae(figure, model, x, title):
    left, right = figure.subplots(1, 2)
    vae, rng = linear_vae(.3, .36), np.random.default_rng(0)
    estimates = [vae.log_likelihood(np.full((max(400, 40_000 // K), 1), X), int(K), rng)
                 for K in WEIGHTS]
    curve(left, estimates, "z of one dimension: log p(x) is known")
    left.axhline(LOG_P, color=INK, lw=1.4)
    left.text(WEIGHTS[-1], LOG_P + .12, "log p(x)", ha="right", color=INK, fontsize=9.5)
    found = [[model.log_likelihood(x, int(K), rng).mean() for _ in range(max(8, min(40, 256 // K)))]
             for K in WEIGHTS]
    curve(right, found, title)
    for axes, values in ((left, estimates), (right, found)):
        axes.set(xlabel="K, the number of weights", ylabel="nats")
        axes.annotate("K = 1: the ELBO", (1, np.mean(values[0])), (2.2, np.mean(values[0])),
                      fontsize=9.5, va="center", arrowprops={"arrowstyle": "->", "color": INK})
        axes.legend(frameon=False, fontsize=9, loc="lower right")


def curve(axes, estimates, title):
    mean, spread = (np.array([f(e) for e in estimates]) for f in (np.mean, np.std))
    axes.fill_between(WEIGHTS, mean - spread, mean + spread, color=BLUE, alpha=.2, lw=0,
                      label="give or take one standard deviation")
    axes.plot(WEIGHTS, mean, "o-", color=BLUE, lw=1.8, ms=4, label="mean of the estimates")
    axes.set_xscale("log", base=2)
    axes.set_xticks(WEIGHTS, WEIGHTS)
    axes.set_title(title, fontsize=11, color=INK)
    plain(axes)


def main():
    figure = new_figure(11, 4.3, "Where everything is known: p(z) = N(0, 1), "
                                 "p(x|z) = N(0.4 z + 0.5, 0.2\u00b2)")
    draw_gap(figure)
    save(figure, "elbo-gap.png")
    dataset = statically_binarised(digits().limited(12_000))
    model = trained(VAE(784, h_dim=150, z_dim=10, rng=generator(0, "weights")),
                    dataset.train_images, epochs=3)
    figure = new_figure(11, 4.3, "The estimate of log p(x) from K weights: its mean rises, its "
                                 "spread falls")
    draw_iwae(figure, model, to_batch(dataset.test_images[:50]),
              f"a VAE with 10 dimensions, 50 test images ({dataset.title}, binarised)")
    save(figure, "iwae.png")


if __name__ == "__main__":
    main()
