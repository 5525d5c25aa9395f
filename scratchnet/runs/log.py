"""What has been measured: on screen, in the csv files and in the checkpoint."""

import contextlib
import csv
import math
import sys
import threading
import time

import numpy as np

from ..backend import raw, to_numpy, xp
from ..errors import CheckpointError, DivergenceError, in_brief
from ..training import summarise
from . import checkpoint
from .files import replacing

TRACE_EVERY = 100     # steps that a row of train.csv is the mean of
TOO_MUCH = 100        # times the loss of the untrained model: the training has diverged


class Sums:
    """Sums of metrics, each times its number of images, and of the images: for their means."""

    def __init__(self, values=None, images=0):
        self.values, self.images = {n: np.asarray(v) for n, v in (values or {}).items()}, images

    def add(self, metrics, images):
        for name, value in metrics.items():
            self.values[name] = self.values.get(name, 0.0) + value * images
        self.images += images

    def means(self, model):
        """{metric: number}, {} if nothing was added."""
        return summarise(model, self.values, self.images)


class Log:
    """What has been measured, on screen, in metrics.csv and in the checkpoint. held_out: what the
    model is evaluated on, "test" or "validation": how its figures are called."""

    def __init__(self, progress, folder, model, optimizer, held_out="test"):
        self.kept = progress and progress["step"]  # of the last checkpoint; None: there is none
        progress = progress or {"step": 0, "epoch": {}, "window": {}, "counts": [0, 0],
                                "seconds": 0.0, "history": [], "trace": []}
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.history, self.trace = progress["history"], progress["trace"]  # rows of the csv files
        # Since the last row of each of the two.
        self.epoch, self.window = (Sums(progress[part], count) for part, count in
                                   zip(("epoch", "window"), progress["counts"], strict=True))
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.held_out = held_out
        self.untrained = None  # the loss of step 1, before the model was changed
        self.waiting = []  # (metrics, images) of steps not looked at yet; they stay on the device
        self.started = self.saved = time.monotonic()
        self.unwritten = set()  # files that could not be written, which was said

    def add(self, metrics, images):
        self.step += 1
        self.waiting.append((metrics, images))

    def unevaluated(self):
        """True if steps were done since the last evaluation."""
        return self.step > (self.history[-1]["step"] if self.history else 0)

    def look(self):
        """Read what the steps since the last look have measured; the epoch's means so far."""
        steps = range(self.step - len(self.waiting) + 1, self.step + 1)
        found = to_host([metrics for metrics, _ in self.waiting])
        for step, metrics, (_, images) in zip(steps, found, self.waiting, strict=True):
            for name, value in metrics.items():
                if not np.isfinite(value).all():
                    raise self.diverged(step, f"the term {name!r} of the loss became "
                                              f"{value.flat[0]}")
            if step == 1:
                self.untrained = float(metrics.get("loss", 0))
            self.epoch.add(metrics, images)
            self.window.add(metrics, images)
            if step % TRACE_EVERY == 0:
                self.trace.append({"step": step, **self.window.means(self.model)})
                self.window = Sums()
        self.waiting = []
        return self.epoch.means(self.model)

    def check_test(self, test):
        """DivergenceError for test figures of a model that has diverged: one is NaN or infinite, or
        the loss is far above that of the untrained model, which a run that goes on does not know.
        (In a step of the training it may be, and come down again. 1 is added because a density's
        -log p may begin near 0.)"""
        for name, value in test.items():
            if not math.isfinite(value):
                raise self.diverged(self.step, f"the {self.held_out} figure {name!r} became "
                                               f"{value}")
        before, loss = self.untrained, test.get("loss", 0)
        if before is not None and loss > TOO_MUCH * (1 + abs(before)):
            raise self.diverged(self.step, f"the {self.held_out} loss is {loss:.3g}, and that of "
                                           f"the untrained model was {before:.3g}")

    def diverged(self, step, what):
        remedy = "train anew, with" if self.kept is None else (
            f"go on with --resume {self.folder} and")
        return DivergenceError(f"step {step:,}: {what}. {self.what_is_kept()}: {remedy} a "
                               f"lower --lr")

    def what_is_kept(self):
        return "There is no checkpoint yet" if self.kept is None else (
            f"The checkpoint of step {self.kept:,} is kept")

    def end_epoch(self, epoch, lr, test, save=True):
        train_means = self.look()
        now = time.monotonic()
        row = {"epoch": epoch, "step": self.step, "lr": lr,
               "seconds": round(self.seconds + now - self.started, 3),
               **{f"train_{n}": v for n, v in train_means.items()},
               **{f"{self.held_out}_{n}": v for n, v in test.items()}}
        self.check_test(test)
        self.history.append(row)
        self.epoch = Sums()
        if save:
            self.save()
        return row

    def unsaved_seconds(self):
        return time.monotonic() - self.saved

    def save(self):
        """Write the checkpoint, then the two csv files."""
        self.look()
        for name, parameter in self.model.named_parameters().items():
            if not bool(xp.isfinite(parameter.data).all()):
                raise self.diverged(self.step, f"the parameter {name!r} became NaN or infinite")
        seconds = self.seconds + time.monotonic() - self.started
        path = self.folder / "checkpoint.npz"
        try:
            checkpoint.save(path, self.model, self.optimizer, {
                "step": self.step, "counts": [self.epoch.images, self.window.images],
                "seconds": seconds,
                "epoch": {n: v.tolist() for n, v in self.epoch.values.items()},
                "window": {n: v.tolist() for n, v in self.window.values.items()},
                "history": self.history, "trace": self.trace})
        except OSError as error:
            needed = checkpoint.size(self.model, self.optimizer) / 1e6
            why = error.strerror or in_brief(error)
            raise CheckpointError(f"{path} ({needed:,.1f} MB): {why}. {self.what_is_kept()}: mend "
                                  f"that, and go on with --resume {self.folder}") from None
        self.kept = self.step
        self.write_tables()
        self.saved = time.monotonic()

    def write_tables(self):
        """metrics.csv and train.csv, made anew from what the checkpoint has, too."""
        for name, rows in (("metrics.csv", self.history), ("train.csv", self.trace)):
            if rows:
                with self.dispensable(name), replacing(self.folder / name, "w") as file:
                    columns = dict.fromkeys(name for row in reversed(rows) for name in row)
                    writer = csv.DictWriter(file, columns)
                    writer.writeheader()
                    writer.writerows(rows)

    @contextlib.contextmanager
    def dispensable(self, name):
        """A file of the run that cannot be written inside (it is open in a spreadsheet, say) does
        not end the run; that is said once."""
        try:
            yield
        except OSError as error:
            if name not in self.unwritten:
                print(f"NOTE: {self.folder / name} could not be written ({error.strerror or error})"
                      f"; the run goes on without, and its checkpoint has all figures",
                      file=sys.stderr)
            self.unwritten.add(name)


def to_host(found):
    """[{name: array on the device}, ...] as float64 arrays on the host, moved there in one piece:
    on a GPU each move waits for everything before it."""
    arrays = [raw(value) for metrics in found for value in metrics.values()]
    if not arrays:
        return found
    row = to_numpy(xp.concatenate([a.reshape(-1) for a in arrays])).astype(np.float64)
    ends = np.cumsum([a.size for a in arrays])[:-1]
    moved = (part.reshape(a.shape) for part, a in zip(np.split(row, ends), arrays, strict=True))
    return [{name: next(moved) for name in metrics} for metrics in found]


def label(name):
    """What a metric is called on screen and in pictures."""
    return {"neg_elbo": "-ELBO", "kl": "KL", "reconstruction": "recon.", "vq": "VQ loss",
            "bits_per_dim": "bits/dim", "nll": "NLL", "nats_per_code": "nats/code",
            "recon_error": "recon. err", "codes_used": "codes used"}.get(name, name)


class Table:
    """One line for each epoch, and a progress bar within it where a person is watching."""

    def __init__(self, columns, held_out, epochs, quiet):
        self.columns, self.epochs, self.quiet = columns, epochs, quiet
        # Of the training, as many as fit into 80 characters; metrics.csv has all.
        self.parts = {"train": columns[:max(1, 6 - len(columns))], held_out: columns}
        self.begun = False

    def short(self, means):
        return "  ".join(f"{label(n)} {means[n]:.4g}" for n in self.columns)

    def row(self, row):
        if self.quiet:
            return
        if not self.begun:
            self.begun = True
            heads = {p: "".join(label(n).rjust(11) for n in names)
                     for p, names in self.parts.items()}
            print(f"{'':13}" + "".join(f" {p + ' ':-<{len(h) - 1}}" for p, h in heads.items()))
            print(f"{'epoch':>5} {'time':>6} " + "".join(heads.values()))
        minutes, seconds = divmod(int(row["seconds"]), 60)
        print(f"{row['epoch']:>5} {minutes:>3}:{seconds:02d} " + "".join(
            f"{row[f'{p}_{n}']:11.5g}" for p, names in self.parts.items() for n in names),
            flush=True)

    def progress_bar(self, epoch, done, total):
        return progress_bar(self.quiet, total=total, initial=done, unit="step",
                            desc=f"epoch {epoch + 1}/{self.epochs}", dynamic_ncols=True)


def progress_bar(quiet, **how):
    """tqdm's bar on stderr, where a person is watching."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is of all processes: one killed holding it stops all
    return tqdm(leave=False, file=sys.stderr, disable=quiet or None, **how)
