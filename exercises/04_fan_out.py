"""4. A sum that changes a neighbour (mistake)

`gradients` has for each node, by its number, the sum of what came back to it so far; gx is one
part more, for the node of this number. Somebody wrote the lines below, and then c = a + b gave a
wrong gradient: `add` hands one array g to both a and b. Mend it.

    if number in gradients:
        gradients[number] += gx
    else:
        gradients[number] = gx

gradients: {number: array}, changed in place; nothing is returned.
Read docs/01-chain-rule.md.
"""

import numpy as np


def add(gradients, number, gx):
    raise NotImplementedError
