"""The PixelCNN: what it may see, that its probabilities sum to 1, and its parts.

How it draws: tests/test_sampling.py.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_pixelcnns import SMALL, VARIANTS, build, some_labels

from models import RECIPES, GatedPixelCNN, PixelCNN
from models.gated import GatedBlock
from models.pixelcnn import channel_mask, mask
from scratchnet import Tensor
from scratchnet.backend import to_numpy, xp
from scratchnet.gradcheck import gradcheck
from scratchnet.optim import SGD, Adam
from scratchnet.training import step

pytestmark = pytest.mark.usefixtures("backend")

# ---------------------------------------------------------------- causality

def sees(model, rng, shape):
    """From the engine's own derivatives: [i, j, c, i', j', c'] is True if a logit of pixel (i, j),
    colour c depends on what the first layer sees of pixel (i', j'), channel c'."""
    H, W, C = shape
    n_in = model.first.w.shape[2]
    seen = np.zeros((H, W, C, H, W, n_in), bool)
    labels = some_labels(model, 8)
    for i, j, c in np.ndindex(H, W, C):
        x = Tensor(rng.standard_normal((8, H, W, n_in)), requires_grad=True)
        logits = model.network(x, labels)[:, i, j, c]
        logits.backward(rng.standard_normal(logits.shape))
        seen[i, j, c] = (to_numpy(x.grad) != 0).any(axis=0)  # exactly 0, for all of 8 images
    return seen


def before(H, W, C, n_in):
    """[i, j, c, i', j', c']: whether (i', j', c') comes before (i, j, c) in raster order, colours
    within a pixel last. Embeddings (C = 1) belong to one colour."""
    place = np.arange(H * W)[:, None] * C + np.arange(C)
    other = np.arange(H * W)[:, None] * C + np.arange(n_in) * C // n_in
    return (other.reshape(-1) < place.reshape(-1, 1)).reshape(H, W, C, H, W, n_in)


@pytest.mark.host_only
def test_sees_nothing_at_or_after_a_pixel(variant, rng):
    """The full pattern of the Jacobian, on images that are not square."""
    model = build(variant, rng)
    shape = (*model.image_shape[:2], model.colours)
    seen = sees(model, rng, shape)
    assert_array_equal(seen & ~before(*shape, seen.shape[-1]), False)


def test_with_a_mixture_a_pixel_is_of_one_colour(rng):
    """Every number of a pixel may depend on all channels of the pixels before it."""
    model = build("plain, mixture", rng, features=16, head=16)
    assert model.colours == 1 and model.first.keep is None
    seen = sees(model, rng, (3, 4, 1))
    assert seen[2, 2, 0, 2, 1].all() and seen[2, 2, 0, 1].all() and not seen[2, 2, 0, 2, 2:].any()


def reachable(H, W, first, later, blocks):
    """[i, j, i', j']: whether taps `first`, then `later` up to `blocks` times, lead from (i, j) to
    (i', j'), by walking."""
    def step(places, taps):
        return {(i + di, j + dj) for i, j in places for di, dj in taps
                if 0 <= i + di < H and 0 <= j + dj < W}
    found = np.zeros((H, W, H, W), bool)
    for start in np.ndindex(H, W):
        places = {start}
        for _ in range(blocks):
            places |= step(places, later)
        for place in step(places, first):
            found[(*start, *place)] = True
    return found


@pytest.mark.host_only
def test_plain_model_sees_what_its_taps_reach_and_has_a_blind_spot(rng):
    H, W, blocks = 6, 9, 2
    first = [(i, j) for i in range(-3, 1) for j in range(-3, 4) if (i, j) < (0, 0)]
    later = [(i, j) for i in range(-1, 1) for j in range(-1, 2) if (i, j) <= (0, 0)]
    model = build("plain", rng, (H, W, 1), features=16, head=16)
    seen = sees(model, rng, (H, W, 1))[:, :, 0, :, :, 0]
    assert_array_equal(seen, reachable(H, W, first, later, blocks))
    # 5 rows down, what stands 4 above and 5 to the right is out of sight for any number of blocks
    assert not reachable(H, W, first, later, 20)[5, 1, 4, 7]
    assert not seen[5, 1, 4, 7]


@pytest.mark.host_only
@pytest.mark.parametrize("script, model", [(s, m) for s in RECIPES for m in RECIPES[s]
                                           if m in ("gated-pixelcnn", "prior")])
def test_gated_models_see_every_earlier_pixel_at_their_default_sizes(script, model, rng):
    """The last pixel of the image, and the first and the middle one of its last row."""
    shape = {"prior": (7, 7, 1)}.get(model, (28, 28, 1))
    if script == "cifar":
        shape = {"prior": (8, 8, 1)}.get(model, (32, 32, 3))
    recipe = RECIPES[script][model]
    sizes = recipe.sizes | {"features": 6, "head": 6} | (
        {"codes": None} if model == "prior" else {"levels": 2})
    net = recipe.build(SimpleNamespace(image_shape=shape, num_classes=10, levels=5, decode=None),
                       rng, **sizes).astype(np.float64)
    H, W, _ = shape
    n_in = net.first.w.shape[2]
    for j in (0, W // 2, W - 1):
        x = Tensor(rng.standard_normal((2, H, W, n_in)), requires_grad=True)
        net.network(x)[:, H - 1, j, -1].sum().backward()
        seen = (to_numpy(x.grad) != 0).any(axis=(0, 3)).reshape(-1)
        assert_array_equal(seen, np.arange(H * W) < (H - 1) * W + j + (shape[2] > 1))


@pytest.mark.host_only
def test_gated_model_has_no_blind_spot(rng):
    H, W = 4, 6
    seen = sees(build("gated", rng, (H, W, 1), blocks=3, features=16, head=16), rng, (H, W, 1))
    assert_array_equal(seen, before(H, W, 1, 1))


@pytest.mark.host_only
@pytest.mark.parametrize("name", ["plain, RGB", "gated, RGB"])
def test_colours_see_earlier_colours_of_their_pixel(name, rng):
    seen = sees(build(name, rng, (2, 2, 3), features=24, head=24), rng, (2, 2, 3))
    for i, j in np.ndindex(2, 2):
        assert_array_equal(seen[i, j, :, i, j], np.tri(3, k=-1, dtype=bool))  # G: R; B: R, G
        if j:  # every colour sees every colour of the pixel to the left
            assert seen[i, j, :, i, j - 1].all()


def test_masks():
    assert_array_equal(mask("A", 3, 3), [[1, 1, 1], [1, 0, 0], [0, 0, 0]])
    assert_array_equal(mask("B", 3, 3), [[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert mask("A", 7, 7).sum() == 24 and mask("B", 3, 3).sum() == 5
    assert mask("B", 1, 1).all()  # a 1x1 layer has nothing to hide
    rgb = np.arange(3)
    assert_array_equal(channel_mask("A", rgb, rgb), [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert_array_equal(channel_mask("B", rgb, rgb), [[1, 1, 1], [0, 1, 1], [0, 0, 1]])


# ---------------------------------------------------------------- probabilities

TINY = {  # name of a variant: (image_shape, levels): few enough images to try them all
    "plain": ((2, 3, 1), 2), "plain, 3 levels": ((3, 2, 1), 3), "plain, RGB": ((1, 2, 3), 2),
    "plain, RGB, 4 levels": ((2, 1, 3), 3), "plain, codes": ((2, 2, 1), 4), "gated": ((3, 3, 1), 2),
    "plain, mixture": ((2, 1, 3), 3), "gated, mixture, conditional": ((1, 2, 2), 4),
    "plain, dilated": ((3, 3, 1), 2), "gated, RGB, dilated": ((1, 3, 3), 2),
    "gated, RGB": ((1, 2, 3), 3), "gated, conditional": ((2, 4, 1), 2),
    "gated, codes, conditional": ((2, 2, 1), 4)}


def test_probabilities_of_all_images_sum_to_1(variant, rng):
    shape, levels = TINY[variant]
    model = build(variant, rng, shape, levels=levels)
    images = np.array(list(itertools.product(range(levels), repeat=int(np.prod(shape)))), np.int32)
    images = images.reshape(-1, *shape)
    found = []
    for label in range(model.num_classes or 1):
        labels = np.full(len(images), label) if model.num_classes else None
        found.append(np.exp(-to_numpy(model.neg_log_likelihood(images, labels))))
        assert_allclose(found[-1].sum(), 1, rtol=1e-12)
        assert found[-1].std() > 0 and (label == 0 or (found[-1] != found[0]).any())


# ---------------------------------------------------------------- the parts

def test_link_is_taken_before_the_gate(rng):
    """The gated block's formula, written out."""
    block = GatedBlock(3, 1, 2, rng).astype(np.float64)
    v, h = rng.standard_normal((2, 2, 4, 5, 3))
    labels = np.array([1, 0])
    v_out, link = block.vertical(v, labels)
    y_v = to_numpy(block.v(Tensor(v))) + to_numpy(block.label_v.table)[labels][:, None, None]
    def gate(y): return np.tanh(y[..., :3]) / (1 + np.exp(-y[..., 3:]))
    assert_allclose(to_numpy(v_out), gate(y_v))
    assert_allclose(to_numpy(link), y_v @ to_numpy(block.link.w)[0, 0] + to_numpy(block.link.b))
    y_h = to_numpy(block.h(Tensor(h))) + to_numpy(link)
    y_h += to_numpy(block.label_h.table)[labels][:, None, None]
    assert_allclose(to_numpy(block.horizontal(h, link, labels)),
                    h + gate(y_h) @ to_numpy(block.out.w)[0, 0] + to_numpy(block.out.b))


def test_dropout_is_of_what_a_block_adds_and_of_training_alone(rng):
    """Each block has its own numbers; an evaluation, and a loss without noise, leave out none."""
    model, plain = (build("gated, conditional", rng, dropout=p) for p in (0.4, 0.0))
    plain.load_state_dict(model.state_dict())
    x, labels = rng.integers(0, 2, (3, 3, 4, 1)).astype(float), np.array([0, 2, 1])
    noise = rng.standard_normal((3, model.noise_dim))
    assert noise.shape == (3, 12) and plain.noise_dim == 0
    values = model.values_of(x)
    links = model.vertical(model.inputs(values), labels)
    h, kept = to_numpy(model.first(model.inputs(values))), noise > -0.2533471031  # P = 0.4 below
    for k, (block, link) in enumerate(zip(model.blocks, links, strict=True)):
        added = to_numpy(block.h(Tensor(h))) + to_numpy(link)
        added += to_numpy(block.label_h.table)[labels][:, None, None]
        y = np.tanh(added[..., :6]) / (1 + np.exp(-added[..., 6:]))
        y = y * kept[:, None, None, 6 * k:6 * k + 6] / 0.6
        h = h + y @ to_numpy(block.out.w)[0, 0] + to_numpy(block.out.b)
    expected = to_numpy(model.likelihood.nll(model.output(Tensor(h)), values)).sum() / 3
    def loss(net, noise=None): return net.loss(x, noise, labels)[0].item()
    assert_allclose(loss(model, noise), expected)
    assert_allclose(loss(model), loss(plain))
    assert_allclose(loss(model.eval(), noise), loss(plain))
    assert abs(expected - loss(plain)) > 1e-3
    with pytest.raises(ValueError, match="must be 0 or more and below 1, not 1 and 0"):
        build("gated", rng, dropout=1)


def test_a_part_of_the_labels_is_not_told(rng):
    """Those whose number is below the quantile, in training alone; each image by its own."""
    model = build("gated, codes, conditional", rng)
    x, labels = rng.integers(0, 5, (4, 4, 3, 1)), np.array([0, 2, 1, 1])
    noise = np.array([[-0.1], [0.1], [2], [-3]])
    assert model.noise_dim == 1
    def nll(labels): return to_numpy(model.likelihood.nll(model.network(
        model.inputs(model.values_of(x)), xp.asarray(labels)), model.values_of(x))).sum() / 4
    assert_allclose(model.loss(x, noise, labels)[0].item(), nll([3, 2, 1, 3]))
    assert_allclose(model.eval().loss(x, noise, labels)[0].item(), nll(labels))
    with pytest.raises(ValueError, match="untold is for a model that is told the class, and has"):
        build("gated", rng, untold=0.1)
    model = build("gated, codes, conditional", rng, num_classes=256)  # 256: too much for uint8
    assert to_numpy(model.told(xp.full(2, 255, np.uint8), noise[1:3])).tolist() == [255, 255]
    assert to_numpy(model.told(xp.full(2, 255, np.uint8), noise[[0, 3]])).tolist() == [256, 256]
    x = model.sample_values(2, rng, labels=np.full(2, 255, np.uint8), guidance=2)
    assert x.shape == (2, 4, 3, 1)


def test_residual_block_and_head_by_their_formulas(rng):
    """h + conv 1x1 (ReLU (conv 3x3 (ReLU (conv 1x1 (ReLU h))))); ReLU before each layer of the
    head."""
    model = build("plain, RGB, 4 levels", rng)
    h, block = rng.standard_normal((2, 2, 3, 6)), model.blocks[1]
    def after_relu(layer, x): return to_numpy(layer(Tensor(np.maximum(x, 0))))
    y = after_relu(block.widen, after_relu(block.middle, after_relu(block.narrow, h)))
    assert_allclose(to_numpy(block(Tensor(h))), h + y)
    logits = after_relu(model.logits_of, after_relu(model.head, h))
    assert_allclose(to_numpy(model.output(Tensor(h))), logits.reshape(2, 2, 3, 3, 4))
    plain, gated = (m((4, 4, 1), blocks=5, dilations=(1, 2, 4)) for m in (PixelCNN, GatedPixelCNN))
    assert [b.middle.dilation for b in plain.blocks] == [1, 2, 4, 1, 2]
    assert [b.v.dilation for b in gated.blocks] == [b.h.dilation for b in gated.blocks] == [
        1, 2, 4, 1, 2]


@pytest.mark.host_only
def test_layers_start_with_the_variance_of_what_follows(rng):
    """He's before a ReLU, Glorot's before a gate, LeCun's where neither follows."""
    sizes = {"levels": 64, "features": 64, "blocks": 1, "head": 64, "rng": rng}
    plain, gated = PixelCNN((4, 4, 1), **sizes), GatedPixelCNN((4, 4, 1), num_classes=9, **sizes)
    (residual,), (block,) = plain.blocks, gated.blocks
    for layers, variance in (
            ((plain.first, residual.narrow, residual.middle, plain.head, gated.first_v,
              gated.first, gated.head), lambda n_in, n_out: 2 / n_in),
            ((block.v, block.h, block.link, block.out), lambda n_in, n_out: 2 / (n_in + n_out)),
            ((residual.widen, plain.logits_of, gated.logits_of),
             lambda n_in, n_out: 1 / (3 * n_in))):
        for layer in layers:
            taps, (n_in, n_out) = layer.mask.sum(), layer.w.shape[2:]
            assert layer.w.numpy()[layer.mask].var() == pytest.approx(
                variance(taps * n_in, taps * n_out), rel=0.15)


def test_a_batch_in_microbatches_takes_the_same_step(variant, rng):
    """The last micro-batch is a smaller one, and labels differ within each."""
    images = rng.integers(0, VARIANTS[variant][2].get("levels", 2), (7, *VARIANTS[variant][1]))
    found = []
    for size in (None, 3):
        model = build(variant, np.random.default_rng(0))
        model.microbatch, sgd = size, SGD(model.parameters(), 1.0)
        labels = np.arange(7) // 2 % max(1, model.num_classes)
        x = images if model.takes_codes else images / (model.levels - 1)
        metrics = step(model, sgd, x, np.random.default_rng(0), labels)
        found.append([to_numpy(metrics["nll"]), *(to_numpy(p.grad) for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, atol=1e-12)


# ---------------------------------------------------------------- learning

def test_gradient_of_the_whole_model(variant, rng):
    model = build(variant, rng)
    x = rng.integers(0, model.levels, (2, *model.image_shape)).astype(np.int32)
    parameters = model.parameters()
    gradcheck(lambda *_: model.loss(x, labels=some_labels(model, 2))[0], *parameters, directions=3)


@pytest.mark.host_only
def test_learns_the_images_it_is_shown(backend, rng):
    """Two images, equally often: the best NLL is log 2."""
    model = build("gated, codes, conditional", rng, dtype=np.float32, features=16, head=16)
    x, labels = rng.integers(0, 5, (2, *model.image_shape)).astype(np.int32), np.zeros(2, int)
    adam = Adam(model.parameters(), 1e-2)
    for _ in range(100):
        metrics = step(model, adam, x, rng, labels)
    assert np.log(2) - 1e-3 < metrics["nll"].item() < np.log(2) + 0.1
    drawn = model.sample_values(20, rng, labels=np.zeros(20, int))
    matches = (drawn[:, None] == x).all(axis=(2, 3, 4))
    assert matches.any(axis=1).mean() > 0.8 and matches.any(axis=0).all()


@pytest.mark.parametrize("name, metric, unit", [
    ("plain, RGB, 4 levels", "bits_per_dim", 18 * np.log(2)),
    ("plain, mixture", "bits_per_dim", 36 * np.log(2)), ("plain, codes", "nats_per_code", 12)])
def test_metrics_and_units(name, metric, unit, rng):
    model = build(name, rng)
    x = rng.integers(0, model.levels, (3, *model.image_shape)).astype(np.int32)
    nll, (loss, metrics) = to_numpy(model.neg_log_likelihood(x)), model.loss(x)
    assert nll.shape == (3,) and loss.item() == metrics["nll"].item()
    assert_allclose([loss.item(), metrics[metric].item()], [nll.mean(), nll.mean() / unit])


def test_levels_are_cut_evenly(backend):
    """4 levels: [0, 1/4) is 0, ..., 1 is 3; the network sees them evenly from -1 to 1."""
    model = PixelCNN((1, 2, 4), levels=4, features=8, blocks=1, head=4)
    grey = np.reshape([0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 1], (1, 1, 2, 4))
    assert to_numpy(model.values_of(grey)).reshape(-1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert_allclose(to_numpy(model.inputs(xp.asarray(np.arange(4)))), [-1, -1 / 3, 1 / 3, 1], 1e-6)
    eight_bits = PixelCNN((1, 256, 1), levels=256, features=2, blocks=1, head=2)
    grey = (np.arange(256, dtype=np.float32) / np.float32(255)).reshape(1, 1, 256, 1)
    assert_array_equal(to_numpy(eight_bits.values_of(grey)).reshape(-1), np.arange(256))


def test_codes_are_looked_up_not_measured(rng):
    """Renaming the codes, with their rows of the table and their logits, changes nothing."""
    model = build("plain, codes", rng)
    x = rng.integers(0, 5, (4, 3, 4, 1)).astype(np.int32)
    nll, order = to_numpy(model.neg_log_likelihood(x)), rng.permutation(5)
    inverse = xp.asarray(np.argsort(order))
    model.embedding.table.data[...] = model.embedding.table.data[inverse]
    model.logits_of.w.data[...] = model.logits_of.w.data[..., inverse]
    model.logits_of.b.data[...] = model.logits_of.b.data[inverse]
    assert_allclose(to_numpy(model.neg_log_likelihood(order[x].astype(np.int32))), nll)


@pytest.mark.parametrize("model", [PixelCNN, GatedPixelCNN])
@pytest.mark.parametrize("arguments, message", [
    ({"levels": 1}, "1 level: a pixel needs at least 2 values"),
    ({"levels": 257}, "give levels 2 to 256"),
    ({"image_shape": (4, 4, 3), "features": 4}, "too few for 3 colours"),
    ({"image_shape": (4, 4, 3), "embedding_dim": 4}, "an embedding is for grids of codes"),
    ({"mixture": 2, "embedding_dim": 4}, "no order: not for 1 channels, nor for a mixture of 2"),
    ({"dilations": (1, 5)}, "at most 4 for these images, not 1, 5")])
def test_wrong_sizes(arguments, message, model):
    with pytest.raises(ValueError, match=message):
        model(**({"image_shape": (4, 4, 1), **SMALL} | arguments))


@pytest.mark.host_only
@pytest.mark.parametrize("name, dtype, wrong, words", [
    ("plain", np.uint8, 255, "values from 0 to 255, but there are levels 0 to 1"),
    ("plain", np.int64, -1, "values from -1 to 0"),
    ("gated, codes, conditional", np.int32, 5, "codes from 0 to 5, but there are levels 0 to 4"),
    ("gated", np.float32, 255, "images from 0 to 255.*needs values in .0, 1.*divide.*by 255"),
    ("plain, RGB", np.float64, -0.1, "images from -0.1 to 0"),
    ("plain", np.float32, np.nan, "images have NaN in them")])
def test_values_that_are_no_levels(name, dtype, wrong, words, rng):
    """They would be a loss of nothing: of level 2 the Bernoulli's is below 0."""
    model = build(name, rng)
    x = np.zeros((2, *model.image_shape), dtype)
    with pytest.raises(ValueError, match=r"it needs \(N, "):
        model.loss(x[:, 1:], labels=some_labels(model, 2))
    x[1, 2, 1, 0] = wrong
    for use in (model.loss, model.neg_log_likelihood, model.logits,
                lambda x, labels: model.complete(x, rng, labels=labels)):
        with pytest.raises((ValueError, IndexError), match=f"PixelCNN: {words}"):
            use(x, labels=some_labels(model, 2))
