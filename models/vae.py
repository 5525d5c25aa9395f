"""The variational autoencoder. Kingma & Welling 2013 (1312.6114).

A latent z ~ p(z) = N(0, I) is decoded into an image, x ~ p(x|z). To learn it we
would like to maximise log p(x), an integral over all z. An encoder
q(z|x) = N(mu(x), sigma(x)^2 I) gives a lower bound on it instead (eq. 3):

    ELBO  =  E_q[ log p(x|z) ]  -  KL( q(z|x) || p(z) )   <=   log p(x)

The KL has a closed form (losses.gaussian_kl). The expectation is estimated with
one draw of z, and `reparameterise` makes that draw differentiable. The training
loss is -ELBO: reconstruction + KL, both in nats, summed over pixels and latent
dimensions, averaged over images. docs/06-vae.md derives all of it; docs/11-papers.md goes through
the paper.
"""

import math

import numpy as np

from scratchnet import losses, nn, no_grad, ops
from scratchnet.backend import raw, xp
from scratchnet.inputs import (
    class_labels,
    images,
    in_dtype,
    not_negative,
    one_of,
    require,
    shapes,
    sizes,
)
from scratchnet.nn import Model

LIKELIHOODS = ("bernoulli", "gaussian", "logistic")
LABEL_DIM = 10  # numbers by which a class is told
LOG_2PI = math.log(2 * math.pi)


def reparameterise(mu, log_var, noise):
    """A draw z ~ N(mu, e^log_var) through which gradients flow. Shapes: all (N, z_dim).

        z = mu + sigma * eps,   sigma = e^(log_var / 2),   eps ~ N(0, 1)

    Why. We need the gradient of  F(mu, sigma) = E_{z ~ N(mu, sigma^2)}[ f(z) ].  The
    distribution itself depends on mu and sigma, so the gradient cannot simply be moved
    inside. Write the same z as a function of a noise that depends on nothing:

        F(mu, sigma) = E_{eps ~ N(0,1)}[ f(mu + sigma eps) ]

    Now it can: the gradient of an average is the average of the gradients, and for one draw

        dF/dmu      ~=  f'(z)                                (dz/dmu = 1)
        dF/dlog_var ~=  f'(z) * sigma * eps / 2              (dz/dlog_var = sigma eps / 2)

    each correct on average. Example: f(z) = z^2 has F = mu^2 + sigma^2, so dF/dmu = 2 mu and
    dF/dlog_var = sigma^2; and indeed E[2z] = 2 mu, E[2z * sigma eps / 2] = sigma^2 E[eps^2].
    The two derivatives are not written down here: mul, add and exp have theirs.
    The test is test_gradient_through_the_noise in tests/test_vae.py. Source: section 2.4.
    """
    shapes("reparameterise: mu (...), log_var (...), noise (...), of one shape", mu, log_var, noise)
    sigma = ops.exp(0.5 * log_var)
    return mu + sigma * noise


class VAE(Model):
    """MLP encoder to (mu, log_var), MLP decoder to the pixels' distribution.

    input_dim: pixels of an image, all channels. h_dim: a number or a sequence, the hidden
    layers from the image inwards (the decoder mirrors them). z_dim: latent dimensions.
    activation: a key of nn.ACTIVATIONS. beta: weight of the KL term (1 is the ELBO; Higgins et
    al. 2017). warmup: training steps over which that weight rises from 0 to beta: while it is
    small, z can say much before it has to be near N(0, I) (Sonderby et al. 2016, 1602.02282,
    section 2.2). num_classes: above 0, encoder and decoder are told the image's class y as well,
    as LABEL_DIM learned numbers beside x and beside z: q(z|x, y), p(x|z, y), with the same prior
    for every class (Kingma et al. 2014, 1406.5298, M2 without its classifier; Sohn et al. 2015);
    all methods then take `labels` (N,). rng: a Generator, or a seed, for the initial weights.
    likelihood:

        "bernoulli"  pixels in [0, 1]; BCE: a likelihood if they are binary, a loss if grey
        "gaussian"   p(x|z) = N(x_hat, sigma_x^2): squared error; a density, so no bits/dim
        "logistic"   the 256 levels of 8-bit pixels, mean and scale decoded for each
                     (losses.discretised_logistic): a probability, and so bits/dim

    importance_samples: K above 1 makes the loss the bound of K importance weights (`bound`) in the
    place of the ELBO, without beta and warmup.

    Raises ValueError for a size below 1, a beta or warmup below 0, an unknown activation or
    likelihood, and what does not go together.
    """

    def __init__(self, input_dim, h_dim=400, z_dim=20, activation="relu", likelihood="bernoulli",
                 sigma_x=0.1, beta=1.0, warmup=0, importance_samples=1, num_classes=0, rng=0):
        sizes("VAE", input_dim=input_dim, z_dim=z_dim)
        rng = np.random.default_rng(rng)
        h_dim = nn.as_sizes(h_dim)
        self.set_up((input_dim,), (z_dim,), likelihood, sigma_x, beta, warmup, importance_samples,
                    num_classes)
        D = LABEL_DIM if num_classes else 0
        self.encoder = nn.mlp([input_dim + D, *h_dim], activation, rng, last=True)
        self.posterior = nn.Linear(h_dim[-1], 2 * z_dim, rng)  # mu and log_var side by side
        self.decoder = nn.mlp([z_dim + D, *reversed(h_dim)], activation, rng, last=True)
        self.pixels = nn.Linear(h_dim[0], input_dim * self.outputs, rng)
        self.label_x, self.label_z = label_tables(num_classes, rng)

    def set_up(self, input_shape, latent_shape, likelihood, sigma_x, beta, warmup,
               importance_samples, num_classes, mixture=0):
        """Check and keep what all VAEs have in common."""
        one_of("VAE: likelihood", likelihood, LIKELIHOODS)
        require(sigma_x > 0, "VAE: sigma_x must be above 0, not {}", sigma_x)
        not_negative("VAE", beta=beta, warmup=warmup, mixture=mixture, num_classes=num_classes)
        require(not mixture or likelihood == "logistic", "VAE: a mixture of {} logistics is for "
                "the likelihood logistic, not {}", mixture, likelihood)
        self.channels = C = input_shape[2] if len(input_shape) == 3 else 1
        self.outputs = (losses.mixture_size(mixture, C) if mixture else  # that describe one pixel
                        2 * C if likelihood == "logistic" else C)
        self.mixture = mixture
        self.input_dim, self.input_shape = math.prod(input_shape), input_shape
        self.z_dim, self.latent_shape = math.prod(latent_shape), latent_shape
        sizes("VAE", importance_samples=importance_samples)
        require(importance_samples == 1 or beta == 1 and not warmup, "VAE: the bound of {} "
                "importance samples has no KL term: leave out beta and warmup", importance_samples)
        self.importance_samples, self.num_classes = importance_samples, num_classes
        self.noise_dim = self.z_dim * importance_samples
        self.likelihood, self.beta, self.sigma_x, self.warmup = likelihood, beta, sigma_x, warmup

    def kl_weight(self):
        """beta; in step t of a warm-up, t = 1 ... T, beta t / T."""
        done = (self.steps_done + 1) / self.warmup if self.training and self.warmup else 1
        return self.beta * min(1, done)

    def rows(self, x):
        """Images (N, ...) in [0, 1] as a Tensor (N, input_dim); inputs.images says what raises."""
        x = images(type(self).__name__, x, self.input_shape, self.pixels.w.dtype)
        return x.reshape(x.shape[0], self.input_dim)

    def encode(self, x, labels=None):
        """Images (N, ...) -> mu, log_var of q(z|x), each (N, z_dim).

        log_var is kept within [-20, 10], where e^log_var cannot overflow or vanish.
        """
        return self.posterior_of(self.rows(x), labels)

    def posterior_of(self, x, labels):
        """encode, of rows (N, input_dim)."""
        x = x.reshape(x.shape[0], *self.input_shape)
        h = self.encoder(beside(x, self.label_x, labels))
        mu, log_var = (t.reshape(x.shape[0], self.z_dim)
                       for t in ops.split(self.posterior(h), 2, axis=-1))
        return mu, ops.clip(log_var, -20, 10)

    def decode(self, z, labels=None):
        """z (N, z_dim) -> parameters of p(x|z): logits or means, (N, input_dim) or images; for
        "logistic" means and log-scales, side by side on the last axis, or a mixture's numbers."""
        z = in_dtype(z, self.pixels.w.dtype)
        z = z.reshape(z.shape[0], *self.latent_shape)
        return self.pixels(self.decoder(beside(z, self.label_z, labels)))

    def reconstruction_loss(self, output, x, reduction="batchmean"):
        """-log p(x|z) in nats from decode's output and the images x (N, input_dim). With "none" for
        each number, (N, input_dim), or each pixel of a mixture, (N, pixels).

        Bernoulli:  BCE;  Gaussian:  (x - x_hat)^2 / (2 sigma_x^2) + log(sigma_x sqrt(2 pi)).
        """
        if self.mixture:
            y, x = self.of_pixels(output), x.reshape(x.shape[0], -1, self.channels)
            return losses.logistic_mixture(y, x, reduction)
        if self.likelihood == "logistic":
            mean, log_scale = (t.reshape(x.shape) for t in self.mean_and_scale(output))
            return losses.discretised_logistic(mean, log_scale, x, reduction)
        output = output.reshape(x.shape)
        if self.likelihood == "bernoulli":
            return losses.bce_with_logits(output, x, reduction)
        nll = losses.mse(output, x, "none") / (2 * self.sigma_x ** 2)
        return losses.reduce(nll + (math.log(self.sigma_x) + LOG_2PI / 2), reduction)

    def mean_and_scale(self, output):
        """Of a logistic, from decode's output: mean and log-scale."""
        return losses.from_grey(*ops.split(output, 2, axis=-1))

    def of_pixels(self, output):
        """decode's output of a mixture, (N, pixels, numbers)."""
        return output.reshape(output.shape[0], self.input_dim // self.channels, self.outputs)

    def log_weight(self, x, mu, log_var, eps, labels=None):
        """The logarithm of the importance weight w of a draw z = mu + sigma eps, and log p(x|z), in
        nats, each (N,), of rows x (N, input_dim).

            w = p(x|z) p(z) / q(z|x),   log p(z) - log q(z|x) = sum (eps^2 + log_var - z^2) / 2

        since the 2 pi of the two normals cancel. Source: Burda et al. 2015 (1509.00519), eq. 8.
        """
        z = reparameterise(mu, log_var, eps)
        log_p_x = -self.reconstruction_loss(self.decode(z, labels), x, "none").sum(axis=1)
        return log_p_x + 0.5 * (eps * eps + log_var - z * z).sum(axis=1), log_p_x

    def bound(self, x, mu, log_var, noise, labels=None):
        """(-L_K, -log p(x|z)) in nats, means over images and draws. L_K is nearer to log p(x) than
        the ELBO, L_1.

            L_K = E[ log 1/K sum_k w_k ],   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

        x: rows (N, input_dim); noise: (N, K z_dim). Source: Burda et al. 2015 (1509.00519), eq. 8.
        """
        N, K = x.shape[0], self.importance_samples
        def of_each_draw(t):
            return ops.broadcast_to(t.reshape(N, 1, -1), (N, K, t.shape[1])).reshape(N * K, -1)
        mu, log_var, x = map(of_each_draw, (mu, log_var, x))
        labels = None if labels is None else xp.asarray(raw(labels)).repeat(K)
        log_w, log_p_x = self.log_weight(x, mu, log_var, noise.reshape(N * K, self.z_dim), labels)
        L_K = ops.logsumexp(log_w.reshape(N, K), axis=1).mean() - math.log(K)
        return -L_K, -log_p_x.mean()

    def loss(self, x, noise, labels=None):
        """Images (N, ...) in [0, 1] -> (loss, metrics), one draw of z each (L = 1, eq. 10).

        noise: eps (N, noise_dim), z_dim for each draw, or the np.random.Generator to draw it from.
        loss = reconstruction + kl_weight() * kl; metrics are means over the images, in nats:
        neg_elbo = reconstruction + kl, reconstruction, kl, loss; with several importance samples
        the loss is their bound, which is neg_bound, too; with "logistic" also bits_per_dim =
        neg_elbo / (input_dim ln 2). The loss has a derivative by x, too; with "logistic", whose
        pixels are levels, through the encoder alone.
        """
        x = self.rows(x)
        mu, log_var = self.posterior_of(x, labels)
        if self.importance_samples > 1:
            noise = draw_noise(noise, mu, (x.shape[0], self.noise_dim))
            loss, reconstruction = self.bound(x, mu, log_var, noise, labels)
            metrics = self.metrics(loss, reconstruction, losses.gaussian_kl(mu, log_var))
            return loss, metrics | {"neg_bound": loss.detach()}
        z = reparameterise(mu, log_var, draw_noise(noise, mu))
        reconstruction = self.reconstruction_loss(self.decode(z, labels), x)
        kl = losses.gaussian_kl(mu, log_var)
        loss = reconstruction + self.kl_weight() * kl
        return loss, self.metrics(loss, reconstruction, kl)

    def metrics(self, loss, reconstruction, kl):
        """What a loss reports, in Tensors."""
        neg_elbo = reconstruction.detach() + kl.detach()
        metrics = {"neg_elbo": neg_elbo, "loss": loss.detach(), "kl": kl.detach(),
                   "reconstruction": reconstruction.detach()}
        if self.likelihood == "logistic":
            metrics["bits_per_dim"] = neg_elbo / (self.input_dim * math.log(2))
        return metrics

    def mean_image(self, z, labels=None):
        """z (N, z_dim) -> the mean of p(x|z), (N, input_dim)."""
        output = self.decode(z, labels)
        if self.mixture:
            return losses.mixture_image(self.of_pixels(output), self.channels).reshape(
                output.shape[0], self.input_dim)
        if self.likelihood == "logistic":
            output = losses.logistic_image(*self.mean_and_scale(output))
        output = output.reshape(output.shape[0], self.input_dim)
        return ops.sigmoid(output) if self.likelihood == "bernoulli" else output

    @no_grad()
    def reconstruct(self, x, labels=None):
        """Images -> the mean of p(x|z) at z = mu(x), Tensor of the same shape as x."""
        mu, _ = self.encode(x, labels)
        return self.mean_image(mu, labels).reshape(x.shape)

    @no_grad()
    def sample(self, n, rng, labels=None):
        """n images, Tensor (n, input_dim): the mean of p(x|z) for z ~ N(0, I)."""
        rng = np.random.default_rng(rng)
        return self.mean_image(draw_noise(rng, self.pixels.w, (n, self.z_dim)), labels)

    @no_grad()
    def log_likelihood(self, x, num_samples, rng, labels=None):
        """Estimate log p(x), or log p(x|y), for each image, array (N,) in nats, from K =
        num_samples weights.

            log p(x) ~= log 1/K sum_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

        On average a lower bound that rises with K from the ELBO (K = 1) to log p(x).
        Source: Burda et al. 2015 (1509.00519), eq. 8.
        """
        x = self.rows(x)
        mu, log_var = self.posterior_of(x, labels)
        log_w = [self.log_weight(x, mu, log_var, draw_noise(rng, mu), labels)[0].data
                 for _ in range(num_samples)]
        return ops.logsumexp(xp.stack(log_w), axis=0).data - math.log(num_samples)


def label_tables(num_classes, rng):
    """What encoder and decoder are told of a class: a learned vector of LABEL_DIM for each."""
    return [nn.Embedding(num_classes, LABEL_DIM, rng) if num_classes else None for _ in range(2)]


def beside(x, table, labels):
    """x (N, ..., C) and, as further channels at each place, the row of the table for each image's
    label: (N, ..., C + LABEL_DIM). x alone without a table."""
    if table is None:
        return x
    labels = class_labels("VAE", labels, x.shape[0], table.table.shape[0])
    rows = table(labels).reshape(x.shape[0], *[1] * (x.ndim - 2), LABEL_DIM)
    return ops.concatenate([x, ops.broadcast_to(rows, (*x.shape[:-1], LABEL_DIM))], axis=-1)


def draw_noise(noise, like, shape=None):
    """N(0, 1) noise as a Tensor of like's dtype: drawn by NumPy on the host, so that one seed
    gives one run on every backend, if `noise` is a Generator; else `noise` itself. Raises
    ValueError for None."""
    require(noise is not None, "noise: give N(0, 1) numbers, or the np.random.Generator for them")
    if isinstance(noise, np.random.Generator):
        noise = noise.standard_normal(shape or like.shape, dtype=like.dtype)
    return in_dtype(noise, like.dtype)
