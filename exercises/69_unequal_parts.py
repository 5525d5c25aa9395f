"""69. A batch in unequal parts (mistake)

A batch of 7 images goes through the network 3 at a time: the last part has 1. Somebody gives each
part the same weight, and that one image counts three times. Fix it: the sum over parts of weight
times the mean over the part must be the mean over all.

    return [(slice(a, min(a + size, n)), 1 / -(-n // size)) for a in range(0, n, size)]

n: images of the batch; size: at most so many in a part. Returns [(slice, weight), ...].
Read docs/10-speed.md, (10.4).
"""


def parts(n, size):
    raise NotImplementedError
