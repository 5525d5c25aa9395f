"""Several processes that train one model together, each on its part of every batch.

All go through the same loop with the same random numbers, each takes a part of the batch (`part`),
and sums over the batch (`add_up`) and gradients (`add_gradients`) are added up. With L_r the mean
loss of the n_r images of process r,

    dL/dp  =  sum over r of  n_r/n  dL_r/dp

The same bits come of as many processes. Here is what all teams have in common, on top of one sum,
`total`. processes.py forks a team on one machine, mpi.py is one that MPI started, on one or on
many. A team of one does nothing: what a method returns for it is its plain meaning.
"""

import signal

import numpy as np

from ..backend import xp

STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


class Team:
    """size processes, of which this is number `rank`. All do what is inside `with team:`."""

    def __init__(self, size=1, rank=0, optimizer=None):
        self.size, self.rank, self.optimizer = size, rank, optimizer

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def part(self, n):
        """This process's slice of n images."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def total(self, a):
        """The sum over the team of one array from each process, all of one shape: the same bits in
        each process. Alone: a itself."""
        return a

    def agree(self, answer):
        """The first process's answer, True or False, in all of them."""
        return bool(self.total(np.array(answer and self.rank == 0, np.int8)))

    def add_up(self, sums):
        """{name: array}, this process's part of each sum -> the sums over the team."""
        if self.size == 1:
            return sums
        found = self.packed_total([xp.asarray(a) for a in sums.values()])
        return dict(zip(sums, found, strict=True))

    def add_gradients(self):
        """Replace each p.grad by its sum over the team, where this process updates p."""
        if self.size == 1:
            return
        graded = [p for p in self.optimizer.parameters if p.grad is not None]
        for p, total in zip(graded, self.packed_total([p.grad for p in graded]), strict=True):
            p.grad = total

    def packed_total(self, arrays):
        """[total(a), ...] of several arrays, as one: packed, added up, unpacked."""
        flat = self.total(xp.concatenate([a.reshape(-1) for a in arrays]))
        ends = np.cumsum([a.size for a in arrays])
        return [flat[end - a.size:end].reshape(a.shape)
                for end, a in zip(ends.tolist(), arrays, strict=True)]


ALONE = Team()
