"""Training by processes that MPI started (scratchnet/fast/mpi.py), as a person starts them. Skipped
where mpi4py or mpiexec is missing. With MPICH; other MPIs end a job in other words."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_runs import CASES, assert_close
from test_stops import FLAGS, PATIENCE, PROGRAM, ROOT, SHOUT, names, saved_step

from scratchnet.fast import blas

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
ENV = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
TCP = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self"}  # as if each were on a machine of its own
FOREVER = [*FLAGS, "--epochs", "100000", "--quiet"]
SOME = "mnist-vae", "cifar-vqvae", "mnist-prior"
HERE = MPIEXEC is not None and importlib.util.find_spec("mpi4py")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not HERE, reason="no mpiexec or no mpi4py here")]


def mpiexec(ranks, *command, by=("-m", "mpi4py"), env=None, **how):
    """ranks 0: without MPI."""
    launcher = [MPIEXEC, "-n", str(ranks), sys.executable, *by] if ranks else [sys.executable]
    return subprocess.run([*launcher, *map(str, command)], env=ENV | (env or {}), text=True,
                          capture_output=True, timeout=PATIENCE, **how)


# ---------------------------------------------------------------- the same figures

@cache
def outcome(ranks, *models, library="numpy", over_tcp=False):
    """What tests/mpi_program.py finds with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        found = mpiexec(ranks, ROOT / "tests/mpi_program.py", f"{folder}/found.npz", library,
                        *(models or CASES), env=TCP if over_tcp else None)
        assert found.returncode == 0, found.stderr
        with np.load(f"{folder}/found.npz") as file:
            return dict(file)


def test_every_model_trains_as_in_one_process():
    """Losses, test figures, weights and the optimiser's state, to rounding; 13 images in unequal
    parts, and a last batch of one."""
    assert_close(outcome(3), outcome(0))


def test_some_by_other_ways():
    """As many processes give the same bits, also over TCP; what is on a device goes through the
    host."""
    for name, a in outcome(2, *SOME, over_tcp=True).items():
        np.testing.assert_array_equal(a, outcome(2, *SOME)[name], err_msg=name)
    assert_close(outcome(2, *SOME, library="strict"), outcome(0))


@pytest.mark.parametrize("env, gpus, begun", [
    ({}, [0, 1, 2], "with mpi.MPIGroup(): work()"), (TCP, [0, 0, 0], "with mpi.MPIGroup(): work()"),
    ({}, [0, 1, 2], "mpi.as_one(work)")])
def test_each_process_takes_a_gpu_of_its_own(env, gpus, begun):
    """By its number on its machine; and its part of the machine's two cores, also before it trains:
    a VQ-VAE's codes are products, too."""
    program = (f"import os, sys\nsys.path[:0] = [{str(ROOT)!r}]\n"
               "from scratchnet.fast import blas, mpi\n"
               "def work():\n    threads = blas.openblas() and blas.openblas()[0]()\n"
               f"    os.write(1, f'{{mpi.rank()}}:{{mpi.gpu()}}:{{threads}} '.encode())\n{begun}")
    found = mpiexec(3, "-c", program, by=(), env=env | {"OPENBLAS_NUM_THREADS": "2"})
    two = min(2, len(os.sched_getaffinity(0)), blas.quota()) if env else 1
    expected = [f"{rank}:{gpu}:{blas.openblas() and two}" for rank, gpu in enumerate(gpus)]
    assert sorted(found.stdout.split()) == expected, found.stderr


# ---------------------------------------------------------------- a run, and what ends it

def train(tmp_path, ranks, *flags, extra="", then="", **how):
    """By test_stops's train_mnist.py; `extra` is done before it starts, `then` in step 3."""
    extra = f"from scratchnet.fast import mpi\n{extra}" + (SHOUT.format(then=then) if then else "")
    (tmp_path / "train_mnist.py").write_text(PROGRAM.format(root=str(ROOT), extra=extra))
    return mpiexec(ranks, "train_mnist.py", *flags, cwd=tmp_path, **how)


def weights(tmp_path):
    with np.load(tmp_path / "run" / "checkpoint.npz") as file:
        return {n: file[n] for n in file.files if n != "progress"}


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """The first process alone prints and writes; all evaluate it, to the figures of one."""
    flags = [*FLAGS, "--schedule", "constant", "--average", "0.9", "--binarize", "dynamic"]
    found = train(tmp_path, 3, *flags, "--epochs", "4")
    assert found.returncode == 0 and not found.stderr
    assert found.stdout.count("3 processes; into run") == found.stdout.count("In run/:") == 1
    assert names(tmp_path / "run") == {"config.json", "checkpoint.npz", "metrics.csv"}
    whole = weights(tmp_path)
    shutil.rmtree(tmp_path / "run")
    train(tmp_path, 0, *flags, "--epochs", "2", "--quiet")
    found = train(tmp_path, 2, "--resume", "run", "--epochs", "4")
    assert "2 processes; into run, going on after step 4" in found.stdout
    assert_close(weights(tmp_path), whole)
    extra = ("import evaluate\nevaluate.IMAGES = 10\n"
             "cli.main = lambda *a: cli.guarded('evaluate.py', evaluate.main, sys.argv[1:])")
    one, two = (train(tmp_path, ranks, "run", "--importance-samples", "3", extra=extra)
                for ranks in (0, 2))
    assert one.stdout.splitlines()[:-1] == two.stdout.splitlines()[:-1] and not two.stderr
    assert "-log p(x)" in one.stdout and two.stdout.endswith("As run/evaluation-importance3.json "
                                                             "says\n")


@pytest.mark.parametrize("by", [(), ("-m", "mpi4py")])
def test_a_users_mistake_is_one_line(by, tmp_path):
    found = train(tmp_path, 2, "--resume", "nowhere", by=by)
    ours = [line for line in found.stderr.splitlines() if "train_mnist.py" in line]
    assert found.returncode == 2 and len(ours) == 1 and "nowhere" in ours[0]
    assert "Traceback" not in found.stderr and "ABORT" not in found.stderr.upper()


@pytest.mark.parametrize("how, code, words", [
    ({"then": "if mpi.rank() == 1: raise KeyError('it')"}, 1, "KeyError: 'it'"),
    ({"extra": "if mpi.rank(): sys.argv += ['--lr', '1']"}, 2, "not those of the first process")])
def test_a_process_that_fails_alone_ends_all_with_its_message(how, code, words, tmp_path):
    found = train(tmp_path, 2, *FOREVER, **how)
    assert found.returncode == code and found.stderr.count(words) == 1
    assert "process 1 of 2: " in found.stderr


def test_a_killed_process_ends_the_job(tmp_path):
    found = train(tmp_path, 2, *FOREVER,
                  then="if mpi.rank() == 1: os.kill(os.getpid(), signal.SIGKILL)")
    assert found.returncode != 0 and saved_step(tmp_path) == 2


def test_a_signal_saves(tmp_path):
    """It comes to all; the first process decides after which step all stop."""
    found = train(tmp_path, 2, *FOREVER, then="os.kill(os.getpid(), signal.SIGTERM)")
    assert saved_step(tmp_path) == 3 and found.returncode == 143
    assert found.stderr.count("Go on with:\n  python train_mnist.py --resume") == 1


@pytest.mark.parametrize("mpi4py_is, words", [
    ("raise ImportError('none here')", "mpi4py does not load"),
    ("class MPI:\n    class COMM_WORLD:\n        size = 1", "is of another MPI than")])
def test_mpiexec_without_an_mpi4py_of_its_own_says_what_to_do(mpi4py_is, words, tmp_path):
    """Once, and nobody trains alone."""
    (tmp_path / "mpi4py.py").write_text(mpi4py_is)
    for rank, said in (("0", words), ("1", "")):
        found = train(tmp_path, 0, *FLAGS, env={"PMI_SIZE": "2", "PMI_RANK": rank})
        assert found.returncode == 2 and said in found.stderr
        assert found.stderr.count("\n") == bool(said) and not (tmp_path / "run").exists()
