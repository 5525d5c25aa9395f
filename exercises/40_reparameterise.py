"""40. A draw that can be differentiated (mistake)

z = mu + sigma eps is a draw from N(mu, sigma^2), if eps is one from N(0, 1); gradients flow into mu
and sigma. The encoder gives log_var = log sigma^2. Somebody's draws have the wrong spread: too
narrow where sigma < 1, too wide where sigma > 1. Fix it.

    return mu + np.exp(log_var) * noise

mu, log_var, noise: arrays of one shape. Returns z, of that shape.
Read docs/06-vae.md, (6.5).
"""

import numpy as np


def reparameterise(mu, log_var, noise):
    raise NotImplementedError
