"""Finite differences: the proof that a derivative is right. Use it on your own ops.

    from scratchnet import gradcheck
    gradcheck(my_op, np.random.randn(3, 4), np.random.randn(4))

An op y = f(x) turns an upstream gradient g = dL/dy into dL/dx = J^T g, J the
Jacobian. So with L(x) = <g, f(x)> for a *random* g, each element must agree with

    dL/dx_i  ~=  (L(x + eps e_i) - L(x - eps e_i)) / (2 eps),     error O(eps^2).

A g of all ones would miss much: a softmax's outputs sum to one, so its true
gradient against ones is zero, and a backward that returns zero would pass.
docs/01-chain-rule.md derives the error and the best eps.
"""

import inspect

import numpy as np

from .backend import to_numpy, xp
from .tensor import Tensor, no_grad


class GradientError(AssertionError):
    """An op's derivative disagrees with finite differences."""


def gradcheck(fn, *inputs, eps=1e-5, rtol=1e-6, atol=1e-8, directions=None, seed=0):
    """Check the derivative of fn with respect to every element of every input.

    fn: called as fn(*inputs), returns one Tensor of any shape. It must be repeatable:
        pass noise in, do not draw it.
    inputs: arrays, numbers or lists, made into float64 Tensors; or Tensors that are
        float64 and require a gradient (a model's parameters, which fn may also reach
        by itself: each is changed in place and put back).
    eps: half the distance between the two points; rtol, atol: passes if
        |analytic - numeric| <= atol + rtol * |numeric|.
    directions: None to check every element; a number to check only that many random
        directions d through all inputs at once, <dL/dx, d>: cheap for whole models.

    Returns True. Raises GradientError naming the input, the worst index, both values
    and the error; TypeError for inputs that are not float64; ValueError if fn is not
    repeatable, or its output needs no gradient or is not finite at the inputs or eps beside them.
    """
    rng = np.random.default_rng(seed)
    tensors = [_float64_leaf(x) for x in inputs]
    for t in tensors:
        t.grad = None
    y = fn(*tensors)
    if not y.requires_grad:
        raise ValueError("gradcheck: the output does not depend on any input on the tape")
    if not bool(xp.isfinite(y.data).all()):
        raise ValueError("gradcheck: the output is not finite at these inputs; check at others")
    g = xp.asarray(rng.standard_normal(y.shape))
    with no_grad():
        if not bool((fn(*tensors).data == y.data).all()):
            raise ValueError("gradcheck: fn gives another result the second time; "
                             "pass its noise in as an argument")

    def loss():
        with no_grad():
            return float((fn(*tensors).data * g).sum())

    y.backward(g)
    analytic = [np.zeros(t.shape) if t.grad is None else to_numpy(t.grad) for t in tensors]
    names = _names(fn, len(tensors))
    if directions is not None:
        _check_directions(loss, tensors, analytic, eps, rtol, atol, directions, rng)
        return True
    for name, t, a in zip(names, tensors, analytic, strict=True):
        _compare(name, a, *_differences(loss, t, eps, name), rtol, atol)
    return True


def _differences(loss, t, eps, name):
    """n = dL/dt, an element at a time; and how far the slopes on its two sides are apart."""
    n, asymmetry = np.zeros(t.shape), np.zeros(t.shape)
    here = loss()
    for index in np.ndindex(*t.shape):
        kept = t.data[index].item()
        t.data[index] = kept + eps
        above = loss()
        t.data[index] = kept - eps
        below = loss()
        t.data[index] = kept
        n[index] = (above - below) / (2 * eps)
        asymmetry[index] = abs(above - 2 * here + below) / eps
        _check_finite((above, below), f"{name}{_brackets(index)}", f"{eps:g}")
    return n, asymmetry


def _check_directions(loss, tensors, analytic, eps, rtol, atol, directions, rng):
    kept = [t.data.copy() for t in tensors]
    for k in range(directions):
        d = [rng.standard_normal(t.shape) for t in tensors]
        values = []
        for sign in (1, -1):
            for t, x, di in zip(tensors, kept, d, strict=True):
                t.data[...] = x + sign * eps * xp.asarray(di)
            values.append(loss())
        for t, x in zip(tensors, kept, strict=True):
            t.data[...] = x
        _check_finite(values, "these inputs", f"{eps:g} times random direction {k}")
        a = sum(float((ai * di).sum()) for ai, di in zip(analytic, d, strict=True))
        n = (values[0] - values[1]) / (2 * eps)
        _compare(f"random direction {k}", np.array(a), np.array(n), None, rtol, atol)


def _check_finite(values, place, step):
    for sign, value in zip("+-", values, strict=True):
        if not np.isfinite(value):  # inf would pass: inf - a <= rtol * inf
            raise ValueError(f"gradcheck: the output is not finite at {place} {sign} {step}; "
                             f"check at other inputs")


def _compare(name, analytic, numeric, asymmetry, rtol, atol):
    error = np.abs(analytic - numeric)
    allowed = atol + rtol * np.abs(numeric)
    if (error <= allowed).all():
        return
    badness = np.where(np.isnan(error), np.inf, error / allowed)
    worst = np.unravel_index(np.argmax(badness), error.shape)
    wrong = int((~(error <= allowed)).sum())
    message = (
        f"derivative with respect to {name}: wrong in {wrong} of {error.size} elements; worst at "
        f"{name}{_brackets(worst)}: the derivative gives {analytic[worst]:.9g}, finite differences "
        f"{numeric[worst]:.9g}, error {error[worst]:.3g} (allowed {allowed[worst]:.3g})"
    )
    # At a smooth point the second difference is eps |f''|, tiny; at a kink it is the jump in slope.
    if asymmetry is not None and asymmetry[worst] > 0.1 * max(np.abs(numeric).max(), 1e-3):
        message += "; the slope differs on the two sides of this point: is there a kink here?"
    raise GradientError(message)


def _brackets(index):
    return "".join(f"[{i}]" for i in index)


def _float64_leaf(x):
    if isinstance(x, Tensor):
        if x.dtype != np.float64 or not x.requires_grad:
            raise TypeError(f"gradcheck: a Tensor given as input must be float64 with "
                            f"requires_grad=True, not {x!r}")
        return x
    return Tensor(xp.array(np.array(to_numpy(x) if hasattr(x, "dtype") else x, dtype=np.float64)),
                  requires_grad=True)


def _names(fn, count):
    """The names of fn's parameters, or "input 0", ... where they cannot be told."""
    try:
        names = [p.name for p in inspect.signature(fn).parameters.values()
                 if p.kind is p.POSITIONAL_OR_KEYWORD]
    except (TypeError, ValueError):
        names = []
    return [names[i] if i < len(names) else f"input {i}" for i in range(count)]
