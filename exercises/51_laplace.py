"""51. A code that nobody chose (mistake)

e_k = m_k / N_k is divided by 0, if nobody chose code k for long. Somebody added eps to each N_k,
where the smoothed counts should still add up to N:

    N'_k = (N_k + eps) / (N + K eps) N,    N = sum over k of N_k,    e_k = m_k / N'_k

All codes come out a little too short. Fix it.

    return m / (N_k + eps)[:, None]

m: (K, D); N_k: (K,); eps: a number. Returns e, (K, D).
Read docs/07-vqvae.md, (7.11).
"""

import numpy as np


def codes(m, N_k, eps):
    raise NotImplementedError
