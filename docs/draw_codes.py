"""Draws images/codes-drawn.png: what codes decode to that are drawn uniformly, each as often as it
is used, and by a prior. VQ-VAE and prior are trained here, on MNIST if it is there, else on
synthetic digits, cut to the middle 20x20 pixels. And images/bits.png: the table of
docs/09-priors-and-bits.md.

    python docs/draw_codes.py            both
    python docs/draw_codes.py --bits     what PNG and the pixels' frequencies cost, on real data
"""

import io
import json
import sys

import numpy as np
from book import costs
from drawing import BLUE, GREEN, GREY, INK, ORANGE, digits, new_figure, save

from models import VQVAE, GatedPixelCNN
from scratchnet import no_grad, optim
from scratchnet.backend import to_numpy
from scratchnet.runs import data
from scratchnet.runs.figures import mosaic, plain
from scratchnet.runs.run import grids_of
from scratchnet.training import generator, step

IMAGES, K, SIDE, COLUMNS, ROWS = 6000, 32, 5, 6, 5


def trained(model, images, steps, size, lr):
    adam = optim.Adam(model.parameters(), average=0.9)
    rate, rng = optim.cosine(lr, steps), generator(0, "order")
    for t in range(steps):
        adam.lr = rate(t)
        step(model, adam, images[rng.integers(0, len(images), size)], generator(0, "step", t))
    return model


def bits(nats):
    return f"{nats / np.log(2):.0f} bits a grid"


def draw_codes():
    dataset = digits()
    title, images = dataset.title, dataset.train_images[:IMAGES, 4:24, 4:24]
    model = trained(VQVAE(images.shape[1:], "keras", K, 8, data_variance=(images / 255).var()),
                    images, 200, 32, 3e-3)
    grids = grids_of(model, images)
    prior = trained(GatedPixelCNN((SIDE, SIDE, 1), levels=K, features=32, blocks=2, head=64,
                                  embedding_dim=16), grids, 270, 32, 6e-3)
    n, rng = COLUMNS * ROWS, np.random.default_rng(1)
    share = np.stack([(grids == k).mean(axis=0) for k in range(K)], axis=-1)[:, :, 0]
    alone = -(share * np.log(np.maximum(share, 1e-12))).sum()
    with no_grad():
        nll = prior.loss(grids[:1000])[1]["nll"].item()
    drawn = {
        f"all codes equally likely:\n{bits(SIDE ** 2 * np.log(K))}":
            rng.integers(0, K, (n, SIDE, SIDE)),
        f"each place by its own\nfrequencies: {bits(alone)}":
            (share.cumsum(-1) < rng.random((n, SIDE, SIDE, 1))).sum(-1).clip(0, K - 1),
        f"by a prior, which sees earlier\ncodes: {bits(nll)}":
            prior.sample_values(n, rng)[..., 0],
        "codes of images": grids[:n, ..., 0]}
    figure = new_figure(12.5, 3.3, f"Grids of {SIDE}x{SIDE} codes, decoded ({title})")
    panels = figure.subplots(1, len(drawn), gridspec_kw={"wspace": .1})
    for axes, (name, codes) in zip(panels, drawn.items(), strict=True):
        again = to_numpy(model.decode_codes(codes.astype(np.int32)).data)
        axes.imshow(mosaic(again, COLUMNS), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name, fontsize=10.5, color=INK)
        axes.axis("off")
    save(figure, "codes-drawn.png", colours=64)


# ---------------------------------------------------------------- what an image costs

def draw_bits():
    colours = {"exact": BLUE, "bound": ORANGE, "a file's length": GREY}
    found = costs()
    figure = new_figure(12, 5.2, "What an image costs, in bits",
                        "blue: exact; orange: at most that; grey: a file's length; green: codes "
                        "alone, which do not give the image back")
    for axes, (kind, rows) in zip(figure.subplots(2, 2).flat, found.items(), strict=True):
        places = range(len(rows), 0, -1)
        names, bits, kinds = zip(*rows, strict=True)
        axes.barh(places, bits, height=.68,
                  color=[GREEN if kind.startswith("codes") else colours[k] for k in kinds])
        for place, value in zip(places, bits, strict=True):
            axes.text(value + .01 * max(bits), place, f"{value:,.0f}", va="center", fontsize=9,
                      color=INK)
        axes.set_yticks(places, names, fontsize=8.5)
        axes.set_xlim(0, 1.12 * max(bits))
        axes.set_title(kind, fontsize=10.5, color=INK)
        plain(axes)
        axes.grid(visible=False, axis="y")
    save(figure, "bits.png", Description=json.dumps(found))  # tests/test_book.py reads it


def png(image):
    """The length of an image as a PNG file, in bits."""
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return 8 * len(file.getvalue())


def measure():
    from PIL import Image  # comes with Matplotlib
    mnist, cifar = data.load("mnist"), data.load("cifar10")
    p = np.clip(mnist.train_images.mean(axis=0) / 255, 1e-4, 1 - 1e-4)  # of a binarised pixel
    x = data.statically_binarised(mnist).test_images > 0
    print(f"binary MNIST, every pixel by its own frequency: "
          f"{-np.log2(np.where(x, p, 1 - p)).sum(axis=(1, 2, 3)).mean():.1f} bits")
    for name, images in (("binary MNIST", x[..., 0]), ("CIFAR-10", cifar.test_images)):
        print(f"{name}, PNG: {np.mean([png(Image.fromarray(i)) for i in images]):.1f} bits")


if __name__ == "__main__":
    if "--bits" in sys.argv:
        measure()
    else:
        draw_codes()
        draw_bits()
