"""The models as in the papers; recipes.py says how the scripts build and train them."""

from .autoencoder import Autoencoder
from .conv_vae import ConvVAE
from .gated import GatedPixelCNN
from .pixelcnn import PixelCNN
from .recipes import RECIPES, Recipe
from .vae import VAE
from .vqvae import VQVAE

__all__ = ["RECIPES", "VQVAE", "VAE", "Autoencoder", "ConvVAE", "GatedPixelCNN", "PixelCNN",
           "Recipe"]
