"""Codes as points of a plane: which plane shows them best, and its picture.

docs/05-network.md derives the principal components.
"""

import warnings

import numpy as np

from .figures import DIGIT_COLOURS, INK, legible, new_figure, plain


def discriminants(codes, labels):
    """Codes (n, D) along the two axes that separate the classes best, (n, 2), in units of the
    standard deviation within a class; and how much of it there is between the classes, (2,).

    Fisher's linear discriminant: the axes w with the largest

        w S_B w^T / w S_W w^T,   S_W = mean of (z - m_c)^T (z - m_c),
                                 S_B = mean of (m_c - m)^T (m_c - m)

    over all codes, each with its class's mean m_c; m is that of all. With w = v A, A S_W A^T = I,
    they are the eigenvectors v of A S_B A^T with the largest eigenvalues, which are the ratios.
    R. A. Fisher 1936; of several classes Bishop 2006, section 4.1.6.
    """
    z = codes - codes.mean(0, dtype=np.float64)
    classes, of = np.unique(labels, return_inverse=True)
    means = np.stack([z[of == c].mean(0) for c in range(len(classes))])[of]
    within, between = (a.T @ a / len(z) for a in (z - means, means))
    values, vectors = np.linalg.eigh(within)
    least = 1e-9 * values[-1] or 1.0  # no class may vary along some axis
    A = vectors.T / np.sqrt(np.maximum(values, least))[:, None]
    ratios, v = np.linalg.eigh(A @ between @ A.T)
    return z @ (v[:, :-3:-1].T @ A).T, ratios[:-3:-1]


def principal_axes(codes):
    """The mean (D,) of codes (n, D), the standard deviations (D,) along their principal axes, the
    largest first, and those axes (D, D), as rows. docs/05-network.md derives them."""
    n, D = codes.shape
    mean = codes.mean(0)
    # Rows of zeros change nothing, but there are D axes then, however few the codes are.
    centred = np.pad((codes - mean).astype(np.float64), ((0, D), (0, 0)))
    _, s, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.take_along_axis(axes, abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.sign(largest)  # svd may turn an axis round, on another computer another
    return mean, np.float32(s / n ** 0.5), np.float32(axes)


def latent_plane(codes, labels, title, classes=(), source="test images"):
    """Images as points, coloured by class, which is named at its middle: the codes in the plane of
    in_a_plane(). classes: their names, if they have some; source: what the images are."""
    codes, names, note = in_a_plane(codes, labels)
    present = np.unique(labels)
    figure = new_figure(7.2, 6.6, title, f"codes of the {source}{note}")
    axes = figure.subplots()
    order = np.random.default_rng(0).permutation(len(codes))  # no class on top of the others
    colours = np.array(DIGIT_COLOURS)[labels % 10]
    axes.scatter(*codes[order].T, s=min(30, 500 / len(codes) ** 0.5), c=colours[order], alpha=0.6,
                 linewidths=0)
    called = {k: legible(classes[k] if k < len(classes) else str(k))
              for k in present if len(present) > 1}
    for k, name in called.items():
        axes.scatter([], [], s=30, color=DIGIT_COLOURS[k % 10], label=name)
    if 1 < len(present) <= 30:
        axes.legend(title="class", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.set(xlabel=names[0], ylabel=names[1])
    fit(axes, codes, names)
    plain(axes)
    name_middles(figure, axes, {name: np.median(codes[labels == k], axis=0)
                                for k, name in called.items()})
    return figure


def in_a_plane(codes, labels):
    """(codes (n, 2), what the two axes are called, how z was projected): z itself, or where it has
    more than two dimensions its plane that separates the classes best, or if there are less than
    three, or so few images that some plane would always do, its first two principal components."""
    names, note, D = ["$z_1$", "$z_2$"], "", codes.shape[1]
    if D == 1:
        codes, names[1] = np.stack([codes[:, 0], labels], 1), "class"
    elif D > 2 and len(np.unique(labels)) > 2 and len(codes) >= 10 * D:
        note = (f", projected from {D} dimensions on the two axes that separate the classes "
                f"best,\nwith the standard deviation within a class as unit")
        codes, ratios = discriminants(codes, labels)
        names = [f"discriminant {i + 1} (variance between the classes: {ratios[i]:.2g} times that "
                 f"within)" for i in (0, 1)]
    elif D > 2:
        mean, s, axes = principal_axes(codes)
        codes, share = (codes - mean) @ axes[:2].T, s ** 2 / ((s ** 2).sum() or 1)
        names = [f"principal component {i + 1} ({share[i]:.0%} of the variance)" for i in (0, 1)]
        note = f", projected from {D} dimensions"
    return codes, names, note


def fit(axes, codes, names):
    """Limits and scales in which the points (n, 2) can be told apart: where a few lie so far out
    that the others would be one spot, the axes are denser the further from 0."""
    far = np.abs(codes - np.median(codes, axis=0))
    usual = np.median(far, axis=0)
    width, height = np.ptp(codes, axis=0)
    if 0 < usual.min() and (far.max(axis=0) > 15 * usual).any():
        marks = np.outer((1, 3), 10.0 ** np.arange(-9, 10)).reshape(-1)
        for axis, name, unit, z in zip("xy", names, usual, codes.T, strict=True):
            ticks = [t for m in marks[marks > unit] for t in (-m, m) if z.min() < t < z.max()] + [0]
            getattr(axes, f"set_{axis}scale")("asinh", linear_width=unit)
            getattr(axes, f"set_{axis}ticks")(ticks, [f"{t:g}" for t in ticks])
            axes.set(**{f"{axis}label": f"{name}, the further from 0 the denser"})
        axes.minorticks_off()
    elif 0.6 * width <= height <= width / 0.6:  # else the picture would be half empty
        axes.set_aspect("equal", adjustable="datalim")


def name_middles(figure, axes, middles):
    """Write each name at its point, {name: (2,)}, none on top of another."""
    from matplotlib.patheffects import withStroke

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a title has letters that the font has not
        figure.draw_without_rendering()  # which says where the points are
    spots = {name: axes.transData.transform(z) * 72 / figure.dpi for name, z in middles.items()}
    placed = []
    for name in sorted(middles, key=lambda name: spots[name][1]):  # upwards
        (x, y), wide = spots[name], 4.5 * len(name)
        for x_below, y_below, wide_below in placed:
            if abs(x - x_below) < wide + wide_below and abs(y - y_below) < 12:
                y = y_below + 12
        placed.append((x, y, wide))
        axes.annotate(name, middles[name], (0, y - spots[name][1]), textcoords="offset points",
                      ha="center", va="center", fontsize=11, fontweight="bold", color=INK,
                      parse_math=False, path_effects=[withStroke(linewidth=3, foreground="white")])
