"""All that can be asked."""

from . import (  # noqa: F401
    ask_backprop,
    ask_book,
    ask_pixelcnn,
    ask_runs,
    ask_training,
    ask_vae,
    ask_vqvae,
    runs,
)
