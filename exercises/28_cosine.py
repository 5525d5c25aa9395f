"""28. A learning rate that falls like a cosine (write)

The rate rises in a straight line for the first `rise` steps, and then follows half a cosine down to
final * lr, which it has at total_steps and after it.

    lr (step + 1) / rise                                     while step < rise
    lr (final + (1 - final) (1 + cos(pi done)) / 2)          after it
    done = (step - rise) / (total_steps - rise), 1 at most

step: 0, 1, ...; all others: numbers. Returns a number.
Read docs/04-adam.md, (4.7).
"""

import math


def cosine(step, lr, total_steps, rise, final):
    raise NotImplementedError
