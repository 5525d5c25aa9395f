"""Drawing from a PixelCNN: exactly what it says, by a few numbers of each layer for each pixel."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_pixelcnns import build, components, some_labels

from models import sampling
from models.likelihoods import Softmax
from scratchnet import Tensor, no_grad
from scratchnet.backend import to_numpy, xp

pytestmark = pytest.mark.usefixtures("backend")


def test_samples_have_the_frequencies_that_the_model_says(rng):
    """Argmax instead of sampling, or a wrong inverse, would show here."""
    for name, levels in (("plain", 2), ("gated, codes, conditional", 3), ("plain, mixture", 3)):
        shape, n = (1, 1, 3) if "mixture" in name else (1, 3, 1), 20000
        model = build(name, rng, shape, levels=levels)
        images = np.array(list(itertools.product(range(levels), repeat=3)), np.int32)
        labels = np.full(len(images), 2) if model.num_classes else None
        p = np.exp(-to_numpy(model.neg_log_likelihood(images.reshape(-1, *shape), labels)))
        drawn = model.sample_values(n, rng, labels=None if labels is None else np.full(n, 2))
        index = drawn.reshape(n, 3) @ levels ** np.arange(3)[::-1]
        frequency = np.bincount(index, minlength=len(p)) / n
        assert np.abs(frequency - p).max() < 5 * np.sqrt(p.max() / n)


def forced(model, images):
    """Let it draw the pixels of given images. Returns a list in which the logits will be."""
    n, *_, C = images.shape
    logits, pixels = [], iter(images.reshape(n, -1, C // model.colours).swapaxes(0, 1))
    def draw(y, *how):
        logits.append(to_numpy(y))
        return xp.asarray(next(pixels))
    model.likelihood.draw = draw
    return logits


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_cached_logits_equal_a_full_pass(variant, dtype, tolerance, rng):
    model = build(variant, rng, dtype=dtype)
    H, W, C = model.image_shape
    images = rng.integers(0, model.levels, (3, H, W, C)).astype(np.int32)
    labels = some_labels(model, 3)
    logits = forced(model, images)
    model.sample_values(3, rng, labels=labels)
    cached = np.stack(logits, axis=1).reshape(3, H, W, model.colours, -1)
    assert cached.dtype == dtype
    assert_allclose(cached, to_numpy(model.logits(images, labels)), rtol=tolerance, atol=tolerance)


@no_grad()
def sample_slowly(model, n, rng, mixture, labels, temperature):
    """A full forward pass for every channel of every pixel; with a mixture, for every pixel."""
    H, W, C = model.image_shape
    u = rng.random((H, W, C + bool(mixture), n), dtype=np.float32)
    levels = np.zeros((n, H, W, C), np.int32)
    for i, j, c in np.ndindex(H, W, model.colours):
        y = to_numpy(model.logits(xp.asarray(levels), labels))[:, i, j, c]
        for k in range(n):
            if mixture:
                levels[k, i, j] = pixel_by_loops(y[k], u[i, j, :, k], C, model.levels, temperature)
            else:
                p = np.exp((y[k] if len(y[k]) > 1 else np.array([y[k, 0], 0])) / temperature)
                below = np.cumsum(p) / p.sum() <= u[i, j, c, k]
                levels[k, i, j, c] = below.sum() if len(y[k]) > 1 else not below[0]
    return levels


def pixel_by_loops(y, u, C, levels, temperature):
    """One pixel from the parameters of its mixture: by the sizes of their rows, K at a time."""
    rows = y.reshape(1 + 2 * C + C * (C - 1) // 2, -1)
    p = np.exp(rows[0] / temperature)
    k = (np.cumsum(p) / p.sum() <= u[0]).sum()
    pixel, pairs = np.zeros(C, int), iter(np.tanh(rows[1 + 2 * C:, k]))
    for c in range(C):
        mean = 0.5 + rows[1 + c, k]
        for j in range(c):
            mean += next(pairs) * (pixel[j] / (levels - 1) - 0.5)
        scale = temperature * np.exp(np.clip(rows[1 + C + c, k] - 2, -7, 3))
        # the level whose bin has the point below which a logistic has u of its mass
        ends = (np.arange(levels - 1) + 0.5) / (levels - 1)
        pixel[c] = (1 / (1 + np.exp(-(ends - mean) / scale)) <= u[1 + c]).sum()
    return pixel


def test_the_same_uniforms_give_the_same_image(variant, rng):
    model = build(variant, rng)
    labels = some_labels(model, 5)
    fast = model.sample_values(5, np.random.default_rng(3), labels=labels, temperature=0.8)
    slow = sample_slowly(model, 5, np.random.default_rng(3), components(variant), labels, 0.8)
    assert_array_equal(fast, slow)
    assert len(np.unique(fast.reshape(5, -1), axis=0)) > 1


@pytest.mark.parametrize("w, temperature", [(1, 0.8), (2.5, 0.8), (0.5, 1)])
def test_guidance_moves_logits_away_from_those_of_no_class(w, temperature, rng):
    """Slowly, with a full pass for every pixel: l(none) + w (l(label) - l(none))."""
    model = build("gated, codes, conditional", rng)
    assert model.blocks[0].label_v.table.shape[0] == 4  # the last row is none
    def logits(values, labels):
        told = model.network(model.inputs(values), labels)
        untold = model.network(model.inputs(values), xp.full(len(values), 3))
        return to_numpy(untold) + w * to_numpy(told - untold)
    slow = sample_slowly(SimpleNamespace(image_shape=model.image_shape, levels=5, colours=1,
                                         logits=logits), 5, np.random.default_rng(3), 0,
                         xp.asarray(some_labels(model, 5)), temperature)
    how = {"labels": some_labels(model, 5), "temperature": temperature, "guidance": w}
    assert_array_equal(model.sample_values(5, np.random.default_rng(3), **how), slow)
    mask = np.ones((4, 3), bool)
    mask[0] = False
    same = model.sample_values(5, np.random.default_rng(3), known=slow, mask=mask, **how)
    assert_array_equal(same, slow)
    with pytest.raises(ValueError, match="guidance: for a model that was trained with labels"):
        build("gated, conditional", rng).sample_values(1, rng, labels=np.zeros(1, int), guidance=2)


@pytest.mark.parametrize("part", ["last row", "some"])
def test_completion_keeps_what_is_seen(part, variant, rng):
    """Whole rows, or any pixels; what is seen below and to the right stays, and changes nothing."""
    model = build(variant, rng)
    known = rng.integers(0, model.levels, (6, *model.image_shape)).astype(np.int32)
    H, W, _ = model.image_shape
    mask = np.zeros((H, W), bool)
    mask[(H - 1,) if part == "last row" else ([0, 1, 1, H - 1], [W - 1, 0, 1, 1])] = True
    labels = some_labels(model, 6)
    drawn = model.sample_values(6, rng, labels=labels, known=known, mask=mask)
    assert_array_equal(drawn[:, ~mask], known[:, ~mask])
    assert (drawn[:, mask] != known[:, mask]).any()
    # What is drawn depends on what was seen before it: the logits are those of the whole image.
    cached = forced(model, drawn[:, mask].reshape(6, 1, -1, drawn.shape[-1]))
    again = model.sample_values(6, rng, labels=labels, known=known, mask=mask)
    assert_array_equal(again, drawn)
    logits = to_numpy(model.logits(drawn, labels))[:, mask]
    assert_allclose(np.stack(cached, 1).reshape(logits.shape), logits, atol=1e-12)


def test_one_image_completed_many_times(variant, rng):
    """Its rows are gone through once, unless labels differ; the logits of what is drawn are those
    of the whole images."""
    model = build(variant, rng)
    H, W, C = model.image_shape
    known = rng.integers(0, model.levels, (1, H, W, C)).astype(np.int32)
    mask = np.arange(H)[:, None] >= np.full(W, H - 1)
    for labels in ([some_labels(model, 4)] + [np.full(4, 2)] * bool(model.num_classes)):
        how = {"labels": labels, "mask": mask}
        drawn = model.sample_values(4, np.random.default_rng(1), known=known, **how)
        assert_array_equal(drawn, model.sample_values(
            4, np.random.default_rng(1), known=known.repeat(4, axis=0), **how))
        assert_array_equal(drawn[:, :-1], known.repeat(4, axis=0)[:, :-1])
        images = rng.integers(0, model.levels, (4, 1, W, C))
        logits = forced(again := build(variant, np.random.default_rng(5)), images)
        again.sample_values(4, rng, known=known, **how)
        whole = np.concatenate([known[:, :-1].repeat(4, axis=0), images], axis=1).astype(np.int32)
        full = to_numpy(again.logits(whole, labels))[:, -1]
        assert_allclose(np.stack(logits, 1).reshape(full.shape), full, atol=1e-12)


@pytest.mark.host_only
def test_rows_are_as_drawn_and_leave_the_tape_alone(variant, rng):
    """After each row the values are those of the whole image up to there, and whoever asks for the
    rows can record in between."""
    model, w = build(variant, rng), Tensor(np.ones(2), requires_grad=True)
    labels, seen = some_labels(model, 3), []
    for values in sampling.rows(model, 3, np.random.default_rng(2), labels):
        seen.append(values.copy())
        assert (w * w).requires_grad
    whole = model.sample_values(3, np.random.default_rng(2), labels=labels)
    assert len(seen) == model.image_shape[0]
    for i, values in enumerate(seen):
        assert_array_equal(values[:, :i + 1], whole[:, :i + 1])
        assert_array_equal(values[:, i + 1:], 0)


@pytest.mark.host_only
@pytest.mark.parametrize("name", ["plain", "plain, mixture", "gated, codes, conditional"])
def test_nothing_is_drawn_from_nan(name, rng):
    model = build(name, rng)
    model.head.b.data[...] = np.nan
    with pytest.raises(FloatingPointError, match="PixelCNN: logits have NaN in them"):
        model.sample(2, rng, labels=some_labels(model, 2))
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        model.sample(1, rng, temperature=0)


def test_draws_at_the_edges(backend):
    """Level k is drawn for u from the cumulative probability before it on, so that one of
    probability 0 never is; large logits do not overflow; a low temperature draws the likeliest."""
    last = 1 - 2.0 ** -24  # the largest u there is in float32
    logits = np.array([[-9e4, 0, 0], [-9e4, 0, 0], [0, 0, -9e4], [9e4, 0, 0], [0, 0, 0]])
    u = np.array([[0, 0.5, last, last, 1 / 3 - 1e-9]])
    def draw(*how):
        return to_numpy(Softmax(3).draw(*map(xp.asarray, (logits, u)), *how))[:, 0].tolist()
    assert draw() == [1, 2, 1, 0, 0]
    logits[4, 1] = 1e-2
    assert draw(1e-4)[4] == 1
