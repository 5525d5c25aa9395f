"""30. Gradients that are too long (write)

All gradients together are one long arrow. If it is longer than max_norm, shorten it to that length,
and leave its direction: the same factor for all.

    norm = sqrt(sum of squares over all gradients),    factor = min(1, max_norm / norm)

parameters: Tensors, each with a .grad, which you set anew. Returns the norm before.
Read docs/04-adam.md, (4.9).
"""

import numpy as np


def clip_grad_norm(parameters, max_norm):
    raise NotImplementedError
