"""Exercises on the book, which check themselves.

    python -m exercises                  all of them, and how far you are
    python -m exercises 12               the first time: puts 12 into my/; then: checks it there
    python -m exercises 12 --watch       checks it at each save, until it is right
    python -m exercises 12 --solution    shows the library's lines, after asking

You write in my/, which git ignores and nothing here overwrites: to begin anew, delete the file.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from .check import KINDS, check, exercises
from .solution import library, solved

MINE = Path("my")
SECONDS = 10  # that a check may take
CODES = {"passed": 0, "failed": 1, "unwritten": 3}
MARKS = {"done": "x", "tried": "/", "": " "}


# ---------------------------------------------------------------- what is kept of a student

def kept():
    """{number: {"failed": how often, "passed": did the last check}}; {} if unreadable."""
    try:
        return {int(n): {"failed": int(s["failed"]), "passed": bool(s["passed"])} for n, s in
                json.loads((MINE / "state.json").read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def keep(number, state):
    """Count this result. Returns how often the exercise has failed."""
    all_of_it = kept()
    mine = all_of_it.setdefault(number, {"failed": 0, "passed": False})
    mine["failed"] += state == "failed"
    mine["passed"] = state == "passed"
    (MINE / "state.json").write_text(json.dumps(all_of_it), encoding="utf-8")
    return mine["failed"]


def state_of(exercise, states):
    if states.get(exercise.number, {}).get("passed"):
        return "done"
    return "tried" if (MINE / exercise.file).exists() else ""


# ---------------------------------------------------------------- the command

def listing():
    """All exercises by chapter, with their state, and what is next."""
    states, chapter = kept(), None
    for e in exercises().values():
        if e.chapter != chapter:
            chapter = e.chapter
            print(f"\nChapter {chapter}")
        print(f" [{MARKS[state_of(e, states)]}] {e.number:2}  {e.title:52.52} {e.kind}")
    done = [e.number for e in exercises().values() if state_of(e, states) == "done"]
    left = [n for n in exercises() if n not in done]
    print(f"\n{len(done)} of {len(exercises())} done, [/] begun. " + (
        f"Next: python -m exercises {left[0]}" if left else "That is all of them."))
    return 0


def begin(exercise):
    """Put the page into my/, unless it is there. Returns whether it was put there now."""
    MINE.mkdir(exist_ok=True)
    try:
        with open(MINE / exercise.file, "x", encoding="utf-8") as file:
            file.write(exercise.text)
    except FileExistsError:
        return False
    print(f"{MINE / exercise.file} is yours now: {KINDS[exercise.kind]}, save it, and check it by "
          f"the same command.\n\n{exercise.text}")
    return True


def checked(exercise):
    """Check the student's file, in a process of its own: it may never end. Prints what is to be
    said; returns the exit code."""
    path = MINE / exercise.file
    try:
        done = subprocess.run([sys.executable, "-m", "exercises", str(exercise.number), "--once",
                               str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS, encoding="utf-8", errors="replace")
        state = next((s for s, code in CODES.items() if code == done.returncode), "failed")
        said = done.stdout.strip() or f"The check broke off: {done.stderr.strip()[-300:]}"
    except subprocess.TimeoutExpired:
        state, said = "failed", (f"It was not done after {SECONDS} s, and was stopped: is there a "
                                 f"loop that never ends?")
    failed = keep(exercise.number, state)
    print(f"{exercise.number}. {exercise.title}: {state.replace('unwritten', 'not yet')}")
    if state != "passed":
        print("\n".join("  " + line for line in said.splitlines()))
        if state == "failed" and failed > 1:
            print(f"  Hint: {exercise.answer.hint}")
    return 0 if state == "passed" else 1


def watch(exercise):
    """Check at each save, until it is right."""
    path, seen = MINE / exercise.file, None
    print(f"Checking {path} at each save; Ctrl-C ends it.\n", flush=True)
    while True:
        try:
            now = path.stat().st_mtime_ns, path.stat().st_size
        except FileNotFoundError:  # some editors put another file into its place
            now = seen
        if now != seen and now[1]:
            seen = now
            if not checked(exercise):
                return 0
            print(flush=True)
        time.sleep(0.2)


def show_solution(exercise, yes):
    """The library's lines, after asking."""
    if not yes:
        if not sys.stdin.isatty():
            print("exercises: there is no terminal to ask at; add --yes", file=sys.stderr)
            return 2
        if input(f"Show the solution of {exercise.number}, {exercise.title}? [y/N] ") not in "yY":
            return 1
    if lines := library(exercise.number):
        print(lines)
    print(f"As the page has it:\n\n{solved(exercise.number).rpartition(chr(34) * 3)[2].strip()}")
    return 0


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m exercises", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="?", type=int)
    parser.add_argument("--watch", action="store_true", help="check at each save")
    parser.add_argument("--solution", action="store_true", help="the library's lines, after asking")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--once", help=argparse.SUPPRESS)  # the file to check, and nothing else
    flags = parser.parse_args(arguments)
    if flags.number is None and not (flags.watch or flags.solution):
        return listing()
    exercise = exercises().get(flags.number)
    if exercise is None:
        parser.error(f"there is no exercise {flags.number}: they are 1 to {max(exercises())}"
                     if flags.number is not None else "which exercise? Give its number")
    if flags.once:
        state, message = check(exercise.number, Path(flags.once).read_text(encoding="utf-8"))
        print(message)
        return CODES[state]
    if flags.solution:
        return show_solution(exercise, flags.yes)
    new = begin(exercise)
    if flags.watch:
        return watch(exercise)
    return 1 if new else checked(exercise)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, UnicodeError) as error:
        print(f"exercises: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit("")
