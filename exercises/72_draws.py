"""72. The estimator with L draws (write)

A VAE's loss takes one draw of z for each image; the paper's estimator takes L. Write it with a
decoder that is given: the KL is the same for all draws, and the rest is averaged over them.

    KL - 1/L sum over l of log p(x|z_l),    z_l = mu + sigma eps_l

mu, log_var: (n, D); eps: (L, n, D); kl: (n,); log_p: a function z (n, D) -> log p(x|z), (n,).
Returns (n,).
Read docs/11-papers.md, (11.1).
"""

import numpy as np


def estimate(mu, log_var, eps, kl, log_p):
    raise NotImplementedError
