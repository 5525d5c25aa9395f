"""Write what a trained run learned into a folder, small enough to hand on.

    python export.py runs/vae-mnist --out pretrained/vae-mnist
    python export.py runs/prior-mnist --out pretrained/prior-mnist \\
        --codes pretrained/vqvae-mnist

The folder has the weights alone, the averaged ones where the run kept them, as
float16 (a VQ-VAE's as they are: its codes must stay those that a prior was
trained on; with --half as well, for a prior that is trained on what is
exported); config.json, metrics.csv, the figures of evaluate.py, and pictures of
what it draws. generate.py and evaluate.py take it as they take a run.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import re
import shutil
from pathlib import Path

from models import RECIPES
from scratchnet.errors import RunError, an
from scratchnet.runs import checkpoint
from scratchnet.runs.files import read_json, write_json
from scratchnet.runs.folder import check_free, own, replacing_folder
from scratchnet.runs.parser import parser_of_runs, read_run_flags
from scratchnet.runs.run import check_codes, open_run, open_vqvae
from scratchnet.runs.script import guarded, usage

KEPT = ("metrics.csv", "samples.png", "reconstructions.png", "manifold.png", "palette.png",
        "styles.png")


def main(argv):
    if not argv:
        return usage("export.py", __doc__)
    flags = read_run_flags(build_parser(), argv)
    if not flags.out:
        raise RunError("--out DIR is needed: the folder to write, such as pretrained/vae-mnist")
    out = Path(flags.out)
    if re.fullmatch(r"\.[A-Za-z]\w{1,5}", out.suffix) and not out.is_dir():
        raise RunError(f"--out {out}: is named like a file, but a folder is written; name one "
                       f"without {out.suffix}, such as {out.with_suffix('')}")
    run = open_run(flags.run, RECIPES)
    check_free(out, flags.overwrite, whole=True)
    sources = [run.folder] + ([run.vqvae.folder] if run.vqvae else [])
    if flags.codes:
        if run.vqvae is None:
            raise RunError(f"--codes: means nothing to {an(run.flags.model)}, which models no "
                           f"codes")
        check_codes(run.folder, run.trained_on, open_vqvae(flags.codes, RECIPES, run.kind))
        run.config["flags"]["codes"] = flags.codes
        sources.append(Path(flags.codes))
    if out.exists() and any(out.samefile(folder) for folder in sources):
        raise RunError(f"--out {out}: is the run itself, or is the run of its VQ-VAE; name "
                       f"another folder")
    if run.vqvae and not flags.codes:
        print(f"NOTE: its codes are those of {run.vqvae.folder}, which it is of no use without: "
              f"export that, too, and name it with --codes", file=sys.stderr)
    files, left_out = kept(run)
    with replacing_folder(out) as whole:
        wide = checkpoint.save_weights(whole / "checkpoint.npz", run.model, run.progress,
                                       half=flags.half or run.flags.model != "vqvae")
        for name in files:
            shutil.copyfile(run.folder / name, whole / name)
        write_json(whole / "config.json", run.config)
        size = (whole / "checkpoint.npz").stat().st_size
        check_free(out, flags.overwrite, whole=True)  # now that nobody else can begin there
    for name in wide:
        print(f"NOTE: {name} is as it was: it has weights that float16 does not hold",
              file=sys.stderr)
    if not flags.quiet:
        print(f"{run.title}, after step {run.progress['step']:,}: {size / 1e6:.2f} MB in {out}")
        for name in left_out:
            print(f"{name} was left out: it is of other weights; evaluate.py measures these")


def kept(run):
    """The names of the files to hand on beside the weights; and of the figures that are of other
    weights."""
    names = sorted(own(run.folder))
    figures = [n for n in names if n.startswith(("evaluation", "validation"))]
    left_out = [n for n in figures
                if read_json(run.folder / n).get("step") != run.progress["step"]]
    return [n for n in names if n in KEPT or n in figures and n not in left_out], left_out


def build_parser():
    return parser_of_runs("export.py", __doc__, {
        "out": (None, "DIR", "the folder to write"),
        "codes": (None, "RUN", "for a prior: where its VQ-VAE was exported to"),
        "half": (None, "switch", "a VQ-VAE's weights as float16, too: a few codes become others, "
                 "so train its prior on what was exported"),
        "overwrite": (None, "switch", "replace what is in --out"),
    })


if __name__ == "__main__":
    sys.exit(guarded("export.py", main, sys.argv[1:]))
