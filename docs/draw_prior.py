"""Draws images/prior-bits.png: what the trained prior of pretrained/ expects of one code, and what
each code of ten digits costs; and images/prior-nearest.png: digits that it drew, each above the
training images nearest to it. On MNIST if it is there, else on synthetic digits.

    python docs/draw_prior.py
"""

import numpy as np
from drawing import GREY, INK, RED, digits, in_box, new_figure, save
from matplotlib.patches import Rectangle

from benchmarks.named import nearest
from scratchnet import no_grad, ops
from scratchnet.backend import to_numpy
from scratchnet.training import to_batch

BLACK, PLACE = 8, (3, 3)  # the code of nothing; the place whose distribution is shown


@no_grad()
def probabilities(prior, grids):
    """(n, 7, 7, K): of each code, given those before it."""
    return ops.softmax(prior.logits(grids[..., None])).numpy()[:, :, :, 0]


def draw_bits(prior, vqvae, dataset):
    first = [np.flatnonzero(dataset.test_labels == k)[1] for k in range(10)]
    grids = to_numpy(vqvae.codes(to_batch(dataset.test_images[first]))).astype(np.int32)
    p = probabilities(prior, grids)
    bits = -np.log2(np.take_along_axis(p, grids[..., None], axis=-1)[..., 0])
    again = to_numpy(vqvae.decode_codes(grids).data)[..., 0]

    figure = new_figure(12.5, 4.9, f"What a trained prior expects, and what it is surprised by "
                                   f"({dataset.title}, 7x7 codes of {p.shape[-1]})")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    row, column = PLACE
    grid = grids[3].copy()
    known = np.arange(49).reshape(7, 7) < 7 * row + column
    ahead = np.where(known, grid, BLACK)
    likely = np.argsort(-p[3][PLACE])[:7]
    ahead = np.repeat(ahead[None], len(likely) + 1, axis=0)
    ahead[1:, row, column] = likely
    images = to_numpy(vqvae.decode_codes(ahead).data)[..., 0]
    titles = ["so far", *(f"code {k}: {100 * p[3][PLACE][k]:.0f} %" for k in likely)]
    rows, columns = np.nonzero(np.ptp(images, axis=0) > .1)  # the pixels that this code changes
    left, top = columns.min() - .5, rows.min() - .5
    size = np.ptp(columns) + 1, np.ptp(rows) + 1
    above.suptitle(f"what comes next? the likeliest codes of the place in the square, together "
                   f"{100 * p[3][PLACE][likely].sum():.0f} %, each decoded with the codes before "
                   f"it", x=0.02, ha="left", fontsize=10.5, color=INK)
    for axes, image, title in zip(above.subplots(1, len(images)), images, titles, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=RED, lw=1.2))
        axes.set_title(title, fontsize=9.5, color=INK)
        axes.axis("off")

    below.suptitle("ten test images, decoded from their codes; below, the bits of each code",
                   x=0.02, ha="left", fontsize=10.5, color=INK)
    panels = below.subplots(2, 10, gridspec_kw={"wspace": .05, "hspace": .05})
    for k in range(10):
        panels[0, k].imshow(again[k], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panels[0, k].set_title(f"{bits[k].sum():.0f} bits", fontsize=9.5, color=INK)
        shown = panels[1, k].imshow(bits[k], cmap="magma", vmin=0, vmax=10,
                                    interpolation="nearest")
        for axes in panels[:, k]:
            axes.axis("off")
    below.colorbar(shown, ax=panels[1], label="bits", shrink=.9, pad=.01, aspect=12,
                   ticks=(0, 5, 10))
    save(figure, "prior-bits.png")


def draw_nearest(prior, vqvae, dataset):
    n, count, training = 200, 3, dataset.train_images
    drawn = np.clip(to_numpy(prior.sample(n, np.random.default_rng(4))), 0, 1)[..., 0]
    test = vqvae.reconstruct(to_batch(dataset.test_images[:n])).numpy().clip(0, 1)[..., 0]
    found, far = nearest(drawn, training, count)
    _, far_test = nearest(test, training, 1)
    note = (f"distance to the nearest training image, the median of {n}: "
            f"{np.median(far[:, 0]):.1f} of what is drawn, {np.median(far_test):.1f} of test "
            f"images that go through the same codes")
    figure = new_figure(12.5, 4.6, f"Drawn by the prior, and the training images nearest to it "
                                   f"({dataset.title})", note)
    panels = figure.subplots(count + 1, 12, gridspec_kw={"wspace": .05, "hspace": .05})
    for k in range(12):
        near = training[found[k], ..., 0] / 255
        for axes, image in zip(panels[:, k], [drawn[k], *near], strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            for side in axes.spines.values():
                side.set_visible(False)
    for axes, name in zip(panels[:, 0], ["drawn", *(f"{k}. nearest" for k in (1, 2, 3))],
                          strict=True):
        axes.set_ylabel(name, fontsize=9.5, color=RED if name == "drawn" else GREY)
    save(figure, "prior-nearest.png")


if __name__ == "__main__":
    run = in_box("prior-mnist")
    draw_bits(run.model, run.vqvae.model, digits())
    draw_nearest(run.model, run.vqvae.model, digits())
