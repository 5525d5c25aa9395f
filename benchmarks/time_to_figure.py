"""Seconds of training until a test figure is reached: ours, and the reference recipe in PyTorch.

    python -m benchmarks.time_to_figure                 all figures, five rounds: three hours
    python -m benchmarks.time_to_figure --model vae     one: ten minutes

    vae             -ELBO 105.6 on grey MNIST: what the log of PyTorch's example ends with
    vqvae           recon. error 0.0444 on MNIST: what Keras's example ends with, on its training
                    images
    gated-pixelcnn  85 nats on binary MNIST, its training images binarised anew for every batch

Each side trains from a fresh process, in turns, alone on the machine: ours by the command that is
printed, PyTorch by the reference's recipe (Adam 1e-3 throughout, batches of 128; the VQ-VAE with a
codebook of running means, as ours). Nobody published a recipe for the third, so PyTorch trains it
by ours: the same network, steps and schedule, and running means of the weights; its first weights
are PyTorch's own. PyTorch comes twice: eagerly, in its default layout; and with torch.compile,
channels_last and fused Adam. All measure all test images, after each epoch and at the end. The time
is that of the first figure that is low enough; the clock runs on while they measure. It starts with
the first step: what compiling takes is not in it, but is printed. Printed: the median over rounds,
and the range.
"""

import argparse
import copy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scratchnet.runs.many import metrics

ROOT = Path(__file__).parent.parent
SIDES = ("ours", "PyTorch", "compiled")


class Goal(NamedTuple):
    """metric: a column of metrics.csv; figure: to reach; flags: of our recipe. The reference's:
    batch, lr; epochs, after which it gives up, or steps, over which lr falls as a cosine and its
    weights are averaged; binary: images are."""

    metric: str
    figure: float
    flags: tuple
    batch: int = 128
    lr: float = 1e-3
    epochs: int = 1
    steps: int = 0
    binary: bool = False


GOALS = {
    "vae": Goal("test_neg_elbo", 105.6, ("--epochs", "8"), epochs=15),
    "vqvae": Goal("test_recon_error", 0.0444, ("--epochs", "10"), epochs=30),
    "gated-pixelcnn": Goal("test_nll", 85, ("--batch-size", "16", "--lr", "3e-3", "--schedule",
                                            "cosine", "--average", "0.99", "--steps", "1500"),
                           batch=16, lr=3e-3, steps=1500, binary=True),
}


# ---------------------------------------------------------------- ours

def ours(model, seed, more):
    """(seconds, epochs) of a run of train_mnist.py until its test figure, at which it is stopped;
    None if never. Ends with what the run says if it fails."""
    goal = GOALS[model]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        run = subprocess.Popen([sys.executable, ROOT / "train_mnist.py", "--model", model,
                                *goal.flags, "--dataset", "mnist", "--seed", str(seed), "--out",
                                out, "--quiet", *more], stderr=subprocess.PIPE, text=True)
        def reached():
            return [(r["seconds"], r["epoch"]) for r in metrics(out)
                    if r[goal.metric] <= goal.figure]
        while run.poll() is None and not reached():
            time.sleep(1)
        failed = run.poll()
        run.terminate()
        said = run.communicate()[1]
        return sys.exit(said) if failed else next(iter(reached()), None)


# ---------------------------------------------------------------- the reference

def reference(model, seed, limit, compiled):
    """The same of the reference, in this process, and how long compiling took."""
    import torch

    from scratchnet import optim
    from scratchnet.runs import data

    goal, dataset = GOALS[model], data.load("mnist")
    dataset = dataset.limited(limit) if limit else dataset
    if goal.binary:
        dataset = data.statically_binarised(dataset, train=False)
    train, test = (torch.tensor(images.transpose(0, 3, 1, 2)) for images in
                   (dataset.train_images, dataset.test_images))
    torch.manual_seed(seed)
    net, figure = MODELS[model](dataset.variance)
    form = torch.channels_last if compiled else torch.contiguous_format
    net = net.to(memory_format=form)
    loss, averages, compiling = net.loss, None, 0.0
    if compiled:
        loss, compiling = compiled_loss(net, train, goal.batch)
    adam = torch.optim.Adam(net.parameters(), goal.lr, fused=compiled)
    if goal.steps:
        rate = optim.cosine(goal.lr, goal.steps)
        averages = torch.optim.swa_utils.AveragedModel(
            net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    begun, steps = time.monotonic(), 0

    def reached():
        with torch.no_grad():
            parts = [x.float() / 255 for x in test.split(500)]
            tested = averages.module if averages else net
            return np.mean([float(figure(tested, x)) for x in parts]) <= goal.figure

    for epoch in range(max(goal.epochs, 1 + goal.steps * goal.batch // len(train))):
        for batch in torch.randperm(len(train)).split(goal.batch):
            x = train[batch].float() / 255
            if goal.binary:
                x = (torch.rand_like(x) < x).float()
            if goal.steps:
                adam.param_groups[0]["lr"] = rate(steps)
            value = loss(x.to(memory_format=form), torch.randn(len(x), 20))
            adam.zero_grad()
            value.backward()
            adam.step()
            if averages:
                averages.update_parameters(net)
            steps += 1
            if steps == goal.steps:
                break
        if reached():
            return time.monotonic() - begun, epoch + 1, compiling
        if steps == goal.steps:
            break
    return None


def compiled_loss(net, train, batch):
    """(torch.compile of the loss, the seconds that it took), for whole batches and the last one of
    an epoch. The net is as it was before. Raises AssertionError where what was compiled has other
    losses or gradients, also of the second and third call, for which buffers have moved."""
    import torch

    begun, before = time.monotonic(), copy.deepcopy(net.state_dict())
    compiled = torch.compile(net.loss, dynamic=False)
    for n in {batch, len(train) % batch or batch}:
        x = (train[:n].float() / 255).to(memory_format=torch.channels_last)
        noise = torch.randn(n, 20)
        found = []
        for loss in (net.loss, compiled):
            net.load_state_dict(before)
            net.zero_grad()
            values = [loss(x, noise) for _ in range(3)]
            sum(values).backward()
            found.append([float(v.detach()) for v in values] + [
                float(p.grad.norm()) for p in net.parameters() if p.grad is not None])
        np.testing.assert_allclose(*found, rtol=1e-3)
    net.load_state_dict(before)
    net.zero_grad()
    return compiled, time.monotonic() - begun


def reference_vae(variance):
    """PyTorch's example, and its -ELBO."""
    import torch

    from .torch_models import TorchVAE
    return TorchVAE(), lambda net, x: net.loss(x, torch.randn(len(x), 20))


def reference_vqvae(variance):
    """Keras's example, and its reconstruction error."""
    from torch import nn

    from .torch_models import TorchVQVAE

    net = TorchVQVAE(128, 16, variance=variance)
    net.encoder = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1),
                                nn.ReLU(), nn.Conv2d(64, 16, 1))
    net.decoder = nn.Sequential(
        nn.ConvTranspose2d(16, 64, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 3, 2, 1, 1),
        nn.ReLU(), nn.ConvTranspose2d(32, 1, 3, 1, 1))

    def recon_error(net, x):
        z = net.encoder(x - 0.5).permute(0, 2, 3, 1)
        z_q = net.e[net.nearest(z)].view(z.shape)
        x_hat = net.decoder(z_q.permute(0, 3, 1, 2)) + 0.5
        return (x_hat - x).square().mean() / variance
    return net, recon_error


def reference_gated(variance):
    """Our gated PixelCNN, and its exact -log p(x)."""
    from .torch_models import TorchGated
    return TorchGated(dilations=[1, 2, 4, 8, 1, 2, 8]), lambda net, x: net.loss(x)


MODELS = {"vae": reference_vae, "vqvae": reference_vqvae, "gated-pixelcnn": reference_gated}


# ---------------------------------------------------------------- in turns

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=GOALS, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="images, for a quick look")
    parser.add_argument("--side", choices=SIDES, action="append")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)  # the reference, in a process
    args = parser.parse_args()
    if args.seed is not None:
        print(*(reference(args.model[0], args.seed, args.limit, args.side == ["compiled"]) or ()))
        return
    more = ["--limit", str(args.limit)] if args.limit else []
    for model in args.model or GOALS:
        goal, found = GOALS[model], {side: [] for side in args.side or SIDES}
        print(f"{model}: {goal.metric} {goal.figure}, by python train_mnist.py --model {model} "
              f"{' '.join(goal.flags)}", flush=True)
        for seed in range(args.rounds):
            for side, results in found.items():
                results.append(measured(model, side, seed, more))
                seconds = f"{results[-1][0]:.1f} s" if results[-1] else "not reached"
                print(f"    round {seed + 1}, {side}: {seconds}", flush=True)
        for side, results in found.items():
            ratios = [a[0] / b[0] for a, b in zip(found.get("ours", ()), results, strict=False)
                      if a and b]
            print(f"  {side:<8} {in_words(results)}" + (
                f"; ours takes {statistics.median(ratios):.2f} of it ({min(ratios):.2f} to "
                f"{max(ratios):.2f})" if ratios and side != "ours" else ""), flush=True)


def measured(model, side, seed, more):
    """What `ours` returns, or, from a process of its own, `reference`."""
    if side == "ours":
        return ours(model, seed, more)
    run = subprocess.run([sys.executable, "-m", "benchmarks.time_to_figure", "--model", model,
                          "--side", side, "--seed", str(seed), *more], cwd=ROOT, check=True,
                         capture_output=True, text=True)
    return tuple(map(float, run.stdout.split())) or None


def in_words(results):
    """Median and range of the seconds, and the epochs they took."""
    reached = [r for r in results if r]
    if len(reached) < len(results):
        return f"reached in {len(reached)} of {len(results)} rounds"
    seconds, epochs, *compiling = zip(*reached, strict=True)
    return (f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
            f"after {' to '.join(f'{n:.0f}' for n in sorted({min(epochs), max(epochs)}))} epochs"
            + "".join(f", and {statistics.median(c):.0f} s of compiling" for c in compiling
                      if any(c)))


if __name__ == "__main__":
    main()
