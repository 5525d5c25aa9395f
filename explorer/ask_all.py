"""All that can be asked."""

from . import ask_pixelcnn, ask_vae, ask_vqvae, runs  # noqa: F401
