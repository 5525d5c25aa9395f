"""The way from the plain lines to a fast step: a measure at a time, each step against PyTorch's.

    python -m benchmarks.ladder                   the small VAE, the PixelCNN, the VQ-VAE
    python -m benchmarks.ladder --model pixelcnn  one

The code has all measures. A rung of the ladder is a process that does without those of the rungs
below it: there it puts the plain function back in the place of the sooner one. The rungs and
PyTorch, eager, take turns, a burst of steps each (benchmarks.compare). Printed for each rung: what
it adds, the median time of a step, and the median of the rounds' ratios to PyTorch with their
range. docs/10-speed.md explains the measures.
"""

import argparse
import statistics
import sys
from functools import partial

import numpy as np

from . import compare

# ---------------------------------------------------------------- how to do without each measure

def float64():
    import models.moving_codes
    from scratchnet import training

    to_batch, steps_of = training.to_batch, compare.steps_of
    def wide(images, codes=False):
        batch = to_batch(images, codes)
        return batch.astype(np.float64) if batch.dtype == np.float32 else batch
    training.to_batch = models.moving_codes.to_batch = wide
    compare.steps_of = lambda net, *rest: steps_of(net.astype(np.float64), *rest)


def derivatives_of_images():
    from models import PixelCNN, vae, vqvae
    from scratchnet import Tensor

    def asking(fn):
        def call(self, x, *rest):
            if isinstance(x, Tensor):
                x.requires_grad = True
            y = fn(self, x, *rest)
            if isinstance(y, Tensor):
                y.requires_grad = True
            return y
        return call
    for where, name in ((vae, "images"), (vqvae, "images"), (PixelCNN, "inputs")):
        setattr(where, name, asking(getattr(where, name)))


def masks_multiplied():
    from scratchnet import conv

    def masked_conv2d(x, w, mask, b, dilation):
        keep = mask[:, :, None, None].astype(w.dtype)
        return conv.conv2d(x, w * keep, b, padding=(len(mask) // 2, mask.shape[1] // 2))
    conv.masked_conv2d = masked_conv2d


def a_copy_for_each_tap():
    from scratchnet import conv, taps

    def with_bias(product):
        def call(x, W, taps, stride, size, b=None):
            y = product(x, W, taps, stride, size)
            return y if b is None else y + b
        return call
    conv.gather_matmul = with_bias(taps.gather_matmul)
    conv.matmul_scatter = with_bias(taps.matmul_scatter)
    conv.gather_t_matmul = taps.gather_t_matmul
    conv.column_sum = lambda g: g.reshape(-1, g.shape[-1]).sum(axis=0)


def no_mirrors():
    from scratchnet import conv
    from scratchnet.fast import products

    def with_bias(product):
        return lambda x, W, taps, stride, size, b=None: product(x, W, taps, stride, size, b)
    conv.gather_matmul = with_bias(products.gathered)
    conv.matmul_scatter = with_bias(products.scattered)


def rows_of_the_whole_batch():
    from scratchnet.fast import products
    products.BLOCK = sys.maxsize


def whole_products():
    from scratchnet.fast import products
    products.matmul = lambda a, b, out: np.matmul(a, b, out=out)


def fresh_memory():
    from scratchnet.fast import memory, products
    products.empty = lambda shape, dtype, purpose: np.empty(shape, dtype)
    memory.keep_memory = lambda: None


def the_whole_batch():
    from models import pixelcnn
    pixelcnn.MICROBATCH = sys.maxsize


def adam_over_whole_arrays():
    from scratchnet.fast import update
    update.BLOCK = sys.maxsize


def adam_as_written():
    from scratchnet import optim
    optim.adam_in_place = optim.adam_step


def one_process():
    from scratchnet.fast import processes
    processes.processes = lambda batch_size: 1


MEASURES = {  # what a rung adds: how to do without it
    "float32 throughout": float64,
    "no derivatives of the images": derivatives_of_images,
    "fewer taps, not masks": masks_multiplied,
    "one copy for all taps of a rectangle": a_copy_for_each_tap,
    "mirrored taps: a scatter is a gather": no_mirrors,
    "rows of a few images at a time": rows_of_the_whole_batch,
    "narrow products in pieces": whole_products,
    "memory that is used again": fresh_memory,
    "8 images at a time, there and back": the_whole_batch,
    "Adam a block at a time": adam_over_whole_arrays,
    "Adam in one scratch array": adam_as_written,
    "a process for each core": one_process,
}
FIRST = ("float32 throughout", "no derivatives of the images")
OF_CONVOLUTIONS = ("one copy for all taps of a rectangle", "mirrored taps: a scatter is a gather",
                   "rows of a few images at a time", "memory that is used again",
                   "narrow products in pieces")
LADDERS = {  # model: (its measures in order, steps in one turn, steps before the first)
    "vae": ([*FIRST, "a process for each core", "memory that is used again",
             "Adam a block at a time", "Adam in one scratch array"], 50, 200),
    "pixelcnn": ([*FIRST, "fewer taps, not masks", "a process for each core", *OF_CONVOLUTIONS,
                  "8 images at a time, there and back"], 1, 1),
    "vqvae": ([*FIRST, "a process for each core", *OF_CONVOLUTIONS], 1, 1),
}


# ---------------------------------------------------------------- the sides

def rung(count, model):
    """step(i) with the first `count` measures of the model's ladder."""
    for name in LADDERS[model][0][count:]:
        MEASURES[name]()
    return compare.our_step(model, "numpy")


def torch_side(model):
    return compare.torch_step(model, "numpy")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ladder", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(LADDERS), help="(default: all of them)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    flags = parser.parse_args()
    for model in [flags.model] if flags.model else LADDERS:
        names, burst, warm_up = LADDERS[model]
        sides = {name: partial(rung, k) for k, name in enumerate(["the plain lines", *names])}
        found = compare.take_turns(sides | {"PyTorch": torch_side}, (model,), flags.rounds, burst,
                                   warm_up)
        print(f"\n{model + ', ' + str(compare.MODELS[model].batch_size):40} {'ms a step':>10} "
              f"{'ratio to PyTorch':>17} {'(range)':>15}")
        for side, (seconds, _) in found.items():
            middle, low, high = compare.ratio(seconds, found["PyTorch"][0])
            print(f"{side:40} {statistics.median(seconds) * 1e3:10.2f} {middle:17.2f} "
                  f"{f'({low:.2f}-{high:.2f})':>15}", flush=True)


if __name__ == "__main__":
    main()
