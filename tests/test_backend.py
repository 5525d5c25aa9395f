"""The backend switch, and whole training runs on the strict stand-in for CuPy (tests/strict.py)."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import strict

import scratchnet
from benchmarks import compare, gpu, machines
from models import RECIPES
from scratchnet import Tensor, backend, losses, ops, optim, training, xp
from scratchnet.backend import fused
from scratchnet.errors import BackendError
from scratchnet.fast.group import ProcessGroup
from scratchnet.ops import elementwise
from scratchnet.runs import cli, data, machine
from scratchnet.runs import log as runs_log
from scratchnet.runs import run as runs
from scratchnet.runs import train as runs_train
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes

SIZES = {"h_dim": [12], "z_dim": 3, "channels": [4, 6], "num_embeddings": 8, "embedding_dim": 4,
         "features": 6, "blocks": 2, "head": 6, "conditional": True}
MODELS = [(script, model) for script, recipes in RECIPES.items() for model in recipes]


@pytest.fixture
def device():
    """The stand-in, in use; its counts of moves."""
    strict.use()
    yield strict.moves
    scratchnet.use("numpy")


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


def fake_cupy(version="14.2.0", count=1, **broken):
    """A module that looks like CuPy to `use`; broken: {what fails: with which error}."""
    def failing(name, result):
        def call(*arguments):
            if name in broken:
                raise broken[name]
            return result
        return call
    used = []
    array = SimpleNamespace(get=failing("get", None))
    array_class = type("array", (), {"__matmul__": failing("cublas", array), "get": array.get})
    runtime = SimpleNamespace(getDeviceCount=failing("driver", count))
    def device(number): return SimpleNamespace(use=lambda: used.append(number))
    def fuse(fn):
        assert fn.__name__.isidentifier()  # NVRTC compiles a kernel of this name
        return failing("nvrtc", array)
    return SimpleNamespace(__version__=version, used=used,
                           cuda=SimpleNamespace(runtime=runtime, Device=device),
                           zeros=lambda *a: array_class(), fuse=fuse)


@pytest.mark.parametrize("cupy, words", [
    ({"version": "13.4.0"}, "CuPy 13.4.0 is too old: 14 or later"),
    ({"count": 0}, "finds no usable GPU (no CUDA device); check `nvidia-smi`"),
    ({"driver": RuntimeError("old\ndriver")}, "finds no usable GPU (old driver)"),
    ({"get": RuntimeError("no kernel image")}, "finds no usable GPU (no kernel image)"),
    ({"cublas": ImportError("libcublas.so.12: cannot open")},
     "cannot multiply matrices: cuBLAS is missing or does not work (libcublas.so.12: cannot open)"
     "; pip install \"cupy-cuda12x[ctk]\""),
    ({"nvrtc": OSError("libnvrtc.so.12")}, "cannot compile kernels: NVRTC or CUDA's headers are")])
def test_what_a_gpu_lacks_is_named(cupy, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(**cupy))
    with pytest.raises(BackendError) as caught:
        machine.use_backend("cupy")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert machine.use_backend("auto") == "numpy"


def test_the_library_takes_no_cupy_that_is_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(version="13.4.0"))
    with pytest.raises(BackendError, match="CuPy 13.4.0 is too old.*needs CuPy 14 or later"):
        backend.use("cupy")
    assert backend.use("auto") == "numpy"


def test_a_gpu_that_does_all_is_taken(monkeypatch):
    """Of two, the fourth process takes the second."""
    monkeypatch.setitem(sys.modules, "cupy", cupy := fake_cupy(count=2))
    try:
        assert machine.use_backend("auto", 3) == "cupy" and set(cupy.used) == {1}
    finally:
        scratchnet.use("numpy")


def test_a_gpu_that_fails_is_explained(capsys):
    """In one line, with exit code 2; a mistake in the code keeps its traceback."""
    def of(module, name, *bases): return type(name, bases, {"__module__": module})
    full = of("cupy.cuda.memory", "OutOfMemoryError", MemoryError)("Out of memory\nallocating 9")
    gone = of("cupy_backends.cuda.api.runtime", "CUDARuntimeError", RuntimeError)("illegal access")
    for error, words in ((full, "not enough memory on the GPU (Out of memory allocating 9); ask"),
                         (MemoryError("9 GiB"), "not enough memory (9 GiB); ask for less"),
                         (gone, "CUDA failed (CUDARuntimeError: illegal access); a run goes on")):
        def fail(error=error): raise error
        assert cli.guarded("train_mnist.py", fail) == 2
        err = capsys.readouterr().err
        assert err.startswith("train_mnist.py: error: ") and words in err and err.count("\n") == 1
    with pytest.raises(TypeError):
        cli.guarded("train_mnist.py", lambda: 1 + "1")


@pytest.mark.parametrize("planted", [
    lambda a: np.exp(a), lambda a: np.sum(a), lambda a: np.asarray(a), lambda a: a + np.ones(2),
    lambda a: np.ones(2) * a, lambda a: xp.maximum(a, np.ones(2)), lambda a: a[np.array([0])],
    lambda a: a.__setitem__(0, np.ones(1)), lambda a: xp.concatenate([a, np.ones(2)]),
    lambda a: xp.asarray(a.data, dtype=bool)])  # CuPy makes a True of it, and nobody means that
def test_a_planted_numpy_call_on_a_device_array_is_caught(planted, device):
    with pytest.raises(TypeError):
        planted(xp.zeros(2))


@pytest.mark.parametrize("planted", [
    lambda a: xp.exp([1.0, 2.0]), lambda a: xp.maximum(a, [1.0, 2.0]), lambda a: xp.sum([1.0, 2.0]),
    lambda a: a + [1.0, 2.0], lambda a: a.__setitem__(slice(None), [1.0, 2.0]),
    lambda a: xp.where(True, a, a), lambda a: xp.where([True, False], a, a),
    lambda a: xp.where(a > 0, None, a), lambda a: a.sum(where=a > 0), lambda a: a.max(initial=0),
    lambda a: xp.exp(a, where=a > 0), lambda a: xp.subtract(a, a, order="C"),
    lambda a: xp.take(a, xp.asarray(0), mode="clip"), lambda a: xp.indices((2, 3), sparse=True),
    lambda a: xp.asarray(["a"]), lambda a: xp.asarray([None]), lambda a: hash(a),
    lambda a: xp.asarray(a.data),
    lambda a: xp.zeros(xp.asarray(3)), lambda a: xp.zeros((2, xp.asarray(3))),
    lambda a: a.reshape(xp.asarray(2)), lambda a: range(xp.asarray(2)),
    lambda a: xp.multiply.at(a, xp.asarray([0]), 2), lambda a: xp.concatenate([a, [1.0]]),
    *[lambda a, fn=fn, kind=kind: getattr(xp, fn).at(a.astype(kind), xp.asarray([0]), 1)
      for fn, kinds in (("add", "? i1 u1 i2 u2 c8 c16"), ("subtract", "? i1 i2 i8 u8 f2 f4 f8 c8"),
                        ("maximum", "? i1 u2 f2 c8"), ("minimum", "? i1 u2 f2 c8"))
      for kind in kinds.split()]])
@pytest.mark.parametrize("backend", ["strict", "cupy"], indirect=True)
def test_what_cupy_refuses_is_refused(planted, backend):
    with pytest.raises((TypeError, ValueError, NotImplementedError, AttributeError)):
        planted(xp.zeros(2))


def test_a_strided_view_does_not_say_so(device):
    """As in CuPy: who asks `.base` whether memory is shared is not told."""
    a = xp.zeros(4)
    assert a[1:].base is not None and a.base is None
    assert xp.lib.stride_tricks.as_strided(a, (2, 2), (8, 8)).base is None


@pytest.mark.parametrize("backend", ["strict", "cupy"], indirect=True)
def test_what_cupy_does_without_a_word(backend):
    a = xp.arange(6).reshape(2, 3)
    assert a[xp.asarray([1, 2]), xp.asarray([-1, 3])].tolist() == [5, 0]
    a[..., xp.asarray([4])] = 7
    xp.add.at(a, (slice(None), xp.asarray([3, 3])), 1)
    assert a.tolist() == [[2, 7, 2], [5, 7, 5]]
    xp.broadcast_to(a[:, 0], (2, 2))[1, 1] = 9
    assert a[1, 0].item() == 9
    with pytest.raises(IndexError):  # of a plain number it does say so
        a[:, 3]


@pytest.mark.parametrize("planted", [
    lambda a: xp.bincount(a, minlength=3), lambda a: xp.flatnonzero(a), lambda a: a[a > 0],
    lambda a: a.__setitem__(a > 0, 0), lambda a: xp.where(a), lambda a: xp.unique(a),
    lambda a: a.nonzero(), lambda a: xp.add.at(a, a > 0, 1)])
def test_what_waits_for_the_device_counts_as_moved_out(planted, device):
    before = device["out"]
    planted(xp.ones(2, np.int32))
    assert device["out"] == before + 1


def test_names_that_cupy_lacks_are_missing(device):
    for name in ("float128", "nditer", "memmap"):
        with pytest.raises(AttributeError, match=f"'cupy' has no attribute '{name}'"):
            getattr(strict, name)
    with pytest.raises(AttributeError, match="no attribute 'setfield'"):
        xp.zeros(2).setfield(1, np.int8)


def test_results_without_axes_stay_on_the_device(device):
    before = dict(device)
    assert isinstance(xp.ones(3).sum(), strict.ndarray)
    y = Tensor(xp.ones(3), requires_grad=True).sum()
    y.backward()
    assert isinstance(y.data, strict.ndarray) and device == before


def dataset_for(script, model):
    draw = synthetic_digits if script == "mnist" else synthetic_scenes
    found = data.load("synthetic", synthetic=lambda: draw(train=40, test=8))
    if model != "prior":
        return found
    def codes(n): return np.random.default_rng(n).integers(0, 6, (n, 4, 4, 1), dtype=np.int32)
    return runs.CodeDataset("codes", "codes", codes(40), found.train_labels, codes(8),
                            found.test_labels, "", 6, None)


def build(script, model, dataset, **more):
    recipe = RECIPES[script][model]
    sizes = recipe.sizes | {n: v for n, v in SIZES.items() if n in recipe.sizes} | more
    net = recipe.build(dataset, training.generator(0, "weights"), **sizes)
    return net, optim.Adam(net.parameters(), 1e-3)


@pytest.mark.parametrize("script, model", MODELS, ids=[f"{s}-{m}" for s, m in MODELS])
def test_a_step_moves_batch_and_noise_in_and_nothing_out(script, model, device):
    dataset = dataset_for(script, model)
    net, adam = build(script, model, dataset)
    def step(number):
        training.step(net, adam, dataset.train_images[:8], training.generator(0, "step", number),
                      dataset.train_labels[:8])
    step(0)
    before = dict(device)
    step(1)
    assert device["out"] == before["out"]
    assert device["in"] - before["in"] <= 3  # a batch, its noise, where the gradients lie


LAUNCHES = {"mnist-autoencoder": 34, "mnist-vae": 58, "mnist-vae-paper": 62, "mnist-vae-iwae": 81,
            "mnist-conv-vae": 106, "mnist-vqvae": 119, "mnist-pixelcnn": 446,
            "mnist-gated-pixelcnn": 298, "mnist-prior": 207, "cifar-conv-vae": 186,
            "cifar-vqvae": 214, "cifar-pixelcnn": 328, "cifar-gated-pixelcnn": 269,
            "cifar-prior": 243}


@pytest.mark.parametrize("script, model", MODELS, ids=[f"{s}-{m}" for s, m in MODELS])
def test_a_step_launches_no_more_than_it_did(script, model, device):
    """At most these kernels, copies and fills, and one table. On CuPy there are a few more, since
    some of its functions are two: docs/performance.md."""
    step, _ = gpu.fresh(script, model, batch_size=2)
    for i in range(2):
        step(i)
    strict.launches.clear()
    step(2)
    assert strict.launches.total() <= LAUNCHES[f"{script}-{model}"] + 1


@pytest.mark.parametrize("script, model", MODELS, ids=[f"{s}-{m}" for s, m in MODELS])
@pytest.mark.parametrize("other", ["strict", "cupy"])
def test_training_gives_the_same_losses_as_numpy(script, model, other, tmp_path, monkeypatch):
    """Four epochs of five steps, with evaluation and checkpoints: the same to rounding."""
    monkeypatch.setattr(runs_log, "TRACE_EVERY", 1)
    monkeypatch.setattr(runs_train, "LOOK_EVERY", 3)
    codes = model == "prior"
    flags = SimpleNamespace(epochs=4, steps=None, batch_size=8, lr=1e-3, schedule="cosine", seed=0,
                            binarize="none" if codes else "dynamic", flip=not codes)
    dataset, logs = dataset_for(script, model), []
    for library in ("numpy", other):
        strict.use() if library == "strict" else scratchnet.use(library)
        net, adam = build(script, model, dataset)
        log, stopped = runs_train.train(net, adam, dataset, flags, tmp_path, quiet=True)
        assert stopped is None and log.step == 20
        logs.append(log)
    scratchnet.use("numpy")
    for a, b in zip(logs[0].trace, logs[1].trace, strict=True):
        assert a[net.table[0]] == pytest.approx(b[net.table[0]], rel=1e-3), a["step"]
    tests = [log.history[-1][f"test_{net.table[0]}"] for log in logs]
    assert tests[0] == pytest.approx(tests[1], rel=1e-2)  # a vector between two codes may change


def test_embedding_checks_its_range_on_the_host_only(device):
    before = device["out"]
    ops.embedding(np.array([0, 1]), xp.zeros((2, 3)))
    assert device["out"] == before


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
    *NUMBERS_ALONE, lambda a, b: a if b > 0 else -a, lambda a, b: a * float(b),
    lambda a, b: a * min(b, 0.5), lambda a, b: a * (b and 2), lambda a, b: a * round(b)])
def test_numbers_of_a_fused_function_meet_no_other(planted, device):
    """The first ones would be computed in float16, the others are errors in CuPy, too."""
    def named(*arguments): return planted(*arguments)
    with pytest.raises(TypeError, match="numbers alone, which CuPy does in float16"):
        fused(named)(xp.ones(2, np.float32), 0.25)


@pytest.mark.parametrize("backend", ["strict", "cupy"], indirect=True)
def test_numbers_of_a_fused_function_meet_arrays(backend):
    def named(a, b): return b - a, a ** b, xp.maximum(a, b), xp.where(a > b, a, b), (b < a) * a
    found = fused(named)(xp.asarray(np.array([0.25, 4], np.float32)), 0.5)
    assert [a.dtype for a in found] == [np.float32] * 5
    assert [a.tolist() for a in found] == [[0.25, -3.5], [0.5, 2], [0.5, 4], [0.5, 4], [0, 4]]


def test_what_cannot_be_fused_is_caught(device):
    x = xp.zeros((2, 3))
    with pytest.raises(AttributeError, match="'sum'.*only elementwise"):
        fused(lambda a: a.sum())(x)
    with pytest.raises(TypeError, match="'concatenate'"):
        fused(lambda a: xp.concatenate([a, a]))(x)
    with pytest.raises(TypeError, match="an element"):
        fused(lambda a: a[:1])(x)
    with pytest.raises(TypeError, match="Invalid argument type"):
        fused(lambda a, b: a + b)(x, "b")
    for mixed in (lambda a: a + x, lambda a: xp.maximum(a, x)):
        with pytest.raises(TypeError, match="not supported in fusion"):
            fused(mixed)(x)
    for unknown in (lambda a: 2 ** a, lambda a: abs(a), lambda a: +a, lambda a: a @ a):
        with pytest.raises(TypeError, match="knows no"):
            fused(unknown)(x)
    with pytest.raises(ValueError, match="<lambda>: the kernel is named after"):
        fused(lambda a: a * a)(x)


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


def test_the_model_of_a_step_by_hand():
    assert machines.fit([(10, 0.5), (20, 0.7), (40, 1.1)]) == pytest.approx((0.3, 0.02))
    # 150/1300 and 1.5/1.25: relative errors are what is squared
    assert machines.fit([(10, 1), (20, 3)]) == pytest.approx((0, 3 / 26))
    assert machines.fit([(10, 2), (20, 1)]) == pytest.approx((1.2, 0))
    assert machines.largest_error([(10, 0.5), (20, 0.8)], 0.3, 0.02) == pytest.approx(0.125)
    network = (1e-3, 1e6)
    # 2 (1 ms + 0.8 ms + 0.08 ms) is shorter than 4 ms + 3/4 1.68 ms; of the longer one it is not
    assert machines.allreduce(4, 800, *network, 1e-7) == pytest.approx(3.76e-3)
    assert machines.allreduce(4, 80_000, *network, 1e-7) == pytest.approx(4e-3 + 126e-3)
    assert machines.allreduce(1, 80_000, *network, 1e-7) == 0
    of = [(1, 128), (4, 32), (3, 44), (64, 2), (128, 2)]  # 22 + 21 + 21 + ...: 22 of each of two
    for n, images in of:
        step = machines.step_time(n, 2, 0.1, 0.01, 128, [80_000, 800], network, 1e-7)
        sums = sum(machines.allreduce(n, size, *network, 1e-7) for size in (80_000, 800))
        assert step == pytest.approx(0.1 + 0.01 * images + sums)
    assert machines.useful([1, 0.5, 0.3, 0.28, 0.1, 0.05, 0.02, 0.01]) == 4
    assert machines.useful([2.0 ** -k for k in range(8)]) == 128
    assert machines.useful([1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) == 1


def test_what_a_step_sums_up():
    """All gradients, then all metrics: each as one array."""
    class Two(ProcessGroup):
        def all_reduce(self, a):
            return a + a
    dataset = dataset_for("mnist", "vae")
    net, adam = build("mnist", "vae", dataset)
    group = Two(2, optimizer=adam)
    sums = machines.note_sums(group)
    metrics = training.step(net, adam, dataset.train_images[:8], training.generator(0, "step"),
                            group=group)
    group.agree(False)
    assert sums == [4 * sum(p.size for p in net.parameters()), 4 * len(metrics), 1]


def test_what_was_measured_and_modelled_is_shown(monkeypatch, tmp_path, capsys):
    """strong = 400/250; weak = 2 * 300/250. With fixed = 50 ms and 200 ms for 128 images a step of
    1, 2 ... 64 machines takes 250, 150, 100, 75, 62.5, 56.25, 53.1 ms; then each process has one
    image, and 128 machines take as long. 250/56.25 = 4.4. Messages of a second: 6 for 64."""
    monkeypatch.setattr(machines, "MODELS", {"vae": compare.MODELS["vae"]})
    monkeypatch.setattr(machines, "NETWORKS", {"none": (0, 1e30), "slow": (1, 1e30)})
    def rows(*ms): return {"vae": [[128 >> k, t / 1e3] for k, t in enumerate(ms)]}
    rest = {"sums": {"vae": [2_000_000]}, "allreduce": [[4, 1e-6]], "add": 1e-30}
    measured = {"1": rest | {"steps": rows(400, 300, 100, 50)},
                "2": rest | {"steps": rows(250, 150, 100, 75)}}
    machines.show(measured, tmp_path / "a.png")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "vae," in line]
    assert lines == [["vae,", "128", "400.00", "250.00", "1.60", "2.40"],
                     ["vae,", "128", "50.00", lines[1][3], "0%", "2.00", "32", "(4.4", "x)", "100%",
                      "1", "(1.0", "x)", "4%"]]  # 250/6250
    assert float(lines[1][3]) == pytest.approx(200 / 128, abs=1e-3)
    assert (tmp_path / "a.png").stat().st_size > 10_000
