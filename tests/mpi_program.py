"""Train small models; the first process keeps what came of it. For tests/test_mpi.py, by mpiexec:

    python -m mpi4py tests/mpi_program.py FILE.npz LIBRARY NAME ...
"""

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import numpy as np
import strict
from test_backend import MODELS, build, dataset_for

from models import moving_codes
from scratchnet import optim
from scratchnet.fast import mpi
from scratchnet.runs import log as runs_log
from scratchnet.runs import train as runs_train

FLAGS = SimpleNamespace(epochs=None, steps=5, batch_size=13, lr=1e-3, schedule="cosine", seed=1,
                        binarize="none", flip=False)
# {name: (script, model, its sizes)}: every model, and what a flag makes of one
CASES = {f"{script}-{model}": (script, model, {}) for script, model in MODELS} | {
    "mixture": ("cifar", "pixelcnn", {"mixture": 2}),
    "conditional mixture": ("mnist", "gated-pixelcnn", {"mixture": 2, "levels": 4}),
    "unconditional": ("mnist", "gated-pixelcnn", {"conditional": False}),
    "gaussian": ("mnist", "vae", {"likelihood": "gaussian", "warmup": 9}),
    "map": ("mnist", "conv-vae", {"latent": "map", "residual": 1}),
    "gradient": ("mnist", "vqvae", {"codebook": "gradient"}),
    "restarts": ("mnist", "vqvae", {"restart_below": 0.9})}


def trained(script, model, sizes):
    """{name: array} of 5 steps on 40 images: losses, test figures, weights, optimiser's state with
    running means of the weights. The last batch of an epoch is a single image."""
    runs_log.TRACE_EVERY, moving_codes.RESTART_EVERY = 1, 2
    dataset = dataset_for(script, model)
    net, _ = build(script, model, dataset, **sizes)
    adam = optim.Adam(net.parameters(), FLAGS.lr, average=0.9)
    with tempfile.TemporaryDirectory() as folder:
        log, _ = runs_train.train(net, adam, dataset, FLAGS, folder, quiet=True)
    rows = {"trace": log.trace, "test": [{n: v for n, v in log.history[-1].items()
                                          if n != "seconds"}]}
    return {**{f"{what}.{n}": np.array([row[n] for row in found]) for what, found in rows.items()
               for n in found[0]},
            **{f"model.{n}": a for n, a in net.state_dict().items()},
            **{f"adam.{n}": a for n, a in adam.state_dict().items()}}


def main(path, library, *names):
    if library == "strict":
        strict.use()
    found = {}
    for name in names:
        arrays = trained(*CASES[name])
        found.update({f"{name}/{n}": a for n, a in arrays.items()})
        if mpi.world() is not None:  # the weights must not drift apart
            mine = b"".join(a.tobytes() for n, a in sorted(arrays.items()) if "model." in n)
            assert mpi.world().bcast(mine) == mine, f"{name}: the processes have other weights"
    if mpi.rank() == 0:
        np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
