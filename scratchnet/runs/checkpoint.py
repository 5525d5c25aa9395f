"""A checkpoint is one .npz file with everything that a run needs to go on.

    model/<name>        the model's state_dict
    optimizer/<name>    the optimiser's state_dict
    progress            JSON: step, sums of the unfinished epoch, history

It is written beside the old one and then put in its place in one step: a run
killed while saving still has the old one. No pickle is read or written.
"""

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .files import replacing


def save(path, model, optimizer, progress):
    """Write a checkpoint atomically. progress: a dict that JSON can hold.

    Raises CheckpointError if the file cannot be written; the old one is then untouched.
    """
    path = Path(path)
    arrays = {f"model/{n}": a for n, a in model.state_dict().items()}
    arrays.update({f"optimizer/{n}": a for n, a in optimizer.state_dict().items()})
    arrays["progress"] = np.array(json.dumps(progress))
    try:
        with replacing(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from None


def load(path, model, optimizer=None, averaged=False):
    """Read a checkpoint into the model (and optimiser); returns progress.

    averaged: give the model the running means of its parameters, if the optimiser kept them: for
    a model that is to be used, not trained on.

    Raises CheckpointError if the file is missing, damaged, or of another model; then
    neither has been changed.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        progress = json.loads(arrays.pop("progress").item())
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: the run saved no checkpoint yet; "
                              f"train it first") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile,
            zlib.error) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({type(error).__name__}: "
                              f"{error}); restore it from a copy, or train again") from None
    parts = {"model": {}, "optimizer": {}}
    for name, array in arrays.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = array
    if averaged:
        parts["model"] |= averages(parts["optimizer"], model, parts["model"])
    before = model.state_dict()
    try:
        model.load_state_dict(parts["model"])
        if optimizer is not None:
            optimizer.load_state_dict(parts["optimizer"])
    except ValueError as error:
        model.load_state_dict(before)
        raise CheckpointError(f"{path} is a checkpoint of another model: {error}") from None
    return progress


def averages(state, model, names):
    """{name: running mean} of those of the model's parameters that are among the names, from the
    state of an optimiser that kept them ({} if it did not). The optimiser counts a parameter that
    the model has in two places once."""
    number = {p: i for i, p in enumerate(model.parameters())}
    found = {name: state.get(f"average.{number[p]}")
             for name, p in model.named_parameters().items() if name in names}
    return {name: average for name, average in found.items() if average is not None}


def write_json(path, content):
    """Write a file that people may read too, and put it in place only when complete."""
    with replacing(path, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
