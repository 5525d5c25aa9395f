"""Fixtures. A test that takes `backend` runs once on each array library there is."""

import signal
import sys

import numpy as np
import pytest
import strict

import scratchnet
from scratchnet.errors import BackendError
from scratchnet.runs import formats


@pytest.fixture(params=["numpy", "strict", "cupy"])
def backend(request):
    """The name of the array library in use during the test: NumPy, a stand-in that is as strict
    as CuPy (tests/strict.py), and CuPy itself, which is skipped without a GPU."""
    try:
        if request.param == "strict":
            strict.use()
        else:
            scratchnet.use(request.param)
        yield request.param
    except BackendError as error:
        pytest.skip(str(error).partition(";")[0])
    finally:
        scratchnet.use("numpy")


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs us with &
    config.addinivalue_line("markers", "host_only: of what only the host does: on NumPy alone")
    config.addinivalue_line("markers", "pictures: a run draws its pictures (tests/test_run.py)")


def pytest_collection_modifyitems(items):
    """Leave out the other array libraries for tests of what only the host does."""
    items[:] = [item for item in items if item.get_closest_marker("host_only") is None
                or getattr(item, "callspec", None) is None
                or item.callspec.params.get("backend", "numpy") == "numpy"]


@pytest.fixture(autouse=True)
def quiet_no_longer(monkeypatch):
    """A script that was stopped keeps quiet about what Python cannot raise, until it ends."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def small(monkeypatch):
    """Files of data sets are small here: 1 MB at most."""
    monkeypatch.setattr(formats, "LARGEST", 1 << 20)
