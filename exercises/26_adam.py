"""26. The first steps of Adam are too long (mistake)

m and v begin at 0, so after t steps their weights add up to 1 - b1^t and 1 - b2^t only, and not to
1 as those of a mean should. Somebody forgot it; the first step was 3 times too long. Fix it.

    return p - lr * m / (np.sqrt(v) + eps)

p, m, v: arrays of one shape; t: the number of this step, from 1. Returns the new p.
Read docs/04-adam.md, (4.3).
"""

import numpy as np


def step(p, m, v, t, lr, b1, b2, eps):
    raise NotImplementedError
