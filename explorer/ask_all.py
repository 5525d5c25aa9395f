"""All that can be asked."""

from . import ask_book, ask_vae, runs  # noqa: F401
