"""An array module over NumPy that is as strict as CuPy, so that a machine without a GPU can tell
whether the code would run on one.

    import strict; strict.use()          # xp is now this module

What CuPy refuses, this refuses: an array turned into a NumPy array without being asked to, NumPy
arrays mixed with its own, names that CuPy does not have (tests/cupy_names.txt). It is stricter in
one thing: CuPy lets np.exp(a) through to cupy.exp(a); here any NumPy function of an array of ours
is an error, since not every one is let through. Results without axes stay arrays. Moves between
host and device are counted: `moves`; what waits for the device, as a boolean mask does, whose
result's size it must know, moves something out.

And what CuPy does otherwise than NumPy, without a word, this does so too: an index out of range
wraps around, the result of broadcast_to can be written to, that of as_strided has no .base. One
thing it refuses instead: an operation between two numbers inside `fuse` (class Number).

It was compared with CuPy 14.2, call by call. CuPy itself finds more, where it is: the suite runs on
it with -k "cupy or fused".
"""

import ctypes
import shutil
import subprocess
import sys
import tempfile
import weakref
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
launches = Counter()  # {name: how often}: what would be a kernel, a copy or a fill on a GPU
_owners = weakref.WeakValueDictionary()  # {id of a NumPy array: the first ndarray that wraps it}
ATOMIC = {  # of which dtypes CuPy has them; the largest of float64 it rounds to float32
    "add": "i4 u4 i8 u8 f2 f4 f8", "subtract": "i4 u4",
    "maximum": "i4 u4 i8 u8 f4", "minimum": "i4 u4 i8 u8 f4"}
WAITING = {"bincount", "flatnonzero", "nonzero", "argwhere", "unique", "compress", "extract"}


def use():
    """Make this module the array library in use."""
    xp._become(sys.modules[__name__])


class ndarray:
    """An array "on the device": NumPy's, wrapped, and not let out."""

    __slots__ = ("_a", "_base", "__weakref__")
    __array_priority__ = 1000

    def __init__(self, a):
        self._a, self._base = a, None
        if isinstance(a.base, np.ndarray):
            owner = _owners.get(id(a.base))
            self._base = ndarray(a.base) if owner is None else owner
        else:
            _owners.setdefault(id(a), self)

    def refuse(self, *args, **kwargs):
        raise TypeError("NumPy was given a device array")

    __array__ = __array_ufunc__ = __array_function__ = refuse

    def __getattr__(self, name):
        if f"ndarray.{name}" not in NAMES:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        value = getattr(self._a, name)
        return _function(value, name) if callable(value) else _wrap(value)

    base = property(lambda self: self._base)
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
        return _launched("getitem", _wrap(self._a[_wrapped(index, self.shape)]), self._a)

    def __setitem__(self, index, value):
        _no_lists([value])
        self._a[_wrapped(index, self.shape)] = _unwrap(value)
        _launched("setitem", self)

    def __repr__(self):
        return f"strict({self._a!r})"


def _operator(name):
    def operator(self, *others):
        _no_lists(others)
        _only_traced(self, *others)
        result = getattr(self._a, name)(*[_unwrap(o) for o in others])
        _launched(name, self)
        if name.startswith("__i") and name != "__invert__":
            return self
        return NotImplemented if result is NotImplemented else _wrap(
            result, _class_of(self, *others))
    return operator


for _name in [f"__{kind}{name}__" for kind in ("", "r", "i") for name in (
        "add sub mul truediv floordiv mod pow matmul and or xor "
        "neg pos abs invert lt le gt ge eq ne").split()]:
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _operator(_name))
ndarray.__hash__ = None


def _unwrap(value):
    """What CuPy would take, as NumPy takes it; TypeError for what it would not."""
    if isinstance(value, (ndarray, Number)):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(v) for v in value)
    if type(value).__module__.startswith("scratchnet"):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _wrapped(index, shape):
    """The index as NumPy takes it, with what CuPy does: arrays of integers wrap around at the end
    of their axis, masks are waited for."""
    parts = list(index) if isinstance(index, tuple) else [index]
    def axes(part): return 0 if part is None else part.ndim if _is_mask(part) else 1
    at = 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            at = len(shape) - sum(map(axes, parts[i + 1:]))
            continue
        if _is_mask(part):
            moves["out"] += 1
        elif isinstance(part, ndarray) and part.dtype.kind in "iu":
            parts[i] = ndarray(part._a % max(1, shape[at]))
        at += axes(part)
    parts = [_unwrap(part) for part in parts]
    return tuple(parts) if isinstance(index, tuple) else parts[0]


def _launched(name, result, *sources):
    """The result; that it was computed is counted, unless it is a view of one of the sources (NumPy
    arrays), or only traced."""
    if type(result) is not Traced and not any(
            np.may_share_memory(result._a, a) for a in sources):
        launches[name] += 1
    return result


def _is_mask(part):
    return isinstance(part, ndarray) and part.dtype.kind == "b"


def _only_traced(*values):
    """TypeError for a device array beside those that are traced: a fused function got hold of it
    other than as an argument."""
    kinds = {type(v) for v in _flat(values) if isinstance(v, ndarray)}
    if Traced in kinds and len(kinds) > 1:
        raise TypeError("Concrete ndarray is not supported in fusion.")


def _no_lists(values):
    if any(isinstance(v, (list, tuple)) for v in values):
        raise TypeError("Unsupported type <class 'list'>")


def _check(fn, name, args, kwargs):
    """TypeError for arguments that NumPy takes and CuPy does not."""
    unknown = {"where", "initial", "sparse"} | ({"mode"} if name != "pad" else set())
    if isinstance(fn, np.ufunc):
        unknown |= {"order"}
        _no_lists(args)
    elif name in ("sum", "mean", "max", "min") and not hasattr(fn, "__self__"):
        _no_lists(args[:1])  # the function; of the method, args[0] is the axis
    elif name in ("concatenate", "stack"):
        _no_lists(args[0])
    if unknown & set(kwargs):
        raise TypeError(f"{name}() got an unexpected keyword argument {unknown & set(kwargs)}")
    if name == "where" and (
            not isinstance(args[0], ndarray) or any(a is None for a in args)):
        raise TypeError("where: the condition must be an array, and nothing None")
    if name in ("zeros", "ones", "empty", "full", "reshape", "arange") and any(
            isinstance(n, ndarray) for n in _flat(args)):
        raise TypeError("'ndarray' object cannot be interpreted as an integer")


def _class_of(*values):
    """The class of a result computed from these."""
    return Traced if any(type(v) is Traced for v in _flat(values)) else ndarray


def _flat(values):
    return [w for v in values for w in (v if isinstance(v, (list, tuple)) else [v])]


def _wrap(value, kind=ndarray):
    if isinstance(value, (np.ndarray, np.generic)):
        return kind(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(_wrap(v) for v in value)
    return value


def _function(fn, name):
    def call(*args, **kwargs):
        _check(fn, name, args, kwargs)
        _only_traced(*args)
        kind = _class_of(*args)
        if name in WAITING or name == "where" and len(args) == 1:
            moves["out"] += 1
        if kind is Traced and not isinstance(fn, np.ufunc) and name != "where":
            raise TypeError(f"a fused function calls {name!r}: only elementwise operations can be "
                            f"compiled")
        if kind is Traced or any(type(a) is Number for a in args):
            Number.refuse(*args[name == "where":])  # of where, the condition does not count
        result = _wrap(fn(*[_unwrap(a) for a in args],
                          **{k: _unwrap(v) for k, v in kwargs.items()}), kind)
        if kwargs.get("out") is not None:
            return _launched(name, kwargs["out"])
        if name.startswith("empty"):  # what is read before it is written shows
            result._a.fill(np.nan if result.dtype.kind in "fc" else 77)
        if name.startswith("empty") or not isinstance(result, ndarray):
            return result
        of = [fn.__self__] if isinstance(getattr(fn, "__self__", None), np.ndarray) else []
        return _launched(name, result, *of, *[a._a for a in _flat(args) if isinstance(a, ndarray)])
    call.__name__ = name
    if hasattr(fn, "at"):
        def at(a, index, b):
            if a.dtype.str[1:] not in ATOMIC.get(name, "").split():
                raise TypeError(f"cupy.{name}.at does not take {a.dtype}")
            fn.at(a._a, _wrapped(index, a.shape), _unwrap(b))
            launches[f"{name}.at"] += 1
        call.at = at
    return call


def fuse(fn):
    """cupy.fuse: the function is traced with stand-ins for its arrays, which know elementwise
    operations and nothing else; what they cannot do, it could not be compiled with."""
    def kernel(*arguments):
        for a in arguments:
            if not isinstance(a, (ndarray, int, float, Number)):
                raise TypeError(f"Invalid argument type for {fn.__name__!r}: {type(a)}")
        if any(type(a) is Traced for a in arguments):
            return fn(*arguments)  # within another one
        launches[fn.__name__] += 1
        result = fn(*[Traced(a._a) if isinstance(a, ndarray) else Number(a) for a in arguments])
        if not fn.__name__.isidentifier():
            raise ValueError(f"{fn.__name__}: the kernel is named after the function, in C")
        def out(r):
            if not isinstance(r, ndarray):
                raise TypeError(f"Fusion function can't return {type(r)}")
            return ndarray(r._a)
        return None if result is None else (
            tuple(map(out, result)) if isinstance(result, tuple) else out(result))
    return kernel


class Traced(ndarray):
    """An array while a function is fused."""

    __slots__ = ()

    def __getattr__(self, name):
        raise AttributeError(f"a fused function asks its array for {name!r}: only elementwise "
                             f"operations can be compiled")

    def refuse(self, *arguments):
        raise TypeError("a fused function asks for a shape, an element or a value of its array")

    def unknown(self, *arguments):
        raise TypeError("a fused function uses an operator that cupy.fuse knows no kernel for")

    def __setitem__(self, index, value):
        if index is not Ellipsis:
            self.refuse()
        self._a[...] = _unwrap(value)

    shape = property(refuse)
    __abs__ = __pos__ = __rpow__ = __matmul__ = __rmatmul__ = unknown
    __len__ = __iter__ = __getitem__ = __bool__ = __float__ = __int__ = refuse
    item = tolist = refuse


class Number:
    """A Python number while a function is fused: it meets traced arrays, and nothing else."""

    __slots__ = ("_a",)

    def __init__(self, a):
        self._a = a

    def refuse(*operands):
        if not any(type(o) is Traced for o in operands):
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
    if isinstance(a, SimpleNamespace):
        raise TypeError("the memory of a device array is no array: use the array itself")
    moves["in"] += not isinstance(a, (int, float))  # a number is filled in
    launches["asarray"] += 1
    a = np.array(a, dtype=dtype)
    if a.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {a.dtype}")
    return ndarray(a)


def array(a, dtype=None):
    return asarray(a, dtype) if not isinstance(a, ndarray) else ndarray(np.array(a._a, dtype))


def asnumpy(a):
    """To the host: the one door out, besides .item()."""
    moves["out"] += 1
    return a._a.copy()


def broadcast_to(a, shape):
    """Here it can be written to, and so can what it shows several times."""
    strides = np.broadcast_to(a._a, shape).strides
    found = ndarray(np.lib.stride_tricks.as_strided(a._a, shape, strides))
    found._base = a
    return found


class lib:
    class stride_tricks:
        @staticmethod
        def as_strided(a, shape, strides):
            strided = ndarray(np.lib.stride_tricks.as_strided(a._a, shape, strides))
            strided._base = None  # whose memory it is, CuPy does not know
            return strided


def __getattr__(name):
    if name not in NAMES:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    value = getattr(np, name)
    return _function(value, name) if callable(value) and not isinstance(value, type) else value
