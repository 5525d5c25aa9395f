"""Pictures while a run trains: samples and reconstructions as they are so far, from the same noise
each time, and so comparable. They take no random number from the training, and little of its time.
"""

import time
from dataclasses import replace

from ..training import evaluating
from . import pictures
from .frames import SHOWN, add_frame
from .log import progress_bar

SHARE = 0.01  # of the time at most, for the frames of training.gif, and as much for the figures


class Enough(Exception):
    """There is no time to draw this."""


class Sketches:
    """Of a model that is trained on this data set. Something is drawn when what it took the last
    time is less than its share of the time since."""

    def __init__(self, model, dataset, title, seed, quiet=True):
        self.ask = pictures.Request(model, title, dataset.image_shape, lambda: dataset, seed,
                                    quiet=quiet or not pictures.in_order(model),
                                    classes=dataset.classes)
        self.names = [name for name in SHOWN if name in pictures.possible(model)]
        self.rows = model.image_shape[0] if pictures.in_order(model) else 0
        self.cost = {"frame": 1.0 if self.rows else 0.02, "figures": 0.5}  # seconds; a guess
        self.last = dict.fromkeys(self.cost, time.monotonic())

    def draw(self, log, stop_asked, least=0):
        """Draw what there is time for, unless the last time is less than so many seconds ago."""
        begun, model = time.monotonic(), self.ask.model
        since = begun - self.last["frame"]
        if not self.names or since < max(least, self.cost["frame"] / SHARE):
            return

        def after_row():  # of many that take as long: what all will take shows early
            bar.update()
            self.cost["frame"] = (time.monotonic() - begun) / bar.n * bar.total
            if stop_asked() or self.cost["frame"] > SHARE * since:
                raise Enough

        origin = pictures.origin_of(log.folder, log.step, log.history, self.ask.seed)
        ask = replace(self.ask, after_row=after_row, origin=origin)
        try:
            with (evaluating(model), progress_bar(self.ask.quiet, self.rows, "drawing", "row")
                  as bar):
                made = {name: pictures.make(name, ask) for name in self.names}
        except Enough:
            return
        add_frame(log, {name: array for name, (array, _) in made.items()}, log.step)
        self.note("frame", begun)
        if self.cost["figures"] <= SHARE * (time.monotonic() - self.last["figures"]):
            import matplotlib.figure  # noqa: F401  before the clock starts: a run needs it anyway

            begun = time.monotonic()
            for name, (_, figure) in made.items():
                with log.dispensable(f"{name}.png"):
                    pictures.write_figure(log.folder / f"{name}.png", figure())
            self.note("figures", begun)

    def note(self, what, begun):
        self.last[what] = time.monotonic()
        self.cost[what] = self.last[what] - begun
