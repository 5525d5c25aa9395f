"""Vector quantisation: the nearest code, and the gradient that is declared for it.

Source: van den Oord et al. 2017 (1711.00937), section 3.1; docs/07-vqvae.md derives it.
"""

import numpy as np

from ..backend import raw, xp
from ..fast.products import blocks
from ..inputs import no_nan, operands, shapes
from ..tensor import record

BLOCK = 1 << 19  # distances in memory at a time (2 MB in float32)


def nearest_code(z, codebook):
    """k = argmin_k ||z - e_k||^2 for every vector: integers (...), for z (..., D), codebook (K, D).

        ||z - e||^2  =  ||z||^2  -  2 z.e  +  ||e||^2

    The first term is the same for all k and is left out; the second is one matrix product. z and
    the codes are first moved by the same vector, the codebook's mean, which changes no distance:
    far from the origin ||e||^2 is so large that float32 has no digits left for the differences.
    Made in blocks of rows: memory is bounded by BLOCK, not by the number of vectors times K.
    A tie goes to the lower index. Nothing is recorded: argmin is constant almost everywhere, and
    its derivative, where it has one, is 0. Raises ValueError if the sizes do not fit, and
    FloatingPointError for vectors or codes with NaN in them (on the host only): none is nearest.
    """
    z, codebook = xp.asarray(raw(z)), xp.asarray(raw(codebook))
    shapes("nearest_code: z (..., D), codebook (K, D)", z, codebook)
    no_nan("nearest_code: vectors", z)
    no_nan("nearest_code: codes", codebook)
    rows = z.reshape(-1, codebook.shape[1])
    mean = codebook.mean(axis=0)
    e = codebook - mean
    minus_two_e = -2 * e.T
    e_squared = (e * e).sum(axis=1)
    indices = xp.empty(len(rows), np.int64)
    for block in blocks(len(rows), len(codebook), BLOCK):
        distance = (rows[block] - mean) @ minus_two_e
        distance += e_squared
        indices[block] = distance.argmin(axis=1)
    return indices.reshape(z.shape[:-1])


def straight_through(quantised, z):
    """y = quantised; the gradient goes to z, as if y were z:   dL/dz = g,   dL/d(quantised) = 0.

    quantised, z: one shape. This derivative is *declared, not derived*. The true one of
    z -> nearest code is 0 almost everywhere: moving z a little does not change the code it is
    given, and the encoder would learn nothing. But y lies close to z (the commitment loss sees
    to that), so the direction in which y should move is about the direction in which z should:
    the decoder's gradient at y is handed to z unchanged. No finite difference can confirm it; what
    the tests confirm is that it is exactly this. docs/07-vqvae.md shows where it points the wrong
    way. Source: Bengio et al. 2013 (1308.3432).
    Raises ValueError if the shapes differ.
    """
    quantised, z = operands(quantised, z)
    shapes("straight_through: quantised (...), z (...), of one shape", quantised, z)
    def dz(g): return g
    return record(quantised.data, (quantised, None), (z, dz))
