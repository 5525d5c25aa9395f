"""The page's worker calls this (explorer/page/worker.js). build.py has packed what lies in /site:
the engine, the runs, and examples.npz."""

import json
from pathlib import Path

import numpy as np

from . import (
    answers,
    ask_all,  # noqa: F401 - what can be asked
    without_blas,
)
from .runs import Runs, found_in

SITE = Path("/site")
without_blas.use()


def examples():
    """{kind of images: (images, labels, title)} of examples.npz."""
    with np.load(SITE / "examples.npz") as found:
        return {str(kind): (found[f"{kind}.images"], found[f"{kind}.labels"],
                            str(found[f"{kind}.title"])) for kind in found["kinds"]}


RUNS = Runs(found_in([SITE / "runs"]), examples())


def parts(name, request):
    """Each part of the answer to a request, as JSON in and out."""
    for part in answers.parts(RUNS, name, json.loads(request)):
        yield json.dumps(part)
