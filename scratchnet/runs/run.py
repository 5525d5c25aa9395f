"""A run folder, opened again: its model with the weights it learned, its data, its title.

config.json says which script wrote it, with which flags, on which data; checkpoint.npz has the
weights. What generate.py, evaluate.py and a prior over a VQ-VAE's codes have in common.
"""

import hashlib
import json
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ..backend import to_numpy
from ..errors import RunError
from . import checkpoint, data
from .data import Dataset
from .synthetic import synthetic_digits, synthetic_scenes
from ..training import generator, to_batch

SYNTHETIC = {"train_mnist.py": synthetic_digits, "train_cifar.py": synthetic_scenes}


@dataclass
class Run:
    """folder; script: train_mnist.py, say; flags: a Namespace; trained_on: name, title, sha256,
    image_shape and num_classes of the data; model: with its averaged weights, if it kept them;
    codec: for a prior, the Run of the VQ-VAE whose codes it models; progress: of its training."""

    folder: Path
    script: str
    flags: Namespace
    trained_on: dict
    model: object = None
    codec: object = None
    progress: dict = None

    @property
    def title(self):
        return f"{self.flags.model} on {self.trained_on['title']}"

    def checksum(self):
        """SHA-256 of the data it was trained on and of everything it learned."""
        digest = hashlib.sha256(self.trained_on["sha256"].encode())
        for name, array in self.model.state_dict().items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def dataset(self, data_dir=None, progress=True):
        """The data it was trained on: binarised as it was (training images once); for a prior, as
        codes, and the test images alone. Raises DataError if it is not there, RunError if it is
        another."""
        found = data.load(self.trained_on["name"], data_dir, progress, SYNTHETIC[self.script])
        if self.codec is not None:
            return encoded(found, self.codec, train=False)
        if found.sha256 != self.trained_on["sha256"]:
            raise RunError(f"{self.folder}: was trained on {self.trained_on['title']} with SHA-256 "
                           f"{self.trained_on['sha256'][:12]}..., but the data found now has "
                           f"{found.sha256[:12]}...; name its folder with --data-dir")
        return found if self.flags.binarize == "none" else data.statically_binarised(found)


@dataclass(frozen=True)
class CodeDataset(Dataset):
    """Grids of code indices, (N, h, w, 1), for images. levels: K. decode: indices (N, h, w) ->
    images."""

    levels: int
    decode: callable


def read(folder):
    """The Run in a folder, without its model. Raises RunError if there is none."""
    folder = Path(folder)
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text())
        trained_on = content["dataset"]
        run = Run(folder, content["script"], Namespace(**content["flags"]), trained_on)
        complete = {"name", "title", "sha256", "image_shape", "num_classes"} <= set(trained_on)
        if not complete or not isinstance(run.flags.model, str):
            raise KeyError("dataset")
    except FileNotFoundError:
        raise RunError(f"{folder}: no run there ({path} does not exist); name the folder of a "
                       f"run, such as runs/vae-mnist") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{path}: is no longer the file that the run wrote; restore it, or train "
                       f"again") from None
    return run


def open_run(folder, recipes):
    """The Run in a folder, with its model. recipes: {script: {model: Recipe}}.

    Raises RunError if there is no run, if it is of a model that is unknown here, or if the codes
    that it models have changed since; CheckpointError if it has no checkpoint, or a damaged one.
    """
    run = read(folder)
    recipe = recipes.get(run.script, {}).get(run.flags.model)
    if recipe is None:
        raise RunError(f"{run.folder / 'config.json'}: {run.script} has no model "
                       f"{run.flags.model!r}; the run is of another version of scratchnet")
    if not (run.folder / "checkpoint.npz").is_file():
        raise RunError(f"{run.folder}: the run has no checkpoint yet ({run.folder}/checkpoint.npz "
                       f"does not exist); train it first, with python {run.script} --resume "
                       f"{run.folder}")
    shape = SimpleNamespace(image_shape=tuple(run.trained_on["image_shape"]), variance=1.0,
                            num_classes=run.trained_on["num_classes"])
    if "codes" in recipe.sizes:
        run.codec = open_codec(run.flags.codes, recipes, run.script, beside=run.folder)
        if code_checksum(run.codec) != run.trained_on["sha256"]:
            raise RunError(codes_changed(run.folder, run.codec))
        shape.levels, shape.decode = run.codec.flags.num_embeddings, run.codec.model.decode_codes
    try:
        sizes = {name: getattr(run.flags, name) for name in recipe.sizes}
        run.model = recipe.build(shape, generator(run.flags.seed, "weights"), **sizes)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{run.folder / 'config.json'}: is no longer the file that the run wrote "
                       f"({error}); restore it, or train again") from None
    run.progress = checkpoint.load(run.folder / "checkpoint.npz", run.model, averaged=True)
    run.model.eval()
    return run


def open_codec(folder, recipes, script, beside=None):
    """The Run of a VQ-VAE whose codes a prior is to model. beside: where else to look for a
    folder of this name. Raises RunError if it is no VQ-VAE, or another script's."""
    if beside is not None and not Path(folder).exists():
        folder = beside.parent / Path(folder).name
    codec = read(folder)
    if codec.flags.model != "vqvae":
        raise RunError(f"--codes {folder}: that run is a {codec.flags.model}, which has no codes; "
                       f"name the run of a VQ-VAE, trained with python {script} --model vqvae")
    if codec.script != script:
        raise RunError(f"--codes {folder}: that VQ-VAE was trained by {codec.script}; give its "
                       f"codes to python {codec.script} --model prior")
    return open_run(folder, recipes)


def codes_changed(folder, codec):
    """What to say where a prior's VQ-VAE is no longer the one it was trained with."""
    return (f"{folder}: the codes it models are no longer those of {codec.folder}, which was "
            f"trained on or replaced since; train the prior again, with python {codec.script} "
            f"--model prior --codes {codec.folder}")


def code_checksum(codec):
    """What identifies the codes: the VQ-VAE's own weights and the data."""
    return hashlib.sha256(b"codes" + codec.checksum().encode()).hexdigest()


def encoded(dataset, codec, train=True):
    """The data set as the grids of codes that the VQ-VAE of this Run gives its images; train=False
    leaves the training images out."""
    if dataset.sha256 != codec.trained_on["sha256"]:
        raise RunError(f"--codes {codec.folder}: that VQ-VAE was trained on "
                       f"{codec.trained_on['title']}; the data here is {dataset.title}, and other")
    if codec.flags.binarize != "none":
        dataset = data.statically_binarised(dataset)
    def codes(images):
        parts = np.array_split(images, -(-len(images) // 500))
        return np.concatenate([to_numpy(codec.model.codes(to_batch(part))) for part in parts]
                              ).astype(np.int32)[..., None]
    test = codes(dataset.test_images)
    train = codes(dataset.train_images) if train else test[:0]
    height, width = test.shape[1:3]
    return CodeDataset(dataset.name, f"{dataset.title}, as {height}x{width} codes of "
                       f"{codec.folder.name}", train, dataset.train_labels[:len(train)], test,
                       dataset.test_labels, code_checksum(codec),
                       len(codec.model.e), codec.model.decode_codes)
