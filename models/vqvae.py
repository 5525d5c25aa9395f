"""The VQ-VAE. van den Oord et al. 2017 (1711.00937).

The encoder turns an image into a small grid of vectors z_e, (N, h, w, D). Each is replaced by
the nearest of K vectors e_k, the codebook; the grid of their indices is the latent code, and the
decoder gets the vectors z_q = e_k. The loss (eq. 3), sg[.] being stop-gradient:

    L  =  reconstruction  +  ||sg[z_e] - e||^2  +  beta ||z_e - sg[e]||^2
                             codebook term         commitment term

The codebook term moves codes to the vectors that chose them; the commitment term keeps the
encoder from running away from its codes. The reconstruction reaches the encoder through the
straight-through estimator (ops.straight_through).

With codebook="ema" there is no codebook term: each code is the running mean of the vectors
that chose it (appendix A.1), `update`. docs/07-vqvae.md derives each line.
"""

import numpy as np

from scratchnet import nn, no_grad, ops
from scratchnet.backend import xp
from scratchnet.fast.segments import count, segment_sum
from scratchnet.inputs import (
    images,
    integers,
    nearest_size,
    not_negative,
    one_of,
    require,
    shape_of_images,
    sizes,
)
from scratchnet.losses import perplexity
from scratchnet.nn import Model
from scratchnet.tensor import Tensor

from . import moving_codes

CODEBOOKS = ("gradient", "ema")
EPS = 1e-5  # of the Laplace smoothing


class VQVAE(Model):
    """An encoder, a codebook, a decoder.

    image_shape: (H, W, C). architecture: a key of ARCHITECTURES. num_embeddings K,
    embedding_dim D, commitment_cost beta. codebook: "gradient" or "ema"; decay: gamma of the
    running means. restart_below: a code that gets less than this part of a fair share of the
    vectors, on a running average, is moved onto a random vector of the batch (0: never). residual:
    more residual blocks of the decoder, on the grid of codes, so that a code's picture depends on
    its neighbours. data_variance: of the training pixels in [0, 1]; the reconstruction term is the
    squared error divided by it. rng: a Generator, or a seed, for the initial weights.

    The codebook starts as U(-1/K, 1/K), and at the first step of a training, by `prepare`, on
    vectors that the encoder gives (moving_codes.py).

    Raises ValueError for an unknown codebook or architecture, and for images whose height or width
    is not a multiple of 4.
    """

    def __init__(self, image_shape, architecture="sonnet", num_embeddings=512, embedding_dim=64,
                 commitment_cost=0.25, codebook="ema", decay=0.99, restart_below=0.0, residual=0,
                 data_variance=1.0, rng=0):
        rng = np.random.default_rng(rng)
        height, width, channels = self.image_shape = shape_of_images("VQVAE", image_shape)
        sizes("VQVAE", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        not_negative("VQVAE", commitment_cost=commitment_cost, restart_below=restart_below)
        require(0 <= decay < 1, "VQVAE: decay must be at least 0 and below 1, not {}", decay)
        require(data_variance > 0, "VQVAE: the images are all alike, and there is nothing to learn")
        one_of("VQVAE: codebook", codebook, CODEBOOKS)
        one_of("VQVAE: architecture", architecture, ARCHITECTURES)
        require(height % 4 == width % 4 == 0, "VQVAE: images of {} x {} do not fit: it halves them "
                "twice; height and width must be multiples of 4: images of {} would do", height,
                width, nearest_size(height, width, 4))
        K, D = num_embeddings, embedding_dim
        self.beta = commitment_cost
        self.codebook, self.decay, self.restart_below = codebook, decay, restart_below
        self.losses_done = self.updates = 0  # of a training; the losses before the first update
        self.placed = False  # whether its codes were put where images are
        self.encoder, self.decoder = ARCHITECTURES[architecture](channels, D, rng, residual)
        e = rng.uniform(-1 / K, 1 / K, (K, D)).astype(np.float32)
        self.e = Tensor(e, requires_grad=codebook == "gradient")
        self.data_variance = Tensor(np.array(data_variance, np.float32))
        # The running state of the EMA: N_k vectors in a batch choose code k, their sum is m_k.
        self.N = Tensor(np.ones(K, np.float32))
        self.m = Tensor(e.copy())
        self.vectors = height // 4 * (width // 4)  # of an image

    # ------------------------------------------------------------ the parts

    def encode(self, x):
        """Images (N, H, W, C) in [0, 1] -> z_e (N, H/4, W/4, D)."""
        return self.encoder(images("VQVAE", x, self.image_shape, self.e.dtype) - 0.5)

    def decode(self, z_q):
        """z_q (N, H/4, W/4, D) -> images (N, H, W, C), about in [0, 1]."""
        return self.decoder(z_q) + 0.5

    @no_grad()
    def codes(self, x):
        """Images -> indices of their codes, integers (N, H/4, W/4)."""
        return ops.nearest_code(self.encode(x), self.e)

    @no_grad()
    def decode_codes(self, indices):
        """Indices (N, H/4, W/4), or with a last axis of 1 as a prior draws them, -> images
        (N, H, W, C). Raises TypeError, IndexError or ValueError for what are no such indices."""
        indices = integers("VQVAE: codes", indices, len(self.e), "codes")
        wide = indices.ndim == 3 and (indices.shape[2] > 1 or self.image_shape[1] == 4)
        require(wide or indices.shape[3:] == (1,),
                "VQVAE: given codes of shape {}; it needs (N, height, width)", indices.shape)
        return self.decode(ops.embedding(indices.reshape(indices.shape[:3]), self.e))

    # ------------------------------------------------------------ the loss

    def loss(self, x, noise=None):
        """Images (N, H, W, C) in [0, 1] -> (loss, metrics).

        recon_error is the mean squared error over data_variance, vq the codebook and commitment
        terms (means over vectors and dimensions, beta included; with "ema" the commitment term
        alone), usage the distribution of these images' codes (K,), and in training with "ema" sums
        (K, D), for each code the sum of the vectors that chose it, over the number of all vectors.
        noise: not used.

        Raises RuntimeError for a training with "ema" whose codebook is never updated.
        """
        x = images("VQVAE", x, self.image_shape, self.e.dtype)
        z_e = self.encoder(x - 0.5)
        k = ops.nearest_code(z_e, self.e)
        e = ops.embedding(k, self.e)
        x_hat = self.decode(ops.straight_through(e, z_e))

        recon_error = mean_square(x_hat - x) / self.data_variance
        vq = self.beta * mean_square(z_e - e.detach())  # ||z_e - sg[e]||^2
        if self.codebook == "gradient":
            vq = vq + mean_square(e - z_e.detach())     # ||sg[z_e] - e||^2
        loss = recon_error + vq
        metrics = {"loss": loss.detach(), "recon_error": recon_error.detach(), "vq": vq.detach(),
                   "usage": count(k.reshape(-1), len(self.e), z_e.dtype) / k.size}
        if self.training and self.codebook == "ema":
            self.check_updates(loss)
            metrics["sums"] = segment_sum(k.reshape(-1), z_e.data.reshape(k.size, -1),
                                          len(self.e)) / k.size
        return loss, metrics

    def batch_metrics(self, means):
        """Add perplexity, exp(entropy) of the codes of a whole batch, from their usage."""
        return means | {"perplexity": perplexity(means["usage"])}

    def epoch_metrics(self, means):
        """The mean of `usage` over an epoch is the distribution of its codes: codes_used counts
        those that were used at all, epoch_perplexity is exp of its entropy."""
        usage = np.asarray(means["usage"], np.float64)
        means = {n: v for n, v in means.items() if n != "usage"}
        return means | {"codes_used": int((usage > 0).sum()),
                        "epoch_perplexity": float(perplexity(xp.asarray(usage)))}

    # ------------------------------------------------------------ the codebook

    def update(self, means, n):
        """Update the running means with the vectors of a batch of n images, after its step.

            N_k <- gamma N_k + (1 - gamma) n_k             n_k vectors chose code k
            m_k <- gamma m_k + (1 - gamma) sum of them
            e_k  = m_k / N'_k,   N'_k = (N_k + eps) / (N + K eps) * N,   N = sum of N_k   ("ema")

        N' (Laplace smoothing) keeps a code that nobody chose from being divided by 0; it is not
        written back into N_k. On a GPU the sums repeat to rounding only (fast/segments.py).
        Source: appendix A.1, eq. 6 to 8.
        """
        if not self.training:
            return means
        self.updates += 1
        vectors, K, gamma = n * self.vectors, len(self.e), self.decay
        self.N.data[...] = gamma * self.N.data + (1 - gamma) * (means["usage"] * vectors)
        if self.codebook == "ema":
            self.m.data[...] = gamma * self.m.data + (1 - gamma) * (means["sums"] * vectors)
            N = self.N.data.sum()
            smoothed = (self.N.data + EPS) / (N + K * EPS) * N
            self.e.data[...] = self.m.data / smoothed[:, None]
        return {name: value for name, value in means.items() if name != "sums"}

    def check_updates(self, loss):
        """RuntimeError at the 100th loss of a training whose codebook was never updated: no
        gradient reaches it, so it would stay as it began, and say nothing."""
        if not self.updates and loss.requires_grad:
            self.losses_done += 1
            if self.losses_done == 100:
                raise RuntimeError(
                    "VQVAE: 100 losses, and its codebook was never updated: it is learned as "
                    "running means, not by the optimiser. training.step does all of a step; in a "
                    "loop of your own call model.prepare(batch, rng) before the loss and "
                    "model.update(metrics, len(batch)) after optimizer.step()")

    def prepare(self, batch, rng):
        """Move codes that nobody chooses: ours, not the paper's."""
        if self.training:
            moving_codes.prepare(self, batch, rng)

    @no_grad()
    def reconstruct(self, x):
        """Images -> what the decoder makes of their codes, same shape."""
        return self.decode_codes(self.codes(x)).reshape(x.shape)


def mean_square(x):
    """The mean of x^2 over all elements."""
    return (x * x).mean()


# ---------------------------------------------------------------- architectures

def sonnet(C, D, rng, residual=0, channels=(64, 128), hidden=32, blocks=2):
    """Encoder and decoder of the paper's CIFAR-10 model, in the sizes of Sonnet's example; the
    decoder with `residual` blocks more."""
    (c1, c2), relu = channels, nn.Activation("relu")
    encoder = nn.Sequential(
        nn.Conv2d(C, c1, 4, rng, stride=2, padding=1), relu,
        nn.Conv2d(c1, c2, 4, rng, stride=2, padding=1), relu,
        nn.Conv2d(c2, c2, 3, rng, padding=1), *nn.residual_stack(c2, hidden, blocks, rng),
        nn.Conv2d(c2, D, 1, rng))
    decoder = nn.Sequential(
        nn.Conv2d(D, c2, 3, rng, padding=1),
        *nn.residual_stack(c2, hidden, blocks + residual, rng),
        nn.ConvTranspose2d(c2, c1, 4, rng, stride=2, padding=1), relu,
        nn.ConvTranspose2d(c1, C, 4, rng, stride=2, padding=1))
    return encoder, decoder


def keras(C, D, rng, residual=0, channels=(32, 64), wide=128, hidden=32):
    """Encoder and decoder of Keras's MNIST example: 3x3, no residual blocks. With `residual` of
    them (ours, not Keras's), the decoder first looks at a code's neighbours, in `wide` channels."""
    (c1, c2), relu = channels, nn.Activation("relu")
    def up(n, m): return nn.ConvTranspose2d(n, m, 3, rng, stride=2, padding=1, output_padding=1)
    encoder = nn.Sequential(
        nn.Conv2d(C, c1, 3, rng, stride=2, padding=1), relu,
        nn.Conv2d(c1, c2, 3, rng, stride=2, padding=1), relu, nn.Conv2d(c2, D, 1, rng))
    neighbours = []
    if residual:
        neighbours = [nn.Conv2d(D, wide, 3, rng, padding=1),
                      *nn.residual_stack(wide, hidden, residual, rng)]
    decoder = nn.Sequential(
        *neighbours, up(wide if residual else D, c2), relu, up(c2, c1), relu,
        nn.ConvTranspose2d(c1, C, 3, rng, padding=1))
    return encoder, decoder


ARCHITECTURES = {"sonnet": sonnet, "keras": keras}
