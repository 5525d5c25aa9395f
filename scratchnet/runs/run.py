"""A run folder, opened again: its model with the weights it learned, its data, its title.

config.json says which script wrote it, with which flags, on which data; checkpoint.npz has the
weights. What generate.py, evaluate.py and a prior over a VQ-VAE's codes have in common.
"""

import hashlib
import os
import sys
from argparse import Namespace
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ..backend import to_numpy
from ..errors import CheckpointError, RunError, an, fitted, printable
from ..training import generator, to_batch
from . import checkpoint, data
from .data import Dataset, script_of, training_of
from .files import read_json, replacing
from .images import ARRAYS, Form, changes
from .images import read as read_images
from .log import counting
from .parser import as_written, build_parser, completed, config_of, flags_in


@dataclass
class Run:
    """folder; config: what is in its config.json; kind: of its images, a key of data.KINDS; flags:
    a Namespace; trained_on: name, title, sha256, image_shape, num_classes and names of the classes
    of the data; model:
    with its averaged weights, if it kept them; units: of its figures; vqvae: for a prior, the Run
    whose codes it models; progress: of its training."""

    folder: Path
    config: dict
    kind: str
    flags: Namespace
    trained_on: dict
    model: object = None
    units: str = ""
    vqvae: object = None
    progress: dict = None

    @property
    def script(self):
        return script_of(self.kind)

    @property
    def title(self):
        return f"{self.flags.model} on {self.trained_on['title']}"

    @property
    def image_shape(self):
        """(H, W, C) of the data; for a prior, of a grid of codes."""
        return tuple(self.trained_on["image_shape"])

    @property
    def classes(self):
        """The names of its classes, if they have some."""
        known = data.KINDS[self.kind].datasets and data.SOURCES.get(self.trained_on["name"])
        return known.classes if known else self.trained_on["classes"]

    def checksum(self):
        """SHA-256 of the data it was trained on and of everything it learned."""
        digest = hashlib.sha256(self.trained_on["sha256"].encode())
        for name, array in self.model.state_dict().items():
            if name == "N":  # a VQ-VAE had its count of steps here once, and old priors know it so
                digest.update(b"steps" + np.float32([self.progress["step"]]).tobytes())
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def dataset(self, data_dir=None, progress=True, validation=False):
        """The data it was trained on: binarised as it was (training images once); for a prior, as
        codes, and the test images alone. validation: with the images that it set aside in the place
        of the test images. Raises DataError if it is not there, RunError if it is another."""
        kind = data.KINDS[self.kind]
        if kind.datasets:
            found = data.load(self.trained_on["name"], data_dir, progress, kind.synthetic)
        else:
            found = data.load_own(self.flags, data_dir, progress, may_have_moved=True)
        if validation:
            found = found.with_validation(self.flags.validation)
        if self.vqvae is not None:
            kept = {} if validation else kept_codes(self.folder, self.vqvae)
            return encoded(found, self.vqvae, train=False, kept=kept, quiet=not progress)
        check_data(self.folder, self.trained_on, found)
        grey = self.flags.binarize == "none"
        return found if grey else data.statically_binarised(found)

    def given(self, path, progress=True):
        """Images of one's own as this run's: of their size and channels, black or white if those
        are; for a prior, as codes. A run that is told the class knows theirs by their names: of
        others they have no labels. A Dataset without training images. Raises DataError."""
        H, W, C = (self.vqvae or self).image_shape
        arrays = bool(ARRAYS.search(str(path)))  # rows and columns of pictures are another matter
        transposed = getattr(self.flags, "transpose", False) and arrays == bool(
            ARRAYS.search(str(self.flags.images)))
        form = Form((H, W), C == 1, transposed, getattr(self.flags, "channels_first", False))
        found = read_images(path, form, progress)
        part = found.get("all") or found["test"]
        x = np.repeat(part.images, C // part.images.shape[3], axis=3)
        done = changes(part.shapes, (H, W, C))
        if (self.vqvae or self).flags.binarize != "none":
            done += ["made black and white"] * bool((x % 255).any())
            x = np.uint8(255) * (x >= 128)
        if self.vqvae is not None:
            x = grids_of(self.vqvae.model, x)
        done += ["rows and columns exchanged, as for --transpose"] * transposed
        y, classes = part.labels, part.classes
        if self.model.num_classes and classes and self.classes:
            known = set(classes) <= set(self.classes)
            y = np.uint8([self.classes.index(name) for name in classes])[y] if known else None
            done += [] if known else [f"its subfolders {', '.join(classes[:20])} are none of the "
                                      f"classes of this run, {', '.join(self.classes[:20])}"]
            classes = self.classes
        if y is not None and self.model.num_classes and y.max() >= self.model.num_classes:
            raise RunError(f"{path}: has labels up to {y.max()}, but this run the classes 0 to "
                           f"{self.model.num_classes - 1}")
        name = printable(Path(path).name)
        said = [*part.said, f"{name}: {', '.join(done)}"] if done else part.said
        return Dataset("given", name, x[:0], None, x, y, "", said=said, names=part.names,
                       classes=classes)


@dataclass(frozen=True)
class CodeDataset(Dataset):
    """Grids of code indices, (N, h, w, 1), for images. levels: K. decode: indices (N, h, w) ->
    images. train_mirrored: the codes of the training images in a mirror, if those are wanted, which
    are others than the grids backwards. kept: they are in the run already (codes.npz)."""

    levels: int
    decode: callable
    train_mirrored: np.ndarray = field(default=None, kw_only=True)
    kept: bool = field(default=False, kw_only=True)

    def with_training(self, part):
        found = super().with_training(part)
        if self.train_mirrored is None:
            return found
        return replace(found, train_mirrored=self.train_mirrored[part])

    def mirrored(self, chosen, batch):
        return self.train_mirrored[chosen]


def check_data(folder, trained_on, dataset):
    """Raise RunError if the run in the folder was trained on other data than this."""
    if dataset.sha256 != trained_on["sha256"]:
        raise RunError(f"{folder}: was trained on {trained_on['title']} with SHA-256 "
                       f"{trained_on['sha256'][:12]}..., but the data found now has "
                       f"{dataset.sha256[:12]}...; it needs the same data: restore it, or name "
                       f"another folder with --data-dir")


# ---------------------------------------------------------------- opening

def read(folder):
    """The Run in a folder, without its model. Raises RunError if there is none."""
    path = config_of(folder)
    with as_written(path):
        config = read_json(path)
        kind = config["script"].removeprefix("train_").removesuffix(".py")
        its = config["dataset"]
        trained_on = {"name": str(its["name"]), "title": printable(its["title"]),
                      "sha256": str(its["sha256"]),
                      "image_shape": [int(n) for n in its["image_shape"]],
                      "num_classes": int(its["num_classes"]),
                      "classes": tuple(printable(name) for name in its.get("classes", ()))}
        flags = Namespace(**{"model": None} | config["flags"])
        return Run(Path(folder), config, kind, flags, trained_on)


def open_run(folder, recipes):
    """The Run in a folder, with its model. recipes: {kind of images: {model: Recipe}}.

    Raises RunError if there is no run, if it is of a model that is unknown here, or if the codes
    that it models have changed since; CheckpointError if it has no checkpoint, or a damaged one.
    """
    run = read(folder)
    path = run.folder / "checkpoint.npz"
    if not path.is_file():
        raise RunError(f"{run.folder}: the run has no checkpoint yet ({path} does not exist); "
                       f"train it first, with python {run.script} --resume {run.folder}, and a "
                       f"lower --lr if it diverged")
    recipe = complete(run, recipes)
    # What a recipe asks a data set for. The variance is in the checkpoint.
    shape = SimpleNamespace(image_shape=run.image_shape, variance=1.0,
                            num_classes=run.trained_on["num_classes"])
    if "codes" in recipe.has:
        run.vqvae = own_vqvae(run, recipes)
        run.trained_on["title"] = title_of_codes(  # it may have been moved
            run.vqvae.trained_on["title"], run.vqvae, run.image_shape)
        shape.levels, shape.decode = run.vqvae.flags.num_embeddings, run.vqvae.model.decode_codes
    run.model = build_model(recipe, shape, run.flags)
    run.progress = checkpoint.load(path, run.model, averaged=True)
    run.model.eval()
    return run


def complete(run, recipes):
    """The Recipe of a Run, which gets the flags that are younger than it. Raises RunError if there
    is none."""
    models, model = recipes.get(run.kind, {}), str(run.flags.model)
    config = run.folder / "config.json"
    if model not in models:
        raise RunError(f"{config}: {run.script} has no model {model!r}; the run is of another "
                       f"version of scratchnet")
    recipe = models[model]
    with as_written(config):
        parser = build_parser(run.kind, "", models, model)
        run.flags = completed(vars(flags_in(config, run.config["flags"], parser)), parser)
        _, run.units = recipe.shows(run.flags)
    return recipe


def build_model(recipe, dataset, flags):
    """The recipe's model, with its first weights. Raises RunError for sizes that do not fit the
    images, and for a class that says nothing."""
    sizes = {name: getattr(flags, name) for name in recipe.has}
    if sizes.get("conditional") and dataset.num_classes < 2:
        raise RunError("--conditional: the images have no labels, or one class alone; leave "
                       "it out")
    try:
        return recipe.build(dataset, generator(flags.seed, "weights"), **sizes)
    except ValueError as error:
        raise RunError(str(error)) from None


# ---------------------------------------------------------------- the codes of a VQ-VAE

def own_vqvae(prior, recipes):
    """The Run of the VQ-VAE whose codes the prior of this Run models: where its config.json says,
    or in a folder of that name beside it. Raises RunError if neither is that VQ-VAE, or
    CheckpointError if the first is damaged and the second is not it."""
    named = Path(prior.flags.codes)
    beside = prior.folder.resolve().parent / named.name
    places, wrong = dict.fromkeys([named, beside]), []
    for folder in filter(os.path.exists, places):
        try:
            vqvae = open_vqvae(folder, recipes, prior.kind)
            check_codes(prior.folder, prior.trained_on, vqvae)
            return vqvae
        except (RunError, CheckpointError) as error:
            wrong.append(type(error)(f"{prior.folder}: the VQ-VAE whose codes it models is looked "
                                     f"for at {folder}, but "
                                     f"{str(error).removeprefix(f'{prior.folder}: ')}"))
    if wrong:
        raise wrong[0]
    raise RunError(f"{prior.folder}: its codes are those of a VQ-VAE that is not at "
                   f"{', nor at '.join(map(str, places))}; put its folder there")


def open_vqvae(folder, recipes, kind):
    """The Run of a VQ-VAE whose codes a prior is to model. Raises RunError if it is no VQ-VAE, or
    one of other images."""
    run = read(folder)
    if run.flags.model != "vqvae":
        raise RunError(f"--codes {folder}: that run is {an(run.flags.model)}, which has no codes; "
                       f"name the run of a VQ-VAE, trained with {training_of(kind)} --model "
                       f"vqvae")
    if run.kind != kind:
        raise RunError(f"--codes {folder}: that VQ-VAE was trained by {run.script}; give its "
                       f"codes to python {run.script} --model prior")
    return open_run(folder, recipes)


def check_codes(folder, trained_on, vqvae):
    """Raise RunError if a prior's VQ-VAE is no longer the one it was trained with."""
    if trained_on["sha256"] != code_checksum(vqvae):
        raise RunError(f"{folder}: the codes it models are not those of {vqvae.folder}, "
                       f"which is another VQ-VAE, or was trained on since; name its own, or train "
                       f"the prior again with python {vqvae.script} --model prior --codes "
                       f"{vqvae.folder}")


def code_checksum(vqvae):
    """What identifies the codes: the VQ-VAE's own weights and the data."""
    return hashlib.sha256(b"codes" + vqvae.checksum().encode()).hexdigest()


def codes_of(model, images, quiet=True):
    """The grids of codes of uint8 images, integers (N, h, w)."""
    return encoding(len(images), lambda part: model.codes(to_batch(images[part])), quiet)


def encoding(n, codes, quiet=True):
    """What codes(indices) gives for each of n images, (n, ...), about 500 at a time."""
    done, found = counting(quiet, n, "encoding", "image"), []
    for part in np.array_split(np.arange(n), -(-n // 500)):
        found.append(to_numpy(codes(part)))
        done(len(part))
    return np.concatenate(found)


def grids_of(model, images, quiet=True):
    """The same as the images of a prior, int32 (N, h, w, 1)."""
    return codes_of(model, images, quiet).astype(np.int32)[..., None]


def keep_codes(folder, dataset):
    """Write codes.npz, all codes of a CodeDataset and the checksum of what made them, into the
    folder of a prior, for the next time. A disk that is full does not end the run."""
    least = np.min_scalar_type(dataset.levels - 1)
    parts = {"train": dataset.train_images, "test": dataset.test_images}
    if dataset.train_mirrored is not None:
        parts["mirrored"] = dataset.train_mirrored
    try:
        with replacing(folder / "codes.npz") as file:
            np.savez_compressed(file, checksum=dataset.sha256,
                                **{n: a.astype(least) for n, a in parts.items()})
    except OSError as error:
        print(fitted(f"NOTE: {folder / 'codes.npz'} could not be written ("
                     f"{error.strerror or error}); --resume will encode the images again"),
              file=sys.stderr)


def kept_codes(folder, vqvae):
    """The grids in codes.npz, {"train": ..., "test": ...}: {} if there is no such file, if it is
    damaged or if it is of another VQ-VAE than this Run's: they are made anew then."""
    try:
        with (open(Path(folder, "codes.npz"), "rb") as stream,
              np.load(stream, allow_pickle=False) as file):
            if str(file["checksum"]) != code_checksum(vqvae):
                return {}
            return {n: file[n].astype(np.int32) for n in file.files if n != "checksum"}
    except Exception:  # whatever NumPy and zipfile make of it
        return {}


def encoded(dataset, vqvae, train=True, flip=False, kept=None, quiet=True):
    """The data set as the grids of codes that the VQ-VAE of this Run gives its images; train=False
    leaves the training images out, flip adds the codes of mirrored ones. kept: what kept_codes
    gives. Raises RunError if it was trained on other data."""
    if dataset.sha256 != vqvae.trained_on["sha256"]:
        raise RunError(f"--codes {vqvae.folder}: that VQ-VAE was trained on "
                       f"{vqvae.trained_on['title']}; the data here is {dataset.title}, and other")
    if vqvae.flags.binarize != "none":  # the images it saw were binary, if only for one step each
        dataset = data.statically_binarised(dataset)
    images = {"test": dataset.test_images} | ({"train": dataset.train_images} if train else {}) | (
        {"mirrored": dataset.train_images[:, :, ::-1]} if flip else {})
    if not kept or any(len(kept.get(part, ())) != len(images[part]) for part in images):
        kept = None
    grids = kept or {part: grids_of(vqvae.model, images[part], quiet) for part in images}
    test = grids["test"]
    train = grids["train"] if train else test[:0]
    title = title_of_codes(dataset.title, vqvae, test.shape[1:])
    return CodeDataset(dataset.name, title, train, dataset.train_labels[:len(train)], test,
                       dataset.test_labels, code_checksum(vqvae), len(vqvae.model.e),
                       vqvae.model.decode_codes, held_out=dataset.held_out,
                       classes=dataset.classes, kept=bool(kept),
                       train_mirrored=grids["mirrored"] if flip else None)


def title_of_codes(title, vqvae, shape):
    height, width = shape[:2]
    return f"{title}, as {height}x{width} codes of {printable(vqvae.folder.name)}"
