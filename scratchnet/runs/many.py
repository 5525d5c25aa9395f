"""Runs beside each other, read from the files in their folders, also while they train: figures, the
flags in which they differ, how far they are."""

import contextlib
import csv
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, fitted, printable
from .files import contents, reading
from .flags import dashed, words
from .log import label, stale
from .run import Run, complete, read

NO_FLAGS = {"model", "dataset", "images", "codes", "epochs", "steps", "keep_best", "validation",
            "limit", "test", "backend"}  # said elsewhere, or of no weight


@dataclass
class Summary:
    """A run. rows: of its metrics.csv; columns: the metrics that its recipe shows, the first
    foremost; part: of the data, "test" or "validation"; best: the row that it is judged by, the
    last unless the best was kept, {} before the first; megabytes: of its folder."""

    run: Run
    rows: list
    columns: tuple
    part: str
    best: dict
    megabytes: float

    @property
    def figures(self):
        """Those of the columns, None where there are none yet."""
        return [self.best.get(f"{self.part}_{name}") for name in self.columns]

    @property
    def group(self):
        """What its figures are of: only those of one group compare."""
        binary = ", binarised" * (self.run.flags.binarize != "none")
        figure, units = label(self.columns[0]), f", {self.run.units.partition(' (')[0]}"
        if "/" in figure:  # it is its unit
            units = ", given its class" * units.endswith(", given its class")
        images = [f"--{name} {value}" for name in ("validation", "limit", "test")
                  if (value := getattr(self.run.flags, name, None))]
        chosen = f" ({', '.join(images)})" * bool(images)
        title, of = self.run.trained_on["title"], getattr(self.run.flags, "images", None)
        if of and not getattr(self.run.flags, "codes", None):  # others may have the same name
            title = f"{of}, {'x'.join(map(str, self.run.image_shape))}"
        return f"{title}{binary}: {self.part} {figure}{chosen}{units}"

    @property
    def early(self):
        """Whether it stopped before its end."""
        return stale(self.rows, self.best, self.run.flags.patience)

    @property
    def progress(self):
        """How many epochs or steps are done, of how many if that is not all, and whether it is, or
        no more are to come."""
        last, flags = self.rows[-1] if self.rows else {"epoch": 0, "step": 0}, self.run.flags
        name, wanted = ("step", flags.steps) if flags.steps else ("epoch", flags.epochs)
        done = int(last[name])
        return f"{done:,}" + f"/{wanted:,}" * (done < wanted), done >= wanted or self.early


def run_folders(folders):
    """Those of the folders that are runs, and the runs that lie in the others."""
    found = [Path(folder, name) for folder in folders
             for name in ([""] if is_run(folder) else sorted(contents(Path(folder))))]
    return list(dict.fromkeys(filter(is_run, found)))


def is_run(folder):
    return os.path.isfile(os.path.join(folder, "config.json"))  # False where it may not be read


def summary(folder, recipes):
    """The Summary of the run in a folder. Raises RunError if it cannot be read."""
    run = read(folder)
    columns = complete(run, recipes).shows(run.flags)[0]
    rows, part = metrics(folder), "validation" if run.flags.validation else "test"
    with table(folder):
        judged = [(row["epoch"], row["step"], row["seconds"], row[f"{part}_{columns[0]}"])
                  for row in rows]
    best = min(range(len(rows)), key=lambda k: judged[k][-1], default=0) if (
        run.flags.keep_best) else len(rows) - 1
    return Summary(run, rows, columns, part, rows[best] if rows else {}, size_of(folder) / 1e6)


def size_of(folder):
    """The bytes of the files in a folder."""
    found = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # it is trained into
            found += entry.stat().st_size if entry.is_file() else 0
    return found


def metrics(folder):
    """The rows of a run's metrics.csv, {column: number}, [] where there are none yet."""
    path = Path(folder, "metrics.csv")
    if not path.is_file():
        return []
    with table(folder), open(path, newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)]


def table(folder):
    return reading(Path(folder, "metrics.csv"), "table of a run's figures",
                   "--resume writes it anew")


def differing(found):
    """{key: names of the flags in which its runs differ}, of pairs (key, {flag: value}), where
    runs of one key are of one model."""
    groups = {}
    for key, flags in found:
        groups.setdefault(key, []).append({n: words(v) for n, v in flags.items()})
    return {key: sorted(name for name in set().union(*flags)
                        if len({of.get(name, "") for of in flags}) > 1)
            for key, flags in groups.items()}


def spoken(flags, names):
    """These of the flags as on a command line."""
    given = [(dashed(n), getattr(flags, n, None)) for n in names if n not in NO_FLAGS]
    return [name if value is True else f"{name} {words(value)}" for name, value in given
            if value is not None and value is not False]


def listed(folders):
    """A line for each run in these folders: where it is, what it is."""
    found = []
    for folder in run_folders(folders):
        try:
            found.append((str(folder), read(folder).title))
        except (RunError, OSError):  # is said where it is opened
            continue
    width = max((len(name) for name, _ in found), default=0)
    return [fitted(printable(f"  {name:{width}}  {title}"), 4) for name, title in found]
