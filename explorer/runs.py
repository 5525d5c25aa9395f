"""The runs that the page may ask for: found in folders, opened when they are needed."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import models
from scratchnet.errors import UserError
from scratchnet.runs import data, open_run
from scratchnet.runs.many import run_folders
from scratchnet.runs.run import grids_of
from scratchnet.runs.run import read as read_run

from .answers import Wrong, asked, integer, numbers

EXAMPLES = 500  # test images at hand


@dataclass
class Runs:
    """folders: {name: folder of a run}. examples: {kind of images: (images, labels, title)} where
    they lie beside the page; others: the data sets of this computer, or drawn. fetch: a function
    that brings the weights of the run of this name, where they do not lie here yet."""

    folders: dict
    examples: dict = field(default_factory=dict)
    fetch: object = None
    opened: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    places: tuple = ()  # where runs may yet begin: look() finds them
    trainings: dict = field(default_factory=dict)  # {name: ask_training.Watched}

    def open(self, name):
        """The Run of this name, opened once; again if its checkpoint is another. Raises Wrong for a
        name that is not listed, UserError for a run that cannot be opened."""
        folder = self.folder_of(name)
        if self.fetch:
            self.fetch(name)
        stamp = Path(folder, "checkpoint.npz")
        stamp = stamp.stat().st_mtime_ns if stamp.exists() else 0
        if self.opened.get(name, (None, None))[1] != stamp:
            self.opened[name] = open_run(folder, models.RECIPES), stamp
            self.memory.pop(name, None)
        return self.opened[name][0]

    def folder_of(self, name):
        """Raises Wrong for a name that is not listed."""
        folder = self.folders.get(name) if isinstance(name, str) else None
        if folder is None:
            raise Wrong(f"run: {str(name)[:60]!r} is none of {', '.join(self.folders) or 'none'}")
        return folder

    def look(self):
        """Add the runs that have begun since."""
        for name, folder in found_in(self.places).items():
            if folder not in self.folders.values():
                self.folders[unused(name, self.folders)] = folder

    def kept(self, name):
        """A dict for what was computed of a run, for as long as it is the same."""
        self.open(name)
        return self.memory.setdefault(name, {})

    def of(self, name, *methods):
        """The run, whose model has these methods. Raises Wrong otherwise."""
        run = self.open(name)
        if not all(hasattr(run.model, method) for method in methods):
            raise Wrong(f"run: {name} is a {run.flags.model}, which has no {' or '.join(methods)}")
        return run

    def test_images(self, name):
        """(images uint8 (n, H, W, C), labels (n,), what they are): of the data that the run, or a
        prior's VQ-VAE, was trained on; binary where those were."""
        memory = self.kept(name)
        if "images" not in memory:
            run = self.open(name)
            memory["images"] = self.find_images(run.vqvae or run)
        return memory["images"]

    def find_images(self, run):
        key = kind_of(run)
        if key in self.examples:
            found = data.Dataset("", "", *2 * self.examples[key][:2], "")
            title = self.examples[key][2]
        else:
            found, title = nearest_data(run)
        found = found.limited(EXAMPLES)
        if run.flags.binarize != "none":
            found = data.statically_binarised(found)
        return found.test_images, found.test_labels, title


def kind_of(run):
    """Of images: those of one kind are the same for all runs."""
    if data.KINDS[run.kind].datasets:
        return run.kind
    return f"{run.trained_on['name']}-{run.trained_on['sha256'][:12]}"


def nearest_data(run):
    """The data set that the run was trained on if it is on this computer, else a synthetic one."""
    kind, name = data.KINDS[run.kind], run.trained_on["name"]
    if not kind.datasets:
        found = data.load_own(run.flags, None, progress=False)
    elif name in data.SOURCES and data.is_here(name):
        found = data.load(name, progress=False)
    else:
        title, arrays = kind.synthetic(train=100, test=EXAMPLES)
        found = data.Dataset("synthetic", title, *arrays, "")
    return found, found.title


def found_in(folders):
    """{name: folder} of the runs in these folders, each a run itself or a folder of runs. One that
    is named twice is there once."""
    found, seen = {}, set()
    for path in run_folders(folders):
        if path.resolve() not in seen:
            seen.add(path.resolve())
            found[unused(path.resolve().name, found)] = path
    return found


def unused(name, taken):
    """The name, or with the first number that makes it new."""
    new, n = name, 2
    while new in taken:
        new, n = f"{name}-{n}", n + 1
    return new


# ---------------------------------------------------------------- what is asked of all runs

@asked
def runs(runs):
    """Every run, those that have begun since among them: what it is, or why it cannot be opened."""
    runs.look()
    found = []
    for name, folder in runs.folders.items():
        try:
            run = read_run(folder)
            entry = {"model": run.flags.model, "title": run.title}
            if not (runs.fetch or Path(folder, "checkpoint.npz").is_file()):
                entry["error"] = "no checkpoint yet"
        except UserError as error:
            entry = {"error": str(error)}
        found.append({"name": name, **entry})
    return {"runs": found}


@asked
def about(runs, run):
    """What the page must know of a run to show it."""
    images, *_ = runs.test_images(run)
    run = runs.open(run)
    model = run.model
    K = len(model.e) if hasattr(model, "e") else 0
    return {"title": run.title, "model": run.flags.model,
            "shape": list((run.vqvae or run).image_shape), "grid": list(run.image_shape),
            "classes": int(model.num_classes),
            "codes": K or (int(model.levels) if model.takes_codes else 0),
            "levels": int(getattr(model, "levels", 0)),
            "posterior": hasattr(model, "posterior"), "examples": len(images)}


@asked
def examples(runs, run, count=40):
    """Test images, (n, H, W, C) bytes, and their labels."""
    count = integer("count", count, 1, 200)
    images, labels, title = runs.test_images(run)
    return {"images": images[:count], "labels": np.asarray(labels[:count]), "title": title}


def example(runs, name, image):
    """One image (1, H, W, C) of floats in [0, 1]: the number of an example, or pixels of one's own,
    numbers (H, W, C) from 0 to 1."""
    images, labels, _ = runs.test_images(name)
    if isinstance(image, int) and not isinstance(image, bool):
        if not 0 <= image < len(images):
            raise Wrong(f"image: there are {len(images)}, numbered from 0; not {image}")
        return images[image:image + 1] / np.float32(255)
    return numbers("image", image, images.shape[1:], 0, 1)[None]


def grid_of(runs, name, image):
    """The same as a prior's grid of codes, (1, h, w, 1), or given as one: whole numbers (h, w)."""
    run = runs.open(name)
    if run.vqvae is None:
        return example(runs, name, image)
    h, w, _ = run.image_shape
    if isinstance(image, list) and np.shape(image) == (h, w):
        codes = np.asarray(image)
        if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= run.model.levels:
            raise Wrong(f"image: codes are whole numbers from 0 to {run.model.levels - 1}")
        return codes.astype(np.int32).reshape(1, h, w, 1)
    return grids_of(run.vqvae.model, np.uint8(255 * example(runs, name, image) + 0.5))
