"""The products of a browser's NumPy are those of the engine, to rounding."""

import numpy as np
import pytest

from explorer import without_blas
from scratchnet.fast import products


@pytest.mark.parametrize("m, k, n", [(5, 64, 7), (3, 100, 4), (6, 63, 2), (0, 80, 3), (40, 300, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_without_blas(m, k, n, turned):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    b = np.asfortranarray(b) if turned else b
    out, wanted = np.empty((2, m, n), np.float32)
    assert without_blas.matmul(a, b, out) is out
    products.matmul(a, b, wanted)
    np.testing.assert_allclose(out, wanted, atol=2e-5)
