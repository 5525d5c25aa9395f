"""Files that are put in place only when they are complete, and what is left of those that are not.

What is being written is called .scratchnet-<16 random hex digits>.part, in the folder of the file
that it will be: made exclusively, under a name that nobody can prepare, and locked for as long as
its process lives. Whoever writes into the folder next removes those that nobody holds.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None

PART = re.compile(r"\.scratchnet-[0-9a-f]{16}\.part")


@contextlib.contextmanager
def replacing(path, mode="wb"):
    """`with replacing(path) as file:` writes a new file and puts it at path only when complete.
    Whatever ends it early but a kill removes the part."""
    path = Path(path)
    remove_parts(path.parent)
    part = path.with_name(f".scratchnet-{secrets.token_hex(8)}.part")
    how = {} if "b" in mode else {"newline": ""}
    try:
        with open(part, mode.replace("w", "x"), **how) as file:
            lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # Windows renames no open file
            os.replace(part, path)  # while it is still locked
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def lock(handle):
    """Take the lock of an open file or folder, which goes with the process. True if it is ours,
    False if another has it, None if there are no locks here."""
    if flock is None:
        return None
    try:
        flock(handle, LOCK_EX | LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None  # a file system without locks


def is_part(name):
    return PART.fullmatch(name) is not None


def contents(folder):
    """The names in a folder, but for parts; none if there is no folder."""
    return {name for name in os.listdir(folder) if not is_part(name)} if folder.is_dir() else set()


def remove_parts(folder):
    """Remove the parts that a killed process left in the folder, but none that is being written."""
    with contextlib.suppress(OSError):
        for name in filter(is_part, os.listdir(folder)):
            with contextlib.suppress(OSError):  # somebody else's
                remove_if_left(Path(folder, name))


def remove_if_left(part):
    if flock is None:
        part.unlink()  # Windows refuses this while it is open
        return
    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if lock(handle):
            part.unlink()
    finally:
        os.close(handle)
