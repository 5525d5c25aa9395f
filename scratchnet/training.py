"""The training loop, seen once, in the order in which things happen.

Random numbers come from generators named by (seed, purpose, number): the weights,
the order of epoch e, the noise of step t. Nothing random is carried along, so a
run that stops after any step and goes on later makes the same draws.
"""

import contextlib
import csv
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np

from . import checkpoint, data
from .backend import to_numpy, xp
from .errors import DivergenceError
from .optim import SCHEDULES
from .tensor import no_grad, raw

SAVE_EVERY = 60       # seconds between checkpoints within an epoch
LOOK_EVERY = 50       # steps between looks at the losses: on a GPU each look waits for it
EVAL_BATCH = 500
PURPOSES = ("weights", "order", "step", "evaluation", "pictures")


def generator(seed, purpose, number=0):
    """The np.random.Generator for this purpose (one of PURPOSES) and number."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])


def train(model, optimizer, dataset, flags, folder, progress=None, quiet=False):
    """Train from `progress` (None: from the start) to the end of flags.epochs.

    flags: .epochs .batch_size .lr .schedule .seed .binarize. folder: where
    metrics.csv and checkpoint.npz go. Returns the history, a list with one dict for
    each evaluation, and True if the run is complete (False: interrupted, and saved).

    Raises DivergenceError, naming step and term, if a loss is NaN or infinite; the
    checkpoint is then the last good one.
    """
    images, n = dataset.train_images, len(dataset.train_images)
    steps_per_epoch = math.ceil(n / flags.batch_size)
    lr_at = SCHEDULES[flags.schedule](flags.lr, flags.epochs * steps_per_epoch)
    progress = progress or {"step": 0, "sums": {}, "count": 0, "seconds": 0.0, "history": []}
    log = Log(progress, Path(folder), model, optimizer)
    table = Table(model.table, flags.epochs, quiet)

    with stop_signals() as stop_asked:
        for epoch in range(len(log.history), flags.epochs):
            order = generator(flags.seed, "order", epoch).permutation(n)
            first = log.step - epoch * steps_per_epoch
            with table.progress_bar(epoch, steps_per_epoch, first) as bar:
                for k in range(first, steps_per_epoch):
                    rng = generator(flags.seed, "step", log.step)
                    batch = images[order[k * flags.batch_size:(k + 1) * flags.batch_size]]
                    if flags.binarize == "dynamic":
                        batch = data.binarise(batch, rng)
                    optimizer.lr = lr_at(log.step)
                    loss, metrics = model.loss(data.to_batch(batch), rng)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    log.add(metrics, len(batch))
                    bar.update()
                    if log.step % LOOK_EVERY == 0:
                        bar.set_postfix_str(table.short(log.look()))
                    if stop_asked() or log.unsaved_seconds() > SAVE_EVERY:
                        log.save()
                    if stop_asked():
                        return log.history, False
            test = evaluate(model, dataset.test_images)
            row = log.end_epoch(epoch + 1, optimizer.lr, test)
            table.row(row)
    return log.history, True


@no_grad()
def evaluate(model, images):
    """The model's metrics on these images: means over all images, as floats.

    The noise is the same for every model and every run, so that figures compare. Batches
    count by their size: the last may be smaller.
    """
    model.eval()
    rng, sums = generator(0, "evaluation"), {}
    for start in range(0, len(images), EVAL_BATCH):
        batch = images[start:start + EVAL_BATCH]
        _, metrics = model.loss(data.to_batch(batch), rng)
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + raw(value).astype(np.float64) * len(batch)
    model.train()
    return {name: float(to_numpy(value)) / len(images) for name, value in sums.items()}


class Log:
    """What has been measured, on screen, in metrics.csv and in the checkpoint."""

    def __init__(self, progress, folder, model, optimizer):
        self.step, self.sums, self.count = progress["step"], progress["sums"], progress["count"]
        self.history, self.seconds = progress["history"], progress["seconds"]
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.waiting = []  # (metrics, images) of steps not looked at yet; they stay on the device
        self.started = self.saved = time.monotonic()

    def add(self, metrics, images):
        self.step += 1
        self.waiting.append((metrics, images))

    def look(self):
        """Move the waiting metrics to the host in one transfer; the epoch's means so far."""
        if self.waiting:
            names = list(self.waiting[0][0])
            values = to_numpy(xp.stack([raw(m[n]) for m, _ in self.waiting for n in names]))
            values = values.reshape(len(self.waiting), len(names)).astype(np.float64)
            for k, ((_, images), row) in enumerate(zip(self.waiting, values, strict=True)):
                for name, value in zip(names, row.tolist(), strict=True):
                    if not math.isfinite(value):
                        step = self.step - len(self.waiting) + k + 1
                        raise DivergenceError(
                            f"step {step}: the term {name!r} of the loss became {value}. The last "
                            f"good checkpoint is kept. Try a lower --lr"
                        )
                    self.sums[name] = self.sums.get(name, 0.0) + value * images
                self.count += images
            self.waiting = []
        return {name: total / self.count for name, total in self.sums.items()}

    def end_epoch(self, epoch, lr, test):
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
        self.sums, self.count = {}, 0
        self.save()
        return row

    def unsaved_seconds(self):
        return time.monotonic() - self.saved

    def save(self):
        """Write the checkpoint, then metrics.csv, which is always made from it."""
        self.look()
        seconds = self.seconds + time.monotonic() - self.started
        checkpoint.save(self.folder / "checkpoint.npz", self.model, self.optimizer, {
            "step": self.step, "sums": self.sums, "count": self.count, "seconds": seconds,
            "history": self.history})
        if self.history:
            with checkpoint.replacing(self.folder / "metrics.csv", "w") as file:
                writer = csv.DictWriter(file, self.history[-1])
                writer.writeheader()
                writer.writerows(self.history)
        self.saved = time.monotonic()


def label(name):
    """What a metric is called on screen and in pictures."""
    return {"neg_elbo": "-ELBO", "kl": "KL", "reconstruction": "recon."}.get(name, name)


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
        from tqdm import tqdm

        return tqdm(total=total, initial=done, desc=f"epoch {epoch + 1}/{self.epochs}",
                    leave=False, unit="step", dynamic_ncols=True, file=sys.stderr,
                    disable=True if self.quiet else None)


@contextlib.contextmanager
def stop_signals():
    """Ctrl-C and SIGTERM set a flag, so that the step is finished; a second one stops at once."""
    asked = []

    def note(number, frame):
        asked.append(number)
        for n in before:
            signal.signal(n, before[n])

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        for n in before:
            signal.signal(n, note)
    except ValueError:  # not the main thread: nobody can interrupt us there
        before = {}
    try:
        yield lambda: bool(asked)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
