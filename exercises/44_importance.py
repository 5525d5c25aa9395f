"""44. log p(x) from importance weights (write)

w_k = p(x|z_k) p(z_k) / q(z_k|x) for K draws z_k. Their mean is an estimate of p(x); but the weights
are numbers like e^-100, so you get their logarithms, and return that of their mean.

    log p(x) = log (1/K sum over k of w_k)

log_w: (K, n), K weights for each of n images. Returns (n,).
ops.logsumexp(array, axis=0).data helps.
Read docs/06-vae.md, (6.9).
"""

import numpy as np

from scratchnet import ops


def log_likelihood(log_w):
    raise NotImplementedError
