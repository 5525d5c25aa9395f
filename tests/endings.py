"""A script in a process of its own, which is ended before one of its calls that change files."""

import ctypes
import errno
import io
import os
import select
import signal
import sys
import tempfile
import traceback

from scratchnet.runs import files

POINTS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir",
          "fcntl.flock"}
PATIENCE = 120  # seconds for what takes a tenth of one, on a machine that is not busy


def kill():
    os.kill(os.getpid(), signal.SIGKILL)  # nothing is written out or tidied up


def fail():
    raise OSError(errno.EIO, "Input/output error")


class Raw(io.FileIO):
    """A file whose writes, the system's, are points, too."""

    def write(self, content):
        self.point("write")
        return super().write(content)


def trap(inside, number, end):
    """Call end() in this process at its point of this number: before it opens, writes, syncs,
    locks, renames or removes a file in a folder, or a folder. Gives a function: how many there were
    so far."""
    first, passed, library = os.getpid(), 0, ctypes.CDLL
    inside = os.path.realpath(inside)

    def point(event, path=None, *_):
        nonlocal passed
        path = path if isinstance(path, (str, os.PathLike)) else inside  # an open file is ours
        if os.getpid() == first and os.path.abspath(path).startswith(inside):
            passed += 1
            if passed == number:
                end()

    def open_raw(path, mode="r", **how):
        if "x" not in mode:
            return open(path, mode, **how)
        raw = Raw(path, "x")
        raw.point = point
        file = io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, **how)

    class Library(library):
        def __getattr__(self, name):
            if name == "renameat2":
                point(name)
            return super().__getattr__(name)

    os.fsync = lambda handle: point("fsync")  # which is slow, and for machines that are killed
    files.open, ctypes.CDLL = open_raw, Library
    sys.addaudithook(lambda event, args: event in POINTS and point(event, *args))
    return lambda: passed


def ended(work, inside, number=0, end=kill, moment=None):
    """work(), ended at this point in the folder, or killed after so many seconds. Its exit code
    (-9: killed), how many points it passed, what it said. When this returns, all that it started
    has ended, too."""
    told, tell = os.pipe()
    with tempfile.TemporaryFile("w+") as said:
        pid = os.fork()
        if pid == 0:
            try:
                sys.stdout = sys.stderr = said
                passed = trap(inside, number, end)
                code = work()
                os.write(tell, b"%d" % passed())
            except BaseException:
                traceback.print_exc(file=said)
                code = 99
            said.flush()
            os._exit(code)
        os.close(tell)  # others have it until they have ended
        if moment is not None and not select.select([told], [], [], moment)[0]:
            os.kill(pid, signal.SIGKILL)
        passed = b""
        while True:
            assert select.select([told], [], [], PATIENCE)[0], "it is still there"
            if not (more := os.read(told, 100)):
                break
            passed += more
        os.close(told)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return code, int(passed or 0), said.read()
