"""Draws images/autoencoder-vae.png: where an autoencoder and a VAE put their codes, and what noise
decodes to. All are trained here, on MNIST if it is there, else on synthetic digits.

    python docs/draw_autoencoder.py
"""

import numpy as np
from drawing import DIGIT_COLOURS, INK, digits, new_figure, save, trained
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from models import VAE, Autoencoder
from scratchnet import no_grad
from scratchnet.runs.figures import mosaic, plain
from scratchnet.runs.pictures import mean_code
from scratchnet.training import generator, to_batch

IMAGES = 12_000


def plane(axes, z, labels, noise, title):
    """The codes of test images, coloured by class, and where noise falls among them."""
    axes.scatter(*z.T, s=6, c=np.array(DIGIT_COLOURS)[labels], alpha=.75, linewidths=0)
    axes.scatter(*noise.T, s=18, marker="x", color=INK, linewidths=1)
    axes.add_patch(Circle((0, 0), 2.45, fill=False, edgecolor=INK, lw=1.6))
    low, high = np.percentile(np.concatenate([z, noise]), (1, 99), axis=0)
    half, (x, y) = 1.1 * max(2.6, *(high - low) / 2), (low + high) / 2
    axes.set(xlim=(x - 1.25 * half, x + 1.25 * half), ylim=(y - half, y + half), aspect="equal")
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
    axes.set_title(title, fontsize=11, color=INK)
    plain(axes)


def decoded(axes, model, noise, columns, title):
    """What the decoder makes of the noise."""
    images = model.mean_image(noise).numpy().reshape(-1, 28, 28, 1)
    axes.imshow(mosaic(images, columns), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=11, color=INK)
    axes.axis("off")


@no_grad()
def draw(figure, models, dataset):
    x, labels = to_batch(dataset.test_images[:3000]), dataset.test_labels[:3000]
    panels = figure.subplots(3, 2, gridspec_kw={"height_ratios": [4.4, .85, 1.28]})
    for column, name in zip(panels.T, ("autoencoder", "VAE"), strict=True):
        flat, deep = models[name]
        noise = [np.random.default_rng(1).standard_normal((n, z_dim), dtype=np.float32)
                 for n, z_dim in ((24, 2), (36, deep.z_dim))]
        z = mean_code(flat.encode(x)).numpy()
        spread = " and ".join(f"{s:.1f}" for s in z.std(axis=0))
        plane(column[0], z, labels, noise[0], f"{name}: standard deviations {spread}")
        decoded(column[1], flat, noise[0], 12, f"{name}: the 24 crosses, decoded")
        decoded(column[2], deep, noise[1], 12, f"{name} with {deep.z_dim} dimensions: "
                                               f"36 draws of noise, decoded")


def main():
    dataset = digits()
    def model(kind, z_dim, h_dim, epochs):
        return trained(kind(784, h_dim=h_dim, z_dim=z_dim, rng=generator(0, "weights")),
                       dataset.train_images[:IMAGES], epochs)
    models = {name: (model(kind, 2, [100, 100, 50], 4), model(kind, 10, [150], 3))
              for name, kind in (("autoencoder", Autoencoder), ("VAE", VAE))}
    figure = new_figure(11, 8.4, f"Codes of test images ({dataset.title}), and noise z ~ "
                        "N(0, I) among them", "points: 3,000 codes; crosses: 24 draws of noise; "
                        "circle: 95 % of all noise")
    digit = [Line2D([], [], ls="", marker="o", ms=6, color=c)
             for c in DIGIT_COLOURS]
    figure.legend(digit, range(10), loc="upper right", ncols=10, frameon=False, fontsize=9,
                  handletextpad=-.3, columnspacing=.7)
    draw(figure, models, dataset)
    save(figure, "autoencoder-vae.png")


if __name__ == "__main__":
    main()
