"""What the scripts import before all else, because importing the rest takes a while: to be stopped
then, by Ctrl-C or another signal, ends them as it does later, with 128 + its number. Without NumPy,
or the memory to load it, they end here, with one line.
"""

import os
import signal
import sys

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    number = getattr(signal, name, None)
    if number and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):  # nohup
        signal.signal(number, lambda number, frame: os._exit(128 + number))

try:
    bytes(1 << 27)  # without so much, OpenBLAS ends the process itself
    import numpy.random  # noqa: F401
except (ImportError, MemoryError, OSError) as error:
    why = " ".join(str(error).split())[:200] or "there is not enough memory"
    print(f"error: NumPy cannot be loaded ({why}); install it with pip install -r requirements.txt,"
          f" or give it more memory", file=sys.stderr)
    sys.exit(2)
