"""Time of one training step and peak memory, ours and PyTorch's.

    python -m benchmarks.compare                 every model
    python -m benchmarks.compare --model vae     one
    python -m benchmarks.compare --backend cupy  on a GPU, against PyTorch with cuDNN
    python -m benchmarks.compare --alone         ours only: needs no PyTorch

Each side is a process of its own that trains on MNIST-sized batches. They take
turns, ours, PyTorch, ours, PyTorch, a burst of steps each, while the other sleeps:
this machine's speed changes from minute to minute, and the ratio of neighbours does
not. Printed: the median over rounds of the time of a step, the median of the rounds' ratios of ours
to each side, and the peak memory of each (resident set, libraries included, of all processes that
it trains with, with what they share counted once; on a GPU, of the memory pool).

A step is: a batch from memory, noise, loss, gradients, Adam (and the codebook's running means).
PyTorch runs eagerly, in its default layout, and in the variant that is its fastest here. On a GPU
both sides multiply in float32, or with --tf32 both in TF32, convolutions too (PyTorch's default is
one of each).

The "pixelcnn" is a plain stack: 7x7 A to 64 channels, seven 3x3 B, two 1x1, binary images. The
gated one and the prior are those of train_mnist.py, without dilation. PyTorch multiplies weights by
masks.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np


class Setting(NamedTuple):
    """batch_size; burst, steps in one turn; warm_up, steps before the first turn. The VAE's 2,500
    make Adam's state as it is in a real run: moments decay into subnormal numbers."""

    batch_size: int
    burst: int
    warm_up: int
    script: str


MODELS = {"vae": Setting(128, 100, 2500, "mnist"),
          "conv-vae": Setting(128, 10, 20, "mnist"),
          "vqvae": Setting(128, 4, 8, "cifar"),
          "pixelcnn": Setting(64, 4, 8, "mnist"),
          "gated-pixelcnn": Setting(64, 3, 4, "mnist"),
          "prior": Setting(64, 10, 20, "mnist")}
CODES = 128  # K of the prior's codes


def our_step(model, library, batch_size=None):
    from models import RECIPES
    from scratchnet import backend

    backend.use(library)
    setting, dataset, rng = MODELS[model], small_dataset(MODELS[model]), np.random.default_rng(0)
    images, recipe = batches_from(model, dataset), RECIPES[setting.script][model]
    if model == "pixelcnn":
        net = plain_stack(rng)
    else:
        net = recipe.build(SimpleNamespace(image_shape=images.shape[1:], variance=dataset.variance,
                                           num_classes=10, levels=CODES, decode=None),
                           rng, **{n: [1] if n == "dilations" else v
                                   for n, v in recipe.sizes.items()})
    step = steps_of(net, images, batch_size or setting.batch_size, rng)
    if library == "cupy":
        step.peak = lambda: backend.xp.get_default_memory_pool().total_bytes() / 2 ** 20
    return step


def steps_of(net, images, batch_size, rng):
    """step(i): training.step on the i-th batch, by as many processes as training would use."""
    from scratchnet import optim, training
    from scratchnet.fast import memory
    from scratchnet.fast import processes as parallel

    memory.keep_memory()  # as runs.train does
    adam = optim.Adam(net.parameters(), 1e-3)
    group = parallel.start_group(parallel.processes(batch_size), adam).__enter__()

    def step(i):
        at = i * batch_size % (len(images) - batch_size + 1)
        metrics = training.step(net, adam, images[at:at + batch_size], rng, group=group)
        return float(metrics["loss"])
    step.group = group
    return step


def plain_stack(rng):
    """A PixelCNN whose blocks are a ReLU and a 3x3 B each."""
    from models.pixelcnn import PixelCNN, masked_conv
    from scratchnet import nn, ops

    class Layer(nn.Module):
        def __init__(self):
            self.layer = masked_conv("B", 64, 64, 3, 1, rng)

        def forward(self, h):
            return self.layer(ops.relu(h))

    net = PixelCNN((28, 28, 1), features=64, blocks=1, head=64, rng=rng)
    net.blocks = [Layer() for _ in range(7)]
    return net


def torch_step(model, library, best=False):
    import torch

    from . import torch_models

    tf32 = bool(int(os.environ.get("CUPY_TF32", 0)))  # for CuPy it is this variable
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    setting = MODELS[model]
    device = "cuda" if library == "cupy" else "cpu"
    images = torch.from_numpy(batches_from(model, small_dataset(setting)))
    images = images.permute(0, 3, 1, 2).contiguous()
    torch.manual_seed(0)
    net = {"vae": torch_models.TorchVAE, "conv-vae": torch_models.TorchConvVAE,
           "vqvae": torch_models.TorchVQVAE,
           "pixelcnn": partial(torch_models.TorchPixelCNN, 64, 7, 64, residual=False),
           "gated-pixelcnn": torch_models.TorchGated,
           "prior": partial(torch_models.TorchGated, 48, 4, 96, CODES, 32)}[model]()
    form = torch.channels_last if best else torch.contiguous_format
    net = net.to(device, memory_format=form)
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=best)

    def step(i):
        at = i * setting.batch_size % (len(images) - setting.batch_size)
        x = images[at:at + setting.batch_size].to(device)
        x = x.long() if model == "prior" else (x.float() / 255).to(memory_format=form)
        loss = net.loss(x, torch.randn(setting.batch_size, 20, device=device))
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()
    if library == "cupy":
        step.peak = lambda: torch.cuda.max_memory_reserved() / 2 ** 20
    return step


def torch_best_step(model, library):
    return torch_step(model, library, best=True)


SIDES = {"scratchnet": our_step, "PyTorch": torch_step,
         "PyTorch, channels_last, fused": torch_best_step}


def batches_from(model, dataset):
    """What is trained on: images, binary for PixelCNNs, or random codes."""
    images = dataset.train_images
    if model == "prior":
        return np.random.default_rng(0).integers(0, CODES, (len(images), 7, 7, 1), dtype=np.int32)
    return np.uint8(255) * (images > 127) if "pixelcnn" in model else images


@cache
def small_dataset(setting):
    """The script's synthetic data set, a small one: no file is needed, and the borders of the
    digits are always 0, as MNIST's are."""
    from scratchnet.runs import data, synthetic

    make = {"mnist": synthetic.synthetic_digits,
            "cifar": synthetic.synthetic_scenes}[setting.script]
    return data.load("synthetic", synthetic=lambda: make(train=4000, test=10))


def worker(make_step, arguments, pipe):
    """Run bursts of steps on request; send back seconds a step and peak memory in MB. If the side
    is a group of processes, all go through this, and the first speaks for them."""
    step = make_step(*arguments)
    group, done = getattr(step, "group", None), 0
    while True:
        count = pipe.recv() if group is None or group.rank == 0 else 0
        if group is not None:
            count = int(group.all_reduce(np.array(count)))
        if count == 0:
            return group and group.__exit__(None, None, None)
        start = time.perf_counter()
        for _ in range(count):
            step(done)
            done += 1
        seconds = (time.perf_counter() - start) / count
        mb = step.peak() if hasattr(step, "peak") else resident(os.getpid())
        if group is not None:
            mb = float(group.all_reduce(np.array(mb)))
        if group is None or group.rank == 0:
            pipe.send((seconds, mb))


def resident(pid):
    """The most memory a process has had, in MB; what it shares now is divided by the sharers."""
    kb = {}
    for name in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
            key, _, value = line.partition(":")
            if value.endswith(" kB"):
                kb[key] = int(value.split()[0])
    return (kb["VmHWM"] - kb["VmRSS"] + kb["Pss"]) / 1024


def take_turns(sides, arguments, rounds, burst, warm_up):
    """Time steps of several sides, each in a process of its own, in turns.

    sides: {name: make_step}; make_step(*arguments) returns step(i). Returns {name: (the seconds of
    a step in each round, peak MB)}. Ends with a message if a side fails.
    """
    context = multiprocessing.get_context("spawn")
    pipes, times, memory = {}, {side: [] for side in sides}, {}

    def run(side, count):
        try:
            pipes[side].send(count)
            return pipes[side].recv()
        except (EOFError, OSError):
            sys.exit(f"benchmarks: error: {side} failed with {arguments}; what it said stands "
                     f"above")

    for side, make_step in sides.items():
        pipes[side], theirs = context.Pipe()
        context.Process(target=worker, args=(make_step, arguments, theirs), daemon=True).start()
        theirs.close()  # when the side ends, nobody has that end of the pipe
        run(side, max(1, warm_up))
    for _ in range(rounds):
        for side in sides:
            seconds, memory[side] = run(side, burst)
            times[side].append(seconds)
    for pipe in pipes.values():
        pipe.send(0)
    return {side: (times[side], memory[side]) for side in sides}


def ratio(ours, theirs):
    """Median, lowest and highest of the ratios of two sides' seconds, round by round."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def torch_in_words(library):
    """What it is compared with; the benchmark ends here if that is missing."""
    try:
        import torch
    except ImportError:
        sys.exit("benchmarks.compare: error: PyTorch is not installed: pip install torch==2.13.0, "
                 "or use --alone")
    if library == "cupy" and not torch.cuda.is_available():
        sys.exit("benchmarks.compare: error: this PyTorch finds no GPU to compare with; use "
                 "--alone")
    where = f"cuDNN {torch.backends.cudnn.version()}" if library == "cupy" else \
        f"{torch.get_num_threads()} threads"
    return f"PyTorch {torch.__version__} with {where}"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), help="(default: all of them)")
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--rounds", type=int, default=15, help="(default: 15)")
    parser.add_argument("--alone", action="store_true", help="our side only")
    parser.add_argument("--tf32", action="store_true", help="on a GPU: products in TF32")
    flags = parser.parse_args()
    os.environ["CUPY_TF32"] = str(int(flags.tf32))  # read when CuPy is loaded, on each side
    from scratchnet import backend

    backend.use(flags.backend)
    print(f"{backend.describe()}, {'' if flags.alone else torch_in_words(flags.backend) + ', '}"
          f"{'TF32' if flags.tf32 else 'float32'}; {flags.rounds} rounds")
    sides = {"scratchnet": our_step} if flags.alone else SIDES
    print(f"{'':52} {'ms a step':>10} {'ours, of it':>12} {'(range)':>15} {'peak MB':>9}")
    for model in [flags.model] if flags.model else MODELS:
        setting = MODELS[model]
        name = f"{model}, {setting.batch_size}:"
        warm_up = setting.warm_up if flags.backend == "numpy" else 20  # a GPU minds no subnormals
        found = take_turns(sides, (model, flags.backend), flags.rounds, setting.burst, warm_up)
        for side, (seconds, mb) in found.items():
            middle, low, high = ratio(found["scratchnet"][0], seconds)
            print(f"{name:20} {side:31} {statistics.median(seconds) * 1e3:10.2f} {middle:12.2f} "
                  f"{f'({low:.2f}-{high:.2f})':>15} {mb:9.0f}", flush=True)


if __name__ == "__main__":
    main()
