"""50. Codes as running means (write)

Without a gradient: code k is the running mean of the vectors that chose it. Two things are kept for
each, how many vectors chose it, and their sum; both forget slowly.

    N_k <- gamma N_k + (1 - gamma) n_k,    m_k <- gamma m_k + (1 - gamma) sum of z that chose k

N: (K,); m: (K, D); z: (n, D); k: (n,), the index of the code that each z chose. Returns N and m.
Read docs/07-vqvae.md, (7.9).
"""

import numpy as np


def update(N, m, z, k, gamma):
    # return N, m
    raise NotImplementedError
