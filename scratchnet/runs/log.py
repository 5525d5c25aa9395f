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
from ..errors import columns as of_terminal
from ..training import summarise
from . import checkpoint
from .files import replacing

TRACE_EVERY = 100     # steps that a row of train.csv is the mean of
TIMED = 100           # steps after which the time of a whole run is estimated
LINE_EVERY = 60       # seconds between plain lines, where there is no bar
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
    model is evaluated on, "test" or "validation": how its figures are called. keep: the metric by
    which the best weights are kept, the lower the better, or None."""

    def __init__(self, progress, folder, model, optimizer, held_out="test", keep=None):
        self.kept = progress and progress["step"]  # of the last checkpoint; None: there is none
        progress = progress or {"step": 0, "epoch": {}, "window": {}, "counts": [0, 0],
                                "seconds": 0.0, "history": [], "trace": []}
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.history, self.trace = progress["history"], progress["trace"]  # rows of the csv files
        # Since the last row of each of the two.
        self.epoch, self.window = (Sums(progress[part], count) for part, count in
                                   zip(("epoch", "window"), progress["counts"], strict=True))
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.held_out, self.keep = held_out, keep and f"{held_out}_{keep}"
        self.best = progress.get("best")  # the row of history, and the model's state then
        self.best_state = checkpoint.read(folder / "checkpoint.npz")[0]["best"] if (
            self.best and folder) else {}
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
        if self.keep and (not self.best or row[self.keep] < self.best[self.keep]):
            self.best = row
            with self.optimizer.averaged():
                self.best_state = self.model.state_dict() if save else {}
        self.epoch = Sums()
        if save:
            self.save()
        return row

    @property
    def final(self):
        """The row that the run is judged by: the best, if that is kept, or the last."""
        return self.best or self.history[-1]

    def stale(self, patience):
        return stale(self.history, self.best, patience)

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
                "history": self.history, "trace": self.trace,
                **({"best": self.best} if self.best else {})}, self.best_state)
        except OSError as error:
            needed = checkpoint.size(self.model, self.optimizer, bool(self.keep)) / 1e6
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


def stale(history, best, patience):
    """True if so many rows of history (None: never) brought nothing better than the best."""
    return bool(patience and best) and rows_since(best, history) >= patience


def rows_since(best, history):
    return sum(row["step"] > best["step"] for row in history)


def reached(step, rows):
    """What is said of how far a run has come: its epoch, if it stands at the end of one."""
    epochs = [row["epoch"] for row in rows if row["step"] == step and "epoch" in row]
    return f"epoch {epochs[0]:.0f}" if epochs else f"step {step:,}"


def label(name):
    """What a metric is called on screen and in pictures."""
    return {"neg_elbo": "-ELBO", "kl": "KL", "reconstruction": "recon.", "vq": "VQ loss",
            "bits_per_dim": "bits/dim", "nll": "NLL", "nats_per_code": "nats/code",
            "recon_error": "recon. err", "codes_used": "codes used"}.get(name, name)


# Metrics that are not in the units of a run's losses: their names say theirs, or they have none
UNITS_APART = "bits_per_dim", "vq", "perplexity", "codes_used"


class Table:
    """One line for each epoch, and progress within it. steps: of the whole run."""

    def __init__(self, columns, held_out, epochs, quiet, steps=0):
        self.columns, self.epochs, self.quiet, self.steps = columns, epochs, quiet, steps
        self.first = None  # step of this session, and when it was done
        self.estimated = quiet
        # As many as fit into 80 characters, or a narrower terminal; metrics.csv has all.
        room = (min(80, of_terminal()) - 14) // 11
        test = columns[:room - 1]
        self.parts = {"train": columns[:max(1, room - len(test))], held_out: test}
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

    def left(self, step):
        """The seconds that the run still takes, at the pace of this session so far; None before
        that can be told. To be called after each step."""
        now = time.monotonic()
        first, begun = self.first = self.first or (step, now)
        if step - first < TIMED - 1:
            return None
        return (now - begun) / (step - first) * (self.steps - step)

    def show(self, bar, step, means):
        """In the bar, how long the run still takes, and the means; the former once in a line."""
        left = self.left(step)
        parts = [] if left is None else [f"{duration(left)} left"]
        bar.set_postfix_str(", ".join([*parts, self.short(means)]))
        if parts and not self.estimated:
            self.estimated = True
            if left >= 10:
                then = time.strftime("%H:%M", time.localtime(time.time() + left))
                bar.write(f"The whole run will take about {duration(left)} more, until {then}",
                          file=sys.stdout)
                sys.stdout.flush()

    def progress_bar(self, epoch, done, total):
        return progress_bar(self.quiet, total, f"epoch {epoch + 1}/{self.epochs}", "step", done)


def duration(seconds):
    """40 s, 7 min, 2 h 05 min."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def progress_bar(quiet, total, desc, unit, initial=0):
    """tqdm's bar on stderr where a person is watching, else Lines."""
    if quiet or not sys.stderr.isatty():
        return Lines(quiet, total, desc, unit, initial)
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is of all processes: one killed holding it stops all
    return tqdm(total=total, desc=desc, unit=unit, initial=initial, leave=False, file=sys.stderr,
                dynamic_ncols=True, bar_format="{desc} {percentage:3.0f}%|{bar:8}| "
                "{n_fmt}/{total_fmt}{postfix}")


class Lines:
    """What tqdm's bar does, by a plain line a minute on stderr; quiet: not at all."""

    def __init__(self, quiet, total, desc, unit, n):
        self.quiet, self.total, self.desc, self.unit, self.n = quiet, total, desc, unit, n
        self.postfix, self.said = "", time.monotonic()

    def update(self, n=1):
        self.n += n
        if not self.quiet and (now := time.monotonic()) - self.said >= LINE_EVERY:
            self.said = now
            print(f"{self.desc}: {self.n:,} of {self.total:,} {self.unit}s{self.postfix}"[:79],
                  file=sys.stderr, flush=True)

    def set_postfix_str(self, text):
        self.postfix = f", {text}"

    def write(self, text, file):
        print(text, file=file)

    def close(self):
        self.quiet = True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def counting(quiet, total, desc, unit):
    """A function to be called after each of so many: their progress bar, which goes with the
    last."""
    bar = progress_bar(quiet, total, desc, unit)
    def done(n=1):
        bar.update(min(n, total - bar.n))
        if bar.n >= total:
            bar.close()
    return done
