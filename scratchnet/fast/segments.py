"""Segment sums: over the rows of one index, and their counts, each in its library's best way."""

import numpy as np

from ..backend import xp


def segment_sum(indices, rows, K):
    """O^T @ rows for one-hot O: (K, D), row k the sum of the rows (n, D) whose index (n,) is k.

    On the host the rows are sorted by index and summed in stretches: 2.4 ms instead of add.at's
    3.7, for (8192, 64). On a GPU add.at adds in whatever order its threads come (atomics): what is
    trained through it, embeddings and EMA codebooks, repeats to rounding only.
    """
    out = xp.zeros((K, rows.shape[1]), rows.dtype)
    if not isinstance(rows, np.ndarray):
        xp.add.at(out, indices, rows)
    elif len(indices):
        order = np.argsort(indices, kind="stable")
        found = indices[order]
        starts = np.flatnonzero(np.r_[True, found[1:] != found[:-1]])
        out[found[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return out


def count(indices, K, dtype=np.float32):
    """How often each of 0 ... K-1 is among the indices (n,): (K,). It is segment_sum of ones; on
    the host bincount is the fastest way, but CuPy's waits for the GPU."""
    if isinstance(indices, np.ndarray):
        # intp: of int64 it is not sure where Python has 32 bits, as in a browser
        return np.bincount(indices.astype(np.intp, copy=False), minlength=K).astype(dtype)
    out = xp.zeros(K, dtype)
    xp.add.at(out, indices, xp.ones(len(indices), dtype))
    return out
