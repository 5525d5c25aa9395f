"""Mistakes that others made, each as a change to a copy of this tree: python -m mistakes."""
