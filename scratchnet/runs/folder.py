"""The folder of a run: which one, whether it may be written, kept from others, cleared, described.
"""

import contextlib
import os
from pathlib import Path

from .. import backend
from ..errors import RunError
from ..fast.processes import processes
from . import checkpoint
from . import run as runs
from .files import contents, lock, replacing
from .flags import RUN_ONLY

_locked = set()  # file descriptors; a process forked while they are open has no use for them
if hasattr(os, "register_at_fork"):  # ... and would keep the lock of one that was killed
    os.register_at_fork(after_in_child=lambda: [os.close(handle) for handle in _locked])


def unused(path):
    """The path, or with the first number that makes it new: vae-mnist-2, samples-seed0-2.png."""
    new, number = path, 1
    while new.exists():
        number += 1
        new = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return new


def not_writable(folder, why):
    return RunError(f"the run cannot be written to {folder}: {why}; mend that, or name another "
                    f"folder with --out")


@contextlib.contextmanager
def reported(path):
    """An OSError inside becomes a RunError of one line."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; name another place, or "
                       f"make room there") from None


def check_has_room(path):
    """Raise RunError if a small file cannot be written at path; what is there is left alone."""
    class Enough(Exception):
        pass
    with reported(path), contextlib.suppress(Enough), replacing(path) as file:
        file.write(bytes(1 << 16))
        file.flush()
        raise Enough


def check_free(folder, overwrite):
    """Raise RunError if --out names something that a new run must not be written over."""
    check_writable(folder)
    with reported(folder):
        names = contents(folder)
    if names:
        if "config.json" not in names:
            raise RunError(f"--out {folder}: the folder has files in it and is no run; name a new "
                           f"or empty one")
        if not overwrite and not barely_begun(folder):
            raise RunError(f"--out {folder}: there is a run in it; go on with --resume {folder}, "
                           f"replace it with --overwrite, or name another folder")


def check_writable(folder):
    """Raise RunError if the folder cannot be made or written."""
    above = folder
    with reported(folder):
        while not above.exists():
            above = above.parent
    if not above.is_dir():
        raise not_writable(folder, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise not_writable(folder, f"no permission to write in {above}")


def barely_begun(folder):
    """Whether a run was ended there before its first checkpoint: it left config.json, and nothing
    that would be lost. (A checkpoint at step 0 would not do instead: the run may be ended before
    that, too.)"""
    try:
        return contents(folder) == {"config.json"} and bool(runs.read(folder))
    except RunError:
        return False  # another program's config.json


@contextlib.contextmanager
def claimed(flags, dataset):
    """The folder of the run, locked. What is in it is looked at under the lock, again: another run
    may have begun or finished there while the data were loaded."""
    folder = Path(flags.resume or flags.out or made(Path("runs", f"{flags.model}-{dataset.name}")))
    check_writable(folder)
    with locked(folder):
        if not flags.resume:
            check_free(folder, flags.overwrite)
        yield folder


def made(path):
    """A new folder of that name, or with the first number that nobody else has taken."""
    while True:
        folder = unused(path)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not folder.exists():
                raise not_writable(folder, f"{folder.parent} is a file") from None
        except OSError as error:
            raise not_writable(folder, error.strerror) from None


@contextlib.contextmanager
def locked(folder):
    """Make the folder if it is not there, and keep other processes from training into it: RunError
    if one does already. (By a lock on the folder itself, which leaves no file and goes with the
    process; on systems without such locks nothing is kept.)"""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error.strerror) from None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    _locked.add(handle)
    try:
        if lock(handle) is False:
            raise RunError(f"{folder}: another process is training into this folder; wait until it "
                           f"is done, or stop it, and then use --resume {folder}")
        yield
    finally:
        _locked.discard(handle)
        os.close(handle)


def clear(folder):
    """Remove the files of the run that was there, if --overwrite was given; the checkpoint last,
    so that it can still go on until then. (config.json is about to be replaced.)"""
    try:
        for old in [*folder.glob("*.png"), *folder.glob("evaluation*.json"),
                    *folder.glob("validation*.json"),
                    *(folder / n for n in ("metrics.csv", "train.csv", "checkpoint.npz"))]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise not_writable(folder, error.strerror) from None


def write_config(folder, script, flags, dataset, continued):
    """config.json: everything that repeats the run, and what it ran on. continued: what was
    changed on the way, by --resume: [{"after_step": n, "was": {flag: earlier value}}, ...]."""
    kept = {n: v for n, v in vars(flags).items() if n not in (*RUN_ONLY, "out", "data_dir")}
    content = {"script": script, "flags": kept,
               "dataset": {"name": dataset.name, "title": dataset.title, "sha256": dataset.sha256,
                           "image_shape": list(dataset.image_shape),
                           "num_classes": dataset.num_classes},
               **({"continued": continued} if continued else {}),
               "versions": backend.versions(), "processes": processes(flags.batch_size)}
    try:
        checkpoint.write_json(folder / "config.json", content)
    except OSError as error:
        raise not_writable(folder, error.strerror) from None
