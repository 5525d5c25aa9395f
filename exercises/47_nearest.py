"""47. The nearest code by one product (write)

Of K codes, find for each vector z the nearest. Do not make all n K differences of vectors: the
first term below is the same for all k, and the second is one product of matrices.

    |z - e_k|^2 = |z|^2 - 2 z.e_k + |e_k|^2

z: (n, D); e: (K, D). Returns the indices, integers (n,).
Read docs/07-vqvae.md, (7.2).
"""

import numpy as np


def nearest_code(z, e):
    raise NotImplementedError
