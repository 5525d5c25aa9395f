"""Layers: Tensors that are learned, and the ops that use them.

A `Module` finds its state by itself: the Tensors among its attributes, then those in the modules
among them, in the order in which they were set. Lists and dicts are looked through, too.
A Tensor that requires a gradient is a parameter; one that does not (a running
average, say) is saved and loaded with the rest but not trained. docs/03-convolution.md has the math
of the convolutions, docs/05-network.md of Linear, of the first weights and of residual blocks,
docs/08-pixelcnn.md of masks and embeddings.
"""

import math
from statistics import NormalDist

import numpy as np

from . import conv, ops
from .backend import to_numpy, xp
from .inputs import is_size, load_arrays, require, sizes
from .tensor import Tensor

# ---------------------------------------------------------------- initialisation
# fan_in and fan_out: how many inputs one output sums, and how many outputs one input feeds.

def parameter(values):
    """A float32 leaf that requires a gradient."""
    return Tensor(xp.asarray(np.asarray(values, dtype=np.float32)), requires_grad=True)


def lecun_uniform(rng, shape, fan_in, fan_out):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): variance 1/(3 fan_in). LeCun et al. 1998, with
    the smaller constant that became common."""
    bound = fan_in ** -0.5
    return rng.uniform(-bound, bound, shape)


def glorot_uniform(rng, shape, fan_in, fan_out):
    """U(-a, a), a = sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010, eq. 16; for tanh."""
    bound = (6 / (fan_in + fan_out)) ** 0.5
    return rng.uniform(-bound, bound, shape)


def he_normal(rng, shape, fan_in, fan_out):
    """N(0, 2 / fan_in). He et al. 2015 (1502.01852), eq. 10; for ReLU."""
    return rng.normal(0, (2 / fan_in) ** 0.5, shape)


# ---------------------------------------------------------------- modules

def held(found, prefix=""):
    """[(dotted name, it), ...] of each Module and Tensor in a dict; in its lists and dicts, which
    may remember others, of the Tensors that require a gradient."""
    every = []
    for name, value in found.items():
        if isinstance(value, Module) or isinstance(value, Tensor) and (
                value.requires_grad or not prefix):
            every.append((f"{prefix}{name}", value))
        elif isinstance(value, (list, tuple, dict)):
            inner = value if isinstance(value, dict) else dict(enumerate(value))
            every += held(inner, f"{prefix}{name}.")
    return every


class Module:
    """Base of all layers and models. Subclasses set attributes in __init__ and
    define `forward`; calling the module calls it.

    To save one, and to load it into another that was built alike:

        np.savez("model.npz", **model.state_dict())
        model.load_state_dict(np.load("model.npz"))
    """

    training = True

    def forward(self, *args):
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def children(self):
        """[(name, module), ...] of the modules directly below this one."""
        return [(name, m) for name, m in held(vars(self)) if isinstance(m, Module)]

    def tensors(self):
        """{dotted name: Tensor} of the whole state, parameters or not, in order. An attribute that
        an op made, as Tensor(w, requires_grad=True) * 0.1, is not state, and is not trained."""
        found = {n: t for n, t in held(vars(self)) if isinstance(t, Tensor) and t.node is None}
        for name, child in self.children():
            found.update({f"{name}.{n}": t for n, t in child.tensors().items()})
        return found

    def named_parameters(self):
        """{dotted name: Tensor} of what is trained, in order."""
        return {n: t for n, t in self.tensors().items() if t.requires_grad}

    def parameters(self):
        """The trained Tensors, in order; one used in two places comes once."""
        return list(dict.fromkeys(self.named_parameters().values()))

    def state_dict(self):
        """{dotted name: NumPy array}, copies on the host."""
        return {n: np.array(to_numpy(t.data)) for n, t in self.tensors().items()}

    def load_state_dict(self, state):
        """Copy arrays into the state. Nothing is changed unless everything fits.

        Raises ValueError listing names that are missing or unknown, and shapes that differ.
        """
        own = self.tensors()
        load_arrays(type(self).__name__, {n: t.data for n, t in own.items()}, state)
        for tensor in own.values():
            tensor.version += 1

    def astype(self, dtype):
        """Convert the state in place, float64 for gradient checks. Returns self. Make an optimiser
        afterwards: its state has the dtype that the parameters had."""
        for tensor in self.tensors().values():
            tensor.data = tensor.data.astype(dtype)
        return self

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def train(self, mode=True):
        """Set training mode here and below (False: evaluation). Returns self."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self):
        """Set evaluation mode here and below. Returns self."""
        return self.train(False)

    def __repr__(self):
        count = sum(p.size for p in self.parameters())
        return "\n  ".join([f"{type(self).__name__}: {count:,} parameters",
                            *(f"{name} {t.shape}" for name, t in self.tensors().items())])


class Linear(Module):
    """y = x @ w + b, for x (..., n_in), w (n_in, n_out), b (n_out,).

    rng: np.random.Generator for the initial weights. init: one of the functions
    above; biases start at 0. Raises ValueError for a size that is no whole number, 1 or more.
    """

    def __init__(self, n_in, n_out, rng, bias=True, init=lecun_uniform):
        as_sizes([n_in, n_out])
        self.w = parameter(init(rng, (n_in, n_out), n_in, n_out))
        self.b = parameter(np.zeros(n_out)) if bias else None

    def forward(self, x):
        return ops.linear(x, self.w, self.b)


class Embedding(Module):
    """Rows of a table (num_embeddings, embedding_dim), looked up by integers.

    Integers (...) -> (..., embedding_dim). The rows start as N(0, 1).
    """

    def __init__(self, num_embeddings, embedding_dim, rng):
        self.table = parameter(rng.standard_normal((num_embeddings, embedding_dim)))

    def forward(self, indices):
        return ops.embedding(indices, self.table)


class Conv2d(Module):
    """conv.conv2d with weights w (kh, kw, C_in, C_out) and bias b (C_out,).

    kernel_size, stride, padding: a number, or one each for height and width.
    """

    def __init__(self, in_channels, out_channels, kernel_size, rng, stride=1, padding=0, bias=True,
                 init=lecun_uniform):
        kh, kw = conv.pair(kernel_size)
        sizes("Conv2d", in_channels=in_channels, out_channels=out_channels, kernel_height=kh,
              kernel_width=kw)
        self.w = parameter(init(rng, (kh, kw, in_channels, out_channels), kh * kw * in_channels,
                                kh * kw * out_channels))
        self.b = parameter(np.zeros(out_channels)) if bias else None
        self.stride, self.padding = stride, padding

    def forward(self, x):
        return conv.conv2d(x, self.w, self.b, self.stride, self.padding)


class ConvTranspose2d(Module):
    """conv.conv_transpose2d with weights w (kh, kw, C_out, C_in) and bias b (C_out,)."""

    def __init__(self, in_channels, out_channels, kernel_size, rng, stride=1, padding=0,
                 output_padding=0, bias=True, init=lecun_uniform):
        kh, kw = conv.pair(kernel_size)
        sh, sw = conv.pair(stride)
        fan_in = max(1, kh * kw * in_channels // (sh * sw))  # taps that meet at one output pixel
        self.w = parameter(init(rng, (kh, kw, out_channels, in_channels), fan_in,
                                kh * kw * out_channels))
        self.b = parameter(np.zeros(out_channels)) if bias else None
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    def forward(self, x):
        return conv.conv_transpose2d(x, self.w, self.b, self.stride, self.padding,
                                     self.output_padding)


class MaskedConv2d(Module):
    """conv.masked_conv2d: only the taps under the mask, bool (kh, kw). The image keeps its size.

    centre: bool (C_in, C_out), which inputs each output sees through the middle tap, (kh // 2,
    kw // 2); None: all of them. dilation: pixels from one tap to the next.
    """

    def __init__(self, in_channels, out_channels, mask, rng, bias=True, init=lecun_uniform,
                 centre=None, dilation=1):
        self.mask, self.dilation, self.keep = np.asarray(mask, dtype=bool), dilation, None
        taps = max(1, int(self.mask.sum()))
        self.w = parameter(init(rng, (*self.mask.shape, in_channels, out_channels),
                                taps * in_channels, taps * out_channels))
        self.b = parameter(np.zeros(out_channels)) if bias else None
        if centre is not None:
            keep = np.ones(self.w.shape, np.float32)
            keep[self.mask.shape[0] // 2, self.mask.shape[1] // 2] = centre
            self.keep = xp.asarray(keep)  # 1 or 0 for each weight

    def weights(self):
        """w, with 0 where the middle tap must not see a channel."""
        return self.w if self.keep is None else self.w * self.keep

    def forward(self, x):
        return conv.masked_conv2d(x, self.weights(), self.mask, self.b, self.dilation)

    def kept(self):
        """Its taps, and the rows of w that belong to them, an array (T*C, K)."""
        taps, kept = conv.masked_window(self.mask.tobytes(), self.mask.shape, self.dilation)
        return taps, conv.take_taps(self.weights(), kept).data.reshape(-1, self.w.shape[3])


class Reshape(Module):
    """(N, ...) -> (N, *shape)."""

    def __init__(self, *shape):
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)


class Sequential(Module):
    """Modules one after another; `Sequential(a, b)(x)` is b(a(x))."""

    def __init__(self, *modules):
        self.layers = list(modules)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Activation(Module):
    """An elementwise op as a module. name: a key of ACTIVATIONS; ValueError for another."""

    def __init__(self, name):
        require(name in ACTIVATIONS,
                f"unknown activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")
        self.name = name

    def forward(self, x):
        return ACTIVATIONS[self.name](x)


ACTIVATIONS = {"relu": ops.relu, "tanh": ops.tanh, "sigmoid": ops.sigmoid, "elu": ops.elu,
               "softplus": ops.softplus}


def as_sizes(sizes):
    """A number, or several, as a list; ValueError if one is no whole number, 1 or more."""
    sizes = list(sizes) if isinstance(sizes, (tuple, list)) else [sizes]
    require(sizes and all(map(is_size, sizes)),
            f"sizes must be 1 or more, not {' '.join(map(str, sizes)) or 'none'}")
    return sizes


def mlp(sizes, activation, rng, last=False):
    """Linear layers sizes[0] -> sizes[1] -> ..., with the activation between them; last: and after
    the last one, which makes it hidden layers of a larger network."""
    layers = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [Linear(n_in, n_out, rng, init=glorot_uniform), Activation(activation)]
    return Sequential(*(layers if last else layers[:-1]))


class ResidualBlock(Module):
    """x + conv 1x1 (ReLU (conv 3x3 (ReLU x))), the 3x3 to fewer channels. He et al. 2016
    (1603.05027), figure 4: the ReLUs come first."""

    def __init__(self, channels, hidden, rng):
        self.narrow = Conv2d(channels, hidden, 3, rng, padding=1)
        self.widen = Conv2d(hidden, channels, 1, rng)

    def forward(self, x):
        y = self.narrow(ops.relu(x))
        return x + self.widen(ops.relu(y))


def dropout(x, noise, p):
    """Without a part p of the features, drawn anew for each image; the others grow by as much, so
    that the mean over the noise is x, and evaluation needs no noise:

        y = x * keep / (1 - p),   keep = [noise > q],   q such that N(0, 1) is below it with
                                                        probability p
        dL/dx = g * keep / (1 - p)

    x: (N, ..., C); noise: an array (N, C) of N(0, 1), one number for a whole feature map, whose
    neighbouring places say nearly the same. No feature can count on another one then, and a network
    learns its training images less by heart. Sources: Srivastava et al. 2014; of whole maps Tompson
    et al. 2015 (1411.4280). Raises ValueError for a p outside (0, 1), or another shape of noise.
    """
    require(0 < p < 1, "dropout: p must be above 0 and below 1, not {}", p)
    require(noise.shape == (x.shape[0], x.shape[-1]), "dropout: noise {} for x {}: needs (N, C)",
            noise.shape, x.shape)
    q = NormalDist().inv_cdf(p)
    keep = xp.asarray(noise).reshape(x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]) > q
    return x * (keep / np.float32(1 - p)).astype(x.dtype)


def residual_stack(channels, hidden, blocks, rng):
    """`blocks` residual blocks, each with weights of its own, and a last ReLU."""
    return [*(ResidualBlock(channels, hidden, rng) for _ in range(blocks)), Activation("relu")]


class Model(Module):
    """What training asks of a model.

    num_classes: above 0, the loss and the samples also take `labels`. takes_codes: its images are
    grids of indices, whatever their integers' width, and no bytes to divide by 255. noise_dim: how
    many N(0, 1) numbers the loss takes for an image. microbatch: images taken through it at a time
    (None: the whole batch). steps_done: of its training, for what changes with it: `training.step`
    sets it. inf: nobody counts them, as in a loop of one's own: a warm-up is over then.

    It is not called; it has `loss`.

    What else can be made with a model is found by asking whether it has the method:

        sample(n, rng)      reconstruct(x)     encode(x), mean_image(z)    codes(x), decode_codes(k)
        complete(x, rng): it draws its images in order, row by row
        neg_log_likelihood(x): exactly          log_likelihood(x, K, rng): an estimate
    """

    num_classes, takes_codes, noise_dim, microbatch, steps_done = 0, False, 0, None, math.inf

    def loss(self, x, noise=None):
        """A batch -> (loss, metrics): the loss a Tensor, the metrics arrays, "loss" among them; all
        are means over the images. noise: (n, noise_dim), N(0, 1), float32."""
        raise NotImplementedError(f"{type(self).__name__} has no loss()")

    def prepare(self, batch, rng):
        """Called before each step with its images, as the data set has them: for what starts from
        data (a codebook). A loop of one's own calls it, and `update`, as training.step does."""

    def update(self, means, n):
        """Called after each step with the metrics' means over its n images: learns what is learned
        without gradients (a codebook), and returns those that are worth keeping."""
        return means

    def batch_metrics(self, means):
        """means, and the metrics of a whole batch that are no mean over images."""
        return means

    def epoch_metrics(self, means):
        """The same for all images of an epoch or a test set; all are numbers then."""
        return means
