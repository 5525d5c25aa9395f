"""53. Dead codes are moved (write)

A code that fewer than `least` vectors chose, on a running average, is put onto a vector of the
batch. Its running means move with it, or the next update takes it back to where it was.

    where N_k < least:    e_k = chosen_k,    m_k = N chosen_k,    N_k = N

e, m, chosen: (K, D); N_k: (K,); least, N: numbers. Returns the new e, m, N_k; no input is changed.
Read docs/07-vqvae.md, "A codebook collapses, and is cured".
"""

import numpy as np


def restart(e, m, N_k, chosen, least, N):
    # return e, m, N_k
    raise NotImplementedError
