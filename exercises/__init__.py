"""The exercises on the eleven chapters: `python -m exercises`; docs/exercises.md says how.

NN_name.py is a page for the student, answers/ has for each what is right, what is wrong and what
helps, check.py compares, compare.py finds words for a difference, __main__.py is the command.
"""

import sys

if sys.argv[:1] == ["-m"]:  # python -m exercises, which finds this file first
    import early  # noqa: F401

from .check import check, exercises

__all__ = ["check", "exercises"]
