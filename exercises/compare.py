"""Words for the difference between two results: where, expected and found, and what kind of mistake
looks like this."""

from fractions import Fraction

import numpy as np

from scratchnet import Tensor


def difference(name, column, right, his, rtol, atol):
    """None, or what is wrong with a result. column: [(inputs, expected, found, which result)], one
    for each case; right, his: inputs -> all results, of the library and of the student."""
    def about(k): return lambda at: needs(*column[k], right, his, at)
    if len(column) > 1 and all(np.ndim(c[1]) == 0 and not isinstance(c[1], str) for c in column):
        for _, expected, found, _ in column:  # numbers: all cases are one array
            if said := no_number(name, expected, found) or other_shape(name, expected, found):
                return said
        inputs = {n: np.array([c[0][n] for c in column]) for n, v in column[0][0].items()
                  if np.ndim(v) == 0 and np.isreal(v)}
        pair = [np.array([np.asarray(c[k]).item() for c in column]) for k in (1, 2)]
        return values(name, *pair, rtol, atol, lambda at: inputs, lambda at: about(at[0])(()), "")
    varied = [n for n, v in column[0][0].items() if np.isscalar(v) and
              any(c[0][n] != v for c in column)]
    for k, (_, expected, found, _) in enumerate(column):
        if isinstance(expected, str) or expected is None:
            if found is None or np.ndim(found) or found != expected:
                return f"{name}: expected {expected!r}, found {found!r}"
        elif said := (no_number(name, expected, found) or other_shape(name, expected, found) or
                      values(name, np.asarray(expected), np.asarray(found), rtol, atol,
                             lambda at, k=k: local(column[k], right, at, varied), about(k))):
            return said
    return None


def no_number(name, expected, found):
    """What is wrong with the type of a result, if it is."""
    if found is None:
        return f"{name}: found None: does the function return it?"
    if isinstance(found, Tensor):
        return (f"{name}: found a Tensor; an array is asked for, of which t.data is one")
    if np.ndim(expected) and not isinstance(found, np.ndarray):
        return (f"{name}: found a {type(found).__name__}; an array of shape {np.shape(expected)} "
                f"is asked for")
    kinds = [np.asarray(v).dtype for v in (expected, found)]
    if kinds[1].kind not in "biuf":
        return f"{name}: found {found!r:.60}; a number is asked for"
    if kinds[0].kind == "b" != kinds[1].kind or np.ndim(expected) and (
            kinds[0].kind == "f" and kinds[0] != kinds[1] or kinds[0].kind == "i" > kinds[1].kind):
        return f"{name}: found numbers of {kinds[1]}; {kinds[0]} is asked for"
    return None


def other_shape(name, expected, found):
    """What is wrong with the shape of a result, and what would mend it."""
    e, f = np.asarray(expected), np.asarray(found)
    if e.shape == f.shape:
        return None
    said = f"{name}: expected shape {e.shape}, found {f.shape}"
    if e.shape == f.shape[::-1] and e.ndim > 1:
        return f"{said}: the transpose" + " has the right numbers" * close(f.T, e)
    for k in range(f.ndim):
        if f.sum(axis=k).size == e.size and close(f.sum(axis=k).reshape(e.shape), e):
            return f"{said}: summed over axis {k} it would be right"
        if f.shape[:k] + f.shape[k + 1:] == e.shape:
            said += f"; axis {k} should be gone"
            break
    for k in range(e.ndim):
        if e.sum(axis=k).size == f.size and close(e.sum(axis=k).reshape(f.shape), f):
            return f"{said}: axis {k} was summed, and should not be"
    return said


def values(name, expected, found, rtol, atol, there, about, place=None):
    """Where two arrays of one shape differ most, and what it looks like. there: element -> inputs
    that belong to it; about: element -> what it should depend on."""
    e, f = expected.astype(np.float64), found.astype(np.float64)
    rtol *= expected.dtype.kind == "f"  # whole numbers are right or wrong
    with np.errstate(all="ignore"):
        error = np.abs(f - e)
        wrong = ~((error <= atol + rtol * np.abs(e)) | (e == f))
    if not wrong.any():
        return None
    at = np.unravel_index(np.argmax(np.where(wrong, np.where(np.isfinite(error), error, np.inf),
                                             -1)), e.shape)
    if place is None and e.ndim:
        place = f" at {tuple(map(int, at))}" if e.ndim > 1 else f" at {int(at[0])}"
    told = [str(v[at]) if v.dtype.kind == "b" else f"{v[at] * (abs(v[at]) > min(atol, 1e-14)):.6g}"
            for v in (expected, found)]
    where = ", ".join(f"{n} = {v[at]}" if v.dtype.kind in "UO" else f"{n} = {v[at]:.4g}"
                      for n, v in there(at).items())
    said = f"{name}{place or ''}: expected {told[0]}, found {told[1]}"
    said += f", where {where}" * bool(where)
    if e.size > 1:
        said += f". Wrong in {wrong.sum()} of {e.size}"
    if not np.isfinite(f[wrong]).all():
        return f"{said}. Something overflows, is divided by 0, or is the logarithm of 0"
    depends = about(at)
    looked = depends if "It does not" in depends else looks(e, f, wrong) or depends
    return f"{said}. {looked}" if looked else said


def changes(inputs, call, i, at):
    """Which numbers among the inputs change this element of the result: {(name, index)}."""
    before, found = np.asarray(call(inputs)[i])[at], set()
    for n, v in inputs.items():
        if not isinstance(v, float) and not (isinstance(v, np.ndarray) and v.dtype.kind == "f"):
            continue
        for index in list(np.ndindex(np.shape(v)))[:64]:
            moved = np.array(v)
            moved[index] = moved[index] * 0.93 + 0.0137
            with np.errstate(all="ignore"):
                try:
                    now = np.asarray(call({**inputs, n: moved if np.ndim(v) else moved.item()})[i])
                    if not abs(now[at] - before) <= 1e-9 * (1 + abs(before)):
                        found.add((n, index))
                except Exception:  # it can't be asked there
                    continue
    return found


def needs(inputs, expected, found, i, right, his, at):
    """What an element should depend on, and does not; or the other way round."""
    asked, given = changes(inputs, right, i, at), changes(inputs, his, i, at)
    for verb, left in (("should also depend", asked - given), ("depends", given - asked)):
        for n, index in sorted(left, key=lambda k: (list(inputs).index(k[0]), k[1])):
            if not any(k[0] == n for k in given) and same(inputs, n, found, i, his):
                there = " there" * isinstance(inputs[n], float)
                return f"It does not depend on {n}{there}, and should"
            return (f"It {verb} on {n}{list(map(int, index)) if index else ''}"
                    + ", and should not" * (verb == "depends"))
    return ""


def same(inputs, n, found, i, his):
    """Whether a result stays as it is when all of input n changes."""
    try:
        return np.array_equal(his({**inputs, n: inputs[n] * 0.93 + 0.0137})[i], found)
    except Exception:  # it can't be asked there
        return False


def local(case, right, at, varied):
    """The inputs that belong to an element of a result: of its shape, and they change no other;
    and those numbers that are others in other cases."""
    inputs, expected, _, i = case
    told, here, any_change = {n: np.full(np.shape(expected), inputs[n]) for n in varied}, {}, False
    for n, v in inputs.items():
        if isinstance(v, np.ndarray) and v.shape == np.shape(expected) and v.dtype.kind == "f":
            moved = v.copy()
            moved[at] = moved[at] * 0.93 + 0.0137
            try:
                changed = np.asarray(right({**inputs, n: moved})[i]) != expected
            except Exception:
                return told
            if np.sum(changed) > changed[at]:
                return told
            here[n], any_change = v, any_change or changed[at]
    return here | told if any_change else told


def looks(e, f, wrong):
    """What kind of mistake it looks like; "" if like none."""
    with np.errstate(all="ignore"):
        if e.ndim > 1 and e.T.shape == f.shape and close(f.T, e):
            return "It is the transpose of what it should be"
        for k in range(e.ndim):
            if e.shape[k] > 1 and close(np.flip(f, k), e):
                return f"The order along axis {k} is reversed"
            if e.shape[k] > 2 and any(close(np.roll(f, s, k), e) for s in (1, -1)):
                return f"It is one place off along axis {k}"
        if not f.any() or not wrong.all() and (e[~wrong] != 0).any():
            return ""  # right in some places: no factor, no term
        some = (e != 0) | (f != 0)
        ratio, more = f[some] / e[some], f - e
        if close(ratio, ratio.flat[0]) and np.isfinite(ratio.flat[0]) and (
                ratio.size > 1 or simple(ratio.flat[0]) in ("-1", "2", "1/2")):
            return "It is " + "everywhere " * (ratio.size > 1) + (
                f"{simple(ratio.flat[0])} times what it should be")
        if close(more, more.flat[0]) and e.size > 1:
            return f"It is {simple(more.flat[0])} too much everywhere".replace(
                " -", " ").replace("too much", "too little" if more.flat[0] < 0 else "too much")
        for k in range(e.ndim):
            if e.ndim > 1 and e.shape[k] > 1:
                for what, d in ("factor", f / e), ("term", more):
                    if close(d, np.take(d, [0], k)):
                        return f"Along axis {k} it is off by one and the same {what}"
    return ""


def simple(x):
    """0.3333 as 1/3, where it is a simple fraction."""
    fraction = Fraction(float(x)).limit_denominator(12)
    return str(fraction) if abs(fraction - Fraction(float(x))) < 1e-9 and abs(x) < 1000 else (
        f"{x:.4g}")


def close(a, b):
    try:
        return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=False))
    except (TypeError, ValueError):  # of another shape
        return False
