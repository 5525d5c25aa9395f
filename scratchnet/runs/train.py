"""The training loop of a run, in the order in which things happen."""

import contextlib
import math
import signal
from pathlib import Path

from ..fast.memory import keep_memory
from ..fast.processes import Team, processes
from ..optim import SCHEDULES
from ..training import evaluate, generator, step
from . import data
from .log import Log, Table

SAVE_EVERY = 60       # seconds between checkpoints within an epoch
LOOK_EVERY = 50       # steps between looks at the losses: on a GPU each look waits for it


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
    keep_memory()
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
