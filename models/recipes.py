"""The models, and the recipes by which the training scripts build and train them.

A model is a scratchnet.nn.Module with `loss(x, noise) -> (loss, metrics)`, `table` (the
metrics worth a column), `units`, and whichever of `reconstruct`, `sample`, `complete`, `encode`
and `codes` make sense for it. One with `num_classes` above 0 is conditional: its loss and its
samples also take `labels`.
"""

import math
from dataclasses import dataclass, field

from .autoencoder import Autoencoder
from .pixelcnn import GatedPixelCNN, PixelCNN
from .vae import VAE, ConvVAE
from .vqvae import VQVAE


@dataclass(frozen=True)
class Recipe:
    """How to build a model for a data set, and the defaults of its flags.

    build: (dataset, rng, **sizes) -> model. sizes: {flag of the model: default}. training:
    defaults that differ from the command line's own.
    """

    about: str
    build: callable
    sizes: dict
    training: dict = field(default_factory=dict)


def build_autoencoder(dataset, rng, **sizes):
    return Autoencoder(math.prod(dataset.image_shape), rng=rng, **sizes)


def build_vae(dataset, rng, **sizes):
    return VAE(math.prod(dataset.image_shape), rng=rng, **sizes)


def build_conv_vae(dataset, rng, **sizes):
    return ConvVAE(dataset.image_shape, rng=rng, **sizes)


def build_vqvae(dataset, rng, **sizes):
    return VQVAE(dataset.image_shape, data_variance=dataset.variance, rng=rng, **sizes)


def build_pixelcnn(dataset, rng, **sizes):
    return PixelCNN(dataset.image_shape, rng=rng, **sizes)


def build_gated(dataset, rng, conditional, **sizes):
    return GatedPixelCNN(dataset.image_shape, num_classes=dataset.num_classes * conditional,
                         rng=rng, **sizes)


def build_prior(dataset, rng, codes, conditional, **sizes):
    """codes: the run that the data set's codes come from; it has been read already."""
    return GatedPixelCNN(dataset.image_shape, levels=dataset.levels, decode=dataset.decode,
                         num_classes=dataset.num_classes * conditional, rng=rng, **sizes)


PIXELS = {"likelihood": "bernoulli", "sigma_x": 0.1, "beta": 1.0}
MLP = {"h_dim": [400], "z_dim": 20, "activation": "relu"}
CODES = {"commitment_cost": 0.25, "codebook": "ema", "decay": 0.99, "restart_below": 0.0}

# {script: {model: recipe}}
RECIPES = {
    "train_mnist.py": {
        "autoencoder": Recipe("plain autoencoder, 784-400-20-400-784", build_autoencoder, MLP),
        "vae": Recipe(
            "the small VAE, 784-400-(20, 20)-400-784, ReLU", build_vae, MLP | PIXELS,
            {"schedule": "cooldown"}),
        "vae-paper": Recipe(
            "the VAE of Kingma & Welling 2013: one tanh layer of 500 each way", build_vae,
            MLP | PIXELS | {"h_dim": [500], "activation": "tanh"},
            {"batch_size": 100, "epochs": 50, "schedule": "cooldown"}),
        "vae-iwae": Recipe(
            "the VAE of Burda et al. 2015: 784-200-200-50, tanh, re-binarised every epoch",
            build_vae, MLP | PIXELS | {"h_dim": [200, 200], "z_dim": 50, "activation": "tanh"},
            {"batch_size": 100, "epochs": 50, "schedule": "cooldown", "binarize": "dynamic"}),
        "conv-vae": Recipe(
            "convolutional VAE: two 3x3 convolutions of stride 2 each way", build_conv_vae,
            {"channels": [32, 64], "h_dim": [256], "z_dim": 20} | PIXELS,
            {"epochs": 15, "schedule": "cooldown"}),
        "vqvae": Recipe(
            "VQ-VAE of Keras's example: 7x7 codes of 128", build_vqvae,
            {"architecture": "keras", "num_embeddings": 128, "embedding_dim": 16} | CODES,
            {"epochs": 30, "schedule": "cooldown"}),
        "pixelcnn": Recipe(
            "the small PixelCNN: 15 residual blocks of 32 features", build_pixelcnn,
            {"levels": 2, "features": 32, "blocks": 15, "head": 32, "dilations": [1]},
            {"epochs": 20, "batch_size": 32, "lr": 3e-3, "schedule": "cooldown",
             "binarize": "dynamic", "average": 0.999}),
        "gated-pixelcnn": Recipe(
            "PixelCNN with two stacks of gated convolutions, which see every earlier pixel",
            build_gated, {"levels": 2, "features": 32, "blocks": 7, "head": 32,
                          "dilations": [1, 2, 4, 8, 1, 2, 8], "conditional": False},
            {"epochs": 10, "batch_size": 32, "lr": 2e-3, "schedule": "cooldown",
             "binarize": "dynamic", "average": 0.999}),
        "prior": Recipe(
            "gated PixelCNN over the codes of a VQ-VAE (--codes)", build_prior,
            {"codes": None, "embedding_dim": 32, "features": 48, "blocks": 4, "head": 96,
             "dilations": [1], "conditional": False},
            {"epochs": 8, "batch_size": 64, "lr": 2e-3, "schedule": "cooldown",
             "average": 0.999}),
    },
    "train_cifar.py": {
        "conv-vae": Recipe(
            "convolutional VAE with a likelihood of 8-bit pixels", build_conv_vae,
            {"channels": [32, 64, 128], "h_dim": [256], "z_dim": 128} | PIXELS
            | {"likelihood": "logistic"}, {"epochs": 10, "schedule": "cooldown"}),
        "vqvae": Recipe(
            "VQ-VAE of the paper, in the sizes of Sonnet's example: 8x8 codes of 512", build_vqvae,
            {"architecture": "sonnet", "num_embeddings": 512, "embedding_dim": 64} | CODES,
            {"steps": 10_000, "epochs": None, "batch_size": 32, "lr": 3e-4,
             "schedule": "cooldown"}),
        "pixelcnn": Recipe(
            "PixelCNN over 8-bit pixels, in the order R, G, B", build_pixelcnn,
            {"levels": 256, "features": 48, "blocks": 8, "head": 96, "dilations": [1]},
            {"epochs": 3, "batch_size": 16, "lr": 2e-3, "schedule": "cooldown",
             "average": 0.999}),
        "gated-pixelcnn": Recipe(
            "PixelCNN with two stacks of gated convolutions, which see every earlier pixel",
            build_gated, {"levels": 256, "features": 48, "blocks": 5, "head": 96,
                          "dilations": [1, 2, 4, 8, 16], "conditional": False},
            {"epochs": 3, "batch_size": 16, "schedule": "cooldown", "average": 0.999}),
        "prior": Recipe(
            "gated PixelCNN over the codes of a VQ-VAE (--codes)", build_prior,
            {"codes": None, "embedding_dim": 64, "features": 64, "blocks": 5, "head": 128,
             "dilations": [1], "conditional": False},
            {"epochs": 10, "batch_size": 64, "schedule": "cooldown", "average": 0.999}),
    },
}
