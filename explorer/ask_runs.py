"""What the page asks of runs beside each other: flags that differ, figures, curves, pictures.

Read from the files of a run's folder, also while it trains. A name in a request is looked up among
those that are there, and is never a path.
"""

import base64
import json
import math
from pathlib import Path

import models
from scratchnet.errors import UserError
from scratchnet.runs.files import reading
from scratchnet.runs.log import label
from scratchnet.runs.many import differing, metrics
from scratchnet.runs.run import complete
from scratchnet.runs.run import read as read_run

from .answers import Wrong, asked

LARGEST = 1 << 22  # bytes of a picture
ROWS = 1000  # of a curve; of more, every second, third, ... is kept
PNG = b"\x89PNG\r\n\x1a\n"
NO_FLAGS = {"model", "out", "resume", "data_dir", "overwrite", "quiet"}


@asked
def compare(runs):
    """Every run: its model and data, epochs done and wanted, figures, flags, pictures; and the
    names of the flags that differ between runs of one model."""
    runs.look()
    found = [described(name, Path(folder)) for name, folder in runs.folders.items()]
    return {"runs": found, "differ": differing((run["model"], run["flags"]) for run in found
                                               if "flags" in run)}


def described(name, folder):
    try:
        run = read_run(folder)
        rows, there = metrics(folder), pictures(folder)
        best = rows[-1] if rows else {}
        if run.flags.model in models.RECIPES.get(run.kind, {}):
            recipe = complete(run, models.RECIPES)  # flags that came later, and units
            if rows and run.flags.keep_best:
                foremost = f"validation_{recipe.shows(run.flags)[0][0]}"
                best = min(rows, key=lambda row: row.get(foremost, math.inf))
        return {"name": name, "model": str(run.flags.model), "title": run.title,
                "epochs": getattr(run.flags, "epochs", None), "done": done(rows),
                "flags": {n: flag(v) for n, v in vars(run.flags).items() if n not in NO_FLAGS},
                "units": run.units, "columns": columns(rows),
                "figures": figures(folder, rows, best), "pictures": sorted(there),
                "drawn": max((path.stat().st_mtime for path in there.values()), default=0)}
    except UserError as error:
        return {"name": name, "error": str(error)}
    except Exception as error:  # of a run that somebody has changed; the others are shown
        return {"name": name, "error": f"{type(error).__name__}: {error}"}


def flag(value):
    """As it would be written on a command line."""
    if isinstance(value, bool) or value is None:
        return "yes" if value else ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def done(rows):
    return rows[-1]["epoch"] if rows and "epoch" in rows[-1] else 0


def columns(rows):
    """Its figures, {column: how it is called}: of the training and of what is held out."""
    return {name: f"{label(name.partition('_')[2])}, {name.partition('_')[0]}"
            for name in dict.fromkeys(name for row in rows for name in row)
            if name.startswith(("train_", "test_", "validation_"))}


def figures(folder, rows, best):
    """The run's own figures on what it holds out, in its best row; what evaluate.py found instead,
    unless that was of an earlier step."""
    path = folder / "evaluation.json"
    found = {label(n.partition("_")[2]): value for n, value in best.items()
             if n.startswith(("test_", "validation_"))}
    if path.is_file():
        with reading(path, "evaluation that evaluate.py wrote", "evaluate again"):
            evaluation = json.loads(path.read_text(encoding="utf-8"))
            if not rows or evaluation.get("step", 0) >= best.get("step", 0):
                found = {label(n): float(figure["value"])
                         for n, figure in evaluation["figures"].items()}
    return {n: value for n, value in found.items() if math.isfinite(value)}


@asked
def curves(runs, run, column):
    """One column of a run's metrics.csv over its steps: {"steps", "values"}."""
    rows = metrics(Path(runs.folder_of(run)))
    if rows and (not isinstance(column, str) or column not in columns(rows)):
        raise Wrong(f"column: {str(column)[:40]!r} is none of {', '.join(columns(rows))}")
    rows = [row for row in rows if math.isfinite(row.get(column, math.nan))]
    rows = rows[::max(1, len(rows) // ROWS)]
    return {name: [row.get(of, 0) for row in rows]
            for name, of in (("steps", "step"), ("values", column))}


@asked
def picture(runs, run, name):
    """A PNG of a run's folder, as base64."""
    there = pictures(Path(runs.folder_of(run)))
    path = there.get(name) if isinstance(name, str) else None
    if path is None:
        raise Wrong(f"picture: {str(name)[:60]!r} is none of {', '.join(sorted(there)) or 'none'}")
    with reading(path, "PNG picture", "draw it again, with generate.py"), open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if not content.startswith(PNG) or len(content) > LARGEST:
        raise Wrong(f"picture: {name} is no PNG of at most {LARGEST >> 20} MB")
    return {"png": base64.b64encode(content).decode()}


def pictures(folder):
    """{name: path} of the PNG files in a run's folder itself."""
    return {path.name: path for path in folder.glob("*.png")
            if path.is_file() and not path.is_symlink()}
