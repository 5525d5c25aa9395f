"""How far more processes, and more machines, make a training step shorter: measured, and a model.

    OPENBLAS_NUM_THREADS=1 mpiexec -n 1 python -m mpi4py -m benchmarks.machines --into machines.json
    mpiexec -n 2 python -m mpi4py -m benchmarks.machines --into machines.json  (one for each core)
    python -m benchmarks.machines --from machines.json --out machines.png

The first two measure: a step of every model with its batch, half of it, a quarter, an eighth; MPI's
Allreduce of 4 bytes to 16 MB; and how fast a core adds. The last prints what was measured and what
a model of a step says of n machines like this one, of p processes each, in a network that takes
`latency` for a message and moves `bandwidth` bytes a second:

    step(n)       =  fixed + image * images + sum over the step's sums of allreduce(n, bytes)
    images        =  p * ceil(batch / (n p)),  p times those of the process that has most
    allreduce(n)  =  the shorter of
          log2(n) (latency + bytes / bandwidth + bytes * add)          (recursive doubling)
        2 log2(n)  latency + (n - 1)/n (2 bytes / bandwidth + bytes * add)   (Rabenseifner)

fixed and image are fitted (least squares) to the steps measured with the most processes, p of them;
so what these exchange within a machine is in them, mostly in fixed, and the network comes on top.
The two algorithms are those that MPICH chooses between (Thakur, Rabenseifner & Gropp 2005). add:
seconds to add a byte to another, measured. The networks' numbers are assumed: see NETWORKS. Nothing
overlaps; no machine waits for a slower one, and nobody else uses the network.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np

from scratchnet.runs.files import write_json

from .compare import MODELS, our_step

NETWORKS = {"10 Gbit Ethernet": (25e-6, 1.1e9), "200 Gbit InfiniBand": (2e-6, 22e9)}  # assumed
PARTS = (1, 2, 4, 8)          # of the batch
MACHINES = [2 ** k for k in range(8)]
ENOUGH = 1.1                  # twice the machines are worth it if the step is that much shorter
MANY = 64                     # machines, each with a whole batch


def measure():
    """{"steps": {model: [[images, seconds], ...]}, "sums": {model: [bytes, ...]}, "allreduce":
    [[bytes, seconds], ...], "add": seconds a byte} with the processes that MPI started. As in
    training, they agree after each step whether to stop."""
    from scratchnet.fast import mpi

    found = {"steps": {}, "sums": {}, "allreduce": []}
    for model, setting in MODELS.items():
        rows = []
        for part in PARTS:
            size = setting.batch_size // part
            step = our_step(model, "numpy", size)
            group = step.group
            step(0)
            sums = note_sums(group)
            step(1)
            group.agree(False)
            del group.all_reduce
            times = []
            for i in range(3 + max(4, setting.burst)):
                group.agree(False)
                start = time.perf_counter()
                step(i)
                group.agree(False)
                times.append(time.perf_counter() - start)
            group.__exit__(None, None, None)
            rows.append([size, statistics.median(times[3:])])
        found["steps"][model], found["sums"][model] = rows, sums
    for k in range(2, 25, 2):
        a = np.ones(2 ** k // 4, np.float32)
        out = np.empty_like(a)
        found["allreduce"].append([a.nbytes, timed(mpi.world().Allreduce, a, out)])
    found["add"] = timed(np.add, a, out, out) / a.nbytes
    return found


def note_sums(group):
    """The list into which the group from now on puts the bytes of each of its sums;
    `del group.all_reduce` ends it."""
    total, sums = group.all_reduce, []
    group.all_reduce = lambda a: sums.append(a.nbytes) or total(a)
    return sums


def timed(work, *arguments):
    """Seconds, the median of 30 times, which all processes begin together."""
    from scratchnet.fast import mpi

    times = []
    for _ in range(30):
        mpi.world().Barrier()
        start = time.perf_counter()
        work(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


# ---------------------------------------------------------------- the model of a step

def fit(rows):
    """fixed, image: seconds a step = fixed + image * images, none of them below 0. Relative errors
    are what is squared: short steps count as much as long ones."""
    images, seconds = np.array(rows).T
    A = np.stack([np.ones_like(images), images], axis=1) / seconds[:, None]
    fixed, image = np.linalg.lstsq(A, np.ones_like(seconds), rcond=None)[0]
    if fixed < 0 or image < 0:  # the best is at the border: one of them alone
        alone = A.sum(axis=0) / (A * A).sum(axis=0)
        fixed, image = alone * (1, 0) if image < 0 else alone * (0, 1)
    return float(fixed), float(image)


def largest_error(rows, fixed, image):
    """Of the fitted times, as a part of the measured ones."""
    return max(abs(fixed + image * images - seconds) / seconds for images, seconds in rows)


def allreduce(n, size, latency, bandwidth, add):
    """Seconds for the sum of `size` bytes from each of n machines; 0 for one."""
    doubling = math.log2(n) * (latency + size / bandwidth + size * add)
    rabenseifner = 2 * math.log2(n) * latency + (n - 1) / n * size * (2 / bandwidth + add)
    return min(doubling, rabenseifner)


def step_time(n, p, fixed, image, batch, sums, network, add):
    """Seconds for a step on a batch by n machines of p processes."""
    images = p * math.ceil(batch / (n * p))
    return fixed + image * images + sum(allreduce(n, size, *network, add) for size in sums)


def useful(times):
    """The number of machines up to which each doubling makes the step ENOUGH times shorter."""
    for n, one, two in zip(MACHINES, times, times[1:], strict=False):
        if one < ENOUGH * two:
            return n
    return MACHINES[-1]


def show(measured, path):
    ranks = sorted(map(int, measured))
    few, many = ranks[0], ranks[-1]
    most = measured[str(many)]
    print(f"Allreduce by {many} processes of this machine: " + ", ".join(
        f"{size:,} bytes {seconds * 1e6:.0f} us" for size, seconds in most["allreduce"][::3])
        + f"; a core adds {1e-9 / most['add']:.1f} GB/s")
    print(f"\nMeasured. strong: same batch, times the speed of {few}; weak: {many // few} times "
          f"the batch of {few}, times the images a second")
    print(f"{'ms a step':18}" + "".join(f"{f'{n} process' + 'es' * (n > 1):>14}" for n in ranks)
          + f"{'strong':>9}{'weak':>9}")
    for model, setting in MODELS.items():
        steps = {n: dict(map(tuple, measured[str(n)]["steps"][model])) for n in ranks}
        batch = setting.batch_size
        whole, part = [steps[n][batch] for n in ranks], steps[few].get(batch * few / many)
        weak = f"{many / few * part / whole[-1]:9.2f}" if part else f"{'':9}"
        print(f"{model + ',':15}{batch:3}" + "".join(f"{t * 1e3:14.2f}" for t in whole)
              + f"{whole[0] / whole[-1]:9.2f}{weak}")
    print(f"\nThe model. to: with the same batch, up to how many machines each doubling makes the "
          f"step {ENOUGH} times\nshorter, and how many times the speed of one they have; weak: the "
          f"part of {MANY} times the images a second\nthat {MANY} machines reach with a batch for "
          f"each")
    print(f"{'':56}" + "".join(f"{name:>23}" for name in NETWORKS))
    print(f"{'':18}{'fixed ms':>10}{'ms/image':>10}{'off by':>8}{'MB summed':>10}"
          + f"{'to':>14}{'weak':>9}" * len(NETWORKS))
    curves = {}
    for model, setting in MODELS.items():
        rows, sums, batch = most["steps"][model], most["sums"][model], setting.batch_size
        fixed, image = fit(rows)
        line = (f"{model + ',':15}{batch:3}{fixed * 1e3:10.2f}{image * 1e3:10.3f}"
                f"{largest_error(rows, fixed, image):8.0%}{sum(sums) / 1e6:10.2f}")
        for name, network in NETWORKS.items():
            def on(n, batch):
                return step_time(n, many, fixed, image, batch, sums, network, most["add"])  # noqa: B023
            times = [on(n, batch) for n in MACHINES]
            curves[model, name] = [times[0] / t for t in times]
            n = useful(times)
            end = f"{n} ({curves[model, name][MACHINES.index(n)]:.1f} x)"
            line += f"{end:>14}{times[0] / on(MANY, MANY * batch):9.0%}"
        print(line)
    if path:
        plot(curves, path)


def plot(curves, path):
    """Solid up to as few images for a process as were measured, dashed beyond."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(NETWORKS), figsize=(9, 3.8), sharey=True,
                                layout="constrained")
    end = MACHINES.index(PARTS[-1]) + 1
    for ax, name in zip(axes, NETWORKS, strict=True):
        ax.plot(MACHINES, MACHINES, ":", color="0.6", label="ideal")
        for k, model in enumerate(MODELS):
            curve = curves[model, name]
            ax.plot(MACHINES[:end], curve[:end], color=f"C{k}", label=model)
            ax.plot(MACHINES[end - 1:], curve[end - 1:], "--", color=f"C{k}")
        ax.set(xscale="log", yscale="log", xlabel="machines", ylim=(0.5, 50), title=name)
        for axis, ticks in ((ax.xaxis, MACHINES), (ax.yaxis, (0.5, 1, 2, 5, 10, 20, 50))):
            axis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
            axis.set_minor_locator(matplotlib.ticker.NullLocator())
            axis.set_major_formatter("{x:g}")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0].set_ylabel("times the speed of one, same batch")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machines", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--into", metavar="FILE.json", help="measure, and add to what is there")
    what.add_argument("--from", metavar="FILE.json", dest="measured", help="show, and model")
    parser.add_argument("--out", metavar="FILE.png", help="draw the model, too")
    flags = parser.parse_args()
    if flags.measured:
        measured = json.loads(Path(flags.measured).read_text())
        if max(map(int, measured)) < 2:
            parser.error("one process sums nothing up: measure with two or more, too")
        return show(measured, flags.out)
    from scratchnet.fast import mpi

    if mpi.world() is None:
        parser.error("--into: start it with mpiexec and python -m mpi4py, also for one process")
    found = measure()
    if mpi.rank() == 0:
        path = Path(flags.into)
        before = json.loads(path.read_text()) if path.exists() else {}
        before[str(mpi.world().size)] = found
        write_json(path, before)


if __name__ == "__main__":
    main()
