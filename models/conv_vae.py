"""The convolutional VAE: that of models/vae.py with convolutions for layers, and with a code that
is one vector or a map of them.

Loss and samples are the same. docs/03-convolution.md has the math of the layers, docs/results.md
what which sizes are good for.
"""

import math

import numpy as np

from scratchnet import nn
from scratchnet.inputs import nearest_size, one_of, require, shape_of_images, sizes

from .vae import LABEL_DIM, VAE, label_tables

LATENTS = ("vector", "map")


class ConvVAE(VAE):
    """The VAE with a convolutional encoder, and its mirror image as decoder.

    image_shape: (H, W, C). channels: of the convolutions, 3x3 with stride 2 and ReLU, from the
    image inwards, to a map of h x w; then `residual` residual blocks, with half as many channels
    within; the decoder goes the same way back with transposed convolutions, and a last 3x3 to the
    pixels. latent: what lies between,

        "vector"  hidden layers of h_dim (a number or a sequence) and z_dim numbers: what is in the
                  image, wherever it is
        "map"     z_dim numbers at each of the h x w places: what is there. No hidden layers

    mixture: above 0, "logistic" has so many components for a pixel, and given z its channels are
    not independent: green is expected where red was, and blue where both were
    (losses.logistic_mixture).

    The rest as in VAE. Keras's example is channels (32, 64), h_dim 16, z_dim 2.

    Raises ValueError as VAE does, for an unknown latent, and for images whose height or width the
    convolutions cannot halve each time.
    """

    def __init__(self, image_shape, channels=(32, 64), h_dim=256, z_dim=20, residual=0,
                 latent="vector", likelihood="bernoulli", sigma_x=0.1, beta=1.0, warmup=0,
                 importance_samples=1, num_classes=0, mixture=0, rng=0):
        H, W, C = shape = shape_of_images("ConvVAE", image_shape)
        sizes("ConvVAE", z_dim=z_dim)
        rng, channels = np.random.default_rng(rng), nn.as_sizes(channels)
        by = 2 ** len(channels)
        require(H % by == W % by == 0, "ConvVAE: images of {} x {} do not fit: {} convolutions of "
                "stride 2 need height and width to be multiples of {}; images of {} would do{}",
                H, W, len(channels), by, nearest_size(H, W, by),
                "" if H % 2 or W % 2 else ", or fewer channels")
        one_of("ConvVAE: latent", latent, LATENTS)
        h_dim, relu = nn.as_sizes(h_dim), nn.Activation("relu")
        h, w, c = inner = (H // by, W // by, channels[-1])
        vector, numbers = latent == "vector", math.prod(inner)
        # Not VAE.__init__: the layers are others. The rest is the same.
        self.set_up(shape, (z_dim,) if vector else (h, w, z_dim), likelihood, sigma_x, beta, warmup,
                    importance_samples, num_classes, mixture)
        D = LABEL_DIM if num_classes else 0
        def blocks(): return nn.residual_stack(c, max(1, c // 2), residual, rng) if residual else []

        down = []
        for n, k in zip([C + D, *channels], channels, strict=False):
            down += [nn.Conv2d(n, k, 3, rng, stride=2, padding=1), relu]
        down += blocks()
        if vector:
            down += [nn.Reshape(numbers), nn.mlp([numbers, *h_dim], "relu", rng, last=True)]
        self.encoder = nn.Sequential(*down)
        self.posterior = (nn.Linear(h_dim[-1], 2 * z_dim, rng) if vector else
                          nn.Conv2d(c, 2 * z_dim, 1, rng))

        up = []
        for n, k in zip([c, *channels[::-1]], channels[::-1], strict=False):
            up += [nn.ConvTranspose2d(n, k, 3, rng, stride=2, padding=1, output_padding=1), relu]
        if vector:
            first = [nn.mlp([z_dim + D, *reversed(h_dim), numbers], "relu", rng, last=True),
                     nn.Reshape(*inner)]
        else:
            first = [nn.Reshape(h, w, z_dim + D), nn.Conv2d(z_dim + D, c, 3, rng, padding=1),
                     *([] if residual else [relu])]
        self.decoder = nn.Sequential(*first, *blocks(), *up)
        self.pixels = nn.Conv2d(channels[0], self.outputs, 3, rng, padding=1)
        self.label_x, self.label_z = label_tables(num_classes, rng)
