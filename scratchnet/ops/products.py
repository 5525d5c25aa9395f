"""Matrix products, the linear layer, and the embedding (a product with one-hot rows).

docs/01-chain-rule.md derives the adjoints of a product, docs/05-network.md those of a linear
layer, docs/08-pixelcnn.md that of a row.
"""

import math

from ..fast.products import column_sum
from ..fast.segments import segment_sum
from ..inputs import as_tensor, integers, operands, require, shapes
from ..tensor import record
from .arithmetic import unbroadcast


def matmul(a, b):
    """y = a @ b, for a (..., n, k) and b (..., k, m); the leading axes broadcast.

    y_ij = sum_k a_ik b_kj, so dL/da_ik = sum_j g_ij b_kj:   dL/da = g @ b^T,   dL/db = a^T @ g.
    A vector on the left is a row (1, k), on the right a column (k, 1); its axis of
    length 1 is dropped from y. Raises ValueError if the inner sizes differ.
    """
    a, b = operands(a, b)
    require(a.ndim and b.ndim and a.shape[-1] == b.shape[max(b.ndim - 2, 0)],
            "matmul: shapes {} and {} do not fit; needs (..., n, k) @ (..., k, m)",
            a.shape, b.shape)
    a_matrix = a.data[None, :] if a.ndim == 1 else a.data
    b_matrix = b.data[:, None] if b.ndim == 1 else b.data
    y = a_matrix @ b_matrix
    matrix_shape = y.shape
    y = y.reshape(y.shape[:-2] + (y.shape[-2:-1] if a.ndim > 1 else ())
                  + (y.shape[-1:] if b.ndim > 1 else ()))
    def da(g):
        g = g.reshape(matrix_shape)
        return unbroadcast(g @ b_matrix.swapaxes(-1, -2), a_matrix.shape).reshape(a.shape)
    def db(g):
        g = g.reshape(matrix_shape)
        return unbroadcast(a_matrix.swapaxes(-1, -2) @ g, b_matrix.shape).reshape(b.shape)
    return record(y, (a, da), (b, db))


def linear(x, w, b=None):
    """y = x @ w + b, for x (..., n_in), w (n_in, n_out), b (n_out,) or None; y (..., n_out).

    dL/dx = g @ w^T,   dL/dw = x^T @ g,   dL/db = sum of g over all rows.
    The leading axes of x are rows of one matrix: a single product, however many there are.
    Raises ValueError if the sizes do not fit.
    """
    x, w, b = operands(x, w, b)
    shapes("linear: x (..., n_in), w (n_in, n_out), b (n_out)", x, w, b)
    n_in, n_out = w.shape
    n = math.prod(x.shape[:-1])
    rows = x.data.reshape(n, n_in)
    y = rows @ w.data
    if b is not None:
        y += b.data
    def dx(g): return (g.reshape(n, n_out) @ w.data.T).reshape(x.shape)
    def dw(g): return rows.T @ g.reshape(n, n_out)
    def db(g): return column_sum(g)
    return record(y.reshape(*x.shape[:-1], n_out), (x, dx), (w, dw), (b, db))


def embedding(indices, table):
    """y = table[indices]: row `indices[...]` of the table (K, D), for each index in 0 .. K-1.

    indices: integer array (...); y: (..., D). With one-hot rows O, y = O @ table, so
    dL/d(table) = O^T @ g: row k gets the sum of g over the places that looked it up.
    Raises TypeError for indices that are not integers, IndexError for one out of range (the last
    on the host only), ValueError for a table that is no matrix.
    """
    table = as_tensor(table)
    shapes("embedding: table (K, D)", table)
    K, D = table.shape
    indices = integers("embedding: indices", indices, K, "rows")
    def dtable(g): return segment_sum(indices.reshape(-1), g.reshape(indices.size, D), K)
    return record(table.data[indices], (table, dtable))
