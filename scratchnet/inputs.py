"""What is given besides Tensors: numbers, arrays, lists, indices, states; and what is refused. Each
check is one call at the top of an op. No math is here."""

import math
import numbers
import re
from functools import lru_cache

import numpy as np

from .backend import raw, xp
from .tensor import Tensor


class Scalar:
    """A Python number as an operand. It stays a number: an array of it would be
    float64 and turn every float32 result into float64."""

    __slots__ = ("data",)
    shape, ndim, requires_grad = (), 0, False

    def __init__(self, data):
        self.data = data


def operands(*inputs):
    """Make each input a Tensor or Scalar, in the precision of the Tensors among them; None stays.

    Arrays and lists take the dtype of the floating-point Tensors present; without one, whole
    numbers become float32. Raises TypeError where float32 and float64 Tensors meet: a silent
    promotion would double the cost of everything that follows; and for uint8 beside floats: images
    of 0 to 255 that nobody divided by 255 would train, to no purpose.
    """
    dtypes = {x.data.dtype for x in inputs if isinstance(x, Tensor)}
    found = {d for d in dtypes if d.kind == "f"}
    if len(dtypes) == len(found) == 1 and all(x is None or isinstance(x, Tensor) for x in inputs):
        return inputs  # nothing to convert: nearly always so
    if len(found) > 1:
        raise TypeError(f"operands of {' and '.join(sorted(map(str, found)))} in one op: convert "
                        f"one where it is made: an array by a.astype(np.float32), a Tensor by "
                        f"Tensor(t.data.astype(np.float32))")
    made = [_operand(x, *found) for x in inputs]
    if not any(isinstance(x, Tensor) for x in made):  # numbers alone
        made[0] = floats(made[0].data)
    return made


def _operand(x, dtype=None):
    if x is None or isinstance(x, numbers.Number) and not hasattr(x, "dtype"):
        return None if x is None else Scalar(x)
    x = as_tensor(x)
    if dtype is None or x.dtype == dtype:
        return floats(x)
    if x.dtype == np.uint8:
        raise TypeError("uint8 and floats in one op: divide images by 255 first, to numbers in "
                        "[0, 1]; other numbers need .astype(np.float32)")
    return Tensor(x.data.astype(dtype))


def as_tensor(x):
    """x itself if it is a Tensor, else a Tensor of it."""
    return x if isinstance(x, Tensor) else Tensor(x)


def floats(x):
    """x as a Tensor that can be computed with: whole numbers become float32. In their own type
    NumPy would wrap 0 - 200 around, and make float64 or float16 of a quotient."""
    x = as_tensor(x)
    return Tensor(x.data.astype(np.float32)) if x.data.dtype.kind in "biu" else x


def number(x):
    """x as a Python number: np.float64(1) would turn a float32 result into float64. Raises
    TypeError for a Tensor, whose gradient would be lost."""
    if isinstance(x, Tensor):
        raise TypeError("a Tensor where a number is needed: use .item() for its value")
    return x.item() if hasattr(x, "dtype") else x


def require(holds, message, *values):
    """Raise ValueError with this message, unless it holds. The values fill its {}: what an op says
    at every call is put into words only where it is said."""
    if not holds:
        raise ValueError(message.format(*values) if values else message)


def load_arrays(what, own, state):
    """Copy each array of state {name: NumPy array} into that of own {name: array}. Nothing is
    changed unless everything fits: raises ValueError, which lists names that are missing or
    unknown, and shapes that differ."""
    state = {name: state[name] for name in state}  # an .npz unpacks an array each time
    wrong = [f"missing {n}" for n in own if n not in state]
    wrong += [f"unknown {n}" for n in state if n not in own]
    wrong += [f"{n} has shape {state[n].shape}, expected {a.shape}" for n, a in own.items()
              if n in state and state[n].shape != a.shape]
    require(not wrong, f"state does not fit {what}: " + "; ".join(wrong[:6])
            + (f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""))
    given = {name: xp.asarray(state[name], dtype=a.dtype) for name, a in own.items()}
    for name, a in own.items():
        a[...] = given[name]


def shapes(form, *inputs):
    """Raise ValueError unless the inputs have the shapes that the form gives them. A letter stands
    for one size, wherever it comes; "..." for any axes, the same ones; None has any shape.

        shapes("linear: x (..., n_in), w (n_in, n_out), b (n_out)", x, w, b)
    """
    _check_shapes(form, *[None if x is None else x.shape for x in inputs])


@lru_cache(1000)  # a training asks the same again at each step: 1 us instead of 6
def _check_shapes(form, *given):
    wanted = [(name, axes.replace(" ", "").split(",")) for name, axes in
              re.findall(r"(\w+) \(([^)]*)\)", form)]
    sizes = {}
    for (_, axes), found in zip(wanted, given, strict=True):
        if found is None:
            continue
        if axes[:1] == ["..."]:
            end = len(found) - len(axes) + 1
            found = (found[:max(0, end)], *found[max(0, end):])
        if len(found) != len(axes) or any(
                sizes.setdefault(axis, n) != n for axis, n in zip(axes, found, strict=True)):
            of_each = ", ".join(f"{name} {shape}" for (name, _), shape in
                                zip(wanted, given, strict=True) if shape is not None)
            op, _, needs = form.partition(": ")
            raise ValueError(f"{op}: given {of_each}; needs {needs}")


def integers(name, indices, count, kind):
    """The indices as an integer array, each in 0 .. count - 1 (`kind` says of what). Raises
    TypeError for other types, IndexError for one out of range.

    The range is tested on the host only: asking a GPU would wait for it. (CuPy wraps a bad index
    around.)
    """
    indices = xp.asarray(raw(indices))
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {indices.dtype}")
    if isinstance(indices, np.ndarray) and indices.size and not (
            0 <= indices.min() and indices.max() < count):
        raise IndexError(f"{name} from {indices.min()} to {indices.max()}, but there are {kind} "
                         f"0 to {count - 1}")
    return indices


def in_unit_range(name, x):
    """Raises ValueError for an array with values outside [0, 1], on the host only: asking a GPU
    would wait for it."""
    if isinstance(x, np.ndarray) and x.size and not (x.min() >= 0 and x.max() <= 1):
        low, high = x.min(), x.max()
        if np.isnan(low):
            raise ValueError(f"{name} have NaN in them; it needs values in [0, 1]")
        near, signed = -0.01 <= low and high <= 1.01, -1 <= low and high <= 1
        raise ValueError(f"{name} from {low:.9g} to {high:.9g}; it needs values in [0, 1]: "
                         + ("cut what is rounded off with x.clip(0, 1)" if near else
                            "take (x + 1) / 2 of images from -1 to 1" if signed else
                            "divide images of 0 to 255 by 255"))


def no_nan(name, x):
    """Raises FloatingPointError for an array with NaN in it, on the host only: asking a GPU would
    wait for it."""
    if isinstance(x, np.ndarray) and np.isnan(x).any():
        raise FloatingPointError(f"{name} have NaN in them: the model diverged, or was given NaN")


def one_of(name, word, choices):
    """Raises ValueError for a word that is none of the choices."""
    if word not in choices:
        raise ValueError(f"{name} {word!r}: choose one of {', '.join(choices)}")


# ---------------------------------------------------------------- what a model is given

def shape_of_images(name, shape):
    """The shape as a tuple (H, W, C); ValueError for any other."""
    given = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    require(len(given) == 3 and all(map(is_size, given)), "{}: image_shape must be (height, width, "
            "channels), such as (28, 28, 1), not {}", name, shape)
    return given


def sizes(name, **values):
    """Raises ValueError for a size that is no whole number, 1 or more."""
    for size, value in values.items():
        require(is_size(value), "{}: {} must be a whole number, 1 or more, not {}", name, size,
                value)


def nearest_size(height, width, by):
    """The nearest size whose height and width are multiples of `by`, in words: "16 x 20"."""
    return " x ".join(str(max(by, (n + by // 2) // by * by)) for n in (height, width))


def is_size(n):
    return isinstance(n, numbers.Integral) and n >= 1


def not_negative(name, **values):
    """Raises ValueError for a number below 0."""
    for what, value in values.items():
        require(value >= 0, "{}: {} must be 0 or more, not {}", name, what, value)


def batch_of(name, x, shape):
    """x as a Tensor (N, *shape). An image may also come as a row of its pixels, and without the
    axis of a single channel; a model of rows, whose shape is (pixels,), takes images of any shape.
    Raises ValueError for other shapes, and if there are none."""
    x = as_tensor(x)
    found, pixels = x.shape[1:], math.prod(shape)
    accepted = [shape, (pixels,)] if len(shape) > 1 else [shape]
    if shape[1:] and shape[-1] == 1:
        accepted.insert(1, shape[:-1])
    if x.ndim < 2 or found not in accepted and not (
            len(shape) == 1 and math.prod(found) == pixels):
        needed = " or ".join(f"(N, {', '.join(map(str, axes))})" for axes in accepted)
        one = x.size == pixels and x.shape[0] != 1
        raise ValueError(f"{name}: given images of shape {x.shape}; it needs {needed}"
                         + "; of one image make a batch with x[None]" * one)
    require(x.shape[0], "{}: given no images, shape {}; a batch has at least one", name, x.shape)
    return x if found == shape else x.reshape(x.shape[0], *shape)


def images(name, x, shape, dtype=None):
    """x as a Tensor of images (N, *shape) in [0, 1], as batch_of, in the precision of the model.
    Raises TypeError if they are not floats, ValueError for other shapes and values."""
    x = batch_of(name, x, shape)
    if x.dtype.kind != "f":
        advice = ("take x.astype(np.float32)" if x.dtype.kind == "b" or x.data.max() == 1 else
                  f"divide by {65535 if x.dtype == np.uint16 else 255}, the largest value")
        raise TypeError(f"{name}: images of {x.dtype}; it needs floats in [0, 1]: {advice}")
    in_unit_range(f"{name}: images", x.data)
    return in_dtype(x, dtype or x.dtype)


def in_dtype(x, dtype):
    """x as a Tensor of this dtype; one that needs a gradient keeps its own."""
    x = as_tensor(x)
    return x if x.dtype == dtype or x.requires_grad else Tensor(x.data.astype(dtype))


def class_labels(name, labels, n, count):
    """The labels of n images as an integer array (n,), each in 0 .. count - 1. Raises ValueError if
    there are none or not n, TypeError and IndexError as `integers` does."""
    labels = None if labels is None else xp.asarray(raw(labels))
    given = () if labels is None else labels.shape
    if given != (n,):
        raise ValueError(f"{name}: it is conditional: give labels, one from 0 to {count - 1} for "
                         f"each of the {n} images"
                         + (f", of shape ({n},), not {given}" if labels is not None else ""))
    return integers(f"{name}: labels", labels, count, "classes")


def axis_index(i):
    """One axis's part of an index, its lists and Tensors as arrays. An empty list selects nothing:
    as an array it would be of float, which indexes nothing at all."""
    i = raw(i)
    if not hasattr(i, "__len__"):
        return i
    array = xp.asarray(i)
    return array if array.size or isinstance(i, xp.ndarray) else array.astype(np.int64)
