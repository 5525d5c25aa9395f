"""How far more processes, and more machines, make a training step shorter: measured, and a model.

    OPENBLAS_NUM_THREADS=1 mpiexec -n 1 python -m benchmarks.machines --into machines.json
    mpiexec -n 2 python -m benchmarks.machines --into machines.json    (as many as there are cores)
    python -m benchmarks.machines --from machines.json --out machines.png

The first two measure: a step of every model with its batch, half of it, a quarter ...; and MPI's
Allreduce of 4 bytes to 16 MB. The last prints what was measured and what a model of a step says of
machines like this one, n of them, in a network that takes `latency` for a message and moves
`bandwidth` bytes a second:

    step(n)       =  fixed + image * batch / n + sum over the step's sums of allreduce(n, bytes)
    allreduce(n)  =  2 log2(n) latency + 2 (n - 1)/n bytes / bandwidth

fixed and image are fitted (least squares) to the steps measured with as many processes as a machine
has cores, so that what these exchange is in them. The second line is Rabenseifner's algorithm
(Thakur, Rabenseifner & Gropp 2005, section 4.4): halve and exchange, log2(n) times, and back. The
networks' numbers are assumed: see NETWORKS.
"""

import argparse
import json
import math
import os
import statistics
import time
from pathlib import Path

import numpy as np

from .compare import MODELS, our_step

NETWORKS = {"10 Gbit Ethernet": (25e-6, 1.1e9), "200 Gbit InfiniBand": (2e-6, 22e9)}  # assumed
PARTS = (1, 2, 4, 8)          # of the batch
MACHINES = [2 ** k for k in range(11)]
ENOUGH = 1.1                  # twice the machines are worth it if the step is that much shorter


def measure():
    """{"steps": {model: [[images, seconds], ...]}, "sums": {model: [bytes, ...]}, "allreduce":
    [[bytes, seconds], ...]} with the processes that MPI started."""
    from scratchnet.fast import mpi

    found = {"steps": {}, "sums": {}, "allreduce": []}
    for model, setting in MODELS.items():
        rows = []
        for part in PARTS:
            size = setting.batch_size // part
            step = our_step(model, "numpy", size)
            step(0)
            total, sums = step.team.total, []
            step.team.total = lambda a: sums.append(a.nbytes) or total(a)  # noqa: B023
            step(1)
            step.team.total = total
            times = []
            for i in range(3 + max(4, setting.burst)):
                step.team.wait()
                start = time.perf_counter()
                step(i)
                times.append(time.perf_counter() - start)
            step.team.__exit__(None, None, None)
            rows.append([size, statistics.median(times[3:])])
        found["steps"][model], found["sums"][model] = rows, sums
    for k in range(2, 25, 2):
        a = np.ones(2 ** k // 4, np.float32)
        out, times = np.empty_like(a), []
        for _ in range(30):
            mpi.world().Barrier()
            start = time.perf_counter()
            mpi.world().Allreduce(a, out)
            times.append(time.perf_counter() - start)
        found["allreduce"].append([a.nbytes, statistics.median(times)])
    return found


def fit(rows):
    """fixed, image: seconds a step = fixed + image * images, none of them below 0. Relative errors
    are what is squared: short steps count as much as long ones."""
    images, seconds = np.array(rows).T
    A = np.stack([np.ones_like(images), images], axis=1) / seconds[:, None]
    fixed, image = np.linalg.lstsq(A, np.ones_like(seconds), rcond=None)[0]
    return (0.0, float(np.mean(seconds / images))) if fixed < 0 else (float(fixed), float(image))


def allreduce(n, size, latency, bandwidth):
    return 2 * math.log2(n) * latency + 2 * (n - 1) / n * size / bandwidth


def step_time(n, fixed, image, batch, sums, network):
    return fixed + image * batch / n + sum(allreduce(n, size, *network) for size in sums)


def useful(times):
    """The number of machines up to which each doubling makes the step ENOUGH times shorter."""
    for n, one, two in zip(MACHINES, times, times[1:], strict=False):
        if one < ENOUGH * two:
            return n
    return MACHINES[-1]


def show(measured, path):
    ranks = sorted(map(int, measured))
    most = measured[str(ranks[-1])]
    print(f"Allreduce by {ranks[-1]} processes of this machine: " + ", ".join(
        f"{size:,} bytes {seconds * 1e6:.0f} us" for size, seconds in most["allreduce"][::3]))
    print(f"\n{'ms a step':18}" + "".join(f"{f'{n} process' + 'es' * (n > 1):>14}" for n in ranks)
          + f"{'strong':>9}{'weak':>9}    (times of one process's rate)")
    for model, setting in MODELS.items():
        steps = {n: dict(map(tuple, measured[str(n)]["steps"][model])) for n in ranks}
        batch, few, many = setting.batch_size, ranks[0], ranks[-1]
        whole = [steps[n][batch] for n in ranks]
        weak = many / few * steps[few][batch * few // many] / steps[many][batch]
        print(f"{model + ',':15}{batch:3}" + "".join(f"{t * 1e3:14.2f}" for t in whole)
              + f"{whole[0] / whole[-1]:9.2f}{weak:9.2f}")
    print(f"\n{'':18}{'fixed ms':>10}{'ms/image':>10}{'MB summed':>11}"
          + "".join(f"{name:>22}" for name in NETWORKS))
    curves = {}
    for model, setting in MODELS.items():
        fixed, image = fit(most["steps"][model])
        sums, ends = most["sums"][model], []
        for name, network in NETWORKS.items():
            times = [step_time(n, fixed, image, setting.batch_size, sums, network)
                     for n in MACHINES]
            curves[model, name] = [times[0] / t for t in times]
            n = useful(times)
            ends.append(f"{n} ({curves[model, name][MACHINES.index(n)]:.1f} x)")
        print(f"{model + ',':15}{setting.batch_size:3}{fixed * 1e3:10.2f}{image * 1e3:10.3f}"
              f"{sum(sums) / 1e6:11.2f}" + "".join(f"{end:>22}" for end in ends))
    if path:
        plot(curves, path)


def plot(curves, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(NETWORKS), figsize=(9, 3.6), sharey=True,
                                layout="constrained")
    for ax, name in zip(axes, NETWORKS, strict=True):
        ax.plot(MACHINES, MACHINES, ":", color="0.6")
        for k, model in enumerate(MODELS):
            ax.plot(MACHINES, curves[model, name], color=f"C{k}", label=model)
        ax.set(xscale="log", yscale="log", xlabel="machines", ylim=(0.5, 200), title=name)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0].set_ylabel("times the speed of one")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machines", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--into", metavar="FILE.json", help="measure, and add to what is there")
    what.add_argument("--from", metavar="FILE.json", dest="measured", help="show, and model")
    parser.add_argument("--out", metavar="FILE.png", help="draw the model, too")
    flags = parser.parse_args()
    if flags.measured:
        return show(json.loads(Path(flags.measured).read_text()), flags.out)
    from scratchnet.fast import mpi

    if mpi.world() is None:
        import mpi4py.MPI  # noqa: F401  one process: MPI is there when it is loaded
        mpi._world.clear()
    found = measure()
    if mpi.rank() == 0:
        path = Path(flags.into)
        before = json.loads(path.read_text()) if path.exists() else {}
        before[str(mpi.world().size)] = found
        part = path.with_suffix(".part")
        part.write_text(json.dumps(before))
        os.replace(part, path)


if __name__ == "__main__":
    main()
