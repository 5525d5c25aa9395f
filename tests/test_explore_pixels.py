"""What the page asks of a VQ-VAE and of a PixelCNN, against the models themselves."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scripts import answer, array, train, undrawn

from explorer import ask_all  # noqa: F401 - what can be asked
from explorer.answers import parts
from explorer.ask_pixelcnn import held, likeliest, probabilities
from explorer.runs import Runs, found_in, grid_of
from models import GatedPixelCNN, PixelCNN
from scratchnet import Tensor, no_grad
from scratchnet.gradcheck import gradcheck
from scratchnet.losses import perplexity
from scratchnet.runs.data import Dataset, statically_binarised
from scratchnet.training import generator

BOX = Path(__file__).resolve().parent.parent / "pretrained"
WHOLE = [[0] * 7] * 7  # a grid of codes
CONDITIONAL, GATED, PLAIN = "gated-classes-mnist", "gated-pixelcnn-mnist", "pixelcnn-mnist"
COLOURS = "pixelcnn-cifar10"
ONE_STEP = "--model", "pixelcnn", "--dataset", "synthetic", "--limit", 8, "--steps", 1


def rings(n, shape, rng):
    """Images with something in them: a ring each, around another middle."""
    y, x = np.mgrid[:shape[0], :shape[1]]
    middle = rng.uniform(10, 18, (2, n, 1, 1))
    r = np.hypot(y - middle[0], x - middle[1])
    grey = np.clip(2 - np.abs(r - 7), 0, 1) * rng.uniform(150, 255, (shape[2], n, 1, 1))
    return np.moveaxis(grey, 0, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Those of the box, and two plain PixelCNNs of one step, the second of images in colours."""
    plain, rng = tmp_path_factory.mktemp("runs") / PLAIN, np.random.default_rng(0)
    colours = plain.with_name(COLOURS)
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        assert 0 == train(*ONE_STEP, "--out", plain)
        assert 0 == train(*ONE_STEP, "--features", 12, "--blocks", 1, "--head", 12, "--out",
                          colours, kind="cifar")
    return Runs(found_in([BOX, plain, colours]), {
        "mnist": (rings(12, (28, 28, 1), rng), np.arange(12) % 10, "rings"),
        "cifar10": (rings(4, (32, 32, 3), rng), np.arange(4), "coloured rings")})


def asked(runs, name, **request):
    """The answer, its arrays read back."""
    found = answer(runs, name, request)
    assert "error" not in found, found
    return arrays(found)


def arrays(part):
    return {key: array(v) if isinstance(v, dict) and "dtype" in v else v
            for key, v in part.items()}


# ---------------------------------------------------------------- VQ-VAE

@pytest.mark.parametrize("name", ["vqvae-mnist", "vqvae-cifar10"])
def test_an_image_as_codes(name, runs):
    """The codes, the image and the error are the model's own; so are those of codes swapped."""
    model, x = runs.open(name).model, runs.test_images(name)[0][2:3] / np.float32(255)
    found = asked(runs, "codes", run=name, image=2)
    assert_array_equal(found["codes"], model.codes(x)[0])
    assert_array_equal(found["decoded"], model.reconstruct(x)[0].numpy().clip(0, 1))
    with no_grad():
        _, metrics = model.loss(x)
    assert found["recon_error"] == pytest.approx(metrics["recon_error"].item(), rel=1e-5)
    assert found["perplexity"] == pytest.approx(float(perplexity(metrics["usage"])), rel=1e-5)
    assert found["used"] == len(np.unique(found["codes"]))
    codes = found["codes"].copy()
    codes[3, 2] = (codes[3, 2] + 7) % len(model.e)
    swapped = asked(runs, "decode_codes", run=name, codes=codes.tolist(), image=2)
    whole = model.decode_codes(codes[None]).numpy()
    assert_array_equal(swapped["decoded"], whole[0].clip(0, 1))
    error = ((whole - x) ** 2).mean() / model.data_variance.item()
    assert swapped["recon_error"] == pytest.approx(error, rel=1e-5)
    assert "recon_error" not in asked(runs, "decode_codes", run=name, codes=codes.tolist())
    drawn = asked(runs, "codes", run=name, image=x[0].tolist())
    assert_array_equal(drawn["codes"], found["codes"])


def test_the_palette_counts_the_codes_of_all_examples(runs):
    model, images = runs.open("vqvae-mnist").model, runs.test_images("vqvae-mnist")[0]
    found = asked(runs, "palette", run="vqvae-mnist")
    counts = np.bincount(model.codes(images / np.float32(255)).reshape(-1), minlength=40)
    assert_allclose(found["usage"], counts / counts.sum(), rtol=1e-6)
    assert (np.diff(counts[found["order"]]) <= 0).all() and found["used"] == (counts > 0).sum()
    assert found["perplexity"] == pytest.approx(float(perplexity(counts / counts.sum())))
    alone = model.decode_codes(np.full((1, 7, 7), 5)).numpy()[0]
    assert_allclose(found["images"][5], alone[10:18, 10:18].clip(0, 1), atol=1e-6)


def test_distances_to_the_encoders_vector(runs):
    model, x = runs.open("vqvae-mnist").model, runs.test_images("vqvae-mnist")[0][:1]
    with no_grad():
        z_e = model.encode(x / np.float32(255)).numpy()[0, 2, 5]
    found = asked(runs, "distances", run="vqvae-mnist", image=0, at=[2, 5])
    distances = np.linalg.norm(z_e - model.e.numpy(), axis=1)
    assert_allclose(found["distances"], np.sort(distances)[:10], rtol=1e-5)
    assert_allclose(distances[found["codes"]], found["distances"], rtol=1e-5)
    assert found["codes"][0] == model.codes(x / np.float32(255))[0, 2, 5]


def test_a_prior_draws_a_whole_image(runs):
    folder = runs.folders.pop("prior-mnist")
    assert asked(runs, "priors", run="vqvae-mnist") == {"priors": []}
    runs.folders["prior-mnist"] = folder  # trained meanwhile
    assert asked(runs, "priors", run="vqvae-mnist") == {"priors": ["prior-mnist"]}
    how = {"run": "vqvae-mnist", "prior": "prior-mnist"}
    found = asked(runs, "draw_codes", seed=3, **how)
    prior = runs.open("prior-mnist").model
    values = prior.sample_values(1, generator(3, "pictures"))
    assert_array_equal(found["codes"], values[0, ..., 0])
    assert_array_equal(found["decoded"], prior.images(values)[0].clip(0, 1))
    assert (asked(runs, "draw_codes", seed=4, **how)["codes"] != found["codes"]).any()


# ---------------------------------------------------------------- PixelCNN

@pytest.mark.parametrize("name, keep, how", [
    (PLAIN, 20, {}), (CONDITIONAL, 24, {"label": 3}), ("prior-mnist", 4, {}), (GATED, 27, {})])
def test_completions_come_row_by_row(name, keep, how, runs):
    """As `complete` draws them with the same seed; a part for each row, the earlier ones stay."""
    model = runs.open(name).model
    request = {"run": name, "image": 1, "keep": keep, "count": 3, "seed": 5, "temperature": 0.8}
    found = [arrays(part) for part in parts(runs, "complete", request | how)]
    assert [part["rows"] for part in found] == list(range(keep + 1, model.image_shape[0] + 1))
    values = model.values_of(grid_of(runs, name, 1))[0]
    rows = np.arange(len(values))[:, None] >= np.full(values.shape[1], keep)
    labels = {"labels": np.full(3, 3)} if how else {}
    drawn = model.sample_values(3, generator(5, "pictures"), known=values[None], mask=rows,
                                temperature=0.8, **labels)
    assert_array_equal(found[-1]["values"], drawn)
    assert_array_equal(found[-1]["images"], np.asarray(model.images(drawn)).clip(0, 1))
    if name != "prior-mnist":  # of which a code changes its neighbours' pixels, too
        for part in found:
            assert_array_equal(part["images"][:, :part["rows"]], drawn[:, :part["rows"]])


def test_bits_of_pixels_add_up(runs):
    """To the model's -log p(x); an image drawn by hand or by the model may be asked for."""
    for name, how in ((PLAIN, {}), (CONDITIONAL, {"label": 4}), ("prior-mnist", {})):
        model = runs.open(name).model
        found = asked(runs, "pixel_bits", run=name, image=3, **how)
        labels = {"labels": np.array([4])} if how else {}
        values = model.values_of(grid_of(runs, name, 3))
        nll = model.neg_log_likelihood(values, **labels).item()
        assert found["nats"] == pytest.approx(nll, rel=1e-5)
        assert found["bits"].sum() == pytest.approx(found["total"], rel=1e-5)
        assert found["total"] == pytest.approx(nll / np.log(2), rel=1e-5)
        assert found["most"] == found["bits"].max() and found["shade"].max() == 1
        again = asked(runs, "pixel_bits", run=name, image={"values": values[0].tolist()}, **how)
        assert again["nats"] == found["nats"]
    images, labels, _ = runs.test_images(PLAIN)
    assert_array_equal(images, statically_binarised(
        Dataset("", "", *2 * runs.examples["mnist"][:2], "")).test_images)
    drawn = asked(runs, "pixel_bits", run=PLAIN, image=(images[3] / 255).tolist())
    assert drawn["nats"] == asked(runs, "pixel_bits", run=PLAIN, image=3)["nats"]


def test_colours_of_the_pixel_itself_are_not_before_it(runs):
    """Green and blue depend on the red of their own pixel: that is drawn, and not counted."""
    found = asked(runs, "next_pixel", run=COLOURS, image=2, at=[9, 14])
    before, here = found["gradient"].reshape(-1)[:9 * 32 + 14], found["gradient"][9, 14]
    assert here > 0 and found["seen"] == (before > 0).sum() <= found["before"] == len(before)


@pytest.mark.parametrize("name, at", [(PLAIN, [9, 14]), (GATED, [9, 14]), ("prior-mnist", [4, 3])])
def test_the_next_pixel(name, at, runs):
    """Its bits are those of its probability; it depends on earlier pixels alone, of which the plain
    model misses its blind spot; no parameter gets a gradient."""
    i, j = at
    found = asked(runs, "next_pixel", run=name, image=2, at=at)
    bits = asked(runs, "pixel_bits", run=name, image=2)["bits"][i, j]
    value = found["value"][0]
    p = found["own"] if name == "prior-mnist" else found["p"][0, value]
    assert -np.log2(p) == pytest.approx(bits, abs=1e-4)
    order = np.arange(found["gradient"].size).reshape(found["gradient"].shape)
    assert (found["gradient"][order >= order[i, j]] == 0).all()
    seen = found["gradient"] > 0
    assert found["seen"] == seen.sum() and found["before"] == order[i, j]
    assert found["seen"] == order[i, j] if name != PLAIN else not seen[i - 1, j + 5:].any()
    assert found["shade"].max() == 1 and (found["shade"][~seen] == 0).all()
    model = runs.open(name).model
    assert all(q.requires_grad and q.grad is None for q in model.parameters())
    if name == "prior-mnist":
        assert (np.diff(found["p"][0]) <= 0).all() and found["p"].shape == (1, 10)
        palette = asked(runs, "palette", run="vqvae-mnist")["images"]
        assert_array_equal(found["patches"], palette[found["codes"]])
    else:
        assert found["p"].sum() == pytest.approx(1, abs=1e-6)


VARIANTS = {"softmax": (PixelCNN, {"levels": 4}), "two values": (GatedPixelCNN, {}),
            "mixture": (GatedPixelCNN, {"levels": 6, "mixture": 2})}


@pytest.mark.parametrize("variant", VARIANTS)
def test_probabilities_of_colours(variant, rng):
    """For each colour they sum to 1; the product of the values' own is that of the whole pixel."""
    model, how = VARIANTS[variant]
    model = model((3, 4, 3), features=9, head=9, blocks=1, rng=rng, **how)
    values = rng.integers(0, model.levels, (1, 3, 4, 3)).astype(np.int32)
    with no_grad():
        y = model.logits(values)
        nll = np.asarray(model.likelihood.nll(y, values).numpy())[0, 1, 2].sum()
        p = probabilities(model, y[:, 1, 2], values[0, 1, 2])
    assert p.shape == (3, model.levels)
    assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert np.log(p[np.arange(3), values[0, 1, 2]]).sum() == pytest.approx(-nll, abs=1e-4)
    model.astype(np.float64)
    x = Tensor(rng.standard_normal((1, 3, 4, 3)), requires_grad=True)
    with held(model):
        gradcheck(lambda x: likeliest(model, model.network(x)[:, 1, 2], values[:, 1, 2]), x)
    assert all(p.grad is None for p in model.parameters())


# ---------------------------------------------------------------- wrong requests

@pytest.mark.parametrize("name, request_, words", [
    ("codes", {"run": PLAIN, "image": 0}, "is a pixelcnn, which has no codes or decode_codes"),
    ("codes", {"run": "vqvae-mnist", "image": 12}, "there are 12, numbered from 0; not 12"),
    ("decode_codes", {"run": "vqvae-mnist", "codes": [[0]]}, "needs 7 rows of 7 whole numbers"),
    ("decode_codes", {"run": "vqvae-mnist", "codes": [*WHOLE[:6], [40] * 7]}, "from 0 to 39"),
    ("decode_codes", {"run": "vqvae-mnist", "codes": [*WHOLE[:6], [True] * 7]}, "whole numbers"),
    ("decode_codes", {"run": "vqvae-mnist", "codes": [*WHOLE[:6], [0] * 6]}, "needs 7 rows of 7"),
    ("distances", {"run": "vqvae-mnist", "image": 0, "at": [7, 0]}, "at: row: needs .* 0 to 6"),
    ("distances", {"run": "vqvae-mnist", "image": 0, "at": 3}, "at: needs a row and a column"),
    ("draw_codes", {"run": "vqvae-mnist", "prior": "prior-cifar10"}, "prior-mnist would do"),
    ("complete", {"run": PLAIN, "image": 0, "keep": 3, "temperature": 0}, "numbers from 0.05 to 5"),
    ("complete", {"run": "vqvae-mnist", "image": 0, "keep": 3}, "which has no complete"),
    ("complete", {"run": PLAIN, "image": 0, "keep": 28}, "keep: needs .* from 0 to 27, not '28'"),
    ("complete", {"run": PLAIN, "image": 0, "keep": 2, "count": 100}, "count: .* from 1 to 16"),
    ("complete", {"run": CONDITIONAL, "image": 0, "keep": 3, "label": 10}, "label: .* 0 to 9"),
    ("pixel_bits", {"run": PLAIN, "image": [[0.5]]}, "needs 28 x 28 x 1"),
    ("pixel_bits", {"run": "prior-mnist", "image": {"values": [[[40]] * 7] * 7}}, "from 0 to 39"),
    ("pixel_bits", {"run": "prior-mnist", "image": {"values": [[1], [2, 3]]}}, "7 x 7 x 1"),
    ("pixel_bits", {"run": "prior-mnist", "image": {}}, "values: needs whole numbers"),
    ("next_pixel", {"run": PLAIN, "image": 0, "at": [0, 0.5]}, "at: column: needs a whole number"),
])
def test_a_wrong_request_is_one_sentence(name, request_, words, runs):
    found = answer(runs, name, request_)
    assert list(found) == ["error"] and re.search(words, found["error"]), found
