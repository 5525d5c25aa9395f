"""Runs beside each other: what their folders say, and nothing from anywhere else."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from scripts import answer

from explorer import ask_all  # noqa: F401 - what can be asked
from explorer.runs import Runs, found_in

BOX = Path(__file__).parents[1] / "pretrained"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def runs(tmp_path):
    """Two runs of a VAE, the second not evaluated and in its third epoch, and a damaged one."""
    for name in ("a", "b", "broken"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    at = tmp_path / "runs"
    config = json.loads((BOX / "vae2-mnist" / "config.json").read_text())
    shutil.copy(BOX / "vae2-mnist" / "evaluation.json", at / "a")
    (at / "a" / "config.json").write_text(json.dumps(config))
    (at / "a" / "samples.png").write_bytes(PNG)
    config["flags"] |= {"conditional": False, "lr": 0.002, "h_dim": [64, 32], "epochs": 5}
    (at / "b" / "config.json").write_text(json.dumps(config))
    (at / "b" / "metrics.csv").write_text(
        "epoch,step,lr,train_kl,test_neg_elbo\n1,10,0.1,5,200\n2,20,0.1,,150.5\n")
    (at / "broken" / "config.json").write_text("{")
    return Runs(found_in([at]), places=(at,))


def test_runs_and_the_flags_that_differ(runs):
    found = answer(runs, "compare", {})
    a, b, broken = found["runs"]
    assert found["differ"] == {"vae": ["epochs", "h_dim", "lr"]}
    assert (b["flags"]["lr"], b["flags"]["h_dim"]) == ("0.002", "64 32")
    assert (b["done"], b["epochs"]) == (2, 5) and b["units"].startswith("nats per image")
    assert b["figures"] == {"-ELBO": 150.5} and list(a["figures"])[0] == "-ELBO"
    assert a["pictures"] == ["samples.png"] and a["columns"] == {} and a["done"] == 0
    assert a["drawn"] > 0 == b["drawn"]
    assert b["columns"] == {"train_kl": "KL, train", "test_neg_elbo": "-ELBO, test"}
    assert broken["name"] == "broken" and "damaged" in broken["error"]


def test_figures_are_of_the_weights_that_are_kept(runs, tmp_path):
    """An evaluation of an earlier step is of no account; of --keep-best the best row is."""
    a = tmp_path / "runs" / "a"
    step = json.loads((a / "evaluation.json").read_text())["step"]
    def figure(rows):
        (a / "metrics.csv").write_text("epoch,step,validation_neg_elbo\n" + rows)
        return answer(runs, "compare", {})["runs"][0]["figures"]["-ELBO"]
    evaluated = answer(runs, "compare", {})["runs"][0]["figures"]["-ELBO"]
    assert figure(f"1,{step},7\n") == evaluated and figure(f"1,{step},7\n2,{step + 1},8\n") == 8
    config = json.loads((a / "config.json").read_text())
    config["flags"]["keep_best"] = True
    (a / "config.json").write_text(json.dumps(config))
    assert figure(f"1,{step + 1},7\n2,{step + 2},8\n") == 7
    assert figure(f"1,{step},7\n2,{step + 2},8\n") == evaluated


def test_curves_are_those_of_the_file(runs):
    found = answer(runs, "curves", {"run": "b", "column": "test_neg_elbo"})
    assert found == {"steps": [10, 20], "values": [200, 150.5]}
    (Path(runs.folders["b"]) / "metrics.csv").write_text("epoch,step,test_kl\n1,10,inf\n2,20,7\n")
    assert answer(runs, "curves", {"run": "b", "column": "test_kl"})["values"] == [7]
    assert answer(runs, "curves", {"run": "a", "column": "x"})["values"] == []


def test_a_run_that_begins_later_is_found(runs, tmp_path):
    shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / "later")
    found = answer(runs, "compare", {})
    assert [run["name"] for run in found["runs"]] == ["a", "b", "broken", "later"]
    assert len(answer(runs, "compare", {})["runs"]) == 4


def test_pictures_by_name_alone(runs, tmp_path):
    found = answer(runs, "picture", {"run": "a", "name": "samples.png"})
    assert base64.b64decode(found["png"]) == PNG
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    (Path(runs.folders["a"]) / "link.png").symlink_to(secret)
    (Path(runs.folders["a"]) / "text.png").write_text("no picture")
    for name in ("../../secret.png", str(secret), "link.png", "config.json", "text.png", "", None,
                 3, "SAMPLES.PNG", "./samples.png", "samples.png\0"):
        assert "error" in answer(runs, "picture", {"run": "a", "name": name}), name


@pytest.mark.parametrize("name, request_, says", [
    ("curves", {"run": "b", "column": "nothing"}, "is none of train_kl"),
    ("curves", {"run": "../a", "column": "x"}, "run: '../a' is none of"),
    ("curves", {"run": "b", "column": ["x"]}, "is none of train_kl"),
    ("picture", {"run": None, "name": "samples.png"}, "is none of"),
    ("picture", {"run": "b", "name": "samples.png"}, "is none of none")])
def test_wrong_requests(runs, name, request_, says):
    assert says in answer(runs, name, request_)["error"]


def test_a_damaged_file_is_said_and_the_others_are_shown(runs):
    (Path(runs.folders["b"]) / "metrics.csv").write_text("epoch,step,test_kl\n1,10,seven\n")
    (Path(runs.folders["a"]) / "evaluation.json").write_text("[]")
    a, b, _ = answer(runs, "compare", {})["runs"]
    assert "evaluation.json is damaged" in a["error"] and "metrics.csv is damaged" in b["error"]


def test_a_run_that_somebody_changed_takes_no_other_with_it(runs):
    """Every answer is JSON that a browser reads: it has no NaN."""
    config = Path(runs.folders["a"]) / "config.json"
    found = json.loads(config.read_text())
    found["flags"]["model"] = [1]
    config.write_text(json.dumps(found))
    (Path(runs.folders["b"]) / "metrics.csv").write_text("epoch,step,test_kl\nnan,10,7\n")
    a, b, _ = answer(runs, "compare", {})["runs"]
    assert "error" in a and b["done"] is None
    json.dumps(answer(runs, "curves", {"run": "b", "column": "test_kl"}), allow_nan=False)


def test_a_run_that_is_named_twice_is_there_once(runs):
    folder = Path(runs.folders["a"])
    assert list(found_in([folder, folder.parent / "x" / ".." / folder.name])) == ["a"]
