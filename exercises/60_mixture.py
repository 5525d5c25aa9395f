"""60. What a mixture says of a pixel (mistake)

K components, each with a weight and a price for the pixel: nll_k = -log P_k(x). The probabilities
are averaged, and the logarithm is taken of that:

    -log P(x) = -log sum over k of pi_k P_k(x)

Somebody averaged the logarithms; then a pixel is expensive if one component finds it unlikely.

    return (np.exp(log_pi) * nll).sum(axis=-1)

log_pi, nll: (n, K). Returns (n,). Prices may be 1000 nats and more; ops.logsumexp(...).data helps.
Read docs/08-pixelcnn.md, (8.14).
"""

import numpy as np

from scratchnet import ops


def nll_of_mixture(log_pi, nll):
    raise NotImplementedError
