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
from scratchnet.runs import open_run, synthetic

from .ask_training import drawn
from .book import Book
from .runs import EXAMPLES, kind_of, nearest_data

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.27.8/full/"
# SHA-256 of that version's pyodide.js, as npm has it: npm pack pyodide@0.27.8
HASHES = {"pyodide.js": "11394774b02fa67bb4513db9433b6a8303a3926da906e4255ec85ac97b719b4b"}
PARTS = ("scratchnet/**/*.py", "models/*.py", "explorer/*.py", "exercises/**/*.py",
         "tests/loops.py", "docs/[0-9]*.md")  # what the worker imports, and the exercises quote
POLICY = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{0}; worker-src 'self'; "
          "connect-src 'self'{0}; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
          "form-action 'none'")


def build(folder, runs, pyodide=None):
    """Write the site into the folder. Raises UserError for a folder with something else in it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "site.json").is_file():
        raise UserError(f"--build {folder}: there is something else in it; name an empty folder")
    if pyodide and not (pyodide / "pyodide.js").is_file():
        raise UserError(f"--pyodide {pyodide}: there is no pyodide.js")
    book = Book()
    pages = {address: book.page(address) for address in book.pages}  # before anything is written
    opened, examples = {}, {}
    for name, run in runs.items():
        try:
            opened[name] = open_run(run, models.RECIPES)
            examples_of(opened[name], examples)
        except UserError as error:
            opened.pop(name, None)
            print(f"without {name}: {error}")
    for part in ("page", "book", "runs", "examples"):  # of an earlier site
        shutil.rmtree(folder / part, ignore_errors=True)
    shutil.copytree(HERE / "page", folder / "page", dirs_exist_ok=True)
    where, hashes = PYODIDE, HASHES
    if pyodide:
        where = "pyodide/"
        if pyodide.resolve() != (folder / where).resolve():
            shutil.copytree(pyodide, folder / where, dirs_exist_ok=True)
        hashes = {"pyodide.js": hashlib.sha256((pyodide / "pyodide.js").read_bytes()).hexdigest()}
    write(folder / "site.json", json.dumps({"pyodide": where, "hashes": hashes}))
    policy = POLICY.format("" if pyodide else f" {PYODIDE.partition('/pyodide/')[0]}")
    page = (HERE / "page" / "index.html").read_text(encoding="utf-8")
    write(folder / "index.html", as_static(page, policy))
    for address, found in pages.items():
        write(folder / "book" / address,
              found if isinstance(found, bytes) else as_static(found, policy))
    for name in opened:
        weights = (Path(runs[name]) / "checkpoint.npz").read_bytes()
        write(folder / "runs" / name / "checkpoint.npz", weights)
    images, labels, title = drawn()  # for the training that is watched
    examples["digits"] = {"images": images, "labels": labels, "title": title}
    for kind, arrays in examples.items():
        write(folder / "examples" / f"{kind}.npz", packed(arrays))
    write(folder / "engine.zip", engine({name: runs[name] for name in opened}, list(examples)))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    first = sum((folder / file).stat().st_size for file in ("index.html", "engine.zip"))
    print(f"{folder}: {size / 1e6:.1f} MB, of which the engine that a page starts with "
          f"{first / 1e6:.1f}")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def as_static(page, policy):
    """A page that the worker answers, with its policy: a web host may add no headers."""
    return page.replace('data-engine=""', 'data-engine="worker"').replace(
        "<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">')


def engine(runs, kinds):
    """What the worker unpacks: sources, what is known of the runs, the digits of fonts."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in PARTS:
            for path in sorted(ROOT.glob(pattern)):
                archive.write(path, path.relative_to(ROOT))
        for name, run in runs.items():
            archive.writestr(f"runs/{name}/config.json", told_of(Path(run) / "config.json"))
            for file in ("evaluation.json", "metrics.csv"):
                if (Path(run) / file).is_file():
                    archive.write(Path(run) / file, f"runs/{name}/{file}")
        archive.writestr("examples.json", json.dumps(kinds))
        glyphs = io.BytesIO()
        np.save(glyphs, np.uint8(np.rint(255 * synthetic._glyphs())))
        archive.writestr("glyphs.npy", glyphs.getvalue())
    return found.getvalue()


def told_of(config):
    """A run's config.json, of whose paths the last parts alone: where the images of its maker lie
    is nobody's concern, and a prior finds its VQ-VAE beside it."""
    found = json.loads(config.read_text(encoding="utf-8"))
    flags = found["flags"]
    flags |= {name: Path(flags[name]).name for name in ("images", "test", "codes", "from")
              if flags.get(name)}
    return json.dumps(found)


def packed(arrays):
    found = io.BytesIO()
    np.savez_compressed(found, **arrays)
    return found.getvalue()


def examples_of(run, found):
    """Put EXAMPLES test images of the run's kind, labels and title into found, {kind: ...}."""
    run = run.vqvae or run
    if kind_of(run) not in found:
        images, title = nearest_data(run)
        images = images.limited(EXAMPLES)
        found[kind_of(run)] = {"images": images.test_images, "title": title,
                               "labels": np.asarray(images.test_labels)}
