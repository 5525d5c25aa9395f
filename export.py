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

import os
from pathlib import Path
from tempfile import TemporaryDirectory

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
    config = read_json(run.folder / "config.json")
    sources = {run.folder: "is the run itself"}
    if run.vqvae:
        sources[run.vqvae.folder] = "is the run of its VQ-VAE"
    if flags.codes:
        if run.vqvae is None:
            raise RunError(f"--codes: means nothing to a {run.flags.model}, which models no codes")
        check_codes(run.folder, run.trained_on, open_vqvae(flags.codes, RECIPES, run.kind))
        config["flags"]["codes"] = flags.codes
        sources[Path(flags.codes)] = "is the run of its VQ-VAE"
    for folder, what in sources.items():
        if out.resolve() == folder.resolve():
            raise RunError(f"--out {out}: {what}; name another folder")
    files, left_out = kept(run)
    with locked(out), reported(out), TemporaryDirectory(".part", ".scratchnet-", out) as whole:
        checkpoint.save_weights(Path(whole, "checkpoint.npz"), run.model, run.progress,
                                half=run.flags.model != "vqvae")
        for name, content in files.items():
            Path(whole, name).write_bytes(content)
        checkpoint.write_json(Path(whole, "config.json"), config)
        clear(out)  # what was there goes when all that is new is written
        for path in Path(whole).iterdir():
            os.replace(path, out / path.name)
    if not flags.quiet:
        size = (out / "checkpoint.npz").stat().st_size
        print(f"{run.title}, after step {run.progress['step']:,}: {size / 1e6:.2f} MB in {out}")
        for name in left_out:
            print(f"{name} was left out: it is of other weights; evaluate.py {out} measures these")


def kept(run):
    """The files to hand on beside the weights, {name: content}; and the names of those with
    figures of other weights than the run's last. Raises RunError for one that cannot be read."""
    files, left_out = {}, []
    for path in (path for pattern in KEPT for path in run.folder.glob(pattern)):
        try:
            if path.suffix == ".json" and read_json(path).get("step") != run.progress["step"]:
                left_out.append(path.name)
            else:
                files[path.name] = path.read_bytes()
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(f"{path}: cannot be read ({error}); mend or remove it") from None
    return files, left_out


def build_parser():
    return parser_of_runs("export.py", __doc__, {
        "out": (None, "DIR", "the folder to write"),
        "codes": (None, "RUN", "for a prior: where its VQ-VAE was exported to"),
        "overwrite": (None, "switch", "replace what is in --out"),
    })


if __name__ == "__main__":
    sys.exit(guarded("export.py", from_first, main, sys.argv[1:]))
