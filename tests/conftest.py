"""Fixtures. A test that takes `backend` runs once on each array library there is."""

import numpy as np
import pytest

import scratchnet
from scratchnet.errors import BackendError


@pytest.fixture(params=["numpy", "cupy"])
def backend(request):
    """The name of the array library in use during the test. CuPy is skipped without a GPU."""
    try:
        yield scratchnet.use(request.param)
    except BackendError as error:
        pytest.skip(str(error).partition(";")[0])
    finally:
        scratchnet.use("numpy")


@pytest.fixture
def rng():
    return np.random.default_rng(7)
