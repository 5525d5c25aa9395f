"""61. A draw from a softmax (write)

Add the probabilities up from the first; the draw is the first place where the sum exceeds u. The
logits are divided by the temperature before: below 1 the draws come nearer to the likeliest.

    k = the smallest m with p_0 + ... + p_m > u

logits: (n, K); u: (n,), each in [0, 1); temperature: a number above 0. Returns integers (n,).
Read docs/08-pixelcnn.md, (8.17) and (8.20).
"""

import numpy as np


def draw(logits, u, temperature):
    raise NotImplementedError
