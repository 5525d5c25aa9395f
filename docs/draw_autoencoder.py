"""Draws images/autoencoder-vae.png: where an autoencoder and a VAE put their codes, and what noise
decodes to. Three models are those of the box; the autoencoder with 20 numbers is trained here, on
MNIST if it is there, else on synthetic digits.

    python docs/draw_autoencoder.py
"""

import numpy as np
from drawing import DIGIT_COLOURS, GREY, INK, digits, in_box, new_figure, save, trained
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from models import VAE, Autoencoder
from models.vae import reparameterise
from scratchnet import no_grad
from scratchnet.runs.figures import mosaic, plain
from scratchnet.training import generator, to_batch

RADIUS, BALL = 2.45, 5.60  # 95 % of noise is within: on a plane, in 20 dimensions


def codes_of(model, x):
    """A code for each image: of a VAE, a draw from its q(z|x)."""
    found = model.encode(x)
    if isinstance(model, VAE):
        mu, log_var = found
        noise = np.random.default_rng(3).standard_normal(mu.shape, dtype=np.float32)
        found = reparameterise(mu, log_var, noise)
    return found.numpy()


def name_classes(axes, z, labels, apart, **kw):
    """The name of each digit at the middle of its codes; names that would touch move apart."""
    at = np.array([np.median(z[labels == k], axis=0) for k in range(10)])
    for _ in range(50):
        between = at[:, None] - at
        distance = np.linalg.norm(between, axis=2, keepdims=True) + 1e-9
        at += .1 * (between / distance * np.maximum(apart - distance, 0)).sum(1)
    for k, place in enumerate(at):
        axes.text(*place, str(k), ha="center", va="center", color=INK, fontweight="bold",
                  path_effects=[withStroke(linewidth=3, foreground="white")], **kw)


def plane(axes, z, labels, noise, name):
    """The codes of test images, coloured by class, and where noise falls among them."""
    axes.scatter(*z.T, s=5, c=np.array(DIGIT_COLOURS)[labels], linewidths=0)
    axes.scatter(*noise.T, s=16, marker="x", color="black", linewidths=.9, zorder=3)
    axes.add_patch(Circle((0, 0), RADIUS, fill=False, edgecolor="black", lw=1.6, zorder=3))
    low, high = np.percentile(z, (1, 99), axis=0)
    half, (x, y) = 1.1 * max(high - low) / 2, (low + high) / 2
    name_classes(axes, z, labels, .13 * half, fontsize=13, zorder=2.5)
    axes.set(xlim=(x - 1.35 * half, x + 1.35 * half), ylim=(y - half, y + half), aspect="equal")
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
    inside = (np.linalg.norm(z, axis=1) < RADIUS).mean()
    axes.set_title(f"{name}: {inside:.0%} of the codes are in the circle", fontsize=11, color=INK)
    plain(axes)


def shares(axes, z, labels, noise):
    """How often the code next to a draw of noise is one of a 0, a 1, ..."""
    nearest = [labels[((z - e) ** 2).sum(1).argmin()] for e in noise]
    share = np.bincount(nearest, minlength=10) / len(noise)
    axes.bar(range(10), share, color=DIGIT_COLOURS)
    axes.axhline(.1, color=GREY, lw=1, ls="--")
    axes.set(xticks=range(10), yticks=(0, .1, .2, .3), ylim=(0, .37),
             yticklabels=("0", "10 %", "20 %", "30 %"))
    axes.set_title("the digit whose code is nearest to a draw of noise", fontsize=11, color=INK)
    plain(axes)


@no_grad()
def draw(figure, models, dataset):
    x, labels = to_batch(dataset.test_images[:3000]), dataset.test_labels[:3000]
    panels = figure.subplots(3, 2, gridspec_kw={"height_ratios": [4.4, 1.2, 1.5]})
    rng = np.random.default_rng(1)
    on_plane = rng.standard_normal((1000, 2))
    for column, (name, (flat, deep)) in zip(panels.T, models.items(), strict=True):
        z = codes_of(flat, x)
        plane(column[0], z, labels, on_plane[:40], name)
        shares(column[1], z, labels, on_plane)
        noise = np.random.default_rng(2).standard_normal((36, deep.z_dim), dtype=np.float32)
        inside = (np.linalg.norm(codes_of(deep, x), axis=1) < BALL).mean()
        images = deep.mean_image(noise).numpy().reshape(-1, 28, 28, 1)
        column[2].imshow(mosaic(images, 12), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        column[2].set_title(f"{name}, {deep.z_dim} numbers, {inside:.0%} of codes in the ball: "
                            "noise, decoded", fontsize=11, color=INK)
        column[2].axis("off")


def main():
    dataset = digits()
    deep = trained(Autoencoder(784, h_dim=400, z_dim=20, rng=generator(0, "weights")),
                   dataset.train_images, epochs=3)
    models = {"autoencoder": (in_box("autoencoder-mnist").model, deep),
              "VAE": (in_box("vae2-mnist").model, in_box("vae-mnist").model)}
    figure = new_figure(11, 9, f"Codes of test images ({dataset.title}), and noise "
                        "z ~ N(0, I) among them", "points: 3,000 codes, coloured and named by "
                        "their digit; crosses: 40 draws of noise; circle, and ball: 95 % of noise")
    draw(figure, models, dataset)
    save(figure, "autoencoder-vae.png", colours=64)


if __name__ == "__main__":
    main()
