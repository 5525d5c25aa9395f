"""The VAE on one screen does what it says. (.ci/run runs examples/letters.py.)"""

import re
import runpy
import sys
from pathlib import Path

from scratchnet.runs import data
from scratchnet.runs.synthetic import synthetic_digits

EXAMPLE = Path(__file__).parent.parent / "examples" / "vae_in_60_lines.py"


def test_vae_in_60_lines(tmp_path, monkeypatch, capsys):
    """On synthetic digits, as MNIST is not there: the bound falls, and a picture is drawn."""
    assert len(EXAMPLE.read_text().splitlines()) <= 60
    load, few = data.load, lambda: synthetic_digits(train=2000, test=10)
    def load_few(name):
        if name == "mnist":
            raise data.MissingDataError("not here")
        return load(name, synthetic=few)
    monkeypatch.setattr(data, "load", load_few)
    monkeypatch.setattr(sys, "argv", ["vae_in_60_lines.py", "2"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE))
    first, second = map(float, re.findall(r"-ELBO ([\d.]+) nats", capsys.readouterr().out))
    assert second < first and (tmp_path / "vae.png").stat().st_size > 5000
