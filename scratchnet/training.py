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

from .backend import to_numpy, xp
from .errors import DivergenceError
from .fast import processes as parallel
from .fast.processes import ALONE, Team, processes
from .optim import SCHEDULES
from .runs import checkpoint, data
from .tensor import no_grad, raw

SAVE_EVERY = 60       # seconds between checkpoints within an epoch
LOOK_EVERY = 50       # steps between looks at the losses: on a GPU each look waits for it
TRACE_EVERY = 100     # steps that a row of train.csv is the mean of
PURPOSES = ("weights", "order", "step", "evaluation", "pictures")


def generator(seed, purpose, number=0):
    """The np.random.Generator for this purpose (one of PURPOSES) and number."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])


def train(model, optimizer, dataset, flags, folder, progress=None, quiet=False):
    """Train from `progress` (None: from the start) to the end of flags.epochs, or flags.steps,
    with as many processes as are of use (parallel.py): each goes through all that is here, and the
    first alone writes.

    flags: .epochs .steps .batch_size .lr .schedule .seed .binarize .flip. folder: where
    metrics.csv, train.csv and checkpoint.npz go. Returns the Log, and True if the run is
    complete (False: interrupted, and saved).

    Raises DivergenceError, naming step and term, if a loss is NaN or infinite; the
    checkpoint is then the last good one.
    """
    parallel.keep_memory()
    images, n = dataset.train_images, len(dataset.train_images)
    steps_per_epoch = math.ceil(n / flags.batch_size)
    total = flags.steps or flags.epochs * steps_per_epoch
    epochs = math.ceil(total / steps_per_epoch)  # the last is cut short if --steps says so
    lr_at = SCHEDULES[flags.schedule](flags.lr, total)
    log = Log(progress, Path(folder), model, optimizer)

    with stop_signals() as stop_asked, Team(processes(flags.batch_size), optimizer) as team:
        table = Table(model.table, epochs, quiet or team.rank > 0)
        # A run stopped between the last step of an epoch and its evaluation begins with the latter
        for epoch in range((log.step - log.unevaluated()) // steps_per_epoch, epochs):
            order = generator(flags.seed, "order", epoch).permutation(n)
            first = log.step - epoch * steps_per_epoch
            last = min(steps_per_epoch, total - epoch * steps_per_epoch)
            with table.progress_bar(epoch, last, first) as bar:
                for k in range(first, last):
                    rng = generator(flags.seed, "step", log.step)
                    chosen = order[k * flags.batch_size:(k + 1) * flags.batch_size]
                    batch = images[chosen]
                    if flags.binarize == "dynamic":
                        batch = data.binarise(batch, rng)
                    if flags.flip:
                        batch = data.flipped(batch, rng)
                    optimizer.lr = lr_at(log.step)
                    if log.step == 0:
                        model.begin(data.to_batch(batch), rng)
                    metrics = step(model, optimizer, batch, rng, dataset.train_labels[chosen], team)
                    log.add(metrics, len(batch))
                    bar.update()
                    if log.step % LOOK_EVERY == 0:
                        bar.set_postfix_str(table.short(log.look()))
                    stop = team.agree(stop_asked())
                    if (stop or log.unsaved_seconds() > SAVE_EVERY) and team.rank == 0:
                        log.save()
                    if stop:
                        return log, False
            if log.unevaluated():
                with optimizer.averaged():
                    test = evaluate(model, dataset.test_images, flags.batch_size,
                                    dataset.test_labels, team)
                table.row(log.end_epoch(epoch + 1, optimizer.lr, test, save=team.rank == 0))
    return log, True


def step(model, optimizer, batch, rng, labels=(), team=ALONE):
    """One step on a batch of images (uint8, or codes): loss, gradients, update. Returns the
    metrics, means over the batch, in arrays. labels: (n,), for models that are conditional. team:
    the processes that take this step together, each with the same arguments."""
    n, crew = len(batch), team.of(len(batch))
    part = crew.part(n)
    loss, metrics = model.loss(data.to_batch(batch[part]), crew.generator(rng, n),
                               **classes(model, labels[part]))
    optimizer.zero_grad()
    loss.backward(xp.full_like(loss.data, crew.share(n)))
    crew.add_gradients()
    if crew is not team:
        team.wait()  # until nobody reads the old parameters any more, as add_gradients does
    optimizer.step()
    model.after_step(rng, crew)
    metrics = crew.mean(metrics, n)
    if crew is not team:
        team.wait()  # until all have updated their share of the parameters, as mean does
    return model.complete_metrics(metrics)


def classes(model, labels):
    """{"labels": labels} for the loss of a model that is conditional on them, else nothing."""
    return {"labels": labels} if getattr(model, "num_classes", 0) else {}


@no_grad()
def evaluate(model, images, batch_size, labels=(), team=ALONE):
    """The model's metrics on these images: means over all images, as numbers.

    The noise is the same for every model and every run, so that figures compare. Batches
    count by their size: the last may be smaller.
    """
    model.eval()
    rng, sums = generator(0, "evaluation"), {}
    for start in range(0, len(images), batch_size):
        batch = images[start:start + batch_size]
        n, crew = len(batch), team.of(len(batch))
        part = crew.part(n)
        _, metrics = model.loss(data.to_batch(batch[part]), crew.generator(rng, n), **classes(
            model, labels[start:start + batch_size][part]))
        for name, value in model.complete_metrics(crew.mean(metrics, n)).items():
            sums[name] = sums.get(name, 0.0) + raw(value).astype(np.float64) * n
    model.train()
    return summarise(model, sums, len(images))


def summarise(model, sums, count):
    """The means from the sums, as plain numbers."""
    if not sums:
        return {}
    means = {name: to_numpy(total) / count for name, total in sums.items()}
    return {name: np.asarray(value).item() for name, value in model.summarise(means).items()}


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
