"""Figures of arrays, with Matplotlib. Every title says the model and the data set."""

import textwrap
from statistics import NormalDist

import numpy as np

from ..backend import xp
from ..losses import perplexity
from .log import label

INK, PALE = "#222222", "#d9d9d9"
LETTER = 0.065  # inches that one takes, at 8.5 points
# Ten that the colour-blind can tell apart: Petroff 2021, arXiv:2107.02270.
DIGIT_COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
                 "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")

shown_by = None  # a function that show() gives the picture and its title to, instead


def legible(name):
    """A name for a picture: a $ would begin a formula, a _ hide it from the legend."""
    return " " * name.startswith("_") + name.replace("$", r"\$")


def new_figure(width, height, title, note=""):
    from matplotlib.figure import Figure

    figure = Figure((width, height), facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK,
                    parse_math=False)  # names of files may have dollars in them
    if note:
        figure.supxlabel(note, x=0.02, ha="left", fontsize=8.5, color="#555555")
    return figure


def signed(figure, words):
    """The figure with a line of small print below its title."""
    from matplotlib.text import Annotation

    title = figure._suptitle
    title.set_text(title.get_text() + "\n ")  # room for it
    figure.set_figheight(figure.get_figheight() + 0.2)
    figure.add_artist(Annotation(words, (0, 0), xycoords=title, fontsize=8.5, color="#555555",
                                 va="bottom", parse_math=False))
    return figure


def mosaic(images, columns, gap=2, pairs=False):
    """Images (n, H, W, C) in [0, 1] as one image, row by row, `gap` pixels between them.

    pairs: rows 2k and 2k + 1 belong together, and stand apart from the others.
    """
    n, height, width, channels = images.shape
    tops = tops_of(-(-n // columns), height, gap, pairs)
    canvas = np.ones((tops[-1] + height, columns * (width + gap) - gap, channels), np.float32)
    for k, image in enumerate(np.clip(images, 0, 1)):
        top, left = tops[k // columns], (k % columns) * (width + gap)
        canvas[top:top + height, left:left + width] = image
    return canvas if channels == 3 else canvas[..., 0]


def full_rows(images, columns):
    """Images (n, ...), and white ones behind them until rows of so many are full."""
    return np.concatenate([images, np.ones((-len(images) % columns, *images.shape[1:]),
                                           images.dtype)])


def below_each_other(pairs, columns):
    """Pairs of images (n, 2, H, W, C) in the order of a mosaic with pairs=True: rows of the first
    of each, and below them the second ones."""
    rows = full_rows(pairs, columns).reshape(-1, columns, *pairs.shape[1:])
    return rows.swapaxes(1, 2).reshape(-1, *pairs.shape[2:])


def tops_of(rows, height, gap, pairs=False):
    """The first line of pixels of each row of a mosaic."""
    return [r * (height + gap) + 6 * (r // 2) * pairs for r in range(rows)]


def framed(width, height, title, note):
    """A new figure around a panel of this size in inches, wide enough for its title."""
    width = min(8.0, max(width, 0.1 * len(title) + 0.4, 4.0))
    note = "\n".join(textwrap.fill(line, int(width / LETTER)) for line in note.split("\n"))
    title = textwrap.fill(title, 76)
    lines = title.count("\n") * 0.2 + note.count("\n") * 0.15
    return new_figure(width, height + 0.75 + lines, title, note)


def grid(images, columns, title, note="", pairs=False, gap=2, names=(), heads=()):
    """A figure of images (..., H, W, C) in rows; a few are not drawn larger than 1.6 inches, or 0.8
    inches in many rows. names: of the rows; heads: of the columns, those of two lines without the
    second where it is too long."""
    images = images.reshape(-1, *images.shape[-3:])
    picture, rows = mosaic(images, columns, gap, pairs), -(-len(images) // columns)
    (height, width), tile = picture.shape[:2], images.shape[1:3]
    left = max((LETTER * len(name) + 0.1 for name in names), default=0)
    inch = min((8.0 - left) / width, min(1.6, max(0.8, 8 / rows)) / (tile[0] + gap))  # of a pixel
    for chosen in heads, [head.split("\n")[0] for head in heads]:
        lines = [line for head in chosen for line in head.split("\n")]
        if max(map(len, lines), default=0) * LETTER <= (tile[1] + gap) * inch:
            break
    figure = framed(width * inch + left, height * inch + 0.15 * any(heads), title, note)
    axes = figure.subplots()
    axes.set_anchor("W")
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.axis("off")
    how = {"textcoords": "offset points", "fontsize": 8.5, "color": INK}
    for top, name in zip(tops_of(rows, tile[0], gap, pairs), names, strict=False):
        axes.annotate(name, (-0.5, top + (tile[0] - 1) / 2), (-5, 0), ha="right", va="center",
                      **how)
    for k, head in enumerate(chosen):
        axes.annotate(head, (k * (tile[1] + gap) + (tile[1] - 1) / 2, -0.5), (0, 2), ha="center",
                      va="bottom", **how)
    return figure


def as_images(row):
    """What show() takes as images (n, H, W, C), 0 to 1."""
    row = np.asarray(row.numpy() if hasattr(row, "numpy") else row)
    images = row / 255 if row.dtype == np.uint8 else row
    if row.ndim == 2 and (side := round(row.shape[1] ** 0.5)) ** 2 == row.shape[1]:
        images = images.reshape(-1, side, side, 1)
    elif row.ndim == 3 and row.shape[2] > 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"show(row): images (n, H, W, C) with C = 1 or 3, or grey ones (n, H, W), "
                         f"or square grey ones (n, H * W) are asked for; found {row.shape}")
    return images


def show(*rows, title=""):
    """Show rows of images of one size, each (n, H, W, C), or of grey ones (n, H, W) or, if square,
    (n, H * W), values 0 to 1 or uint8: below a notebook's cell, else in a window; nowhere where
    there is neither."""
    rows = list(map(as_images, rows))
    columns = max(map(len, rows), default=0)
    if len({row.shape[1:] for row in rows}) > 1:
        raise ValueError(f"show(*rows): images of one size are asked for; found "
                         f"{', '.join(str(row.shape[1:]) for row in rows)}")
    if not columns:
        return
    picture = mosaic(np.concatenate([full_rows(row, columns) for row in rows]), columns)
    if shown_by:
        shown_by(picture, title)
        return
    import matplotlib.pyplot as plt
    if plt.get_backend().lower() == "agg":  # which draws into files alone
        return
    inch = min(0.8, 12 / columns)  # of an image
    figure = plt.figure(figsize=(inch * columns, inch * len(rows) + 0.3 * bool(title)))
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes = figure.add_axes((0, 0, 1, 1 - 0.3 * bool(title) / figure.get_figheight()))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes.axis("off")
    plt.show(block=False)


def scored(images, numbers, title, note):
    """Images (n, H, W, C) with a number above each, the smallest first."""
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    height = images.shape[1] / images.shape[2]
    figure = framed(columns, rows * (height + 0.22), title, note)
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    order = np.argsort(numbers)
    for axes in panels:
        axes.axis("off")
    for axes, k in zip(panels, order, strict=False):
        picture = images[k] if images.shape[3] == 3 else images[k, ..., 0]
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"{numbers[k]:,.1f}", fontsize=8.5, pad=2)
    return figure


def quantiles_of(side):
    """The prior's quantiles at the middles of `side` equal shares of its probability."""
    return [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]


def manifold(images, title):
    """Images (side * side, H, W, C) of a latent plane at quantiles_of(side), with its axes: from 0
    to the whole side, z stands at the prior's probability of being below it."""
    height, width = images.shape[1:3]
    side = round(len(images) ** 0.5)
    figure = new_figure(7.2, 7.6, title)
    axes = figure.subplots()
    axes.imshow(mosaic(images, side, gap=0), cmap="gray", vmin=0, vmax=1)
    ticks = (-2, -1, -0.5, 0, 0.5, 1, 2)
    below = np.array([NormalDist().cdf(z) for z in ticks]) * side  # cells; the first pixel is at 0
    axes.set_xticks(below * width - 0.5, ticks)
    axes.set_yticks((side - below) * height - 0.5, ticks)
    axes.set(xlabel="$z_1$, at equal steps of the prior's probability", ylabel="$z_2$")
    return figure


def curves(log, names, title):
    """One panel for each metric: training batches (means of 100 steps) and the test or validation
    set. The first fifth of the steps may leave the panel, else it would flatten the rest."""
    begun = log.history[-1]["step"] / 5
    figure = new_figure(3.6 * len(names) + 0.4, 3.6, title)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        axes.plot([r["step"] for r in log.trace], [r[name] for r in log.trace], color="#b9bec4",
                  lw=1.2, marker="o" if len(log.trace) == 1 else "", ms=3,
                  label="training batches" if log.trace else "_")
        values = [row[f"{log.held_out}_{name}"] for row in log.history]
        axes.plot([row["step"] for row in log.history], values, "o-", color="#4e79a7", lw=1.8, ms=3,
                  label=f"{log.held_out} set")
        shown = [r[name] for r in log.trace if r["step"] > begun] + [
            v for v, row in zip(values, log.history, strict=True) if row["step"] > begun]
        low, high = min(shown), max(shown)
        low = min(low, 0) if high - low < 0.02 * high else low
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) or 1)
        last = log.best[f"{log.held_out}_{name}"] if log.best else values[-1]
        axes.set_title(f"{label(name)}  ({'best ' * bool(log.best)}{log.held_out}: {last:.5g})",
                       fontsize=10)
        over_steps(axes)
        plain(axes)
    panels[0].legend(frameon=False)
    return figure


def compared(groups):
    """A panel for each group of runs, (title, [(name, steps, figures), ...]): the figures of each
    run over its steps."""
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(7.2 if columns == 1 else 10, 0.6 + 3.4 * rows, "Runs beside each other",
                        "on what is held out, after each epoch; in the legends the last figure, or "
                        "the best where that is kept")
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in panels[len(groups):]:
        axes.axis("off")
    for axes, (title, lines) in zip(panels, groups, strict=False):
        for k, (name, steps, values) in enumerate(lines):
            axes.plot(steps, values, "o-" if k < 10 else "s--", ms=3, lw=1.6,
                      label=legible(name),
                      color=DIGIT_COLOURS[k % 10])
        shown = [v for _, _, values in lines for v in values[len(values) // 10:]]
        low, high = min(shown), max(shown)  # the first epochs may leave the panel
        margin = 0.05 * (high - low or abs(high) or 1)
        axes.set_ylim(low - margin, high + margin)
        axes.set_title(textwrap.fill(title, 64), fontsize=10, loc="left", parse_math=False)
        over_steps(axes)
        axes.legend(loc="upper right", frameon=False, fontsize=8.5)
        plain(axes)
    return figure


def code_maps(images, codes, again, K, title):
    """Images (n, H, W, C), their grids of codes, each with its number where there is room for it,
    and what the codes decode to, which is also what colours them: by the mean over all places."""
    (n, h, w), columns = codes.shape, min(5, len(codes))
    colours = np.zeros((K, images.shape[3]))
    cells = np.clip(again, 0, 1).reshape(n, h, again.shape[1] // h, w, again.shape[2] // w, -1)
    np.add.at(colours, codes, cells.mean(axis=(2, 4)))
    colours /= np.maximum(np.bincount(codes.reshape(-1), minlength=K), 1)[:, None]
    tile = 1.55  # inches
    size = min(8, 72 * tile / w / (0.75 * len(str(K - 1))))
    figure = framed(columns * tile + 0.5, 3 * tile * h / w * -(-n // columns), title,
                    "codes: each cell has the mean colour of what its code is decoded to here"
                    + ", and its number" * (size >= 4))
    panels = figure.subplots(3 * -(-n // columns), columns, squeeze=False,
                             gridspec_kw={"wspace": 0.05, "hspace": 0.05})
    for k, pictures in enumerate(zip(images, colours[codes], np.clip(again, 0, 1), strict=True)):
        part = panels[k // columns * 3:][:3, k % columns]
        for axes, picture, name in zip(part, pictures, ("image", "codes", "decoded"), strict=True):
            axes.imshow(picture if picture.shape[2] == 3 else picture[..., 0], cmap="gray", vmin=0,
                        vmax=1, interpolation="nearest")
            if k % columns == 0:
                axes.text(-0.04, 0.5, name, transform=axes.transAxes, ha="right", va="center",
                          fontsize=8.5, color=INK)
        for (y, x), code in np.ndenumerate(codes[k]) if size >= 4 else ():
            part[1].text(x, y, str(code), ha="center", va="center", fontsize=size,
                         color="black" if colours[code].mean() > 0.5 else "white")
    for axes in panels.reshape(-1):
        axes.axis("off")
        if not axes.images:
            axes.remove()
    return figure


def usage(parts, title, source="test images"):
    """How often each of K codes is used on the images of this source, (K,), most used first."""
    counts, K = np.sort(parts)[::-1], len(parts)
    used = f"{(parts > 0).sum()} of {K} used, perplexity {float(perplexity(xp.asarray(parts))):.1f}"
    figure = new_figure(7.2, 3.4, title)
    axes = figure.subplots()
    axes.bar(np.arange(K), counts, width=1.0, color="#4e79a7")
    axes.axhline(1 / K, color="#e15759", lw=1, label="all codes alike")
    axes.set(xlabel=f"code, most used first: {used} over the {source}", ylabel="share of all codes")
    axes.legend(frameon=False)
    plain(axes)
    return figure


def palette(images, use, title):
    """The middle of what a grid filled with one code decodes to, for each code: (K, H, W, C). use:
    how often each has been used, (K,)."""
    H, W = images.shape[1:3]
    patches = images[:, H // 2 - 4:H // 2 + 4, W // 2 - 4:W // 2 + 4]
    order = np.lexsort((patches.mean(axis=(1, 2, 3)), -use))
    columns = 32 if len(images) > 128 else 16
    return grid(patches[order], columns, title, "the middle 8 x 8 pixels of an image whose every "
                "position has this code; " + ("from dark to light" if np.ptp(use) == 0 else
                                              "the most used in training first"), gap=1)


def over_steps(axes):
    """Along x are training steps: whole numbers, and from 0 on where all is of one step."""
    axes.set_xlabel("training step")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if axes.dataLim.width == 0:
        axes.set_xlim(0, 1.1 * axes.dataLim.x1)


def plain(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=PALE, lw=0.5)
    axes.set_axisbelow(True)
