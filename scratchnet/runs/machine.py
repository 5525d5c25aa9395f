"""The machine that a run is on: its GPU, its memory that ran out, the versions of what it ran with."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from .. import backend
from ..errors import BackendError, in_brief

UNKNOWN = "unknown (no git)"  # what commit_of says where there is no answer
INSTALL = ("install it with  pip install cupy-cuda12x  (CUDA 12) or  pip install cupy-cuda13x  "
           "(CUDA 13; see requirements-cuda.txt), or use --backend numpy")
WITH_CUDA = ("pip install \"cupy-cuda12x[ctk]\" (or cupy-cuda13x[ctk]) brings CUDA's libraries; or "
             "use --backend numpy")


def _find_gpu(cupy, number):
    if (count := cupy.cuda.runtime.getDeviceCount()) < 1:
        raise RuntimeError("no CUDA device")
    cupy.cuda.Device(number % count).use()
    cupy.zeros(1).get()  # a driver that is too old shows itself here


def _multiply(cupy, _):
    a = cupy.zeros((2, 2), "f")  # set by a copy: ones would have to be compiled
    (a @ a).get()


def _compile(cupy, _):
    def probe(a): return a * a + 1  # with a name: it becomes the kernel's, and must be one in C
    cupy.fuse(probe)(cupy.zeros(2, "f")).get()


PROBES = (  # what a run does on a GPU; what is wrong where it fails; what to do then
    (_find_gpu, "finds no usable GPU", "check `nvidia-smi`, that the cupy package matches your "
     "CUDA version (12 or 13; see requirements-cuda.txt), or use --backend numpy"),
    (_multiply, "cannot multiply matrices: cuBLAS is missing or does not work", WITH_CUDA),
    (_compile, "cannot compile kernels: NVRTC or CUDA's headers are missing or do not work",
     WITH_CUDA))


def use_backend(name, number=0):
    """backend.use(name, number), after CuPy has done what a run needs: found this GPU, multiplied
    matrices, compiled. Raises BackendError, which says what is missing and what to do."""
    if name == "auto":
        try:
            return use_backend("cupy", number)
        except BackendError:
            return backend.use("numpy")
    if name == "cupy":
        probe_cupy(number)
    return backend.use(name, number)


def probe_cupy(number):
    """Raise BackendError for what CuPy cannot do on this GPU."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a broken installation may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        reason = "is not installed" if missing else (
            f"is installed, but broken: it cannot load ({in_brief(error)})")
        raise BackendError(f"backend 'cupy': CuPy {reason}; {INSTALL}") from None
    if int(cupy.__version__.partition(".")[0]) < backend.OLDEST_CUPY:
        raise BackendError(f"backend 'cupy': CuPy {cupy.__version__} is too old: {backend.OLDEST_CUPY} "
                           f"or later is needed; {INSTALL}")
    for probe, wrong, instead in PROBES:
        try:
            probe(cupy, number)
        except Exception as error:  # CuPy has many error classes, none importable without CuPy
            raise BackendError(f"backend 'cupy': CuPy {cupy.__version__} is installed, but {wrong} "
                               f"({in_brief(error)}); {instead}") from None


def trouble(error):
    """What a person can do about an exception: memory that ran out, a GPU or CUDA that failed. None
    for all others, which are mistakes in the code."""
    less = "ask for less at a time (--batch-size, --num), or choose smaller sizes"
    ours = type(error).__module__.startswith(("cupy", "cuda"))
    if isinstance(error, MemoryError):
        return f"there is not enough memory{' on the GPU' * ours} ({in_brief(error)}); {less}"
    if ours:
        return (f"CUDA failed ({type(error).__name__}: {in_brief(error)}); a run goes on from its "
                f"last checkpoint with --resume; if it comes again see `nvidia-smi`, or use "
                f"--backend numpy")
    return None


def versions():
    """Versions of everything a result depends on, for config.json."""
    found = {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "backend": backend.describe(),
    }
    found["commit"] = commit_of(Path(backend.__file__).resolve().parent.parent)
    return found


def commit_of(checkout):
    """The commit of the git repository in this folder; not of one that the folder lies in, which is
    somebody else's. None of its programs (hooks, a file monitor) are run, nothing is written."""
    git = ["git", f"--git-dir={checkout / '.git'}", f"--work-tree={checkout}",
           "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=12"], cwd=checkout, check=True,
            env=env | {"GIT_OPTIONAL_LOCKS": "0"}, capture_output=True, text=True, timeout=5)
        return described.stdout.strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return UNKNOWN
