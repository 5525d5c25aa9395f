"""What the book's pages ask: cells that are run, exercises that are checked.

explore.py runs such code in processes of their own (explorer/sessions.py), and only for who has the
token of its address; in a browser it runs where the engine does, in the page's worker."""

import importlib
import re
import sys
import threading

from exercises.check import KINDS, check
from exercises.check import exercises as all_exercises
from exercises.solution import library, solved

from .answers import Wrong, asked, integer
from .cells import run_in
from .sessions import MOST, Session, Sessions

IN_BROWSER = sys.platform == "emscripten"
SECONDS = {"cell": 60, "exercise": 10}  # in a browser the page itself counts them
SESSIONS, CHECKS = Sessions(), threading.BoundedSemaphore(MOST)
NAMES = {}  # {session: its names}, in a browser


@asked
def run_cell(runs, session, code, want=None):
    """What the code of a cell prints, after the cells that this session has run: run_in(). new:
    whether the session began with it."""
    session, code = text("session", session, 64), text("code", code)
    want = want if want is None else text("want", want)
    if not IN_BROWSER:
        found, new = SESSIONS.of(session)
        return {"new": new, **found.ask({"code": code, "want": want}, SECONDS["cell"])}
    new = session not in NAMES
    return {"new": new, **run_in(NAMES.setdefault(session, {"__name__": "__main__"}), code, want)}


@asked
def end_session(runs, session):
    """Forget what a session has computed, and stop what it runs."""
    NAMES.pop(session, None)
    SESSIONS.end(text("session", session, 64))
    return {}


@asked
def exercises(runs):
    """All exercises, in the book's order: their pages, and the chapters that they are on."""
    found = all_exercises()
    chapters = {e.chapter: importlib.import_module(f"exercises.answers.chapter_{e.chapter}")
                .__doc__.strip(". ") for e in found.values()}
    return {"kinds": KINDS, "chapters": chapters, "exercises": [
        {"number": e.number, "title": e.title, "kind": e.kind, "chapter": e.chapter,
         "text": e.text, "read": re.search(r"docs/([\w-]+)\.md", e.text)[1]}
        for e in found.values()]}


@asked
def check_exercise(runs, number, source, failed=0):
    """state: passed, failed or unwritten; message; a hint from the second failure on, where failed
    is how often it failed before."""
    exercise, source = exercise_of(number), text("source", source)
    failed = integer("failed", failed, 0, 10 ** 6)
    try:
        state, message = (check(number, source) if IN_BROWSER
                          else checked_apart(number, source))
    except Wrong as error:  # there is no answer
        state, message = "failed", f"{error}: is there a loop that never ends?"
    hint = {"hint": exercise.answer.hint} if state == "failed" and failed else {}
    return {"state": state, "message": message, **hint}


def checked_apart(number, source):
    with CHECKS:
        session = Session()
        try:
            return session.ask({"exercise": number, "source": source}, SECONDS["exercise"])
        finally:
            session.end()


@asked
def exercise_solution(runs, number):
    """The library's lines, and the page with them written in."""
    exercise_of(number)
    return {"library": library(number), "page": solved(number)}


def exercise_of(number):
    found = all_exercises()
    return found[integer("number", number, 1, max(found))]


def text(what, value, longest=100_000):
    if not isinstance(value, str) or len(value) > longest:
        raise Wrong(f"{what}: needs text of at most {longest:,} characters")
    return value
