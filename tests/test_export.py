"""export.py: what it hands on; all of the new or all of the old, at whatever call it is ended. And
--overwrite: nobody else's files."""

import ctypes
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from endings import ended, fail, kill
from numpy.testing import assert_array_equal
from scripts import (
    RUNS,
    VAE,
    asked,
    call,
    change_weights,
    changed,
    config_of,
    interrupt,
    names,
    refused,
    state,
    train,
)

import export
import generate
from models import RECIPES
from scratchnet.runs import checkpoint
from scratchnet.runs import run as runs

pytestmark = pytest.mark.usefixtures("runs_here")
OLD, NEW = "vae", "grey"  # the export of the first lies in box/it, where the second is to go


def whole(path):
    """All that is in an export: arrays and texts."""
    found = {p.name: p.read_bytes() for p in Path(path).iterdir() if p.suffix != ".npz"}
    with np.load(Path(path) / "checkpoint.npz") as file:
        return found | {name: (a.dtype, a.tobytes()) for name, a in file.items()}


def exported(name, *argv):
    """The arrays of its export, in out/."""
    assert call(export, name, "--out", f"out/{name}", *argv, "--quiet") == 0
    return state(f"out/{name}")


# ---------------------------------------------------------------- what it hands on

@pytest.mark.parametrize("name", RUNS)
def test_an_exported_run_gives_the_figures_and_pictures_of_the_run(name):
    def evaluated(folder):
        assert asked(f"evaluate {folder} --quiet") == 0
        return json.loads(Path(folder, "evaluation.json").read_text())
    if name == "prior":
        exported("vqvae")
    arrays = exported(name, *(["--codes", "out/vqvae"] if name == "prior" else []))
    before, after = (evaluated(folder)["figures"] for folder in (name, f"out/{name}"))
    for metric, figure in before.items():
        assert after[metric]["value"] == pytest.approx(figure["value"], rel=2e-3)
    assert all(n.startswith("model/") for n in arrays)
    half = {n for n, a in arrays.items() if a.dtype == np.float16}
    assert bool(half) == (name != "vqvae")  # whose codes must not move
    if name == "vqvae":
        assert after == before
    assert asked(f"generate out/{name} --out picture.npy --quiet") == 0
    assert np.isfinite(np.load("picture.npy")).all()
    assert Path(f"out/{name}/metrics.csv").read_text() == Path(f"{name}/metrics.csv").read_text()


def test_an_export_is_put_over_no_file(capsys):
    Path("LICENSE").write_text("mine")
    assert "is a file, and no folder" in refused(capsys, asked("export vae --out LICENSE"))
    assert Path("LICENSE").read_text() == "mine"


def test_a_vqvae_is_halved_where_that_is_asked_for():
    whole, half = exported("vqvae"), exported("vqvae", "--half", "--overwrite")
    assert {a.dtype for n, a in half.items() if n.endswith(".w")} == {np.dtype(np.float16)}
    assert all(np.allclose(whole[n], a, rtol=1e-3, atol=1e-6) for n, a in half.items())


def test_the_averaged_weights_are_exported():
    own, kept = exported("gated"), state("gated")
    model = runs.open_run(Path("gated"), RECIPES).model
    masks = dict(checkpoint.masks(model))
    assert {"first_v.w", "blocks.0.h.w"} <= set(masks)  # what they hide is 0
    for name, parameter in model.named_parameters().items():
        expected = parameter.numpy().astype(np.float16)
        if name in masks:
            assert expected[~masks[name]].any() or masks[name].all()
            expected = np.where(masks[name][..., None, None], expected, 0)
        assert_array_equal(own[f"model/{name}"], expected)
    assert any(not np.allclose(a, kept[n], rtol=1e-3, atol=1e-6) for n, a in own.items())


def test_a_prior_takes_the_vqvae_that_its_codes_are_of(capsys):
    """Of the one that its config names and the one beside it."""
    exported("vqvae")
    exported("prior", "--overwrite")
    assert "NOTE: its codes are those of vqvae" in capsys.readouterr().err
    exported("prior", "--codes", "out/vqvae", "--overwrite")
    assert "NOTE" not in capsys.readouterr().err
    shutil.copytree("out", "box")
    shutil.rmtree("out/vqvae")
    shutil.copytree("vae", "out/vqvae")  # what was put there since is no matter
    assert asked("evaluate box/prior --quiet") == 0
    shutil.copytree("vqvae", "named/vqvae")
    exported("prior", "--codes", "named/vqvae", "--overwrite")
    assert asked("evaluate out/prior --quiet") == 0  # beside which is the other
    shutil.rmtree("named")
    shutil.rmtree("out/vqvae")
    message = refused(capsys, asked("evaluate out/prior"))
    assert "not at named/vqvae, nor at" in message and "out/prior" in message
    train(*RUNS["vqvae"], "--seed", 1, "--steps", 1, "--out", "other")
    assert "are not those of other" in refused(
        capsys, asked("export prior --out new --codes other"))


def test_figures_of_other_weights_are_not_handed_on(capsys):
    assert asked("evaluate vae --quiet") == asked("evaluate vae --limit 7 --quiet") == 0
    exported("vae")
    assert {"evaluation.json", "evaluation-first7.json"} <= names("out/vae")
    train("--resume", "vae", "--epochs", 2, "--quiet")
    assert asked("export vae --out out/vae --overwrite") == 0
    assert "evaluation.json was left out" in capsys.readouterr().out
    assert names("out/vae") == {"config.json", "checkpoint.npz", "metrics.csv"}


def test_an_exported_run_cannot_go_on_and_says_why(capsys):
    """Whether or not its data are there."""
    exported("vae")
    message = refused(capsys, asked("--resume out/vae --epochs 2"))
    shutil.copytree("out/vae", "of")
    changed("of", lambda config: config["dataset"].update(name="mnist"))
    changed("of", lambda config: config["flags"].update(dataset="mnist"))
    assert "weights alone" in refused(capsys, asked("--resume of --epochs 2"))
    assert "weights alone" in message and "these weights, --from out/vae" in message
    assert train("--from", "out/vae", "--out", "anew", "--steps", 1, "--quiet") == 0


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_weights_that_float16_does_not_hold_are_kept_in_float32(scale, capsys):
    first = "model/pixels.w"
    change_weights(NEW, lambda arrays: arrays.update({first: arrays[first] * np.float32(scale)}))
    arrays = exported(NEW)
    err = capsys.readouterr().err
    assert f"NOTE: {first.removeprefix('model/')} is as it was" in err and err.count("\n") == 1
    assert arrays[first].dtype == np.float32 and (arrays[first] == state(NEW)[first]).all()
    assert all(a.dtype == np.float16 for n, a in arrays.items() if n.endswith(".w") and n != first)
    assert call(generate, f"out/{NEW}", "--num", 2, "--out", "x.npy", "--quiet") == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_averaged_weights_that_are_not_finite_are_not_handed_on(value, capsys):
    train(*VAE, "--average", 0.9, "--out", "a")
    change_weights("a", lambda arrays: arrays["optimizer/average.0"].fill(value))
    before = names(".")
    for line in "generate a", "evaluate a", "export a --out b":
        assert "damaged" in refused(capsys, asked(line))
    refused(capsys, asked("--resume a --epochs 2"))
    assert names(".") == before


def test_figures_that_are_not_finite_are_said_and_not_written(capsys):
    change_weights(NEW, lambda arrays: [a.__imul__(np.float32(1e30)) for n, a in arrays.items()
                                        if n.endswith(".w")])
    with np.errstate(all="ignore"):
        assert "diverged" in refused(capsys, asked(f"evaluate {NEW} --quiet"))
    assert "evaluation.json" not in names(NEW)


# ---------------------------------------------------------------- ended before each of its calls

@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize("overwrite, swaps", [(False, True), (True, True), (True, False)],
                         ids=["fresh", "overwrite", "overwrite in two steps"])
@pytest.mark.parametrize("end, code", [(kill, -9), (fail, 2), (interrupt, 130)])
def test_an_export_ended_at_any_call_is_the_old_or_the_new_one(end, code, overwrite, swaps):
    for run, limit in ((OLD, 10), (NEW, 20)):
        assert asked(f"evaluate {run} --limit {limit} --quiet") == 0
        assert asked(f"export {run} --out kept/{run} --quiet") == 0
    old, new, out = whole(f"kept/{OLD}"), whole(f"kept/{NEW}"), Path("box/it")
    line = f"export {NEW} --out box/it --quiet"
    number, passed = 0, 0
    while passed >= number or not passed:  # fewer: it was not ended
        number += 1
        shutil.rmtree("box", ignore_errors=True)
        if overwrite:
            shutil.copytree(f"kept/{OLD}", out)
        def work(number=number):
            if not swaps:  # as where the system, or its file system, cannot exchange folders
                cannot = SimpleNamespace(**{"renameat2": lambda *_: -1} if number % 2 else {})
                ctypes.CDLL = lambda name: cannot
            return asked(line + " --overwrite" * overwrite)
        found, passed, said = ended(work, "box", number, end)
        story = f"point {number}: {found}, {said}"
        assert "Traceback" not in said and "Exception ignored" not in said, story
        assert found in (code, 0) and said.count("\n") == bool(found and end is not kill), story
        if out.exists():
            left = whole(out)
            assert left == new or found and overwrite and left == old, story
            assert overwrite or not found or end is kill, story
        else:
            assert found and (not overwrite or not swaps and end is kill), story
        assert passed >= number or not passed or names("box") == {"it"}, story
        assert asked(line + " --overwrite" * (overwrite or out.exists())) == 0, story
        assert whole(out) == new and names("box") == {"it"}, story
    assert number > 40


# ---------------------------------------------------------------- whose files they are

USERS = ["holiday.png", "evaluation-of-my-thesis.json", "samples-seed.png", "samples-seed01.png",
         "samples-seed0-.png", "curves-seed0.png", "xsamples.png", "evaluation-first07.json",
         "train.csv.old", "checkpoint.npz~", "samples-seed0.PNG", "curvesxpng"]


def test_overwrite_erases_what_a_run_can_name_and_no_more(capsys):
    for name in ["samples.png", "palette-seed0.png", "samples-seed12-2.png", "validation.json",
                 "evaluation-static-first5-importance10.json", *USERS]:
        Path(OLD, name).write_text(name)
    Path(OLD, "manifold.png").mkdir()
    assert "there is a run in it" in refused(capsys, train(*VAE, "--out", OLD))
    assert train(*VAE, "--seed", 3, "--out", OLD, "--overwrite") == 0
    assert config_of(OLD)["flags"]["seed"] == 3
    assert names(OLD) == {"config.json", "checkpoint.npz", "metrics.csv", "curves.png",
                          "manifold.png", *USERS}
    assert all(Path(OLD, name).read_text() == name for name in USERS)


@pytest.mark.parametrize("name", USERS)
def test_an_export_does_not_take_the_place_of_a_folder_with_other_files(name, capsys):
    exported(OLD)
    Path("out", OLD, name).write_text("mine")
    before = whole(f"out/{OLD}")
    err = refused(capsys, asked(f"export {NEW} --out out/{OLD} --overwrite"))
    assert repr(name) in err and whole(f"out/{OLD}") == before


@pytest.mark.parametrize("config", ['{"site": 1}', "[]", "", '{"flags": {"model": "vae"}}'])
def test_a_folder_that_is_no_run_is_not_overwritten(config, capsys):
    Path("site").mkdir()
    for name in ("metrics.csv", "samples.png"):
        Path("site", name).write_text("mine")
    Path("site/config.json").write_text(config)
    for code in (lambda: train(*VAE, "--out", "site", "--overwrite"),
                 lambda: asked(f"export {NEW} --out site --overwrite")):
        assert "has files in it and is no run" in refused(capsys, code())
    assert len(names("site")) == 3 and Path("site/config.json").read_text() == config


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_comes_into_the_folder_meanwhile_is_not_lost(overwrite, monkeypatch, capsys):
    if overwrite:
        exported(OLD)
    def meanwhile(*args, **how):
        Path(f"out/{OLD}").mkdir(parents=True, exist_ok=True)
        Path(f"out/{OLD}/mine.txt").write_text("mine")
        return []
    monkeypatch.setattr(export, "write_json", meanwhile)
    refused(capsys, asked(f"export {NEW} --out out/{OLD}" + " --overwrite" * overwrite))
    assert Path(f"out/{OLD}/mine.txt").read_text() == "mine" and names("out") == {OLD}
