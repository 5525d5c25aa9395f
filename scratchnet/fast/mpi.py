"""A process group that MPI started: mpiexec -n 8 python -m mpi4py train_mnist.py --model vae

Each reads flags, data and checkpoint itself, has the whole model (same seeds, same weights), and
updates it with the same sums (pack, allreduce, unpack, as in ChainerMN: Akiba et al. 2017,
1710.11351). Only rank 0 writes, draws and prints. Without a launcher mpi4py is not imported.
"""

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from functools import cache

import numpy as np

from ..backend import to_numpy, xp
from ..errors import ProcessError, in_brief
from .blas import blas_threads, cores, openblas
from .group import STOPS, ProcessGroup

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # what Open MPI, and MPICH and its kin, say
RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
PATIENCE = 1.0  # seconds for the others to fail, too, before a process that failed ends them


@cache
def world():
    """The communicator of all processes that MPI started, or None: neither a launcher of several
    nor `python -m mpi4py` was used. Where mpi4py does not know those that were, all end here."""
    several = any(os.environ.get(name, "1") != "1" for name in SIZES)
    if "mpi4py.run" not in sys.modules and not several:
        return None
    try:
        from mpi4py import MPI
        if MPI.COMM_WORLD.size > 1 or not several:
            return MPI.COMM_WORLD
        trouble = "mpiexec is of another MPI than mpi4py; take that one's (pip's is beside python)"
    except Exception as error:  # mpi4py, or the MPI library under it, is missing or broken
        trouble = f"mpi4py does not load ({in_brief(error)}): pip install mpi4py mpich"
    if all(os.environ.get(name, "0") == "0" for name in RANKS):  # one says it for all
        print(f"error: {trouble}", file=sys.stderr)
    sys.exit(2)


def rank():
    """The number of this process; 0 without MPI."""
    return world().rank if world() else 0


@cache
def machine():
    """The communicator of the processes on this machine."""
    from mpi4py import MPI
    return world().Split_type(MPI.COMM_TYPE_SHARED)


def gpu():
    """The number of this process's GPU: one for itself, where its machine has as many."""
    return machine().rank if world() else 0


@cache
def share_cores():
    """For good, give BLAS a thread for each core: this process's part of those it shares. With
    more, threads wait for each other's cores: a prior's codes took five minutes, not seconds."""
    if openblas() is not None and hasattr(os, "sched_getaffinity"):
        mine = os.sched_getaffinity(0)
        blas_threads(max(1, cores() // machine().allgather(mine).count(mine)))


class MPIGroup(ProcessGroup):
    """A sum goes through the host: copying from the GPU waits for what computes it."""

    def __init__(self, optimizer=None):
        self.comm = world()
        super().__init__(self.comm.size, self.comm.rank, optimizer)

    def __enter__(self):
        share_cores()
        return self

    def all_reduce(self, a):
        mine = np.asarray(to_numpy(a), order="C")
        out = np.empty_like(mine)
        self.comm.Allreduce(mine, out)
        return out if isinstance(a, (np.ndarray, np.generic)) else xp.asarray(out)


def check_same(*what):
    """Raise ProcessError in each process in which this is not what it is in the first."""
    if world() and world().bcast(what) != what:
        raise ProcessError("data, run or flags are not those of the first process: copy those here")


def as_one(work, *arguments):
    """The exit code of work(*arguments), done by all processes that MPI started as one program.
    Those above rank 0 are quiet and leave signals to it; in the end each waits for the others. What
    all find wrong, rank 0 says; a process that fails alone says it itself, and ends all."""
    if world() is None:
        return work(*arguments)
    from mpi4py import MPI
    comm, out, err = world().Dup(), sys.stdout, sys.stderr
    share_cores()
    if comm.rank:
        out, err = io.StringIO(), io.StringIO()
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = work(*arguments)
        except Exception:
            traceback.print_exc()
            code = 1
    ended, since = comm.Ibarrier(), time.monotonic()
    while not ended.Test():
        if code and time.monotonic() - since > PATIENCE:
            if comm.rank:
                print(f"process {comm.rank} of {comm.size}: {err.getvalue()}", file=sys.stderr)
            time.sleep(0.2)  # in which the launcher hands the words on
            comm.Abort(code)
        time.sleep(0.02)
    MPI.Finalize()  # for `python -m mpi4py` any code but 0 is a failure of one alone
    return code
