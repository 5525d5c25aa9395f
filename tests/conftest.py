"""Fixtures. A test that takes `backend` runs once on each array library there is."""

import os
import signal
import sys
from collections import Counter
from importlib.util import find_spec

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # on small arrays a second thread only waits

import numpy as np
import pytest
import strict
from scripts import here, runs_here, trained  # noqa: F401
from small_pixelcnns import variant  # noqa: F401

import scratchnet
from scratchnet.errors import BackendError


@pytest.fixture(params=["numpy", "strict", "cupy"])
def backend(request):
    """The name of the array library in use during the test: NumPy, a stand-in that is as strict
    as CuPy (tests/strict.py), and CuPy itself, where it can be used."""
    strict.use() if request.param == "strict" else scratchnet.use(request.param)
    yield request.param
    scratchnet.use("numpy")


def cupy_is_missing():
    """Why CuPy cannot be used here; None if it can."""
    try:
        scratchnet.use("cupy")
    except BackendError as error:
        return str(error).partition(";")[0]
    finally:
        scratchnet.use("numpy")


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs us with &
    config.addinivalue_line("markers", "host_only: of what only the host does: on NumPy alone")
    config.addinivalue_line("markers", "pictures: a run draws its pictures")
    config.addinivalue_line("markers", "cupy: asks CuPy itself, with or without a GPU")


def pytest_collection_modifyitems(config, items):
    """Leave out the other array libraries for tests of what only the host does, and CuPy where it
    is not: that is said once, at the end."""
    missing, kept = cupy_is_missing(), []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if item.get_closest_marker("host_only") and params.get("backend", "numpy") != "numpy":
            continue
        on_cupy = any(isinstance(v, str) and v == "cupy" for v in params.values())
        if not (on_cupy and missing or
                item.get_closest_marker("cupy") and find_spec("cupy") is None):
            kept.append(item)
    items[:] = kept


def pytest_terminal_summary(terminalreporter, config):
    if missing := cupy_is_missing():
        terminalreporter.write_line(f"CuPy: not here ({missing}); the tests on it are left out")
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ")
                      for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(autouse=True)
def quiet_no_longer(monkeypatch):
    """A script that was stopped keeps quiet about what Python cannot raise, until it ends."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture
def rng():
    return np.random.default_rng(7)
