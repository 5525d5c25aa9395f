"""What all scripts share: an exit code, errors in one line, the array library."""

import contextlib
import signal
import sys

from .. import backend
from ..backend import xp
from ..errors import BackendError, UserError, fitted, in_brief, printable
from ..fast import mpi
from .console import Stopped, steady_output, stop_signals

INSTALL = ("check `nvidia-smi`, install CuPy with CUDA's libraries, "
           "pip install \"cupy-cuda12x[ctk]\" (or cupy-cuda13x[ctk])")


def guarded(script, work, *arguments):
    """The exit code of work(*arguments): what it returns, 2 for the user's mistake, said in one
    line, 128 + the number of a signal that stopped it (130 for Ctrl-C)."""
    try:
        with steady_output():
            return mpi.as_one(explaining, script, work, arguments)
    finally:  # Ctrl-C is Python's again, for a notebook that goes on: early.py had changed it
        with contextlib.suppress(ValueError):  # not the main thread
            if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
                signal.signal(signal.SIGINT, signal.default_int_handler)


def explaining(script, work, arguments):
    try:
        with stop_signals():
            return work(*arguments) or 0
    except (Stopped, Exception) as error:
        if stopped := stop_behind(error):
            words, code = "stopped", 128 + stopped.number
        elif what := explained(error):
            words, code = f"error: {what}", 2
        else:
            raise
        lines = map(printable, f"{script}: {words}".split("\n"))
        print("\n".join(map(fitted, lines) if sys.stderr.isatty() else lines), file=sys.stderr)
        return code


def stop_behind(error):
    """The Stopped that an error is, or came of: NumPy and zipfile, closing their files on the way
    out, raise others. None if no signal was behind it."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error


def explained(error):
    """What was wrong and what to do, for errors that are not mistakes in the code; or None. What
    the system, or a library, refuses is explained here alone."""
    if isinstance(error, (UserError, FloatingPointError)):  # the latter: NaN that an op refuses
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or in_brief(error)}; mend that, or name another place"
    if isinstance(error, ImportError):
        return f"{in_brief(error)}; install what is missing with pip install -r requirements.txt"
    of_gpu = type(error).__module__.startswith(("cupy", "cuda"))
    if isinstance(error, MemoryError):
        return (f"there is not enough memory{' on the GPU' * of_gpu} ({in_brief(error)}); ask for "
                f"less at a time: fewer images, a smaller batch, or smaller sizes")
    if of_gpu:
        return (f"CUDA failed ({type(error).__name__}: {in_brief(error)}); a run goes on from its "
                f"last checkpoint with --resume; if it comes again see `nvidia-smi`, or use "
                f"--backend numpy")
    return None


def usage(script, text):
    """What a script says that was called without arguments; its exit code."""
    print(f"{text.rstrip()}\n\npython {script} --help shows all flags", file=sys.stderr)
    return 2


def use_backend(name, number=0):
    """Take the array library of this name, on the GPU of this number; which it is. Raises
    BackendError, which says what to do, for a CuPy that cannot do what a run needs."""
    if name == "auto":
        try:
            return use_backend("cupy", number)
        except BackendError:
            return backend.use("numpy")
    def twice(a): return a + a  # a name that is none of C's: the kernel is called so
    try:
        found = backend.use(name, number)
        if found == "cupy":
            a = xp.zeros((2, 2), "f")
            xp.fuse(twice)(a @ a).get()
    except Exception as error:  # CuPy has many error classes, none importable without CuPy
        words = str(error) if isinstance(error, BackendError) else (
            f"backend 'cupy': it cannot multiply matrices and compile kernels ({in_brief(error)})")
        raise BackendError(f"{words}; {INSTALL}, or use --backend numpy") from None
    return found
