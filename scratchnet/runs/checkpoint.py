"""A checkpoint is one .npz file with everything that a run needs to go on.

    model/<name>        the model's state_dict
    optimizer/<name>    the optimiser's state_dict
    best/<name>         with --keep-best: the state_dict of the best epoch, averaged if it was
    progress            a line of JSON: step, sums of the unfinished epoch, history

It is written beside the old one and then put in its place in one step: a run killed while saving
still has the old one. No pickle is read or written; each array has a checksum, the zip file's own.
One that export.py wrote has no optimizer/, and its parameters may be float16.
"""

import json

import numpy as np

from ..errors import CheckpointError
from .files import reading, replacing


def save(path, model, optimizer, progress, best=None):
    """Write a checkpoint atomically. progress: a dict that JSON can hold; best: the model's state
    in progress["best"], a row of its history.

    Raises OSError if the file cannot be written; the old one is then untouched.
    """
    arrays = {f"model/{n}": a for n, a in model.state_dict().items()}
    arrays.update({f"optimizer/{n}": a for n, a in optimizer.state_dict().items()})
    arrays.update({f"best/{n}": a for n, a in (best or {}).items()})
    write(path, arrays, progress)


def size(model, optimizer, best=False):
    """How many bytes a checkpoint of these has, about. best: with the best weights, too."""
    arrays = [*model.state_dict().values()] * (1 + best) + [*optimizer.state_dict().values()]
    return sum(a.nbytes for a in arrays) + (1 << 20)


def save_weights(path, model, progress, half):
    """Write a checkpoint without an optimiser, and without the history of the training: to use a
    model, not to train it on. What a mask hides is 0, of which nothing is left when packed. half:
    parameters as float16; they are float32 again when loaded. Returns the names of those that
    float16 does not hold, and that were written as they are."""
    arrays = {f"model/{n}": a for n, a in model.state_dict().items()}
    for name, mask in masks(model):
        arrays[f"model/{name}"][~mask] = 0
    names = list(model.named_parameters()) if half else []
    with np.errstate(over="ignore"):
        rounded = {n: arrays[f"model/{n}"].astype(np.float16) for n in names}
    kept = [n for n in names if not holds(rounded[n], arrays[f"model/{n}"])]
    arrays |= {f"model/{n}": rounded[n] for n in names if n not in kept}
    write(path, arrays, progress | {"counts": [0, 0], "epoch": {}, "window": {}, "history": [],
                                    "trace": []}, packed=True)
    return kept


def masks(module, at=""):
    """(name of its weights, mask) of each masked convolution in a module."""
    if hasattr(module, "mask"):
        yield f"{at}w", module.mask
    for name, child in module.children():
        yield from masks(child, f"{at}{name}.")


def holds(rounded, array):
    """Whether rounding changed no value by more than a thousandth of the largest: one above 65,504
    becomes infinite, and those that are all below 1e-7 become 0."""
    largest = np.abs(array).max(initial=0)
    return bool((np.abs(rounded.astype(array.dtype) - array) <= largest / 1000).all())


def write(path, arrays, progress, packed=False):
    """Arrays and progress, in the place of what is at path."""
    text = json.dumps(progress, allow_nan=False)
    with replacing(path) as file:
        save = np.savez_compressed if packed else np.savez
        save(file, progress=np.array(text), **arrays)


def reading_it(path):
    return reading(path, "checkpoint", "restore it from a copy, or train again", CheckpointError)


def check_goes_on(path):
    """Raise CheckpointError for a checkpoint without an optimiser."""
    with reading_it(path), open(path, "rb") as stream, np.load(stream) as file:
        if file["progress"].size and not any(n.startswith("optimizer/") for n in file.files):
            raise CheckpointError(
                f"{path} has the weights alone, to draw from and to measure: what Adam needs to go "
                f"on was left out by export.py; go on with the run that was exported, or begin "
                f"another with these weights, --from {path.parent}")


def load(path, model, optimizer=None, averaged=False):
    """Read a checkpoint into the model (and optimiser); returns progress.

    averaged: give the model the best weights, if they were kept, else the running means of its
    parameters, if the optimiser kept those: for a model that is to be used, not trained on. The
    progress has their step then.

    Raises CheckpointError if the file is damaged, or of another model, which is then as it was.
    """
    with reading_it(path):
        parts, progress = read(path)
    try:
        if averaged:
            parts["model"] |= parts["best"] or averages(parts["optimizer"], model)
            if parts["best"]:
                progress["step"] = progress["best"]["step"]
        if optimizer is not None:
            optimizer.load_state_dict(parts["optimizer"])
        model.load_state_dict(parts["model"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is a checkpoint of another model: {error}") from None
    return progress


def read(path):
    """{"model": {name: array}, "optimizer": ..., "best": ...} and the progress in a checkpoint."""
    parts = {"model": {}, "optimizer": {}, "best": {}}
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = dict(file)
    # Until the third edition: digests of the arrays; a second line, with the digest of the first; a
    # model's count of its steps.
    progress = json.loads(arrays.pop("progress").item().partition("\n")[0])
    progress.pop("digests", None)
    arrays.pop("model/steps", None)
    for name, array in arrays.items():
        part, _, key = name.partition("/")
        parts[part][key] = array
        weights = part in ("model", "best") or key.startswith("average.")
        if weights and not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
    return parts, progress


def averages(state, model):
    """{name: running mean} of the model's parameters, from the state of an optimiser ({} if it kept
    none). It counts a parameter that the model has in two places once."""
    if not any(name.startswith("average.") for name in state):
        return {}
    number = {p: i for i, p in enumerate(model.parameters())}
    return {name: state[f"average.{number[p]}"] for name, p in model.named_parameters().items()}
