"""The VAE."""

import math

import numpy as np

from models import VAE
from models.vae import draw_noise
from scratchnet import Tensor, losses

from ..check import N, answer, predicted
from .chapter_1 import through


@answer("kl = scratchnet.losses.kl_of", "dmu = scratchnet.losses.gaussian_kl.dmu",
        "dv = scratchnet.losses.kl_slope", then="return kl, dmu, dv",
        swap={"log_var": "v", "g * ": ""}, returns=("kl", "dKL/dmu", "dKL/dv"),
        cases=[dict(mu=N(2, 3), v=N(2, 3))],
        hint="Differentiate term by term; d e^v / dv is e^v. At mu = 0, v = 0 all three are 0.",
        wrong={"return mu ** 2 + np.exp(v) - 1 - v, mu, (np.exp(v) - 1) / 2": "2 times",
               "return (mu ** 2 + np.exp(v) - v) / 2, mu, (np.exp(v) - 1) / 2":
               "everywhere 1/2 too much",
               "return (mu ** 2 + np.exp(v) - 1 - v) / 2, mu, np.exp(v) / 2":
               "dKL/dv at (0, 0): expected",
               "return (mu ** 2 + np.exp(v) - 1 - v) / 2, 2 * mu, (np.exp(v) - 1) / 2":
               "2 times"})
def kl(mu, v):
    def each(mu, v): return losses.gaussian_kl(mu, v, "none")
    return each(mu, v).data, *through(each, np.ones_like(mu), mu, v)


@answer("models.vae.reparameterise: sigma =", "models.vae.reparameterise: return",
        swap={"ops.": "np."},
        cases=[dict(mu=N(2, 3), log_var=N(2, 3), noise=N(2, 3))], returns=("z",),
        hint="log_var is the logarithm of sigma^2; half of it is that of sigma.",
        wrong={"return mu + log_var * noise": "z at (",
               "return mu + np.exp(log_var / 2)": "It does not depend on noise",
               "return mu + np.exp(-log_var / 2) * noise": "z at ("})
def reparameterise(mu, log_var, noise):
    return mu + np.sqrt(np.exp(log_var)) * noise


def elbo_of(loss, x, noise, beta):
    model = VAE(4, h_dim=3, z_dim=2, rng=np.random.default_rng(3)).astype(np.float64)
    value = loss(model, Tensor(x), Tensor(noise), beta)
    value.backward()
    return value.data, model.posterior.w.grad


@answer(*[f"models.vae.VAE.loss: {line}" for line in ("mu, log_var", "z =", "reconstruction =",
                                                      "kl =", "loss =")], then="return loss",
        swap={"self.": "model.", "posterior_of(x, labels)": "encode(x)",
              "draw_noise(noise, mu)": "noise", "(z, labels)": "(z)",
              "model.kl_weight()": "beta"}, measure=elbo_of,
        returns=("the loss", "its gradient in the encoder"),
        cases=[dict(x=np.array([[0, 1, 1, 0], [1, 0, 1, 1.0]]), noise=N(2, 2), beta=b)
               for b in (1.0, 3.0)],
        hint="z = reparameterise(mu, log_var, noise) is what is decoded; mu alone has no noise.",
        wrong={"mu, log_var = model.encode(x)\n"
               "rec = model.reconstruction_loss(model.decode(mu), x)\n"
               "return rec + beta * losses.gaussian_kl(mu, log_var)": "It does not depend on noise",
               "mu, log_var = model.encode(x)\nz = reparameterise(mu, log_var, noise)\n"
               "rec = model.reconstruction_loss(model.decode(z), x)\n"
               "return rec + losses.gaussian_kl(mu, log_var)": "the loss: expected",
               "mu, log_var = model.encode(x)\nz = reparameterise(mu, log_var, noise)\n"
               "rec = model.reconstruction_loss(model.decode(z), x)\n"
               "return rec - beta * losses.gaussian_kl(mu, log_var)": "the loss: expected"})
def elbo(x, noise, beta):
    def by_the_model(model, x, noise, beta):
        model.beta = beta
        return model.loss(x, draw_noise(noise, x))[0]
    return elbo_of(by_the_model, x, noise, beta)


@answer("models.vae.VAE.reconstruction_loss: nll =",
        "models.vae.VAE.reconstruction_loss: return losses.reduce(nll",
        swap={'losses.mse(output, x, "none")': "(x_hat - x) ** 2", "self.sigma_x": "sigma",
              "losses.reduce(": "", ", reduction)": ""}, returns=("-log N",),
        cases=[dict(x_hat=N(2, 3), x=N(2, 3), sigma=s) for s in (1.0, 0.2)],
        hint="N = e^(-(x - x_hat)^2 / (2 sigma^2)) / (sigma sqrt(2 pi)), and -log of it has three "
             "terms.",
        wrong={"return (x - x_hat) ** 2 / (2 * sigma ** 2)": "everywhere 0.9189 too little",
               "return (x - x_hat) ** 2 / (2 * sigma ** 2) + math.log(2 * math.pi) / 2":
               "too much",
               "return (x - x_hat) ** 2 / sigma ** 2 + math.log(sigma * math.sqrt(2 * math.pi))":
               "-log N at ("})
def gaussian(x_hat, x, sigma):
    model = VAE(1, 1, 1, likelihood="gaussian", sigma_x=sigma)
    return model.reconstruction_loss(Tensor(x_hat), Tensor(x), "none").data


LOGISTIC = "scratchnet.losses.discretised_logistic"


@answer(*[f"{LOGISTIC}: {line}" for line in ("a, b =", "lowest, highest", "w =", "y =")],
        swap={"d, inverse_s = ": "", "a, b = ": "d, inverse_s = 1 / 255, 1 / s\na, b = "},
        then="return y", returns=("-log P",),
        cases=[dict(x=np.array([[0, 1, 0.2], [51 / 255, 1, 0]]),
                    mean=np.array([[0.1, 0.9, 0.5], [0.2, 0.2, 0.9]]), s=0.2),
               dict(x=np.array([0.9, 0.2]), mean=np.array([0.1, 0.9]), s=0.01)],
        hint="-log(sigmoid(a) - sigmoid(b)) = softplus(-a) + softplus(b) - log(1 - e^(-d/s)). At "
             "x = 1 only softplus(-a) is left of it, at x = 0 only softplus(b).",
        wrong={"d = 1 / 255\na = np.where(x == 1, 1, sigmoid_of((x - mean + d / 2) / s))\n"
               "return -np.log(a - np.where(x == 0, 0, sigmoid_of((x - mean - d / 2) / s)))":
               "the logarithm of 0",
               "d = 1 / 255\nreturn -np.log(sigmoid_of((x - mean + d / 2) / s) - "
               "sigmoid_of((x - mean - d / 2) / s))": "where x = ",
               "d = 1 / 256\na = np.where(x == 1, 1, sigmoid_of((x - mean + d / 2) / s))\n"
               "return -np.log(a - np.where(x == 0, 0, sigmoid_of((x - mean - d / 2) / s)))":
               "where x = 0.2",
               "d = 1 / 255\na = np.where(x == 1, 1, sigmoid_of((x - mean + d) / s))\n"
               "return -np.log(a - np.where(x == 0, 0, sigmoid_of((x - mean - d) / s)))":
               "where x = 0.2"})
def logistic(x, mean, s):
    return losses.discretised_logistic(mean, np.full_like(mean, math.log(s)), x, "none").data


@answer("models.vae.VAE.log_likelihood: return", swap={"xp.stack(log_w)": "log_w", "num_samples":
                                                       "len(log_w)"},
        returns=("log p(x)",), cases=[dict(log_w=np.array([[-1000.0, -90, -3], [-1001, -95, -3],
                                                           [-1004, -91, -3], [-999, -900, -3]]))],
        hint="The logarithm of a mean is logsumexp minus log K. Equal weights w give log w.",
        wrong={"return np.log(np.exp(log_w).mean(axis=0))": "logarithm of 0",
               "m = log_w.min(axis=0)\nreturn m + np.log(np.exp(log_w - m).mean(axis=0))":
               "found inf",
               "return log_w.mean(axis=0)": "wrong in 2 of 3",
               "return ops.logsumexp(log_w, axis=0).data": "everywhere 1.386 too much",
               "return ops.logsumexp(log_w, axis=0) - np.log(len(log_w))": "found a Tensor"})
def importance(log_w):
    m = log_w.max(axis=0)
    return m + np.log(np.exp(log_w - m).mean(axis=0))


predicted("warmup", "weight, nothing, moved, sure",
          hint="In step t of T the weight is beta t / T. The KL is (mu^2 + sigma^2 - 1 - log "
               "sigma^2) / 2: of the sure one (0.01 - 1 + 4.605) / 2.",
          wrong={"return 1.6, 0.0, 2.0, 1.81": "weight: expected 2, found 1.6",
                 "return 2.0, 0.0, 4.0, 1.81": "moved: expected 2, found 4",
                 "return 2.0, 0.0, 2.0, -0.5": "sure: expected 1.80759"})


@answer("models.vae.beside: rows =", "models.vae.beside: return ops",
        swap={"table(labels)": "table[labels]", "ops.": "np.", "LABEL_DIM": "table.shape[1]"},
        returns=("x and the class",),
        cases=[dict(x=N(2, 3), table=N(4, 2), labels=np.array([3, 0])),
               dict(x=N(2, 2, 3, 1), table=N(4, 2), labels=np.array([1, 2]))],
        hint="table[labels] is (n, D). Give it axes of length 1 between, reshape(n, 1, ..., 1, D), "
             "and np.broadcast_to makes (n, ..., D) of it.",
        wrong={"return np.concatenate([x, table[labels]], axis=-1)": "ValueError",
               "rows = table[labels].reshape(len(x), *[1] * (x.ndim - 2), -1)\n"
               "rows = np.broadcast_to(rows, (*x.shape[:-1], table.shape[1]))\n"
               "return np.concatenate([rows, x], axis=-1)": "x and the class at (",
               "rows = table[:len(x)].reshape(len(x), *[1] * (x.ndim - 2), -1)\n"
               "rows = np.broadcast_to(rows, (*x.shape[:-1], table.shape[1]))\n"
               "return np.concatenate([x, rows], axis=-1)": "It should also depend on table["})
def beside(x, table, labels):
    found = np.zeros((*x.shape[:-1], x.shape[-1] + table.shape[1]))
    for index in np.ndindex(*x.shape[:-1]):
        found[index] = [*x[index], *table[labels[index[0]]]]
    return found
