"""The folder of a run: which one, whether it may be written, kept from others, cleared, described.
"""

import contextlib
import ctypes
import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from .. import backend
from ..errors import RunError, shown
from ..fast.processes import processes
from . import run as runs
from .files import (
    about,
    contents,
    lock,
    new_folder,
    new_part,
    remove_parts,
    replacing,
    write_json,
)
from .flags import RUN_ONLY
from .pictures import PICTURES

N = "(0|[1-9][0-9]*)"
OURS = re.compile(  # what a run, generate.py and evaluate.py call their files
    rf"config\.json|(checkpoint|codes)\.npz|(metrics|train)\.csv|curves\.png|training\.gif"
    rf"|({'|'.join(PICTURES)})((-(temperature|guidance)[0-9.e-]+)*-seed{N}(-{N})?)?\.png"
    rf"|(evaluation|validation)(-static)?(-first{N})?(-importance{N})?\.json")


def unused(path):
    """The path, or with the first number that makes it new: vae-mnist-2, samples-seed0-2.png."""
    new, number = path, 1
    while os.path.lexists(new):
        number += 1
        new = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return new


def put_unused(path, write):
    """write(path), with the first number that makes it new even if another process takes the same
    one meanwhile: write raises FileExistsError then. Returns the path that was written."""
    while True:
        with contextlib.suppress(FileExistsError):
            write(new := unused(path))
            return new


def check_has_room(path, size=1 << 16):
    """Raise OSError if a file of so many bytes cannot be written at path; what is there is left
    alone."""
    class Enough(Exception):
        pass
    try:
        with contextlib.suppress(Enough), replacing(path) as file:
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(size - start, 1 << 20)))
            file.flush()
            raise Enough
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.strerror += f" ({size / 1e6:,.1f} MB are needed, beside what is there)"
        raise


def own(folder):
    """The names of the files in the folder that a run, generate.py or evaluate.py wrote there."""
    return {name for name in contents(folder)
            if OURS.fullmatch(name) and not (folder / name).is_dir()}


def check_free(folder, overwrite, whole=False):
    """Raise RunError if --out names something that a new run must not be written over. whole: nor
    put in the place of, with all that is in it. NotADirectoryError for a file."""
    if folder.is_file():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, and no folder", str(folder))
    if not (names := contents(folder)):
        return
    try:
        runs.read(folder)
    except RunError:  # other files, another program's config.json
        raise RunError(f"--out {folder}: the folder has files in it and is no run; name a new or "
                       f"empty one") from None
    if not overwrite and not barely_begun(folder):
        go_on = "" if whole else f"go on with --resume {folder}, "
        raise RunError(f"--out {folder}: there is a run in it; {go_on}replace it with --overwrite, "
                       f"or name another folder")
    if whole and (others := sorted(names - own(folder))):
        raise RunError(f"--out {folder}: {shown(others[0])} in it is not the run's; move it, or "
                       f"name another folder")


def barely_begun(folder):
    """Whether a run was ended there before its first checkpoint: it left config.json, the codes of
    a prior perhaps, and nothing that would be lost. (A checkpoint at step 0 would not do instead:
    the run may be ended before that, too.)"""
    return contents(folder) - {"codes.npz"} == {"config.json"}


@contextlib.contextmanager
def claimed(flags, dataset):
    """The folder of the run, locked. What is in it is looked at under the lock, again: another run
    may have begun or finished there while the data were loaded."""
    named = flags.resume or flags.out
    folder = Path(named) if named else unused(Path("runs", f"{flags.model}-{dataset.name}"))
    with new_folder(folder, exist_ok=named is not None), locked(folder):
        if not flags.resume:
            check_free(folder, flags.overwrite)
        yield folder


@contextlib.contextmanager
def locked(folder):
    """Keep other processes from training into the folder: RunError if one does already. (By a lock
    on the folder itself, which leaves no file and goes with the process; on systems without such
    locks nothing is kept.)"""
    if os.name == "nt":  # where no folder can be opened
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if lock(handle) is False:
            raise RunError(f"{folder}: another process is training into this folder; wait until it "
                           f"is done, or stop it, and then use --resume {folder}")
        yield handle
    finally:
        os.close(handle)


def clear(folder):
    """Remove the files of the run that was there, if --overwrite was given, and no others; the
    checkpoint last, so that it can still go on until then. (config.json is about to be replaced.)
    """
    for name in sorted(own(folder) - {"config.json"}, key=lambda name: name == "checkpoint.npz"):
        (folder / name).unlink()


@contextlib.contextmanager
def replacing_folder(path):
    """`with replacing_folder(path) as part:` makes a new folder and puts it at path only when it is
    complete, in one step and in the place of what was there, which is then removed. Neither is
    trained into meanwhile."""
    there, target = path.exists(), path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(target.parent)
    part = new_part(target)
    with about(path), contextlib.ExitStack() as stack:
        if there:
            stack.enter_context(locked(target))
        try:
            part.mkdir()
            handle = stack.enter_context(locked(part))
            yield part
            if handle is not None:
                os.fsync(handle)
            if there:
                shutil.copymode(target, part)
                exchange(part, target)
            else:
                os.rename(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)  # half of the new one, or all of the old


def exchange(part, path):
    """Put the folder part at path. What was there is at part then, or gone."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # Linux alone has it
        swap = ctypes.CDLL(None).renameat2
        if swap(-100, os.fsencode(part), -100, os.fsencode(path), 2) == 0:  # RENAME_EXCHANGE
            return
    old = new_part(path)
    try:
        os.rename(path, old)
        os.rename(part, path)
    except BaseException:
        if not path.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_config(folder, script, flags, dataset, continued):
    """config.json: everything that repeats the run, and what it ran on. continued: what was
    changed on the way, by --resume: [{"after_step": n, "was": {flag: earlier value}}, ...]."""
    kept = {n: v for n, v in vars(flags).items() if n not in (*RUN_ONLY, "out", "data_dir")}
    content = {"script": script, "flags": kept,
               "dataset": {"name": dataset.name, "title": dataset.title, "sha256": dataset.sha256,
                           "image_shape": list(dataset.image_shape),
                           "num_classes": dataset.num_classes,
                           **({"classes": list(dataset.classes)} if dataset.classes else {})},
               **({"continued": continued} if continued else {}),
               "versions": versions(), "processes": processes(flags.batch_size)}
    write_json(folder / "config.json", content)


def versions():
    """Versions of everything a result depends on."""
    return {"python": sys.version.split()[0], "numpy": np.__version__,
            "backend": backend.describe(), "commit": commit_of(Path(__file__).parents[2])}


def commit_of(checkout):
    """The commit of the git repository in this folder; not of one that the folder lies in, which is
    somebody else's."""
    git = ["git", f"--git-dir={checkout}/.git", f"--work-tree={checkout}"]
    try:
        described = subprocess.run([*git, "describe", "--always", "--dirty", "--abbrev=12"],
                                   check=True, capture_output=True, text=True, timeout=5)
        return described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown (no git)"
