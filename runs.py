"""Runs beside each other: what was trained, how far, how good, which flags differ.

    python runs.py                            the runs in runs/
    python runs.py pretrained runs/vae-mnist  those elsewhere, or single ones
    python runs.py --curves                   drawn, too: a new file in runs/

Runs whose figures compare stand together, the best first. A figure is the last
that the training measured on the test images, or on its validation images;
with --keep-best the best. A narrow terminal is shown fewer columns.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import textwrap
from pathlib import Path

from models import RECIPES
from scratchnet.errors import RunError, UserError, columns, printable
from scratchnet.runs import figures, pictures
from scratchnet.runs.console import check_printed
from scratchnet.runs.folder import unused
from scratchnet.runs.log import label
from scratchnet.runs.many import differing, is_run, run_folders, spoken, summary
from scratchnet.runs.parser import Parser, read_run_flags
from scratchnet.runs.script import explained, guarded


def main(argv):
    flags = read_run_flags(build_parser(), argv)
    folders = flags.folders
    found, unread = read(folders)
    if not found:
        raise RunError("\n".join(unread))
    groups = grouped(found)
    differ = differing([(model(run), vars(run.run.flags)) for run in found])
    print("\n\n".join(printable_lines(group, runs, differ) for group, runs in groups.items()))
    for error in unread:
        print(f"NOTE: {printable(error)}", file=sys.stderr)
    if flags.curves:
        out = unused(Path(folders[0]).parent / "curves.png" if is_run(folders[0]) else
                     Path(folders[0], "curves.png"))
        draw(groups, out)
        print(f"\nCurves: {out}")
    check_printed()


def read(folders):
    """The Summaries of the runs in these folders, and what is wrong with others."""
    for folder in folders:
        if not run_folders([folder]):
            raise RunError(f"{folder}: no run there; name the folder of a run, or one with runs in "
                           f"it (python runs.py pretrained), or train one: python train_mnist.py")
    found, unread = [], []
    for folder in run_folders(folders):
        try:
            found.append(summary(folder, RECIPES))
        except (UserError, OSError) as error:
            unread.append(explained(error))
    return found, unread


def grouped(found):
    """{group: its Summaries}, the best first, those without a figure last."""
    groups = {}
    for run in sorted(found, key=lambda run: (run.group, run.figures[0] is None,
                                              run.figures[0] or 0, str(run.run.folder))):
        groups.setdefault(run.group, []).append(run)
    return groups


def printable_lines(group, runs, differ):
    """A group as text: its heading, a row for each run, and behind or below it its flags."""
    heads, room = ["run", "model", *map(label, runs[0].columns), "done", "min", "MB"], columns()
    table = [heads] + [cells(run) for run in runs]
    def widths(): return [max(map(len, column)) for column in zip(*table, strict=True)]
    # Where there is no room: without MB, min, figures but the foremost, at last without the model.
    for k in (-1, -1, *[-2] * (len(runs[0].columns) - 1), 1):
        if sum(width + 2 for width in widths()) - 2 > room:
            for row in table:
                del row[k]
    lines = textwrap.wrap(group, room)
    for cell, run in zip(table, [None, *runs], strict=True):
        line = "  ".join(word.rjust(width) if head not in ("run", "model") else word.ljust(width)
                         for head, word, width in zip(heads, cell, widths(), strict=True))
        notes = ", ".join(said(run, differ)) if run else ""
        if notes and len(line) + 2 + len(notes) > room:
            lines += [line, *(part.replace("\0", " ") for part in textwrap.wrap(
                ", ".join(note.replace(" ", "\0") for note in said(run, differ)), room,
                initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))]
        else:
            lines.append(f"{line}  {notes}".rstrip())
    return "\n".join(map(printable, lines))


def cells(run):
    figures = ["-" if value is None else f"{value:.5g}" for value in run.figures]
    minutes = f"{run.rows[-1]['seconds'] / 60:.1f}" if run.rows else "-"
    return [str(run.run.folder), str(run.run.flags.model), *figures, run.progress[0], minutes,
            f"{run.megabytes:.1f}"]


def said(run, differ):
    """What else is worth a word: how it ended, and the flags in which it differs from others of
    its model; what it began from and how much of the data it saw, in any case."""
    if not run.progress[1]:
        yield "unfinished"
    if run.early:
        yield "stopped early"
    if run.run.flags.keep_best and run.rows:
        yield f"best: epoch {run.best['epoch']:.0f}"
    yield from spoken(run.run.flags, sorted({"from", "limit", *differ[model(run)]}))


def model(run):
    """What runs share whose flags are compared: a table, and a model in it."""
    return run.group, run.run.flags.model


def draw(groups, out):
    """Draw the figures of each group over the steps into a PNG."""
    panels = []
    for group, runs in groups.items():
        name = f"{runs[0].part}_{runs[0].columns[0]}"
        lines = [(f"{run.run.folder}  {run.figures[0]:.5g}", *zip(
            *[(row["step"], row[name]) for row in run.rows], strict=True))
            for run in runs if run.figures[0] is not None]
        if lines:
            panels.append((group, lines))
    if not panels:
        raise RunError("--curves: no run has a figure yet; wait for the end of an epoch")
    pictures.write_figure(out, figures.compared(panels))


def build_parser():
    parser = Parser("runs.py", __doc__, "[FOLDER ...]")
    parser.add_argument("folders", metavar="FOLDER", nargs="*", default=["runs"],
                        help="runs, or folders with runs in them (default: runs)")
    parser.add(parser, {"curves": (None, "switch", "draw them over each other, into curves.png "
                                   "beside the first")})
    return parser


if __name__ == "__main__":
    sys.exit(guarded("runs.py", main, sys.argv[1:]))
