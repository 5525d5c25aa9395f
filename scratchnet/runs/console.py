"""Printing that never ends a run, and signals that end it in order."""

import contextlib
import os
import signal
import sys
import time

from ..fast.group import STOPS

TOGETHER = 0.5  # seconds: signals that come together are one (a terminal and a wrapper send two)

# ---------------------------------------------------------------- printing


class Steady:
    """A stream that loses what cannot be written (to a closed pipe, a full disk, no terminal), from
    then on, and nothing else; what its encoding lacks is written as escape codes."""

    def __init__(self, stream):
        self.stream = stream or open(os.devnull, "w")  # closed before Python started
        self.error = None  # by which something was lost
        with contextlib.suppress(AttributeError):
            self.stream.reconfigure(errors="backslashreplace")

    def write(self, text):
        with self.lost():
            self.stream.write(text)

    def flush(self):
        with self.lost():
            self.stream.flush()

    @contextlib.contextmanager
    def lost(self):
        try:
            yield
        except OSError as error:
            self.error = error  # what waits in the stream, too: Python would try again at its end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextlib.contextmanager
def steady_output():
    """Inside, stdout and stderr are Steady."""
    with (contextlib.redirect_stdout(Steady(sys.stdout)),
          contextlib.redirect_stderr(Steady(sys.stderr))):
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def check_printed():
    """Raise OSError if what was printed is lost, but to a reader who has seen enough: at the end of
    what has no other result."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error and not isinstance(error, BrokenPipeError):
        raise error


# ---------------------------------------------------------------- signals

class Stopped(KeyboardInterrupt):
    """A signal asked to stop: that of this number."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stop_signals(patience=0):
    """Inside, Ctrl-C, SIGTERM and SIGHUP raise Stopped, which tidies up on its way out. With
    patience=1 the first is only noted, so that a step can be finished. Gives a function: the
    number of the first so far, or None."""
    asked, last = [], -TOGETHER

    def note(number, frame):
        nonlocal last
        if time.monotonic() - last < TOGETHER:
            return
        last = time.monotonic()
        asked.append(number)
        if len(asked) > patience:
            sys.unraisablehook = lambda lost: None  # what half-made objects say as all ends
            raise Stopped(number)

    before = {n: handler for n in STOPS
              if (handler := signal.getsignal(n)) != signal.SIG_IGN}  # nohup
    try:
        for n in before:
            signal.signal(n, note)
    except ValueError:  # not the main thread: nobody can interrupt us there
        before = {}
    try:
        yield lambda: asked[0] if asked else None
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
