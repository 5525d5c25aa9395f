"""Time of one training step, of two or more checkouts of scratchnet, or one with a change to it.

    git worktree add /tmp/old COMMIT
    python -m benchmarks.versions /tmp/old .                       every model
    python -m benchmarks.versions . ".:import models; models.VQVAE.microbatch = 8"  a line first
    python -m benchmarks.versions . 2@.                            as 2 processes that MPI starts

Each side is a process of its own (with its group), which imports scratchnet from its checkout. They
take turns, as in benchmarks.compare. Printed: the median time of a step of the first side, and for
the others the median ratio to it, with its range, and the peak memory of each.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time

PROGRAM = """
import importlib, os, sys, time
sys.path.insert(0, os.getcwd())
import numpy as np
import benchmarks.compare as compare
model, lines = sys.argv[1:]
exec(lines)
step = compare.our_step(model, "numpy")
# "team" and "total" until commit f800e4e
group, done = getattr(step, "group", None) or step.team, 0
all_reduce = getattr(group, "all_reduce", None) or group.total
while True:
    count = int(sys.stdin.readline() or 0) if group.rank == 0 else 0
    if hasattr(group, "comm"):  # MPI's processes wait by looking all the time, at the others' cost
        begun = group.comm.Ibarrier()
        while not begun.Test():
            time.sleep(0.005)
    count = int(all_reduce(np.array(count)))
    if count == 0:
        break
    start = time.perf_counter()
    for _ in range(count):
        step(done)
        done += 1
    seconds = (time.perf_counter() - start) / count
    mb = float(all_reduce(np.array(compare.resident(os.getpid()))))
    if group.rank == 0:
        print(seconds, mb, flush=True)
group.__exit__(None, None, None)
"""


class Side:
    def __init__(self, where, model):
        self.where = where
        folder, _, line = where.partition(":")
        ranks, _, folder = folder.rpartition("@")
        by = ["mpiexec", "-n", ranks] if ranks else []
        self.process = subprocess.Popen([*by, sys.executable, "-c", PROGRAM, model, line],
                                        cwd=folder,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PYTHONPATH": ""})

    def run(self, count):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.where}: has ended; what it said is above")
        return tuple(map(float, answer.split()))


def main():
    from .compare import MODELS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="+", metavar="[N@]CHECKOUT[:LINE]")
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=9, help="(default: 9)")
    flags = parser.parse_args()
    for model in flags.model:
        setting = MODELS[model]
        sides = [Side(where, model) for where in flags.sides]
        for side in sides:
            side.run(max(1, setting.warm_up))
        found = [[side.run(setting.burst) for side in sides] for _ in range(flags.rounds)]
        for side in sides:
            side.process.stdin.close()
            side.process.wait()
        print(f"{model}: {statistics.median(r[0][0] for r in found) * 1e3:.2f} ms a step")
        for k, where in enumerate(flags.sides):
            ratios = [row[k][0] / row[0][0] for row in found]
            print(f"    {statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})  "
                  f"{found[-1][k][1]:5.0f} MB  {where}", flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
