"""Products in a browser, where NumPy has no BLAS: its own loops go down a column of b for each
number of a @ b, and the more columns b has, the further apart these lie in memory. np.einsum goes
along rows of b^T, which lie together: docs/explore.md has the figures."""

import numpy as np

from scratchnet.fast import products

LONG = 64  # numbers in a row; below that turning b costs more than it saves


def matmul(a, b, out):
    """out = a @ b for matrices, as products.matmul, whose place it takes; chapter 10's arrays that
    count multiplications are left to do so."""
    if a.shape[1] < LONG or len(a) < 4 or not type(a) is type(b) is np.ndarray:
        return np.matmul(a, b, out=out)
    return np.einsum("mk,nk->mn", a, np.ascontiguousarray(b.T), out=out)


def use():
    products.matmul = matmul
