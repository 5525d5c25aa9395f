"""The page's worker calls this (explorer/page/worker.js). build.py has packed what lies in /site:
the engine, what is known of the runs, glyphs.npy; runs' weights and test images are fetched when
they are first asked for."""

import io
import json
import os
from pathlib import Path

import js
import numpy as np

from scratchnet.errors import UserError
from scratchnet.runs import run, synthetic

from . import (
    answers,
    ask_all,  # noqa: F401 - what can be asked
    without_blas,
)
from .runs import Runs, found_in

SITE = Path("/site")
without_blas.use()


def fetched(address):
    """The bytes of a file of the site."""
    request = js.XMLHttpRequest.new()
    request.open("GET", js.URL.new(f"../{address}", js.location.href).href, False)
    request.responseType = "arraybuffer"
    request.send()
    if request.status != 200:
        raise UserError(f"{address} cannot be fetched from the site: {request.status}")
    return request.response.to_bytes()


def fetch(name):
    """Bring a run's weights, once."""
    path = SITE / "runs" / name / "checkpoint.npz"
    if not path.exists():
        path.write_bytes(fetched(f"runs/{name}/checkpoint.npz"))


class Examples(dict):
    """{kind of images: (images, labels, title)}, of examples/KIND.npz."""

    def __missing__(self, kind):
        with np.load(io.BytesIO(fetched(f"examples/{kind}.npz"))) as found:
            self[kind] = found["images"], found["labels"], str(found["title"])
        return self[kind]

    def __contains__(self, kind):
        return kind in KINDS


KINDS = json.loads((SITE / "examples.json").read_text())
RUNS = Runs(found_in([SITE / "runs"]), Examples(), fetch)

# What the book's code takes for granted, and a browser has not: pretrained/ where it runs, fonts,
# and a bincount of int64, which NumPy refuses on 32 bits.
os.chdir(SITE)
os.symlink(SITE / "runs", SITE / "pretrained")
read, bincount = run.read, np.bincount


def read_and_fetch(folder):
    """What open_run() begins with, also for the VQ-VAE of a prior."""
    if Path(folder).name in RUNS.folders:
        fetch(Path(folder).name)
    return read(folder)


run.read = read_and_fetch
synthetic._glyphs = lambda: np.load(SITE / "glyphs.npy") / np.float32(255)
np.bincount = lambda x, *how, **named: bincount(
    x.astype(np.intp) if getattr(x, "dtype", None) == np.int64 else x, *how, **named)


def parts(name, request):
    """Each part of the answer to a request, as JSON in and out."""
    for part in answers.parts(RUNS, name, json.loads(request)):
        yield json.dumps(part)
