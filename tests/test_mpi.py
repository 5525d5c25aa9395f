"""Training by processes that MPI started (scratchnet/fast/mpi.py), as a person starts them. Skipped
where mpi4py or mpiexec is missing: pip install -r requirements-mpi.txt."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import strict
from mpi_program import CASES
from test_stops import FLAGS, PATIENCE, PROGRAM, ROOT, SHOUT, names, saved_step

import scratchnet
from scratchnet.fast import blas, mpi

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
OPEN_MPI = MPIEXEC and b"Open MPI" in subprocess.run([MPIEXEC, "--version"],
                                                     capture_output=True).stdout
# Open MPI refuses to start more processes than cores, and for root, unless it is told to.
ENV = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
       "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OPENBLAS_NUM_THREADS": "1"}
TCP = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self",      # MPICH: no shared memory
       "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "tcp,self"}    # Open MPI
FEW = ["mnist-vae", "cifar-vqvae", "mnist-prior"]

needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec here")


@pytest.fixture(autouse=True)
def mpi4py(request):
    if request.node.get_closest_marker("skipif") and not importlib.util.find_spec("mpi4py"):
        pytest.skip("no mpi4py here")


def mpiexec(ranks, *command, cwd=None, env=None, patience=PATIENCE):
    return subprocess.run([MPIEXEC, "-n", str(ranks), sys.executable, *command], cwd=cwd,
                          env=ENV | (env or {}), capture_output=True, text=True, timeout=patience)


def outcome(tmp_path, ranks, models=(), library="numpy", env=None):
    """What tests/mpi_program.py finds with so many processes; 0: without MPI."""
    command = [str(ROOT / "tests/mpi_program.py"), str(tmp_path / "found.npz"), library,
               *(models or CASES)]
    found = mpiexec(ranks, "-m", "mpi4py", *command, env=env) if ranks else subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=PATIENCE, env=ENV)
    assert found.returncode == 0, found.stderr
    with np.load(tmp_path / "found.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """outcomes(ranks): the outcome for every model, found once."""
    return cache(lambda ranks: outcome(tmp_path_factory.mktemp("by"), ranks))


def assert_close(found, expected):
    assert found.keys() <= expected.keys() and found
    for name, a in found.items():
        scale = max(1e-3, np.abs(expected[name]).max())
        np.testing.assert_allclose(a, expected[name], rtol=1e-3, atol=1e-3 * scale, err_msg=name)


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_model_trains_as_in_one_process(ranks, outcomes):
    """Losses, test figures, weights and the optimiser's state, to rounding; 13 images in unequal
    parts, and a last batch of one."""
    assert_close(outcomes(ranks), outcomes(0))


@needs_mpi
def test_as_many_processes_give_the_same_bits_also_over_tcp(outcomes, tmp_path):
    for name, a in outcome(tmp_path, 2, env=TCP).items():
        np.testing.assert_array_equal(a, outcomes(2)[name], err_msg=name)


@needs_mpi
def test_arrays_on_a_device_go_through_the_host(outcomes, tmp_path):
    assert_close(outcome(tmp_path, 3, FEW, library="strict"), outcomes(0))


def test_the_device_is_waited_for_before_mpi_reads_it(monkeypatch):
    """What is moved comes from asnumpy, which waits; directly, the stream is synchronised first."""
    done = []
    class World:
        size, rank = 2, 0
        def Allreduce(self, mine, out):
            done.append(type(mine))
            out[...] = mine + mine
    stream = SimpleNamespace(synchronize=lambda: done.append("synchronised"))
    cuda = SimpleNamespace(get_current_stream=lambda: stream)
    monkeypatch.setattr(mpi, "_world", [World()])
    monkeypatch.setattr(strict, "cuda", cuda, raising=False)
    strict.use()
    try:
        for direct, expected in (("0", [np.ndarray]), ("1", ["synchronised", strict.ndarray])):
            monkeypatch.setenv("SCRATCHNET_CUDA_AWARE", direct)
            done.clear()
            total = mpi.MPITeam().total(scratchnet.xp.ones((2, 3)))
            assert done == expected and isinstance(total, strict.ndarray)
            assert total.tolist() == [[2.0] * 3] * 2
    finally:
        scratchnet.use("numpy")


@needs_mpi
@pytest.mark.parametrize("env, gpus", [({}, [0, 1, 0]), ({"MPIR_CVAR_NOLOCAL": "1"}, [0, 0, 0])])
def test_each_process_takes_a_gpu_of_its_own(env, gpus):
    """Of two for three processes on one machine, the third shares one; each on its own machine (as
    MPICH then says) takes the first. And of two cores each its part, but all that are on its own
    machine."""
    if env and OPEN_MPI:
        pytest.skip("it has no such variable")
    program = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from test_backend import fake_cupy
from scratchnet.fast import blas, mpi
from scratchnet.runs.cli import choose_backend
from types import SimpleNamespace
cupy = sys.modules["cupy"] = fake_cupy(count=2)
choose_backend(SimpleNamespace(backend="cupy"))
def threads(): return blas.openblas() and blas.openblas()[0]()
before = threads()
with mpi.MPITeam():
    here = threads()
assert threads() == before
sys.stdout.write(f"{{mpi.rank()}}:{{cupy.used}}:{{here}} ")
"""
    found = mpiexec(3, "-c", program, env=env | {"OPENBLAS_NUM_THREADS": "2"})
    two = min(2, len(os.sched_getaffinity(0)), blas.quota()) if env else 1
    threads = blas.openblas() and two
    expected = [f"{rank}:[{gpu}]:{threads}" for rank, gpu in enumerate(gpus)]
    assert sorted(found.stdout.split()) == expected, found.stderr


# ---------------------------------------------------------------- a run, and what ends it

def script(tmp_path, extra="", then=""):
    """test_stops's train_mnist.py; `then` is done in step 3."""
    extra = f"from scratchnet.fast import mpi\n{extra}" + (SHOUT.format(then=then) if then else "")
    (tmp_path / "train_mnist.py").write_text(PROGRAM.format(root=str(ROOT), extra=extra))


def train(tmp_path, ranks, *flags, by=("-m", "mpi4py"), **how):
    return mpiexec(ranks, *by, "train_mnist.py", *flags, cwd=tmp_path, **how)


def weights(tmp_path):
    with np.load(tmp_path / "run" / "checkpoint.npz") as file:
        return {n: file[n] for n in file.files if n != "progress"}


@needs_mpi
def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """The first process alone prints, reads the run and writes it, after every step here."""
    script(tmp_path, extra="from scratchnet.runs import checkpoint, folder, log\n"
           "train.SAVE_EVERY = -1\n"
           "if mpi.rank():\n    for module in (checkpoint, folder, log):\n"
           "        module.replacing = None\n    checkpoint.load = None\n")
    flags = [*FLAGS, "--schedule", "constant", "--average", "0.9"]
    found = train(tmp_path, 4, *flags, "--epochs", "4")
    assert found.returncode == 0 and not found.stderr
    assert found.stdout.count("4 processes; into run") == found.stdout.count("In run/:") == 1
    assert names(tmp_path / "run") == {"config.json", "checkpoint.npz", "metrics.csv"}
    whole = weights(tmp_path)
    shutil.rmtree(tmp_path / "run")
    train(tmp_path, 1, *flags, "--epochs", "2", "--quiet")
    assert saved_step(tmp_path) == 4
    found = train(tmp_path, 2, "--resume", "run", "--epochs", "4")
    assert "2 processes; into run, going on after step 4" in found.stdout
    assert_close(weights(tmp_path), whole)


@needs_mpi
@pytest.mark.parametrize("by", [(), ("-m", "mpi4py")])
def test_a_users_mistake_is_one_line(by, tmp_path):
    script(tmp_path)
    found = train(tmp_path, 2, "--model", "vae", "--lr", "much", by=by)
    ours = [line for line in found.stderr.splitlines() if "train_mnist.py" in line]
    assert found.returncode == 2 and len(ours) == 1 and "--lr" in ours[0]
    assert "Traceback" not in found.stderr and "ABORT" not in found.stderr.upper()


@needs_mpi
@pytest.mark.parametrize("by", [(), ("-m", "mpi4py")])
@pytest.mark.parametrize("then, code, words", [
    ("if mpi.rank() == 1: raise KeyError('planted')", 1, "KeyError: 'planted'"),
    ("raise __import__('scratchnet').errors.RunError('in all')", 2, "train_mnist.py: error: in all")
])
def test_an_error_in_one_process_ends_all_with_its_message(then, code, words, by, tmp_path):
    script(tmp_path, then=then)
    found = train(tmp_path, 2, *FLAGS, "--epochs", "100000", "--quiet", by=by)
    assert found.returncode == code and found.stderr.count(words) == 1
    assert ("(process 1 of 2)" in found.stderr) == (code == 1)


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job(rank, tmp_path):
    script(tmp_path, then=f"if mpi.rank() == {rank}: os.kill(os.getpid(), signal.SIGKILL)")
    found = train(tmp_path, 2, *FLAGS, "--epochs", "100000", "--quiet", patience=30)
    assert found.returncode != 0 and saved_step(tmp_path) == 2


@needs_mpi
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_mpiexec_saves(number, tmp_path):
    """The launcher hands it on to all; the first process decides after which step all stop. (Open
    MPI makes both a SIGTERM, has an exit code of its own, and drops what is said from then on.)"""
    script(tmp_path, then="pass")
    with subprocess.Popen([MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "train_mnist.py",
                           *FLAGS, "--epochs", "100000"], cwd=tmp_path, env=ENV, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        while "at step 3" not in job.stdout.readline():
            pass
        job.send_signal(number)
        _, err = job.communicate(timeout=PATIENCE)
    assert saved_step(tmp_path) >= 3 and job.returncode == (1 if OPEN_MPI else 128 + number)
    if not OPEN_MPI:
        assert err.count("Stopped, and saved. Go on with:\n  python train_mnist.py --resume") == 1


@needs_mpi
def test_a_trained_run_is_evaluated_by_all_and_pictured_by_the_first(tmp_path):
    """The same figures as by one process, from batches of 10 images, and one file. Only the first
    finds the run, as on many machines: the other one is started in another folder. A mistake is one
    line."""
    script(tmp_path)
    train(tmp_path, 1, *FLAGS, "--epochs", "1", "--binarize", "dynamic", "--quiet")
    same_data = (tmp_path / "train_mnist.py").read_text().rpartition("sys.exit")[0]
    (tmp_path / "measure.py").write_text(f"{same_data}import evaluate\nevaluate.IMAGES = 10\n"
                                         "sys.exit(cli.guarded('evaluate.py', evaluate.main, "
                                         "sys.argv[1:]))")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    def by_two(*command):
        return mpiexec(1, *command, ":", "-n", "1", "-wdir", str(elsewhere), sys.executable,
                       *command, cwd=tmp_path)
    figures, flags = [], [str(tmp_path / "measure.py"), "run", "--importance-samples", "3"]
    for ranks in (1, 2):
        found = mpiexec(1, *flags, cwd=tmp_path) if ranks == 1 else by_two(*flags)
        assert found.returncode == 0 and found.stdout.count("-log p(x)") == 1, found.stderr
        written = tmp_path / "run/evaluation-importance3.json"
        figures.append(json.loads(written.read_text())["figures"])
    for name, figure in figures[0].items():
        assert figures[1][name]["value"] == pytest.approx(figure["value"], rel=1e-6), name
    found = by_two(str(ROOT / "generate.py"), "run", "--num", "4")
    assert found.returncode == 0 and found.stdout.count("samples of vae") == 1, found.stderr
    assert (tmp_path / "run/samples-seed0.png").exists() and not names(elsewhere)
    for name in ("evaluate.py", "generate.py"):
        found = mpiexec(2, str(ROOT / name), "nowhere", cwd=tmp_path)
        assert found.returncode == 2 and found.stderr.count("nowhere: no run there") == 1


@needs_mpi
def test_the_benchmark_of_machines_measures_by_one_and_by_several(tmp_path):
    """Also by one that was not started by -m mpi4py."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from benchmarks import machines
machines.MODELS = {{"vae": machines.MODELS["vae"]._replace(batch_size=8, burst=1)}}
machines.main()
"""
    for ranks in (1, 2):
        found = mpiexec(ranks, "-c", program, "--into", "a.json", cwd=tmp_path)
        assert found.returncode == 0, found.stderr
    measured = json.loads((tmp_path / "a.json").read_text())
    assert [len(measured[n]["sums"]["vae"]) for n in "12"] == [1, 3]
    assert [images for images, _ in measured["2"]["steps"]["vae"]] == [8, 4, 2, 1]
    assert [size for size, _ in measured["2"]["allreduce"]] == [4 ** k for k in range(1, 13)]


@pytest.mark.parametrize("mpi4py_is, words", [
    ("raise ImportError('none here')", "pip install -r requirements-mpi.txt"),
    ("class MPI:\n    class COMM_WORLD:\n        size = 1", "belongs to another MPI than")])
def test_mpiexec_without_an_mpi4py_of_its_own_says_what_to_do(mpi4py_is, words, tmp_path):
    """Once, and nobody trains alone."""
    script(tmp_path)
    (tmp_path / "mpi4py.py").write_text(mpi4py_is)
    for rank, said in (("0", words), ("1", "")):
        env = {**os.environ, "PMI_SIZE": "2", "PMI_RANK": rank}
        found = subprocess.run([sys.executable, "train_mnist.py", *FLAGS], cwd=tmp_path, env=env,
                               capture_output=True, text=True, timeout=PATIENCE)
        assert found.returncode == 2 and said in found.stderr
        assert found.stderr.count("\n") == bool(said) and not (tmp_path / "run").exists()
