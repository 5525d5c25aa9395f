"""Exercises on the book, which check themselves.

    python -m exercises                  all of them, and how far you are
    python -m exercises 12               the first time: puts 12 into my/; then: checks it there
    python -m exercises 12 --watch       checks it at each save, until it is right
    python -m exercises 12 --solution    shows the library's lines, after asking

You write in my/, which git ignores and nothing here overwrites: to begin anew, delete the file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from scratchnet.errors import columns, fitted
from scratchnet.runs.console import check_printed, steady_output
from scratchnet.runs.files import write_json

from .check import KINDS, check, exercises
from .solution import library, solved

MINE = Path("my")
SECONDS = 10  # that a check may take
SAID = {"passed": "right", "failed": "not right", "unwritten": "not written yet"}


def kept():
    """{number: {"failed": how often, "passed": did the last check}}, as text; {} if unreadable."""
    try:
        found = json.loads((MINE / "state.json").read_text(encoding="utf-8"))
        return {str(int(n)): {"failed": int(s["failed"]), "passed": bool(s["passed"])}
                for n, s in found.items()}
    except Exception:  # whatever is wrong with it
        return {}


def keep(exercise, state):
    """Note a result. Returns how often the exercise has failed."""
    states = kept()
    failed = states.get(str(exercise.number), {"failed": 0})["failed"] + (state == "failed")
    states[str(exercise.number)] = {"failed": failed, "passed": state == "passed"}
    write_json(MINE / "state.json", states)
    return failed


def listing():
    """All exercises by chapter: done (x), begun (/) or not; and which is next."""
    done, chapter = [int(n) for n, state in kept().items() if state["passed"]], None
    for e in exercises().values():
        if e.chapter != chapter:
            chapter = e.chapter
            print(f"\n{chapter}. {import_module(f'exercises.answers.chapter_{chapter}').__doc__}")
        mark = "x" if e.number in done else "/" if (MINE / e.file).exists() else " "
        title = f"{e.title:{min(54, columns() - 19)}}"
        print(fitted(f"  [{mark}] {e.number:2}  {title} {e.kind}", 10))
    left = [n for n in exercises() if n not in done]
    print(f"\n{len(exercises()) - len(left)} of {len(exercises())} done. " + (
        f"Next: python -m exercises {left[0]}" if left else "That is all of them."))


def begin(exercise):
    """Put the page into my/, unless it is there. Returns whether it was put there now."""
    MINE.mkdir(exist_ok=True)
    try:
        with open(MINE / exercise.file, "x", encoding="utf-8") as file:
            file.write(exercise.text)
    except FileExistsError:
        return False
    print(f"{exercise.text}\nThis is {MINE / exercise.file} now, and yours: "
          f"{KINDS[exercise.kind]},\nsave it, and give the same command again.")
    return True


def checked(exercise):
    """Check the student's file, in a process of its own: it may never end. Prints what there is to
    say; returns the exit code."""
    command = [sys.executable, "-m", "exercises", str(exercise.number), "--once"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SECONDS)
        state, message = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        state, message = "failed", (f"It was stopped after {SECONDS} s: is there a loop that never "
                                    f"ends?")
    except ValueError:
        state, message = "failed", "The check broke off: " + (
            done.stderr.decode(errors="replace").strip()[-300:] or f"code {done.returncode}")
    failed = keep(exercise, state)
    print(told(exercise, state, message, failed))
    return int(state != "passed")


def once(exercise):
    """What `checked` starts: write the result, and end, whatever threads still run. What the
    student's lines write past Python's print goes nowhere."""
    text = (MINE / exercise.file).read_text(encoding="utf-8-sig")
    answer, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.write(answer, json.dumps(check(exercise.number, text)).encode())
    os._exit(0)


def told(exercise, state, message, failed):
    """A result in words, with a hint from the second failure on."""
    lines = [f"{exercise.number}. {exercise.title}: {SAID[state]}", *message.splitlines()]
    if state == "failed" and failed > 1:
        lines.append(f"Hint: {exercise.answer.hint}")
    return "\n    ".join(lines)


def watch(exercise):
    """Check at each save, until it is right."""
    seen = None
    while True:
        try:
            file = (MINE / exercise.file).stat()
            if file.st_size and file.st_mtime_ns != seen:
                seen = file.st_mtime_ns
                if not checked(exercise):
                    return 0
                print("(checked again at each save; Ctrl-C ends it)", flush=True)
        except FileNotFoundError:  # some editors put another file into its place
            pass
        time.sleep(0.2)


def show_solution(exercise, ask):
    """The library's lines, after asking."""
    if ask and not sys.stdin.isatty():
        print("exercises: there is no terminal to ask at: add --yes", file=sys.stderr)
        return 2
    if ask and input(f"Show the solution of {exercise.number}? [y/N] ").strip().lower() != "y":
        return 1
    print(library(exercise.number) + "On the page:\n\n"
          + solved(exercise.number).rpartition('"""')[2].strip())
    return 0


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m exercises", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="?", type=int)
    parser.add_argument("--watch", action="store_true", help="check at each save")
    parser.add_argument("--solution", action="store_true", help="show the library's lines")
    parser.add_argument("--yes", action="store_true", help="do not ask before")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    exercise = exercises().get(flags.number)
    if flags.number is None and not (flags.watch or flags.solution):
        return listing()
    if exercise is None:
        parser.error("which exercise? Give its number" if flags.number is None else
                     f"there is no exercise {flags.number}: they are 1 to {max(exercises())}")
    if flags.once:
        return once(exercise)
    if flags.solution:
        return show_solution(exercise, ask=not flags.yes)
    new = begin(exercise)
    return watch(exercise) if flags.watch else 1 if new else checked(exercise)


if __name__ == "__main__":
    import early

    early.ctrl_c_raises()
    try:
        with steady_output():
            code = main()
            check_printed()
        sys.exit(code)
    except (OSError, UnicodeError) as error:  # my/ cannot be written, a file is no text
        print(f"exercises: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(1)
