"""Seconds of training until a test figure is reached: ours, and the reference recipe in PyTorch.

    python -m benchmarks.time_to_figure                 both figures, three rounds
    python -m benchmarks.time_to_figure --model vae     one

    vae    -ELBO 105.6 on grey MNIST: what the log of PyTorch's example ends with
    vqvae  recon. error 0.0444 on MNIST: what Keras's example ends with, on its training images

Each side trains by its own recipe, from a fresh process, in turns, alone on the machine: ours by
the command that is printed, PyTorch by the reference's (Adam 1e-3 throughout, batches of 128; the
VQ-VAE with a codebook of running means, as ours). Both measure the test set after each epoch, and
the clock runs on meanwhile; it starts with the first step. Printed: the median over rounds, and the
range.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent


class Goal(NamedTuple):
    """metric: a column of metrics.csv; figure: to reach; flags: of our recipe; epochs: after which
    PyTorch gives up."""

    metric: str
    figure: float
    flags: tuple
    epochs: int


GOALS = {
    "vae": Goal("test_neg_elbo", 105.6, ("--epochs", "8"), 15),
    "vqvae": Goal("test_recon_error", 0.0444, ("--epochs", "10"), 30),
}


def ours(model, seed, more):
    """(seconds, epochs) of a run of train_mnist.py until its test figure; None if never."""
    goal = GOALS[model]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, ROOT / "train_mnist.py", "--model", model, *goal.flags,
                        "--dataset", "mnist", "--seed", str(seed), "--out", f"{folder}/run",
                        "--quiet", *more], check=True)
        with open(f"{folder}/run/metrics.csv", newline="") as file:
            rows = [(float(r["seconds"]), int(r["epoch"]), float(r[goal.metric]))
                    for r in csv.DictReader(file)]
    return next(((s, e) for s, e, value in rows if value <= goal.figure), None)


def reference(model, seed, limit):
    """The same of the reference, in this process."""
    import torch

    from scratchnet.runs import data

    goal, dataset = GOALS[model], data.load("mnist")
    dataset = dataset.limited(limit) if limit else dataset
    train, test = (torch.tensor(images.transpose(0, 3, 1, 2)) for images in
                   (dataset.train_images, dataset.test_images))
    torch.manual_seed(seed)
    net, figure = {"vae": reference_vae, "vqvae": reference_vqvae}[model](dataset.variance)
    adam, begun = torch.optim.Adam(net.parameters(), 1e-3), time.monotonic()
    for epoch in range(goal.epochs):
        for batch in torch.randperm(len(train)).split(128):
            x = train[batch].float() / 255
            loss = net.loss(x, torch.randn(len(x), 20))
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            parts = test.split(1000)
            value = np.mean([float(figure(net, part.float() / 255)) for part in parts])
        if value <= goal.figure:
            return time.monotonic() - begun, epoch + 1
    return None


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


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=GOALS, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="images, for a quick look")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)  # the reference, in a process
    args = parser.parse_args()
    if args.seed is not None:
        print(*(reference(args.model[0], args.seed, args.limit) or ()))
        return
    more = ["--limit", str(args.limit)] if args.limit else []
    for model in args.model or GOALS:
        goal, found = GOALS[model], {"ours": [], "PyTorch": []}
        for seed in range(args.rounds):
            found["ours"].append(ours(model, seed, more))
            run = subprocess.run([sys.executable, "-m", "benchmarks.time_to_figure", "--model",
                                  model, "--seed", str(seed), *more], cwd=ROOT, check=True,
                                 capture_output=True, text=True)
            found["PyTorch"].append(tuple(map(float, run.stdout.split())) or None)
        print(f"{model}: {goal.metric} {goal.figure}, by python train_mnist.py --model {model} "
              f"{' '.join(goal.flags)}")
        for side, results in found.items():
            print(f"  {side:<8} {in_words(results)}")


def in_words(results):
    """Median and range of the seconds, and the epochs they took."""
    reached = [r for r in results if r]
    if len(reached) < len(results):
        return f"reached in {len(reached)} of {len(results)} rounds"
    seconds, epochs = zip(*reached, strict=True)
    return (f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
            f"after {' to '.join(f'{n:.0f}' for n in sorted({min(epochs), max(epochs)}))} epochs")


if __name__ == "__main__":
    main()
