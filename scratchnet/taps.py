"""The two linear maps under every convolution, and their products with a matrix: the definition.

Output position (p, q) lies over the input pixel (p*stride, q*stride). A tap (i, j) is an offset
from there to a pixel that is read: with stride 2, position (3, 0) lies over pixel (6, 0), and its
tap (-1, 1) reads pixel (5, 1).

    gather    rows[n, p, q, t] = x[n, p*stride + i_t, q*stride + j_t]     (0 outside x)
    scatter   its adjoint: adds every row's pixels back where they came from

Both walk the same list of places, so that for all x and r   < gather(x), r >  =  < x, scatter(r) >.

x: (N, H, W, C); rows: (N, P, Q, T, C), a row of T*C numbers for each output position; size: (P, Q)
or (H, W), of the result. fast/products.py computes the same products sooner; conv.py calls those.
Others call gather im2col, and scatter col2im. docs/03-convolution.md derives both, with numbers.
"""

from functools import cache

from .backend import xp


def gather(x, taps, stride, size):
    """The pixels under every tap at every output position: (N, H, W, C) -> (N, P, Q, T, C)."""
    rows = xp.zeros((len(x), *size, len(taps), x.shape[3]), x.dtype)
    for t, (i, j, p, q) in enumerate(places(taps, stride, size, x.shape[1:3])):
        rows[:, p, q, t] = x[:, i, j]
    return rows


def scatter(rows, taps, stride, size):
    """Every row's pixels, added to where gather reads them: (N, P, Q, T, C) -> (N, H, W, C)."""
    x = xp.zeros((len(rows), *size, rows.shape[4]), rows.dtype)
    for t, (i, j, p, q) in enumerate(places(taps, stride, rows.shape[1:3], size)):
        x[:, i, j] += rows[:, p, q, t]
    return x


# The products. A matrix W (T*C, K) has a row for each tap and channel of x, a column for each
# channel of y; `as_matrix` makes one long row of each position's T x C numbers.

def gather_matmul(x, W, taps, stride, size):
    """gather(x) W: (N, H, W, C) -> (N, P, Q, K)."""
    return as_matrix(gather(x, taps, stride, size)) @ W


def matmul_scatter(g, W, taps, stride, size):
    """scatter(g W^T): (N, P, Q, K) -> (N, H, W, C)."""
    rows = (g @ W.T).reshape(*g.shape[:3], len(taps), len(W) // len(taps))
    return scatter(rows, taps, stride, size)


def gather_t_matmul(x, g, taps, stride):
    """gather(x)^T g, summed over all positions: x (N, H, W, C), g (N, P, Q, K) -> (T*C, K)."""
    rows = as_matrix(gather(x, taps, stride, g.shape[1:3]))
    return rows.reshape(-1, rows.shape[-1]).T @ g.reshape(-1, g.shape[-1])


def as_matrix(rows):
    """(N, P, Q, T, C) -> (N, P, Q, T*C)."""
    return rows.reshape(*rows.shape[:3], rows.shape[3] * rows.shape[4])


# ---------------------------------------------------------------- places

@cache
def places(taps, stride, positions, size):
    """[(i, j, p, q), ...] for each tap: the pixels inside an image of this size that it reads, and
    the output positions that read them, as slices of height and width."""
    found = []
    for tap in taps:
        (i, p), (j, q) = (_inside(*v) for v in zip(tap, stride, positions, size, strict=True))
        found.append((i, j, p, q))
    return found


def _inside(offset, stride, positions, size):
    """places along one axis. Position p reads pixel p*stride + offset, which must be 0 .. size - 1.

    Example: offset -1, stride 2, 3 positions, size 5: positions 1 and 2 read the pixels 1 and 3.
    """
    first = max(0, -(offset // stride))
    last = min(positions - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return (slice(first * stride + offset, last * stride + offset + 1, stride),
            slice(first, last + 1))
