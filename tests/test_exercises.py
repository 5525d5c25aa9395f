"""Every skeleton fails because nothing is written, every solution passes, each plausible mistake is
told what it is; and the command keeps what a student wrote."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_book import book

from exercises import __main__ as command
from exercises import check, exercises
from exercises.check import Printed, code_of
from exercises.solution import library, solved, written

ROOT = Path(__file__).parent.parent
EXERCISES = list(exercises().values())
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.file[:-3])


# ---------------------------------------------------------------- the exercises

def test_they_are_in_the_order_of_the_book():
    assert [e.number for e in EXERCISES] == list(range(1, len(EXERCISES) + 1))
    chapters = [e.chapter for e in EXERCISES]
    assert chapters == sorted(chapters)
    counts = {n: chapters.count(n) for n in range(1, 12)}
    assert all(6 <= counts[n] <= 8 for n in range(1, 10)) and min(counts.values()) >= 2
    assert {e.kind for e in EXERCISES} == {"write", "predict", "mistake"}
    assert f"lists {len(EXERCISES)} [exercises]" in (ROOT / "README.md").read_text()
    assert f"{len(EXERCISES)} small ones" in (ROOT / "docs" / "exercises.md").read_text()


def test_a_page_is_small_and_says_what_to_read():
    for e in EXERCISES:
        lines = e.text.splitlines()
        assert lines[0] == f'"""{e.number}. {e.title} ({e.kind})'
        assert e.file.startswith(f"{e.number:02d}_") and len(e.title) <= 54
        assert 12 <= len(lines) <= 36 and max(map(len, lines)) <= 100, e.file
        page, where = re.search(r"^Read (docs/\d\d-[\w-]+\.md), (.+)", e.text, re.M).groups()
        chapter = (ROOT / page).read_text(encoding="utf-8")
        tags, headings = re.findall(r"\((\d+\.\d+)\)", where), re.findall('"(.+?)"', where)
        assert tags or headings, e.file
        assert all(f"\\tag{{{tag}}}" in chapter for tag in tags), e.file
        assert all(f"# {heading}\n" in chapter for heading in headings), e.file


def test_a_skeleton_fails_because_it_is_not_written():
    for e in EXERCISES:
        assert e.text.count("raise NotImplementedError") == 1, e.file
        assert check(e.number, e.text)[0] == "unwritten", e.file


@each
def test_a_solution_passes(exercise):
    """The library's lines, put into the page."""
    assert check(exercise.number, solved(exercise.number)) == ("passed", "")
    assert (exercise.kind == "predict") == (library(exercise.number) == "")


@each
def test_wrong_answers_are_told_what_is_wrong(exercise):
    wrong = dict(exercise.answer.wrong)
    if exercise.kind == "mistake":  # what the page shows is wrong indeed
        wrong[code_of(exercise.text)] = ""
    assert len(wrong) >= 2 and exercise.answer.hint
    for lines, said in wrong.items():
        state, message = check(exercise.number, written(exercise.text, lines))
        assert state == "failed" and message, lines
        assert said in message, f"{lines}\n{message}"


@pytest.mark.parametrize(("lines", "said"), [
    ("2 * g * x", "found None: does the function return it?"),
    ("return 2 * g * x +", "line 16: return 2 * g * x +\nSyntaxError: invalid syntax"),
    ("return 2 * g * y", "line 16: return 2 * g * y\nNameError: name 'y' is not defined"),
    ("return [2 * g * x]", "found a list; an array of shape (2, 3) is asked for"),
    ("from scratchnet import Tensor\n    return Tensor(2 * g * x)", "found a Tensor; an array"),
    ("return (2 * g * x).astype('f4')", "found numbers of float32; float64 is asked for"),
    ("return 2 * g.T * x.T", "expected shape (2, 3), found (3, 2): the transpose has the right"),
    ("return (2 * g * x)[:, ::-1]", "The order along axis 1 is reversed."),
    ("return 'six'", "found a str; an array"),
    ("exit(0)", "line 16: exit(0)\nSystemExit: 0"),
    ("return 2.0002 * g * x", "It is everywhere 1.0001 times"),
    ("return 2 * g * np.sqrt(x)", "or the root of a number below 0"),
    ("x = 0\0", "SyntaxError: source code string cannot contain null bytes"),
    ("for k in range(5000): print(k)", "It printed: 0"),
    ("print('hello'); return g", "It printed: hello"),
    ("return 2 * g * x^1", "A power is written x ** 2; ^ is something else in Python."),
    ("raise NotImplementedError('later')", "Your lines go where it says NotImplementedError"),
])
def test_what_a_student_may_do(lines, said):
    text = exercises()[1].text.replace("raise NotImplementedError", lines)
    state, message = check(1, text)
    assert state == ("unwritten" if "NotImpl" in lines else "failed") and said in message


def test_what_a_student_may_do_to_the_page():
    text = exercises()[1].text
    assert "There is no dx in this file any more" in check(1, text.replace("dx(", "f("))[1]
    assert "takes 1 positional argument" in check(1, text.replace("(g, x)", "(g)"))[1]
    assert "There is no dx" in check(1, "")[1]
    assert check(1, "dx = 5")[1].startswith("dx is 5 in this file")


@pytest.mark.parametrize(("number", "lines", "unsaid"), [
    (15, "return softplus_of(l) - l * t, g * (l - t)", "depend"),       # the slope is 0 there
    (28, "return lr * (final + math.cos(step))", "It depends on final"),  # not in every step
    (28, "done = min(1, (step - rise) / (total_steps - rise))\n"     # only at step 0 it does not
         "after = final + (1 - final) * (1 + math.cos(math.pi * done)) / 2\n"
         "return lr * (step / rise if step < rise else after)", "depend on lr"),
    (35, "return h + ops.relu(self.widen(ops.relu(self.narrow(h))))", "and should not"),  # off
    (44, "return log_w.mean(axis=0)", "and should not"),              # e^-897 is lost in a sum
    (47, "return np.abs(e[None] - z[:, None]).sum(-1).argmin(1)", "depend"),  # it does, by jumps
    (30, "return min(max_norm, (parameters[0].grad ** 2).sum() ** 0.5)",  # where max_norm is large
     "It does not depend on first")])
def test_what_is_not_so_is_not_said(number, lines, unsaid):
    state, message = check(number, written(exercises()[number].text, lines))
    assert state == "failed" and unsaid not in message, message


def test_what_a_student_may_do_with_several_results():
    assert check(66, solved(66).replace("return low, width", "return [low, width]"))[0] == "passed"
    def told(number, lines):
        return check(number, written(exercises()[number].text, lines))[1]
    assert told(3, "7, 24") == "It returns None: is there a return?"
    assert "Write what you predict in the place of the names; plain" in told(
        3, "return first, second")
    assert "found 'yes'; True or False is asked for" in told(34, "return 79510, 469, 'yes'")


def test_a_sum_is_mended_where_it_is_made_or_where_it_is_kept():
    lines = ("if number in gradients:", "    gradients[number] += gx", "else:",
             "    gradients[number] = gx.copy()")
    assert check(4, written(exercises()[4].text, "\n".join(lines))) == ("passed", "")


# ---------------------------------------------------------------- the command

@pytest.fixture
def student(tmp_path, monkeypatch, capfd):
    """A student in a folder of his own: run(arguments) -> (exit code, what was printed)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments):
        try:
            code = command.main(list(arguments)) or 0
        except SystemExit as end:
            code = end.code
        printed = capfd.readouterr()
        return code, printed.out + printed.err
    return run


PAGE = Path("my/01_square.py")


def test_from_the_first_look_to_the_end(student):
    code, text = student()
    assert code == 0 and f"0 of {len(EXERCISES)} done. Next: python -m exercises 1" in text
    assert max(map(len, text.splitlines())) <= 80
    assert student("1")[0] == 1 and PAGE.read_text() == exercises()[1].text
    assert student("1") == (1, "1. The derivative of a square: not written yet\n    Your lines go "
                               "where it says NotImplementedError.\n")
    mine = PAGE.read_text().replace("raise NotImplementedError", "return 2 * x")
    PAGE.write_text(mine)
    hint = exercises()[1].answer.hint
    code, first = student("1")
    assert code == 1 and "It does not depend on g" in first and hint not in first
    assert hint in student("1")[1]
    assert "[/]  1" in student()[1]
    assert PAGE.read_text() == mine  # nothing overwrites it
    PAGE.write_text(solved(1))
    assert student("1") == (0, "1. The derivative of a square: right\n")
    assert "[x]  1" in (listed := student()[1])
    assert f"1 of {len(EXERCISES)} done. Next: python -m exercises 2" in listed


def test_a_loop_that_never_ends_is_stopped(student, monkeypatch):
    monkeypatch.setattr(command, "SECONDS", 1)
    student("1")
    PAGE.write_text(PAGE.read_text().replace("raise NotImplementedError", "while True: pass"))
    code, text = student("1")
    assert code == 1 and "is there a loop that never ends?" in text


def test_a_process_that_ends_has_not_passed(student):
    student("1")
    PAGE.write_text("import os\nos._exit(0)\n")
    assert student("1") == (1, "1. The derivative of a square: not right\n    The check broke off: "
                               "code 0\n")
    PAGE.write_bytes(b"\xff\xfe")
    assert student("1")[0] == 1 and "decode" in student("1")[1]


def test_what_else_a_file_may_do(student):
    """An editor's byte order mark and line ends, a thread that goes on, output past print, and
    something written at the end do not matter."""
    student("1")
    before = ("import atexit, os, threading, time\nos.write(1, b'hello')\n"
              "atexit.register(print, '[1, 2]')\n"
              "threading.Thread(target=time.sleep, args=(60,)).start()\n")
    PAGE.write_bytes(b"\xef\xbb\xbf" + (before + solved(1)).replace("\n", "\r\n").encode())
    assert student("1") == (0, "1. The derivative of a square: right\n")
    PAGE.write_text("import os\nos.write(1, b'[\"passed\", \"\"]')\nos._exit(0)")
    assert "The check broke off" in student("1")[1]


def test_a_loop_that_prints_fills_no_memory():
    printed = Printed()
    for _ in range(3):
        assert printed.write("x" * 900) == 900
    assert len(printed.getvalue()) == 1000


def test_a_state_that_cannot_be_read_is_none(student):
    student("1")
    for text in ("", "[]", '{"1": 3}', '{"1": {"failed": "x"}}', "[" * 100_000,
                 '{"x": {"failed": 1, "passed": true}}',
                 '{"1": {"failed": Infinity, "passed": true}}'):
        Path("my/state.json").write_text(text)
        assert "\n0 of " in student()[1]


def test_wrong_use(student):
    code, text = student("99")
    assert code == 2 and f"there is no exercise 99: they are 1 to {len(EXERCISES)}" in text
    assert student("0")[0] == student("x")[0] == student("--watch")[0] == 2
    code, text = student("1", "--solution")
    assert code == 2 and "add --yes" in text
    assert not Path("my").exists()


def test_a_solution_is_shown_after_asking(student, monkeypatch):
    code, text = student("1", "--solution", "--yes")
    assert code == 0 and "scratchnet/losses.py:" in text and "return 2 * g * difference" in text
    assert "return 2 * g * x" in text
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for said, code in (("", 1), ("n", 1), ("y", 0), ("Y ", 0)):
        monkeypatch.setattr("builtins.input", lambda prompt, said=said: said)
        assert student("1", "--solution")[0] == code


def test_watching_checks_at_each_save(student, monkeypatch):
    student("1")
    texts = [PAGE.read_text().replace("raise NotImplementedError", "return g"), None, solved(1)]

    def save(seconds):  # in the place of a rest; None: nothing is saved
        if text := texts.pop(0):
            PAGE.write_text(text)
    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=save))
    code, text = student("1", "--watch")
    states = re.findall(r"square: (.*)", text)
    assert code == 0 and states == ["not written yet", "not right", "right"]


def test_it_runs_as_a_program(tmp_path):
    """Where my/ cannot be made, it says so in one line."""
    (tmp_path / "my").write_text("a file")
    done = subprocess.run([sys.executable, "-m", "exercises", "1"], cwd=tmp_path, text=True,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stderr.startswith("exercises: ")
    assert len(done.stderr.splitlines()) == 1


# ---------------------------------------------------------------- the book

@pytest.mark.parametrize("page", book.pages_with_exercises(), ids=lambda p: p.name)
def test_the_pages_list_the_exercises(page):
    assert page.read_text() == book.with_exercises(page), "run: python docs/book.py exercises"
