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
from .inputs import require
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
    and the error; TypeError for inputs that are not float64; ValueError if there
    is nothing to check, fn is not repeatable, its last derivative writes into g, or its output
    needs no gradient or is not finite at the inputs or eps beside them.
    """
    require(any(x.size if hasattr(x, "size") else np.size(x) for x in inputs)
            and (directions is None or directions > 0),
            "gradcheck: nothing to check: give the inputs (of a model *model.parameters()), and "
            "directions above 0")
    rng = np.random.default_rng(seed)
    tensors = [_float64_leaf(x) for x in inputs]
    for t in tensors:
        t.grad = None
    y = fn(*tensors)
    require(isinstance(y, Tensor) and y.requires_grad,
            "gradcheck: the output is no Tensor that depends on an input on the tape")
    require(bool(xp.isfinite(y.data).all()),
            "gradcheck: the output is not finite at these inputs; check at others")
    g = xp.asarray(rng.standard_normal(y.shape))
    with no_grad():
        require(bool((fn(*tensors).data == y.data).all()),
                "gradcheck: fn gives another result the second time; pass its noise in as an "
                "argument")
    given = g.copy()
    y.backward(g)
    require(bool((g == given).all()), "gradcheck: the derivative writes into g, which other "
            "derivatives get, too: compute a new array")
    analytic = [np.zeros(t.shape) if t.grad is None else to_numpy(t.grad) for t in tensors]

    @no_grad()
    def loss(): return float((fn(*tensors).data * g).sum())
    def compare(name, lines): _compare(name, lines, loss, eps, rtol, atol)

    for k in range(directions or 0):
        d = [rng.standard_normal(t.shape) for t in tensors]
        slope = sum(float((a * di).sum()) for a, di in zip(analytic, d, strict=True))
        moves = [(t.data, xp.asarray(di)) for t, di in zip(tensors, d, strict=True)]
        compare(f"random direction {k}", [(f"random direction {k}", slope, moves)])
    if directions is None:
        for name, t, a in zip(_names(fn, len(tensors)), tensors, analytic, strict=True):
            compare(name, [("".join([name, *(f"[{i}]" for i in index)]), a[index],
                            [(t.data[(*index, ...)], 1.0)]) for index in np.ndindex(*t.shape)])
    return True


def _compare(name, lines, loss, eps, rtol, atol):
    """Raise GradientError unless the derivatives agree along each of these lines: (its name, the
    derivative that was given, [(array, direction in which it moves), ...])."""
    here, wrong, largest = loss(), [], 1e-3
    for place, analytic, moves in lines:
        above, below = _two_sides(loss, moves, eps)
        for sign, value in ("+", above), ("-", below):  # inf would pass: inf - a <= rtol * inf
            require(np.isfinite(value), f"gradcheck: the output is not finite {sign} {eps:g} along "
                                        f"{place}; check at other inputs")
        numeric = (above - below) / (2 * eps)
        error, allowed = abs(analytic - numeric), atol + rtol * abs(numeric)
        largest = max(largest, abs(numeric))
        if not error <= allowed:
            badness = error / allowed if allowed and error == error else np.inf
            # At a smooth point the second difference is eps |f''|, tiny; at a kink it is the jump
            # in slope.
            jump = abs(above - 2 * here + below) / eps
            wrong.append((badness, place, analytic, numeric, error, allowed, jump))
    if wrong:
        _, place, analytic, numeric, error, allowed, jump = max(wrong)
        kink = "; the slope differs on the two sides of this point: is there a kink here?"
        raise GradientError(
            f"derivative with respect to {name}: wrong in {len(wrong)} of {len(lines)} elements; "
            f"worst at {place}: the derivative gives {analytic:.9g}, finite differences "
            f"{numeric:.9g}, error {error:.3g} (allowed {allowed:.3g})"
            + kink * (jump > 0.1 * largest))


def _two_sides(loss, moves, eps):
    """L(x + eps d) and L(x - eps d); the arrays are put back."""
    kept, values = [a.copy() for a, _ in moves], []
    def put_back():
        for (a, _), x in zip(moves, kept, strict=True):
            a[...] = x
    try:
        for sign in (1, -1):
            put_back()
            for a, d in moves:  # an array that is given twice moves twice
                a += sign * eps * d
            values.append(loss())
    finally:
        put_back()
    return values


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
