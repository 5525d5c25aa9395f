"""README and docs keep their word: links lead somewhere, names in backticks exist."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pretrained" / "README.md",
         *(ROOT / "docs").glob("*.md")]
CODE = re.compile(r"```.*?```", re.S)
FILE = re.compile(r"[\w./-]+\.(?:py|md|txt|png|toml|sh)|\.ci/run|(?:[\w-]+/)+")
MADE_BY_A_RUN = re.compile(r"runs/|my/|config\.json|metrics\.csv|checkpoint\.npz|[a-z]+\.png$")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    missing = []
    for file, place in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        target = page.parent / file if file else page
        if "://" not in file and not (target.exists() and (not place or place in places(target))):
            missing.append(f"{file}#{place}")
    assert not missing


def test_every_picture_is_shown():
    """On another page than the slides, which are made of the chapters."""
    shown = {name for page in PAGES if page.name != "slides.md"
             for name in re.findall(r"!\[[^\]]+\]\((?:docs/)?images/(.*?)\)", page.read_text())}
    assert shown == {p.name for p in (ROOT / "docs" / "images").iterdir()}


def test_the_gallery_is_not_drawn_of_other_digits(tmp_path):
    found = subprocess.run([sys.executable, ROOT / "docs" / "draw_gallery.py", tmp_path], text=True,
                           capture_output=True, env=os.environ | {"SCRATCHNET_DATA": str(tmp_path)})
    assert found.returncode == 2 and f"MNIST is not in {tmp_path}" in found.stderr
    assert not any(tmp_path.iterdir())


def places(page):
    """What a link into a page may end in: its headings, as code hosts name them, and anchors."""
    text = CODE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\s-]", "", h.lower()).replace(" ", "-") for h in headings} | set(
        re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_names_in_backticks_exist(page):
    tests = "\n".join(p.read_text() for p in (ROOT / "tests").glob("*.py"))
    missing = []
    for name in re.findall(r"`([^`\n]+)`", CODE.sub("", page.read_text())):
        if FILE.fullmatch(name) and not MADE_BY_A_RUN.match(name):
            found = (ROOT / name).exists() or (page.parent / name).exists()
        elif re.fullmatch(r"test_\w+", name):
            found = f"def {name}(" in tests
        elif re.fullmatch(r"(?:scratchnet|models|benchmarks)(?:\.\w+)+", name):
            found = resolves(name)
        else:
            continue
        if not found:
            missing.append(name)
    assert not missing


def test_each_rung_of_the_ladder_takes_something_away():
    """benchmarks/ladder.py puts a plain function, or a size, in the place of one that there is."""
    found = []
    for function in ast.parse((ROOT / "benchmarks/ladder.py").read_text()).body:
        places = {name.name: f"{node.module}.{name.name}" for node in ast.walk(function)
                  if isinstance(node, ast.ImportFrom) for name in node.names}
        targets = [ast.unparse(target).partition(".") for node in ast.walk(function)
                   if isinstance(node, ast.Assign) for target in node.targets]
        found += [f"{places[name]}.{rest}" for name, _, rest in targets if rest and name in places]
    assert len(found) > 12 and all(map(resolves, found)), found


def resolves(dotted):
    """Whether a dotted name is a module, or a chain of attributes of one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for attribute in parts[cut:]:
            if not hasattr(value, attribute):
                return False
            value = getattr(value, attribute)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_flags_in_commands_exist(page):
    """Every --flag after a script's name is in that script."""
    import evaluate
    import export
    import generate
    import runs
    from models import RECIPES
    from scratchnet.runs.flags import dashed
    from scratchnet.runs.parser import build_parser
    parsers = {f"train_{kind}.py": [build_parser(kind, "", recipes, m) for m in recipes]
               for kind, recipes in RECIPES.items()}
    parsers |= {f"{s.__name__}.py": [s.build_parser()] for s in (generate, evaluate, export, runs)}
    for script, found in parsers.items():
        known = {"--help", *(dashed(name) for parser in found for name in parser.flags)}
        commands = re.findall(rf"python {re.escape(script)}[^\n`]*", page.read_text())
        assert {f for c in commands
                for f in re.findall(r"--[a-z][a-z-]*", c.partition("#")[0])} <= known


def test_requirements_are_those_of_the_project():
    """What a newcomer installs is what pyproject.toml asks for, and for running and testing."""
    project = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|runs|tests) = (\[.*?\])", project, re.M)
    wanted = (ROOT / "requirements.txt").read_text().split()
    assert len(lists) == 3 and sorted(wanted) == sorted(sum(map(json.loads, lists), []))


def test_what_pip_installs_is_scratchnet_alone_and_whole():
    """No top-level `models` that a learner's own would clash with."""
    listed = re.search(r"^packages = (\[.*?\])", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert sorted(json.loads(listed[1])) == sorted(
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "scratchnet").rglob("__init__.py"))


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text().partition(
    "## As a library")[2].partition("\n## ")[0], re.S)


def test_the_readmes_blocks_run(tmp_path, monkeypatch, capsys):
    """Those that show a library, one after another, as they stand there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3 and losses[2] < 0.9 * losses[0]
    assert Path("between.png").stat().st_size > 5000


@pytest.mark.parametrize("model", ["VQVAE((8, 8, 1), num_embeddings=8, embedding_dim=4)",
                                   "Autoencoder(64, 16, 4)", "ConvVAE((8, 8, 1), (4,), 8, 2)",
                                   "PixelCNN((8, 8, 1), features=8, blocks=1, head=8)"])
def test_the_readmes_loop_is_right_for_every_model(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = re.sub(r"VAE\(input.*", model, BLOCKS[0].replace("(1000, 784)", "(200, 8, 8, 1)"))
    names = {}
    exec("from models import *\n" + block, names)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[2] < losses[0]
    if "VQVAE" in model:
        e = names["model"].e.numpy()
        assert names["model"].updates == 30 and np.abs(e).max() > 1 / 8  # where it began
