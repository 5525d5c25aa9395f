"""Draws images/vqvae.png: the parts of a VQ-VAE, and one jump from code to code;
images/vqvae-mnist.png: what the VQ-VAE of the box makes of digits, of clothes, of a changed code.
With MNIST and Fashion-MNIST if they are there, else with synthetic digits.

    python docs/draw_vqvae.py
"""

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, digits, in_box, new_figure, save
from matplotlib.patches import FancyArrowPatch, Rectangle

from scratchnet.runs.figures import mosaic, plain
from scratchnet.training import to_batch

SHOWN = 10  # images in a row
MARKED, CHANGED = (2, 4), (3, 5)  # places in the grid: of the vector shown, of the code changed


def picture(axes, image, title="", grid=0, size=10):
    """An image (H, W, 1) in [0, 1], or a table of numbers in colours, with the lines of a grid."""
    side = len(image)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=[0, side, side, 0],
                interpolation="nearest")
    for k in range(1, grid):
        axes.axhline(k * side / grid, color=GREY, lw=.5)
        axes.axvline(k * side / grid, color=GREY, lw=.5)
    axes.set_title(title, fontsize=size, color=INK)
    axes.set(xticks=[], yticks=[])


def indices(axes, k, title="", marked=None):
    """A grid of codes as numbers; marked (h, w): those in blue."""
    h, w = k.shape
    marked = np.zeros((h, w), bool) if marked is None else marked
    for (i, j), code in np.ndenumerate(k):
        axes.add_patch(Rectangle((j, i), 1, 1, fc="#c9dcee" if marked[i, j] else "white", ec=GREY,
                                 lw=.5))
        axes.text(j + .5, i + .52, code, ha="center", va="center", fontsize=8, color=INK)
    axes.set(xlim=(0, w), ylim=(h, 0), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=12, color=INK)


# ---------------------------------------------------------------- the parts

def draw_parts(model, image):
    x = to_batch(image[None])
    z, k = model.encode(x).numpy()[0], model.codes(x)[0]
    e, chosen = model.e.numpy(), k[MARKED]
    figure = new_figure(13, 4.3, "A VQ-VAE: what is stored of an image is a grid of numbers")
    figure.set_layout_engine("none")
    def at(left, bottom, width, height): return figure.add_axes((left, bottom, width, height))
    def arrow(a, b, y, text, colour=BLUE):
        figure.add_artist(way(figure, (a, y), (b, y), colour))
        figure.text((a + b) / 2, y + .03, text, ha="center", fontsize=11, color=colour)

    picture(at(.015, .36, .11, .34), x[0], "image $x$\n28 x 28", size=12)
    arrow(.13, .185, .53, "encoder")
    grid = at(.19, .36, .11, .34)
    picture(grid, np.ones((7, 7, 1)), "vectors $z_e$, 7 x 7 of\n16 numbers each", 7, 12)
    grid.add_patch(Rectangle(MARKED[::-1], 1, 1, fc=BLUE, ec="none"))
    limit = np.abs(e).max()
    def numbers(axes, rows, title):
        axes.imshow(rows, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto",
                    interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=12, color=INK)
    numbers(at(.335, .76, .1, .035), z[MARKED][None], "one of the vectors")
    codebook = at(.335, .1, .1, .57)
    numbers(codebook, e, f"codebook: {len(e)} codes $e_k$")
    codebook.add_patch(Rectangle((-.5, chosen - .5), e.shape[1], 1, fc="none", ec=BLUE, lw=2))
    codebook.text(e.shape[1], chosen, f"number {chosen}\nis the nearest", fontsize=11,
                  color=BLUE, va="center")
    arrow(.303, .332, .53, "")
    arrow(.438, .505, .53, "its number")
    marked = np.zeros(k.shape, bool)
    marked[MARKED] = True
    indices(at(.51, .36, .11, .34), k, "codes $k$: all that\nis stored", marked)
    arrow(.625, .69, .53, "decoder")
    figure.text(.6575, .47, "gets $z_q = e_k$", ha="center", fontsize=8.5, color=BLUE)
    picture(at(.695, .36, .11, .34), model.decode_codes(k[None]).numpy()[0],
            "reconstruction $\\hat{x}$", size=12)
    corner = (.628, .43), (.628, .045), (.245, .045), (.245, .33)
    arrow(.69, .63, .43, "", ORANGE)
    arrow(.185, .13, .43, "", ORANGE)
    for start, end in zip(corner, corner[1:], strict=False):
        figure.add_artist(way(figure, start, end, ORANGE, "-|>" if end == corner[-1] else "-"))
    figure.text(.64, .05, "gradient: through the decoder,\npast the choice,\n"
                "through the encoder", fontsize=11, color=ORANGE)

    jump = at(.855, .2, .135, .5)
    here = .3
    jump.plot([-.5, .5], [0, 0], color=BLUE, lw=3)
    jump.plot([.5, 1.5], [1, 1], color=BLUE, lw=3)
    jump.plot([.5, .5], [0, 1], color=BLUE, lw=1, ls=":")
    t = np.array([-.45, .75])
    jump.plot(here + t, t, color=ORANGE, lw=2)
    jump.plot(here, 0, "o", color=INK, ms=7, zorder=5)
    jump.text(1, 1.1, "what it is:\na step", color=BLUE, ha="center", fontsize=9)
    jump.text(1.5, -.55, "what the gradient\npretends: slope 1", color=ORANGE, fontsize=9,
              ha="right")
    jump.set(xticks=[0, 1], yticks=[0, 1], xlim=(-.5, 1.5), ylim=(-.6, 1.5), xlabel="$z_e$")
    jump.set_title("one number, codes\n0 and 1: $z_q$", fontsize=12, color=INK)
    plain(jump)
    jump.grid(False)
    save(figure, "vqvae.png", colours=64)


def way(figure, a, b, colour, style="-|>"):
    return FancyArrowPatch(a, b, transform=figure.transFigure, arrowstyle=style, color=colour,
                           lw=1.8, mutation_scale=13, shrinkA=0, shrinkB=0)


# ---------------------------------------------------------------- what it makes of images

def pairs(axes, model, images, title):
    """Images, and below them what the model makes of them. Prints the error of all images."""
    errors = [((model.reconstruct(x).numpy() - x) ** 2).mean()
              for x in map(to_batch, np.array_split(images, 40))]
    print(f"{title}: error / variance {np.mean(errors) / (images / 255).var():.3f}")
    x = to_batch(images[:SHOWN])
    again = model.reconstruct(x).numpy()
    axes.imshow(mosaic(np.concatenate([x, again]), SHOWN), cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=10, loc="left", color=INK)
    axes.axis("off")


def draw_model(model, dataset, others):
    figure = new_figure(11, 8.3, f"What the VQ-VAE of the box makes of images ({dataset.title})")
    rows = figure.subfigures(4, 1, height_ratios=[1, 1, .75, 1.25])
    pairs(rows[0].subplots(), model, dataset.test_images,
          "Test images, and below them what the decoder makes of their 49 codes")
    pairs(rows[1].subplots(), model, others.test_images,
          f"{others.title}, which it never saw: outlines are kept, what is inside becomes strokes")

    x = to_batch(dataset.test_images[:2000])
    codes, labels = model.codes(x), dataset.test_labels[:2000]
    i, j = CHANGED
    common = np.argsort(-np.bincount(codes[:, i, j], minlength=len(model.e)), kind="stable")
    k = codes[np.flatnonzero(labels == 0)[0]]
    shown = [k[i, j], *(code for code in common if code != k[i, j])][:SHOWN]
    changed = np.repeat(k[None], SHOWN, axis=0)
    changed[:, i, j] = shown
    for n, (axes, image) in enumerate(zip(rows[2].subplots(1, SHOWN), model.decode_codes(
            changed).numpy(), strict=True)):
        picture(axes, image, f"{shown[n]}" + ", as it was" * (n == 0))
        axes.add_patch(Rectangle((4 * j, 4 * i), 4, 4, fc="none", ec=ORANGE, lw=2))
    rows[2].suptitle("One code of 49 is changed, that of the orange place, to the number above",
                     fontsize=10, x=.012, ha="left", color=INK)
    a, b = np.flatnonzero(labels == 7)[:2]
    same = codes[a] == codes[b]
    panels = rows[3].subplots(1, 4)
    picture(panels[0], x[a], grid=7)
    indices(panels[1], codes[a], marked=same)
    indices(panels[2], codes[b], marked=same)
    picture(panels[3], x[b], grid=7)
    rows[3].suptitle(f"Two images of one class: {same.sum()} of 49 codes are the same at the same "
                     "place (blue), nearly all of them in the background",
                     fontsize=10, x=.012, ha="left", color=INK)
    save(figure, "vqvae-mnist.png", colours=128)


def main():
    model = in_box("vqvae-mnist").model
    dataset = digits()
    draw_parts(model, dataset.test_images[0])
    draw_model(model, dataset, digits("fashion-mnist"))


if __name__ == "__main__":
    main()
