"""59. A block of two stacks (write)

The vertical stack v sees the rows above. The horizontal stack h sees its own row, and gets a link
from what the vertical convolution found, before that went through its gate. h itself is added.

    y_v = conv_v(v),    y_h = conv_h(h) + link(y_v)
    v' = gate(y_v),     h' = h + out(gate(y_h))

layers: with layers.v, layers.h, layers.link and layers.out, each called with a Tensor. v, h:
Tensors (n, H, W, C). ops.gate is the gate. Returns v' and h'.
Read docs/08-pixelcnn.md, (8.8).
"""

from scratchnet import ops


def block(layers, v, h):
    # return v, h
    raise NotImplementedError
