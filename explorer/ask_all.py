"""All that can be asked."""

from . import ask_backprop, ask_runs, ask_training, ask_vae, runs  # noqa: F401
