"""What the scripts import before all else, because importing the rest takes a while: to be stopped
then, by Ctrl-C or another signal, ends them as it does later, with 128 + its number."""

import os
import signal

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    number = getattr(signal, name, None)
    if number and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):  # nohup
        signal.signal(number, lambda number, frame: os._exit(128 + number))
