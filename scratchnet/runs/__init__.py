"""A run from its flags to its pictures: what a person at a terminal needs around the engine.

`open_run(folder, models.RECIPES)` is a trained run in Python: its model, data, title.
"""

from .run import open_run

__all__ = ["open_run"]
