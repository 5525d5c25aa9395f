"""The plain autoencoder: squeeze an image through a few numbers, and get it back.

    z = f(x),   x_hat = sigmoid(g(z)),   loss = BCE(x_hat, x) summed over pixels

Nothing asks the codes z to fill a known region, so there is nothing to sample
from: that is what the VAE (models/vae.py) adds. docs/05-network.md trains it and sets PCA
beside it, docs/06-vae.md the VAE.
"""

import numpy as np

from scratchnet import losses, nn, no_grad, ops
from scratchnet.inputs import images, sizes
from scratchnet.nn import Model


class Autoencoder(Model):
    """An MLP encoder and its mirror image as decoder.

    input_dim: pixels of an image, all channels. h_dim: a number or a sequence, the
    hidden layers from the image inwards. z_dim: size of the code. rng: a Generator, or a
    seed, for the initial weights. Raises ValueError for a size below 1 or an unknown activation.
    """

    def __init__(self, input_dim, h_dim=400, z_dim=20, activation="relu", rng=0):
        sizes("Autoencoder", input_dim=input_dim, z_dim=z_dim)
        rng = np.random.default_rng(rng)
        h_dim = nn.as_sizes(h_dim)
        self.input_dim, self.z_dim = input_dim, z_dim
        self.encoder = nn.mlp([input_dim, *h_dim], activation, rng, last=True)
        self.code = nn.Linear(h_dim[-1], z_dim, rng)
        self.decoder = nn.mlp([z_dim, *reversed(h_dim)], activation, rng, last=True)
        self.logits = nn.Linear(h_dim[0], input_dim, rng)

    def rows(self, x):
        """Images (N, ...) in [0, 1] as a Tensor (N, input_dim); inputs.images says what raises."""
        return images("Autoencoder", x, (self.input_dim,), self.logits.w.dtype)

    def encode(self, x):
        """Images (N, ...) -> codes z (N, z_dim)."""
        return self.code(self.encoder(self.rows(x)))

    def decode(self, z):
        """Codes (N, z_dim) -> logits of the pixels (N, input_dim)."""
        return self.logits(self.decoder(z))

    def loss(self, x, noise=None):
        """Images in [0, 1] -> (loss, metrics); the loss in nats, summed over pixels, averaged
        over images. noise is not used: an autoencoder has none."""
        x = self.rows(x)
        z = self.code(self.encoder(x))
        loss = losses.bce_with_logits(self.decode(z), x, reduction="batchmean")
        return loss, {"loss": loss.detach()}

    def mean_image(self, z):
        """Codes (N, z_dim) -> pixels in [0, 1], (N, input_dim)."""
        return ops.sigmoid(self.decode(z))

    @no_grad()
    def reconstruct(self, x):
        """Images -> the decoder's pixels in [0, 1], same shape."""
        return self.mean_image(self.encode(x)).reshape(x.shape)
