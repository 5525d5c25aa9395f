"""See what trained models do, in the browser.

    python explore.py                   the runs in runs/, and the box's models
    python explore.py runs/vae-mnist    this run, also while it trains
    python explore.py --build site      the page for any web host, answered by
                                        the engine inside the browser

A latent plane to drag through, codes to swap, images to be completed, the tape,
a training to watch, the book with its exercises. The page is served to this
computer alone.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import argparse
from pathlib import Path

from scratchnet.backend import BACKENDS
from scratchnet.errors import UserError
from scratchnet.runs.script import guarded, use_backend


def build_parser():
    parser = argparse.ArgumentParser(prog="explore.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run, or a folder of runs")
    parser.add_argument("--port", type=port, default=8000, help="on 127.0.0.1; if another program "
                        "has it, the next that is free (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--backend", choices=BACKENDS, default="numpy")
    parser.add_argument("--build", metavar="DIR", help="write a static site into DIR")
    parser.add_argument("--pyodide", metavar="DIR", help="with --build: a Pyodide with NumPy, put "
                        "into the site; without it the page loads Pyodide's own distribution")
    return parser


def port(text):
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is none from 1 to 65535")
    return number


def main(argv):
    flags = build_parser().parse_args(argv)
    if flags.pyodide and not flags.build:
        raise UserError("--pyodide says what --build DIR puts into the site; give both")
    from explorer.runs import found_in
    box = Path(__file__).resolve().parent / "pretrained"
    for folder in flags.runs:
        if not found_in([folder]):
            raise UserError(f"{folder}: there is no run, nor a folder of runs; train one, with "
                            f"python train_mnist.py, or leave it out for the trained models")
    places = flags.runs or ([box] if flags.build else ["runs", box])
    folders = found_in(places)
    if flags.build:
        from explorer.build import build
        return build(Path(flags.build), folders, flags.pyodide and Path(flags.pyodide))
    use_backend(flags.backend)
    from explorer.serve import serve
    return serve(folders, flags.port, not flags.no_browser, places)


if __name__ == "__main__":
    sys.exit(guarded("explore.py", main, sys.argv[1:]))
