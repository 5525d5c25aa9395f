"""The book as pages, its cells run and its exercises checked: explorer/book.py, cells.py,
sessions.py, ask_book.py."""

import importlib.util
import os
import posixpath
import re
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from _pytest.doctest import _get_checker, _get_number_flag
from scripts import answer
from test_book import CHAPTERS, book

from explorer import ask_book, sessions
from explorer.cells import LONGEST, run_in, same
from explorer.runs import Runs

pytest.importorskip("bottle")
rendering = pytest.mark.skipif(not all(map(importlib.util.find_spec, (
    "markdown_it", "mdit_py_plugins", "latex2mathml"))), reason='no pip install -e ".[explore]"')
RUNS = Runs({})


@pytest.fixture(scope="module")
def pages():
    """{address: HTML, or the bytes of a picture}."""
    from explorer.book import Book
    found = Book()
    return {address: found.page(address) for address in found.pages}


class Parsed(HTMLParser):
    """links, anchors, text outside of code, formulas, and cells as book.js reads them."""

    def __init__(self, page):
        super().__init__()
        self.links, self.anchors, self.text, self.cells, self.inside = [], set(), "", [], []
        self.math = re.findall(r"<math.*?</math>", page, re.S)
        self.feed(page)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[k] for k in ("href", "src") if k in attributes]
        self.anchors |= {attributes["id"]} if "id" in attributes else set()
        assert "style" not in attributes and not [k for k in attributes if k.startswith("on")]
        if tag == "pre":
            self.inside.append(attributes.get("class", "code"))
            if attributes.get("class") == "in":
                self.cells.append("")
        if tag in ("code", "math"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("pre", "code", "math"):
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.text += data
        elif "in" in self.inside:
            self.cells[-1] += "".join(line[4:] or "\n" for line in data.splitlines(keepends=True))


@rendering
def test_pages_are_readable(pages):
    assert len(pages) > 100 and {f"{c.stem}.html" for c in CHAPTERS} < set(pages)
    formulas = 0
    for address, page in pages.items():
        if isinstance(page, bytes):
            assert page.startswith(b"\x89PNG")
            continue
        parsed = Parsed(page)
        assert not re.search(r"[\\$]|\]\(|\*\*", parsed.text), address
        for formula in parsed.math:
            ET.fromstring(formula)
            assert not re.search(r"[\\$]|merror", formula), formula
        formulas += len(parsed.math)
    assert formulas > 1500


@rendering
def test_links_of_pages_lead_somewhere(pages):
    anchors = {address: Parsed(page).anchors for address, page in pages.items()
               if isinstance(page, str)}
    top = {"../page/icon.svg", "../page/style.css", "../page/book.js", "../index.html"}
    for address in anchors:
        here = posixpath.dirname(address)
        for link in Parsed(pages[address]).links:
            path, _, place = link.partition("#")
            target = posixpath.normpath(posixpath.join(here, path)) if path else address
            if "://" not in link and target not in top:
                assert target in pages, f"{address}: {link}"
                assert not place or place in anchors[target], f"{address}: {link}"


@rendering
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_cells_are_those_of_the_notebooks(chapter, pages):
    wanted = [source for kind, source in book.cells(chapter.read_text()) if kind != "markdown"]
    assert Parsed(pages[f"{chapter.stem}.html"]).cells == [s for s in wanted if s]


@rendering
@pytest.mark.parametrize(("formula", "parts"), [
    (r"k \log K", ["<mi>k</mi>", 'mspace width="0.167em"', "<mi>log</mi>", 'mspace', "<mi>K</mi>"]),
    (r"\log(x)", ["<mi>log</mi><mo"]),
    (r"\mathrm{KL}(q \Vert p)", ["<mi>KL</mi>", "‖"]),
    (r"x = - y", ['<mo form="prefix">−</mo>']),
    (r"\mathrm{for \ every}", ["<mi>for</mi><mtext>", "<mi>every</mi>"]),
    (r"\tilde p", ['<mover accent="true">']),
    (r"a < b", ["&lt;"]),
])
def test_formulas_are_set_well(formula, parts):
    from explorer.book import mathml
    found = mathml(formula, False)
    for part in parts:
        assert part in found
        found = found.partition(part)[2]


@rendering
def test_an_equation_has_its_number_beside_it():
    from explorer.book import mathml
    found = mathml(r"\sum_i x_i \tag{1.2}", True)
    assert '<span class="number">(1.2)</span>' in found and "munder" in found and "tag" not in found


# ---------------------------------------------------------------- cells

@pytest.mark.parametrize(("code", "printed", "raised"), [
    ("1 + 1", "2\n", None),
    ("x = 3\nx\nprint(x)\n'a'", "3\n3\n'a'\n", None),
    ("None", "", None),
    ("x = 0\n1 / x", "", "ZeroDivisionError: division by zero"),
    ("print(1)\nraise SystemExit(2)", "1\n", "SystemExit: 2"),
    ("1 +", "", "SyntaxError: invalid syntax"),
    ("import sys; print('e', file=sys.stderr)", "e\n", None),
])
def test_a_cell_prints_what_doctest_would_see(code, printed, raised):
    found = run_in({}, code)
    assert found["printed"] == printed and found.get("raised") == raised
    assert "line" not in found or found["line"] == 1 + code.count("\n")


def test_a_cell_shows_figures_and_prints_no_more_than_can_be_read():
    code = ("import numpy as np\nfrom scratchnet.runs.figures import show\n"
            "show(np.zeros((3, 4)), np.ones((2, 4)), title='two rows')\n"
            "for _ in range(2): print('x' * 10 ** 6)")
    found = run_in({}, code)
    (figure,) = found["figures"]
    assert figure["title"] == "two rows" and figure["picture"].shape == (6, 10)
    assert len(found["printed"]) < LONGEST + 100 and found["printed"].endswith("left out)\n")
    assert found["printed"].count("left out") == 1
    full = run_in({}, f"print('x' * {LONGEST - 1})\nprint('more')")["printed"]
    assert full.endswith("left out)\n") and "more" not in full


@pytest.mark.parametrize(("want", "got"), [
    ("0.33", "0.3333"), ("0.33", "0.35"), ("[1.000, 2]", "[1.0, 2]"), ("1", "1.0"), ("1", "2"),
    ("1.00e-09", "9.999999717e-10"), ("-0.5", "0.5"), ("a 1.5 b", "a  1.52\nb"), ("1.5", "1.5 2.5"),
    ("nan", "nan"), ("", ""), ("True", "False"), ("4.540e-05", "4.5398e-05"), ("1e-3", "0.002")])
def test_numbers_are_compared_as_pytest_does(want, got):
    flags = _get_number_flag() | __import__("doctest").NORMALIZE_WHITESPACE
    assert same(want + "\n", got + "\n") == _get_checker().check_output(want + "\n", got + "\n",
                                                                      flags)


def test_what_the_book_prints_is_compared():
    assert run_in({}, "1 / 3", "0.33\n")["same"] and not run_in({}, "1 / 3", "0.36\n")["same"]
    trace = "Traceback (most recent call last):\n    ...\nZeroDivisionError: division by zero\n"
    assert run_in({}, "1 / 0", trace)["same"] and not run_in({}, "1 / 1", trace)["same"]
    assert not run_in({}, "1 / 0", "")["same"]


# ---------------------------------------------------------------- sessions

@pytest.fixture
def ask():
    """ask(session, code) -> the answer; sessions end with the test."""
    names = set()

    def run(session, code, **more):
        names.add(session)
        return answer(RUNS, "run_cell", {"session": session, "code": code, **more})
    yield run
    for name in names:
        answer(RUNS, "end_session", {"session": name})


def test_a_session_is_a_python_of_its_own(ask):
    first = ask("a", "import os, scratchnet\nx = os.getpid()\nx != os.getppid(), input", want="")
    assert first["new"] and first["same"] is False and first["printed"].startswith("(True")
    assert ask("a", "bool(x)") == {"new": False, "printed": "True\n", "figures": []}
    assert "NameError" in ask("b", "x")["raised"]
    answer(RUNS, "end_session", {"session": "a"})
    assert ask("a", "x")["raised"] == "NameError: name 'x' is not defined"


def test_sessions_have_limits(ask, monkeypatch):
    monkeypatch.setitem(ask_book.SECONDS, "cell", 1)
    assert ask("a", "while True: pass") == {"error": "it was stopped after 1 s"}
    monkeypatch.setitem(ask_book.SECONDS, "cell", 60)
    assert ask("a", "import os; os._exit(3)")["error"].startswith("its Python ended")
    monkeypatch.setattr(sessions, "MOST", 2)
    for name in "abc":
        assert ask(name, "1")["new"]
    assert set(ask_book.SESSIONS.found) == {"b", "c"}  # a was idle longest
    held = [s.turn for s in ask_book.SESSIONS.found.values()]
    for turn in held:
        turn.acquire()
    assert "run code already" in ask("f", "1")["error"]
    for turn in held:
        turn.release()


def test_a_reset_stops_what_runs(ask):
    ask("a", "1")
    threading.Timer(0.3, answer, (RUNS, "end_session", {"session": "a"})).start()
    assert "ended" in ask("a", "import time; time.sleep(30)")["error"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_what_a_cell_began_ends_with_its_session(ask):
    """A copy of the process gives no second answer; nothing is left over."""
    found = ask("forks", "import os, subprocess\npid = os.fork()\npid > 0\n"
                         "subprocess.Popen(['sleep', '300']).pid")["printed"].split()
    assert found[0] == "True" and ask("forks", "'next'")["printed"] == "'next'\n"
    answer(RUNS, "end_session", {"session": "forks"})
    deadline = time.monotonic() + 20
    while subprocess.run(["ps", "-o", "stat=", "-p", found[1]], capture_output=True,
                         text=True).stdout[:1] not in ("", "Z"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_idle_session_ends(ask, monkeypatch):
    monkeypatch.setattr(sessions, "IDLE", 0.2)
    ask("a", "1")
    process = ask_book.SESSIONS.found["a"].process
    assert process.wait(timeout=20) is not None
    assert ask("a", "2")["new"]


@pytest.mark.parametrize("request_", [
    {"session": 1, "code": "1"}, {"session": "s" * 65, "code": "1"}, {"session": "a", "code": None},
    {"session": "a", "code": "x" * 100_001}, {"session": "a", "code": "1", "want": 3}, {}])
def test_wrong_requests_of_cells(request_):
    assert set(answer(RUNS, "run_cell", request_)) == {"error"}
    assert not ask_book.SESSIONS.found


# ---------------------------------------------------------------- exercises

def test_exercises_are_listed_checked_and_solved():
    found = answer(RUNS, "exercises", {})
    first = found["exercises"][0]
    assert first["number"] == 1 and first["read"] == "01-chain-rule"
    assert first["kind"] in found["kinds"]
    assert found["chapters"][1] == "The chain rule"

    def check(lines, **more):
        return answer(RUNS, "check_exercise", {"number": 1, "source": first["text"].replace(
            "raise NotImplementedError", lines), **more})
    assert check("raise NotImplementedError")["state"] == "unwritten"
    wrong = check("return g * x")
    assert wrong["state"] == "failed" and "expected" in wrong["message"] and "hint" not in wrong
    assert check("return g * x", failed=1)["hint"]
    solution = answer(RUNS, "exercise_solution", {"number": 1})
    assert "scratchnet/" in solution["library"]
    assert answer(RUNS, "check_exercise", {"number": 1, "source": solution["page"]}) == {
        "state": "passed", "message": ""}


def test_a_check_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setitem(ask_book.SECONDS, "exercise", 2)
    found = answer(RUNS, "check_exercise", {"number": 1, "source": "while True: pass"})
    assert found["state"] == "failed" and "never ends" in found["message"]


@pytest.mark.parametrize("request_", [{"number": 0, "source": ""}, {"number": "1", "source": ""},
                                      {"number": 1, "source": None}, {"number": 10 ** 6,
                                                                      "source": ""}])
def test_wrong_requests_of_exercises(request_):
    assert set(answer(RUNS, "check_exercise", request_)) == {"error"}
