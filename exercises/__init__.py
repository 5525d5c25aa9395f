"""Seventy exercises on the eleven chapters: `python -m exercises`; docs/exercises.md says how.

NN_name.py is a page for the student, answers/ has for each what is right, what is wrong and what
helps, check.py compares, compare.py finds words for a difference, __main__.py is the command.
"""

from .check import check, exercises

__all__ = ["check", "exercises"]
