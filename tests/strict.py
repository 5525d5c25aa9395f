"""An array module over NumPy that is as strict as CuPy in what is easily got wrong, so that a
machine without CuPy can tell whether the code would run on it.

    import strict; strict.use()          # xp is now this module

It refuses NumPy arrays, lists and Tensors mixed with its own arrays, an array turned into NumPy's
without being asked to, names that CuPy does not have (tests/cupy_names.txt), and an operation
between two numbers inside `fuse`, which CuPy computes in float16. (CuPy lets np.exp(a) through to
cupy.exp(a); here any NumPy function of an array of ours is an error, since not every one is let
through.) Results without axes stay arrays. Moves between host and device are counted, `moves`: what
waits for the device, as a boolean mask does, whose result's size it must know, moves something out.
So is what would be a kernel, a copy or a fill: `launches`.

CuPy itself finds the rest, where it is: the suite runs on it with -k "cupy or fused".
"""

import ctypes
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scratchnet.backend import xp

_lines = (Path(__file__).parent / "cupy_names.txt").read_text().splitlines()
NAMES = set(_lines[1:])
__version__ = f"(standing in for {_lines[0]})"
moves = {"in": 0, "out": 0}  # host to device, device to host
launches = Counter()  # {name: how often}
fusing = []  # the fused functions that are being called
WAITING = {"bincount", "flatnonzero", "nonzero", "argwhere", "unique", "compress", "extract"}


def use():
    """Make this module the array library in use."""
    xp._become(sys.modules[__name__])


class ndarray:
    """An array "on the device": NumPy's, wrapped, and not let out."""

    __slots__ = ("_a",)
    __array_priority__ = 1000
    __hash__ = None

    def __init__(self, a):
        self._a = a

    def refuse(self, *args, **kwargs):
        raise TypeError("NumPy was given a device array")

    __array__ = __array_ufunc__ = __array_function__ = refuse

    def __getattr__(self, name):
        if f"ndarray.{name}" not in NAMES:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        value = getattr(self._a, name)
        return _function(value, name) if callable(value) else _wrap(value)

    data = property(lambda self: SimpleNamespace(ptr=self._a.ctypes.data))
    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)

    def tolist(self):
        moves["out"] += 1
        return self._a.tolist()

    def item(self):
        moves["out"] += 1
        return self._a.item()

    __float__ = lambda self: float(self.item())
    __int__ = lambda self: int(self.item())
    __bool__ = lambda self: bool(self.item())
    __len__ = lambda self: len(self._a)

    def __getitem__(self, index):
        return _launched("getitem", _wrap(self._a[_index(index)]), self)

    def __setitem__(self, index, value):
        self._a[_index(index)] = _unwrap(value)
        _launched("setitem", self)

    def __repr__(self):
        return f"strict({self._a!r})"


def _operator(name):
    def operator(self, *others):
        result = getattr(self._a, name)(*map(_unwrap, others))
        _launched(name, self)
        if name.startswith("__i") and name != "__invert__":
            return self
        return NotImplemented if result is NotImplemented else _wrap(result)
    return operator


for _name in [f"__{kind}{name}__" for kind in ("", "r", "i") for name in (
        "add sub mul truediv floordiv mod pow matmul and or xor "
        "neg pos abs invert lt le gt ge eq ne").split()]:
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _operator(_name))


def _unwrap(value, lists=False):
    """What CuPy would take, as NumPy takes it; TypeError for what it would not."""
    if isinstance(value, (ndarray, Number)):
        return value._a
    if isinstance(value, np.ndarray) or type(value).__module__.startswith("scratchnet"):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        if not lists:
            raise TypeError(f"Unsupported type {type(value)}")
        return type(value)(_unwrap(v, lists) for v in value)
    return value


def _index(index):
    """The index as NumPy takes it. A mask is waited for."""
    parts = index if isinstance(index, tuple) else (index,)
    moves["out"] += sum(isinstance(p, ndarray) and p.dtype.kind == "b" for p in parts)
    parts = tuple(_unwrap(part, lists=True) for part in parts)
    return parts if isinstance(index, tuple) else parts[0]


def _launched(name, result, *sources):
    """The result; that it was computed is counted, unless it is a view of one of the sources."""
    if not any(np.may_share_memory(result._a, s._a) for s in sources):
        launches[name] += 1
    return result


def _flat(values):
    return [w for v in values for w in (v if isinstance(v, (list, tuple)) else [v])]


def _wrap(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(_wrap(v) for v in value)
    return value


def _function(fn, name):
    """NumPy's function, or a method of one of its arrays, as CuPy's."""
    def call(*args, **kwargs):
        if name in WAITING or name == "where" and len(args) == 1:
            moves["out"] += 1
        if fusing:
            Number.refuse(*args[name == "where":])  # of where, the condition does not count
        if name == "where" and not isinstance(args[0], ndarray):
            raise TypeError("where: the condition must be an array")
        lists = not isinstance(fn, np.ufunc)  # of shapes, of arrays
        result = _wrap(fn(*[_unwrap(a, lists) for a in args],
                          **{k: _unwrap(v, True) for k, v in kwargs.items()}))
        if kwargs.get("out") is not None:
            return _launched(name, kwargs["out"])
        if name.startswith("empty"):  # what is read before it is written shows
            result._a.fill(np.nan if result.dtype.kind in "fc" else 77)
        if name.startswith("empty") or not isinstance(result, ndarray):
            return result
        of = getattr(fn, "__self__", None)
        of = [ndarray(of)] if isinstance(of, np.ndarray) else []
        return _launched(name, result, *of, *[a for a in _flat(args) if isinstance(a, ndarray)])
    call.__name__ = name
    if hasattr(fn, "at"):
        def at(a, index, b):
            fn.at(a._a, _index(index), _unwrap(b))
            launches[f"{name}.at"] += 1
        call.at = at
    return call


def fuse(fn):
    """cupy.fuse: one launch, whatever is in the function."""
    def kernel(*arguments):
        if not fn.__name__.isidentifier():
            raise ValueError(f"{fn.__name__}: the kernel is named after the function, in C")
        before = launches.copy()
        fusing.append(fn)
        try:
            result = fn(*[a if isinstance(a, (ndarray, Number)) else Number(a) for a in arguments])
        finally:
            fusing.pop()
        launches.clear()
        launches.update(before)
        launches[fn.__name__] += 1
        return result
    return kernel


class Number:
    """A Python number within a fused function: it meets arrays, and nothing else."""

    __slots__ = ("_a",)

    def __init__(self, a):
        self._a = a

    def refuse(*operands):
        if not any(isinstance(o, ndarray) for o in operands):
            raise TypeError("a fused function computes with numbers alone, which CuPy does in "
                            "float16: let the result be an argument")
        return NotImplemented  # the array's turn


for _name in ("add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow "
              "neg pos abs lt le gt ge eq ne bool float int round").split():
    setattr(Number, f"__{_name}__", Number.refuse)


class ElementwiseKernel:
    """cupy.ElementwiseKernel: its lines of C compiled for the host, in a loop over the elements of
    the one output. Inputs: "raw" arrays, which must be contiguous here, and integers."""

    def __init__(self, inputs, output, body, name):
        self.inputs, self.output, self.body, self.__name__ = inputs, output, body, name

    def __call__(self, *values):
        dtype, parameters, names, given = values[-1].dtype, [], [], []
        for parameter, value in zip([*self.inputs.split(", "), "raw " + self.output], values,
                                    strict=True):
            *raw, kind, name = parameter.split()
            names.append(name)
            parameters.append(f"{kind} {'*' * len(raw)}{name}")
            if not raw:
                given.append(ctypes.c_int(value))
                continue
            if not isinstance(value, ndarray) or not value._a.flags.c_contiguous:
                raise TypeError(f"{self.__name__}: {name} must be a contiguous device array")
            if value.dtype != (dtype if kind == "T" else kind):
                raise TypeError(f"{self.__name__}: {name} is of {value.dtype}")
            given.append(ctypes.c_void_p(value.data.ptr))
        T = {"float32": "float", "float64": "double", "int32": "int"}[dtype.name]
        run = _compiled(f"""
            typedef {T} T; typedef int int32; typedef long long int64;
            typedef unsigned long long uint64;
            static void one(long long i, {", ".join(parameters[:-1])}, T &{names[-1]}) {{
                {self.body}
            }}
            extern "C" void run(long long size, {", ".join(parameters)}) {{
                for (long long i = 0; i < size; i++)
                    one(i, {", ".join(names)}[i]);
            }}""")
        launches[self.__name__] += 1
        run(ctypes.c_longlong(values[-1]._a.size), *given)


@cache
def _compiled(source):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    with tempfile.TemporaryDirectory() as work:
        library = Path(work, "kernel.so")
        subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-xc++", "-", "-o", library],
                       input=source, text=True, check=True)
        return ctypes.CDLL(str(library)).run


def asarray(a, dtype=None):
    """To the device: the one door in. Nothing is moved if it is there already."""
    if isinstance(a, ndarray):
        return a if dtype in (None, a.dtype) else ndarray(a._a.astype(dtype))
    moves["in"] += not isinstance(a, (int, float))  # a number is filled in
    launches["asarray"] += 1
    a = np.array(a, dtype=dtype)
    if a.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {a.dtype}")
    return ndarray(a)


def array(a, dtype=None):
    return ndarray(np.array(a._a, dtype)) if isinstance(a, ndarray) else asarray(a, dtype)


def asnumpy(a):
    """To the host: the one door out, besides .item()."""
    moves["out"] += 1
    return a._a.copy()


def __getattr__(name):
    if name not in NAMES:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    value = getattr(np, name)
    return _function(value, name) if callable(value) and not isinstance(value, type) else value
