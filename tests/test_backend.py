"""The backend switch, and whole training runs on the strict stand-in for CuPy (tests/strict.py)."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import conftest
import numpy as np
import pytest
import strict
from small_runs import CASES, MODELS, assert_close, build, dataset_for, trained

import scratchnet
from benchmarks import compare, gpu, machines
from scratchnet import Tensor, backend, losses, ops, optim, training, xp
from scratchnet.backend import fused
from scratchnet.errors import BackendError
from scratchnet.fast.group import ProcessGroup
from scratchnet.ops import elementwise
from scratchnet.runs import cli

EACH_MODEL = pytest.mark.parametrize("script, model", MODELS, ids=[f"{s}-{m}" for s, m in MODELS])


@pytest.fixture
def device():
    """The stand-in, in use; its counts of moves."""
    strict.use()
    yield strict.moves
    scratchnet.use("numpy")


# ---------------------------------------------------------------- the switch

def test_import_needs_numpy_alone():
    code = ("import sys, scratchnet; print([m for m in ('cupy', 'matplotlib', 'tqdm', 'PIL', "
            "'torch') if m in sys.modules])")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_xp_is_never_out_of_date(device):
    assert "strict" in repr(xp) and isinstance(xp.zeros(2), strict.ndarray)
    scratchnet.use("numpy")
    assert isinstance(xp.zeros(2), np.ndarray)


def test_unknown_backend_is_explained():
    with pytest.raises(BackendError, match="choose one of numpy, cupy, auto"):
        backend.use("torch")


def cupy_like(version, count, get):
    """A module that looks like CuPy to `use`; the numbers of the devices that were taken."""
    taken = []
    cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=lambda: count),
                           Device=lambda number: SimpleNamespace(use=lambda: taken.append(number)))
    return SimpleNamespace(__name__="cupy", __version__=version, cuda=cuda,
                           zeros=lambda n: SimpleNamespace(get=get)), taken


@pytest.mark.parametrize("version, get, words", [
    ("13.4.0", lambda: None, "CuPy 13.4.0 is too old.*needs CuPy 14 or later"),
    ("14.2.0", lambda: 1 / 0, "cannot be used here .division by zero.*needs CuPy 14 or later")])
def test_a_cupy_that_does_not_work_is_not_taken(version, get, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy_like(version, 1, get)[0])
    with pytest.raises(BackendError, match=words):
        backend.use("cupy")
    assert backend.use("auto") == "numpy"


def test_a_gpu_that_does_not_compute_is_explained(monkeypatch):
    """Asked before the work: cuBLAS and the compiler of kernels may be missing."""
    monkeypatch.setattr(backend, "use", lambda name, number=0: name)  # and xp, NumPy, has no fuse
    with pytest.raises(BackendError, match="cannot multiply matrices and compile kernels .*; "
                                           "check .*, or use --backend numpy"):
        cli.use_backend("cupy")


def test_each_process_takes_its_gpu(monkeypatch):
    """Of two, the fourth takes the second."""
    cupy, taken = cupy_like("14.2.0", 2, lambda: None)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    try:
        assert backend.use("auto", 3) == "cupy" and taken == [1]
    finally:
        scratchnet.use("numpy")


# ---------------------------------------------------------------- the stand-in

@pytest.mark.parametrize("planted", [
    lambda a: np.exp(a), lambda a: np.sum(a), lambda a: np.asarray(a), lambda a: a + np.ones(2),
    lambda a: np.ones(2) * a, lambda a: xp.maximum(a, np.ones(2)), lambda a: a[np.array([0])],
    lambda a: a.__setitem__(0, np.ones(1)), lambda a: xp.concatenate([a, np.ones(2)]),
    lambda a: xp.exp([1.0, 2.0]), lambda a: a + [1.0, 2.0], lambda a: xp.asarray(["a"]),
    lambda a: xp.where([True, False], a, a), lambda a: hash(a), lambda a: a + Tensor([1.0, 2.0]),
    lambda a: xp.nditer(a), lambda a: a.setfield(1, np.int8)])  # names that CuPy lacks
def test_what_cupy_refuses_is_refused(planted, device):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        planted(xp.zeros(2))


@pytest.mark.parametrize("planted", [
    lambda a: xp.bincount(a, minlength=3), lambda a: xp.flatnonzero(a), lambda a: a[a > 0],
    lambda a: a.__setitem__(a > 0, 0), lambda a: xp.where(a), lambda a: a.nonzero(),
    lambda a: a[:1].item(), lambda a: xp.add.at(a, a > 0, 1)])
def test_what_waits_for_the_device_counts_as_moved_out(planted, device):
    before = device["out"]
    planted(xp.ones(2, np.int32))
    assert device["out"] == before + 1


def test_nothing_leaves_the_device_unasked(device):
    """Results without axes stay, and no index is looked at."""
    before = dict(device)
    y = Tensor(xp.ones(3), requires_grad=True).sum()
    y.backward()
    assert isinstance(y.data, strict.ndarray) and device == before
    ops.embedding(np.array([0, 1]), xp.zeros((2, 3)))
    assert device["out"] == before["out"]


# ---------------------------------------------------------------- training on it

LAUNCHES = {"mnist-autoencoder": 34, "mnist-vae": 58, "mnist-vae-paper": 62, "mnist-vae-iwae": 81,
            "mnist-conv-vae": 106, "mnist-vqvae": 119, "mnist-pixelcnn": 446,
            "mnist-gated-pixelcnn": 298, "mnist-prior": 207, "cifar-conv-vae": 186,
            "cifar-vqvae": 214, "cifar-pixelcnn": 328, "cifar-gated-pixelcnn": 269,
            "cifar-prior": 243}


@EACH_MODEL
def test_a_step_launches_no_more_than_it_did(script, model, device):
    """At most these kernels, copies and fills, and one table. On CuPy there are a few more, since
    some of its functions are two: docs/performance.md. It moves a batch and its noise in, and at
    first where the gradients lie, and nothing out."""
    step, _ = gpu.fresh(script, model, batch_size=2)
    for i in range(2):
        step(i)
    strict.launches.clear()
    before = dict(device)
    step(2)
    assert strict.launches.total() <= LAUNCHES[f"{script}-{model}"] + 1
    assert device["out"] == before["out"] and device["in"] - before["in"] <= 3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("other", ["strict", "cupy"])
def test_training_gives_the_same_as_numpy(name, other):
    """Losses, evaluation, weights and the optimiser's state, to rounding; of CuPy the losses alone:
    Adam makes steps of one length of gradients of any, also of those that are rounding."""
    expected = trained(name)
    strict.use() if other == "strict" else scratchnet.use(other)
    try:
        found = trained(name)
    finally:
        scratchnet.use("numpy")
    if other == "cupy":
        found = {n: a for n, a in found.items() if n.endswith(("loss", "nll"))}
    assert_close(found, expected)


# ---------------------------------------------------------------- kernels

FUSED = [(losses.bce_of, "aa", 1, 0), (losses.bce_slope, "aaa", 1, 0), (losses.kl_of, "aa", 1, 0),
         (losses.kl_slope, "aa", 1, 0), (losses.log_of_rest, "a", 1, 0),
         (elementwise.where_positive, "aa", 1, 0),
         (elementwise.gate_of, "aa", 3, 0), (elementwise.gate_slopes, "aaaaa", 0, 2),
         (elementwise.where_between, "aass", 1, 0),
         (elementwise.softplus_of, "a", 1, 0), (elementwise.sigmoid_of, "a", 1, 0),
         (optim.adam_step, "aaaassssssss", 0, 3), (optim.move_average, "aas", 0, 1)]


@pytest.mark.cupy
@pytest.mark.parametrize("fn, kinds, results, written", FUSED,
                         ids=[row[0].__name__ for row in FUSED])
def test_fused_functions_become_one_float32_kernel(fn, kinds, results, written):
    """Everything is computed in float32, and the arrays written to are those that should be."""
    found, parameters, dtypes = trace(fn.__wrapped__, kinds)
    assert [v.dtype for v in found] == [np.float32] * results
    assert sum(p.mutable for p in parameters) == written
    assert dtypes <= {"float32", "bool"}


def trace(fn, kinds):
    """What fn returns, its parameters, and the dtypes of all that it computes, as CuPy itself
    traces it, which needs no GPU. kinds: of its arguments, a: a float32 array, s: a Python float.
    """
    import cupy
    from cupy._core import fusion
    thread_local = fusion._fusion_thread_local.thread_local
    history = thread_local.history = fusion._FusionHistory()
    thread_local.is_old_fusing = True
    xp._become(cupy)
    try:
        parameters = [history._fresh_premap_param(np.dtype("f" if k == "a" else "d"))
                      for k in kinds]
        found = fn(*(
            fusion._FusionVarArray(p, 2, False) if k == "a" else
            fusion._FusionVarScalar(p, -1, False, float)
            for k, p in zip(kinds, parameters, strict=True)))
    finally:
        thread_local.history, thread_local.is_old_fusing = None, False
        scratchnet.use("numpy")
    found = () if found is None else found if isinstance(found, tuple) else (found,)
    return found, parameters, {d.name for op in history.op_list for d in op.dtypes}


def test_every_fused_function_is_in_the_table():
    root = Path(backend.__file__).parent.parent
    sources = [path.read_text() for part in ("scratchnet", "models")
               for path in root.glob(f"{part}/**/*.py")]
    found = [name for s in sources for name in re.findall(r"@(?:backend\.)?fused\s+def (\w+)", s)]
    assert sorted(found) == sorted(row[0].__name__ for row in FUSED)
    assert sum(len(re.findall(r"(?<!def )\bfused\(", s)) for s in sources) == 0  # but as decorators


NUMBERS_ALONE = [lambda a, b: a * (1 - b), lambda a, b: a * -b, lambda a, b: a * b ** 0.5,
                 lambda a, b: a * xp.sqrt(b), lambda a, b: xp.maximum(a, xp.maximum(b, 1)),
                 lambda a, b: xp.where(a > b, 1.0, 0.0)]


@pytest.mark.cupy
@pytest.mark.parametrize("planted", NUMBERS_ALONE)
def test_cupy_computes_with_numbers_alone_in_half_precision(planted):
    """Within cupy.fuse: what the table of fused functions would show."""
    assert "float16" in trace(planted, "as")[2]


@pytest.mark.parametrize("planted", [
    *NUMBERS_ALONE, lambda a, b: a if b > 0 else -a, lambda a, b: a * float(b)])
def test_numbers_of_a_fused_function_meet_no_other(planted, device):
    """The first ones would be computed in float16, the last two are errors in CuPy, too."""
    def named(*arguments): return planted(*arguments)
    with pytest.raises(TypeError, match="numbers alone, which CuPy does in float16"):
        fused(named)(xp.ones(2, np.float32), 0.25)


@pytest.mark.parametrize("backend", ["strict", "cupy"], indirect=True)
def test_numbers_of_a_fused_function_meet_arrays(backend):
    def named(a, b): return b - a, a ** b, xp.maximum(a, b), xp.where(a > b, a, b), (b < a) * a
    found = fused(named)(xp.asarray(np.array([0.25, 4], np.float32)), 0.5)
    assert [a.dtype for a in found] == [np.float32] * 5
    assert [a.tolist() for a in found] == [[0.25, -3.5], [0.5, 2], [0.5, 4], [0.5, 4], [0, 4]]


# ---------------------------------------------------------------- the benchmarks

def failing_side(*arguments):
    raise KeyError("planted")


def test_a_comparison_ends_when_a_side_fails(capfd):
    with pytest.raises(SystemExit, match="PyTorch failed with .'vae'"):
        compare.take_turns({"PyTorch": failing_side}, ("vae", "numpy"), 1, 1, 1)
    assert "KeyError: 'planted'" in capfd.readouterr().err


def test_the_check_of_a_gpu_compares_losses(monkeypatch, capsys):
    """With the stand-in for CuPy; and a sum that is wrong on it alone is seen."""
    def use(name): strict.use() if name == "cupy" else scratchnet.use(name)
    monkeypatch.setattr(gpu, "backend", SimpleNamespace(use=use))
    monkeypatch.setattr(gpu, "LOSSES", 3)
    try:
        assert gpu.losses([("mnist", "vae"), ("mnist", "prior")])
        bce = losses.bce_of
        monkeypatch.setattr(losses, "bce_of", lambda logits, t: bce(logits, t) * (
            1 if isinstance(t, np.ndarray) else 1.001))
        assert not gpu.losses([("mnist", "vae")])
        monkeypatch.setattr(losses, "bce_of", bce)
        step = optim.adam_step
        def in_half(p, g, m, v, lr, b1, rest1, b2, rest2, *more):  # as if it computed 1 - b itself
            rest1, rest2 = (float(np.float16(1) - np.float16(b)) for b in (b1, b2))
            step(p, g, m, v, lr, b1, rest1, b2, rest2, *more)
        monkeypatch.setattr(optim, "adam_step", in_half)
        for model in (("mnist", "vae"), ("mnist", "conv-vae"), ("cifar", "conv-vae")):
            assert not gpu.losses([model])
    finally:
        scratchnet.use("numpy")
    assert capsys.readouterr().out.count("*** differs") == 4


def test_what_a_step_sums_up():
    """All gradients, then all metrics: each as one array."""
    class Two(ProcessGroup):
        def all_reduce(self, a):
            return a + a
    dataset = dataset_for("mnist", "vae")
    net, adam = build("mnist", "vae", dataset, conditional=False)
    group = Two(2, optimizer=adam)
    sums = machines.note_sums(group)
    metrics = training.step(net, adam, dataset.train_images[:8], training.generator(0, "step"),
                            group=group)
    group.agree(False)
    assert sums == [4 * sum(p.size for p in net.parameters()), 4 * len(metrics), 1]


def test_what_is_left_out_or_skipped_is_said_with_its_reason():
    said, skipped = [], SimpleNamespace(longrepr=("x.py", 1, "Skipped: no data sets"))
    conftest.pytest_terminal_summary(
        SimpleNamespace(write_line=said.append, stats={"skipped": 2 * [skipped]}), None)
    assert said[-1] == "2 skipped: no data sets"
    if why := conftest.cupy_is_missing():
        assert said[0] == f"CuPy: not here ({why}); the tests on it are left out"
