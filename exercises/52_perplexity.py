"""52. How many codes are in use? (write)

The exponential of the entropy: K if all codes are used equally, 1 if one is used alone. A code
that is never used adds nothing; but log 0 is infinite, and 0 times it is no number.

    exp(-sum over k of p_k log p_k),    p log p = 0 at p = 0

p: (K,), a distribution. Returns a number.
Read docs/07-vqvae.md, (7.12).
"""

import numpy as np


def perplexity(p):
    raise NotImplementedError
