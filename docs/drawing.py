"""What the figures of the book share: `from drawing import ...` in a docs/draw_*.py, each of which
may be given the folder to draw into, instead of docs/images."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # where scratchnet and models are

from scratchnet.runs.figures import DIGIT_COLOURS, INK, PALE, new_figure  # noqa: E402

GREY = "#777777"
BLUE, ORANGE, GREEN, RED = (DIGIT_COLOURS[i] for i in (0, 1, 2, 5))

__all__ = ["BLUE", "DIGIT_COLOURS", "GREEN", "GREY", "INK", "ORANGE", "PALE", "RED", "new_figure",
           "save"]


def save(figure, name, **words):
    """Write a figure as NAME into docs/images, or into the folder that the script was given; words
    are kept in the PNG."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
    figure.savefig(folder / name, dpi=110, metadata=words)
