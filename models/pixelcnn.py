"""PixelCNN: the probability of an image, one pixel after another. van den Oord et al. 2016.

Any distribution of an image x is a product of conditionals, in reading order (eq. 1):

    p(x)  =  product over i of  p(x_i | x_1, ..., x_{i-1})

A PixelCNN computes all factors at once with convolutions that see only pixels before x_i: their
filters keep the taps above, and those to the left in the same row. The first layer must not see
x_i itself (mask A); later layers see the features at i, made of earlier pixels alone (mask B):

    A   1 1 1      B   1 1 1
        1 . .          1 1 .
        . . .          . . .

Colours are drawn in the order R, G, B: within pixel i, green sees red, blue sees both. Channels
of features belong to a colour each, and only the middle tap looks at which (`channel_mask`).

The loss is -log p(x) in nats: an exact likelihood, not a bound (models/likelihoods.py). Images are
drawn pixel after pixel (models/sampling.py).

This is the plain model (1601.06759); models/gated.py has the later one (1606.05328), whose two
stacks have no blind spot. docs/08-pixelcnn.md derives both. They also model a VQ-VAE's grids of
code indices: docs/09-priors-and-bits.md.
"""

import math

import numpy as np

from scratchnet import nn, ops
from scratchnet.backend import raw, xp
from scratchnet.conv import pair
from scratchnet.inputs import (
    batch_of,
    class_labels,
    images,
    integers,
    not_negative,
    require,
    shape_of_images,
    sizes,
)
from scratchnet.nn import Model
from scratchnet.tensor import Tensor

from . import sampling
from .likelihoods import Bernoulli, LogisticMixture, Softmax

MICROBATCH = 8 * 28 * 28  # pixels taken through the network at a time: memory, not speed, sets it

# ---------------------------------------------------------------- masks

def mask(kind, height, width, colours=1):
    """The taps of a masked filter, bool (height, width): those before the middle in reading order;
    with kind "B" the middle too, with "A" only if channel_mask still hides the pixel's later
    colours there (colours > 1)."""
    keep = np.arange(height * width) < height * width // 2
    keep[height * width // 2] = kind == "B" or colours > 1
    return keep.reshape(height, width)


def colour_of(channels, colours, parts=1):
    """The colour that each channel belongs to: 0 0 .. 1 1 .. 2 2, the same in each of `parts`."""
    n = channels // parts
    return np.tile(np.arange(n) * colours // n, parts)


def channel_mask(kind, seen, seer):
    """Which inputs an output may see at its own pixel, bool (C_in, C_out), from the colours of
    both: earlier ones (A), or earlier ones and its own (B)."""
    return seen[:, None] < seer if kind == "A" else seen[:, None] <= seer


def masked_conv(kind, n_in, n_out, size, colours, rng, parts=(1, 1), dilation=1,
                init=nn.he_normal):
    """A MaskedConv2d of the kind. size: a number, or height and width. parts: in how many parts
    the colours of the inputs and of the outputs come (a gate's halves have all colours each)."""
    taps = mask(kind, *pair(size), colours)
    centre = None if colours == 1 else channel_mask(
        kind, colour_of(n_in, colours, parts[0]), colour_of(n_out, colours, parts[1]))
    return nn.MaskedConv2d(n_in, n_out, taps, rng, init=init, centre=centre, dilation=dilation)


# ---------------------------------------------------------------- the model

class PixelCNN(Model):
    """Mask A 7x7; residual blocks of mask B; two 1x1 convolutions to the logits.

    image_shape: (H, W, C). levels: L, the values that a pixel's channel takes; 2 gives one logit
    each (Bernoulli), more give L (softmax). mixture: above 0, so many components of a mixture of
    discretised logistics stand for the softmax: the network then sees whole pixels, and the
    channels of one depend on each other in the mixture alone. features: channels of the feature
    maps (the paper's 2h). blocks: residual blocks. head: channels between the last two 1x1.
    embedding_dim: 0 for pixels, whose values are ordered, given to the network between -1 and 1;
    above 0 for codes, which are not: each index is looked up in a learned table of vectors of that
    length. rng: a Generator, or a seed, for the initial weights.

    Images for `loss` are floats in [0, 1], cut into L levels, or integers below L: with an
    embedding always those. decode: maps values (N, H, W, C) to images in [0, 1], for pictures.
    dilations: pixels from one tap to the next in the 3x3 of each block; again from the start if
    blocks are left.

    The plain model has a blind spot: above and to the right of a pixel there is a cone of earlier
    pixels that no stack of such filters reaches (docs/08-pixelcnn.md).

    Raises ValueError for levels outside 2 to 256 (65,536 for codes) and for sizes that do not go
    together.
    """

    untold = 0.0

    def __init__(self, image_shape, levels=2, features=32, blocks=15, head=32, embedding_dim=0,
                 dilations=(1,), mixture=0, decode=None, rng=0):
        rng = np.random.default_rng(rng)
        H, W, C = self.image_shape = shape_of_images("PixelCNN", image_shape)
        check_sizes(self.image_shape, levels, features, head, embedding_dim, dilations, mixture)
        self.takes_codes = embedding_dim > 0
        self.levels, self.decode, self.microbatch = levels, decode, max(1, MICROBATCH // (H * W))
        self.likelihood = (LogisticMixture(mixture, levels, C) if mixture else
                           Softmax(levels) if levels > 2 or embedding_dim else Bernoulli())
        self.colours = colours = 1 if mixture else C  # drawn one after another
        self.embedding = nn.Embedding(levels, embedding_dim, rng) if embedding_dim else None
        self.make_stacks(embedding_dim or C, features,
                         [dilations[k % len(dilations)] for k in range(blocks)], rng)
        self.head = masked_conv("B", features, head, 1, colours, rng)
        self.logits_of = masked_conv("B", head, colours * self.likelihood.outputs, 1, colours, rng,
                                     init=nn.lecun_uniform)

    def make_stacks(self, n_in, features, dilations, rng):
        """The layers before the head: a first one, and a block for each dilation."""
        self.first = masked_conv("A", n_in, features, 7, self.colours, rng)
        self.blocks = [ResidualBlock(features, self.colours, rng, d) for d in dilations]

    # ------------------------------------------------------------ what the network sees

    def values_of(self, x):
        """Images (N, H, W, C), floats in [0, 1] or integers below L, or codes (N, H, W), as
        integers below L, (N, H, W, C). Raises TypeError, ValueError or IndexError for others, as
        inputs.images and inputs.integers do."""
        x = batch_of("PixelCNN", x, self.image_shape)
        if self.takes_codes or x.dtype.kind in "iu":
            what = "codes" if self.takes_codes else "values"
            return integers(f"PixelCNN: {what}", x, self.levels, "levels")
        x = images("PixelCNN", x, self.image_shape).data
        return xp.minimum(x * self.levels, self.levels - 1).astype(np.int32)

    def inputs(self, values):
        """Integers (..., C) -> what the first layer sees: (..., C) from -1 to 1, or the embeddings
        (..., D). The border is 0, which with two levels, -1 and 1, no pixel is."""
        if self.embedding is not None:
            return self.embedding(values[..., 0])
        return Tensor(values.astype(self.first.w.dtype) * (2 / (self.levels - 1)) - 1)

    def images(self, values):
        """Integers below L (N, H, W, C) -> pictures: float images in [0, 1]."""
        if self.decode is not None:
            return raw(self.decode(values[..., 0]))
        return values.astype(np.float32) / (self.levels - 1)

    def check_labels(self, labels, n):
        """The labels of n images as an array (n,), as inputs.class_labels; None, where the model is
        not conditional."""
        if not self.num_classes:
            return None
        return class_labels("PixelCNN", labels, n, self.num_classes)

    # ------------------------------------------------------------ the network

    def network(self, x, labels=None, noise=None):
        """What the first layer sees, (N, H, W, C) or embeddings (N, H, W, D) -> logits.

        The plain model has one stack, `horizontal`. `vertical`, `labels` and `noise` are for
        GatedPixelCNN: separate, so that sampling can do a row's part once.
        """
        labels = self.told(labels, noise)
        return self.output(self.horizontal(x, self.vertical(x, labels), labels, noise))

    def told(self, labels, noise):
        """The labels, or in training those of a part of the images: see GatedPixelCNN."""
        return labels

    def vertical(self, x, labels):
        """What a row's features take from the rows above it alone: nothing here."""
        return []

    def horizontal(self, x, links, labels, noise=None):
        """x: what the first layer sees -> features (..., features)."""
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        return h

    def output(self, h):
        """Features -> the likelihood's numbers, (..., colours, outputs): two 1x1 layers, with a
        ReLU before each."""
        y = self.head(relu(h))
        y = self.logits_of(relu(y))
        return y.reshape(*y.shape[:-1], self.colours, self.likelihood.outputs)

    def first_layers(self):
        """The layers that see the image itself."""
        return [self.first]

    # ------------------------------------------------------------ the loss

    def logits(self, x, labels=None):
        """Images -> logits (N, H, W, C, L), or (N, H, W, C, 1) for 2 levels; a mixture's parameters
        (N, H, W, 1, outputs). Those of pixel i see the pixels before i only. labels: integers (N,),
        where the model is conditional."""
        return self.network(self.inputs(self.values_of(x)), self.check_labels(labels, len(x)))

    def neg_log_likelihood(self, x, labels=None, noise=None):
        """-log p(x) in nats for each image: Tensor (N,). The product of (eq. 1) is a sum here."""
        values = self.values_of(x)
        logits = self.network(self.inputs(values), self.check_labels(labels, len(values)), noise)
        return self.likelihood.nll(logits, values).sum(axis=(1, 2, 3))

    def loss(self, x, noise=None, labels=None):
        """Images -> (loss, metrics), means over the images: loss = nll = -log p(x) in nats;
        bits_per_dim = nll / (H W C ln 2), or nats_per_code = nll / (H W). noise: (N, noise_dim),
        of what is left out in training, or the Generator that draws it; without it nothing is."""
        if isinstance(noise, np.random.Generator):
            noise = noise.standard_normal((len(x), self.noise_dim), dtype=np.float32)
        nll = self.neg_log_likelihood(x, labels, noise if self.training else None).mean()
        value, dims = nll.detach(), math.prod(self.image_shape)
        metrics = {"loss": value, "nll": value}
        if self.takes_codes:
            return nll, {**metrics, "nats_per_code": value / dims}
        return nll, {**metrics, "bits_per_dim": value / (dims * math.log(2))}

    # ------------------------------------------------------------ sampling

    def sample_values(self, n, rng, **how):
        """n images as integers below L, (n, H, W, C); how: the other arguments of sampling.draw."""
        return sampling.draw(self, n, rng, **how)

    def sample(self, n, rng, **how):
        """n images in [0, 1], an array (n, H, W, C); of codes what `decode` makes of them."""
        return self.images(xp.asarray(self.sample_values(n, rng, **how)))

    def complete(self, x, rng, mask=None, **how):
        """Draw a part of images, or of grids of codes, anew: images in [0, 1]. The part: where the
        mask (H, W) is true; without one the lower half.
        how: the other arguments of sampling.draw."""
        values, (H, W, _) = self.values_of(x), self.image_shape
        if mask is None:
            mask = np.zeros((H, W), bool)
            mask[H // 2:] = True
        return self.images(xp.asarray(self.sample_values(
            len(values), rng, known=values, mask=mask, **how)))


class ResidualBlock(nn.Module):
    """h + conv 1x1 (ReLU (conv 3x3 B (ReLU (conv 1x1 (ReLU h))))), halving the channels between.
    1601.06759, figure 5."""

    def __init__(self, channels, colours, rng, dilation=1):
        half = channels // 2
        self.narrow = masked_conv("B", channels, half, 1, colours, rng)
        self.middle = masked_conv("B", half, half, 3, colours, rng, dilation=dilation)
        self.widen = masked_conv("B", half, channels, 1, colours, rng, init=nn.lecun_uniform)

    def forward(self, h):
        y = self.narrow(relu(h))
        y = self.middle(relu(y))
        return h + self.widen(relu(y))


ZERO = np.float32(0)  # of one dtype: a Python number takes longer


def relu(x):
    """ops.relu(x); of an array, which is what a network that draws a pixel computes with, an array:
    with the op the small PixelCNN takes 1.4 times as long to draw 16 images."""
    return xp.maximum(x, ZERO) if isinstance(x, xp.ndarray) else ops.relu(x)


def check_sizes(image_shape, levels, features, head, embedding_dim, dilations, mixture):
    """ValueError for sizes that no PixelCNN can have."""
    sizes("PixelCNN", levels=levels, features=features, head=head)
    not_negative("PixelCNN", embedding_dim=embedding_dim, mixture=mixture)
    require(isinstance(dilations, (list, tuple)) and dilations, "PixelCNN: dilations must "
            "be a list, such as [1, 2, 4], not {}", dilations)
    (H, W, C), most = image_shape, 65536 if embedding_dim else 256
    colours = 1 if mixture else C
    require(2 <= levels <= most,
            f"PixelCNN: {levels} level{'s' * (levels != 1)}: a pixel needs at least 2 values to "
            f"choose from, and at most {most}; give levels 2 to {most}")
    require(features // 2 >= colours and head >= colours,
            f"PixelCNN: {features} features and a head of {head} are too few for {C} colours: give "
            f"at least {2 * colours} and {colours}")
    require(not embedding_dim or C == 1 and not mixture,
            f"PixelCNN: an embedding is for grids of codes (H, W, 1), which have no order: not for "
            f"{C} channels, nor for a mixture of {mixture}")
    require(1 <= min(dilations) <= max(dilations) <= max(H, W),
            f"PixelCNN: dilations must be 1 or more, at most {max(H, W)} for these images, not "
            f"{', '.join(map(str, dilations))}")
