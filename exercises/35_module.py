"""35. A module of your own (write)

nn.Module finds its layers by itself; what it computes is `forward`. Write that of a residual block:
what comes in, plus what two layers make of it, each of which gets a ReLU of what came before.

    h + widen(ReLU(narrow(ReLU(h))))

h: a Tensor (n, size). Returns a Tensor of that shape. ops.relu is the ReLU.
Read docs/05-network.md, (5.10).
"""

from scratchnet import nn, ops


class Block(nn.Module):
    def __init__(self, size, rng):
        self.narrow = nn.Linear(size, size // 2, rng)
        self.widen = nn.Linear(size // 2, size, rng)

    def forward(self, h):
        raise NotImplementedError
