"""A team whose processes MPI started, on one machine or on many:

    pip install -r requirements-mpi.txt
    mpiexec -n 4 python -m mpi4py train_mnist.py --model vae
    mpiexec -n 8 --hostfile hosts python -m mpi4py train_mnist.py --model vae --backend cupy

Each process has the whole model, and makes the same update with the same sums (as in ChainerMN,
Akiba et al. 2017, 1710.11351: pack, allreduce, unpack). Only the first one, rank 0, reads the data
and the run, writes, draws and prints; it hands to the others what they need.

mpi4py is imported only in a process that an MPI launcher started.
"""

import contextlib
import os
import signal
import sys
import time

import numpy as np

from ..backend import to_numpy, xp
from ..errors import TeamError, in_brief
from .blas import blas_threads, cores, openblas
from .team import STOPS, Team

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # what Open MPI, and MPICH and its kin, say
RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
_world = []
FIRST_SPEAKS = 1.0  # seconds for the first process to say what all of them found wrong
LAST_LEAVES = 0.2   # seconds for the others to end first, and for the launcher to pass words on


def world():
    """The communicator of all processes that MPI started, or None if it started none: neither a
    launcher of several nor `python -m mpi4py` was used. Raises TeamError, once, if mpi4py cannot be
    loaded, or knows nothing of the others."""
    if not _world:
        _world.append(None)
        _world[0] = find_world()
    return _world[0]


def find_world():
    several = any(os.environ.get(name, "1") != "1" for name in SIZES)
    if "mpi4py.run" not in sys.modules and not several:
        return None
    try:
        from mpi4py import MPI
    except Exception as error:  # mpi4py, or the MPI library under it, is missing or broken
        trouble = (f"mpi4py cannot be loaded ({in_brief(error)}); install it with  pip install -r "
                   f"requirements-mpi.txt, or start one without mpiexec")
    else:
        if MPI.COMM_WORLD.size > 1 or not several:
            return MPI.COMM_WORLD
        trouble = ("for mpi4py each is alone: mpiexec belongs to another MPI than mpi4py's; start "
                   "them with that one's (pip puts it beside python)")
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        sys.exit(2)  # the first process says it
    raise TeamError(f"mpiexec started several processes, but {trouble}")


class MPITeam(Team):
    """All processes that MPI started. A sum goes through the host: copying from the GPU waits for
    what computes it. With SCRATCHNET_CUDA_AWARE=1 MPI reads and writes the GPU's own memory, where
    it can."""

    def __init__(self, optimizer=None):
        self.comm = world()
        super().__init__(self.comm.size, self.comm.rank, optimizer)
        self.direct = os.environ.get("SCRATCHNET_CUDA_AWARE") == "1"

    def __enter__(self):
        """Share the cores of each machine among its processes: those of BLAS's threads that are
        bound to the same cores, as a launcher may have bound them."""
        from mpi4py import MPI

        self.blas_before = None
        if openblas() is not None and hasattr(os, "sched_getaffinity"):
            mine = os.sched_getaffinity(0)
            here = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
            sharing = sum(mine == other for other in here.allgather(mine))
            here.Free()
            self.blas_before = blas_threads(max(1, cores() // sharing))
        return self

    def __exit__(self, kind, error, trace):
        if self.blas_before is not None:
            blas_threads(self.blas_before)

    def wait(self):
        self.comm.Barrier()

    def total(self, a):
        if self.size == 1:
            return a
        on_host = isinstance(a, (np.ndarray, np.generic))
        if self.direct and not on_host:
            mine, out = xp.ascontiguousarray(a), xp.empty_like(a, order="C")
            xp.cuda.get_current_stream().synchronize()  # MPI knows nothing of streams
            self.comm.Allreduce(mine, out)
            return out
        mine = np.ascontiguousarray(to_numpy(a)).reshape(a.shape)
        out = np.empty_like(mine)
        self.comm.Allreduce(mine, out)
        return out if on_host else xp.asarray(out)


# ---------------------------------------------------------------- what the first process does alone

def rank():
    """The number of this process; 0 without MPI."""
    return 0 if world() is None else world().rank


def number_here():
    """Which of its machine's processes this one is; so it has a GPU for itself, where there are as
    many."""
    if world() is None:
        return 0
    from mpi4py import MPI

    here = world().Split_type(MPI.COMM_TYPE_SHARED)
    number = here.rank
    here.Free()
    return number


def alone():
    """Whether MPI started no processes beside this one."""
    return world() is None or world().size == 1


def from_first(work, *arguments):
    """work(*arguments), done by the first process, in all of them. If it raises, the first one does
    so too, and the others end quietly."""
    if world() is None:
        return work(*arguments)
    found = error = None
    if rank() == 0:
        try:
            found = work(*arguments)
        except BaseException as raised:
            error = raised
            error.told = True
    found, failed = world().bcast((found, error is not None))
    if error is not None:
        raise error
    if failed:
        sys.exit(0)
    return found


def as_in_first(*owners):
    """Give what has a state_dict (a model, an optimiser) the state that it has in the first."""
    if world() is not None:
        for owner in owners:
            state = world().bcast(owner.state_dict() if rank() == 0 else None)
            if rank():
                owner.load_state_dict(state)


@contextlib.contextmanager
def first_speaks():
    """Inside, the other processes say nothing and leave signals to the first. At the end they wait
    for it, without using a core: it may be drawing pictures."""
    if world() is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        if rank():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
            for number in STOPS:
                signal.signal(number, signal.SIG_IGN)
        yield
    done = world().Ibarrier()
    while not done.Test():
        time.sleep(0.02)


def end_all(error, tell, code):
    """After an error in this process: tell() what it was, and end all. What all of them find wrong
    is said once; what went wrong in from_first has ended the others already."""
    if world() is None or getattr(error, "told", False):
        tell("")
        return
    if rank():
        time.sleep(FIRST_SPEAKS)
    tell(f" (process {rank()} of {world().size})" if rank() else "")
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(LAST_LEAVES)
    world().Abort(code)


def leave(code):
    """The exit code. `python -m mpi4py` takes any but 0 for a failure of this process alone, ends
    all and complains; so with such a code a process of several ends here, as the last of them."""
    if world() is not None and code:
        from mpi4py import MPI

        sys.stdout.flush()
        sys.stderr.flush()
        is_first = rank() == 0
        MPI.Finalize()
        time.sleep(LAST_LEAVES * is_first)
        os._exit(code)
    return code
