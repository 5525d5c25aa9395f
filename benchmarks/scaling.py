"""How the cost of a training step grows: the CIFAR-10 VQ-VAE in other sizes, against PyTorch's.

    python -m benchmarks.scaling [--change codes] [--out FILE.png]

Batch, image, channels and codebook in turn, the others as in train_cifar.py. Printed: the time for
one image, forward, backward and update, of both, which take turns as in benchmarks.compare. The
images are noise: what is on them does not change the time.
"""

import argparse
import statistics

import numpy as np

from .compare import ratio, steps_of, take_turns

BASE = {"batch": 128, "image": 32, "channels": 128, "codes": 512}
SIZES = {"batch": (32, 64, 128, 256, 512), "image": (16, 32, 48, 64),
         "channels": (32, 64, 128, 256), "codes": (128, 512, 2048, 8192)}


def our_step(batch, image, channels, codes):
    from models import RECIPES
    from models.vqvae import VQVAE, sonnet
    from scratchnet import backend

    backend.use("numpy")
    rng = np.random.default_rng(0)
    net = VQVAE((image, image, 3), num_embeddings=codes, data_variance=0.06, rng=rng,
                commitment_cost=RECIPES["cifar"]["vqvae"].sizes["commitment_cost"])
    net.encoder, net.decoder = sonnet(3, 64, rng, channels=(channels // 2, channels),
                                      hidden=channels // 4)
    return steps_of(net, noise(batch, image), batch, rng)


def torch_step(batch, image, channels, codes):
    import torch

    from .torch_models import TorchVQVAE

    net = TorchVQVAE(K=codes, c1=channels // 2, c2=channels, hidden=channels // 4)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    images = torch.from_numpy(noise(batch, image)).permute(0, 3, 1, 2).contiguous()

    def step(i):
        loss = net.loss(images.float() / 255)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()
    return step


def noise(batch, image):
    return np.random.default_rng(0).integers(0, 256, (batch, image, image, 3), dtype=np.uint8)


def measure(changed, rounds):
    """{what: [(size, our ms an image, PyTorch's, ratio, (lowest, highest)), ...]}"""
    found = {}
    for what in changed:
        for size in SIZES[what]:
            setting = BASE | {what: size}
            sides = {"scratchnet": our_step, "PyTorch": torch_step}
            result = take_turns(sides, tuple(setting.values()), rounds, 2, 3)
            times = [result[side][0] for side in sides]
            ours, theirs = (statistics.median(t) * 1e3 / setting["batch"] for t in times)
            middle, *spread = ratio(*times)
            found.setdefault(what, []).append((size, ours, theirs, middle, spread))
            print(f"{what:9} {size:6} {ours:14.3f} {theirs:14.3f} {middle:8.2f} "
                  f"({spread[0]:.2f}-{spread[1]:.2f})", flush=True)
    return found


def plot(found, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(3 * len(found), 3.2), squeeze=False,
                                layout="constrained")
    titles = {"batch": "images in a batch", "image": "height and width of an image",
              "channels": "channels", "codes": "codes K"}
    for ax, (what, rows) in zip(axes[0], found.items(), strict=True):
        sizes = [row[0] for row in rows]
        ax.plot(sizes, [row[1] for row in rows], "o-", color="C3", label="scratchnet")
        ax.plot(sizes, [row[2] for row in rows], "s--", color="0.45", label="PyTorch, eager")
        ax.set(xscale="log", xlabel=titles[what], xticks=sizes, xticklabels=sizes,
               ylim=(0, 1.15 * max(max(row[1], row[2]) for row in rows)))
        ax.minorticks_off()
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0, 0].set_ylabel("ms for one image")
    axes[0, 0].legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--change", choices=list(SIZES), help="(default: each in turn)")
    parser.add_argument("--out", metavar="FILE.png", help="draw a plot of it, too")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    flags = parser.parse_args()
    print(f"{'':16} {'ours, ms/image':>14} {'PyTorch':>14} {'ratio':>8} (range)")
    found = measure([flags.change] if flags.change else SIZES, flags.rounds)
    if flags.out:
        plot(found, flags.out)


if __name__ == "__main__":
    main()
