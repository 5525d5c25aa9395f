"""The static site: the page, the engine for its worker, the runs, the book.

    python explore.py --build site [RUN ...] [--pyodide DIR]
"""

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

import models
from scratchnet.errors import UserError
from scratchnet.runs import data, open_run

from .ask_training import drawn
from .runs import EXAMPLES, nearest_data

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.27.8/full/"
# SHA-256 of that version's pyodide.js, as npm has it: npm pack pyodide@0.27.8
HASHES = {"pyodide.js": ""}
PARTS = ("scratchnet/**/*.py", "models/*.py", "explorer/*.py")  # what the worker imports


def build(folder, runs, pyodide=None):
    """Write the site into the folder. Raises UserError for a folder with something else in it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "site.json").is_file():
        raise UserError(f"--build {folder}: there is something else in it; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "page", folder / "page", dirs_exist_ok=True)
    page = (HERE / "page" / "index.html").read_text()
    (folder / "index.html").write_text(page.replace('data-engine=""', 'data-engine="worker"'))
    where, hashes = PYODIDE, HASHES
    if pyodide:
        where = "pyodide/"
        copy_pyodide(pyodide, folder / where)
        hashes = {"pyodide.js": hashlib.sha256((pyodide / "pyodide.js").read_bytes()).hexdigest()}
    (folder / "site.json").write_text(json.dumps({"pyodide": where, "hashes": hashes}))
    (folder / "engine.zip").write_bytes(engine(runs))


def copy_pyodide(source, folder):
    if not (source / "pyodide.js").is_file():
        raise UserError(f"--pyodide {source}: there is no pyodide.js")
    shutil.copytree(source, folder, dirs_exist_ok=True)


def engine(runs):
    """What the worker unpacks: sources, runs, a few test images of each kind."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in PARTS:
            for path in sorted(ROOT.glob(pattern)):
                archive.write(path, path.relative_to(ROOT))
        for name, run in runs.items():
            for file in ("config.json", "checkpoint.npz", "evaluation.json", "metrics.csv"):
                if (Path(run) / file).is_file():
                    archive.write(Path(run) / file, f"runs/{name}/{file}")
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **examples_of(runs))
        archive.writestr("examples.npz", arrays.getvalue())
    return packed.getvalue()


def examples_of(runs):
    """The arrays of examples.npz: EXAMPLES test images of each kind that the runs are of."""
    found = {}
    for folder in runs.values():
        run = open_run(folder, models.RECIPES)
        run = run.vqvae or run
        key = run.kind if data.KINDS[run.kind].datasets else run.trained_on["name"]
        if f"{key}.images" not in found:
            images, title = nearest_data(run)
            images = images.limited(EXAMPLES)
            found |= {f"{key}.images": images.test_images, f"{key}.title": title,
                      f"{key}.labels": np.asarray(images.test_labels)}
    images, labels, title = drawn()  # for the training that is watched
    found |= {"digits.images": images, "digits.labels": labels, "digits.title": title}
    return found | {"kinds": sorted({key.partition(".")[0] for key in found})}
