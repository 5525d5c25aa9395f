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

import numpy as np

from .errors import BackendError, in_brief

BACKENDS = ("numpy", "cupy", "auto")
OLDEST_CUPY = 14  # 13.4 computes Adam in float64, and refuses what else becomes float64


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

    Raises BackendError for an unknown name, and for "cupy" when it cannot be loaded, is too old or
    finds no GPU. (The scripts look closer first, and say what to do: runs/script.py.)
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}: choose one of {', '.join(BACKENDS)}")
    if name == "auto":
        try:
            return use("cupy", number)
        except BackendError:
            return use("numpy")
    xp._become(np if name == "numpy" else _cupy(number))
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


def raw(x):
    """The array of a Tensor; an array or a number as it is."""
    return x.data if hasattr(x, "requires_grad") else x


def to_numpy(x):
    """An array or Tensor on the host, as a NumPy array: a copy from a GPU, else the same array."""
    x = raw(x)
    return np.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else xp.asnumpy(x)


def _cupy(number):
    """CuPy, on the GPU of this number."""
    try:
        cupy = importlib.import_module("cupy")
        if int(cupy.__version__.partition(".")[0]) < OLDEST_CUPY:
            raise ImportError(f"CuPy {cupy.__version__} is too old")
        cupy.cuda.Device(number % (cupy.cuda.runtime.getDeviceCount() or 1)).use()
        cupy.zeros(1).get()  # a driver that is too old shows itself here
    except Exception as error:  # CuPy has many error classes, none importable without CuPy
        raise BackendError(f"backend 'cupy' cannot be used here ({in_brief(error)}): it needs CuPy "
                           f"{OLDEST_CUPY} or later and a GPU") from None
    return cupy
