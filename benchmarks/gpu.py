"""Is the CuPy backend right, and what does a step take? For benchmarks/gpu_check.sh, which calls

    python -m benchmarks.gpu environment    what is installed, and what GPU there is
    python -m benchmarks.gpu losses         the first 50 losses of every model, NumPy beside CuPy
    python -m benchmarks.gpu steps          a step of every model: time, launches, memory
    python -m benchmarks.gpu repeat         two equal runs, and one stopped and resumed

Every model is that of the scripts, on noise of the shape of their images. Ends with 1 if something
is not as it should be.
"""

import argparse
import contextlib
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from models import RECIPES
from scratchnet import backend, optim, training
from scratchnet.errors import BackendError
from scratchnet.runs.many import metrics
from scratchnet.runs.script import use_backend

MODELS = [(script, model) for script in ("mnist", "cifar") for model in RECIPES[script]]
CODES = 128
LOSSES = 50
FIRST, LATER = 1e-6, 1e-3  # relative differences allowed: of the first two losses, of all of them


def environment():
    """Everything that a figure of this machine depends on."""
    for name in ("numpy", "torch", "pytest", "hypothesis", "matplotlib"):
        try:
            print(f"{name} {importlib.import_module(name).__version__}")
        except ImportError:
            print(f"{name}: not installed")
    use_backend("cupy")
    cupy = backend.xp._module
    cupy.show_config()
    free, total = cupy.cuda.runtime.memGetInfo()
    print(f"{backend.describe()}; {free / 2 ** 30:.1f} of {total / 2 ** 30:.1f} GiB free; "
          f"{len(os.sched_getaffinity(0))} cores; CUPY_TF32={os.environ.get('CUPY_TF32', '0')}")
    return True


def fresh(script, model, batch_size=None):
    """step(i) of a newly built model, the same each time; its batch size."""
    rng, recipe = np.random.default_rng(0), RECIPES[script][model]
    size = batch_size or recipe.training.get("batch_size", 128)
    if model == "prior":
        images = rng.integers(0, CODES, (256, 7, 7, 1), dtype=np.int32)
    else:
        shape = (28, 28, 1) if script == "mnist" else (32, 32, 3)
        images = rng.integers(0, 256, (256, *shape), dtype=np.uint8)
        if script == "mnist" and "pixelcnn" in model:
            images = np.uint8(255) * (images > 127)
    dataset = SimpleNamespace(image_shape=images.shape[1:], variance=0.06, num_classes=10,
                              levels=CODES, decode=None)
    net = recipe.build(dataset, training.generator(0, "weights"), **recipe.sizes)
    adam = optim.Adam(net.parameters(), average=recipe.training.get("average", 0.0))
    labels = rng.integers(0, 10, 256)

    def step(i):
        at = i * size % (len(images) - size + 1)
        part = slice(at, at + size)
        metrics = training.step(net, adam, images[part], training.generator(0, "step", i),
                                labels[part])
        return metrics["loss"]
    return step, size


def losses(models):
    """The same steps on both, 4 images each: to rounding at first, and close to the end.

    How much rounding does was measured on NumPy, from weights that differ in the last bit: up to
    2e-7 of the first two losses, up to 3e-4 of the 50. For Adam moves a weight whose gradient is
    nothing but rounding by a whole lr; and after one step on this noise a fifth of the CIFAR-10
    VQ-VAE's vectors lie so close to two codes that they change. An Adam whose 1 - b2 is off by 2 %
    changes the second loss by 3e-6 or more, of every model.
    """
    print(f"{'':24} {'first loss':>11} {'first two':>11} {'50th loss':>11} {'all':>11}"
          "   (of two, of all: largest difference)")
    good = True
    for script, model in models:
        found = []
        for library in ("numpy", "cupy"):
            backend.use(library)
            step, _ = fresh(script, model, batch_size=4)
            found.append([float(step(i)) for i in range(LOSSES)])
        ours, theirs = np.array(found)
        apart = np.abs(theirs - ours) / np.abs(ours)
        first, largest = apart[:2].max(), apart.max()
        fine = first < FIRST and largest < LATER  # NaN is not
        good = good and fine
        print(f"{f'{script} {model}':24} {theirs[0]:11.5g} {first:11.1e} {theirs[-1]:11.5g} "
              f"{largest:11.1e}{'' if fine else '   *** differs'}", flush=True)
    return good


def steps(models):
    """host: until a step's work is handed over; whole: until it is done, from one to the next."""
    backend.use("cupy")
    cupy = backend.xp._module
    wait, pool = cupy.cuda.Device().synchronize, cupy.get_default_memory_pool()
    print(f"{'':24} {'batch':>6} {'host ms':>9} {'whole ms':>9} {'launches':>9} {'pool MB':>9}")
    for script, model in models:
        step, size = fresh(script, model)
        for i in range(5):
            step(i)
        wait()
        host, whole = [], []
        for _ in range(5):
            start = time.perf_counter()
            for i in range(10):
                step(i)
            host.append((time.perf_counter() - start) / 10)
            wait()
            whole.append((time.perf_counter() - start) / 10)
        print(f"{f'{script} {model}':24} {size:6} {statistics.median(host) * 1e3:9.2f} "
              f"{statistics.median(whole) * 1e3:9.2f} {launches(step, wait):>9} "
              f"{pool.total_bytes() / 2 ** 20:9.0f}", flush=True)
        del step
        pool.free_all_blocks()
    return True


def launches(step, wait):
    """Kernels, copies and fills of one step, as PyTorch's profiler sees them; "-" without it."""
    with contextlib.suppress(Exception):
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as found:
            step(0)
            wait()
        return len([e for e in found.events() if "cuda" in str(e.device_type).lower()])
    return "-"


def repeat(models):
    """Two runs with one seed, and one that is resumed in the middle: the same weights, and the same
    test loss. The sums of a codebook are atomic additions, in any order, and a vector between two
    codes goes to either: there the loss alone, to rounding."""
    scripts = Path(__file__).resolve().parent.parent
    good = True
    for script, model in models:
        with tempfile.TemporaryDirectory() as work:
            def train(name, *flags, script=script, work=work):
                out = ("--out", name) if flags[0] != "--resume" else ()
                subprocess.run(
                    [sys.executable, str(scripts / f"train_{script}.py"), *flags, "--quiet",
                     "--backend", "cupy", *out], cwd=work, check=True)
                with np.load(Path(work, name, "checkpoint.npz")) as file:
                    weights = {n: file[n] for n in file.files if n.startswith("model/")}
                return weights, metrics(Path(work, name))[-1]["test_loss"]
            begin = ("--model", model, "--dataset", "synthetic", "--limit", "600", "--steps")
            first, again = train("first", *begin, "20"), train("again", *begin, "20")
            train("parts", *begin, "7", "--schedule", "constant")
            whole = train("whole", *begin, "20", "--schedule", "constant")
            parts = train("parts", "--resume", "parts", "--steps", "20")
        exact = model == "vae"
        for what, a, b in (("two equal runs", first, again), ("stopped and resumed", whole, parts)):
            apart = max(float(np.abs(a[0][n] - b[0][n]).max()) for n in a[0])
            loss = abs(a[1] - b[1]) / abs(a[1])
            fine = apart == 0 if exact else loss < LATER
            good = good and fine
            print(f"{script} {model}, {what}: largest difference of a weight {apart:.1e}, of the "
                  f"test loss {loss:.1e} of it{'' if fine else '   *** differs'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["environment", "losses", "steps", "repeat"])
    parser.add_argument("--model", metavar="SCRIPT-MODEL", nargs="+", help="as in mnist-vae")
    flags = parser.parse_args()
    if flags.what == "environment":
        return environment()
    models = [(s, m) for s, m in MODELS if not flags.model or f"{s}-{m}" in flags.model]
    if flags.what == "repeat" and not flags.model:
        models = [("mnist", "vae"), ("mnist", "vqvae")]
    return {"losses": losses, "steps": steps, "repeat": repeat}[flags.what](models)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except BackendError as error:
        sys.exit(f"benchmarks.gpu: error: {error}")
