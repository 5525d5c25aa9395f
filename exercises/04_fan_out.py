"""4. A sum that changes a neighbour (mistake)

`gradients` has for each node, by its number, the sum of what came back to it so far; gx is one
part more, for the node of this number. Somebody wrote the lines below, and c = a + b gave a wrong
gradient: its way back hands one and the same array g to a and to b. Fix the lines.

    if number in gradients:
        gradients[number] += gx
    else:
        gradients[number] = gx

gradients: {number: array}, changed in place; nothing is returned.
Read docs/01-chain-rule.md, "Newest first is enough".
"""

import numpy as np


def add(gradients, number, gx):
    raise NotImplementedError
