"""5. The way back through broadcasting (write)

An array a of shape `shape` was broadcast to the shape of g, so each of its numbers was used several
times. Sum g over those uses.

    <broadcast(a), g> = <a, unbroadcast(g)>        for all a

g: an array; shape: a tuple, that of a, with fewer axes than g, or with axes of length 1. The result
has that shape.
Read docs/01-chain-rule.md, (1.4).
"""

import numpy as np


def unbroadcast(g, shape):
    raise NotImplementedError
