"""A process group: several processes that train one model together, each on its shard of a batch.

All go through the same loop with the same random numbers; metrics and gradients are summed over the
group (an all-reduce). With L_r the mean loss of the n_r images of process r,

    dL/dp  =  sum over r of  n_r/n  dL_r/dp

As many processes give the same bits. Here is what all groups have in common, on top of one
`all_reduce`: processes.py forks a group on one machine, mpi.py is one that MPI started, on one or
many. A group of one does nothing: what a method returns for it is its plain meaning.
"""

import signal

import numpy as np

from ..backend import xp

STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


class ProcessGroup:
    """size processes, of which this is number `rank`. All do what is inside `with group:`."""

    def __init__(self, size=1, rank=0, optimizer=None):
        self.size, self.rank, self.optimizer = size, rank, optimizer

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def shard(self, n):
        """This process's slice of n images."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def all_reduce(self, a):
        """The sum over the group of one array from each process, all of one shape: the same bits in
        each process. Alone: a itself."""
        return a

    def agree(self, answer):
        """The first process's answer, True or False, in all of them."""
        return bool(self.all_reduce(np.array(answer and self.rank == 0, np.int8)))

    def reduce_metrics(self, means):
        """{name: array}, this process's part of each mean -> the means over the batch."""
        if self.size == 1:
            return means
        return dict(zip(means, self.all_reduce_packed(list(means.values())), strict=True))

    def reduce_gradients(self):
        """Replace each p.grad by its sum over the group, where this process updates p."""
        if self.size == 1:
            return
        graded = [p for p in self.optimizer.parameters if p.grad is not None]
        for p, g in zip(graded, self.all_reduce_packed([p.grad for p in graded]), strict=True):
            p.grad = g

    def all_reduce_packed(self, arrays):
        """[all_reduce(a), ...] of several arrays, as one: packed, summed, unpacked."""
        arrays = [xp.asarray(a) for a in arrays]
        flat = self.all_reduce(xp.concatenate([a.reshape(-1) for a in arrays]))
        ends = np.cumsum([a.size for a in arrays])
        return [flat[end - a.size:end].reshape(a.shape)
                for end, a in zip(ends.tolist(), arrays, strict=True)]


ALONE = ProcessGroup()
