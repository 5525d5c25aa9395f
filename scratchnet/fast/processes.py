"""A process group on one machine, forked by the first one.

NumPy uses more than one core for matrix products alone. Of threads, Python runs one at a time
between NumPy's calls: two took 262 ms for a step of the CIFAR-10 VQ-VAE, one took 404, and two
processes side by side 410 for twice the work. So on a CPU a process for each core trains. They
share the parameters' memory; gradients are added up by shards: each process updates the parameters
of one shard for all. docs/10-speed.md has the formula.
"""

import contextlib
import ctypes
import mmap
import os
import signal
import sys
import threading
import time
import traceback

import numpy as np

from ..backend import xp
from ..errors import ProcessError
from . import mpi
from .blas import blas_threads, cores, openblas
from .group import STOPS, ProcessGroup

MAIL = 1 << 20   # bytes of one mailbox: all_reduce sends longer arrays in several parts
MOST = 8         # processes; nobody has measured more
FEWEST = 8       # images of a batch for each process
SPIN = 20_000    # looks at the others' turns (about 1 ms) before sleeping between them


class ForkedGroup(ProcessGroup):
    """The processes are forked on entry, and afterwards only rank 0 goes on. optimizer: whose
    parameters are trained inside; each process updates its part of them. Raises ProcessError if a
    process fails, with what it said, or is killed."""

    def __init__(self, size, optimizer=None):
        super().__init__(size, optimizer=optimizer)
        self.turn, self.pids, self.parent = 0, [], os.getpid()
        self.fence = threading.Lock()  # taken and released, it keeps writes in order on any CPU

    def __enter__(self):
        self.blas_before = blas_threads(max(1, cores() // self.size))
        self.turns = memoryview(mmap.mmap(-1, 64 * self.size)).cast("q")  # one cache line each
        self.mailboxes = [[mmap.mmap(-1, MAIL) for _ in range(self.size)] for _ in range(2)]
        self.last_words = mmap.mmap(-1, MAIL)
        if self.optimizer is not None:
            parameters, state = self.optimizer.parameters, self.optimizer.state
            for p in parameters:
                p.data = shared(p.data)
            for arrays in state.values():
                arrays[:] = map(shared, arrays)
            self.gradients = [[shared(p.data) for p in parameters] for _ in range(self.size)]
            self.shards = shards(parameters, self.size)
        try:
            for rank in range(1, self.size):
                if self.rank == 0:
                    self.start(rank)
        except BaseException:  # also one to stop
            self.__exit__(None, None, None)
            raise
        if self.optimizer is not None:
            self.optimizer.shards = self.shards[self.rank]
        return self

    def start(self, rank):
        """Fork process `rank`, which leaves signals to the first one and ends when that ends. No
        signal comes between: it would be handled by both."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            if pid := os.fork():
                self.pids.append(pid)
                return
            self.rank, self.pids = rank, []
            for number in STOPS:
                signal.signal(number, signal.SIG_IGN)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            self.look_after()  # if it has ended already
        except OSError as error:
            raise ProcessError(f"a second training process could not be started ({error.strerror}"
                               f"); set OPENBLAS_NUM_THREADS=1 to train with one") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __exit__(self, kind, error, trace):
        if self.rank:
            if error is not None:
                text = "".join(traceback.format_exception(error)).encode()[-MAIL:]
                self.last_words[:len(text)] = text
            os._exit(error is not None)
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)  # they hold nothing that would be lost
                os.waitpid(pid, 0)
        if self.optimizer is not None:
            self.optimizer.shards = None
        blas_threads(self.blas_before)

    # ------------------------------------------------------------ all-reduce and barrier

    def barrier(self):
        """Return when every process has called this as often as this one."""
        self.turn += 1
        with self.fence:
            self.turns[8 * self.rank] = self.turn
        for rank in range(self.size):
            looks = 0
            while self.turns[8 * rank] < self.turn:
                looks += 1
                if looks > SPIN:
                    self.look_after()
                    time.sleep(min(1e-5 * (looks - SPIN), 0.01))
        with self.fence:
            pass

    def look_after(self):
        """End if the first process has; ProcessError in the first if another has."""
        if self.rank:
            if os.getppid() != self.parent:
                os._exit(1)
            return
        for pid in self.pids:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.pids.remove(pid)
                words = bytes(self.last_words).rstrip(b"\0").decode(errors="replace")
                raise ProcessError("a process of the training group " + (
                    f"failed:\n{words}" if words else
                    f"was ended by signal {os.WTERMSIG(status)} (the system may be out of memory: "
                    f"with OPENBLAS_NUM_THREADS=1 one process trains; go on with --resume)"))

    def all_reduce(self, a):
        a = np.asarray(a)
        flat, out = np.ascontiguousarray(a).reshape(-1), np.empty(a.size, a.dtype)
        step = MAIL // a.itemsize
        for start in range(0, a.size, step):
            part = slice(start, min(start + step, a.size))
            # Two sets of mailboxes in turn: when the second is full, all have read the first.
            mail = [np.frombuffer(box, a.dtype, part.stop - start) for box in self.mailboxes[0]]
            self.mailboxes.reverse()
            mail[self.rank][:] = flat[part]
            self.barrier()
            out[part] = sum(mail[1:], mail[0])
        return out.reshape(a.shape)

    def reduce_gradients(self):
        others = [rank for rank in range(self.size) if rank != self.rank]
        for rank in others:
            for gradient, place in self.places(self.rank, rank):
                place[:] = gradient
        self.barrier()
        for rank in others:
            for gradient, place in self.places(rank, self.rank):
                gradient += place

    def places(self, sender, receiver):
        """[(gradient, its place in the sender's memory), ...] of the receiver's shard, flat."""
        for p, place, shard in zip(self.optimizer.parameters, self.gradients[sender],
                                   self.shards[receiver], strict=True):
            if p.grad is not None and shard.start < shard.stop:
                p.grad = np.asarray(p.grad, order="C")
                yield p.grad.reshape(-1)[shard], place.reshape(-1)[shard]


def start_group(size, optimizer=None):
    """A group of this size, or the one that MPI started."""
    if mpi.world():
        return mpi.MPIGroup(optimizer)
    return ForkedGroup(size, optimizer) if size > 1 else ProcessGroup()


def shards(parameters, size):
    """For each of `size` processes, the slice that it updates of each flattened parameter: of as
    many numbers, to one."""
    ends = np.cumsum([p.size for p in parameters]).tolist()
    cuts = [ends[-1] * rank // size for rank in range(size + 1)]
    return [[slice(*(min(max(0, cut - (end - p.size)), p.size) for cut in cuts[rank:rank + 2]))
             for p, end in zip(parameters, ends, strict=True)] for rank in range(size)]


def processes(batch_size):
    """How many processes to train with: as many as MPI started, or else one for each core, at least
    FEWEST images for each, 1 on a GPU. Several need Linux, to fork, and NumPy's own OpenBLAS, to
    set its threads; OPENBLAS_NUM_THREADS limits both."""
    if mpi.world():
        return mpi.world().size
    if xp.ndarray is not np.ndarray or sys.platform != "linux" or openblas() is None:
        return 1
    return max(1, min(cores(), MOST, batch_size // FEWEST))


def shared(a):
    """A copy of an array in memory that forked processes share."""
    copy = np.frombuffer(mmap.mmap(-1, max(1, a.nbytes)), a.dtype, a.size).reshape(a.shape)
    copy[...] = a
    return copy
