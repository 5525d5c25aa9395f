"""A checkpoint is one .npz file with everything that a run needs to go on.

    model/<name>        the model's state_dict
    optimizer/<name>    the optimiser's state_dict
    progress            a line of JSON: step, sums of the unfinished epoch, history, and the SHA-256
                        of every array; then a line with the SHA-256 of the first

It is written beside the old one and then put in its place in one step: a run
killed while saving still has the old one. No pickle is read or written.
One that export.py wrote has no optimizer/, and its parameters may be float16.
"""

import hashlib
import json
import math
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, in_brief, shown
from ..training import summarise
from .files import replacing
from .forms import COUNT, NUMBER, TEXT, misfit

LONGEST = 1 << 28  # bytes of progress: ten million steps have half of it
SUM = ("a number or a list of numbers",
       lambda v: all(map(NUMBER[1], v if isinstance(v, list) else [v])))
PROGRESS = {"step": COUNT, "seconds": NUMBER, "epoch": {str: SUM}, "window": {str: SUM},
            "counts": ("two whole numbers", lambda v: isinstance(v, list) and len(v) == 2
                       and all(map(COUNT[1], v)))}
HISTORY = {"epoch": COUNT, "step": COUNT, "lr": NUMBER, "seconds": NUMBER, str: NUMBER}
TRACE = {"step": COUNT, str: NUMBER}


def save(path, model, optimizer, progress):
    """Write a checkpoint atomically. progress: a dict that JSON can hold.

    Raises OSError if the file cannot be written; the old one is then untouched.
    """
    arrays = {f"model/{n}": a for n, a in model.state_dict().items()}
    arrays.update({f"optimizer/{n}": a for n, a in optimizer.state_dict().items()})
    write(path, arrays, progress)


def save_weights(path, model, progress, half):
    """Write a checkpoint without an optimiser, and without the history of the training: to use a
    model, not to train it on. half: parameters as float16; they are float32 again when loaded.
    Returns the names of those that float16 does not hold, and that were written as they are."""
    arrays = {f"model/{n}": a for n, a in model.state_dict().items()}
    names = list(model.named_parameters()) if half else []
    with np.errstate(over="ignore"):
        rounded = {n: arrays[f"model/{n}"].astype(np.float16) for n in names}
    kept = [n for n in names if not holds(rounded[n], arrays[f"model/{n}"])]
    arrays |= {f"model/{n}": rounded[n] for n in names if n not in kept}
    write(path, arrays, progress | {"counts": [0, 0], "epoch": {}, "window": {}, "history": [],
                                    "trace": []})
    return kept


def holds(rounded, array):
    """Whether rounding changed no value by more than a thousandth of the largest: one above 65,504
    becomes infinite, and those that are all below 1e-7 become 0."""
    largest = np.abs(array).max(initial=0)
    return bool((np.abs(rounded.astype(array.dtype) - array) <= largest / 1000).all())


def write(path, arrays, progress):
    """Arrays and progress, with their digests, in the place of what is at path."""
    digests = {name: digest(array) for name, array in arrays.items()}
    text = json.dumps(progress | {"digests": digests}, allow_nan=False)
    arrays["progress"] = np.array(f"{text}\n{sha256(text)}")
    with replacing(path) as file:
        np.savez(file, **arrays)


def load(path, model, optimizer=None, averaged=False, columns=()):
    """Read a checkpoint into the model (and optimiser); returns progress.

    columns: metrics that its rows must have. averaged: give the model the running means of its parameters, if the optimiser kept them: for
    a model that is to be used, not trained on.

    Raises CheckpointError if the file is damaged, or of another model; then neither has been
    changed.
    """
    try:
        with zipfile.ZipFile(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy's, of headers that it mends
            members = headers(file)
            needed = fitting(path, members, model, optimizer, averaged)
            progress, digests = read_progress(file, members, model, columns)
            arrays = {name: read_array(file, name, digests) for name in needed}
        if digests is not None and digests.keys() != members.keys() - {"progress"}:
            raise ValueError("its arrays are not those that were saved")
        check_values(arrays)
    except (CheckpointError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile, NumPy and json have a dozen kinds for a damaged file
        raise CheckpointError(f"{path} is damaged or no checkpoint ({type(error).__name__}: "
                              f"{in_brief(error)}); restore it from a copy, or train "
                              f"again") from None
    parts = {"model": {}, "optimizer": {}}
    for name, array in arrays.items():
        part, _, key = name.partition("/")
        parts[part][key] = array
    if averaged:
        parts["model"] |= averages(parts["optimizer"], model)
    model.load_state_dict(parts["model"])
    if optimizer is not None:
        optimizer.load_state_dict(parts["optimizer"])
    return progress


def averages(state, model):
    """{name: running mean} of the model's parameters, from the state of an optimiser that kept them
    ({} if it did not). It counts a parameter that the model has in two places once."""
    number = {p: i for i, p in enumerate(model.parameters())}
    return {name: state[f"average.{number[p]}"] for name, p in model.named_parameters().items()
            if state}


# ---------------------------------------------------------------- reading, piece by piece

def headers(file):
    """{name: (shape, dtype)} of the arrays in a zip file, whose data are not looked at yet."""
    found = {}
    for info in file.infolist():
        name = info.filename.removesuffix(".npy")
        if name in found or not (name == "progress" or name.startswith(("model/", "optimizer/"))):
            raise ValueError(f"there is {info.filename!r} in it")
        with file.open(info) as stream:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError(f"{name}: another version of .npy")
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            size = stream.tell() + math.prod(shape) * dtype.itemsize
        # np.savez does not compress: what is larger than the file itself is not by us
        if info.compress_type != zipfile.ZIP_STORED or not size == info.file_size:
            raise ValueError(f"{name}: its size is not that of its header")
        found[name] = shape, dtype
    return found


def fitting(path, members, model, optimizer, averaged):
    """The names of the arrays to read. Raises CheckpointError if the file has others than the model
    and the optimiser have, or others of shape or dtype."""
    def kept(part, arrays):
        return {f"{part}/{name}": (a.shape, a.dtype) for name, a in arrays.items()}

    own = kept("model", model.tensors())
    prefixes, counts = ("model/",), ()
    members = {n: kind for n, kind in members.items() if n != "model/steps"}  # of older runs
    if not any(name.startswith("optimizer/") for name in members):
        if optimizer is not None:
            raise CheckpointError(f"{path} has the weights alone, to draw from and to measure: "
                                  f"what Adam needs to go on was left out by export.py; go on with "
                                  f"the run that was exported, or train anew with --config "
                                  f"{Path(path).parent}/config.json")
        own |= {n: (shape, np.dtype(np.float16)) for n, (shape, dtype) in own.items()
                if n in members and members[n] == (shape, np.dtype(np.float16))
                and dtype == np.float32}
    if optimizer is not None:
        own |= kept("optimizer", {f"{slot}.{i}": a for slot, arrays in optimizer.state.items()
                                  for i, a in enumerate(arrays)})
        prefixes = ("model/", "optimizer/")
        counts = tuple(members.keys() & {"optimizer/steps", "optimizer/step_count"})
    elif averaged and any(name.startswith("optimizer/average.") for name in members):
        own |= kept("optimizer", {f"average.{i}": p for i, p in enumerate(model.parameters())})
        prefixes = ("model/", "optimizer/average.")
    found = {n: kind for n, kind in members.items() if n.startswith(prefixes) and n not in counts}
    wrong = [f"missing {n}" for n in own if n not in found]
    wrong += [f"unknown {shown(n)}" for n in found if n not in own]
    wrong += ["{} has shape {} and dtype {}, expected {} and {}".format(n, *found[n], *own[n])
              for n in own if n in found and found[n] != own[n]]
    if optimizer is not None:
        wrong += [] if len(counts) == 1 else ["missing optimizer/steps"]
        wrong += [f"{n} has shape {members[n][0]}" for n in counts if members[n][1].kind not in "iu"
                  or members[n][0] not in ((), (len(optimizer.parameters),))]
    if wrong:
        what = "; ".join(wrong[:6] + [f"and {len(wrong) - 6} more"] * (len(wrong) > 6))
        raise CheckpointError(f"{path} is a checkpoint of another model: state does not fit "
                              f"{type(model).__name__}: {what.replace('model/', '')}")
    return [*own, *counts]


def read_progress(file, members, model, columns):
    """What was saved as progress, and the digests of the arrays: None in a file of version 0.1,
    which had none."""
    shape, dtype = members["progress"]
    if shape != () or dtype.kind != "U" or dtype.itemsize > LONGEST:
        raise ValueError("progress: is no text")
    text, _, own_digest = read_array(file, "progress").item().partition("\n")
    progress = json.loads(text)
    digests = progress.pop("digests", None)
    if own_digest != (sha256(text) if digests is not None else ""):
        raise ValueError("progress: is not what was saved")
    def form(held_out):
        return PROGRESS | {"history": [HISTORY | {f"{held_out}_{name}": NUMBER for name in columns}],
                           "trace": [TRACE | dict.fromkeys(columns, NUMBER)]}
    problem = misfit(progress, form("validation")) and misfit(progress, form("test"))
    if problem := problem or digests and misfit(digests, {str: TEXT}):
        raise ValueError(f"progress: {problem}")
    if columns:  # sums that the model's figures cannot be made of
        for part, count in zip(("epoch", "window"), progress["counts"], strict=True):
            summarise(model, {n: np.asarray(v) for n, v in progress[part].items()}, count)
    return progress, digests


def read_array(file, name, digests=None):
    """One array, as its digest says it was saved."""
    with file.open(f"{name}.npy") as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    if digests is not None and digest(array) != digests.get(name):
        raise ValueError(f"{name}: is not what was saved")
    return array


def check_values(arrays):
    """Raise ValueError for values that no run saves: a state of the model, or a running mean of its
    weights, that is not finite; negative counts of steps."""
    for name, array in arrays.items():
        if not (np.isfinite(array).all() if name.startswith(("model/", "optimizer/average.")) else
                array.dtype.kind == "f" or array.min(initial=0) >= 0):
            raise ValueError(f"{name}: has values that cannot be")


def digest(array):
    """SHA-256 of an array: of its dtype, shape and values."""
    return sha256(f"{array.dtype.str} {array.shape}", np.ascontiguousarray(array).data)


def sha256(text, more=b""):
    found = hashlib.sha256(text.encode())
    found.update(more)
    return found.hexdigest()


def write_json(path, content):
    """Write a file that people may read too, and put it in place only when complete."""
    with replacing(path, "w") as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")
