"""A cell of the book is run: what it prints, as doctest would see it, and what it raised.

    python -m explorer.cells      answers requests, a line of JSON each: explorer/sessions.py
"""

import ast
import contextlib
import io
import json
import os
import queue
import re
import signal
import sys
import threading
import traceback

from scratchnet.runs import figures

LONGEST = 100_000  # characters that a cell prints
MOST = 40  # pictures that it shows
AFTER_ALL = 70  # seconds to the end, where nobody is left to stop what holds Python's lock
FLOAT = re.compile(r"[+-]?(?:\d*\.(\d+)|\d+\.|\d+(?=[eE]))(?:[eE][+-]?(\d+))?|[+-]?\d+")


class Printed(io.StringIO):
    """Keeps the first LONGEST characters."""

    def write(self, text):
        left = LONGEST - self.tell()
        if left >= 0:
            super().write(text[:left] + "\n... (the rest is left out)\n" * (len(text) > left))
        return len(text)


def run_in(names, code, want=None):
    """Run the code with these names, as statements typed one after another: the value of an
    expression is printed. {"printed", "figures": of show(); if it raised: "raised": the exception's
    last line, "line"; given what the book prints: "same"}."""
    printed, shown, found = Printed(), [], {}
    figures.shown_by = lambda picture, title: len(shown) < MOST and shown.append(
        {"picture": picture, "title": title})
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            sys.displayhook = sys.__displayhook__
            for statement in ast.parse(code, "<cell>").body:
                exec(compile(ast.Interactive([statement]), "<cell>", "single"), names)
    except BaseException as error:  # exit() is one, too
        found = raised(error)
    finally:
        figures.shown_by = None
    if want is not None:
        last = want.rstrip().rpartition("\n")[2] if want.startswith("Traceback") else want
        found["same"] = same(last, found.get("raised", "") or printed.getvalue())
    return {"printed": printed.getvalue(), "figures": shown, **found}


def raised(error):
    """The exception's last line, and the line of the cell."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == "<cell>"]
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, ModuleNotFoundError) and sys.platform == "emscripten":
        text += " (a browser has none: python explore.py runs this cell)"
    return {"raised": text, "line": error.lineno if isinstance(error, SyntaxError)
            else lines[-1] if lines else None}


def same(want, got):
    """Whether this was printed, but for spaces; numbers are compared as far as they are shown."""
    got, want = (re.sub(r", dtype=int(32|64)\b", "", text) for text in (got, want))  # a platform's
    found, given = FLOAT.finditer(got), FLOAT.finditer(want)
    if " ".join(FLOAT.sub("#", want).split()) != " ".join(FLOAT.sub("#", got).split()):
        return False
    return all(near(w, g[0]) for w, g in zip(given, found, strict=True))


def near(want, got):
    """1.50 is any number from 1.49 to 1.51; a whole number is itself alone."""
    if re.fullmatch(r"[+-]?\d+", want[0]):
        return want[0] == got
    digits = len(want[1] or "") - int(want[2] or 0)
    return abs(float(want[0]) - float(got)) <= 10.0 ** -digits


# ---------------------------------------------------------------- a process of its own

def serve():
    """Answer each line of stdin, until it ends: then, whatever runs, this process ends, too."""
    import faulthandler

    from .answers import as_json
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints past Python is no answer
    lines, names = queue.Queue(), {"__name__": "__main__"}

    def read():
        for line in os.fdopen(os.dup(0), encoding="utf-8"):
            lines.put(json.loads(line))
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # what cells began, too
        os._exit(0)
    threading.Thread(target=read, daemon=True).start()
    while True:
        request, mine = lines.get(), os.getpid()
        sys.stdin = io.StringIO()
        faulthandler.dump_traceback_later(AFTER_ALL, exit=True, file=sys.__stderr__)
        if "exercise" in request:
            from exercises import check
            found = check(request["exercise"], request["source"])
        else:
            found = run_in(names, request["code"], request["want"])
        if os.getpid() != mine:  # a cell has forked, and this is the copy
            os._exit(0)
        print(json.dumps(as_json(found)), file=answers, flush=True)
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    serve()
