"""Mistakes that others made (docs/mistakes.md), made once more.

    python -m mistakes             their names; those with a * can be seen
    python -m mistakes kl-mean     one: what is changed, the test that catches
                                   it, and with a * a training with it beside
                                   one without it, as a picture
    python -m mistakes --check     each is made, and its test seen to fail

The change is made in a copy of this tree, which itself stays as it is.

mistakes.json has, for each row of docs/mistakes.md, its name and

    edits   [[file, old, new], ...] and test; or fault, which of tests/faults.json has them; or
            why, if there is nothing to change
    see     where there is something to see: train, the flags of train_mnist.py on synthetic digits
            (a second one resumes), or run, a trained one; curve, columns of metrics.csv; limits, of
            the curve's y axis; picture, what generate.py makes of the run; look, what to look at
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import argparse
import difflib
import re
import subprocess
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from scratchnet.errors import columns, fitted
from scratchnet.runs.console import check_printed
from scratchnet.runs.figures import below_each_other, mosaic, new_figure, plain
from scratchnet.runs.files import read_json
from scratchnet.runs.flags import nearest
from scratchnet.runs.log import label
from scratchnet.runs.many import metrics
from scratchnet.runs.script import guarded

from .planting import ENV, ROOT, a_copy, check, planted, run_test

SIDES = {"right": "#4e79a7", "mistake": "#e15759"}
COLUMNS, NUM = 6, {"samples": 24, "reconstructions": 12, "completion": 4}  # of a picture


def mistakes():
    """{name: its entry in mistakes.json, with the cells of its row as `what` and `looks`}."""
    faults = {f["what"]: f for f in read_json(ROOT / "tests" / "faults.json")}
    found = {}
    for entry in read_json(ROOT / "mistakes" / "mistakes.json"):
        if "fault" in entry:
            fault = faults[entry["fault"]]
            edit = [fault[k] for k in ("file", "old", "new")]
            entry = {"edits": [edit], "test": fault["test"]} | entry
        found[entry["name"]] = entry
    page = (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8")
    for name, what, looks in re.findall(r"^\| `([\w-]+)`\*? \| (.*?) \| (.*?) \|", page, re.M):
        found[name] |= {"what": what, "looks": re.sub(r" \(\[.*?\)\)", "", looks)}
    return found


def listed(found):
    """The name and the mistake of each, in 80 columns, or those of a narrower terminal."""
    width = max(map(len, found)) + 2
    return "\n".join(textwrap.fill(m["what"], min(80, columns()), subsequent_indent=" " * width,
                                   initial_indent=f"{name + '*' * ('see' in m):{width}}")
                     for name, m in found.items())


def patch(edits):
    """The edits as a unified diff."""
    lines = []
    for file in dict.fromkeys(file for file, _, _ in edits):
        before = after = (ROOT / file).read_text(encoding="utf-8")
        for _, old, new in (edit for edit in edits if edit[0] == file):
            after = after.replace(old, new)
        lines += difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{file}",
                                      f"b/{file}", lineterm="", n=2)
    return "\n".join(lines)


# ---------------------------------------------------------------- to be seen

def outcome(tree, see, folder):
    """What comes of it in a tree: the rows of metrics.csv, the picture's array (None: neither), and
    the last line of what failed."""
    def script(*words):
        done = subprocess.run([sys.executable, *words, "--quiet"], cwd=tree, env=ENV,
                              capture_output=True, text=True)
        if done.returncode:
            said.append(done.stderr.strip().splitlines()[-1])
    said, run, images = [], folder / "run", None
    folder.mkdir()
    for k, flags in enumerate(see.get("train", [])):
        where = ["--resume", str(run)] if k else ["--dataset", "synthetic", "--out", str(run)]
        script("train_mnist.py", *flags.split(), *where)
    if "picture" in see:
        trained = ROOT / "pretrained" / see["run"] if "run" in see else run
        script("generate.py", str(trained), "--what", see["picture"], "--num",
               str(NUM[see["picture"]]), "--out", str(folder / "picture.npy"))
        if (folder / "picture.npy").exists():
            images = np.load(folder / "picture.npy")
    return metrics(run), images, said[:1]


def draw(path, name, see, outcomes):
    """Both trainings as curves, and both pictures, side by side into a small PNG."""
    from PIL import Image

    kinds = ["curve"] * ("curve" in see) + ["picture"] * 2 * ("picture" in see)
    figure = new_figure(3 * len(kinds) + (len(kinds) == 1), 2.7, name)
    panels = list(figure.subplots(1, len(kinds), squeeze=False)[0])
    if "curve" in see:
        axes = panels.pop(0)
        for (side, colour), (rows, _, said) in zip(SIDES.items(), outcomes, strict=True):
            for style, column in zip("-:", see["curve"], strict=False):
                part, _, metric = column.partition("_")
                axes.plot([row["step"] for row in rows], [row[column] for row in rows],
                          style, color=colour, lw=1.8, label=f"{side}, {part} images")
            if said:
                a_word(axes, said[0], colour)
        axes.set_title(label(metric), fontsize=9)
        axes.set_ylim(*see.get("limits", (None, None)))
        axes.set_xlabel("training step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.legend(framealpha=0.8, edgecolor="none", fontsize=7)
        plain(axes)
    for axes, (side, colour), (_, images, said) in zip(panels, SIDES.items(), outcomes,
                                                       strict=False):
        axes.set_title(side, color=colour, fontsize=9)
        axes.axis("off")
        if images is None:
            a_word(axes, said[0], colour)
            continue
        pairs = see["picture"] == "reconstructions"
        if pairs:  # a row of images, below them their reconstructions
            images = below_each_other(images, COLUMNS)
        axes.imshow(mosaic(images.reshape(-1, *images.shape[-3:]), COLUMNS, pairs=pairs),
                    cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(64, method=Image.Quantize.FASTOCTREE).save(path)


def a_word(axes, text, colour):
    """What a training that failed said, in the middle of its panel."""
    axes.text(0.5, 0.5, textwrap.fill(text, 36), transform=axes.transAxes, fontsize=7, color=colour,
              ha="center", va="center", bbox={"facecolor": "white", "alpha": 0.8, "lw": 0})


def show(name, mistake, out):
    """All of one mistake, on the screen and as a picture."""
    print(fitted(f"{name}: {mistake['what']}"))
    print(fitted(f"What it looks like: {mistake['looks']}") + "\n")
    if "why" in mistake:
        print(fitted(mistake["why"], 0))
        return
    print(f"{patch(mistake['edits'])}\n", flush=True)
    with a_copy() as tree, planted(tree, mistake["edits"]):
        if see := mistake.get("see"):
            print("The right version and a copy with the mistake at work, up to a minute ...",
                  flush=True)
            with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(outcome, (ROOT, tree), (see, see),
                                         (Path(folder, side) for side in SIDES)))
            out.parent.mkdir(parents=True, exist_ok=True)
            draw(out, name, see, outcomes)
            print(f"{out}\n{fitted(see['look'], 0)}\n", flush=True)
        print(f"pytest {mistake['test']}", flush=True)
        said = run_test(tree, mistake["test"])[1].strip().splitlines()
        print("\n".join([line for line in said if not line.startswith("CuPy: ")][-12:]))


def main():
    about = __doc__.partition("\n\nmistakes.json")[0]
    parser = argparse.ArgumentParser(prog="python -m mistakes", description=about,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="of a mistake (none: list them)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="the picture (default: a file in "
                        "the system's folder for temporary ones)")
    parser.add_argument("--check", action="store_true", help="make each, and see its test fail")
    flags, found = parser.parse_args(), mistakes()
    if flags.check and flags.name:
        parser.error("--check makes all of them; leave out the name")
    if flags.out and flags.out.suffix != ".png":
        parser.error(f"--out {flags.out}: must end in .png")
    if flags.out and "see" not in found.get(flags.name, {"see"}):
        parser.error(f"--out: {flags.name} has no picture; leave it out")
    if flags.check:
        return check([m for m in found.values() if "edits" in m], lambda m: m["name"])
    if flags.name is None:
        print(listed(found))
        return check_printed()
    if flags.name not in found:
        print(f"mistakes: there is no {flags.name!r}{nearest(flags.name, found)} "
              f"(python -m mistakes lists all)", file=sys.stderr)
        return 2
    show(flags.name, found[flags.name],
         flags.out or Path(tempfile.gettempdir(), "mistakes", f"{flags.name}.png"))
    return check_printed()


if __name__ == "__main__":
    sys.exit(guarded("mistakes", main))
