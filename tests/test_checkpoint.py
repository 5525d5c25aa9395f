"""checkpoint.load: what it accepts, and that it refuses all else without changing anything."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scratchnet import nn, optim
from scratchnet.errors import CheckpointError
from scratchnet.runs import checkpoint

ROOT = Path(__file__).parent.parent
PROGRESS = {"step": 3, "seconds": 1.5, "counts": [7, 7], "epoch": {"loss": 2.0},
            "window": {"loss": 2.0, "codes": [1.0, 0.0]}, "trace": [],
            "history": [{"epoch": 1, "step": 2, "lr": 1e-3, "seconds": 1.0, "test_loss": 2.0}]}


class Tied(nn.Module):
    """One parameter in two places, before another: named three times, two in the optimiser."""

    def __init__(self, rng, n=2):
        self.a = nn.Linear(n, n, rng, bias=False)
        self.again = self.a
        self.b = nn.Linear(n, n, rng, bias=False)


@pytest.fixture
def saved(rng, tmp_path):
    """The path of a checkpoint of a Tied whose running means are 0 and 1; the model, the optimiser
    that kept them."""
    model = Tied(rng)
    optimizer = optim.Adam(model.parameters(), average=0.5)
    for number, average in enumerate(optimizer.state["average"]):
        average[...] = number
    checkpoint.save(tmp_path / "c.npz", model, optimizer, PROGRESS)
    return tmp_path / "c.npz", model, optimizer


def members(path):
    """{name: bytes} of a zip file."""
    with zipfile.ZipFile(path) as file:
        return {n: file.read(n) for n in file.namelist()}


def write(path, contents, **how):
    with zipfile.ZipFile(path, "w", **how) as file:
        for name, content in contents.items():
            file.writestr(name, content)


def npy(array, **how):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **how)
    return stream.getvalue()


def of_version_0_1(path, progress=PROGRESS):
    """The contents without digests, as they were before there were any."""
    return members(path) | {"progress.npy": npy(json.dumps(progress))}


def refused(path, model, words, **how):
    """load raises CheckpointError with these words, and leaves the model as it was."""
    before = model.state_dict()
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(path, model, **how)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_is_saved_is_loaded(saved, rng):
    path, model, optimizer = saved
    optimizer.state["m"][0][...] = 5
    checkpoint.save(path, model, optimizer, PROGRESS)
    for contents in (members(path), of_version_0_1(path)):
        write(path, contents)
        loaded = Tied(np.random.default_rng(1))
        other = optim.Adam(loaded.parameters(), average=0.5)
        assert checkpoint.load(path, loaded, other) == PROGRESS
        for a, b in ((model, loaded), (optimizer, other)):
            for name, array in a.state_dict().items():
                np.testing.assert_array_equal(array, b.state_dict()[name])


def test_averages_of_tied_parameters_find_their_names(saved, rng):
    path, _, _ = saved
    loaded = Tied(rng)
    checkpoint.load(path, loaded, averaged=True)
    assert (loaded.a.w.numpy() == 0).all() and (loaded.b.w.numpy() == 1).all()


@pytest.mark.parametrize("other", [lambda rng: Tied(rng, 3), lambda rng: nn.Linear(2, 2, rng)])
def test_averages_of_another_model_are_refused(other, saved, rng):
    refused(saved[0], other(rng), "checkpoint of another model", averaged=True)


@pytest.mark.parametrize("contents", [members, of_version_0_1])
def test_a_missing_average_is_not_replaced_by_the_raw_weights(contents, saved, rng):
    path, _, _ = saved
    changed = contents(path)
    changed["optimizer/bverage.1.npy"] = changed.pop("optimizer/average.1.npy")
    write(path, changed)
    refused(path, Tied(rng), "missing optimizer/average.1", averaged=True)
    for name in ("optimizer/average.0.npy", "optimizer/average.1.npy"):  # none at all
        changed = members(path)
        changed.pop(name, None)
        write(path, changed)
    if contents is members:
        refused(path, Tied(rng), "not those that were saved", averaged=True)


def test_arrays_that_changed_places_are_noticed(saved):
    """Their checksums in the zip file are right; their digests are not."""
    path, model, optimizer = saved
    changed = members(path)
    for a, b in (("optimizer/m.0.npy", "optimizer/average.1.npy"), ("model/a.w.npy",
                                                                    "model/b.w.npy")):
        write(path, changed | {a: changed[b], b: changed[a]})
        refused(path, model, "is not what was saved", optimizer=optimizer)


def test_progress_that_changed_is_noticed(saved):
    path, model, _ = saved
    text = np.load(path)["progress"].item()
    write(path, members(path) | {"progress.npy": npy(text.replace('"step": 3', '"step": 4'))})
    refused(path, model, "progress: is not what was saved")


@pytest.mark.parametrize("change, words", [
    ({"step": -1}, "'step' is not a whole number"), ({"step": None}, "'step'"),
    ({"step": True}, "'step'"), ({"step": 10 ** 400}, "'step'"), ({"counts": [1]}, "'counts'"),
    ({"history": {}}, "'history' is not a list"), ({"history": [3]}, "not an object"),
    ({"history": [{"epoch": 1}]}, "has no 'step'"), ({"epoch": {"loss": "x"}}, "'loss' is not"),
    ({"seconds": float("nan")}, "'seconds' is not a finite number"),
    ({"trace": [{"step": 1, "loss": None}]}, "'loss'")])
def test_progress_of_the_wrong_form_is_refused(change, words, saved):
    path, model, _ = saved
    write(path, of_version_0_1(path, PROGRESS | change))
    refused(path, model, f"progress: .*{words}")


def flags_of_members(path, bits):
    """Set bits in the flags of the first member, in both of its headers."""
    content = bytearray(path.read_bytes())
    for at, magic in ((6, b"PK\3\4"), (8, b"PK\1\2")):
        content[content.index(magic) + at] |= bits
    path.write_bytes(content)


def method_of_members(path, method):
    content = bytearray(path.read_bytes())
    for at, magic in ((8, b"PK\3\4"), (10, b"PK\1\2")):
        content[content.index(magic) + at] = method
    path.write_bytes(content)


def header(text):
    """A .npy file with this header, and some bytes."""
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)


def replaced(name, content):
    return lambda path: write(path, members(path) | {name: content})


W = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}\n"
DAMAGE = {
    "encrypted": lambda path: flags_of_members(path, 1),                   # RuntimeError
    "patched": lambda path: flags_of_members(path, 32),                    # NotImplementedError
    "unknown method": lambda path: method_of_members(path, 97),
    "token": replaced("model/a.w.npy", header("{'descr': '<f4', 'shape': (2, 2")),  # TokenError
    "keys": replaced("model/a.w.npy", header("{1: 2, 'a': 3}\n")),         # TypeError
    "nested": replaced("model/a.w.npy", header("(" * 9000 + ")" * 9000)),  # MemoryError
    "huge": replaced("model/a.w.npy", header(W % "(1 << 62, 4)".replace("1 << 62", str(1 << 62)))),
    "negative": replaced("model/a.w.npy", header(W % "(-2, -2)")),
    "objects": replaced("model/a.w.npy", npy(np.array([None, 1]), allow_pickle=True)),
    "deep json": replaced("progress.npy", npy("[" * 100_000)),             # RecursionError
    "other json": replaced("progress.npy", npy("[]")),
    "no text": replaced("progress.npy", npy(np.arange(3))),
    "no progress": lambda path: write(path, {n: c for n, c in members(path).items()
                                             if n != "progress.npy"}),
    "compressed": lambda path: write(path, members(path), compression=zipfile.ZIP_DEFLATED),
    "stranger": replaced("../evil.npy", npy(1.0)),
    "version": replaced("model/a.w.npy", npy(np.zeros((2, 2), np.float32), version=(3, 0))),
    "not finite": lambda path: write(path, of_version_0_1(path) | {
        "model/a.w.npy": npy(np.full((2, 2), np.nan, np.float32))}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damage_is_a_checkpoint_error(damage, saved):
    path, model, optimizer = saved
    DAMAGE[damage](path)
    refused(path, model, "c.npz is (damaged or no|a) checkpoint", optimizer=optimizer)


@pytest.mark.parametrize("name, array", [
    ("model/a.w", np.zeros((2, 2))), ("model/a.w", np.zeros((2, 3), np.float32)),
    ("optimizer/v.0", np.zeros(4, np.float32)), ("optimizer/steps", np.zeros(3, int)),
    ("optimizer/steps", np.zeros(2))])
def test_shapes_and_dtypes_are_compared(name, array, saved):
    path, model, optimizer = saved
    write(path, members(path) | {f"{name}.npy": npy(array)})
    refused(path, model, f"of another model.*{name.removeprefix('model/')} has shape",
            optimizer=optimizer)


def test_negative_counts_of_steps_are_refused(saved):
    path, model, optimizer = saved
    write(path, of_version_0_1(path) | {"optimizer/steps.npy": npy(np.array([-1, 2]))})
    refused(path, model, "optimizer/steps: has values", optimizer=optimizer)


BOMB = """
import numpy as np, resource, sys, zipfile
sys.path[:0] = [{root!r}]
from scratchnet import nn
from scratchnet.errors import CheckpointError
from scratchnet.runs import checkpoint
model = nn.Linear(2, 2, np.random.default_rng(0))
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    checkpoint.load({path!r}, model)
except CheckpointError as error:
    print(error)
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["model/w.npy", "progress.npy"])
def test_a_bomb_is_not_unpacked(name, tmp_path):
    """3 GB of zeros in 3 MB, where there are 2 GB of memory."""
    path = tmp_path / "bomb.npz"
    shape, descr = ((1 << 29) + 1,), "<f4"
    if name == "progress.npy":
        shape, descr = (), f"<U{(3 << 30) // 4}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        with file.open(name, "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, {
                "descr": descr, "fortran_order": False, "shape": shape})
            for _ in range(128):
                stream.write(bytes(1 << 24))
    assert path.stat().st_size < 20 << 20
    found = subprocess.run([sys.executable, "-c", BOMB.format(root=str(ROOT), path=str(path))],
                           capture_output=True, text=True, timeout=60)
    assert "bomb.npz is" in found.stdout, found.stderr


def test_a_file_that_may_not_be_read_is_not_called_damaged(saved, monkeypatch):
    path, model, _ = saved
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(checkpoint.zipfile, "ZipFile", forbidden)
    with pytest.raises(PermissionError):  # in one line: cli.explained
        checkpoint.load(path, model)
