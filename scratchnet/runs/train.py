"""The training loop of a run, in the order in which things happen."""

import contextlib
import math
import time

import numpy as np

from ..fast.memory import keep_memory
from ..fast.processes import processes, start_group
from ..optim import SCHEDULES
from ..training import evaluate, generator, step
from . import data
from .console import stop_signals
from .log import Log, Table, counting

SAVE_EVERY = 60       # seconds between checkpoints within an epoch
DRAW_EVERY = 300      # seconds between pictures within an epoch
LOOK_EVERY = 50       # steps between looks at the losses: on a GPU each look waits for it


def train(model, optimizer, dataset, flags, folder, progress=None, quiet=False, columns=(),
          sketches=None):
    """Train from `progress` (None: from the start) to the end of flags.epochs, or flags.steps,
    with as many processes as are of use (fast/processes.py): each goes through all that is here,
    and the first alone writes.

    flags: .epochs .steps .batch_size .lr .schedule .seed .binarize .flip .keep_best .patience.
    folder: a Path, where metrics.csv, train.csv and checkpoint.npz go. columns: the
    metrics on screen, of which the first decides what is best. sketches: the pictures while it
    trains (runs/sketches.py). Returns the Log, and None if the run is complete, or else the number
    of the signal that stopped it, saved.

    Raises DivergenceError, naming step and term, if a loss is NaN or infinite, or far above that
    of the untrained model; the checkpoint is then the last good one.
    """
    keep_memory()
    per_epoch = steps_per_epoch(dataset, flags)
    total = total_steps(dataset, flags)
    epochs = math.ceil(total / per_epoch)  # the last is cut short if --steps says so
    lr_at = SCHEDULES[flags.schedule](flags.lr, total)
    log = Log(progress, folder, model, optimizer, dataset.held_out,
              columns[0] if flags.keep_best else None)

    with (diverging(log), stop_signals(patience=1) as stop_asked,
          start_group(processes(flags.batch_size), optimizer) as group):
        if group.rank == 0:
            log.write_tables()  # a run killed after its checkpoint has older ones
        quiet = quiet or group.rank > 0
        table = Table(columns, log.held_out, epochs, quiet, total)
        def draw(least=0):
            if sketches and group.rank == 0 and log.step < total:
                with optimizer.averaged():
                    sketches.draw(log, stop_asked, least)
        # A run stopped between the last step of an epoch and its evaluation begins with the latter
        for epoch in range((log.step - log.unevaluated()) // per_epoch, epochs):
            if group.agree(log.stale(flags.patience)):
                break
            end = min((epoch + 1) * per_epoch, total)
            with table.progress_bar(epoch, log.step - epoch * per_epoch,
                                    end - epoch * per_epoch) as bar:
                for batch, labels, rng in batches(dataset, flags, epoch, log.step, end):
                    optimizer.lr = lr_at(log.step)
                    log.add(step(model, optimizer, batch, rng, labels, group), len(batch))
                    if after_step(log, table, bar, group, stop_asked):
                        return log, stop_asked()
                    if log.step % LOOK_EVERY == 0 and log.step < end:
                        draw(DRAW_EVERY)
            if log.unevaluated():
                images, size = dataset.test_images, flags.batch_size
                done = counting(quiet, math.ceil(len(images) / size),
                                f"epoch {epoch + 1}/{epochs}, {log.held_out} set", "part")
                with optimizer.averaged():
                    test = evaluate(model, images, size, dataset.test_labels, group, done)
                lr = lr_at(log.step - 1)  # of the last step, which may lie before a resume
                table.row(log.end_epoch(epoch + 1, lr, test, save=group.rank == 0))
                draw()
        return log, stop_asked()


def steps_per_epoch(dataset, flags):
    return math.ceil(len(dataset.train_images) / flags.batch_size)


def total_steps(dataset, flags):
    return flags.steps or flags.epochs * steps_per_epoch(dataset, flags)


def batches(dataset, flags, epoch, start, end):
    """(images, their labels, generator of the noise) for each of the steps start ... end - 1, all
    of this epoch. Order and noise come from the seed and the numbers of epoch and step alone, so
    that a run which was stopped after any step goes on with the same ones."""
    n, size = len(dataset.train_images), flags.batch_size
    order = generator(flags.seed, "order", epoch).permutation(n)
    first = epoch * math.ceil(n / size)
    for number in range(start, end):
        rng = generator(flags.seed, "step", number)
        chosen = order[(number - first) * size:(number - first + 1) * size]
        batch = dataset.train_images[chosen]
        if flags.binarize == "dynamic":
            batch = data.binarise(batch, rng)
        if flags.flip:
            batch = dataset.flipped(chosen, batch, rng)
        yield batch, dataset.train_labels[chosen], rng


def after_step(log, table, bar, group, stop_asked):
    """Show how far the run is, and save it now and then; True if it is to stop here, saved."""
    bar.update()
    if log.step % LOOK_EVERY == 0:
        table.show(bar, log.step, log.look())
    else:
        table.left(log.step)
    stop = group.agree(stop_asked() is not None)
    if (stop or time.monotonic() - log.saved > SAVE_EVERY) and group.rank == 0:
        log.save()
    return stop


@contextlib.contextmanager
def diverging(log):
    """A loss that overflows is reported once, with its step and term, not by NumPy line by line;
    NaN that an op refuses, as what it is."""
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            yield
        except FloatingPointError as error:
            log.look()
            raise log.diverged(log.step + 1, str(error)) from None
