"""The readers that tests/fuzz.py tries, and what is right.

A reader here is a function (world, rng): it makes an input, damages it (damage.py), reads it,
asserts that the result is right, and lets every error through.
"""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
from damage import ODD, broken, changed_tree, pick

import evaluate
import generate
from models import RECIPES
from scratchnet.optim import Adam
from scratchnet.runs import checkpoint, flags, formats
from scratchnet.runs import run as runs
from scratchnet.runs.data import Dataset
from scratchnet.runs.log import Log

PROGRESS = {"step": 250, "seconds": 4.5, "counts": [7, 57], "epoch": {"kl": 2.0, "neg_elbo": 70.5},
            "window": {"kl": 2.0, "neg_elbo": 9.25},
            "trace": [{"step": 100 * k, "neg_elbo": 9.0, "reconstruction": 7.0, "kl": 2.0}
                      for k in (1, 2)],
            "history": [{"epoch": k, "step": 120 * k, "lr": 1e-3, "seconds": 2.0 * k,
                         "train_neg_elbo": 9.5, "test_neg_elbo": 9.0, "test_kl": 2.0,
                         "test_reconstruction": 7.0} for k in (1, 2)]}


class World:
    """A folder with a run of a VAE, whose parts the readers are given broken. Files of data sets
    may have 1 MB here."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        rng = np.random.default_rng(0)
        argv = ["--model", "vae", "--h-dim", "4", "--z-dim", "2", "--average", "0.9"]
        kept, _ = flags.read_flags("mnist", "", RECIPES["mnist"], argv)
        kept.dataset = "synthetic"
        images = rng.integers(0, 256, (20, 28, 28, 1)).astype(np.uint8)
        self.dataset = Dataset("synthetic", "digits", images, np.arange(20) % 10, images,
                               np.arange(20) % 10, "0" * 64)
        self.recipe, self.kept = RECIPES["mnist"]["vae"], kept
        self.model = runs.build_model(self.recipe, self.dataset, kept)
        self.adam = self.optimizer(self.model)
        for arrays in self.adam.state.values():
            for array in arrays:
                array[...] = rng.random(array.shape)
        (self.folder / "run").mkdir()
        self.path = self.folder / "run" / "checkpoint.npz"
        checkpoint.save(self.path, self.model, self.adam, PROGRESS)
        self.saved = self.path.read_bytes()
        with zipfile.ZipFile(self.path) as file:
            self.members = {n: file.read(n) for n in file.namelist()}
        self.config = {
            "script": "train_mnist.py", "versions": {"numpy": "2"}, "processes": 1,
            "flags": {n: v for n, v in vars(kept).items() if n not in (
                *flags.RUN_ONLY, "out", "data_dir")},
            "dataset": {"name": "synthetic", "title": "digits", "sha256": "0" * 64,
                        "image_shape": [28, 28, 1], "num_classes": 10}}
        self.parsers = [generate.build_parser(), evaluate.build_parser()]
        for name in ("input", "run/config.json"):
            (self.folder / name).write_bytes(b"")
        self.largest, formats.LARGEST = formats.LARGEST, 1 << 20
        return self

    def __exit__(self, *error):
        formats.LARGEST = self.largest

    def optimizer(self, model):
        return Adam(model.parameters(), 1e-3, average=0.9)

    def files(self):
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*")
                if p.parent.name != "unpacked"}


# ---------------------------------------------------------------- checkpoints

def same(a, b):
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert np.array_equal(array, b[name]), f"{name} has another value"


def load(world, content, averaged, changed=False):
    """Load a checkpoint of these bytes; what is accepted is what was saved (but the progress, if it
    was changed); what is refused has changed nothing. The model and the progress."""
    path = world.folder / "input"
    path.write_bytes(content)
    model = runs.build_model(world.recipe, world.dataset, world.kept)
    optimizer = None if averaged else world.optimizer(model)
    before = model.state_dict()
    try:
        progress = checkpoint.load(path, model, optimizer, averaged)
    except BaseException:
        same(model.state_dict(), before)
        raise
    expected = world.model.state_dict()
    if averaged:
        averages = dict(zip(expected, world.adam.state["average"], strict=True))
        expected = {name: averages[name] for name in expected}
    else:
        same(optimizer.state_dict(), world.adam.state_dict())
    same(model.state_dict(), expected)
    assert changed or progress == PROGRESS, "progress has another value"
    return model, progress


def without_digests(world):
    """The members of a checkpoint of version 0.1."""
    return world.members | {"progress.npy": npy(np.array(json.dumps(PROGRESS)))}


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def zipped(members, rng=None):
    stream = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if rng is not None and rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", how) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def damaged_checkpoint(world, rng):
    content = world.saved if rng.random() < 0.7 else zipped(without_digests(world).items())
    load(world, broken(rng, content), averaged=rng.random() < 0.5)


def crafted_checkpoint(world, rng):
    """A zip file whose checksums are right, and whose members are not."""
    members = dict(world.members)
    names = list(members)
    for _ in range(pick(rng, (1, 1, 2, 3))):
        a, b = pick(rng, names), pick(rng, names)
        kind = rng.integers(6)
        if kind == 0:
            members[a], members[b] = members[b], members[a]
        elif kind == 1:
            members[a] = broken(rng, members[a])
        elif kind == 2:
            members.pop(a)
            names = list(members)
        elif kind == 3:
            name = "".join(c for c in str(pick(rng, ODD)) if c not in "\0\ud800")  # not in a zip
            members[pick(rng, ("", "_", "model/")) + name + ".npy"] = b"x"
        elif kind == 4:
            shape = pick(rng, ("()", "(4,)", "(-1,)", "(784, 4)", "(9999999999999999999, 2)", "3",
                               "(" * 300 + ")" * 300, "(1 << 3,)", "'x'", "(2L,)", "(True,)"))
            descr = pick(rng, ("'<f4'", "'<f8'", "'|O'", "'<U999999999'", "'x'", "[('a', '<f4')]",
                               "'<M8[s]'", "None", "'>f4'", "('<f4', (2,))"))
            text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
            members[a] = (b"\x93NUMPY" + pick(rng, (b"\1\0", b"\2\0", b"\3\0", b"\xff\0"))
                          + struct.pack("<H", len(text)) + text + rng.bytes(64))
        else:
            members[a] = npy(pick(rng, (np.zeros(3), np.array([None]), np.array("x" * 50),
                                        np.array("[" * 10_000), np.zeros((2, 0)))))
    items = list(members.items())
    rng.shuffle(items)
    content = zipped([(str(n), bytes(c)) for n, c in items], rng)
    load(world, content, averaged=rng.random() < 0.5)


def progress_of_a_checkpoint(world, rng):
    """Accepted, it can be gone on with."""
    text = changed_tree(rng, PROGRESS)
    members = world.members | {"progress.npy": npy(np.array(text))}
    model, progress = load(world, zipped(members.items()), averaged=True, changed=True)
    log = Log(progress, world.folder, model, None)
    assert log.step + log.seconds + log.unevaluated() + len(log.history) >= 0
    log.epoch.add({"kl": 1.0}, 3)
    for row in (*log.history, *log.trace):
        assert all(np.isfinite(float(v)) for v in row.values())


# ---------------------------------------------------------------- config.json, command lines

def config(world, rng):
    path = world.folder / "run" / "config.json"
    text = changed_tree(rng, world.config)
    path.write_bytes(text.encode(pick(rng, ("utf-8", "utf-8", "utf-16")), "surrogatepass"))
    world.path.write_bytes(world.saved)
    if rng.random() < 0.5:
        run = runs.open_run("run", RECIPES)
        assert run.progress == PROGRESS
        averages = world.adam.state["average"]
        for (name, found), expected in zip(run.model.state_dict().items(), averages, strict=True):
            assert np.array_equal(found, expected), f"{name} has another value"
    else:
        argv = ["--config", str(path)] if rng.random() < 0.5 else ["--resume", "run"]
        found, _ = flags.read_flags("mnist", "", RECIPES["mnist"], argv)
        assert_flags(vars(found), flags.build_parser("mnist", "", RECIPES["mnist"]))


def command_line(world, rng):
    kind = pick(rng, ("mnist", "cifar", "generate", "evaluate"))
    recipes = RECIPES.get(kind)
    parser = flags.build_parser(kind, "", recipes) if recipes else pick(rng, world.parsers)
    names = ["--" + name.replace("_", "-") for name in parser.flags]
    argv = ["--model", pick(rng, list(recipes))] if recipes else ["run"]
    argv *= rng.random() < 0.8
    for _ in range(pick(rng, (0, 1, 1, 2, 5))):
        name, value = pick(rng, names), str(pick(rng, ODD))
        argv += pick(rng, ([name], [name, value], [f"{name}={value}"], [value], [name[:-1], value],
                           [f"--no{name[1:]}"], [name, value, value], ["-h"]))
    if rng.random() < 0.1:
        rng.shuffle(argv)
    argv = [str(word) for word in argv]
    try:
        found = flags.read_flags(kind, "", recipes, argv)[0] if recipes else \
            flags.read_run_flags(parser, argv)
    except SystemExit as leaving:
        assert leaving.code == 0 and {"-h", "--help"} & set(argv)
        return
    assert_flags(vars(found), parser)


def assert_flags(found, parser):
    """Every value is one that its flag takes."""
    for name, value in found.items():
        takes = parser.flags[name][1] if name in parser.flags else "DIR"
        if value is None:
            continue
        if isinstance(takes, tuple):
            assert value in takes, (name, value)
        elif "type" in flags.TAKES[takes]:
            for v in value if isinstance(value, list) else [value]:
                assert v == 0 or flags.TAKES[takes]["type"](str(v)) == v, (name, value)
        else:
            assert isinstance(value, bool), (name, value)


# ---------------------------------------------------------------- data sets

def idx(world, rng):
    shape = tuple(int(n) for n in rng.integers(1, 6, 3))
    array = rng.integers(0, 256, shape).astype(np.uint8)
    numbers = [0x803, *shape]
    kind = rng.integers(4)
    if kind == 0:
        numbers[rng.integers(4)] = pick(rng, (0, 1, 0x801, 255, 1 << 16, (1 << 32) - 1))
    body = array.tobytes() if rng.random() < 0.95 else bytes(1 << 23)
    content = gzip.compress(struct.pack(">4I", *numbers) + body, 1, mtime=0)
    digest = hashlib.sha256(content).hexdigest()
    damaged = broken(rng, content) if kind else content
    path = world.folder / "input"
    path.write_bytes(damaged)
    checked = rng.random() < 0.5
    found = formats.read_idx(path, 3, digest if checked else None)
    assert damaged == content or not checked
    assert kind == 0 or np.array_equal(found, array), "the image has another value"
    assert found.dtype == np.uint8 and found.size == np.prod(numbers[1:]) > 0


def cifar(world, rng):
    rows = rng.integers(0, 256, (3, 3073)).astype(np.uint8)
    rows[:, 0] %= 10
    content = rows.tobytes()
    damaged = broken(rng, content)
    path = world.folder / "input"
    path.write_bytes(damaged)
    checked = rng.random() < 0.5
    images, labels = formats.read_cifar10(
        path, hashlib.sha256(content).hexdigest() if checked else None)
    assert damaged == content or not checked
    assert images.shape == (len(labels), 32, 32, 3) and labels.max() < 10 and len(labels)


FILES = {"a.bin": b"A" * 3000, "b.bin": b"B" * 700}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


def archive(world, rng):
    stream = io.BytesIO()
    form = pick(rng, (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"batches/{name}")
            member.size = len(content)
            if rng.random() < 0.3:
                odd_member(rng, member)
            content = bytes(1 << 23) if rng.random() < 0.05 else content
            try:
                member.size = member.size if rng.random() < 0.2 else len(content)
                tar.addfile(member, io.BytesIO(content.ljust(max(0, min(member.size, 1 << 24)))))
            except (ValueError, OSError, struct.error, UnicodeError, TypeError, OverflowError,
                    AttributeError):
                pass  # tarfile does not write all that others could
    content = stream.getvalue()
    if rng.random() < 0.4:
        content = broken(rng, content)
    content = gzip.compress(content, 1)
    path, folder = world.folder / "input", world.folder / "unpacked"
    path.write_bytes(broken(rng, content) if rng.random() < 0.3 else content)
    folder.mkdir(exist_ok=True)
    try:
        formats.unpack(path, folder, SUMS)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == FILES
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def odd_member(rng, member):
    kind = rng.integers(4)
    if kind == 0:
        member.name = pick(rng, ("../a.bin", "/tmp/scratchnet-evil/a.bin", "x/../../b.bin",
                                 "a.bin/..", "x" * 300 + "/a.bin", "\x01", "."))
    elif kind == 1:
        member.type = pick(rng, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"3",
                                 tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE,
                                 tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, b"?"))
        member.linkname = pick(rng, ("/etc/passwd", "../x", "a.bin", ""))
    elif kind == 2:
        member.size = pick(rng, (0, 1, 1 << 20, 1 << 23, 1 << 33))
    else:
        name = pick(rng, ("size", "mtime", "uid", "path", "linkpath", "GNU.sparse.map",
                          "hdrcharset", "GNU.sparse.size", "GNU.sparse.realsize", "charset",
                          "GNU.sparse.major", "GNU.sparse.name", "GNU.sparse.offset",
                          "GNU.sparse.numblocks"))
        member.pax_headers = {name: str(pick(rng, ("x", "", "-1", "0", "1", "9" * 30, "1e9", "1,x",
                                                   "1,2,3", "../x", "/x", "\n", "1099511627776")))}


READERS = {"damaged": damaged_checkpoint, "crafted": crafted_checkpoint,
           "progress": progress_of_a_checkpoint, "config": config, "words": command_line,
           "idx": idx, "cifar": cifar, "archive": archive}
