"""The folder of a run: which one, whether it may be written, kept from others, cleared, described.
"""

import contextlib
import json
import os
from pathlib import Path

from .. import backend
from ..errors import RunError
from ..fast.processes import processes
from . import checkpoint
from .flags import RUN_ONLY


def unused(path):
    """The path, or with the first number that makes it new: vae-mnist-2, samples-seed0-2.png."""
    new, number = path, 1
    while new.exists():
        number += 1
        new = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return new


def not_writable(folder, why):
    return RunError(f"the run cannot be written to {folder}: {why}; name another folder with --out")


def check_free(folder, overwrite):
    """Raise RunError if --out names something that a new run must not be written over."""
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "config.json").is_file():
            raise RunError(f"--out {folder}: the folder has files in it and is no run; name a new "
                           f"or empty one")
        if not overwrite:
            raise RunError(f"--out {folder}: there is a run in it; go on with --resume {folder}, "
                           f"replace it with --overwrite, or name another folder")


def check_writable(folder):
    """Raise RunError if the folder cannot be made or written."""
    above = folder
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise not_writable(folder, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise not_writable(folder, f"no permission to write in {above}")


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
        import fcntl
        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(f"{folder}: another process is training into this folder; wait until it is "
                       f"done, or stop it, and then use --resume {folder}") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def clear(folder):
    """Remove the files of the run that was there, if --overwrite was given."""
    try:
        for old in [*folder.glob("*.png"), *(folder / n for n in (
                "checkpoint.npz", "metrics.csv", "train.csv", "evaluation.json"))]:
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
