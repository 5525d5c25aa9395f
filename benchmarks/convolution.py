"""One convolution at a time against PyTorch: forward, and each gradient, as ratios of time.

    python -m benchmarks.convolution

The layers of the CIFAR-10 VQ-VAE and the MNIST conv-VAE, batch 128. The sides are processes
that take turns (benchmarks.compare). "limit" is the share of the time of scratchnet's forward
pass that the matrix product alone would take at this machine's rate for a large one.
"""

import argparse
import statistics
import time

from .compare import ratio, take_turns

# name: (transposed, H, C_in, C_out, kernel, stride, padding)
LAYERS = {
    "4x4 s2, 3 -> 64, 32x32": (False, 32, 3, 64, 4, 2, 1),
    "4x4 s2, 64 -> 128, 16x16": (False, 16, 64, 128, 4, 2, 1),
    "3x3, 128 -> 128, 8x8": (False, 8, 128, 128, 3, 1, 1),
    "3x3, 128 -> 32, 8x8": (False, 8, 128, 32, 3, 1, 1),
    "1x1, 32 -> 128, 8x8": (False, 8, 32, 128, 1, 1, 0),
    "transposed 4x4 s2, 128 -> 64, 8x8": (True, 8, 128, 64, 4, 2, 1),
    "transposed 4x4 s2, 64 -> 3, 16x16": (True, 16, 64, 3, 4, 2, 1),
    "3x3 s2, 1 -> 32, 28x28": (False, 28, 1, 32, 3, 2, 1),
    "3x3 s2, 32 -> 64, 14x14": (False, 14, 32, 64, 3, 2, 1),
    "3x3, 32 -> 1, 28x28": (False, 28, 32, 1, 3, 1, 1),
}
PARTS = ("forward", "dx", "dw")
BATCH = 128


def our_step(layer, part):
    import numpy as np

    from scratchnet import Tensor, conv, no_grad
    from scratchnet.fast import processes as parallel

    transposed, H, c_in, c_out, k, s, p = LAYERS[layer]
    rng = np.random.default_rng(0)
    def new(*shape): return rng.standard_normal(shape, dtype=np.float32)
    op = conv.conv_transpose2d if transposed else conv.conv2d
    group = parallel.start_group(parallel.processes(BATCH)).__enter__()
    images = group.shard(BATCH)
    x = Tensor(new(BATCH, H, H, c_in)[images], requires_grad=part == "dx")
    w = Tensor(new(k, k, *((c_out, c_in) if transposed else (c_in, c_out))),
               requires_grad=part == "dw")
    with no_grad():
        g = new(*op(x, w, None, s, p).shape)

    def step(i):
        if part == "forward":
            with no_grad():
                op(x, w, None, s, p)
        else:
            derivative(g)
        group.agree(False)

    if part != "forward":
        (_, derivative), = op(x, w, None, s, p).node.edges
    step.group = group
    return step


def torch_step(layer, part):
    import torch

    transposed, H, c_in, c_out, k, s, p = LAYERS[layer]
    x = torch.randn(BATCH, c_in, H, H)
    w = torch.randn(*((c_in, c_out) if transposed else (c_out, c_in)), k, k)
    def run(): return torch.convolution(x, w, None, (s, s), (p, p), (1, 1), transposed, (0, 0), 1)
    with torch.no_grad():
        g = torch.randn_like(run())
    mask = [part == "dx", part == "dw", False]

    def step(i):
        with torch.no_grad():
            if part == "forward":
                return run()
            return torch.ops.aten.convolution_backward(g, x, w, None, (s, s), (p, p), (1, 1),
                                                       transposed, (0, 0), 1, mask)
    return step


def flops(layer):
    """Multiplications and additions of one pass; the same for forward, dx and dw."""
    transposed, H, c_in, c_out, k, s, p = LAYERS[layer]
    positions = H * H if transposed else ((H + 2 * p - k) // s + 1) ** 2
    return 2 * BATCH * positions * k * k * c_in * c_out


def rate():
    """Floating-point operations a second of NumPy's matrix product at 2048^3."""
    import numpy as np

    a = np.ones((2048, 2048), np.float32)
    a @ a
    start = time.perf_counter()
    for _ in range(5):
        a @ a
    return 5 * 2 * 2048 ** 3 / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convolution", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    flags = parser.parse_args()
    print(f"{'ratio to PyTorch (ours in ms)':36}" + "".join(f"{p:>17}" for p in PARTS)
          + f"{'limit':>8}")
    limit = 0
    for layer in LAYERS:
        limit = max(limit, rate())  # the machine's best so far: a busy moment is no limit
        cells = ""
        for part in PARTS:
            sides = {"scratchnet": our_step, "PyTorch": torch_step}
            result = take_turns(sides, (layer, part), flags.rounds, burst=5, warm_up=3)
            times, theirs = (result[side][0] for side in sides)
            seconds = statistics.median(times)
            cells += f"{ratio(times, theirs)[0]:9.2f} {f'({seconds * 1e3:.1f})':>7}"
            if part == "forward":
                share = flops(layer) / limit / seconds
        print(f"{layer:36}{cells}{share:8.0%}", flush=True)
    print(f"matrix product, 2048^3: {limit / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
