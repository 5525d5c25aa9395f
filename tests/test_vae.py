"""The VAE's mathematics, and the mistakes that others made (see docs/mistakes.md)."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from models import RECIPES, VAE, VQVAE, Autoencoder, ConvVAE
from models.vae import LIKELIHOODS, reparameterise
from scratchnet import Tensor, gradcheck, losses, nn, ops, optim, to_numpy, training, xp
from scratchnet.runs import checkpoint
from scratchnet.runs.flags import TRAINING, defaults
from scratchnet.runs.log import TRACE_EVERY

pytestmark = pytest.mark.usefixtures("backend")


def small(rng, **changes):
    return VAE(**({"input_dim": 12, "h_dim": [7, 5], "z_dim": 3, "activation": "tanh", "rng": rng}
                  | changes))


def pixels(rng, n=4, d=12, dtype=np.float32):
    return rng.uniform(size=(n, d)).astype(dtype)


# ---------------------------------------------------------------- the reparameterisation trick

def gauss_hermite(n):
    """Points and weights with sum_k w_k f(eps_k) = E[f(eps)], eps ~ N(0,1), for polynomials f."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return points[:, None], weights[:, None] / weights.sum()


@pytest.mark.parametrize("f, d_mu, d_log_var", [
    # E[z^2] = mu^2 + s^2
    (lambda z: z * z, lambda mu, s: 2 * mu, lambda mu, s: s ** 2),
    # E[z^3] = mu^3 + 3 mu s^2
    (lambda z: z ** 3, lambda mu, s: 3 * mu ** 2 + 3 * s ** 2, lambda mu, s: 3 * mu * s ** 2),
    # E[e^z] = e^(mu + s^2 / 2)
    (ops.exp, lambda mu, s: math.exp(mu + s * s / 2),
     lambda mu, s: math.exp(mu + s * s / 2) * s * s / 2),
], ids=["z^2", "z^3", "e^z"])
def test_gradient_through_the_noise(f, d_mu, d_log_var, backend):
    """Averaged over the noise, it is the gradient of the expectation, known in closed form.

    The average is a Gauss-Hermite sum, so nothing here is random.
    """
    mu, log_var = Tensor(np.array([0.7]), True), Tensor(np.array([-0.4]), True)
    eps, weights = gauss_hermite(30)
    each = (ops.broadcast_to(t, eps.shape) for t in (mu, log_var))
    (f(reparameterise(*each, Tensor(eps))) * Tensor(weights)).sum().backward()
    sigma = math.exp(-0.2)
    assert mu.grad.item() == pytest.approx(d_mu(0.7, sigma), rel=1e-10)
    assert log_var.grad.item() == pytest.approx(d_log_var(0.7, sigma), rel=1e-10)


def test_kl_in_closed_form_against_monte_carlo(backend, rng):
    mu, log_var = np.array([[0.8, -0.3]]), np.array([[-0.9, 0.6]])
    eps = rng.standard_normal((400_000, 2))
    z = mu + np.exp(log_var / 2) * eps
    log_q = -0.5 * (eps ** 2 + log_var + math.log(2 * math.pi))
    log_p = -0.5 * (z ** 2 + math.log(2 * math.pi))
    estimate = (log_q - log_p).sum(1).mean()
    assert losses.gaussian_kl(Tensor(mu), Tensor(log_var)).item() == pytest.approx(estimate,
                                                                                   abs=0.01)
    assert losses.gaussian_kl(np.zeros((1, 3)), np.zeros((1, 3))).item() == 0
    mu, log_var = rng.standard_normal((50, 1)), rng.standard_normal((50, 1))
    assert (losses.gaussian_kl(mu, log_var, "none").numpy() > 0).all()


# ---------------------------------------------------------------- the loss

def conv(residual, latent, likelihood, num_classes=0, colours=1, **other):
    return lambda rng: ConvVAE((4, 4, colours), (3, 4), 6, 1 + (latent == "vector"), residual,
                               latent, likelihood, num_classes=num_classes, rng=rng, **other)


TOLD = [lambda rng: small(rng, num_classes=4), conv(0, "vector", "bernoulli", 4),
        conv(1, "map", "bernoulli", 4)]  # the class


@pytest.mark.parametrize("make, z_dim", [
    *((lambda rng, name=name: small(rng, likelihood=name, beta=0.7), 3) for name in LIKELIHOODS),
    (conv(0, "vector", "bernoulli"), 2), (conv(1, "vector", "logistic"), 2),
    (conv(0, "map", "bernoulli"), 1), (conv(2, "map", "logistic"), 1),
    (conv(1, "map", "logistic", colours=3, mixture=2), 1),
    (lambda rng: small(rng, importance_samples=2), 6),
    (conv(0, "map", "bernoulli", importance_samples=3), 3),
    (conv(0, "vector", "bernoulli", 4, importance_samples=2), 4),
    *zip(TOLD, (3, 2, 1), strict=True)])
def test_full_model_derivative(make, z_dim, backend, rng):
    model = make(rng).astype(np.float64)
    for p in model.parameters() if isinstance(model, ConvVAE) else ():
        if p.ndim == 1:  # biases that move the ReLUs' inputs away from their kink
            p.data[...] = xp.asarray(rng.choice([-1, 1], p.shape) * rng.uniform(0.5, 2, p.shape))
    x = rng.integers(0, 256, (3, *model.input_shape)) / 255
    noise, how = rng.standard_normal((3, z_dim)), training.classes(model, np.array([2, 0, 2]))
    assert gradcheck(lambda *_: model.loss(x, noise, **how)[0], *model.parameters(), directions=5,
                     eps=1e-7, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- told the class

@pytest.mark.parametrize("make", TOLD)
def test_a_class_is_told_to_both_sides(make, backend, rng):
    """Each class in words of its own, and every image its own class: images and codes that are all
    the same differ by their labels alone."""
    model, labels = make(rng), np.array([0, 1, 2, 3, 1])
    x = np.full((5, *model.input_shape), 0.4, np.float32)
    z = np.full((5, model.z_dim), 0.3, np.float32)
    for found in (*model.encode(x, labels), model.decode(z, labels), model.mean_image(z, labels)):
        found = found.numpy().reshape(5, -1)
        np.testing.assert_allclose(found[1], found[4], atol=1e-6)  # rows of a product differ, too
        assert all((abs(found[a] - found[b]) > 1e-4).any() for a in range(4) for b in range(a))
    drawn = model.sample(5, np.random.default_rng(3), labels).numpy()
    same = np.random.default_rng(3).standard_normal((5, model.z_dim), dtype=np.float32)
    np.testing.assert_array_equal(drawn, model.mean_image(same, labels).numpy())
    mu, _ = model.encode(x, labels)
    np.testing.assert_array_equal(model.reconstruct(x, labels).numpy().reshape(5, -1),
                                  model.mean_image(mu, labels).numpy())


def test_the_bound_given_a_class(backend, rng):
    """By its definition, log of the mean of p(x|z, y) p(z) / q(z|x, y), and above the ELBO of the
    same draw."""
    model, labels = small(rng, num_classes=4).astype(np.float64), np.array([3, 0, 1, 3])
    x = (pixels(rng, dtype=np.float64) > 0.5).astype(np.float64)
    bound = model.log_likelihood(x, 300, np.random.default_rng(3), labels)
    draws, weights = np.random.default_rng(3), []
    mu, log_var = (t.numpy() for t in model.encode(x, labels))
    for _ in range(300):
        eps = draws.standard_normal(mu.shape)
        z = mu + np.exp(log_var / 2) * eps
        p = 1 / (1 + np.exp(-model.decode(z, labels).numpy()))
        weights.append(np.prod(np.where(x == 1, p, 1 - p), axis=1) * np.exp(
            ((eps ** 2 - z ** 2 + log_var) / 2).sum(axis=1)))
    np.testing.assert_allclose(to_numpy(bound), np.log(np.mean(weights, axis=0)), rtol=1e-10)
    elbo = np.mean([-model.loss(x, draws, labels)[0].item() for _ in range(300)])
    assert to_numpy(bound).mean() > elbo + 0.01
    others = model.log_likelihood(x, 300, np.random.default_rng(3), (labels + 1) % 4)
    assert (np.abs(to_numpy(bound - others)) > 1e-4).all()


@pytest.mark.host_only
def test_a_model_without_classes_draws_the_weights_that_it_always_drew():
    """Encoder, posterior, decoder, pixels, and nothing else."""
    model, again = small(np.random.default_rng(0)), np.random.default_rng(0)
    layers = [nn.mlp([12, 7, 5], "tanh", again), nn.Linear(5, 6, again),
              nn.mlp([3, 5, 7], "tanh", again), nn.Linear(7, 12, again)]
    expected = [p for layer in layers for p in layer.parameters()]
    for p, q in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    told = small(np.random.default_rng(0), num_classes=4)
    assert {"label_x.table", "label_z.table"} == set(told.state_dict()) - set(model.state_dict())


# ---------------------------------------------------------------- warm-up

def test_weight_of_the_kl_rises_over_the_warm_up(backend, rng):
    """In training by `step`; an evaluation has the whole weight, and so has a loop of one's own."""
    model, x = small(rng, beta=2.0, warmup=4), np.round(255 * to_numpy(pixels(rng)))
    assert model.kl_weight() == 2
    optimizer = optim.Adam(model.parameters(), 0.0)
    for t in range(6):
        found = training.step(model, optimizer, x.astype(np.uint8), np.random.default_rng(t))
        weight = (found["loss"] - found["reconstruction"]) / found["kl"]
        assert weight.item() == pytest.approx(2 * min(1, (t + 1) / 4), rel=1e-4)
        assert found["neg_elbo"].item() == pytest.approx(
            (found["reconstruction"] + found["kl"]).item())
        assert model.eval().kl_weight() == 2 and model.train()


@pytest.mark.host_only
@pytest.mark.parametrize("make", [
    lambda rng: VAE(64, 5, 3, warmup=9, rng=rng),
    lambda rng: VQVAE((8, 8, 1), "keras", 6, 3, restart_below=0.9, rng=rng)], ids=["vae", "vqvae"])
def test_what_follows_the_steps_goes_on_where_it_was(make, rng, tmp_path):
    """A warm-up, a codebook's restarts: to the bit; also from a checkpoint of the time when models
    counted their steps themselves."""
    x, path = rng.integers(0, 256, (9, 8, 8, 1), dtype=np.uint8), tmp_path / "checkpoint.npz"
    progress = {"step": 3, "seconds": 0, "counts": [0, 0], "epoch": {}, "window": {}, "history": [],
                "trace": []}
    def begun():
        model = make(np.random.default_rng(0))
        return model, optim.Adam(model.parameters())
    def train(model, adam, *steps):
        for t in steps:
            training.step(model, adam, x, np.random.default_rng(t))
        return {"model": model.state_dict(), "optimizer": adam.state_dict()}
    whole = train(*begun(), *range(7))
    half = train(*begun(), *range(3))
    arrays = {f"{part}/{name}": a for part, state in half.items() for name, a in state.items()}
    checkpoint.write(path, arrays | {"model/steps": np.array([3], np.float32)}, progress)
    again = begun()
    checkpoint.load(path, *again)
    for part, state in train(*again, *range(3, 7)).items():
        for name, value in state.items():
            np.testing.assert_array_equal(value, whole[part][name], err_msg=name)


def test_bits_per_dim(backend, rng):
    """-ELBO in nats / (numbers in an image * ln 2)."""
    model = small(rng, likelihood="logistic")
    _, metrics = model.loss(pixels(rng), rng)
    assert metrics["bits_per_dim"].item() == pytest.approx(
        metrics["neg_elbo"].item() / 12 / math.log(2), rel=1e-6)
    for likelihood, first in (("logistic", "bits_per_dim"), ("gaussian", "neg_elbo")):
        columns, _ = RECIPES["mnist"]["vae"].shows(SimpleNamespace(
            likelihood=likelihood, binarize="none", importance_samples=1))
        assert columns[0] == first


def test_loss_is_sum_over_pixels_and_dimensions_mean_over_images(backend, rng):
    """Both terms reduced alike: by loops, one image at a time."""
    model = small(rng, beta=2.0)
    x, noise = pixels(rng), rng.standard_normal((4, 3)).astype(np.float32)
    loss, metrics = model.loss(x, noise)
    reconstruction = kl = 0.0
    for image, eps in zip(x, noise, strict=True):
        mu, log_var = (t.numpy()[0] for t in model.encode(image[None]))
        logits = model.decode((mu + np.exp(log_var / 2) * eps)[None]).numpy()[0]
        p = 1 / (1 + np.exp(-logits.astype(np.float64)))
        reconstruction -= (image * np.log(p) + (1 - image) * np.log(1 - p)).sum() / 4
        kl += 0.5 * (mu ** 2 + np.exp(log_var) - 1 - log_var).sum() / 4
    assert metrics["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
    assert metrics["kl"].item() == pytest.approx(kl, rel=1e-5)
    assert loss.item() == pytest.approx(reconstruction + 2 * kl, rel=1e-5)
    assert metrics["neg_elbo"].item() == pytest.approx(reconstruction + kl, rel=1e-5)


def test_gaussian_likelihood_is_a_density(rng):
    """It integrates to one over a pixel's values."""
    model = small(rng, likelihood="gaussian", sigma_x=0.3)
    values = np.linspace(-4, 5, 20_001)[:, None]
    nll = model.reconstruction_loss(Tensor(np.full_like(values, 0.4)), Tensor(values), "none")
    assert np.exp(-nll.numpy()).sum() * (values[1] - values[0]) == pytest.approx(1, rel=1e-6)


def linear_vae(mean_of_q, variance_of_q):
    """p(z) = N(0, 1), p(x|z) = N(0.4 z + 0.5, 0.2^2), q(z|x) = N(a x + c, variance_of_q), mean_of_q
    being (a, c). Lines are made of relu(z) - relu(-z) = z."""
    a, c = mean_of_q
    vae = VAE(input_dim=1, h_dim=2, z_dim=1, likelihood="gaussian", sigma_x=0.2).astype(np.float64)
    vae.load_state_dict({name: np.array(values, float) for name, values in {
        "encoder.layers.0.w": [[1, -1]], "encoder.layers.0.b": [0, 0],
        "posterior.w": [[a, 0], [-a, 0]], "posterior.b": [c, math.log(variance_of_q)],
        "decoder.layers.0.w": [[1, -1]], "decoder.layers.0.b": [0, 0],
        "pixels.w": [[0.4], [-0.4]], "pixels.b": [0.5]}.items()})
    return vae


def test_the_gap_is_the_kl_to_the_posterior(backend):
    """Where p(x) = N(0.5, 0.2) and p(z|x) = N(2 x - 1, 0.2) are known: log p(x) = ELBO + KL, the
    estimate from many weights is log p(x), and from one, with the posterior as q, exactly so."""
    for x in (0.1, 0.5, 0.9):
        log_p = -(x - 0.5) ** 2 / 0.4 - math.log(0.4 * math.pi) / 2
        two, noise = np.array([[x], [x]]), np.array([[1.0], [-1.0]])  # of mean 0 and variance 1
        rough, exact = linear_vae((-0.5, 0.7), 0.36), linear_vae((2, -1), 0.2)
        kl = ((0.7 - 0.5 * x - (2 * x - 1)) ** 2 / 0.2 + 1.8 - 1 - math.log(1.8)) / 2
        assert rough.loss(two, noise)[0].item() - kl == pytest.approx(-log_p, rel=1e-12)
        assert exact.loss(two, noise)[0].item() == pytest.approx(-log_p, rel=1e-12)
        draws = np.random.default_rng(0)
        one = to_numpy(exact.log_likelihood(np.full((50, 1), x), 1, draws))
        np.testing.assert_allclose(one, log_p, rtol=1e-12)
        many = to_numpy(rough.log_likelihood(np.full((50, 1), x), 400, draws))
        assert many.mean() == pytest.approx(log_p, abs=0.05)


def test_importance_weights_by_their_definition(backend, rng):
    """log of the mean of p(x|z) p(z) / q(z|x), q being about N(1.5, e^-6), N(-1, e^2) and
    N(0.5, e^-1)."""
    model = small(rng).astype(np.float64)
    model.posterior.b.data[...] = xp.asarray(np.array([1.5, -1, 0.5, -6, 2, -1]))
    x = (pixels(rng, dtype=np.float64) > 0.5).astype(np.float64)
    mu, log_var = (t.numpy() for t in model.encode(x))
    def log_normal(z, mean, log_variance):
        variance = np.exp(log_variance)
        return (-(z - mean) ** 2 / (2 * variance) - np.log(2 * np.pi * variance) / 2).sum(axis=1)
    draws, weights = np.random.default_rng(3), []
    for _ in range(4):
        z = mu + np.exp(log_var / 2) * draws.standard_normal(mu.shape)
        p = 1 / (1 + np.exp(-model.decode(z).numpy()))
        weights.append(np.prod(np.where(x == 1, p, 1 - p), axis=1) * np.exp(
            log_normal(z, 0, np.zeros(3)) - log_normal(z, mu, log_var)))
    found = to_numpy(model.log_likelihood(x, 4, np.random.default_rng(3)))
    np.testing.assert_allclose(found, np.log(np.mean(weights, axis=0)), rtol=1e-10)


def test_log_variance_is_as_it_was_encoded_within_wide_bounds(backend, rng):
    """Beyond them, loss and gradients stay finite."""
    model = small(rng)
    model.posterior.w.data[...] = 0
    for given, kept in ([-19, -3, 9], [-19, -3, 9]), ([-21, 0, 1e4], [-20, 0, 10]):
        model.posterior.b.data[3:] = xp.asarray(np.array(given, np.float32))
        np.testing.assert_array_equal(model.encode(pixels(rng))[1].numpy(), [kept] * 4)
    loss, _ = model.loss(pixels(rng), rng)
    loss.backward()
    assert np.isfinite(loss.item())
    assert all(bool(xp.isfinite(p.grad).all()) for p in model.parameters())


def test_logistic_outputs_of_0_are_grey(backend, rng):
    """A mean of 1/2, give or take e^-2, in the loss as in the picture; others add to these."""
    model, x = small(rng, likelihood="logistic"), np.full((1, 12), 90 / 255, np.float32)
    def bin_below(edge): return 1 / (1 + math.exp(-(edge - 0.6) / math.exp(-2.3)))
    p = bin_below(90.5 / 255) - bin_below(89.5 / 255)
    output = np.array([[0.1] * 12 + [-0.3] * 12], np.float32)
    nll = model.reconstruction_loss(Tensor(output), Tensor(x))
    assert nll.item() == pytest.approx(-12 * math.log(p), rel=1e-4)
    model.pixels.w.data[...] = 0
    model.pixels.b.data[...] = xp.asarray(output[0])
    x = np.arange(256) / 255
    nll = losses.discretised_logistic(np.full(256, 0.6), np.full(256, -2.3), x, "none").numpy()
    np.testing.assert_allclose(model.sample(2, rng).numpy(), np.exp(-nll) @ x, atol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_pictures_are_the_means_of_what_is_decoded(likelihood, backend, rng):
    """Of z = mu(x), in the shape of the images, and of z drawn from the prior."""
    model, x = small(rng, likelihood=likelihood), pixels(rng).reshape(4, 3, 4, 1)
    def mean(z):
        y = model.decode(z).numpy()
        if likelihood == "logistic":  # cut off at 0 and 1
            m, s = y[:, :12] + 0.5, np.exp(y[:, 12:] - 2)
            return s * np.log((1 + np.exp(m / s)) / (1 + np.exp((m - 1) / s)))
        return {"bernoulli": 1 / (1 + np.exp(-y)), "gaussian": y}[likelihood]
    mu, _ = model.encode(x)
    np.testing.assert_allclose(model.reconstruct(x).numpy(), mean(mu).reshape(x.shape), rtol=1e-5)
    z = np.random.default_rng(3).standard_normal((5, 3), dtype=np.float32)
    drawn = model.sample(5, np.random.default_rng(3)).numpy()
    np.testing.assert_allclose(drawn, mean(z), rtol=1e-5)


def test_a_mixture_has_the_numbers_of_a_pixel_side_by_side(backend, rng):
    """-log p(x|z) and the mean of p(x|z) pixel by pixel, from what is decoded there; with one
    component and no ties between its channels it is the plain logistic. Log p(x) takes it, too."""
    model = conv(1, "map", "logistic", colours=3, mixture=2)(rng)
    x, z = rng.integers(0, 256, (2, 4, 4, 3)) / np.float32(255), rng.standard_normal((2, 1))
    y = model.decode(z.astype(np.float32)).numpy()
    assert y.shape == (2, 4, 4, 20)
    nll = model.reconstruction_loss(Tensor(y), model.rows(x), "none").numpy().reshape(2, 4, 4)
    mean = model.mean_image(z.astype(np.float32)).numpy().reshape(2, 4, 4, 3)
    for n, i, j in np.ndindex(2, 4, 4):
        assert nll[n, i, j] == pytest.approx(
            losses.logistic_mixture(y[n, i, j], x[n, i, j], "sum").item(), rel=1e-5)
        np.testing.assert_allclose(mean[n, i, j], losses.mixture_image(y[n, i, j], 3).numpy(),
                                   rtol=1e-5)
    assert model.mean_image(z[:0].astype(np.float32)).shape == (0, 48)
    one, plain = (conv(1, "map", "logistic", mixture=K)(rng) for K in (1, 0))
    given = rng.standard_normal((2, 4, 4, 2)).astype(np.float32)
    x = Tensor(pixels(rng, 2, 16))
    mixed = Tensor(np.concatenate([rng.standard_normal((2, 4, 4, 1)), given], axis=-1))
    assert one.reconstruction_loss(mixed, x).item() == pytest.approx(
        plain.reconstruction_loss(Tensor(given), x).item(), rel=1e-5)
    bound = one.log_likelihood(x, 1, np.random.default_rng(5))
    mu, log_var = one.encode(x)
    eps = np.random.default_rng(5).standard_normal(mu.shape, dtype=np.float32)
    z = reparameterise(mu, log_var, eps)
    rest = (eps ** 2 + log_var.numpy() - z.numpy() ** 2).sum(axis=1) / 2
    nll = one.reconstruction_loss(one.decode(z), x, "none").numpy().sum(axis=1)
    np.testing.assert_allclose(to_numpy(bound), rest - nll, rtol=1e-5)
    with pytest.raises(ValueError, match="mixture of 3 logistics is for the likelihood logistic"):
        conv(1, "map", "bernoulli", mixture=3)(rng)


def test_the_bound_of_several_samples_is_that_of_evaluation(backend, rng):
    """The loss is -L_K of the draws it is given, those of log_likelihood; the other metrics are
    means over these."""
    plain, model, seven = (small(rng, num_classes=4, importance_samples=K) for K in (1, 3, 7))
    for other in (model, seven):
        other.load_state_dict(plain.state_dict())
    x, labels = (pixels(rng) > 0.5).astype(np.float32), np.array([3, 0, 1, 3])
    noise = np.random.default_rng(3).standard_normal((3, 4, 3), dtype=np.float32)
    bound = plain.log_likelihood(x, 3, np.random.default_rng(3), labels)  # draw by draw
    labels = labels.tolist()  # which are labels, too
    by_image = noise.swapaxes(0, 1).reshape(4, 9)
    loss, metrics = model.loss(x, by_image, labels)
    assert loss.item() == metrics["loss"].item() == metrics["neg_bound"].item() == pytest.approx(
        -to_numpy(bound).mean(), rel=1e-5)
    each = [plain.loss(x, of_draw, labels)[1] for of_draw in noise]
    for name in ("neg_elbo", "reconstruction", "kl"):
        assert metrics[name].item() == pytest.approx(
            np.mean([found[name].item() for found in each]), rel=1e-5)
    assert metrics["neg_elbo"].item() > loss.item() and "neg_bound" not in each[0]
    drawn = np.random.default_rng(3).standard_normal((4, 21), dtype=np.float32)
    assert seven.loss(x, np.random.default_rng(3), labels)[0].item() == pytest.approx(
        seven.loss(x, drawn, labels)[0].item(), rel=1e-6)
    for wrong in ({"beta": 2.0}, {"warmup": 3}):
        with pytest.raises(ValueError, match="importance samples has no KL term: leave out beta"):
            small(rng, importance_samples=2, **wrong)


def test_autoencoder_by_its_definition(backend, rng):
    model, x = Autoencoder(12, [7, 5], 3, rng=rng), pixels(rng)
    x_hat = 1 / (1 + np.exp(-model.decode(model.encode(x)).numpy().astype(np.float64)))
    bce = -(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat)).sum(axis=1).mean()
    loss, metrics = model.loss(x)
    assert loss.item() == metrics["loss"].item() == pytest.approx(bce, rel=1e-5)
    np.testing.assert_allclose(model.reconstruct(x).numpy(), x_hat, rtol=1e-5)


# ---------------------------------------------------------------- shapes, sizes, wrong input

@pytest.mark.parametrize("name, layers", [
    ("vae", [(784, 400), (400, 40), (20, 400), (400, 784)]),
    ("vae-paper", [(784, 500), (500, 40), (20, 500), (500, 784)]),
    ("vae-iwae", [(784, 200), (200, 200), (200, 100), (50, 200), (200, 200), (200, 784)]),
    ("autoencoder", [(784, 400), (400, 20), (20, 400), (400, 784)])])
def test_recipes_have_the_published_sizes(name, layers):
    recipe, dataset = RECIPES["mnist"][name], SimpleNamespace(image_shape=(28, 28, 1),
                                                              num_classes=10)
    model = recipe.build(dataset, np.random.default_rng(0), **recipe.sizes)
    assert [p.shape for p in model.parameters() if p.ndim == 2] == layers


@pytest.mark.parametrize("kind, name, sizes, training", [
    ("mnist", "vae-paper", {"activation": "tanh"}, {"batch_size": 100}),
    ("mnist", "vae-iwae", {"activation": "tanh"}, {"batch_size": 100, "binarize": "dynamic"}),
    ("cifar", "vqvae", {"num_embeddings": 512, "embedding_dim": 64, "commitment_cost": 0.25,
                        "decay": 0.99}, {"batch_size": 32, "lr": 3e-4})])
def test_recipes_have_the_published_numbers(kind, name, sizes, training):
    recipe = RECIPES[kind][name]
    assert recipe.sizes | sizes == recipe.sizes and recipe.training | training == recipe.training
    usual = {"epochs": 10, "batch_size": 128, "lr": 1e-3, "average": 0, "seed": 0}  # of the others
    assert usual | defaults(TRAINING) == defaults(TRAINING) | usual and TRACE_EVERY == 100


@pytest.mark.parametrize("make", [
    lambda rng: Autoencoder(12, [7, 5], 3, rng=rng), small,
    *(lambda rng, residual=residual, latent=latent: ConvVAE(
        (8, 8, 1), (3, 4), [6, 5], 2, residual, latent, rng=rng)
      for residual in (0, 2) for latent in ("vector", "map")),
    *(lambda rng, name=name, residual=residual: VQVAE((8, 8, 1), name, 6, 3, residual=residual,
                                                      rng=rng)
      for residual in (0, 1) for name in ("keras", "sonnet"))])
def test_no_two_linear_layers_follow_each_other(make, rng):
    """They would be one. A residual block begins with a ReLU, and its sum needs one after it."""
    model, layers = make(rng), []
    def walk(module):
        inside = [] if isinstance(module, nn.ResidualBlock) else module.children()
        for _, child in inside:
            walk(child)
        if not inside and not isinstance(module, nn.Reshape):
            layers.append(module)
    ends = {"code": "encoder", "posterior": "encoder", "logits": "decoder", "pixels": "decoder"}
    for part in ("encoder", "decoder"):
        layers.clear()
        walk(getattr(model, part))
        for name, of in ends.items():
            if of == part and hasattr(model, name):
                layers.append(getattr(model, name))
        assert len(layers) > 2
        for a, b in zip(layers, layers[1:], strict=False):
            assert isinstance(a, nn.Activation) or isinstance(b, (nn.Activation, nn.ResidualBlock))


@pytest.mark.host_only
@pytest.mark.parametrize("dtype, error, words", [
    (np.uint8, TypeError, "images of uint8"), (np.float32, ValueError, "images from 0 to 255")])
def test_images_that_nobody_divided_by_255_are_explained(dtype, error, words, rng):
    """Of bytes, 0 - 0.5 would be computed in float64; of floats up to 255 the loss be huge."""
    x = np.zeros((2, 8, 8, 1), dtype)
    x[1, 3, 3] = 255
    for model in (Autoencoder(64, 8, 2, rng=rng), VAE(64, 8, 2, rng=rng),
                  ConvVAE((8, 8, 1), (2,), 6, 2, rng=rng),
                  VQVAE((8, 8, 1), "keras", 6, 3, rng=rng)):
        for use in (model.reconstruct, model.encode, lambda x, model=model: model.loss(x, rng)):
            with pytest.raises(error, match=f"{words}.*.0, 1.: divide .*by 255"):
                use(x)


@pytest.mark.parametrize("make, words", [
    (lambda: VAE(12, z_dim=0), "1 or more"), (lambda: VAE(12, [5, 0]), "1 or more"),
    (lambda: VAE(12, likelihood="poisson"), "'poisson': choose one of bernoulli, gaussian"),
    (lambda: VAE(12, activation="swish"), "choose one of relu"),
    (lambda: ConvVAE((8, 8, 1), latent="tree"), "'tree': choose one of vector, map"),
    (lambda: ConvVAE((28, 28, 1), (8, 8, 8)), "28 x 28 do not fit: 3 convolutions of stride 2 need "
     "height and width to be multiples of 8; images of 32 x 32 would do, or fewer channels"),
    (lambda: VQVAE((10, 8, 1)), "10 x 8 do not fit.*multiples of 4: images of 12 x 8 would do"),
    (lambda: VQVAE((8, 8, 1), codebook="kmeans"), "'kmeans': choose one of gradient, ema"),
    (lambda: VQVAE((8, 8, 1), "resnet"), "'resnet': choose one of sonnet, keras"),
    (lambda: VQVAE((8, 8, 1)).encode(np.zeros((1, 12, 8, 1), np.float32)),
     r"images of shape \(1, 12, 8, 1\); it needs \(N, 8, 8, 1\)")])
def test_what_does_not_fit_is_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
