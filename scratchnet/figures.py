"""Pictures of a run, with Matplotlib. Every title says the model and the data set."""

from pathlib import Path
from statistics import NormalDist

import numpy as np

from .backend import to_numpy
from .checkpoint import replacing
from .data import to_batch
from .tensor import no_grad, raw
from .training import generator, label

INK, PALE = "#222222", "#d9d9d9"
DIGIT_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b6992d", "#499894",
                 "#e15759", "#b07aa1", "#9d7660", "#d37295", "#79706e")


@no_grad()
def draw_all(model, dataset, history, folder, title, seed):
    """Draw every picture that this model can give into the folder; returns the file names.

    What a model can give shows in its methods: reconstruct, sample, encode.
    """
    folder, shape, drawn = Path(folder), dataset.image_shape, []
    model.eval()

    def save(name, figure):
        with replacing(folder / name) as file:
            figure.savefig(file, format="png", dpi=110)
        drawn.append(name)

    if hasattr(model, "reconstruct"):
        images = dataset.test_images[by_class(dataset.test_labels, rows=3, columns=20)]
        again = host(model.reconstruct(to_batch(images.reshape(-1, *shape)))).reshape(images.shape)
        pairs = np.stack([images / np.float32(255), again], axis=1)  # (3, 2, 20, H, W, C)
        save("reconstructions.png", grid(
            pairs.reshape(-1, *shape), columns=20, pairs=True, title=f"{title}: reconstructions",
            note="test images in the upper row of each pair, their reconstructions below"))
    if hasattr(model, "sample"):
        images = host(model.sample(128, generator(seed, "pictures"))).reshape(-1, *shape)
        save("samples.png", grid(images, columns=16, title=f"{title}: samples",
                                 note="the decoder's mean image for z drawn from the prior"))
    if hasattr(model, "encode"):
        parts = np.array_split(dataset.test_images, -(-len(dataset.test_images) // 500))
        codes = np.concatenate([host(first(model.encode(to_batch(part)))) for part in parts])
        save("latent.png", latent_plane(codes, dataset.test_labels, f"{title}: latent space"))
        if codes.shape[1] == 2 and hasattr(model, "mean_image"):
            save("manifold.png", manifold(model, shape, f"{title}: decoded manifold"))
    if history:
        save("curves.png", curves(history, model.table, f"{title}: training", model.units))
    model.train()
    return drawn


def host(x):
    """A Tensor or array as a NumPy array."""
    return to_numpy(raw(x))


def first(x):
    """mu of (mu, log_var); a plain code as it is."""
    return x[0] if isinstance(x, tuple) else x


def by_class(labels, rows, columns):
    """Indices (rows, columns) of images to show, the columns running through the classes."""
    order = np.argsort(labels, kind="stable")  # all of class 0, then all of class 1, ...
    starts = np.linspace(0, len(labels), columns, endpoint=False).astype(int)
    return order[(starts + np.arange(rows)[:, None]) % len(labels)]


def new_figure(width, height, title, note=""):
    from matplotlib.figure import Figure

    figure = Figure((width, height), facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    if note:
        figure.supxlabel(note, x=0.02, ha="left", fontsize=8.5, color="#555555")
    return figure


def mosaic(images, columns, gap=2, pairs=False):
    """Images (n, H, W, C) in [0, 1] as one image, row by row, `gap` pixels between them.

    pairs: rows 2k and 2k + 1 belong together, and stand apart from the others.
    """
    n, height, width, channels = images.shape
    tops = [r * (height + gap) + 6 * (r // 2) * pairs for r in range(-(-n // columns))]
    canvas = np.ones((tops[-1] + height, columns * (width + gap) - gap, channels), np.float32)
    for k, image in enumerate(np.clip(images, 0, 1)):
        top, left = tops[k // columns], (k % columns) * (width + gap)
        canvas[top:top + height, left:left + width] = image
    return canvas if channels == 3 else canvas[..., 0]


def grid(images, columns, title, note="", pairs=False):
    """A figure of images (n, H, W, C) in rows."""
    picture = mosaic(images, columns, pairs=pairs)
    width = 8.0
    figure = new_figure(width, width * picture.shape[0] / picture.shape[1] + 0.75, title, note)
    axes = figure.subplots()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.axis("off")
    return figure


def latent_plane(codes, labels, title):
    """Test images as points, coloured by class: z itself, or its first two principal components."""
    names = ["$z_1$", "$z_2$"]
    note = "means of q(z|x) for the test images"
    if codes.shape[1] == 1:
        codes, names[1] = np.stack([codes[:, 0], labels], 1), "class"
    elif codes.shape[1] > 2:
        centred = codes - codes.mean(0)
        _, s, directions = np.linalg.svd(centred, full_matrices=False)
        codes, share = centred @ directions[:2].T, s ** 2 / (s ** 2).sum()
        names = [f"principal component {i + 1} ({share[i]:.0%} of the variance)" for i in (0, 1)]
        note = f"codes of the test images, projected from {len(s)} dimensions"
    figure = new_figure(7.2, 6.6, title, note)
    axes = figure.subplots()
    order = np.random.default_rng(0).permutation(len(codes))  # no class on top of the others
    colours = np.array(DIGIT_COLOURS)[labels % 10]
    axes.scatter(*codes[order].T, s=5, c=colours[order], alpha=0.6, linewidths=0)
    for k in np.unique(labels):
        axes.scatter([], [], s=30, color=DIGIT_COLOURS[k % 10], label=str(k))
    axes.legend(title="class", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_aspect("equal", adjustable="datalim")
    plain(axes)
    return figure


def manifold(model, shape, title, side=20):
    """What each point of a two-dimensional latent plane decodes to, at the prior's quantiles."""
    quantiles = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    z = np.array([[x, y] for y in reversed(quantiles) for x in quantiles], np.float32)
    images = host(model.mean_image(z)).reshape(-1, *shape)
    figure = new_figure(7.2, 7.6, title)
    axes = figure.subplots()
    axes.imshow(mosaic(images, side, gap=0), cmap="gray", vmin=0, vmax=1)
    cells = np.arange(side) * shape[0] + shape[0] / 2
    shown = slice(1, None, 3)
    ticks = [f"{q:.1f}" for q in quantiles]
    axes.set_xticks(cells[shown], ticks[shown])
    axes.set_yticks(cells[shown], ticks[::-1][shown])
    axes.set(xlabel="$z_1$, at equal steps of the prior's probability", ylabel="$z_2$")
    return figure


def curves(history, names, title, units):
    """One panel for each metric, train and test over the epochs."""
    figure = new_figure(3.6 * len(names) + 0.4, 3.6, title)
    epochs = [row["epoch"] for row in history]
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for part, colour, style in (("train", "#9aa0a6", "--"), ("test", "#4e79a7", "-")):
            values = [row[f"{part}_{name}"] for row in history]
            axes.plot(epochs, values, style, color=colour, label=part, lw=1.8,
                      marker="o" if len(epochs) < 3 else None)
        axes.set_title(f"{label(name)}  (test: {values[-1]:.5g})", fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        plain(axes)
    panels[0].set_ylabel(units, fontsize=9)
    panels[0].legend(frameon=False)
    return figure


def plain(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=PALE, lw=0.5)
    axes.set_axisbelow(True)
