"""What the scripts import before all else, because importing the rest takes a while: to be stopped
then, by Ctrl-C or another signal, ends them as it does later, with 128 + its number. Processes that
MPI started are ended by the signal itself: their launcher then ends those that wait for them.
Without NumPy, or the memory to load it, they end here, with one line.
"""

import os
import signal
import sys

by_mpi = "PMI_RANK" in os.environ or "OMPI_COMM_WORLD_RANK" in os.environ
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    number = getattr(signal, name, None)
    if number and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):  # nohup
        signal.signal(number, signal.SIG_DFL if by_mpi else
                      lambda number, frame: os._exit(128 + number))

try:
    bytes(1 << 27)  # without so much, OpenBLAS ends the process itself
    import numpy.random  # noqa: F401
except (ImportError, MemoryError, OSError) as error:
    why = " ".join(str(error).split())[:200] or "there is not enough memory"
    print(f"error: NumPy cannot be loaded ({why}); install it with pip install -r requirements.txt,"
          f" or give it more memory", file=sys.stderr)
    sys.exit(2)
