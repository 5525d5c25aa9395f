"""The array library under everything: NumPy, or CuPy on a GPU.

    from scratchnet.backend import use, xp
    use("cupy")
    xp.exp(xp.zeros(3))          # runs on the GPU

`xp` is one object for the life of the process; `use` changes what it stands
for, so `from scratchnet.backend import xp` is never out of date. Choose the
backend before making tensors: arrays of one library do not mix with the other's.
"""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from .errors import BackendError, in_brief

BACKENDS = ("numpy", "cupy", "auto")
UNKNOWN = "unknown (no git)"  # what commit_of says where there is no answer


class ArrayModule:
    """Stands for the array module in use. Its names are looked up once, then kept."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        value = getattr(self._module, name)
        self.__dict__[name] = value  # later look-ups cost what a plain attribute costs
        return value

    def _become(self, module):
        self.__dict__.clear()
        self._module = module

    def __repr__(self):
        return f"<xp: {self._module.__name__}>"


xp = ArrayModule(np)


def use(name, number=0):
    """Choose the array library: "numpy", "cupy", or "auto" (CuPy if it has a usable GPU).

    number: of the GPU, where there are several; of two, 2 is the first again. Returns the name of
    the library now in use: "numpy" or "cupy".

    Raises BackendError for an unknown name, and for "cupy" when CuPy is not installed, broken or
    older than 14, finds no GPU, or cannot multiply or compile on it; the message says which.
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}: choose one of {', '.join(BACKENDS)}")
    if name == "auto":
        try:
            return use("cupy", number)
        except BackendError:
            return use("numpy")
    xp._become(np if name == "numpy" else _import_cupy(number))
    return name


def describe():
    """The library in use, in words: "numpy 2.4.6" or "cupy 14.0.1 on NVIDIA H200"."""
    module = xp._module
    words = f"{module.__name__} {module.__version__}"
    if module.__name__ == "cupy":
        gpu = module.cuda.runtime.getDevice()
        words += f" on {module.cuda.runtime.getDeviceProperties(gpu)['name'].decode()}"
    return words


def fused(fn):
    """A function of arrays and Python floats, of elementwise operations only, that becomes a single
    kernel on a GPU (cupy.fuse traces it once for each kind of arguments). On the host it is called
    as it stands: what is written is what is computed. It may return a tuple, or write into its
    arrays, as in a += b and a[...] = b. One operand of each operation at least must be an array:
    between two numbers cupy.fuse computes in float16, so what is made of numbers alone is an
    argument.
    """
    kernels = {}
    @functools.wraps(fn)
    def call(*arguments):
        module = xp._module
        if module is np:
            return fn(*arguments)
        if module not in kernels:
            kernels[module] = module.fuse(fn)
        return kernels[module](*arguments)
    return call


def to_numpy(a):
    """Copy an array to the host as a NumPy array; a NumPy array is returned as it is."""
    if isinstance(a, (np.ndarray, np.generic)):
        return np.asarray(a)
    return xp.asnumpy(a)


OLDEST_CUPY = 14  # 13.4 computes Adam in float64, and refuses what else becomes float64
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


def _import_cupy(number):
    """CuPy, after it has done what a run needs: found this GPU, multiplied matrices, compiled."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a broken installation may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        reason = "is not installed" if missing else (
            f"is installed, but broken: it cannot load ({in_brief(error)})")
        raise BackendError(f"backend 'cupy': CuPy {reason}; {INSTALL}") from None
    if int(cupy.__version__.partition(".")[0]) < OLDEST_CUPY:
        raise BackendError(f"backend 'cupy': CuPy {cupy.__version__} is too old: {OLDEST_CUPY} or "
                           f"later is needed; {INSTALL}")
    for probe, wrong, instead in PROBES:
        try:
            probe(cupy, number)
        except Exception as error:  # CuPy has many error classes, none importable without CuPy
            raise BackendError(f"backend 'cupy': CuPy {cupy.__version__} is installed, but {wrong} "
                               f"({in_brief(error)}); {instead}") from None
    return cupy


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
        "backend": describe(),
    }
    found["commit"] = commit_of(Path(importlib.import_module(__package__).__path__[0]).parent)
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
