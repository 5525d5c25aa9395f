"""What pictures show: which image stands where, what the labels say. On models that learned
nothing, beside a few lines of NumPy."""

import io
from dataclasses import replace
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal

from models import VAE, VQVAE, GatedPixelCNN, PixelCNN
from scratchnet import to_numpy
from scratchnet.runs import data, figures, pictures, plane
from scratchnet.training import generator, to_batch


def asked(model, shape, rng, **how):
    """A Request of the model, with 167 images of each of three classes in no order: too many to be
    encoded at a time."""
    labels = rng.permutation(np.repeat(np.arange(3), 167)).astype(np.uint8)
    images = rng.integers(0, 256, (501, *shape)).astype(np.uint8)
    dataset = data.Dataset("", "", images, labels, images, labels, "")
    return pictures.Request(model, "t", shape, lambda: dataset, **how)


def drawn(what, ask, monkeypatch, how=None):
    """The array of a picture, and its figure: rows of images (rows, columns, H, W, C), the title,
    the note; its names and heads are in how."""
    shown, how = [], {} if how is None else how
    with monkeypatch.context() as patch:
        patch.setattr(figures, "grid", lambda images, columns, *rest, **more: shown.append(
            (np.reshape(images, (-1, columns, *images.shape[-3:])), *rest)) or how.update(more))
        array, figure = pictures.make(what, ask)
        figure()
    return array, *shown[0]


def vae(rng, z_dim=2, num_classes=0):
    return VAE(12, h_dim=8, z_dim=z_dim, activation="tanh", num_classes=num_classes, rng=rng)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_mosaic_is_filled_row_by_row(pairs):
    """Five images in three columns; rows 0 and 1 are a pair, 2 stands apart. Beyond [0, 1] is cut
    off."""
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.25])
    canvas = figures.mosaic(np.tile(values[:, None, None, None], (1, 2, 4, 3)), 3, 5, pairs)
    for k, value in enumerate(values[:-1]):
        rows, columns = np.nonzero(np.isclose(canvas[..., 0], value))
        assert (rows.min(), np.ptp(rows)) == (k // 3 * 7, 1)
        assert (columns.min(), np.ptp(columns)) == (k % 3 * 9, 3)
    assert canvas.shape == (16 + 6 * pairs, 22, 3) and (canvas[-2:] == 1).all()


def test_a_manifold_is_at_the_priors_quantiles_and_its_ticks_say_so(rng):
    """Each cell has a share of 1/5 by 1/5 of the prior; z_1 rises to the right, z_2 upwards."""
    ask = asked(vae(rng), (3, 4, 1), rng, num=5)
    images, figure = pictures.make("manifold", ask)
    axes = figure().axes[0]
    picture = axes.images[0].get_array()
    for ticks, size, up in (axes.get_xticks(), 4, False), (axes.get_yticks(), 3, True):
        texts = (axes.get_yticklabels if up else axes.get_xticklabels)()
        share = (ticks + 0.5) / (5 * size)  # of the side, from the left or from above
        assert_allclose([NormalDist().cdf(float(t.get_text())) for t in texts],
                        1 - share if up else share, atol=1e-6)
        assert texts[0].get_text() == "-2" and texts[-1].get_text() == "2"
    for row, column in np.ndindex(5, 5):
        z = [NormalDist().inv_cdf((n + 0.5) / 5) for n in (column, 4 - row)]
        expected = to_numpy(ask.model.mean_image(np.array([z], np.float32))).reshape(3, 4)
        assert_allclose(images[5 * row + column, ..., 0], expected, rtol=1e-5)
        cell = picture[3 * row:3 * row + 3, 4 * column:4 * column + 4]
        assert_allclose(cell, expected, rtol=1e-5)
    assert [axes.get_xlabel()[:5], axes.get_ylabel()] == ["$z_1$", "$z_2$"]


def test_test_images_are_drawn_by_the_seed_and_come_class_by_class(rng):
    """In turn: one of each class, another of each, ...; with their own labels."""
    ask = asked(None, (3, 4, 1), rng)
    label_of = dict(zip(map(bytes, ask.dataset().test_images), ask.dataset().test_labels,
                        strict=True))
    images, labels = ask.test_images(usual=60)
    assert labels.tolist() == [0, 1, 2] * 20 == [label_of[bytes(image)] for image in images]
    ask.seed = 1
    assert (ask.test_images(usual=60)[0] != images).any()
    assert len(ask.test_images(usual=1000, each=2)[0]) == 500


def test_reconstructions_stand_below_their_images(rng, monkeypatch):
    ask, how = asked(vae(rng), (3, 4, 1), rng, num=23), {}
    pairs, rows, *_ = drawn("reconstructions", ask, monkeypatch, how)
    images = ask.test_images(usual=60)[0] / np.float32(255)
    assert rows.shape == (6, 10, 3, 4, 1) and how["names"] == ["image", "decoded"] * 3
    for k in range(23):
        for which, expected in enumerate((images[k], to_numpy(
                ask.model.reconstruct(images[k:k + 1]))[0])):
            assert_allclose(pairs[k, which], expected, atol=1e-6)
            assert_allclose(rows[2 * (k // 10) + which, k % 10], expected, atol=1e-6)
    assert (rows[4:, 3:] == 1).all()


@pytest.mark.parametrize("how, held_out, words", [
    ({}, "test", "test images"), ({}, "validation", "validation images"),
    ({"given": True}, "test", "images of mine.png")])
def test_captions_say_which_images(how, held_out, words, rng):
    def said(what, model, shape=(2, 6, 1)):
        ask = asked(model, shape, rng, **how)
        named = replace(ask.dataset(), title="mine.png", held_out=held_out)
        _, figure = pictures.make(what, replace(ask, dataset=lambda: named))
        return " ".join(" ".join(text.get_text() for text in figure().findobj(Text)).split())
    assert f"{words}, and below each" in said("reconstructions", vae(rng))
    assert f"codes of the {words}" in said("latent", vae(rng))
    assert f"over the {words}" in said("usage", vqvae(rng), (16, 12, 1))
    one = "an image of mine.png" if how else f"a {held_out} image"
    assert f"is the code of {one}" in said("traversal", vae(rng, z_dim=3))


def test_between_two_images_z_moves_in_equal_steps(rng, monkeypatch):
    ask = asked(vae(rng), (3, 4, 1), rng, num=6)
    found, rows, *_ = drawn("interpolation", ask, monkeypatch)
    images = ask.test_images(usual=20, each=2)[0]
    z = to_numpy(ask.model.encode(to_batch(images))[0])
    for k in range(6):
        for step in range(11):
            a, b = z[k], z[6 + (k + 1) % 6]
            expected = ask.model.mean_image((a + step / 10 * (b - a))[None])
            assert_allclose(found[k, step].reshape(1, -1), to_numpy(expected), rtol=1e-4)
        assert_allclose(rows[k, 0], images[k] / 255, rtol=1e-6)
        assert_allclose(rows[k, -1], images[6 + (k + 1) % 6] / 255, rtol=1e-6)
    assert_array_equal(rows[:, 1:-1], found)


def test_a_row_of_styles_is_a_class_and_a_column_a_code(rng, monkeypatch):
    model = vae(rng, num_classes=3)
    ask, how = asked(model, (3, 4, 1), rng, num=5, seed=4, classes=("a", "$b$")), {}
    found, rows, title, note = drawn("styles", ask, monkeypatch, how)
    z = generator(4, "pictures").standard_normal((5, 2), dtype=np.float32)
    for label in range(3):
        expected = to_numpy(model.mean_image(z, np.full(5, label)))
        assert_allclose(found[label].reshape(5, 12), expected, rtol=1e-5)
    assert_array_equal(rows, found)
    assert how["names"] == ["0 a", r"1 \$b\$", "2"]
    assert title == "t: style by class" and "a class for each row, 0 to 2; a z " in note
    assert "styles" in pictures.possible(model) and "styles" not in pictures.possible(vae(rng))


def test_pictures_of_a_model_that_is_told_the_class_tell_it(rng, monkeypatch):
    """That of the image; between two images that of the first; of a manifold the one asked for."""
    model = vae(rng, num_classes=3)
    ask = asked(model, (3, 4, 1), rng, num=4)
    def decoded(z, labels):
        return to_numpy(model.mean_image(z, labels)).reshape(-1, 3, 4, 1)
    images, labels = ask.test_images(usual=20)
    mu = to_numpy(model.encode(to_batch(images), labels)[0])
    pairs, *_ = drawn("reconstructions", ask, monkeypatch)
    assert_allclose(pairs[:, 1], decoded(mu, labels), rtol=1e-5)
    images, labels = ask.test_images(usual=20, each=2)
    mu = to_numpy(model.encode(to_batch(images), labels)[0])
    between, _, _, note = drawn("interpolation", ask, monkeypatch)
    assert_allclose(between[:, 0], decoded(mu[:4], labels[:4]), rtol=1e-4)
    assert_allclose(between[:, 5], decoded((mu[:4] + mu[4:]) / 2, labels[:4]), rtol=1e-4)
    assert_allclose(between[:, -1], decoded(mu[4:], labels[:4]), rtol=1e-4)
    assert "the class stays" in note
    whole = ask.dataset()
    codes, figure = pictures.make("latent", ask)
    assert_allclose(codes, to_numpy(model.encode(to_batch(whole.test_images),
                                          whole.test_labels)[0]), rtol=1e-4, atol=1e-6)
    assert figure().get_suptitle() == "t: latent space, given the class"
    z = np.array([[NormalDist().inv_cdf((x + 0.5) / 4), NormalDist().inv_cdf((3.5 - y) / 4)]
                  for y in range(4) for x in range(4)], np.float32)
    for label in None, 2:
        ask.label = label
        found, figure = pictures.make("manifold", ask)
        assert_allclose(found, decoded(z, np.full(16, label or 0)), rtol=1e-4)
        assert figure().get_suptitle() == f"t: decoded manifold, label {label or 0}"


@pytest.mark.parametrize("label", [None, 1])
def test_samples_have_a_column_for_each_class(label, rng, monkeypatch):
    model = GatedPixelCNN((3, 4, 1), features=4, blocks=1, head=4, num_classes=3, rng=rng)
    given = {}
    def sample(n, rng, labels, progress, **how):  # images that show their label
        given.update(how)
        return np.tile(labels[:, None, None, None] / 10, (1, 3, 4, 1))
    monkeypatch.setattr(model, "sample", sample)
    monkeypatch.setattr(pictures, "AT_ONCE", 5)
    ask = asked(model, (3, 4, 1), rng, num=12, label=label, temperature=0.5)
    _, rows, title, note = drawn("samples", ask, monkeypatch, how := {})
    assert list(how["heads"]) == (["0", "1", "2"] if label is None else [])
    expected = np.arange(3) if label is None else np.full(rows.shape[1], label)
    assert_allclose(rows[..., 0, 0, 0], np.broadcast_to(expected / 10, rows.shape[:2]))
    assert given == {"temperature": 0.5}
    assert title == "t: samples, temperature 0.5" + ", label 1" * (label == 1)
    assert ("a class for each column" in note) == (label is None)


def test_completions_are_of_the_image_above_with_its_label(rng, monkeypatch):
    model = GatedPixelCNN((4, 3, 1), features=4, blocks=1, head=4, num_classes=3, rng=rng)
    complete, given = model.complete, []
    def noted(x, rng, labels, temperature, **how):
        given.append((temperature, labels.tolist()))
        return complete(x, rng, labels=labels, temperature=temperature, **how)
    monkeypatch.setattr(model, "complete", noted)
    ask = asked(model, (4, 3, 1), rng, temperature=2.0)
    found, rows, *_ = drawn("completion", ask, monkeypatch)
    images, labels = ask.test_images(usual=16)
    assert given == 4 * [(2.0, labels.tolist())]
    assert_array_equal(rows, found.swapaxes(0, 1))
    whole = images >= 128  # of two levels
    assert_array_equal(found[:, -1], whole)
    assert_array_equal(found[:, :-1, :2], np.broadcast_to(whole[:, None, :2], (16, 5, 2, 3, 1)))
    assert (found[:, 0, 2:] == 0.5).all()
    assert len({found[:, k].tobytes() for k in (1, 2, 3, 4)}) == 4  # drawn anew each time


def vqvae(rng):
    model = VQVAE((16, 12, 1), "keras", 80, 3, rng=rng)
    model.prepare(rng.uniform(size=(9, 16, 12, 1)).astype(np.float32), rng)
    return model.eval()


def test_usage_is_a_distribution_and_its_figure_says_how_many(rng):
    ask = asked(vqvae(rng), (16, 12, 1), rng)
    parts, figure = pictures.make("usage", ask)
    codes = to_numpy(ask.model.codes(to_batch(ask.dataset().test_images)))
    assert_allclose(parts, [(codes == k).mean() for k in range(80)])
    assert parts.sum() == pytest.approx(1) and figure()
    axes = figures.usage(np.array([0.1, 0.5, 0, 0.4]), "").axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.4, 0.1, 0]
    perplexity = 0.1 ** -0.1 * 0.5 ** -0.5 * 0.4 ** -0.4
    assert f"3 of 4 used, perplexity {perplexity:.1f}" in axes.get_xlabel()
    assert axes.lines[0].get_ydata()[0] == 1 / 4


@pytest.mark.parametrize("counted", [True, False])
def test_a_palette_has_the_middle_of_each_code_the_most_used_first(counted, rng, monkeypatch):
    """Where nobody counts, from dark to light."""
    ask = asked(vqvae(rng), (16, 12, 1), rng)
    if counted:
        ask.model.N.data[...] = rng.permutation(80)
    images, rows, _, note = drawn("palette", ask, monkeypatch)
    for k in range(80):
        assert_allclose(images[k], to_numpy(ask.model.decode_codes(
            np.full((1, 4, 3), k)))[0], atol=1e-6)
    middle = images[:, 4:12, 2:10]
    order = np.argsort(-ask.model.N.data if counted else middle.mean(axis=(1, 2, 3)))
    assert_array_equal(rows.reshape(middle.shape), middle[order])
    assert ("most used" in note) == counted


def test_a_score_says_what_it_is_of_and_whether_it_is_a_bound(rng, monkeypatch):
    told = VAE(12, 6, 2, num_classes=3, rng=rng)
    exact = PixelCNN((4, 3, 1), features=4, blocks=1, rng=rng)
    notes = []
    monkeypatch.setattr(figures, "scored", lambda shown, nats, title, note: notes.append(note))
    for model in told, exact:
        pictures.make("scores", asked(model, (4, 3, 1), rng, num=2))[1]()
    assert notes[0].endswith("in nats, given its class, by 100 importance samples: an upper bound")
    assert notes[1].endswith("-log p(x) in nats")


def test_codes_stand_between_their_images_and_what_they_decode_to(rng):
    """In bands of five; a grid of codes has their numbers, and where it was decoded alike the same
    colour: the mean over all cells of that code."""
    ask = asked(vqvae(rng), (16, 12, 1), rng, num=7)
    codes, figure = pictures.make("codes", ask)
    images = ask.test_images(usual=10)[0] / 255
    again = np.clip(to_numpy(ask.model.decode_codes(codes)), 0, 1)
    cells = again.reshape(7, 4, 4, 3, 4).mean(axis=(2, 4))
    axes = figure().axes
    bands = [*np.reshape(axes[:15], (3, 5)).T, *np.reshape(axes[15:], (3, 2)).T]
    for k, (image, grid, decoded) in enumerate(bands):
        assert_allclose(image.images[0].get_array(), images[k, ..., 0])
        assert_allclose(decoded.images[0].get_array(), again[k, ..., 0], atol=1e-6)
        for (y, x), colour in np.ndenumerate(grid.images[0].get_array()):
            assert colour == pytest.approx(cells[codes == codes[k, y, x]].mean(), abs=1e-6)
        numbers = {t.get_position(): t.get_text() for t in grid.texts if t.get_text() != "codes"}
        assert numbers == {(x, y): str(code) for (y, x), code in np.ndenumerate(codes[k])}


@pytest.mark.parametrize("side, shown", [(7, True), (32, False)])
def test_numbers_of_codes_are_left_out_where_they_could_not_be_read(side, shown):
    images = np.zeros((1, 4 * side, 4 * side, 3))
    figure = figures.code_maps(images, np.zeros((1, side, side), int), images, 512, "")
    assert len(figure.axes[1].texts) == 1 + shown * side ** 2
    assert ("number" in figure.get_supxlabel()) == shown


def test_points_of_the_latent_plane_have_the_colours_of_their_classes(rng):
    ask = asked(vae(rng), (3, 4, 1), rng, classes=("$x^$", "_one"))
    codes, figure = pictures.make("latent", ask)
    assert_allclose(codes, to_numpy(ask.model.encode(to_batch(
        ask.dataset().test_images))[0]), rtol=1e-4, atol=1e-6)
    points, *legend = figure().axes[0].collections
    figure().savefig(io.BytesIO())  # a $ begins no formula
    names, labels = [r"\$x^\$", " _one", "2"], ask.dataset().test_labels
    assert [c.get_label() for c in legend] == names
    colour_of = [c.get_facecolor()[0, :3] for c in legend]
    axes = figure().axes[0]
    for text in axes.texts:
        middle = np.median(codes[labels == names.index(text.get_text())], axis=0)
        assert_allclose(text.xy, middle, rtol=1e-5)
    heights = [axes.transData.transform(t.xy)[1] + t.xyann[1] * 100 / 72 for t in axes.texts]
    assert len(heights) == 3 and (np.diff(heights) >= 16).all()  # of classes in the same place
    for place, colour in zip(points.get_offsets(), points.get_facecolor(), strict=True):
        k = np.abs(codes - place).sum(axis=1).argmin()
        assert_allclose(colour[:3], colour_of[labels[k]])


def test_more_than_two_dimensions_are_shown_by_their_principal_components(rng):
    codes = rng.standard_normal((40, 4)) * [3, 0.5, 2, 1]
    axes = plane.latent_plane(codes, np.zeros(40, int), "").axes[0]
    variances = np.linalg.eigvalsh(np.cov(codes.T))[::-1]
    names = [axes.get_xlabel(), axes.get_ylabel()]
    for k in (0, 1):
        assert f"{k + 1} ({variances[k] / variances.sum():.0%} of the variance)" in names[k]
    assert_allclose(axes.collections[0].get_offsets().var(axis=0, ddof=1), variances[:2])


def test_more_than_two_dimensions_are_shown_where_the_classes_are_furthest_apart(rng):
    """Fisher's axes by their definition: no other direction has a larger ratio; along them the
    variance within the classes is 1, and the two are not correlated within them. Also where a
    dimension does not vary."""
    labels = rng.integers(0, 4, 900)
    centres = rng.standard_normal((4, 5)) * [3, 1, 0, 2, 0]
    codes = centres[labels] + rng.standard_normal((900, 5)) @ rng.standard_normal((5, 5))
    codes[:, 4] = 7
    means = np.stack([codes[labels == k].mean(0) for k in range(4)])[labels]
    def ratio(w): return ((means - codes.mean(0)) @ w).var() / ((codes - means) @ w).var()
    found, ratios = plane.discriminants(codes, labels)
    assert ratios[0] > ratios[1] > 0
    tried = [ratio(np.append(w, 0)) for w in rng.standard_normal((2000, 4))]
    assert 0.8 * ratios[0] < max(tried) < ratios[0]
    within = found - np.stack([found[labels == k].mean(0) for k in range(4)])[labels]
    assert_allclose(np.cov(within.T, ddof=0), np.eye(2), atol=1e-6)
    assert_allclose((found - within).var(axis=0), ratios, rtol=1e-6)
    axes = plane.latent_plane(codes, labels, "").axes[0]
    for name, value in zip((axes.get_xlabel(), axes.get_ylabel()), ratios, strict=True):
        assert f"{value:.2g} times that within" in name
    plane.latent_plane(codes, labels, "\u5b57")  # which the font has not
    plane.discriminants(np.ones((9, 3)), np.arange(9) // 3)  # codes that are all alike
    axes = plane.latent_plane(codes[:49], labels[:49], "").axes[0]  # chance would separate them
    assert "principal component 1" in axes.get_xlabel()


def test_codes_that_lie_far_out_do_not_make_a_spot_of_the_rest(rng):
    codes = rng.standard_normal((400, 2))
    assert plane.latent_plane(codes, np.zeros(400, int), "").axes[0].get_xscale() == "linear"
    codes[0] = 100, -40
    axes = plane.latent_plane(codes, np.zeros(400, int), "").axes[0]
    axes.figure.draw_without_rendering()
    shown = axes.transAxes.inverted().transform(axes.transData.transform(codes))
    assert (np.ptp(np.quantile(shown, (0.05, 0.95), axis=0), axis=0) > 0.3).all()
    for ticks, texts in ((axes.get_xticks(), axes.get_xticklabels()),
                         (axes.get_yticks(), axes.get_yticklabels())):
        assert_allclose([float(t.get_text()) for t in texts], ticks)
        assert 0 in ticks and len(ticks) > 3


def test_curves_are_those_of_the_csv_files():
    log = SimpleNamespace(best=None, held_out="validation", trace=[
        {"step": s, "a": 1 / s, "b": s} for s in (100, 200, 300)], history=[
        {"epoch": e, "step": 150 * e, "validation_a": 0.1 * e, "validation_b": 7 - e}
        for e in (1, 2)])
    panels = figures.curves(log, ("a", "b"), "").axes
    for axes, name, last in zip(panels, "ab", ("0.2", "5"), strict=True):
        batches, held_out = axes.lines
        assert_array_equal(batches.get_xydata(), [[r["step"], r[name]] for r in log.trace])
        assert_array_equal(held_out.get_xydata(), [[r["step"], r[f"validation_{name}"]]
                                                   for r in log.history])
        assert held_out.get_label() == "validation set"
        low, high = axes.get_ylim()
        assert all(low < v < high for v in held_out.get_ydata())
        assert axes.get_title() == f"{name}  (validation: {last})"


def test_the_first_steps_do_not_flatten_the_rest_of_a_curve():
    log = SimpleNamespace(best=None, held_out="test", trace=[
        {"step": s, "a": 1e4 / s} for s in range(100, 1001, 100)], history=[
        {"step": s, "test_a": 1e4 / s} for s in (150, 500, 1000)])
    axes, = figures.curves(log, ("a",), "").axes
    low, high = axes.get_ylim()
    assert low < 10 and 1e4 / 300 < high < 1e4 / 150


@pytest.mark.parametrize("steps, names", [(99, ["test set"]), (199, ["training batches",
                                                                     "test set"])])
def test_a_legend_names_what_can_be_seen(steps, names):
    """Of one row of train.csv, a point."""
    trace = [{"step": 100, "a": 2.0}] * (steps >= 100)
    log = SimpleNamespace(best=None, held_out="test", trace=trace,
                          history=[{"step": steps, "test_a": 1.0}])
    axes, = figures.curves(log, ("a",), "").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert axes.lines[0].get_marker() == "o" * (steps >= 100)


@pytest.mark.parametrize("steps", [(1,), (4,), (3, 6, 9)])
def test_steps_are_whole_numbers(steps):
    log = SimpleNamespace(best=None, held_out="test", trace=[],
                          history=[{"step": s, "test_a": 2.0 / s} for s in steps])
    lines = [("c", steps, [2.0] * len(steps))]
    for figure in figures.curves(log, ("a",), ""), figures.compared([("b", lines)]):
        axes = figure.axes[0]
        low, high = axes.get_xlim()
        ticks = [t for t in axes.get_xticks() if low <= t <= high]
        assert_array_equal(ticks, np.rint(ticks))
        assert low < min(steps) and high > max(steps) and len(ticks) > 1
        assert high < 2 * max(steps)


def test_a_grid_names_its_rows_and_columns_where_there_is_room():
    """One image is small; the second line of a head that is too long is left out."""
    images = np.zeros((20, 28, 28, 1))
    few = figures.grid(images[:1], 1, "one")
    assert few.get_figwidth() <= 4 and few.get_figheight() < 2.5
    figure = figures.grid(images, 10, "t", names=["a", "b"], heads=[
        f"{k}\n{'n' * k}" for k in range(10)])
    texts = {t.get_text(): t.xy for t in figure.axes[0].texts}
    assert texts["a"][1] == 13.5 and texts["b"][1] == 43.5
    assert texts["9\nnnnnnnnnn"][0] == 9 * 30 + 13.5
    figure = figures.grid(images, 20, "t", heads=[f"{k}\n{'n' * k}" for k in range(20)])
    assert [t.get_text() for t in figure.axes[0].texts] == list(map(str, range(20)))


@pytest.mark.parametrize("decode, says", [
    (None, "drawn pixel by pixel"), (lambda codes: codes[..., None] / 7, "grids of codes")])
def test_samples_that_are_drawn_in_order_say_of_what(decode, says, rng, monkeypatch):
    model = PixelCNN((3, 4, 1), 3, 4, 1, 4, embedding_dim=2, decode=decode, rng=rng)
    images, rows, _, note = drawn("samples", asked(model, (3, 4, 1), rng, num=16), monkeypatch)
    assert_array_equal(rows.reshape(images.shape), images)
    assert rows.shape[:2] == (4, 4) and note.startswith(says)
    assert np.isin(images, np.arange(3) / (7 if decode else 2)).all()


def test_grey_is_shown_as_grey():
    """Not stretched to black and white."""
    grey = np.full((4, 2, 3, 1), 0.5)
    grey[0] = 0.4
    for figure in (figures.grid(grey, 2, ""), figures.manifold(grey, ""),
                   figures.code_maps(grey, np.zeros((4, 1, 1), int), grey, 4, "")):
        assert {axes.images[0].get_clim() for axes in figure.axes} == {(0, 1)}


@pytest.mark.parametrize(("row", "shape"), [
    (np.ones((2, 9), np.float32), (2, 3, 3, 1)), (np.ones((2, 4, 5)), (2, 4, 5, 1)),
    (np.full((2, 4, 5, 3), 255, np.uint8), (2, 4, 5, 3)), ([[1.0] * 4] * 2, (2, 2, 2, 1)),
    (np.ones(9), None), (np.ones((2, 8)), None), (np.ones((4, 5, 3)), None),
    (np.ones((2, 4, 5, 2)), None)])
def test_what_show_takes_as_images(row, shape):
    """The largest uint8 is 1; what may be one image, or is of another form, is refused."""
    if shape:
        assert figures.as_images(row).shape == shape and figures.as_images(row).max() == 1
        return figures.show(row, row[:1])
    with pytest.raises(ValueError, match="are asked for; found"):
        figures.show(row)


def test_show_refuses_rows_of_two_sizes():
    figures.show()
    with pytest.raises(ValueError, match=r"found \(2, 2, 1\), \(3, 3, 1\)"):
        figures.show(np.ones((2, 4)), np.ones((2, 9)))
