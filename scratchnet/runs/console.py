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
    """A stream that does its best: what its encoding lacks is written otherwise; what cannot be
    written (a closed pipe, a full disk) is lost, and nothing else is."""

    def __init__(self, stream):
        self.stream = stream  # None if it was closed before Python started

    def write(self, text):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed: a ValueError
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                plain = text.replace("─", "-")
                encoding = self.stream.encoding
                self.stream.write(plain.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self.stream.flush()

    def isatty(self):
        try:
            return self.stream.isatty()
        except (ValueError, AttributeError):
            return False

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextlib.contextmanager
def steady_output():
    """Inside, stdout and stderr are Steady, and afterwards Python can end without complaint."""
    # Where 0, 1 or 2 is closed, the next file opened would get that number, and with it whatever a
    # library prints.
    with contextlib.suppress(OSError):
        while (handle := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(handle)
    streams = sys.stdout, sys.stderr
    with contextlib.redirect_stdout(Steady(sys.stdout)), contextlib.redirect_stderr(
            Steady(sys.stderr)):
        try:
            yield
        finally:
            for stream in streams:
                settle(stream)


def settle(stream):
    """Write out what waits in the stream, if it can be; else forget it, or Python would try again
    when it ends, and complain."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    except (ValueError, AttributeError):
        pass  # closed already


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
