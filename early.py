"""What the scripts import first: whether this Python, and its NumPy, will do. One line if not."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during imports: no traceback
    # (runs/script.py puts the handler back when the script ends: a notebook goes on)


def ctrl_c_raises():
    """KeyboardInterrupt again, for those that have something to put away."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


trouble = None
if sys.version_info < (3, 10):  # noqa: UP036
    trouble = f"this is Python {sys.version.split()[0]}, and 3.10 or later is needed"
else:
    try:
        import numpy
    except ImportError as error:
        trouble = (f"NumPy cannot be loaded ({error}); install what is missing with pip install -r "
                   f"requirements.txt")
    else:
        if int(numpy.__version__.split(".")[0]) < 2:
            trouble = (f"this is NumPy {numpy.__version__}, and 2.0 or later is needed; install it "
                       f"with pip install -U -r requirements.txt")
if trouble:
    print("error: " + " ".join(trouble.split()), file=sys.stderr)
    ctrl_c_raises()
    sys.exit(2)
