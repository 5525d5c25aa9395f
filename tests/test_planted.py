"""Mistakes that run (python -m mistakes), and the page that lists them. That each is caught is for
CI: python -m mistakes --check."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from mistakes import __main__ as command
from mistakes import planting
from mistakes.planting import ROOT

FOUND = command.mistakes()
ROWS = re.findall(r"^\| `([\w-]+)`(\*?) \| .*? \| .*? \| (.*) \|$",
                  (ROOT / "docs" / "mistakes.md").read_text(), re.M)


def test_the_page_has_the_same_names_stars_and_tests():
    entries = json.loads((ROOT / "mistakes" / "mistakes.json").read_text())
    assert [(e["name"], "*" * ("see" in e)) for e in entries] == [row[:2] for row in ROWS]
    assert len(FOUND) == len(entries) and sum("see" in m for m in FOUND.values()) >= 15
    for name, _, tests in ROWS:
        assert "edits" not in FOUND[name] or re.search(r"::(\w+)", FOUND[name]["test"])[1] in tests


def can_be_made_and_has_a_test(edits, test):
    for file, old, new in edits:
        assert old != new and (ROOT / file).read_text().count(old) == 1, old
    file, name = re.match(r"([\w/.-]+)(?:::(\w+))?", test).groups()
    assert not name or f"def {name}(" in (ROOT / file).read_text(), test


@pytest.mark.parametrize("name", [name for name, m in FOUND.items() if "edits" in m])
def test_a_mistake_can_be_made_and_has_a_test(name):
    mistake = FOUND[name]
    can_be_made_and_has_a_test(mistake["edits"], mistake["test"])
    if see := mistake.get("see"):
        assert {"curve", "picture"} & set(see) and len(re.findall(r"\.(?: |$)", see["look"])) == 2
        assert ("run" in see) != ("train" in see)


def test_every_fault_can_be_made_and_has_a_test():
    for fault in json.loads((ROOT / "tests" / "faults.json").read_text()):
        can_be_made_and_has_a_test([[fault[k] for k in ("file", "old", "new")]], fault["test"])


def test_one_without_a_change_says_why(tmp_path, capsys):
    command.show("noise-between-passes", FOUND["noise-between-passes"], tmp_path / "x.png")
    out = capsys.readouterr().out
    assert "There is nothing to change" in " ".join(out.split()) and not list(tmp_path.iterdir())
    assert max(map(len, out.splitlines())) <= 80


def test_the_list_fits_into_80_columns(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mistakes"])
    assert not command.main()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0].rstrip("*") for line in lines if line[0] != " "] == list(FOUND)


def test_a_name_that_is_none(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mistakes", "kl-meen"])
    assert command.main() == 2
    assert "no 'kl-meen'; did you mean kl-mean?" in capsys.readouterr().err


@pytest.mark.parametrize("argv, words", [
    ("kl-mean --out x.txt", "must end in .png"), ("--check kl-mean", "leave out the name"),
    ("long-sum --out x.png", "long-sum has no picture")])
def test_flags_that_would_be_in_vain(monkeypatch, capsys, argv, words):
    monkeypatch.setattr(sys, "argv", ["mistakes", *argv.split()])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2 and words in capsys.readouterr().err


def test_what_is_planted_goes_away_again(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("a b b")
    with planting.planted(tmp_path, [["x.py", "a", "b"], ["x.py", "b b b", "c"]]):
        assert path.read_text() == "c"
    for old in "b", "z":
        with pytest.raises(ValueError, match="x.py: '[bz]' is there [02] times, not once"), \
                planting.planted(tmp_path, [["x.py", "a", "c"], ["x.py", old, "c"]]):
            pass
        assert path.read_text() == "a b b"


@pytest.mark.parametrize("code, said, words", [
    (1, "1 failed in 2.1s", None), (0, "1 passed", "LIVES"), (1, "1 error", "1 error"),
    (4, "no tests ran", "no tests ran")])
def test_caught_is_a_test_that_fails(code, said, words, tmp_path, monkeypatch):
    monkeypatch.setattr(planting, "run_test", lambda tree, test: (code, said))
    assert planting.problem(tmp_path, {"edits": [], "test": "x"}) == words


@pytest.mark.long
def test_one_is_shown(tmp_path, capsys):
    """Of a trained model, so that nothing is trained."""
    def tree(): return {p: p.stat().st_mtime for p in ROOT.rglob("*")
                        if not {"__pycache__", ".git"} & set(p.parts)}
    before = tree()
    command.show("argmax", FOUND["argmax"], tmp_path / "argmax.png")
    said = capsys.readouterr().out
    assert "+        return 0.5 < " in said and "1 failed" in said and tree() == before
    picture = np.asarray(Image.open(tmp_path / "argmax.png").convert("L"))
    right, mistake = np.split(picture, 2, axis=1)  # digits, and black squares
    assert (right > 200).sum() > 1.1 * (mistake > 200).sum()
