"""Pictures of a run, with Matplotlib. Every title says the model and the data set."""

from pathlib import Path
from statistics import NormalDist

import numpy as np

from ..backend import to_numpy
from .checkpoint import replacing
from ..tensor import no_grad, raw
from ..training import classes, generator, to_batch
from .log import label

INK, PALE = "#222222", "#d9d9d9"
DIGIT_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b6992d", "#499894",
                 "#e15759", "#b07aa1", "#9d7660", "#d37295", "#79706e")


@no_grad()
def draw_all(model, dataset, log, folder, title, seed):
    """Draw every picture that this model can give into the folder; returns the file names.

    log: the training.Log. What a model can give shows in its methods and attributes:
    reconstruct, sample, encode with a z_dim, codes.
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
        columns = getattr(model, "num_classes", 0) or 16
        images = host(model.sample(8 * columns, generator(seed, "pictures"),
                                   **by_column(model, 8 * columns)))
        save("samples.png", grid(
            images.reshape(len(images), *picture_shape(shape, images)), columns,
            f"{title}: samples", sample_note(model)))
    if hasattr(model, "complete"):
        chosen = by_class(dataset.test_labels, rows=1, columns=16)[0]
        save("completions.png", completions(
            model, dataset.test_images[chosen], dataset.test_labels[chosen],
            generator(seed, "pictures", 1), f"{title}: completions")[1])
    if hasattr(model, "codes"):
        parts = np.array_split(dataset.test_images, -(-len(dataset.test_images) // 500))
        codes = np.concatenate([host(model.codes(to_batch(part))) for part in parts])
        save("codes.png", code_maps(model, dataset.test_images[:10], codes[:10],
                                    f"{title}: images as codes"))
        save("usage.png", usage(codes, len(model.e), f"{title}: use of the codebook"))
        save("palette.png", palette(model, codes.shape[1:], f"{title}: what each code decodes to"))
    if hasattr(model, "z_dim"):
        parts = np.array_split(dataset.test_images, -(-len(dataset.test_images) // 500))
        codes = np.concatenate([host(first(model.encode(to_batch(part)))) for part in parts])
        save("latent.png", latent_plane(codes, dataset.test_labels, f"{title}: latent space"))
        if codes.shape[1] == 2 and hasattr(model, "mean_image"):
            save("manifold.png", manifold(manifold_images(model, shape),
                                          f"{title}: decoded manifold"))
    save("curves.png", curves(log, model.table, f"{title}: training"))
    model.train()
    return drawn


def picture_shape(shape, images):
    """The shape of one picture: that of the data, where a model gives rows of numbers."""
    return shape if images.ndim == 2 else images.shape[1:]


def by_column(model, n):
    """{"labels": 0 1 2 ... again and again} for a model that is conditional on them, else {}."""
    return classes(model, np.arange(n) % max(1, getattr(model, "num_classes", 0)))


def sample_note(model):
    """What a picture of samples shows."""
    if not hasattr(model, "complete"):
        return "the decoder's mean image for z drawn from the prior"
    drawn = ("grids of codes drawn from the prior, code by code, and decoded by the VQ-VAE"
             if model.decode is not None else "drawn pixel by pixel")
    return drawn + (", a class for each column" if model.num_classes else "")


@no_grad()
def completions(model, images, labels, rng, title, times=4, **how):
    """What a PixelCNN makes of the upper half of images: (array (n, times + 2, H, W, C), figure).
    Of each image: the half that was seen, `times` completions, the image itself."""
    x = to_batch(images)
    again = [host(model.complete(x, rng, **classes(model, labels), **how)) for _ in range(times)]
    whole_ = host(model.images(model.levels_of(x)))
    seen = whole_.copy()
    seen[:, seen.shape[1] // 2:] = 0.5
    found = np.stack([seen, *again, whole_], axis=1)
    rows = found.swapaxes(0, 1).reshape(-1, *whole_.shape[1:])
    codes = " (of the grid of codes, here decoded)" if model.decode is not None else ""
    return found, grid(rows, len(images), title, f"top: the half that was seen{codes};\nthen "
                       f"{times} completions drawn by the model; bottom: the whole image")


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


def grid(images, columns, title, note="", pairs=False, gap=2):
    """A figure of images (n, H, W, C) in rows."""
    picture = mosaic(images, columns, gap, pairs)
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


def quantiles_of(side):
    """The prior's quantiles at the middles of `side` equal shares of its probability."""
    return [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]


def manifold_images(model, shape, side=20):
    """What each point of a two-dimensional latent plane decodes to, at the prior's quantiles:
    (side * side, H, W, C), z_2 falling from row to row."""
    quantiles = quantiles_of(side)
    z = np.array([[x, y] for y in reversed(quantiles) for x in quantiles], np.float32)
    return host(model.mean_image(z)).reshape(-1, *shape)


def manifold(images, title):
    """A picture of manifold_images, with the axes of the plane."""
    side = round(len(images) ** 0.5)
    quantiles = quantiles_of(side)
    figure = new_figure(7.2, 7.6, title)
    axes = figure.subplots()
    axes.imshow(mosaic(images, side, gap=0), cmap="gray", vmin=0, vmax=1)
    cells = np.arange(side) * images.shape[1] + images.shape[1] / 2
    shown = slice(1, None, 3)
    ticks = [f"{q:.1f}" for q in quantiles]
    axes.set_xticks(cells[shown], ticks[shown])
    axes.set_yticks(cells[shown], ticks[::-1][shown])
    axes.set(xlabel="$z_1$, at equal steps of the prior's probability", ylabel="$z_2$")
    return figure


def curves(log, names, title):
    """One panel for each metric: training batches (means of 100 steps) and the test set."""
    figure = new_figure(3.6 * len(names) + 0.4, 3.6, title)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        axes.plot([r["step"] for r in log.trace], [r[name] for r in log.trace], color="#b9bec4",
                  lw=1.2, label="training batches")
        values = [row[f"test_{name}"] for row in log.history]
        axes.plot([row["step"] for row in log.history], values, "o-", color="#4e79a7", lw=1.8, ms=3,
                  label="test set")
        shown = [r[name] for r in log.trace[len(log.trace) // 50:]] + values
        low, high = min(shown), max(shown)  # the first steps may leave the panel
        low = min(low, 0) if high - low < 0.02 * high else low
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) or 1)
        axes.set_title(f"{label(name)}  (test: {values[-1]:.5g})", fontsize=10)
        axes.set_xlabel("training step")
        plain(axes)
    panels[0].legend(frameon=False)
    return figure


def code_maps(model, images, codes, title):
    """Images, their grids of codes (a colour for each index), and what the codes decode to."""
    again = host(model.decode_codes(codes))
    figure = new_figure(9, 3.4, title, "above the images, below them their codes (a colour for "
                        "each of the K indices), last what the decoder makes of the codes")
    panels = figure.subplots(3, len(images), gridspec_kw={"wspace": 0.05, "hspace": 0.05})
    # Neighbouring indices mean nothing: spread the colours, so that they do not look alike.
    hues = (np.arange(len(model.e)) * 0.61803) % 1
    for column, (image, grid_, x_hat) in enumerate(zip(images / 255, codes, again, strict=True)):
        for axes, picture, kind in ((panels[0, column], image, "gray"),
                                    (panels[1, column], hues[grid_], "hsv"),
                                    (panels[2, column], np.clip(x_hat, 0, 1), "gray")):
            axes.imshow(picture, cmap=kind, vmin=0, vmax=1, interpolation="nearest")
            axes.axis("off")
    return figure


def usage(codes, K, title):
    """How often each code is used on the test images, most used first."""
    counts = np.sort(np.bincount(codes.reshape(-1), minlength=K))[::-1] / codes.size
    entropy = -(counts * np.log(counts + 1e-12)).sum()
    figure = new_figure(7.2, 3.4, title)
    axes = figure.subplots()
    axes.bar(np.arange(K), counts, width=1.0, color="#4e79a7")
    axes.axhline(1 / K, color="#e15759", lw=1, label="all codes alike")
    axes.set(xlabel=f"code, most used first: {(counts > 0).sum()} of {K} used, perplexity over the "
             f"test set {np.exp(entropy):.1f}", ylabel="share of all codes")
    axes.legend(frameon=False)
    plain(axes)
    return figure


def palette(model, shape, title):
    """The middle of the image that a grid filled with one code decodes to, for each code."""
    K, (h, w) = len(model.e), shape
    indices = np.repeat(np.arange(K), h * w).reshape(K, h, w)
    images = np.concatenate([host(model.decode_codes(part))
                             for part in np.array_split(indices, -(-K // 64))])
    H, W = images.shape[1:3]
    patches = images[:, H // 2 - 4:H // 2 + 4, W // 2 - 4:W // 2 + 4]
    brightness = np.argsort(patches.mean(axis=(1, 2, 3)))
    columns = 32 if K > 128 else 16
    return grid(patches[brightness], columns, title, "the middle 8 x 8 pixels of an image whose "
                "every position has this code; from dark to light", gap=1)


def plain(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=PALE, lw=0.5)
    axes.set_axisbelow(True)
