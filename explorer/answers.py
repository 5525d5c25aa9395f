"""What the page asks, and the engine answers: JSON in, JSON out.

    list(parts(runs, "decode", {"run": "vae2-mnist", "at": [0.3, -1]}))  ->  [{"image": ...}]

`parts` answers a request over HTTP (explore.py), and a message (the page's worker): both give the
same. Each name is a plain function of explorer/ask_*.py, whose arguments are those of the request.
One that yields is a stream: its parts are answers. What the request has wrong is {"error": ...},
one sentence; so is whatever else happens.
"""

import base64
import inspect
import math

import numpy as np

from scratchnet.backend import to_numpy
from scratchnet.draw import shape_of
from scratchnet.errors import UserError

ASKED = {}  # {name: function}
LARGEST = 1 << 20  # characters of a request


class Wrong(UserError):
    """A request that cannot be answered, with what would do."""


def asked(function):
    """Let the page ask for this function, by its name. It takes the Runs, and what was asked."""
    ASKED[function.__name__] = function
    return function


def parts(runs, name, request):
    """Yield each part of the answer. A part with "error" in it is the last."""
    try:
        function = ASKED.get(name)
        if function is None:
            raise Wrong(f"nothing is called {str(name)[:40]!r} here; there are "
                        f"{', '.join(sorted(ASKED))}")
        if not isinstance(request, dict):
            raise Wrong(f"{name}: a request is an object of arguments")
        try:
            inspect.signature(function).bind(runs, **request)
        except TypeError as error:
            raise Wrong(f"{name}: {error}") from None
        found = function(runs, **request)
        if not inspect.isgenerator(found):
            found = [found]
        for part in found:
            yield as_json(part)
    except UserError as error:
        yield {"error": str(error)}
    except ImportError as error:
        yield {"error": f"{name}: {error}; install it with pip install -r requirements.txt"}
    except Exception as error:  # the page shows a sentence, never a traceback
        yield {"error": f"{name}: {type(error).__name__}: {error}"}


def as_json(value):
    """Arrays as {"shape", "dtype", "data": base64 of their bytes}, and all that holds them."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number, and a page could not read the others
    if hasattr(value, "dtype"):
        array = np.ascontiguousarray(to_numpy(value))
        if array.dtype in (np.float64, np.int64, bool):  # what a page has arrays for
            array = array.astype({"f": np.float32, "i": np.int32, "b": np.uint8}[array.dtype.kind])
        return {"shape": list(array.shape), "dtype": array.dtype.name,
                "data": base64.b64encode(array.tobytes()).decode()}
    return value


# ---------------------------------------------------------------- what a request has in it

def numbers(what, value, shape, low=-1e6, high=1e6):
    """value as a float32 array of this shape, None in it standing for any length. Raises Wrong."""
    needs = shape_of(n or "n" for n in shape)
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{what}: needs numbers of shape {needs}") from None
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in
                                            zip(shape, array.shape, strict=True))
    if not fits:
        raise Wrong(f"{what}: has shape {shape_of(array.shape)}; it needs {needs}")
    if not (np.isfinite(array).all() and (array >= low).all() and (array <= high).all()):
        raise Wrong(f"{what}: needs numbers from {low:g} to {high:g}")
    return array


def integer(what, value, low, high):
    """value as an int from low to high. Raises Wrong."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Wrong(f"{what}: needs a whole number from {low} to {high}, not {str(value)[:40]!r}")
    return value


def number(what, value, low, high):
    """value as a float from low to high. Raises Wrong."""
    return float(numbers(what, value, (), low, high))


def labels_of(model, label, n=1):
    """{"labels": n times the label} for a model that is told the class, else nothing."""
    if not model.num_classes:
        return {}
    return {"labels": np.full(n, integer("label", 0 if label is None else label, 0,
                                         model.num_classes - 1))}
