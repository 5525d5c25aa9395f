"""What the scripts import first: whether this Python, and its NumPy, will do. One line if not."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during imports: no traceback

trouble = None
if sys.version_info < (3, 10):  # noqa: UP036
    trouble = f"this is Python {sys.version.split()[0]}, and 3.10 or later is needed"
else:
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        trouble = (f"NumPy cannot be loaded ({error}); install what is missing with pip install -r "
                   f"requirements.txt")
if trouble:
    print("error: " + " ".join(trouble.split()), file=sys.stderr)
    sys.exit(2)
