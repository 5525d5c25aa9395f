"""58. The gate, there and back (write)

One half of the features says what, the other how much of it is let through. Write the gate and its
two derivatives, which need t and s alone.

    y = t s,    t = tanh(a),    s = sigmoid(b)

g, a, b: arrays of one shape. Returns y, dL/da, dL/db, all of that shape.
Read docs/08-pixelcnn.md, (8.6).
"""

import numpy as np

from scratchnet.ops.elementwise import sigmoid_of


def gate(g, a, b):
    # return y, da, db
    raise NotImplementedError
