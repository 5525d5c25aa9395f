"""The models in the box open, draw, and are as good as pretrained/README.md says."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import evaluate
import generate
from models import RECIPES
from scratchnet import no_grad, to_numpy
from scratchnet.runs.data import MissingDataError
from scratchnet.runs.files import read_json
from scratchnet.runs.run import open_run

BOX = Path(__file__).parent.parent / "pretrained"
ROW = re.compile(r"^\| \[([\w-]+)\]\(\1/?\) \|.*\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.M)
# {folder: its figure on all test images, on the first 1,000, and MB}, as the README says
SAID = {name: tuple(map(float, said))
        for name, *said in ROW.findall((BOX / "README.md").read_text())}
each_model = pytest.mark.parametrize("name", SAID)


def test_every_model_is_listed_and_all_are_small():
    assert set(SAID) == {path.parent.name for path in BOX.glob("*/config.json")}
    for name, (*_, size) in SAID.items():
        found = sum(path.stat().st_size for path in files(name))
        assert found / 1e6 == pytest.approx(size, abs=0.1)
    assert sum(path.stat().st_size for name in SAID for path in files(name)) <= 15e6


def files(name):
    """What export.py wrote; not what generate.py and evaluate.py have added since (.gitignore)."""
    return [path for path in (BOX / name).iterdir()
            if "-seed" not in path.name and not path.name.startswith("evaluation-first")]


@each_model
def test_opens_and_draws_without_data(name, tmp_path, monkeypatch):
    """New images, from another folder than the repository; of a model that draws none, a code's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path / "none"))
    model = open_run(BOX / name, RECIPES).model
    if hasattr(model, "sample"):
        generate.main([str(BOX / name), "--num", "8", "--out", "new.npy", "--quiet"])
        images = np.load("new.npy")
    else:
        with no_grad():
            images = to_numpy(model.decode_codes(np.arange(16).reshape(1, 4, 4)) if hasattr(
                model, "codes") else 1 / (1 + np.exp(-to_numpy(model.decode(np.eye(2))))))
    assert len(images) and np.isfinite(images).all()
    assert 0.02 < images.mean() / max(1, images.max()) < 0.7 and images.std() > 0.05


@each_model
def test_is_as_good_as_it_says(name, tmp_path):
    """All test images, as evaluate.py wrote it down; the first 1,000, measured anew. They are far
    from alike: a model that was damaged, or loaded wrongly, does not come near."""
    run = open_run(BOX / name, RECIPES)
    (figure, *_), _ = RECIPES[run.kind][run.flags.model].shows(run.flags)
    of_all, of_few, _ = SAID[name]
    known = read_json(BOX / name / "evaluation.json")
    assert known["test_images"] == 10_000
    assert known["figures"][figure]["value"] == pytest.approx(of_all, rel=1e-3)
    if "SCRATCHNET_DATA" not in os.environ:
        pytest.skip("$SCRATCHNET_DATA names no folder of real data sets")
    shutil.copytree(BOX, tmp_path / "box")
    try:
        evaluate.main([str(tmp_path / "box" / name), "--limit", "1000", "--quiet"])
    except MissingDataError as error:
        pytest.skip(str(error).partition("\n")[0])
    found = read_json(tmp_path / "box" / name / "evaluation-first1000.json")
    assert found["figures"][figure]["value"] == pytest.approx(of_few, rel=2e-3)
