"""scratchnet: reverse-mode autograd on NumPy or CuPy, and VAE, VQ-VAE and PixelCNN on it.

Read in this order: tensor (printed by arraylike), backend (xp), inputs (skim), ops/, taps, conv,
losses, nn, optim, gradcheck, draw (a picture of the tape), training; then models/, from autoencoder
to recipes. fast/ computes the same sooner, runs/ is what a person at a terminal needs;
docs/architecture.md.
"""

from . import losses, nn, ops, optim
from .backend import to_numpy, use, xp
from .draw import draw
from .gradcheck import GradientError, gradcheck
from .tensor import Tensor, no_grad

__version__ = "0.1.0"
__all__ = ["GradientError", "Tensor", "draw", "gradcheck", "losses", "nn", "no_grad", "ops",
           "optim", "to_numpy", "use", "xp"]
