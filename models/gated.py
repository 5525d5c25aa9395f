"""The gated PixelCNN: two stacks of gated convolutions, without a blind spot. van den Oord et al.
2016b (1606.05328). docs/08-pixelcnn.md derives the window, the gate and the labels.
"""

from statistics import NormalDist

import numpy as np

from scratchnet import nn, ops
from scratchnet.backend import xp
from scratchnet.inputs import not_negative, require

from .pixelcnn import PixelCNN, masked_conv

ROWS_ABOVE = [[1] * 7] * 3 + [[0] * 7] * 4       # of 7x7 taps, those above the middle
UP_TO_HERE = [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


class GatedPixelCNN(PixelCNN):
    """Two stacks, which together see every earlier pixel of their window. Each block widens it by
    its dilation.

    The vertical stack sees the rows above, to either side; the horizontal stack sees the pixels
    to the left in the same row, and at each block what the vertical stack found at its place.
    num_classes: above 0 makes it conditional on a label (eq. 3 and 4: a learned vector for each
    label, added before the gates). untold: the part of the images that get a learned vector for
    "none" in training, so that sampling.draw can be guided. dropout: the part of a block's features
    that are left out in training (nn.dropout). The other arguments are those of PixelCNN. Raises
    ValueError as it does, for a part outside [0, 1), and for untold without classes or with a
    mixture. untold: Ho & Salimans 2022 (2207.12598), section 3.2.
    """

    def __init__(self, image_shape, levels=2, features=32, blocks=10, head=32, embedding_dim=0,
                 num_classes=0, dilations=(1,), mixture=0, dropout=0.0, untold=0.0, decode=None,
                 rng=0):
        not_negative("GatedPixelCNN", num_classes=num_classes)
        require(0 <= dropout < 1 and 0 <= untold < 1, f"GatedPixelCNN: dropout and untold must be "
                f"0 or more and below 1, not {dropout} and {untold}")
        require(not untold or num_classes and not mixture, "GatedPixelCNN: untold is for a model "
                "that is told the class, and has no mixture")
        self.num_classes, self.dropout, self.untold = num_classes, dropout, untold
        self.noise_dim = blocks * features * (dropout > 0) + (untold > 0)
        super().__init__(image_shape, levels, features, blocks, head, embedding_dim, dilations,
                         mixture, decode, rng)

    def make_stacks(self, n_in, features, dilations, rng):
        self.first_v = nn.MaskedConv2d(n_in, features, ROWS_ABOVE, rng, init=nn.he_normal)
        self.first = masked_conv("A", n_in, features, (1, 7), self.colours, rng)
        rows_of_labels = self.num_classes + (self.untold > 0)
        self.blocks = [GatedBlock(features, self.colours, rows_of_labels, rng, d)
                       for d in dilations]

    def first_layers(self):
        return [self.first_v, self.first]

    def vertical(self, x, labels):
        """x -> for each block, what its horizontal half gets: (..., 2 features)."""
        v, links = self.first_v(x), []
        for block in self.blocks:
            v, link = block.vertical(v, labels)
            links.append(link)
        return links

    def told(self, labels, noise):
        """labels (N,), a part of them replaced by the one for "none" where there is noise."""
        if noise is None or not self.untold:
            return labels
        none = xp.asarray(noise[:, -1] < NormalDist().inv_cdf(self.untold))
        return xp.where(none, self.num_classes, labels.astype(np.int64))  # uint8 ends at 255

    def horizontal(self, x, links, labels, noise=None):
        h, own = self.first(x), None
        F = h.shape[-1]
        noise = xp.asarray(noise) if noise is not None and self.dropout else None
        for k, (block, link) in enumerate(zip(self.blocks, links, strict=True)):
            if noise is not None:
                own = noise[:, k * F:(k + 1) * F]
            h = block.horizontal(h, link, labels, own, self.dropout)
        return h


class GatedBlock(nn.Module):
    """One block of both stacks. 1606.05328, figure 2, with V_f and V_g as one table each way:

        y_v = conv 3x3 (v) + V_v[label]                       rows above, and the current one
        y_h = conv 1x3 B (h) + conv 1x1 (y_v) + V_h[label]    the link, taken before the gate
        v'  = gate(y_v),   h' = h + conv 1x1 (gate(y_h)),   gate([a, b]) = tanh(a) sigmoid(b)

    The features v at row i are made of the rows above i (the first layer sees to that), so this
    block may look at row i itself, and to the right.
    """

    def __init__(self, features, colours, num_classes, rng, dilation=1):
        glorot = nn.glorot_uniform
        self.v = nn.MaskedConv2d(features, 2 * features, UP_TO_HERE, rng, init=glorot,
                                 dilation=dilation)
        self.link = nn.MaskedConv2d(2 * features, 2 * features, [[1]], rng, init=glorot)
        self.h = masked_conv("B", features, 2 * features, (1, 3), colours, rng, parts=(1, 2),
                             dilation=dilation, init=glorot)
        self.out = masked_conv("B", features, features, 1, colours, rng, init=glorot)
        self.label_v = self.label_h = None
        if num_classes:
            self.label_v, self.label_h = (nn.Embedding(num_classes, 2 * features, rng)
                                          for _ in range(2))

    def vertical(self, v, labels):
        y = add_label(self.v(v), self.label_v, labels)
        return ops.gate(y), self.link(y)

    def horizontal(self, h, link, labels, noise=None, p=0):
        y = add_label(self.h(h) + link, self.label_h, labels)
        if noise is not None:
            return h + self.out(nn.dropout(ops.gate(y), noise, p))
        return h + self.out(ops.gate(y))


def add_label(y, table, labels):
    """y (N, ..., C) + the row of the table for each image's label; y alone without a table."""
    if table is None:
        return y
    return ops.add(y, table(labels).reshape(y.shape[0], *[1] * (y.ndim - 2), y.shape[-1]))
