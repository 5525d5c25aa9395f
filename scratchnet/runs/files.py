"""Files that are read, whatever is in them, and files that are put in place only when complete.

What is being written is called .scratchnet-<16 random hex digits>.part, in the folder of the file
(or the folder) that it will be, and is locked for as long as its process lives. Whoever writes into
the folder next removes those that nobody holds.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from pathlib import Path

from ..errors import RunError, UserError, in_brief

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None

DESKTOP = {".DS_Store", "Thumbs.db", "desktop.ini"}
PART = re.compile(r"\.scratchnet-[0-9a-f]{16}\.part")

# ---------------------------------------------------------------- reading


@contextlib.contextmanager
def reading(path, what, remedy, kind=RunError):
    """Whatever goes wrong inside, which reads the file at path, becomes one error of this kind: the
    file, what it should be, what went wrong, what to do. Not what the system refuses (no such file,
    no permission, no memory), which script.explained says."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise kind(f"{path} is damaged or no {what} ({type(error).__name__}: {in_brief(error)}); "
                   f"{remedy}") from None


def expanded(path):
    """The path, with a ~ as the home folder. Raises RunError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise RunError(f"{path}: there is no such home folder; write the path out") from None


def read_json(path):
    """What is in a JSON file. Raises RunError if it is none."""
    with reading(path, "JSON", "restore it, or name another file"):
        return json.loads(Path(path).read_bytes())


# ---------------------------------------------------------------- writing

@contextlib.contextmanager
def replacing(path, mode="wb", new=False):
    """`with replacing(path) as file:` writes a new file and puts it at path only when complete.
    new: not in the place of another; FileExistsError if there is one by then.
    Whatever ends it early but a kill removes the part."""
    path = Path(path)
    remove_parts(path.parent)
    part = new_part(path)
    how = {} if "b" in mode else {"newline": "", "encoding": "utf-8"}
    with about(path):
        try:
            with open(part, mode.replace("w", "x"), **how) as file:
                lock(file.fileno())
                yield file
                file.flush()
                os.fsync(file.fileno())
                if os.name == "nt":
                    file.close()  # Windows renames no open file
                place(part, path, new)  # while it is still locked
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def place(part, path, new):
    """Put a part at path. new: of two processes that want the name, one gets FileExistsError."""
    if new:
        try:
            os.link(part, path)  # in one step
        except FileExistsError:
            raise
        except OSError:  # a file system without such links
            open(path, "x").close()
    try:
        if new and path.samefile(part):  # of which a rename does nothing
            part.unlink()
        else:
            os.replace(part, path)
    except BaseException:
        if new:
            path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_folder(folder, exist_ok=True):
    """Inside, there is this folder; in the end, none that was made for it and is empty."""
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    if exist_ok and folder.is_file():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, and no folder", str(folder))
    folder.mkdir(parents=True, exist_ok=exist_ok)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for part in made:
                part.rmdir()


def write_json(path, content, new=False):
    """Write a file that people may read too, and put it in place only when complete."""
    with replacing(path, "w", new) as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")


@contextlib.contextmanager
def about(path):
    """The system's errors inside name this path: not a part of it, or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


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


def new_part(path):
    return path.with_name(f".scratchnet-{secrets.token_hex(8)}.part")


def is_part(name):
    return PART.fullmatch(name) is not None


def contents(folder):
    """The names in a folder, but for parts and what a desktop leaves; none without a folder."""
    try:
        return {name for name in os.listdir(folder) if not is_part(name) and name not in DESKTOP}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def remove_parts(folder):
    """Remove the parts that a killed process left in the folder, but none that is being written."""
    with contextlib.suppress(OSError):
        for name in filter(is_part, os.listdir(folder)):
            with contextlib.suppress(OSError):  # somebody else's
                remove_if_left(Path(folder, name))


def remove_if_left(part):
    handle = os.open(part, os.O_RDONLY)
    try:
        if lock(handle):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    finally:
        os.close(handle)
