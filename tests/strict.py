"""An array module over NumPy that is as strict as CuPy, so that a machine without a GPU can tell
whether the code would run on one.

    import strict; strict.use()          # xp is now this module

What CuPy refuses, this refuses: an array turned into a NumPy array without being asked to, NumPy
arrays mixed with its own, names that CuPy does not have (tests/cupy_names.txt). It is stricter in
one thing: CuPy lets np.exp(a) through to cupy.exp(a); here any NumPy function of an array of ours
is an error, since not every one is let through. Results without axes stay arrays. Moves between
host and device are counted: `moves`.
"""

import sys
from pathlib import Path

import numpy as np

from scratchnet.backend import xp

_lines = (Path(__file__).parent / "cupy_names.txt").read_text().splitlines()
NAMES = set(_lines[1:])
__version__ = f"(standing in for {_lines[0]})"
moves = {"in": 0, "out": 0}  # host to device, device to host


def use():
    """Make this module the array library in use."""
    xp._become(sys.modules[__name__])


class ndarray:
    """An array "on the device": NumPy's, wrapped, and not let out."""

    __slots__ = ("_a", "__weakref__")
    __array_priority__ = 1000

    def __init__(self, a):
        self._a = a

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use "
                        "`.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, *args, **kwargs):
        raise TypeError(f"np.{ufunc.__name__} of a device array")

    def __array_function__(self, function, *args, **kwargs):
        raise TypeError(f"np.{function.__name__} of a device array")

    def __getattr__(self, name):
        if f"ndarray.{name}" not in NAMES:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        value = getattr(self._a, name)
        return _function(value, name) if callable(value) else _wrap(value)

    base = property(lambda self: None if self._a.base is None else self)
    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)

    def item(self):
        moves["out"] += 1
        return self._a.item()

    def tolist(self):
        moves["out"] += 1
        return self._a.tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self._a)

    def __getitem__(self, index):
        return _wrap(self._a[_unwrap(index)])

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray):
            raise TypeError("a NumPy array assigned into a device array")
        self._a[_unwrap(index)] = _unwrap(value)

    def __repr__(self):
        return f"strict({self._a!r})"


def _operator(name):
    def operator(self, *others):
        result = getattr(self._a, name)(*[_unwrap(o) for o in others])
        if name.startswith("__i") and name not in ("__invert__",):
            return self
        return NotImplemented if result is NotImplemented else _wrap(
            result, _class_of(self, *others))
    return operator


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or",
              "xor"):
    for _kind in ("", "r", "i"):
        if hasattr(np.ndarray, f"__{_kind}{_name}__"):
            setattr(ndarray, f"__{_kind}{_name}__", _operator(f"__{_kind}{_name}__"))
for _name in ("neg", "pos", "abs", "invert", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
ndarray.__hash__ = object.__hash__


def _unwrap(value):
    """What CuPy would take, as NumPy takes it; TypeError for what it would not."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(v) for v in value)
    if type(value).__module__.startswith("scratchnet"):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _class_of(*values):
    """The class of a result computed from these."""
    inside = [w for v in values for w in (v if isinstance(v, (list, tuple)) else [v])]
    return Traced if any(type(v) is Traced for v in inside) else ndarray


def _wrap(value, kind=ndarray):
    if isinstance(value, (np.ndarray, np.generic)):
        return kind(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(_wrap(v) for v in value)
    return value


def _function(fn, name):
    def call(*args, **kwargs):
        kind = _class_of(*args)
        if kind is Traced and not isinstance(fn, np.ufunc) and name != "where":
            raise TypeError(f"a fused function calls {name!r}: only elementwise operations can be "
                            f"compiled")
        result = _wrap(fn(*[_unwrap(a) for a in args],
                          **{k: _unwrap(v) for k, v in kwargs.items()}), kind)
        return result if kwargs.get("out") is None else kwargs["out"]
    call.__name__ = name
    if hasattr(fn, "at"):
        call.at = lambda a, index, b: fn.at(a._a, _unwrap(index), _unwrap(b))
    return call


def fuse(fn):
    """cupy.fuse: the function is traced with stand-ins for its arrays, which know elementwise
    operations and nothing else; what they cannot do, it could not be compiled with."""
    def kernel(*arguments):
        for a in arguments:
            if not isinstance(a, (ndarray, int, float)):
                raise TypeError(f"Invalid argument type for {fn.__name__!r}: {type(a)}")
        result = fn(*[Traced(a._a) if isinstance(a, ndarray) else a for a in arguments])
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

    shape = property(refuse)
    __len__ = __iter__ = __getitem__ = __setitem__ = __bool__ = __float__ = __int__ = refuse
    item = tolist = refuse


def asarray(a, dtype=None):
    """To the device: the one door in. Nothing is moved if it is there already."""
    if isinstance(a, ndarray):
        return a if dtype in (None, a.dtype) else ndarray(a._a.astype(dtype))
    moves["in"] += 1
    return ndarray(np.array(a, dtype=dtype))


def array(a, dtype=None):
    return asarray(a, dtype) if not isinstance(a, ndarray) else ndarray(np.array(a._a, dtype))


def asnumpy(a):
    """To the host: the one door out, besides .item()."""
    moves["out"] += 1
    return a._a.copy()


class lib:
    class stride_tricks:
        @staticmethod
        def as_strided(a, shape, strides):
            return ndarray(np.lib.stride_tricks.as_strided(a._a, shape, strides))


def __getattr__(name):
    if name not in NAMES:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    value = getattr(np, name)
    return _function(value, name) if callable(value) and not isinstance(value, type) else value
