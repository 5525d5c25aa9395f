"""Train small models; the first process keeps what came of it. For tests/test_mpi.py, by mpiexec:

    python -m mpi4py tests/mpi_program.py FILE.npz LIBRARY NAME ...
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import numpy as np
import strict
from small_runs import trained

from scratchnet.fast import mpi


def main(path, library, *names):
    if library == "strict":
        strict.use()
    found = {}
    for name in names:
        arrays = trained(name)
        found.update({f"{name}/{n}": a for n, a in arrays.items()})
        if mpi.world() is not None:  # the weights must not drift apart
            mine = b"".join(a.tobytes() for n, a in sorted(arrays.items()) if "model." in n)
            assert mpi.world().bcast(mine) == mine, f"{name}: the processes have other weights"
    if mpi.rank() == 0:
        np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
