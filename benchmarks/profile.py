"""Where the time of one training step goes: the CIFAR-10 VQ-VAE, batch 128.

    python -m benchmarks.profile

The functions that do the work are wrapped with clocks; each one's time is without that of those it
calls. Before and after every few steps the rate of a large matrix product, 2048^3, is measured, in
as many processes at once as train: the last column is the time as a share of what the step's
products alone would take at that rate.
"""

import argparse
import statistics
import time
from collections import defaultdict

import numpy as np

from .compare import MODELS, our_step


class Clocks:
    """Seconds and calls by label, multiplications and additions in matrix products."""

    def __init__(self):
        self.seconds, self.calls = defaultdict(float), defaultdict(int)
        self.flops, self.inner = 0, []

    def wrap(self, place, name, label, flops=None):
        """Replace place.name by itself with a clock."""
        fn = getattr(place, name)
        def timed(*arguments, **named):
            if flops and "product" not in (open_label for open_label, _ in self.inner):
                self.flops += flops(*arguments)
            self.inner.append([label, 0.0])
            start = time.perf_counter()
            try:
                return fn(*arguments, **named)
            finally:
                seconds = time.perf_counter() - start
                self.seconds[label] += seconds - self.inner.pop()[1]
                self.calls[label] += 1
                if self.inner:
                    self.inner[-1][1] += seconds
        setattr(place, name, timed)


def wrap_all(clocks):
    """Clocks on everything that takes time in a step."""
    from models.vqvae import VQVAE
    from scratchnet import conv, ops, optim, tensor
    from scratchnet.backend import xp
    from scratchnet.fast import products
    from scratchnet.fast.processes import ForkedGroup

    def flops(a, b, *rest):
        return 2 * a.size * b.shape[-1]
    xp.matmul  # noqa: B018  looked up once, so that it is an attribute to replace
    for place, names, label, count in (
            (products, ["matmul"], "product", flops), (xp, ["matmul"], "product", flops),
            (products, ["gather"], "gather", None), (products, ["scatter"], "scatter", None),
            (ops, ["relu"], "ReLU, forward", None),
            (conv, ["column_sum"], "gradients of biases", None),
            (conv, ["gather_matmul", "matmul_scatter", "gather_t_matmul"],
             "around the products (blocks, bias, sums)", None),
            (ops, ["nearest_code"], "nearest codes", None),
            (VQVAE, ["prepare", "update"], "the codebook's placing and running means", None),
            (VQVAE, ["loss"], "forward, all else", None),
            (tensor.Tensor, ["backward"], "backward, all else (ReLU, residual sums, tape)", None),
            (optim.Optimizer, ["step"], "Adam", None),
            (ForkedGroup, ["barrier"], "waiting for the other process", None),
            (ForkedGroup, ["reduce_gradients"], "adding up gradients of the processes", None)):
        for name in names:
            clocks.wrap(place, name, label, count)


def product_rate(group):
    """Floating-point operations a second of 2048^3 in each process, all at once."""
    a = np.ones((2048, 2048), np.float32)
    out = np.empty_like(a)
    group.agree(False)
    start = time.perf_counter()
    for _ in range(2):
        np.matmul(a, a, out=out)
    return 2 * 2 * 2048 ** 3 / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="(default: 10)")
    flags = parser.parse_args()
    step, clocks = our_step("vqvae", "numpy"), Clocks()
    wrap_all(clocks)
    group, burst = step.group, MODELS["vqvae"].burst
    for i in range(burst):
        step(i)
    rates, rounds = [], []
    for _ in range(flags.rounds):
        rates.append(product_rate(group))
        clocks.seconds.clear()
        clocks.calls.clear()
        clocks.flops, start = 0, time.perf_counter()
        for i in range(burst):
            step(i)
        seconds = (time.perf_counter() - start) / burst
        rounds.append((seconds, {n: s / burst for n, s in clocks.seconds.items()}))
    if group.rank == 0:
        show(group, clocks, rounds, rates, burst)
    group.__exit__(None, None, None)


def show(group, clocks, rounds, rates, burst):
    total = statistics.median(s for s, _ in rounds)
    rate = statistics.median(rates)
    limit = clocks.flops / burst / rate
    print(f"VQ-VAE, batch {MODELS['vqvae'].batch_size}: {total * 1e3:.1f} ms a step in each of "
          f"{group.size} processes\n2048^3: {rate / 1e9:.0f} GFLOP/s in each process; the step's "
          f"{clocks.flops / burst / 1e9:.2f} GFLOP would take {limit * 1e3:.1f} ms at that rate\n")
    print(f"{'':50}{'ms':>8}{'of the step':>13}{'calls':>7}{'of the limit':>14}")
    means = {n: statistics.median(r.get(n, 0.0) for _, r in rounds) for n in rounds[-1][1]}
    means["the rest"] = total - sum(means.values())
    for name, seconds in sorted(means.items(), key=lambda item: -item[1]):
        print(f"{name:50}{seconds * 1e3:8.1f}{seconds / total:13.0%}"
              f"{clocks.calls[name] // burst or '':>7}{seconds / limit:14.0%}")


if __name__ == "__main__":
    main()
