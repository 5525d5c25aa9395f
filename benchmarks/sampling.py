"""Time to draw images with a PixelCNN: cached, and by a full pass for each pixel.

    python -m benchmarks.sampling
    python -m benchmarks.sampling --alone --backend cupy    ours only, on a GPU

The small PixelCNN (15 residual blocks of 32 features) and a gated one (7 blocks of 32), binary
images of 28x28, 16 and 64 at a time. Ours, cached (scratchnet/fast/stream.py), draws whole images.
Full passes, ours and PyTorch's, all cost the same, so a few are timed and multiplied by 784. The
sides take turns, round by round; medians are printed. PyTorch runs without gradients, on its
default threads.
"""

import argparse
import statistics
import time

import numpy as np

from scratchnet import backend

from .compare import torch_in_words

SIZE, PASSES = 28, 4  # pixels along a side; full passes timed in each round


def sides(gated, images, alone):
    """{side: function that draws `images` images, or returns its estimate of the seconds}."""
    from models import GatedPixelCNN, PixelCNN
    from scratchnet import no_grad, xp

    rng = np.random.default_rng(0)
    ours = (GatedPixelCNN if gated else PixelCNN)((SIZE, SIZE, 1), **(
        {"blocks": 7} if gated else {}), rng=rng).eval()
    x = (rng.random((images, SIZE, SIZE, 1)) < 0.2).astype(np.float32)

    def timed(work, times=1):
        start = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - start) / times

    def our_pass():
        with no_grad():
            ours.logits(xp.asarray(x))

    of = {"scratchnet, cached": lambda: timed(lambda: ours.sample(images, rng))}
    if alone:
        return of
    import torch

    from . import torch_models

    theirs = (torch_models.TorchGated if gated else torch_models.TorchPixelCNN)().eval()
    x_theirs = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

    def their_pass():
        with torch.no_grad():
            torch.sigmoid(theirs(x_theirs))

    return of | {
        "scratchnet, 784 full passes": lambda: SIZE * SIZE * timed(our_pass, PASSES),
        "PyTorch, 784 full passes": lambda: SIZE * SIZE * timed(their_pass, PASSES)}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    parser.add_argument("--alone", action="store_true", help="our cached side only")
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    flags = parser.parse_args()
    if flags.backend == "cupy" and not flags.alone:
        parser.error("on a GPU only ours is timed: add --alone")
    backend.use(flags.backend)
    print(f"{backend.describe()}{'' if flags.alone else ', ' + torch_in_words('numpy')}; "
          f"medians of {flags.rounds} rounds")
    print(f"{'':45} {'seconds':>9} {'PyTorch takes':>14} {'(range)':>15}")
    for gated in (False, True):
        for images in (16, 64):
            of = sides(gated, images, flags.alone)
            for side in of.values():
                side()  # warm up
            times = {name: [] for name in of}
            for _ in range(flags.rounds):
                for name, side in of.items():
                    times[name].append(side())
            for name, seconds in times.items():
                ratios = [b / a for a, b in zip(seconds, list(times.values())[-1], strict=True)]
                print(f"{'gated' if gated else 'plain'}, {images} images: {name:28} "
                      f"{statistics.median(seconds):9.2f} {statistics.median(ratios):12.0f} x "
                      f"{f'({min(ratios):.0f}-{max(ratios):.0f})':>15}", flush=True)


if __name__ == "__main__":
    main()
