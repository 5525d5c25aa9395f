"""What an exercise is, and what it makes of a student's text.

    state, message = check(12, text)          state: "passed", "failed" or "unwritten"

Nothing here writes a file or starts a process, so that a page in a browser can ask the same.
"""

import ast
import contextlib
import copy
import importlib
import io
import re
import traceback
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from .compare import Result

FOLDER = Path(__file__).parent
KINDS = {"write": "write the missing lines", "predict": "predict, then run",
         "mistake": "find the mistake"}
FIRST_LINE = re.compile(r'"""(\d+)\. (.+) \((write|predict|mistake)\)\n')
ANSWERS = {}  # by the name of the file, without its number


class N:
    """In the place of an input: an array of this shape, drawn from N(0, 1)."""

    def __init__(self, *shape):
        self.shape = shape


@dataclass
class Answer:
    """What an exercise is compared with.

    reference: a function of the inputs, right by other means than the solution. cases: {name:
    value} of inputs, one or more. solution: names of the library's lines (solution.py); swap: what
    they call otherwise; then: lines after them. returns: names of the results. wrong: {lines: what
    the message about them has in it}. measure: calls the student's function or class with the
    inputs, where that takes more than a call."""

    reference: object
    cases: list
    solution: tuple = ()
    hint: str = ""
    wrong: dict = field(default_factory=dict)
    swap: dict = field(default_factory=dict)
    then: str = ""
    returns: tuple = ()
    measure: object = None
    tensors: bool = False  # the lines keep their .data
    rtol: float = 1e-6
    atol: float = 1e-10


def answer(*solution, cases, **about):
    """A decorator: this function is the reference of the exercise of its name."""
    def keep(reference):
        ANSWERS[reference.__name__] = Answer(reference, cases, solution, **about)
        return reference
    return keep


def predicted(name, returns, **about):
    """An exercise whose reference is what running the code on its page gives."""
    names = tuple(returns.split(", "))
    def run():
        found = {}
        exec(code_of(next(e.text for e in exercises().values() if e.name == name)), found)
        return tuple(getattr(found[k], "data", found[k]) for k in names)
    ANSWERS[name] = Answer(run, [{}], returns=names, **{"rtol": 0.01, **about})


@dataclass
class Exercise:
    number: int
    title: str
    kind: str     # a key of KINDS
    chapter: int
    name: str     # of the answer: square of 01_square.py
    file: str
    text: str     # the page as the student gets it
    answer: Answer

    @property
    def call(self):
        """What the student writes: the name of the function or class."""
        return re.search(r"^(?:def|class) (\w+)", self.text, re.M)[1]


@cache
def exercises():
    """{number: Exercise}, in order."""
    found = {}
    for module in sorted((FOLDER / "answers").glob("chapter_*.py")):
        importlib.import_module(f"exercises.answers.{module.stem}")
    for path in sorted(FOLDER.glob("[0-9][0-9]_*.py")):
        text, name = path.read_text(encoding="utf-8"), path.stem[3:]
        number, title, kind = FIRST_LINE.match(text).groups()
        chapter = int(re.search(r"docs/(\d\d)-[\w-]+\.md", text)[1])
        found[int(number)] = Exercise(int(number), title, kind, chapter, name, path.name, text,
                                      ANSWERS[name])
    return found


def code_of(text):
    """The last indented block of a page's docstring: what is to be run, or has a mistake."""
    page = ast.get_docstring(ast.parse(text))
    block = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page + "\n", re.M)[-1]
    return "\n".join(line[4:] for line in block.strip("\n").splitlines())


# ---------------------------------------------------------------- the check

class Wrong(Exception):
    """What the student is told."""


class Printed(io.StringIO):
    """What is printed, as far as it is shown: a loop may print for ever."""

    def write(self, text):
        super().write(text[:max(0, 1000 - self.tell())])
        return len(text)


def check(number, source):
    """("passed" | "failed" | "unwritten", what to tell the student) of the text of his file."""
    exercise, printed = exercises()[number], Printed()
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(
            printed), contextlib.redirect_stderr(printed):
        warnings.simplefilter("ignore")
        try:
            compare(exercise, student(exercise, source))
            state, message = "passed", ""
        except Wrong as error:
            state, message = "failed", str(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the student's, whatever it is: exit() is one, too
            state, message = in_words(error, exercise.file, source)
    if said := printed.getvalue().strip():
        message += "\nIt printed: " + said[:300].replace("\n", "\n            ")
    return state, message.strip()


def student(exercise, source):
    """What the student's text defines under the exercise's name."""
    found = {"__name__": exercise.name}
    exec(compile(source, exercise.file, "exec"), found)
    if exercise.call not in found:
        raise Wrong(f"There is no {exercise.call} in this file any more: keep the name that the "
                    f"page gives")
    if not callable(found[exercise.call]):
        raise Wrong(f"{exercise.call} is {found[exercise.call]!r:.40} in this file: nothing that "
                    f"can be called")
    return found[exercise.call]


def compare(exercise, function):
    """Raises Wrong where the function does not give what it should."""
    answer, columns = exercise.answer, {}
    measure = answer.measure or (lambda f, *inputs: f(*inputs))
    kinds = (tuple, list) if len(answer.returns) > 1 else tuple
    def results(value): return tuple(value) if isinstance(value, kinds) else (value,)
    def right(inputs): return results(answer.reference(*copy.deepcopy(list(inputs.values()))))
    def his(inputs): return results(measure(function, *copy.deepcopy(list(inputs.values()))))
    for k, case in enumerate(answer.cases):
        rng = np.random.default_rng([exercise.number, k])
        inputs = {n: rng.standard_normal(v.shape) if isinstance(v, N) else v
                  for n, v in case.items()}
        expected, found = right(inputs), his(inputs)
        names = answer.returns or [f"{exercise.call}({', '.join(inputs)})"]
        if len(expected) > 1 and len(found) == 1 and found[0] is None:
            raise Wrong("It returns None: is there a return?")
        if len(found) != len(expected):
            raise Wrong(f"It returns {len(found)} value{'s' * (len(found) != 1)}, but "
                        f"{len(expected)} are asked for: {', '.join(names)}")
        for i, name in enumerate(names):
            columns.setdefault(name, []).append((inputs, expected[i], found[i]))
    for i, (name, column) in enumerate(columns.items()):
        result = Result(name, column, i, right, his, answer.rtol, answer.atol)
        if said := result.difference():
            raise Wrong(said)


def in_words(error, file, source):
    """(state, message) of an exception: what it is, and the student's line."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    last = traceback.extract_tb(error.__traceback__)[-1:]
    if type(error) is NotImplementedError and last and last[0].filename == file:
        return "unwritten", "Your lines go where it says NotImplementedError."
    if isinstance(error, SyntaxError) and error.filename == file:
        lines = [error.lineno]
    text = source.splitlines()
    at = "".join(f"line {n}: {text[n - 1].strip()}\n" for n in lines[-1:] if n and n <= len(text))
    what = error.msg if isinstance(error, SyntaxError) else str(error).strip()
    if isinstance(error, NameError) and "def predict()" in source:
        what += "\nWrite what you predict in the place of the names; plain numbers will do."
    if "bitwise_xor" in what or "for ^" in what:
        what += "\nA power is written x ** 2; ^ is something else in Python."
    if not (at or "()" in what or isinstance(error, SyntaxError)):
        at = "What came back cannot be used: "
    return "failed", f"{at}{type(error).__name__}{': ' * bool(what)}{what}"
