"""What has been measured: on screen, in the csv files and in the checkpoint."""

import contextlib
import csv
import math
import sys
import time

import numpy as np

from ..backend import to_numpy, xp
from ..errors import DivergenceError
from ..tensor import raw
from ..training import summarise
from . import checkpoint

TRACE_EVERY = 100     # steps that a row of train.csv is the mean of


class Log:
    """What has been measured, on screen, in metrics.csv and in the checkpoint."""

    def __init__(self, progress, folder, model, optimizer):
        progress = progress or {"step": 0, "epoch": {}, "window": {}, "counts": [0, 0],
                                "seconds": 0.0, "history": [], "trace": []}
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.history, self.trace = progress["history"], progress["trace"]  # rows of the csv files
        # Sums of each metric times the number of images, since the last row of each of the two.
        self.epoch, self.window = ({n: np.asarray(v) for n, v in progress[part].items()}
                                   for part in ("epoch", "window"))
        self.counts = progress["counts"]
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.waiting = []  # (metrics, images) of steps not looked at yet; they stay on the device
        self.started = self.saved = time.monotonic()

    def add(self, metrics, images):
        self.step += 1
        self.waiting.append((metrics, images))

    def unevaluated(self):
        """True if steps were done since the last evaluation."""
        return self.step > (self.history[-1]["step"] if self.history else 0)

    def look(self):
        """Move the waiting metrics to the host in one transfer; the epoch's means so far."""
        if self.waiting:
            names, shapes = zip(*((n, raw(v).shape) for n, v in self.waiting[0][0].items()),
                                strict=True)
            ends = np.cumsum([math.prod(s) for s in shapes])[:-1]
            values = to_numpy(xp.concatenate([raw(m[n]).reshape(-1) for m, _ in self.waiting
                                              for n in names])).astype(np.float64)
            first = self.step - len(self.waiting) + 1
            for step, (_, images), row in zip(range(first, self.step + 1), self.waiting,
                                              values.reshape(len(self.waiting), -1), strict=True):
                for name, shape, value in zip(names, shapes, np.split(row, ends), strict=True):
                    if not np.isfinite(value).all():
                        raise DivergenceError(
                            f"step {step}: the term {name!r} of the loss became {value[0]}. The "
                            f"last good checkpoint is kept. Try a lower --lr")
                    for sums in (self.epoch, self.window):
                        sums[name] = sums.get(name, 0.0) + value.reshape(shape) * images
                self.counts = [c + images for c in self.counts]
                if step % TRACE_EVERY == 0:
                    self.trace.append({"step": step, **summarise(
                        self.model, self.window, self.counts[1])})
                    self.window, self.counts[1] = {}, 0
            self.waiting = []
        return summarise(self.model, self.epoch, self.counts[0])

    def end_epoch(self, epoch, lr, test, save=True):
        train_means = self.look()
        now = time.monotonic()
        row = {"epoch": epoch, "step": self.step, "lr": lr,
               "seconds": round(self.seconds + now - self.started, 3),
               **{f"train_{n}": v for n, v in train_means.items()},
               **{f"test_{n}": v for n, v in test.items()}}
        for name, value in test.items():
            if not math.isfinite(value):
                raise DivergenceError(f"step {self.step}: the test figure {name!r} became {value}. "
                                      f"The last good checkpoint is kept. Try a lower --lr")
        self.history.append(row)
        self.epoch, self.counts[0] = {}, 0
        if save:
            self.save()
        return row

    def unsaved_seconds(self):
        return time.monotonic() - self.saved

    def save(self):
        """Write the checkpoint, then the two csv files, which are always made from it."""
        self.look()
        for name, parameter in self.model.named_parameters().items():
            if not bool(xp.isfinite(parameter.data).all()):
                raise DivergenceError(f"step {self.step}: the parameter {name!r} became NaN or "
                                      f"infinite. The last good checkpoint is kept. Try a lower "
                                      f"--lr")
        seconds = self.seconds + time.monotonic() - self.started
        checkpoint.save(self.folder / "checkpoint.npz", self.model, self.optimizer, {
            "step": self.step, "counts": self.counts, "seconds": seconds,
            "epoch": {n: v.tolist() for n, v in self.epoch.items()},
            "window": {n: v.tolist() for n, v in self.window.items()},
            "history": self.history, "trace": self.trace})
        for name, rows in (("metrics.csv", self.history), ("train.csv", self.trace)):
            if rows:
                with checkpoint.replacing(self.folder / name, "w") as file:
                    writer = csv.DictWriter(file, rows[-1])
                    writer.writeheader()
                    writer.writerows(rows)
        self.saved = time.monotonic()


def label(name):
    """What a metric is called on screen and in pictures."""
    return {"neg_elbo": "-ELBO", "kl": "KL", "reconstruction": "recon.", "vq": "VQ loss",
            "bits_per_dim": "bits/dim", "nll": "NLL", "nats_per_code": "nats/code",
            "recon_error": "recon. err", "codes_used": "codes used"}.get(name, name)


class Table:
    """One line for each epoch, and a progress bar within it where a person is watching."""

    def __init__(self, columns, epochs, quiet):
        self.columns, self.epochs, self.quiet = columns, epochs, quiet
        self.begun = False

    def short(self, means):
        return "  ".join(f"{label(n)} {means[n]:.4g}" for n in self.columns)

    def row(self, row):
        if self.quiet:
            return
        parts = ("train", "test")
        if not self.begun:
            self.begun = True
            heads = "".join(label(n).rjust(11) for n in self.columns)
            print(f"{'':13}" + "".join(f" {p + ' ':─<{len(heads) - 1}} " for p in parts))
            print(f"{'epoch':>5} {'time':>6} " + heads * len(parts))
        minutes, seconds = divmod(int(row["seconds"]), 60)
        print(f"{row['epoch']:>5} {minutes:>3}:{seconds:02d} " + "".join(
            f"{row[f'{p}_{n}']:11.5g}" for p in parts for n in self.columns), flush=True)

    def progress_bar(self, epoch, total, done):
        return progress_bar(self.quiet, total=total, initial=done, unit="step",
                            desc=f"epoch {epoch + 1}/{self.epochs}", dynamic_ncols=True)


def progress_bar(quiet, **how):
    """tqdm's bar on stderr, where a person is watching; or one that shows nothing. The latter is
    no tqdm: all its bars share a lock between processes, and one that is killed while it holds the
    lock would stop the others for ever."""
    if quiet:
        return NoBar()
    from tqdm import tqdm

    return tqdm(leave=False, file=sys.stderr, disable=None, **how)


class NoBar(contextlib.nullcontext):
    def __enter__(self):
        return self

    def update(self, n=1):
        pass

    def set_postfix_str(self, text):
        pass

    def close(self):
        pass
