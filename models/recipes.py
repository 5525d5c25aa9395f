"""How the training scripts build the models, and the defaults of their flags.

A size of a model is a parameter of its constructor and one line here, in the group that its
recipes have: (default, takes, text). It makes the size a flag of the scripts; text is its help, and
takes says how it is read: a key of scratchnet.runs.flags.TAKES, or the words to choose from.
"""

import math
from dataclasses import dataclass, field

from scratchnet.nn import ACTIVATIONS

from .autoencoder import Autoencoder
from .conv_vae import LATENTS, ConvVAE
from .gated import GatedPixelCNN
from .pixelcnn import PixelCNN
from .vae import LIKELIHOODS, VAE
from .vqvae import ARCHITECTURES, CODEBOOKS, VQVAE


@dataclass(frozen=True)
class Recipe:
    """How to build a model for a data set, the defaults of its flags, and what is shown of it.

    build: (dataset, rng, **sizes) -> model. has: its sizes, {name: (default, takes,
    text)}, groups of them joined by |. shows: flags -> (the metrics
    worth a column, the first foremost; their units). changes: defaults of `has` that are other ones
    here. training: the same for the command line's own flags.
    """

    about: str
    build: callable
    has: dict
    shows: callable
    changes: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)

    @property
    def sizes(self):
        """{flag of the model: default}."""
        return {name: default for name, (default, _, _) in self.has.items()} | self.changes


# ---------------------------------------------------------------- sizes

CODE = {"z_dim": (20, "count", "dimensions of the latent code")}
MLP = {
    "h_dim": ([400], "counts", "hidden layers, from the image inwards"), **CODE,
    "activation": ("relu", tuple(ACTIVATIONS), "of the hidden layers"),
}
CONVOLUTIONS = {
    "channels": ([32, 64], "counts", "of the convolutions, from the image inwards"),
    "h_dim": ([256], "counts", "hidden layers, from the image inwards"), **CODE,
    "residual": (0, "natural", "residual blocks of the innermost map, each way"),
    "latent": ("vector", LATENTS, "map: --z-dim numbers at each place of the innermost map, without"
               " hidden layers"),
    "mixture": (0, "natural", "components of --likelihood logistic for a pixel, whose channels "
                "then depend on each other (0: each on its own)"),
}
PIXELS = {
    "likelihood": ("bernoulli", LIKELIHOODS, "p(x|z); logistic, of 256 levels, gives bits/dim"),
    "sigma_x": (0.1, "positive", "standard deviation of a gaussian p(x|z)"),
    "importance_samples": (1, "count", "codes for an image in training; above 1 their bound (IWAE) "
                           "in the place of the ELBO"),
    "beta": (1.0, "not negative", "weight of the KL term"),
    "warmup": (0, "natural", "steps over which the weight of the KL term rises to --beta"),
}
CODEBOOK = {
    "architecture": ("sonnet", tuple(ARCHITECTURES), "sonnet has residual blocks"),
    "num_embeddings": (512, "count", "K, the size of the codebook"),
    "embedding_dim": (64, "count", "D, the length of a code vector"),
    "commitment_cost": (0.25, "not negative", "beta of the commitment term"),
    "codebook": ("ema", CODEBOOKS, "how codes are learned; ema is as running means"),
    "decay": (0.99, "between 0 and 1", "gamma of the codebook's running means"),
    "restart_below": (0.0, "not negative", "move a code that gets less than this part of a "
                      "fair share onto a random vector (0: never)"),
    "residual": (0, "natural", "more residual blocks of the decoder"),
}
NETWORK = {
    "features": (32, "count", "channels of the PixelCNN's feature maps"),
    "blocks": (15, "count", "residual or gated blocks of the PixelCNN"),
    "head": (32, "count", "channels between its last two 1x1 convolutions"),
    "dilations": ([1], "counts", "pixels from one tap to the next, for each block in turn"),
}
LEVELS = {
    "levels": (2, "count", "values that a pixel takes: 2 (Bernoulli) to 256"),
    "mixture": (0, "natural", "components of a mixture of discretised logistics for a pixel, "
                "instead of a softmax over its levels (0: softmax)"),
}
CLASSES = {"conditional": (False, "yes or no", "condition on the class label")}
LEFT_OUT = {
    "dropout": (0.0, "below 1", "part of a block's features that are left out in training"),
    "untold": (0.0, "below 1", "with --conditional: part of the images that are not told their "
               "class in training (0.1, say), for generate.py --guidance"),
}
GRIDS = {
    "codes": (None, "RUN", "the run of a VQ-VAE, whose codes the prior models"),
    "embedding_dim": (32, "count", "D, the length of a code vector"),
}


# ---------------------------------------------------------------- what is shown

def of_a_vae(flags):
    columns, units = ("neg_elbo", "reconstruction", "kl"), "nats per image" + given_class(flags)
    if flags.importance_samples > 1:
        columns = ("neg_bound", *columns)
    if flags.likelihood == "logistic":
        return ("bits_per_dim", *columns), units
    return columns, units + {
        "bernoulli": " (grey pixels: a loss)" * (flags.binarize == "none"),
        "gaussian": " (minus a log-density of pixels in [0, 1])"}[flags.likelihood]


def of_pixels(flags):
    return ("nll", "bits_per_dim"), "nats per image" + given_class(flags)


def of_codes(flags):
    return ("nats_per_code", "nll"), "nats per code, and per grid of codes" + given_class(flags)


def given_class(flags):
    return ", given its class" if getattr(flags, "conditional", False) else ""


# ---------------------------------------------------------------- families: build, has, shows

def build_prior(dataset, rng, codes, conditional, **sizes):
    """codes: the run that the data set's codes come from; it has been read already.
    docs/09-priors-and-bits.md says what a prior is for."""
    return GatedPixelCNN(dataset.image_shape, levels=dataset.levels, decode=dataset.decode,
                         num_classes=dataset.num_classes * conditional, rng=rng, **sizes)


AN_AUTOENCODER = (
    lambda dataset, rng, **sizes: Autoencoder(math.prod(dataset.image_shape), rng=rng, **sizes),
    MLP, lambda flags: (("loss",), "nats per image (BCE: a loss, not a likelihood)"))
A_VAE = (
    lambda dataset, rng, conditional, **sizes: VAE(
        math.prod(dataset.image_shape), num_classes=dataset.num_classes * conditional, rng=rng,
        **sizes),
    MLP | PIXELS | CLASSES, of_a_vae)
A_CONV_VAE = (
    lambda dataset, rng, conditional, **sizes: ConvVAE(
        dataset.image_shape, num_classes=dataset.num_classes * conditional, rng=rng, **sizes),
    CONVOLUTIONS | PIXELS | CLASSES, of_a_vae)
A_VQVAE = (
    lambda dataset, rng, **sizes: VQVAE(dataset.image_shape, data_variance=dataset.variance,
                                        rng=rng, **sizes),
    CODEBOOK, lambda flags: (("recon_error", "vq", "perplexity", "codes_used"),
                             "squared error / data variance"))
A_PIXELCNN = (
    lambda dataset, rng, **sizes: PixelCNN(dataset.image_shape, rng=rng, **sizes),
    LEVELS | NETWORK, of_pixels)
A_GATED_ONE = (
    lambda dataset, rng, conditional, **sizes: GatedPixelCNN(
        dataset.image_shape, num_classes=dataset.num_classes * conditional, rng=rng, **sizes),
    LEVELS | NETWORK | LEFT_OUT | CLASSES, of_pixels)
A_PRIOR = (build_prior, GRIDS | NETWORK | LEFT_OUT | CLASSES, of_codes)


# ---------------------------------------------------------------- recipes

GATED = "PixelCNN with two stacks of gated convolutions, which see every earlier pixel"
PRIOR = "gated PixelCNN over the codes of a VQ-VAE (--codes)"
COOLED = {"schedule": "cooldown"}
AVERAGED = COOLED | {"average": 0.999}
OWN_TRAINING, OWN_AVERAGED = COOLED | {"epochs": 20}, AVERAGED | {"epochs": 20}
BINARY = AVERAGED | {"batch_size": 32, "binarize": "dynamic"}

BYTES = {"levels": 256, "features": 48, "blocks": 8, "head": 96}  # of 8-bit pixels
BYTES_GATED = BYTES | {"blocks": 5, "dilations": [1, 2, 4, 8, 16]}
WIDE_PRIOR = {"embedding_dim": 64, "features": 64, "blocks": 5, "head": 128}

# {kind of images: {model: recipe}}
RECIPES = {
    "mnist": {
        "autoencoder": Recipe("plain autoencoder, 784-400-20-400-784", *AN_AUTOENCODER),
        "vae": Recipe("the small VAE, 784-400-(20, 20)-400-784, ReLU", *A_VAE, training=COOLED),
        "vae-paper": Recipe(
            "the VAE of Kingma & Welling 2013: one tanh layer of 500 each way", *A_VAE,
            {"h_dim": [500], "activation": "tanh"}, COOLED | {"batch_size": 100, "epochs": 50}),
        "vae-iwae": Recipe(
            "the VAE of Burda et al. 2015: 784-200-200-50, tanh, re-binarised every epoch",
            *A_VAE, {"h_dim": [200, 200], "z_dim": 50, "activation": "tanh"},
            COOLED | {"batch_size": 100, "epochs": 50, "binarize": "dynamic"}),
        "conv-vae": Recipe(
            "convolutional VAE: two 3x3 convolutions of stride 2 each way", *A_CONV_VAE,
            training=COOLED | {"epochs": 15}),
        "vqvae": Recipe(
            "VQ-VAE of Keras's example: 7x7 codes of 128", *A_VQVAE,
            {"architecture": "keras", "num_embeddings": 128, "embedding_dim": 16},
            COOLED | {"epochs": 30}),
        "pixelcnn": Recipe("a small PixelCNN, in the sizes of EugenHotaj/pytorch-generative: 15 "
                           "residual blocks of 32 features", *A_PIXELCNN,
                           training=BINARY | {"epochs": 20, "lr": 3e-3}),
        "gated-pixelcnn": Recipe(GATED, *A_GATED_ONE,
                                 {"blocks": 7, "dilations": [1, 2, 4, 8, 1, 2, 8]},
                                 BINARY | {"epochs": 10, "lr": 2e-3}),
        "prior": Recipe(PRIOR, *A_PRIOR, {"features": 48, "blocks": 4, "head": 96},
                        AVERAGED | {"epochs": 8, "batch_size": 64, "lr": 2e-3}),
    },
    "cifar": {
        "conv-vae": Recipe(
            "convolutional VAE with a likelihood of 8-bit pixels", *A_CONV_VAE,
            {"channels": [32, 64, 128], "z_dim": 128, "likelihood": "logistic"}, COOLED),
        "vqvae": Recipe(
            "VQ-VAE of the paper, in the sizes of Sonnet's example: 8x8 codes of 512", *A_VQVAE,
            training=COOLED | {"steps": 10_000, "epochs": None, "batch_size": 32, "lr": 3e-4}),
        "pixelcnn": Recipe("PixelCNN over 8-bit pixels, in the order R, G, B", *A_PIXELCNN, BYTES,
                           AVERAGED | {"epochs": 3, "batch_size": 16, "lr": 2e-3}),
        "gated-pixelcnn": Recipe(GATED, *A_GATED_ONE, BYTES_GATED,
                                 AVERAGED | {"epochs": 3, "batch_size": 16}),
        "prior": Recipe(PRIOR, *A_PRIOR, WIDE_PRIOR,
                        AVERAGED | {"epochs": 10, "batch_size": 64}),
    },
    "images": {  # of one's own, of any size
        "autoencoder": Recipe("plain autoencoder, two hidden layers of 400", *AN_AUTOENCODER,
                              training=OWN_TRAINING),
        "vae": Recipe("VAE with hidden layers of 400", *A_VAE, training=OWN_TRAINING),
        "conv-vae": Recipe(
            "convolutional VAE with a likelihood of 8-bit pixels", *A_CONV_VAE,
            {"z_dim": 64, "likelihood": "logistic"}, OWN_TRAINING),
        "vqvae": Recipe("VQ-VAE of the paper: codes at a quarter of the size", *A_VQVAE,
                        {"num_embeddings": 256, "restart_below": 0.1},
                        OWN_TRAINING | {"batch_size": 32}),
        "pixelcnn": Recipe("PixelCNN over 8-bit pixels, in the order R, G, B", *A_PIXELCNN, BYTES,
                           OWN_AVERAGED | {"batch_size": 16}),
        "gated-pixelcnn": Recipe(GATED, *A_GATED_ONE, BYTES_GATED,
                                 OWN_AVERAGED | {"batch_size": 16}),
        "prior": Recipe(PRIOR, *A_PRIOR, WIDE_PRIOR,
                        OWN_AVERAGED | {"batch_size": 64}),
    },
}
