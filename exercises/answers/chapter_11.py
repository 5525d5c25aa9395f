"""Reading the papers."""

import numpy as np

from ..check import N, answer, predicted


def log_p(z):
    return -(z ** 2).sum(axis=1) - np.cos(z[:, 0])


@answer("models.vae.reparameterise: sigma =", "models.vae.reparameterise: return",
        swap={"ops.": "np.", "noise": "eps", "return": "z ="},
        then="return kl - sum(map(log_p, z)) / len(z)", returns=("the estimate",),
        cases=[dict(mu=N(2, 3), log_var=N(2, 3), eps=N(4, 2, 3), kl=np.array([1.0, 2]),
                    log_p=log_p)],
        hint="Loop over eps: z = mu + np.exp(log_var / 2) * eps[l], and log_p(z) is (n,).",
        wrong={"total = sum(log_p(mu + np.exp(log_var / 2) * e) for e in eps)\n"
               "return kl - total": "the estimate at",
               "z = mu + np.exp(log_var / 2) * eps.mean(axis=0)\nreturn kl - log_p(z)":
               "the estimate at",
               "total = sum(log_p(mu + np.exp(log_var / 2) * e) for e in eps)\n"
               "return kl + total / len(eps)": "the estimate at",
               "return kl - log_p(mu + np.exp(log_var / 2) * eps[0])":
               "It should also depend on eps[1, "})
def draws(mu, log_var, eps, kl, log_p):
    return kl - np.mean([log_p(mu + np.exp(log_var / 2) * e) for e in eps], axis=0)


predicted("minibatch", "gradients, sgd, adam",
          hint="The losses differ by the factor N = 1000, and so do their gradients. SGD's step is "
               "lr times the gradient; Adam's first step has the length lr.",
          wrong={"return 250.0, 250.0, 1.0": "gradients: expected 1000, found 250",
                 "return 1000.0, 1.0, 1.0": "sgd: expected 1000, found 1",
                 "return 1000.0, 1000.0, 1000.0": "adam: expected 1, found 1000"})
