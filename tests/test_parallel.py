"""Training by several processes: the same figures as by one, and nothing left behind."""

import contextlib
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
from small_runs import assert_close, build, dataset_for, trained

import evaluate
from scratchnet import Tensor, nn, optim, training
from scratchnet.errors import DivergenceError, ProcessError
from scratchnet.fast import blas
from scratchnet.fast import processes as parallel
from scratchnet.fast.group import ProcessGroup
from scratchnet.fast.microbatches import microbatches
from scratchnet.fast.processes import ForkedGroup, shards, start_group
from scratchnet.runs import train as runs_train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def by(processes, name, monkeypatch, **how):
    """What comes of training by so many processes."""
    monkeypatch.setattr(runs_train, "processes", lambda batch_size: processes)
    return trained(name, **how)


@pytest.mark.parametrize("name, processes", [
    ("mnist-vae", 3), ("mnist-conv-vae", 2), ("mnist-vqvae", 3), ("mnist-gated-pixelcnn", 2),
    ("cifar-vqvae", 2), ("restarts", 2)])
def test_several_processes_train_as_one_does(name, processes, monkeypatch):
    """Losses, test figures, weights and the optimiser's state, to rounding; the last batch of an
    epoch is a single image. The codes of VQ-VAEs move, and dead ones are placed anew."""
    assert_close(by(processes, name, monkeypatch), by(1, name, monkeypatch))


def test_the_same_number_of_processes_gives_the_same_bits(monkeypatch):
    first, second = (by(2, "mnist-vqvae", monkeypatch) for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_gradients_of_unequal_parts_count_by_their_images():
    """Seven images in parts of three and four; before and afterwards one process is alone."""
    dataset = dataset_for("mnist", "vae")
    found = []
    for size in (1, 2):
        net, adam = build("mnist", "vae", dataset, conditional=False)
        training.step(net, adam, dataset.train_images[:7], np.random.default_rng(4))
        with start_group(size, adam) as group:
            training.step(net, adam, dataset.train_images[:7], np.random.default_rng(5),
                          group=group)
        training.step(net, adam, dataset.train_images[:7], np.random.default_rng(6))
        found.append(adam.state_dict())
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, atol=1e-6, err_msg=name)


class Noisy(nn.Model):
    """Keeps the noise that its loss gets."""

    noise_dim = 3

    def __init__(self, microbatch):
        self.microbatch, self.w, self.seen = microbatch, nn.parameter(np.zeros(1)), []

    def loss(self, x, noise):
        self.seen.append(noise)
        return (self.w * x).mean(), {}


@pytest.mark.parametrize("size, microbatch", [(1, None), (1, 3), (2, None), (2, 3), (3, 2)])
def test_an_images_noise_does_not_depend_on_the_microbatches(size, microbatch):
    """Nor on the number of processes; and every process goes on from the same place."""
    images, expected = np.zeros((8, 2, 2, 1), np.uint8), np.random.default_rng(3)
    whole, after = expected.standard_normal((8, 3), dtype=np.float32), expected.random()
    of_test = training.generator(0, "evaluation").standard_normal((8, 3), dtype=np.float32)
    trained, evaluated = Noisy(microbatch), Noisy(microbatch)
    for rank in range(size):
        group, rng = ProcessGroup(size), np.random.default_rng(3)
        group.rank, group.reduce_metrics, group.reduce_gradients = rank, dict, lambda: None
        training.step(trained, optim.SGD([trained.w], 0.1), images, rng, group=group)
        assert rng.random() == after
        training.evaluate(evaluated, images, 8, group=group)
    np.testing.assert_array_equal(np.concatenate(trained.seen), whole)
    np.testing.assert_array_equal(np.concatenate(evaluated.seen), of_test)


def test_a_parameter_without_axes_has_a_gradient_without_axes():
    w = Tensor(np.zeros(()), requires_grad=True)
    with start_group(2, optim.SGD([w], 0.1)) as group:
        w.grad = np.array(1.0 + group.rank)
        group.reduce_gradients()
        assert w.grad.shape == ()
        assert group.all_reduce(w.grad) == 1 + 3  # the second process updates it, by the sum


@pytest.mark.parametrize("size", [1, 2, 3])
def test_sums_over_the_group(size, monkeypatch, forked):
    """Also of arrays that take several mailboxes, and many in a row."""
    monkeypatch.setattr(parallel, "MAIL", 64)
    with start_group(size) as group:
        ranks = size * (size - 1) / 2
        for n in (1, 16, 100, 7, 33):
            a = np.arange(n) + 1000.0 * group.rank
            expected = size * np.arange(n) + 1000.0 * ranks
            np.testing.assert_array_equal(group.all_reduce(a), expected)
        assert group.all_reduce(np.float32([[group.rank]])).tolist() == [[ranks]]
        assert group.all_reduce(np.ones(150, np.int8)).tolist() == [size] * 150
        # evaluate.py: each process takes its parts, the last of which is smaller, and has them all
        found = evaluate.dealt(lambda part: np.arange(part.start, part.stop) ** 2, 7, 2, group, int)
        assert found.tolist() == [0, 1, 4, 9, 16, 25, 36]
        assert [group.agree(group.rank == 0), group.agree(group.rank == 1)] == [True, False]
        sums = group.reduce_metrics({"a": np.float64(group.rank), "b": np.ones((2, 3))})
        assert float(sums["a"]) == ranks and sums["b"].tolist() == [[size] * 3] * 2
    assert group.rank == 0 and not left(forked)


def test_microbatches_of_a_batch():
    """Each image once, weights that add up to 1; a process without images counts one 0 times."""
    assert microbatches(slice(2, 9), 10, 3) == [(slice(2, 4), 0.2), (slice(4, 6), 0.2),
                                          (slice(6, 9), 0.3)]
    assert microbatches(slice(0, 7), 7, None) == [(slice(0, 7), 1.0)]
    assert microbatches(slice(1, 1), 2, 4) == [(slice(0, 1), 0.0)]
    parts = []
    for rank in range(3):
        parts.append(ProcessGroup(3, rank).shard(7))
    assert parts == [slice(0, 2), slice(2, 4), slice(4, 7)]
    sizes = [len(range(7)[ProcessGroup(4, rank).shard(7)]) for rank in range(4)]
    assert sum(sizes) == 7 and max(sizes) == 2


def test_shares_of_the_parameters_are_all_of_them_once():
    parameters = [Tensor(np.zeros(s, np.float32)) for s in ((5, 7), (1,), (2, 2), (40,))]
    for size in (1, 2, 3, 7):
        found = shards(parameters, size)
        for i, p in enumerate(parameters):
            taken = np.concatenate([np.arange(p.size)[parts[i]] for parts in found])
            assert taken.tolist() == list(range(p.size))
        numbers = [sum(part.stop - part.start for part in parts) for parts in found]
        assert sum(numbers) == 80 and max(numbers) - min(numbers) <= 1


def fail(): raise KeyError("by itself")
def die(): os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("size, rank, end, error, words", [
    (3, 1, fail, ProcessError, "KeyError: 'by itself'"), (2, 0, fail, KeyError, "by itself"),
    (2, 1, die, ProcessError, "ended by signal 9.*NUM_THREADS=1 .*--resume")])
def test_a_process_that_ends_is_noticed_and_nothing_is_left(size, rank, end, error, words, forked):
    with pytest.raises(error, match=words), ForkedGroup(size) as group:
        if group.rank == rank:
            end()
        group.barrier()
    assert not left(forked)


def test_a_process_that_cannot_be_started(monkeypatch, forked):
    fork, done = os.fork, []
    def failing():
        if done:
            raise OSError(11, "Resource temporarily unavailable")
        done.append(1)
        return fork()
    monkeypatch.setattr(os, "fork", failing)
    with pytest.raises(ProcessError, match="temporarily unavailable.*OPENBLAS_NUM_THREADS=1"):
        with ForkedGroup(3):
            pass
    assert not left(forked)


def test_a_loss_that_is_not_a_number_is_reported_as_ever(monkeypatch, forked):
    def poison(net):
        net.pixels.w.data[0, 0] = np.nan
    with pytest.raises(DivergenceError, match="step 1: the term"):
        by(2, "mnist-vae", monkeypatch, change=poison)
    assert not left(forked)


def test_no_process_outlives_the_first():
    """kill -9 in the middle of training: the system ends the others."""
    program = ("import os, time\nfrom scratchnet.fast.processes import ForkedGroup\n"
               "with ForkedGroup(3) as group:\n"
               "    os.write(1, str(group.rank).encode())\n"
               "    time.sleep(600)\n")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE,
                          bufsize=0) as first:
        seen = b""
        while len(seen) < 3:  # until all are there
            seen += first.stdout.read(1) or b"end"
        assert set(seen) == set(b"012")
        first.kill()
        # The end of what they write comes when the last of them has ended, however busy the
        # machine; were they alive they would not be 300 seconds later, either.
        assert select.select([first.stdout], [], [], 300)[0] and first.stdout.read(1) == b""


@pytest.mark.parametrize("content, cores", [
    ("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", sys.maxsize),
    ("", sys.maxsize)])
def test_a_containers_quota(content, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(content)
    assert blas.quota(tmp_path / "cpu.max") == cores
    assert blas.quota(tmp_path / "none") == sys.maxsize


def test_how_many(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    if blas.openblas() is not None:
        assert [parallel.processes(n) for n in (128, 16, 15, 1)] == [4, 2, 1, 1]
    monkeypatch.setattr(parallel, "openblas", lambda: None)
    assert parallel.processes(128) == 1


def test_blas_gets_its_threads_back():
    if blas.openblas() is None:
        pytest.skip("this NumPy has another BLAS")
    before = blas.blas_threads(2)
    try:
        with ForkedGroup(2):
            assert blas.openblas()[0]() == max(1, blas.cores() // 2)
        assert blas.openblas()[0]() == 2
    finally:
        blas.blas_threads(before)


@pytest.fixture(autouse=True)
def forked(monkeypatch):
    """The processes that the test has forked."""
    fork, pids = os.fork, []
    def fork_and_note():
        pid = fork()
        pids.extend([pid] * (pid > 0))
        return pid
    monkeypatch.setattr(os, "fork", fork_and_note)
    return pids


def left(pids):
    """Those of these children that are there, or dead but not yet waited for. (Not of all this
    process's children: others, of other tests or of a library, are none of a group's business.)"""
    found = []
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
            found.append(pid)
    return found
