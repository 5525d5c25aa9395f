"""Vector quantisation and the VQ-VAE, and the mistakes that others made (docs/mistakes.md)."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from models import VQVAE, moving_codes
from models.vqvae import EPS, mean_square, perplexity
from scratchnet import Tensor, gradcheck, nn, ops, optim, to_numpy, xp
from scratchnet.fast.segments import count, segment_sum
from scratchnet.runs.cli import opening
from scratchnet.training import evaluate, step

pytestmark = pytest.mark.usefixtures("backend")


def tiny(rng, **changes):
    """A small VQ-VAE, its codebook on vectors of a first batch."""
    model = VQVAE(**({"image_shape": (8, 8, 1), "architecture": "keras", "num_embeddings": 6,
                      "embedding_dim": 3, "rng": rng} | changes))
    moving_codes.restart(model, pixels(rng, 32), rng, math.inf, 1.0)
    return model


def pixels(rng, n=5, shape=(8, 8, 1)):
    return rng.uniform(size=(n, *shape)).astype(np.float32)


# ---------------------------------------------------------------- nearest code

def test_nearest_code_by_brute_force(backend, rng):
    z, codebook = rng.standard_normal((4, 5, 3)), rng.standard_normal((11, 3))
    found = to_numpy(ops.nearest_code(Tensor(z), Tensor(codebook)))
    distance = ((z[..., None, :] - codebook) ** 2).sum(-1)
    np.testing.assert_array_equal(found, distance.argmin(-1))


def test_nearest_code_in_blocks(backend, rng, monkeypatch):
    z, codebook = rng.standard_normal((1000, 4)), rng.standard_normal((7, 4))
    whole = ops.nearest_code(z, codebook)
    monkeypatch.setattr(ops.quantise, "BLOCK", 50)
    np.testing.assert_array_equal(to_numpy(ops.nearest_code(z, codebook)), to_numpy(whole))


@pytest.mark.host_only
def test_nan_is_near_to_no_code():
    z = np.ones((3, 2))
    z[1, 0] = np.nan
    for given, what in ((z, np.eye(2)), "vectors"), ((np.eye(2), z), "codes"):
        with pytest.raises(FloatingPointError, match=f"nearest_code: {what} have NaN"):
            ops.nearest_code(*given)


def test_a_tie_goes_to_the_lower_index(backend):
    codebook = np.array([[5.0, 0], [1, 0], [-1, 0], [1, 0]])
    assert to_numpy(ops.nearest_code(np.array([[0.0, 3], [2, 0]]), codebook)).tolist() == [1, 1]


def test_sizes_that_do_not_fit_are_explained():
    with pytest.raises(ValueError, match=r"given z \(2, 3\), codebook \(4, 5\); needs z"):
        ops.nearest_code(np.ones((2, 3)), np.ones((4, 5)))
    with pytest.raises(ValueError, match="straight_through: given"):
        ops.straight_through(np.ones((2, 3)), np.ones((2, 4)))


def test_segment_sum_by_loops(backend, rng):
    indices, rows = rng.integers(0, 6, 40), rng.standard_normal((40, 3))
    expected = np.zeros((7, 3))
    for k, row in zip(indices, rows, strict=True):
        expected[k] += row
    np.testing.assert_allclose(to_numpy(segment_sum(xp.asarray(indices), xp.asarray(rows), 7)),
                               expected, atol=1e-12)
    counted = [sum(i == k for i in indices) for k in range(7)]
    assert to_numpy(count(xp.asarray(indices), 7)).tolist() == counted


def test_images_of_one_code_across(backend, rng):
    model = VQVAE((8, 4, 1), num_embeddings=6, embedding_dim=3, architecture="keras", rng=rng)
    x = pixels(rng, 3, (8, 4, 1))
    assert model.codes(x).shape == (3, 2, 1) and model.reconstruct(x).shape == (3, 8, 4, 1)


# ---------------------------------------------------------------- straight-through

def test_straight_through_hands_the_gradient_on_unchanged(backend, rng):
    """dL/dz_e = dL/dz_q, and nothing to the code."""
    z, e = Tensor(rng.standard_normal((4, 3)), True), Tensor(rng.standard_normal((4, 3)), True)
    y = ops.straight_through(e, z)
    np.testing.assert_array_equal(y.numpy(), e.numpy())
    g = rng.standard_normal((4, 3))
    y.backward(g)
    np.testing.assert_array_equal(to_numpy(z.grad), g)
    assert e.grad is None


# ---------------------------------------------------------------- the loss

def terms(model, x):
    """z_e and the codes chosen, as arrays. The network sees images about 0."""
    z_e = model.encoder(Tensor(x - x.dtype.type(0.5)))
    return z_e.numpy(), model.e.numpy()[to_numpy(ops.nearest_code(z_e, model.e))]


def test_loss_by_its_definition(backend, rng):
    x = pixels(rng)
    for codebook, factor in (("gradient", 1.25), ("ema", 0.25)):
        model = tiny(rng, codebook=codebook, data_variance=0.07)
        loss, metrics = model.loss(x, rng)
        z_e, e = terms(model, x)
        x_hat = model.decoder(Tensor(e)).numpy() + 0.5
        np.testing.assert_allclose(model.reconstruct(x).numpy(), x_hat, rtol=1e-4, atol=1e-6)
        recon_error = ((x_hat - x) ** 2).mean() / 0.07
        vq = factor * ((z_e - e) ** 2).mean()
        assert metrics["recon_error"].item() == pytest.approx(recon_error, rel=1e-4)
        assert metrics["vq"].item() == pytest.approx(vq, rel=1e-3)
        assert loss.item() == pytest.approx(recon_error + vq, rel=1e-4)


def test_loss_is_eq_3_with_a_gaussian_likelihood(backend, rng):
    """V D times the loss is -log N(x; x_hat, sigma^2) + (1 + beta) sum ||z_e - e||^2, but for a
    constant, with sigma^2 = P s^2 / (2 V D): P numbers an image, V vectors of D, s^2 the data's."""
    x = pixels(rng, 1).astype(np.float64)
    for D, beta, s2 in ((3, 0.25, 0.07), (5, 2.0, 1.5)):
        model = tiny(rng, codebook="gradient", embedding_dim=D, commitment_cost=beta,
                     data_variance=s2).astype(np.float64)
        P, V = 64, 4
        variance = P * s2 / (2 * V * D)
        differ = []
        for _ in range(3):  # three decoders and codebooks: the difference stays
            for p in model.parameters():
                p.data[...] *= xp.asarray(rng.uniform(0.5, 1.5, p.shape))
            z_e, e = terms(model, x)
            sd, error = math.sqrt(variance), model.reconstruct(x).numpy() - x
            nll = -np.log(np.exp(-(error / sd) ** 2 / 2) / (sd * math.sqrt(2 * math.pi))).sum()
            eq_3 = nll + (1 + beta) * ((z_e - e) ** 2).sum()
            differ.append(V * D * model.loss(x, rng)[0].item() - eq_3)
        np.testing.assert_allclose(differ, -P / 2 * math.log(2 * math.pi * variance), rtol=1e-6)


def test_kl_to_the_uniform_prior_is_log_K_for_every_image(backend, rng):
    """Of an image with one vector the usage is q(k|x): one-hot, at the nearest code. Its KL to 1/K
    is log K whatever the image, so the loss, which leaves it out, differs by a constant."""
    model, x = VQVAE((4, 4, 1), "keras", 7, 3, rng=rng), pixels(rng, 20, (4, 4, 1))
    moving_codes.restart(model, x, rng, math.inf, 1.0)
    chosen = set()
    for image in x:
        loss, metrics = model.loss(image[None], rng)
        q, vq = to_numpy(metrics["usage"]), metrics["recon_error"].item() + metrics["vq"].item()
        z_e = model.encode(image[None]).numpy().reshape(-1)
        nearest = ((z_e - model.e.numpy()) ** 2).sum(1).argmin()
        np.testing.assert_array_equal(q, np.arange(7) == nearest)
        kl = sum(q_k * math.log(q_k / (1 / 7)) for q_k in q.tolist() if q_k > 0)
        assert kl == pytest.approx(math.log(7), rel=1e-6) and loss.item() == pytest.approx(vq)
        chosen.add(int(nearest))
    assert len(chosen) > 1


@pytest.mark.parametrize("beta", [0.0, 0.25, 3.0])
def test_codebook_gradient_is_that_of_the_codebook_term_alone(beta, backend, rng):
    """d/de_k of mean ||sg[z] - e||^2, whatever beta: neither the commitment term nor the
    reconstruction (through the straight-through output) reaches the codes, and the codes learn."""
    model, x = tiny(rng, codebook="gradient", commitment_cost=beta), pixels(rng)
    loss, _ = model.loss(x, rng)
    z_e = model.encode(x).numpy()
    indices = to_numpy(ops.nearest_code(z_e, model.e))
    loss.backward()
    expected = np.zeros((6, 3))
    for z, k in zip(z_e.reshape(-1, 3), indices.reshape(-1), strict=True):
        expected[k] += 2 * (model.e.numpy()[k] - z) / z_e.size
    np.testing.assert_allclose(to_numpy(model.e.grad), expected, atol=1e-6)
    assert np.abs(expected).max() > 0


def test_commitment_term_reaches_the_encoder_alone_and_carries_beta(backend, rng):
    x = pixels(rng)
    found = {}
    for beta in (0.0, 1.0, 2.0):
        model = tiny(np.random.default_rng(0), codebook="gradient", commitment_cost=beta)
        loss, _ = model.loss(x, np.random.default_rng(1))
        loss.backward()
        found[beta] = {n: to_numpy(p.grad) for n, p in model.named_parameters().items()}
    for name in found[0.0]:
        one, two = found[1.0][name] - found[0.0][name], found[2.0][name] - found[0.0][name]
        if name.startswith("encoder"):
            np.testing.assert_allclose(two, 2 * one, atol=1e-5)
        else:
            np.testing.assert_allclose(one, 0, atol=1e-6)
    assert any(np.abs(found[1.0][n] - found[0.0][n]).max() > 1e-5 for n in found[0.0])


def test_encoder_derivative_is_that_of_its_surrogate(rng):
    """With sg[.] and the straight-through step spelled out as constants, the loss is an ordinary
    function of encoder and decoder, and finite differences confirm its derivative."""
    model, x = tiny(rng).astype(np.float64), pixels(rng).astype(np.float64)
    for p in model.parameters():
        if p.ndim == 1:  # biases that move the ReLUs' inputs away from 0
            p.data[...] = xp.asarray(rng.choice([-1.0, 1.0], p.shape))
    loss, _ = model.loss(x, rng)
    z0 = model.encode(x).data.copy()
    e = model.e.data[ops.nearest_code(z0, model.e)]
    loss.backward()
    wanted = [p.grad.copy() for p in model.parameters()]
    def surrogate(*_):
        z = model.encode(x)
        x_hat = model.decode(z + (e - z0))
        return mean_square(x_hat - x) / model.data_variance + model.beta * mean_square(z - e)
    assert gradcheck(surrogate, *model.parameters(), directions=5, eps=1e-7, rtol=1e-5)
    model.zero_grad()
    surrogate().backward()
    for p, g in zip(model.parameters(), wanted, strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), to_numpy(g), atol=1e-12)


# ---------------------------------------------------------------- the codebook by running means

@pytest.mark.parametrize("codebook", ["gradient", "ema"])
def test_ema_against_a_slow_reference(codebook, backend, rng):
    """Three updates by loops: counts and sums decay, and only the division uses smoothed counts.
    Codes that are learned by gradients have their counts too, to tell which are not used."""
    model = tiny(rng, decay=0.8, codebook=codebook).astype(np.float64)
    N, m = np.ones(6), None
    for _ in range(3):
        x = pixels(rng).astype(np.float64)
        _, metrics = model.loss(x, rng)
        if m is None:
            m = model.e.numpy().copy()  # the accumulators start on the codebook: m / N = e
            np.testing.assert_array_equal(model.m.numpy(), m)
        z = model.encode(x)
        k = to_numpy(ops.nearest_code(z, model.e)).reshape(-1)
        z = z.numpy().reshape(-1, 3)
        model.update(metrics, len(x))
        for code in range(6):
            N[code] = 0.8 * N[code] + 0.2 * (k == code).sum()
            m[code] = 0.8 * m[code] + 0.2 * z[k == code].sum(0)
        smoothed = (N + EPS) / (N.sum() + 6 * EPS) * N.sum()
        np.testing.assert_allclose(model.N.numpy(), N, rtol=1e-12)
        if codebook == "gradient":
            continue
        np.testing.assert_allclose(model.m.numpy(), m, rtol=1e-10)
        np.testing.assert_allclose(model.e.numpy(), m / smoothed[:, None], rtol=1e-10)


def test_codes_are_updated_after_they_were_used(backend, rng):
    """loss() quantises with the old codes, twice alike; update() then moves them."""
    model, x = tiny(rng), pixels(rng)
    first, metrics = model.loss(x, rng)
    before = model.e.numpy().copy()
    assert model.loss(x, rng)[0].item() == first.item()
    np.testing.assert_array_equal(model.e.numpy(), before)
    kept = model.update(metrics, len(x))
    assert not np.array_equal(model.e.numpy(), before) and set(metrics) - set(kept) == {"sums"}


def test_evaluation_moves_no_code(rng):
    """Nor does a step in evaluation mode, not even the first; an evaluation keeps no tape, and
    leaves the model in its mode."""
    model, x = tiny(rng), (255 * pixels(rng, 9)).astype(np.uint8)
    before, loss, taped = model.state_dict(), model.loss, []
    model.loss = lambda *a: taped.append(model.encode(a[0]).requires_grad) or loss(*a)
    for mode in (True, False):
        model.train(mode)
        evaluate(model, x, 4)
        assert model.training == mode and not any(taped)
    step(model, optim.Adam(model.parameters(), 0.0), x, rng)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_codes_move_onto_vectors_of_the_batch(backend, rng):
    """Those below the limit and no others, with the running means that belong to their place."""
    model, x = tiny(rng), pixels(rng)
    model.N.data[...] = xp.asarray(np.array([0.9, 3, 0.999, 1, 5, 0], np.float32))
    before = model.state_dict()
    rows = model.encode(x).numpy().reshape(-1, 3)
    moving_codes.restart(model, x, rng, least=1.0, N=2.0)
    after = model.state_dict()
    for k, moved in enumerate([True, False, True, False, False, True]):
        assert moved == (np.abs(after["e"][k] - before["e"][k]).max() > 0)
        if moved:
            assert np.abs(rows - after["e"][k]).max(axis=1).min() < 1e-6
            assert after["N"][k] == 2.0
            np.testing.assert_allclose(after["m"][k], 2 * after["e"][k])
        else:
            np.testing.assert_array_equal(after["m"][k], before["m"][k])


@pytest.mark.parametrize("steps_done, restart_below, codes_moved", [
    (0, 0, 6), (0, 0, 2), (3, 0, 0), (5, 0, 2), (6, 0, 0), (490, 0, 2), (500, 0, 0),
    (math.inf, 0, 2), (10, 0.01, 2), (490, 0.3, 3), (500, 0.01, 1), (510, 0.3, 3), (511, 0.3, 0)])
def test_when_codes_are_moved(steps_done, restart_below, codes_moved, rng):
    """At the start all, if nothing was learned yet. In the first steps every fifth those with less
    than a fourth of a fair share, or than restart_below if that is more; later than restart_below.
    Of 5 images with 4 vectors each, 6 codes have 3.3 each: a fourth is 0.83. No image is encoded in
    vain. In a loop that counts no steps the updates are counted: none so far."""
    model, x = tiny(rng, restart_below=restart_below), pixels(rng)
    if codes_moved < 6:
        model.N.data[...] = xp.asarray(np.array([0.84, 3, 0.82, 1, 5, 0], np.float32))
    model.steps_done, before = steps_done, model.e.numpy().copy()
    model.encode = model.encode if codes_moved else None
    model.prepare(x, rng)
    moved = (model.e.numpy() != before).any(axis=1)
    assert moved.sum() == codes_moved
    early = steps_done < 500 or steps_done == math.inf
    part = max(restart_below, 0.25 if early else 0)  # a moved code starts at the limit
    limit = part * 20 / 6 if codes_moved < 6 else 1
    np.testing.assert_allclose(model.N.numpy()[moved], limit, rtol=1e-6)


def test_moved_codes_come_from_images_of_the_whole_batch(rng):
    """Six images have four vectors for each of the 6 codes; which six of the 40 is drawn."""
    model, x = tiny(rng), pixels(rng, 40)
    rows, encode, encoded = model.encode(x).numpy().reshape(40, 4, 3), model.encode, []
    model.encode = lambda x: encoded.append(len(x)) or encode(x)
    moving_codes.restart(model, x, rng, math.inf, 1.0)
    assert encoded == [6]
    found = {int(np.abs(rows - code).max(axis=2).min(axis=1).argmin()) for code in model.e.numpy()}
    assert max(found) >= 6 and len(found) > 1


@pytest.mark.host_only
def test_the_codebook_is_placed_over_the_first_steps(backend, rng):
    """Codes that the encoder leaves behind come back into use: here all but two of them."""
    model, x = tiny(rng, num_embeddings=16), (255 * pixels(rng, 16)).astype(np.uint8)
    adam, perplexities = optim.Adam(model.parameters(), 3e-3), []
    for t in range(80):
        perplexities.append(float(step(model, adam, x, rng)["perplexity"]))
        if t == 0:
            model.e.data[2:] = model.m.data[2:] = 1e3
    assert perplexities[1] < 3 and perplexities[-1] > 8


@pytest.mark.parametrize("codebook", ["gradient", "ema"])
@pytest.mark.parametrize("piece", [1, 3])
def test_a_batch_in_pieces_is_the_batch(codebook, piece, backend, rng):
    """One step, also with a last piece that is smaller: weights, codes and metrics, to rounding."""
    found, images = [], (255 * pixels(rng, 7)).astype(np.uint8)
    for size in (None, piece):
        model = tiny(np.random.default_rng(0), codebook=codebook)
        model.microbatch = size
        metrics = step(model, optim.SGD(model.parameters(), 0.1), images, np.random.default_rng(1))
        found.append({**model.state_dict(), **{n: to_numpy(v) for n, v in metrics.items()}})
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=2e-5, err_msg=name)


# ---------------------------------------------------------------- figures, shapes, sizes

def test_perplexity_counts_codes(backend):
    assert float(perplexity(xp.asarray(np.full(8, 1 / 8)))) == pytest.approx(8)
    assert float(perplexity(xp.asarray(np.array([1.0, 0, 0])))) == pytest.approx(1)
    p = np.array([0.5, 0.25, 0.25])
    assert float(perplexity(xp.asarray(p))) == pytest.approx(2 ** 1.5)


def test_codes_used_are_those_of_the_whole_epoch(rng):
    """Two batches, each with two codes, one in common: three are used, not two."""
    model = tiny(rng)
    usage = (np.array([0.5, 0.5, 0, 0, 0, 0]) + np.array([0, 0.5, 0.5, 0, 0, 0])) / 2
    assert float(model.batch_metrics({"usage": xp.asarray(usage)})["perplexity"]) == pytest.approx(
        math.exp(1.5 * math.log(2)), rel=1e-6)
    found = model.epoch_metrics({"usage": usage, "loss": 1.0})
    assert found["codes_used"] == 3 and "usage" not in found
    rare = np.array([1 - 1e-6, 0, 1e-6, 0, 0, 0])  # one vector of a million
    assert model.epoch_metrics({"usage": rare})["codes_used"] == 2
    assert found["epoch_perplexity"] == pytest.approx(math.exp(1.5 * math.log(2)), rel=1e-6)


def test_sonnet_sizes(rng):
    """A run says how many parameters it has: running means are none."""
    model, x = VQVAE((32, 32, 3), rng=rng), []
    assert sum(p.size for p in model.parameters()) == 662_723 and model.e.shape == (512, 64)
    images = SimpleNamespace(title="", train_images=x, test_images=x, held_out="test")
    flags = SimpleNamespace(model="vqvae", batch_size=1)
    assert " 662,723 parameters" in opening(flags, images, model, "", None)
    x = pixels(rng, 2, (32, 32, 3))
    assert model.encode(x).shape == (2, 8, 8, 64) and model.codes(x).shape == (2, 8, 8)
    assert model.reconstruct(x).shape == (2, 32, 32, 3)


def test_residual_block_by_its_formula(backend, rng):
    block, x = nn.ResidualBlock(4, 3, rng), rng.standard_normal((2, 3, 5, 4)).astype(np.float32)
    y = np.maximum(block.narrow(Tensor(np.maximum(x, 0))).numpy(), 0)
    np.testing.assert_allclose(block(Tensor(x)).numpy(), x + block.widen(Tensor(y)).numpy(),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture, own", [("sonnet", 2), ("keras", 0)])
@pytest.mark.parametrize("more", [0, 1, 3])
def test_residual_blocks_have_weights_of_their_own(architecture, own, more, rng):
    """`more` of them stand in the decoder alone."""
    model = VQVAE((8, 8, 1), architecture, residual=more, rng=rng)
    for part, expected in ((model.encoder, own), (model.decoder, own + more)):
        blocks = [m for m in part.layers if isinstance(m, nn.ResidualBlock)]
        count = sum(p.size for p in nn.Sequential(*blocks).parameters()) if blocks else 0
        assert len(blocks) == expected
        assert count == expected * (3 * 3 * 128 * 32 + 32 + 32 * 128 + 128)


def test_the_codebook_starts_on_vectors_of_the_first_batch(backend, rng):
    model, x = VQVAE((8, 8, 1), "keras", 6, 3, rng=rng), pixels(rng, 3)
    fresh, model.steps_done = model.state_dict(), 0  # before it: within 1/K
    np.testing.assert_array_equal(fresh["e"], fresh["m"] / fresh["N"][:, None])
    assert 0.1 < np.abs(fresh["e"]).max() <= 1 / 6
    model.prepare(x, rng)
    rows = model.encode(x).numpy().reshape(-1, 3)
    for code in model.e.numpy():
        assert np.abs(rows - code).max(axis=1).min() < 1e-6
    assert len(np.unique(model.e.numpy(), axis=0)) == 6  # each vector once
    np.testing.assert_array_equal(model.m.numpy(), model.e.numpy())
