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

The loss is -log p(x) in nats: an exact likelihood, not a bound. Sampling draws pixel after pixel,
with the very lines that compute the loss: they run on a copy of the network whose convolutions keep
their inputs so far and answer for one pixel (fast/stream.py).

PixelCNN is the plain model (1601.06759), GatedPixelCNN the later one (1606.05328), whose two stacks
have no blind spot. docs/07-pixelcnn.md derives both. They also model a VQ-VAE's grids of code
indices: docs/08-priors-and-bits.md.
"""

import math

import numpy as np

from scratchnet import losses, nn, no_grad, ops
from scratchnet.backend import to_numpy, xp
from scratchnet.conv import pair
from scratchnet.fast.stream import Stream, streaming
from scratchnet.inputs import in_unit_range, no_nan
from scratchnet.ops.elementwise import sigmoid_of
from scratchnet.tensor import Tensor, raw
from scratchnet.training import Model

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


# ---------------------------------------------------------------- the plain model

class PixelCNN(Model):
    """Mask A 7x7; residual blocks of mask B; two 1x1 convolutions to the logits.

    image_shape: (H, W, C). levels: L, the values that a pixel's channel takes; 2 gives one logit
    each (Bernoulli), more give L (softmax). mixture: above 0, so many components of a mixture of
    discretised logistics stand for the softmax (losses.logistic_mixture): the network then sees
    whole pixels, and the channels of one depend on each other in the mixture alone. features:
    channels of the feature maps (the paper's 2h). blocks: residual blocks. head: channels between
    the last two 1x1. embedding_dim: 0 for pixels, whose values are ordered, given to the network
    between -1 and 1; above 0 for codes, which are not: each index is looked up in a learned table
    of vectors of that length. rng: for the initial weights.

    Images for `loss` are floats in [0, 1], cut into L levels; or, with an embedding, integers
    below L. decode: maps values (N, H, W, C) to images in [0, 1], for pictures. dilations: pixels
    from one tap to the next in the 3x3 of each block; again from the start if blocks are left.

    The plain model has a blind spot: above and to the right of a pixel there is a cone of earlier
    pixels that no stack of such filters reaches (docs/07-pixelcnn.md).

    Raises ValueError for levels outside 2 to 256 (65,536 for codes) or other sizes below 1.
    """

    units = "nats per image"
    table = ("nll", "bits_per_dim")
    gives = frozenset({"samples", "completion", "exact_nll"})

    def __init__(self, image_shape, levels=2, features=32, blocks=15, head=32, embedding_dim=0,
                 dilations=(1,), mixture=0, decode=None, rng=None):
        rng = rng or np.random.default_rng(0)
        n_in, colours = self.keep_sizes(image_shape, levels, features, blocks, head, embedding_dim,
                                        mixture, decode, rng)
        self.first = masked_conv("A", n_in, features, 7, colours, rng)
        self.blocks = [ResidualBlock(features, colours, rng, d)
                       for d in each_block(dilations, blocks, image_shape)]
        self.make_head(features, colours, head, rng)

    def keep_sizes(self, image_shape, levels, features, blocks, head, embedding_dim, mixture,
                   decode, rng):
        """Check and keep what both models have in common; returns the channels of what the network
        sees, and the colours in which it draws a pixel, one after another."""
        H, W, C = image_shape
        name, most = type(self).__name__, 65536 if embedding_dim else 256
        if not 2 <= levels <= most:
            raise ValueError(f"{name}: {levels} level{'s' * (levels != 1)}: a pixel needs at least "
                             f"2 values to choose from, and at most {most}; give --levels 2 to "
                             f"{most}")
        if min(H, W, C, features, blocks, head) < 1:
            raise ValueError(f"{name}: sizes must be 1 or more, not {image_shape}, {features} "
                             f"features, {blocks} blocks, head {head}")
        colours = 1 if mixture else C
        if features // 2 < colours or head < colours:
            raise ValueError(f"{name}: {features} features and a head of {head} are too few for "
                             f"{C} colours: give at least {2 * C} and {C}")
        if mixture < 0 or mixture and embedding_dim:
            raise ValueError(f"{name}: a mixture needs 1 or more components, not {mixture}, and "
                             f"pixels: codes have no order")
        if embedding_dim and C != 1:
            raise ValueError(f"{name}: an embedding is for grids of codes (H, W, 1), not {C} "
                             f"channels")
        self.image_shape, self.levels, self.decode = tuple(image_shape), levels, decode
        self.microbatch = max(1, MICROBATCH // (H * W))
        self.mixture, self.colours = mixture, colours
        # numbers that describe one channel, or with a mixture one pixel
        self.outputs = (losses.mixture_size(mixture, C) if mixture else
                        1 if levels == 2 and not embedding_dim else levels)
        if embedding_dim:
            self.embedding = nn.Embedding(levels, embedding_dim, rng)
            self.units = "nats per code, and per grid of codes"
            self.table = ("nats_per_code", "nll")
        else:
            self.embedding = None
        return embedding_dim or C, colours

    def make_head(self, features, colours, head, rng):
        """Two 1x1 layers, ReLU before each."""
        outputs = colours * self.outputs
        self.head = masked_conv("B", features, head, 1, colours, rng)
        self.logits_of = masked_conv("B", head, outputs, 1, colours, rng, init=nn.lecun_uniform)

    # ------------------------------------------------------------ what the network sees

    def values_of(self, x):
        """Images (N, H, W, C), floats in [0, 1] or integers below L, as integers below L. Raises
        ValueError for other shapes, and for other values (on the host only)."""
        name = type(self).__name__
        x = xp.asarray(raw(ops.as_tensor(x)))
        if x.shape[1:] != self.image_shape:
            raise ValueError(f"{name}: images of {x.shape[1:]}, but it was built for "
                             f"{self.image_shape}")
        if x.dtype.kind in "iu":
            if isinstance(x, np.ndarray) and x.size and not (x.min() >= 0 and
                                                             x.max() < self.levels):
                raise ValueError(f"{name}: values from {x.min()} to {x.max()}, but it has "
                                 f"{self.levels}, 0 to {self.levels - 1}: give images as floats in "
                                 f"[0, 1], those of 0 to 255 divided by 255")
            return x
        in_unit_range(f"{name}: images", x)
        return xp.minimum(x * self.levels, self.levels - 1).astype(np.int32)

    def inputs(self, values):
        """Integers (..., C) -> what the first layer sees: (..., C) from -1 to 1, or the embeddings
        (..., D). 0, what is outside the image, is none of two values."""
        if self.embedding is not None:
            return self.embedding(values[..., 0])
        return Tensor(values.astype(self.first.w.dtype) * (2 / (self.levels - 1)) - 1)

    def images(self, values):
        """Integers below L (N, H, W, C) -> pictures: float images in [0, 1]."""
        if self.decode is not None:
            return raw(self.decode(values[..., 0]))
        return values.astype(np.float32) / (self.levels - 1)

    def first_layers(self):
        """The layers that see the image itself."""
        return [self.first]

    # ------------------------------------------------------------ the network

    def network(self, x, labels=None):
        """What the first layer sees, (N, H, W, C) or embeddings (N, H, W, D) -> logits."""
        return self.output(self.horizontal(x, self.vertical(x, labels), labels))

    def vertical(self, x, labels):
        """What a row's features take from the rows above it alone: nothing here."""
        return []

    def horizontal(self, x, links, labels):
        """x: what the first layer sees -> features (..., features)."""
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        return h

    def output(self, h):
        """Features -> logits, (..., C, outputs); with a mixture its parameters, (..., 1, outputs).
        """
        y = self.head(relu(h))
        y = self.logits_of(relu(y))
        return y.reshape(*y.shape[:-1], self.colours, self.outputs)

    def logits(self, x, labels=None):
        """Images -> logits (N, H, W, C, L), or (N, H, W, C, 1) for 2 levels; a mixture's parameters
        (N, H, W, 1, outputs). Those of pixel i see the pixels before i only. labels: integers (N,),
        where the model is conditional."""
        return self.network(self.inputs(self.values_of(x)), self.check_labels(labels, len(x)))

    def check_labels(self, labels, n):
        """Labels as an array (n,); ValueError if they are missing or out of range."""
        if not self.num_classes:
            return None
        labels = [] if labels is None else labels
        if isinstance(labels, xp.ndarray) and xp.ndarray is not np.ndarray:
            return labels  # checked before it was moved
        labels = np.asarray(labels)
        if labels.shape != (n,) or n and (labels.dtype.kind not in "iu" or labels.min() < 0 or
                                          labels.max() >= self.num_classes):
            raise ValueError(f"{type(self).__name__}: it is conditional: needs a label from 0 to "
                             f"{self.num_classes - 1} for each of the {n} images")
        return xp.asarray(labels.astype(np.int64))

    # ------------------------------------------------------------ the loss

    def neg_log_likelihood(self, x, labels=None):
        """-log p(x) in nats for each image: Tensor (N,)."""
        values = self.values_of(x)
        logits = self.logits(values, labels)
        if self.mixture:
            x = values.astype(logits.dtype) / (self.levels - 1)
            return losses.logistic_mixture(logits[..., 0, :], x, "none", self.levels).sum((1, 2))
        if self.outputs == 1:
            targets = values.astype(logits.dtype)
            nll = losses.bce_with_logits(logits.reshape(values.shape), targets, "none")
        else:
            nll = losses.softmax_cross_entropy(logits, values, "none")
        return nll.sum(axis=(1, 2, 3))

    def loss(self, x, noise=None, labels=None):
        """Images -> (loss, metrics), means over the images: loss = nll = -log p(x) in nats;
        bits_per_dim = nll / (H W C ln 2), or nats_per_code = nll / (H W). noise: not used."""
        nll = self.neg_log_likelihood(x, labels).mean()
        dims = math.prod(self.image_shape)
        value = nll.detach()
        return nll, {"nll": value} | (
            {"nats_per_code": value / dims} if self.embedding is not None else
            {"bits_per_dim": value / (dims * math.log(2))})

    # ------------------------------------------------------------ sampling

    @no_grad()
    def sample_values(self, n, rng, labels=None, temperature=1.0, known=None, known_rows=0,
                      progress=None):
        """Draw n images pixel by pixel: integers below L, (n, H, W, C), on the host.

        u ~ U(0, 1) for each channel of each pixel picks the first level at which the cumulative
        probability exceeds u (not the likeliest level: that would draw the same image each time);
        with a mixture, one more picks the component. temperature divides the logits, and multiplies
        the scales of a mixture. labels: integers (n,). known: values (n, H, W, C), whose
        first known_rows rows are kept as they are. progress: called after each row. Raises
        FloatingPointError for logits that are NaN (on the host only).
        """
        H, W, C = self.image_shape
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        labels = self.check_labels(labels, n)
        draws = C + bool(self.mixture)
        u = xp.asarray(rng.random((H, W, draws, n), dtype=np.float32))
        values = xp.zeros((n, H, W, C), np.int32)
        if known is not None:
            values[:, :known_rows] = xp.asarray(known[:, :known_rows])
        stream = Stream(n, H, W)
        net = streaming(self, stream)
        for stream.i in range(H):
            i, known_row = stream.i, stream.i < known_rows
            links = net.vertical(self.inputs(values[:, i:i + 1]), labels)
            for stream.j in range(W):
                j = stream.j
                here = [raw(link)[:, 0, j] for link in links]
                if known_row:  # nothing to draw, but later pixels need its features
                    net.horizontal(self.inputs(values[:, i, j]), here, labels)
                for c in range(0 if known_row else self.colours):
                    h = net.horizontal(self.inputs(values[:, i, j]), here, labels)
                    y = raw(net.output(h))[:, c]
                    no_nan(f"{type(self).__name__}: logits", y)
                    if self.mixture:
                        values[:, i, j] = self.draw_mixture(y, u[i, j], temperature)
                    else:
                        values[:, i, j, c] = self.draw(y / temperature, u[i, j, c])
                for layer in net.first_layers():  # they were called before the pixel was drawn
                    layer.put(self.inputs(values[:, i, j]))
            if progress is not None:
                progress()
        return to_numpy(values)

    def draw(self, logits, u):
        """Values (n,) from logits (n, L) and uniforms (n,), by the inverse of the cumulative
        distribution; with one logit, 1 if u < sigmoid(logit)."""
        if self.outputs == 1:
            return u < sigmoid_of(logits[:, 0])
        return self.draw_softmax(logits, u)

    def draw_softmax(self, logits, u):
        """Indices (n,) from logits (n, K) and uniforms (n,)."""
        p = xp.exp(logits - logits.max(axis=1, keepdims=True))
        cumulative = xp.cumsum(p, axis=1)
        return (cumulative <= u[:, None] * cumulative[:, -1:]).sum(axis=1).clip(0, p.shape[1] - 1)

    def draw_mixture(self, y, u, temperature=1.0):
        """Pixels (n, C) from a mixture's parameters y (n, outputs) and uniforms u (1 + C, n): u_0
        picks the component k, then channel after channel

            x = mean_k + scale_k log(u / (1 - u)),   rounded to the nearest level

        is a draw of the discretised logistic: what is rounded to a level is what its bin holds."""
        C, most = self.image_shape[2], self.levels - 1
        log_pi, m, log_scale, a = losses.mixture_parts(Tensor(y), C)
        k = self.draw_softmax(log_pi.data / temperature, u[0])
        rows, x = xp.arange(len(y)), xp.zeros((len(y), C), y.dtype)
        odds = xp.log(xp.maximum(u[1:], 1e-30)) - xp.log1p(-u[1:])
        for c in range(C):
            mean = losses.mixture_mean(m, a, x, c).data[rows, k]
            scale = temperature * xp.exp(log_scale.data[rows, c, k])
            x[:, c] = xp.rint((mean + scale * odds[c]) * most).clip(0, most) / most
        return xp.rint(x * most).astype(np.int32)

    def sample(self, n, rng, **how):
        """n images in [0, 1]; the arguments are those of sample_values."""
        return self.images(xp.asarray(self.sample_values(n, rng, **how)))

    def complete(self, x, rng, **how):
        """Keep the upper half of images, or grids of codes, and draw the lower half: images in
        [0, 1]. The other arguments are those of sample_values."""
        values, rows = self.values_of(x), self.image_shape[0] // 2
        return self.images(xp.asarray(self.sample_values(
            len(values), rng, known=values, known_rows=rows, **how)))


def relu(x):
    """ops.relu(x); of an array, which is what a network that draws a pixel computes with, an array:
    16 images of the small PixelCNN took 0.29 s with the op, 0.23 without."""
    return xp.maximum(x, 0) if isinstance(x, xp.ndarray) else ops.relu(x)


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


def each_block(dilations, blocks, image_shape):
    """The dilation of each of so many blocks, in turn: the sequence again and again. Raises
    ValueError for one that is larger than the image."""
    if not 1 <= min(dilations) <= max(dilations) <= max(image_shape[:2]):
        raise ValueError(f"PixelCNN: dilations must be 1 or more, at most {max(image_shape[:2])} "
                         f"for these images, not {', '.join(map(str, dilations))}")
    return (dilations[k % len(dilations)] for k in range(blocks))


# ---------------------------------------------------------------- the gated model

class GatedPixelCNN(PixelCNN):
    """Two stacks of gated convolutions, which together see every earlier pixel of their window:
    there is no blind spot in it. Each block widens it by its dilation (docs/07-pixelcnn.md).

    The vertical stack sees the rows above, to either side; the horizontal stack sees the pixels
    to the left in the same row, and at each block what the vertical stack found at its place.
    num_classes: above 0 makes it conditional on a label (eq. 3 and 4: a learned vector for each
    label, added before the gates). The other arguments are those of PixelCNN.
    """

    def __init__(self, image_shape, levels=2, features=32, blocks=10, head=32, embedding_dim=0,
                 num_classes=0, dilations=(1,), mixture=0, decode=None, rng=None):
        rng = rng or np.random.default_rng(0)
        n_in, colours = self.keep_sizes(image_shape, levels, features, blocks, head, embedding_dim,
                                        mixture, decode, rng)
        self.num_classes = num_classes
        if num_classes:
            self.units += ", given its class"
        rows_above = np.arange(7)[:, None].repeat(7, axis=1) < 3
        self.first_v = nn.MaskedConv2d(n_in, features, rows_above, rng, init=nn.he_normal)
        self.first = masked_conv("A", n_in, features, (1, 7), colours, rng)
        self.blocks = [GatedBlock(features, colours, num_classes, rng, d)
                       for d in each_block(dilations, blocks, image_shape)]
        self.make_head(features, colours, head, rng)

    def first_layers(self):
        return [self.first_v, self.first]

    def vertical(self, x, labels):
        """x -> for each block, what its horizontal half gets: (..., 2 features)."""
        v, links = self.first_v(x), []
        for block in self.blocks:
            v, link = block.vertical(v, labels)
            links.append(link)
        return links

    def horizontal(self, x, links, labels):
        h = self.first(x)
        for block, link in zip(self.blocks, links, strict=True):
            h = block.horizontal(h, link, labels)
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
        up_to_here = np.arange(3)[:, None].repeat(3, axis=1) < 2
        self.v = nn.MaskedConv2d(features, 2 * features, up_to_here, rng, init=nn.glorot_uniform,
                                 dilation=dilation)
        self.link = nn.MaskedConv2d(2 * features, 2 * features, [[True]], rng,
                                    init=nn.glorot_uniform)
        self.h = masked_conv("B", features, 2 * features, (1, 3), colours, rng, parts=(1, 2),
                             dilation=dilation, init=nn.glorot_uniform)
        self.out = masked_conv("B", features, features, 1, colours, rng, init=nn.glorot_uniform)
        self.label_v = self.label_h = None
        if num_classes:
            self.label_v, self.label_h = (nn.Embedding(num_classes, 2 * features, rng)
                                          for _ in range(2))

    def vertical(self, v, labels):
        y = add_label(self.v(v), self.label_v, labels)
        return ops.gate(y), self.link(y)

    def horizontal(self, h, link, labels):
        y = add_label(self.h(h) + link, self.label_h, labels)
        return h + self.out(ops.gate(y))


def add_label(y, table, labels):
    """y (N, ..., C) + the row of the table for each image's label; y alone without a table."""
    if table is None:
        return y
    return ops.add(y, table(labels).reshape(y.shape[0], *[1] * (y.ndim - 2), y.shape[-1]))
