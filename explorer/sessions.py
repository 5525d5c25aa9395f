"""Code that the page has run, in processes of its own: a time limit, and an end."""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .answers import Wrong

ROOT = Path(__file__).resolve().parent.parent
IDLE = 15 * 60  # seconds without a request after which a session ends
MOST = 4        # sessions at a time
STOPPED = "it was stopped after {} s"


class Session:
    """A Python of its own, that answers one request at a time."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "explorer.cells"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, encoding="utf-8",
            start_new_session=True, env=os.environ | {"MPLBACKEND": "agg", "PYTHONUTF8": "1"})
        atexit.register(self.end)
        self.turn = threading.Lock()
        self.rest()

    def rest(self):
        self.used, self.idle = time.monotonic(), threading.Timer(IDLE, self.end)
        self.idle.daemon = True
        self.idle.start()

    def alive(self):
        return self.process.poll() is None

    def end(self):
        """Stop it, whatever it does, and the processes that it began."""
        atexit.unregister(self.end)
        self.idle.cancel()
        self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def kill(self):
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def ask(self, request, seconds):
        """The answer. Raises Wrong if there is none, in time or at all; then the session ended."""
        with self.turn:
            self.idle.cancel()
            late, begun = threading.Timer(seconds, self.kill), time.monotonic()
            late.start()
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except (OSError, ValueError):  # it was ended
                line = ""
            finally:
                late.cancel()
            if not line:
                self.end()
                raise Wrong(STOPPED.format(seconds) if time.monotonic() - begun >= seconds
                            else "its Python ended; the next cell starts another")
            self.rest()
            return json.loads(line)


class Sessions:
    """By name, at most MOST: one more takes the place of that which was idle longest."""

    def __init__(self):
        self.found, self.turn = {}, threading.Lock()

    def of(self, name):
        """(the session, whether it is new). Raises Wrong if all others are at work."""
        with self.turn:
            for n in [n for n, s in self.found.items() if not s.alive()]:
                self.found.pop(n).end()
            if name in self.found:
                return self.found[name], False
            if len(self.found) >= MOST:
                resting = [n for n, s in self.found.items() if not s.turn.locked()]
                if not resting:
                    raise Wrong(f"{MOST} pages run code already; wait, or reset one")
                self.found.pop(min(resting, key=lambda n: self.found[n].used)).end()
            self.found[name] = Session()
            return self.found[name], True

    def end(self, name):
        with self.turn:
            session = self.found.pop(name, None)
        if session:
            session.end()
