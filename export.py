"""Write what a trained run learned into a folder that is small enough to hand on.

    python export.py runs/vae-mnist --out pretrained/vae-mnist
    python export.py runs/prior-mnist --out pretrained/prior-mnist --codes pretrained/vqvae-mnist

The folder has the weights alone, the averaged ones where the run kept them, as float16 (a VQ-VAE's
as they are: its codes must stay those that a prior was trained on); config.json, metrics.csv, the
figures of evaluate.py, and pictures of what it draws. generate.py and evaluate.py take it as they
take a run.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

import shutil
from pathlib import Path

from models import RECIPES
from scratchnet.errors import RunError
from scratchnet.fast.mpi import from_first
from scratchnet.runs import checkpoint
from scratchnet.runs.cli import guarded, usage
from scratchnet.runs.flags import parser_of_runs, read_run_flags
from scratchnet.runs.folder import check_free, clear, locked, reported
from scratchnet.runs.forms import read_json
from scratchnet.runs.run import check_codes, open_run, open_vqvae

KEPT = ("metrics.csv", "evaluation*.json", "validation*.json", "samples.png",
        "reconstructions.png", "manifold.png", "palette.png")


def main(argv):
    if not argv:
        return usage("export.py", __doc__)
    flags = read_run_flags(build_parser(), argv)
    if not flags.out:
        raise RunError("--out DIR is needed: the folder to write, such as pretrained/vae-mnist")
    run, out = open_run(flags.run, RECIPES), Path(flags.out)
    check_free(out, flags.overwrite)
    if out.resolve() == run.folder.resolve():
        raise RunError(f"--out {out}: is the run itself; name another folder")
    config = read_json(run.folder / "config.json")
    if flags.codes:
        if run.vqvae is None:
            raise RunError(f"--codes: means nothing to a {run.flags.model}, which models no codes")
        check_codes(run.folder, run.trained_on, open_vqvae(flags.codes, RECIPES, run.kind))
        config["flags"]["codes"] = flags.codes
    with locked(out), reported(out):
        clear(out)
        checkpoint.save_weights(out / "checkpoint.npz", run.model, run.progress,
                                half=run.flags.model != "vqvae")
        for pattern in KEPT:
            for path in run.folder.glob(pattern):
                shutil.copyfile(path, out / path.name)
        checkpoint.write_json(out / "config.json", config)
    if not flags.quiet:
        size = (out / "checkpoint.npz").stat().st_size
        print(f"{run.title}, after step {run.progress['step']:,}: {size / 1e6:.2f} MB in {out}")


def build_parser():
    return parser_of_runs("export.py", __doc__, {
        "out": (None, "DIR", "the folder to write"),
        "codes": (None, "RUN", "for a prior: where its VQ-VAE was exported to"),
        "overwrite": (None, "switch", "replace what is in --out"),
    })


if __name__ == "__main__":
    sys.exit(guarded("export.py", from_first, main, sys.argv[1:]))
