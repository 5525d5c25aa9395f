"""Words for the difference between two results: where, expected and found, and what kind of mistake
looks like this."""

from dataclasses import dataclass
from fractions import Fraction
from numbers import Number

import numpy as np

from scratchnet import Tensor
from scratchnet.errors import an


@dataclass
class Result:
    """One result of an exercise, in all its cases."""

    name: str
    cases: list    # (inputs, expected, found), one or more
    number: int    # which of the results it is
    right: object  # inputs -> all results, of the library
    his: object    # and of the student
    rtol: float
    atol: float

    def difference(self):
        """None, or what is wrong."""
        expected, found = ([case[k] for case in self.cases] for k in (1, 2))
        for e, f, case in zip(expected, found, self.cases, strict=True):
            if said := other_kind(e, f):
                return f"{self.name}: {said}" + self.where(case[0])
        if len(expected) > 1 and all(np.ndim(e) == 0 for e in expected):  # all cases, one array
            return self.values("", *(np.array([np.asarray(v).item() for v in values])
                                     for values in (expected, found)))
        said = (self.values(k, np.asarray(e), np.asarray(f))
                for k, (e, f) in enumerate(zip(expected, found, strict=True)) if e is not f)
        return next(filter(None, said), None)

    def values(self, case, e, f):
        """Where two arrays of one shape differ most, and what it looks like. case: its number, or
        "" where an element is a case."""
        rtol = self.rtol * (e.dtype.kind == "f")  # whole numbers are right or wrong
        with np.errstate(all="ignore"):
            error = np.abs(f.astype(float) - e) if e.dtype.kind != "U" else (e != f) * 1.0
        wrong = ~((error <= self.atol + rtol * np.abs(e)) | (e == f)) if (
            e.dtype.kind != "U") else e != f
        if not wrong.any():
            return None
        finite = np.where(np.isfinite(error), error, np.inf)
        at = tuple(map(int, np.unravel_index(np.argmax(np.where(wrong, finite, -1)), e.shape)))
        inputs, element = self.cases[at[0] if case == "" else case][0], () if case == "" else at
        place = f" at {element if len(element) > 1 else element[0]}" if element else ""
        asked, given = (changes(inputs, call, self.number, element)
                        for call in (self.right, self.his))
        lines = [f"{self.name}{place}: expected {self.shown(e[at])}, found {self.shown(f[at])}"
                 + self.where(inputs, e.shape, element, asked)]
        if e.size > 1:
            lines[0] += f" (wrong in {wrong.sum()} of {e.size})"
        if not np.isfinite(finite[wrong]).all():
            lines.append("Something overflows, is divided by 0, is the logarithm of 0, or the root "
                         "of a number below 0.")
        else:
            needed = self.needs(inputs, asked, given, element) * (e.dtype.kind == "f")
            lines.append(needed if "does not" in needed else looks(e, f, wrong) or needed)
        return "\n".join(filter(None, lines))

    def shown(self, v):
        if isinstance(v, (str, bool, np.bool_)):
            return repr(str(v)) if isinstance(v, str) else str(v)
        return f"{0 if abs(v) <= min(self.atol, 1e-14) else v:.6g}"

    def where(self, inputs, shape=(), element=(), asked=()):
        """The numbers and lists among the inputs; and of arrays the elements that belong to this
        one: no other changes it, or they are labels of its row."""
        arrays = {n: v for n, v in inputs.items() if isinstance(v, np.ndarray) and v.ndim}
        told = {n: v for n, v in inputs.items() if isinstance(v, (str, Number, list, tuple))}
        if element:
            here = [n for n, v in arrays.items() if v.shape == shape and v.dtype.kind == "f"]
            if asked and {k for n, k in asked if n in here} != {element}:
                here = []
            here += [n for n, v in arrays.items() if v.shape == shape[:v.ndim] and
                     v.dtype.kind == "i"]
            told = {n: arrays[n][element[:arrays[n].ndim]] for n in here} | told
        words = [f"{n} = {v:.4g}" if isinstance(v, float) else
                 f"{n} = [{', '.join(map(str, v))}]" if isinstance(v, list) else f"{n} = {v}"
                 for n, v in told.items()]
        return ", where " * bool(words) + ", ".join(words)

    def needs(self, inputs, asked, given, element):
        """What the element should depend on, and does not; or the other way round. Where by chance
        the right one does not depend on its own input, nothing is said."""
        for verb, left in (("should also depend", asked - given), ("depends", given - asked)):
            for n, k in sorted(left, key=lambda k: (list(inputs).index(k[0]), k[1])):
                if not any(m == n for m, _ in given) and self.unmoved(self.his, n):
                    return f"It does not depend on {n}, and should."
                if verb == "depends" and (k in ((), element) and not self.unmoved(self.right, n) or
                                          self.turned(inputs, n, k, element)):
                    continue
                if verb != "depends" and not k and not self.unmoved(self.his, n):
                    continue  # it does, in another case
                return (f"It {verb} on {n}{list(map(int, k)) if k else ''}"
                        + ", and should not" * (verb == "depends") + ".")
        return ""

    def turned(self, inputs, n, k, element):
        """Whether the right result changes with this number's sign. A small change may be lost in
        it, as behind a ReLU that is off here, and the number is needed all the same."""
        turned = np.array(inputs[n])
        turned[k] = -turned[k]
        with np.errstate(all="ignore"):
            return not np.array_equal(*(np.asarray(self.right(v)[self.number])[element]
                                        for v in (inputs, {**inputs, n: turned})), equal_nan=True)

    def unmoved(self, call, n):
        """Whether this result stays as it is in all cases when all of input n changes."""
        try:
            return all(np.array_equal(*(call(v)[self.number] for v in (
                inputs, {**inputs, n: moved_a_little(inputs[n])}))) for inputs, *_ in self.cases)
        except Exception:  # it can't be asked there
            return False


def other_kind(expected, found):
    """What is wrong with the type or the shape of a result, if it is."""
    if isinstance(expected, str):
        return None if isinstance(found, str) else f"found {found!r}; a string is expected"
    if found is None:
        return "found None: does the function return it?"
    if isinstance(found, Tensor):
        return "found a Tensor; an array is asked for, of which t.data is one"
    if np.ndim(expected) and not isinstance(found, np.ndarray):
        return (f"found {an(type(found).__name__)}; an array of shape {np.shape(expected)} is "
                f"asked for")
    e, f = np.asarray(expected), np.asarray(found)
    if f.dtype.kind not in "biuf":
        asked = "True or False" if e.dtype.kind == "b" else "a number"
        return f"found {found!r:.60}; {asked} is asked for"
    if e.ndim and (e.dtype.kind != f.dtype.kind if e.dtype.kind in "bi" else e.dtype != f.dtype):
        return f"found numbers of {f.dtype}; {e.dtype} is asked for"
    if e.shape == f.shape:
        return None
    said = f"expected shape {e.shape}, found {f.shape}"
    if e.ndim > 1 and e.shape == f.shape[::-1]:
        return f"{said}: the transpose" + " has the right numbers" * close(f.T, e)
    for k in range(f.ndim):
        if f.ndim > e.ndim and close(f.sum(axis=k), e):
            return f"{said}: summed over axis {k} it would be right"
    return said


def looks(e, f, wrong):
    """What kind of mistake it looks like; "" if like none."""
    if e.dtype.kind not in "iuf" or not f.any():
        return ""
    if e.ndim > 1 and close(f.T, e):
        return "It is the transpose of what it should be."
    for k in range(e.ndim):
        if e.shape[k] > 1 and close(np.flip(f, k), e):
            return f"The order along axis {k} is reversed."
        if e.shape[k] > 2 and any(close(np.roll(f, s, k), e) for s in (1, -1)):
            return f"It is one place off along axis {k}."
    if not wrong.all() and e[~wrong].any():
        return ""  # right in some places: no factor, no term
    with np.errstate(all="ignore"):
        ratio, more = f / e, f - e
    some = ratio[(e != 0) | (f != 0)]
    if np.isfinite(some).all() and close(some, some[0]) and (
            e.size > 1 or simple(some[0]) in ("-1", "2", "1/2")):
        return f"It is {'everywhere ' * (e.size > 1)}{simple(some[0])} times what it should be."
    if e.size > 1 and close(more, more.flat[0]):
        much = "much" if more.flat[0] > 0 else "little"
        return f"It is everywhere {simple(abs(more.flat[0]))} too {much}."
    for k in range(e.ndim * (e.ndim > 1)):
        for what, d in ("factor", ratio), ("term", more):
            if e.shape[k] > 1 and close(d, np.take(d, [0], k)):
                return f"Along axis {k} it is off by one and the same {what}."
    return ""


def changes(inputs, call, number, element):
    """{(name, index)} of the numbers among the inputs which change this element of a result."""
    found = set()
    with np.errstate(all="ignore"):
        before = np.asarray(call(inputs)[number])[element]
        for n, v in inputs.items():
            if not isinstance(v, float) and getattr(v, "dtype", np.dtype(int)).kind != "f":
                continue
            for k in list(np.ndindex(np.shape(v)))[:64]:
                moved = np.array(v)
                moved[k] = moved_a_little(moved[k])
                try:
                    after = call({**inputs, n: moved if k else moved.item()})[number]
                    if not abs(np.asarray(after)[element] - before) <= 1e-9 * (1 + abs(before)):
                        found.add((n, k))
                except Exception:  # it can't be asked there
                    continue
    return found


def moved_a_little(v):
    """Another number, and in [0, 1] if it was."""
    return v * 0.93 + 0.0137


def simple(x):
    """0.3333 as 1/3, where it is a simple fraction."""
    fraction = Fraction(float(x)).limit_denominator(12)
    return str(fraction) if abs(fraction - Fraction(float(x))) < 1e-9 else (
        f"{x:.4g}" if abs(x - 1) > 1e-3 else f"{x:.7g}")


def close(a, b):
    try:
        return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))
    except ValueError:  # of another shape
        return False
