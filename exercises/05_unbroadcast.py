"""5. The way back through broadcasting (write)

An array of this shape was broadcast to that of g: each of its numbers was used several times. Sum
g over those uses.

    <broadcast(a), g> = <a, unbroadcast(g)>        for all a

g: an array; shape: that of a, with fewer axes than g, or axes of length 1. The result has shape.
Read docs/01-chain-rule.md.
"""

import numpy as np


def unbroadcast(g, shape):
    raise NotImplementedError
