"""Time of one training step and peak memory, ours and PyTorch's.

    python -m benchmarks.compare --model vae

Each side is a process of its own that trains on MNIST-sized batches. They take
turns, ours, PyTorch, ours, PyTorch, a burst of steps each, while the other sleeps:
this machine's speed changes from minute to minute, and the ratio of neighbours does
not. Printed: the median over rounds of the time of a step, the median of the rounds'
ratios, and the peak memory (resident set) of each process.

A step is: a batch from memory, noise, loss, gradients, Adam.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time

# model: (batch size, steps before the first burst). 2,500 steps make the optimiser's state as
# it is in a real run: moments decay into subnormal numbers if nothing stops them.
MODELS = {"vae": (128, 2500)}


def our_step(model, batch_size):
    import numpy as np

    from models import RECIPES
    from scratchnet import data, optim

    images, rng = images_like_mnist(), np.random.default_rng(0)
    recipe = RECIPES[model]
    net = recipe.build((28, 28, 1), rng, **recipe.sizes)
    adam = optim.Adam(net.parameters(), 1e-3)

    def step(i):
        at = i * batch_size % (len(images) - batch_size)
        loss, _ = net.loss(data.to_batch(images[at:at + batch_size]), rng)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()
    return step


def torch_step(model, batch_size, fused=False):
    import torch

    from .torch_models import TorchVAE

    images = torch.from_numpy(images_like_mnist())
    torch.manual_seed(0)
    net = TorchVAE(784, 400, 20)
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=fused)

    def step(i):
        at = i * batch_size % (len(images) - batch_size)
        x = images[at:at + batch_size].reshape(batch_size, -1).float() / 255
        loss = net.loss(x, torch.randn(batch_size, 20))
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()
    return step


def torch_fused_step(model, batch_size):
    return torch_step(model, batch_size, fused=True)


SIDES = {"scratchnet": our_step, "PyTorch": torch_step, "PyTorch, fused Adam": torch_fused_step}


def images_like_mnist():
    """Synthetic digits (N, 28, 28, 1), uint8: borders that are always 0, as MNIST's."""
    from scratchnet import data

    return data.synthetic_digits(train=4000, test=10).train_images


def worker(side, model, batch_size, pipe):
    """Run bursts of steps on request; send back seconds a step and peak memory in MB."""
    step = SIDES[side](model, batch_size)
    done = 0
    while (count := pipe.recv()) is not None:
        start = time.perf_counter()
        for _ in range(count):
            loss = step(done)
            done += 1
        seconds = (time.perf_counter() - start) / count
        pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, loss))


def compare(model, rounds, burst):
    """{side: (median seconds, ratio to PyTorch, (lowest, highest) ratio, peak MB)}."""
    batch_size, warm_up = MODELS[model]
    context = multiprocessing.get_context("spawn")
    pipes, times, memory = {}, {side: [] for side in SIDES}, {}
    for side in SIDES:
        pipes[side], theirs = context.Pipe()
        context.Process(target=worker, args=(side, model, batch_size, theirs), daemon=True).start()
        pipes[side].send(warm_up)
        pipes[side].recv()
    for _ in range(rounds):
        for side in SIDES:
            pipes[side].send(burst)
            seconds, memory[side], _ = pipes[side].recv()
            times[side].append(seconds)
    for pipe in pipes.values():
        pipe.send(None)
    result = {}
    for side in SIDES:
        ratios = [a / b for a, b in zip(times[side], times["PyTorch"], strict=True)]
        result[side] = (statistics.median(times[side]), statistics.median(ratios),
                        (min(ratios), max(ratios)), memory[side])
    return result


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), default="vae")
    parser.add_argument("--rounds", type=int, default=15, help="(default: 15)")
    parser.add_argument("--burst", type=int, default=100, help="steps in one turn (default: 100)")
    flags = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("benchmarks.compare: error: PyTorch is not installed: pip install torch==2.13.0")
    import numpy

    batch_size, warm_up = MODELS[flags.model]
    print(f"{flags.model}, batch {batch_size}; NumPy {numpy.__version__}, PyTorch "
          f"{torch.__version__} with {torch.get_num_threads()} threads; {flags.rounds} rounds of "
          f"{flags.burst} steps after {warm_up}")
    print(f"{'':20} {'ms a step':>10} {'ratio to PyTorch':>17} {'(range)':>15} {'peak MB':>9}")
    for side, (seconds, ratio, (low, high), mb) in compare(
            flags.model, flags.rounds, flags.burst).items():
        print(f"{side:20} {seconds * 1e3:10.2f} {ratio:17.2f} {f'({low:.2f}-{high:.2f})':>15} "
              f"{mb:9.0f}")


if __name__ == "__main__":
    main()
