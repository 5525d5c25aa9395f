"""The models, and the recipe by which the training scripts build and train each of them.

A model is a scratchnet.nn.Module with `loss(x, noise) -> (loss, metrics)`, `table` (the
metrics worth a column), `units`, and whichever of `reconstruct`, `sample` and `encode`
make sense for it.
"""

import math
from dataclasses import dataclass, field

from .autoencoder import Autoencoder
from .vae import VAE

__all__ = ["RECIPES", "Autoencoder", "Recipe", "VAE"]


@dataclass(frozen=True)
class Recipe:
    """How to build a model for images of a shape, and the defaults of its flags.

    build: (image_shape, rng, **sizes) -> model. training: defaults that differ from the
    command line's own. sizes: {flag of the model: default}.
    """

    about: str
    build: callable
    sizes: dict
    training: dict = field(default_factory=dict)


def build_autoencoder(shape, rng, **sizes):
    return Autoencoder(math.prod(shape), rng=rng, **sizes)


def build_vae(shape, rng, **sizes):
    return VAE(math.prod(shape), rng=rng, **sizes)


VAE_SIZES = {"h_dim": [400], "z_dim": 20, "activation": "relu", "likelihood": "bernoulli",
             "sigma_x": 0.1, "beta": 1.0}

RECIPES = {
    "autoencoder": Recipe(
        "plain autoencoder, 784-400-20-400-784", build_autoencoder,
        {"h_dim": [400], "z_dim": 20, "activation": "relu"}),
    "vae": Recipe(
        "the small VAE, 784-400-(20, 20)-400-784, ReLU", build_vae, VAE_SIZES,
        {"schedule": "cooldown"}),
    "vae-paper": Recipe(
        "the VAE of Kingma & Welling 2013: one tanh layer of 500 each way", build_vae,
        VAE_SIZES | {"h_dim": [500], "activation": "tanh"},
        {"batch_size": 100, "epochs": 50, "schedule": "cooldown"}),
    "vae-iwae": Recipe(
        "the VAE of Burda et al. 2015: 784-200-200-50, tanh, re-binarised every epoch", build_vae,
        VAE_SIZES | {"h_dim": [200, 200], "z_dim": 50, "activation": "tanh"},
        {"batch_size": 100, "epochs": 50, "schedule": "cooldown", "binarize": "dynamic"}),
}
