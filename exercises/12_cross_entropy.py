"""12. The derivative of softmax with cross-entropy (write)

The loss of each row is -log softmax(z)[label]. Its derivative is short: what the model says minus
what is true, times g, which has a number for each row.

    dL/dz_k = g (softmax(z)_k - [k = label])

g: (n,); z: (n, K) logits; labels: (n,) integers below K. Returns (n, K).
Read docs/02-cross-entropy.md, (2.5).
"""

import numpy as np


def dz(g, z, labels):
    raise NotImplementedError
