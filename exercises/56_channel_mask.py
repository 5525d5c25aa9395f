"""56. Who sees whom within a pixel (mistake)

Red is drawn first, then green, then blue. At its own pixel an output of type A sees earlier
colours, one of type B its own, too. Somebody's likelihood is far too good: in the first layer each
colour sees itself. And the rows of this mask are the outputs.

    return seer[:, None] >= seen

kind: "A" or "B"; seen: (C_in,), the colour of each input, 0 to 2; seer: (C_out,), of each output.
Returns an array of bool (C_in, C_out).
Read docs/08-pixelcnn.md, (8.3).
"""

import numpy as np


def channel_mask(kind, seen, seer):
    raise NotImplementedError
