"""Every mistake of a user is one line, which says what would do, and exit code 2. (Damaged
checkpoints are in test_resume.py, damaged data in test_data.py.)"""

import ast
import contextlib
import functools
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scripts import ROOT, SYNTHETIC, VAE, asked, call, changed, digits, refused, train

import evaluate
import export
import generate
from models import RECIPES
from scratchnet.runs import cli, data

pytestmark = pytest.mark.usefixtures("runs_here")

# A row: the command line (train_mnist.py's begins with a flag), and words that the message has.
WRONG = """
--model gan                                  'gan' is not one of autoencoder, vae
--epochs 1                                   --model is needed: one of autoencoder, vae
--model vqvea                                did you mean vqvae?
--model VAE                                  did you mean vae?
--model vea                                  did you mean vae?
vae                                          one word too many; did you mean --model vae?
--list                                       no such flag (python train_mnist.py --help shows all)
--model vae --dataset cifar10                synthetic; python train_cifar.py has it
--model vae --epochs 99999999999             '99999999999' is too large; at most 10,000,000,000
--model vae --seed 9223372036854775808       is not a whole number, 0 or more, below 2^63
--model vae --sigma-x 1e-200                 '1e-200' is not a number above 0, 1e-18 to 1e+18
--model vae --lr 1e300                       '1e300' is not a number above 0
--model vae --beta 1e-300                    0, or 1e-18 to 1e+18
--model vae --dataset mnist --data-dir ~nosuchuser   there is no such home folder
--model                                      --model: expected one argument
--model vae --out=                           --out: expected a value
generate vae --input ~nosuchuser/x           there is no such home folder
--model vae --h-dim                          --h-dim: expected at least one argument
--model vae --schedule cosin                 did you mean cosine?
--model vae extra                            'extra'
--model vae --batch-size -5                  --batch-size: '-5' is not a whole number, 1 or more
--model vae --epochs 0                       --epochs: '0' is not a whole number, 1 or more
--model vae --lr nan                         --lr: 'nan' is not a number above 0
--model vae --seed -1                        --seed: '-1' is not a whole number
--model vae --epoch 3                        did you mean --epochs?
--model autoencoder --beta 2                 --beta
--model pixelcnn --conditional               --conditional
--model prior --codes vqvae --levels 4       --levels
--model vae --dataset imagenet               'imagenet' is not one of mnist, fashion
--model vae --dataset mnist                  mnist
--model vae --data-dir nowhere               nowhere/mnist/train-images-idx3-ubyte.gz
--model vae --config missing.json            missing.json: No such file
--resume nowhere                             no run there
--resume vae --model autoencoder             --model vae, not autoencoder
--resume vae --seed 5                        --seed 0, not 5
--resume vae --limit 5                       that run has no --limit; it goes on as it began
--resume vae --out new                       --out: a run that goes on stays where it is
--resume vae/checkpoint.npz                  did you mean vae?
--resume of-cifar                            another script's; use python train_cifar.py
--from of-cifar                              another script's; use python train_cifar.py
--model vae --overwrite                      --overwrite needs --out
--model vqvae --decay 1                      '1' is not a number between 0 and 1
--model vae --average 1                      '1' is not a number, 0 or more and below 1
--model pixelcnn --levels 300                give levels 2 to 256
--model pixelcnn --levels 4 --binarize static   have 2 levels
--model vae --epochs 1 --steps 1             give --epochs or --steps, not both
--model vae --dataset synthetic --validation 200   there are 200 training images
--model conv-vae --dataset synthetic --channels 4 4 4   fewer channels
--model vae --out file/run                   file
--model vae --out file                       file: is a file, and no folder; mend that, or name
--model vae --out full --overwrite           has files in it and is no run
--model prior --epochs 1                     needs --codes RUN
--model prior --codes vae                    that run is a vae, which has no codes
--model prior --codes vqvae --dataset mnist  was trained on synthetic; leave out --dataset
--model prior --codes vqvae --binarize static   cannot be binarised
--model prior --codes of-cifar               trained by train_cifar.py
generate gated --label 10                    --label 10: synthetic digits has the classes 0 to 9
generate cvae --label 10                     --label 10: synthetic digits has the classes 0 to 9
generate pixelcnn --label 3                  --model gated-pixelcnn --conditional
generate vae --label 3                       train one with python train_mnist.py --model vae --cond
generate vae --what manifold --label 3       manifold is not of one class
generate vae --what styles                   train one with python train_mnist.py --model vae --cond
generate gated --what styles                 a gated-pixelcnn has no styles
generate cvae --what styles --label 3        styles is not of one class
generate vae --temperature 0.5               --temperature: means nothing to samples of a vae
generate vae --out x.jpg                     must end in .png (a picture), .npy (an array)
generate vae --out nowhere/x.png             nowhere/x.png: No such file
generate vae --out vae/curves.png            exists
generate vae --out full/folder.png --overwrite  is a folder
generate vae --what codes                    a vae has no codes
generate autoencoder --what samples          an autoencoder has no samples
generate pixelcnn/config.json                did you mean pixelcnn?
generate vae-mnist                           did you mean runs/vae-mnist or pretrained/vae-mnist?
generate runs/vae-mist                       did you mean runs/vae-mnist?
generate runs/vae-cifar10                    did you mean runs/vae-mnist?
generate runs/no-such                        name the folder of a run, such as runs/vae-mnist
generate grey --what manifold                train one with --z-dim 2
generate vqvae --what samples                train a prior over its codes
generate vae --what reconstructions --num 61    there are 60
generate vae --what completions              did you mean completion?
generate vae --labl 3                        did you mean --label?
generate vae --what latent --num 3           latent is of all there is
generate begun                               a lower --lr if it diverged
evaluate grey --importance-samples 5         pixels are grey
evaluate pixelcnn --importance-samples 5     exact without it
evaluate vqvae --importance-samples 5        a vqvae has no likelihood
evaluate prior --binarize static             cannot be binarised
evaluate vae --out file                      --out file: name a file that is not there yet
evaluate vae --out vae/config.json           --out vae/config.json: name a file that is not there
evaluate vae --validation                    set no training images aside
export vae                                   --out DIR is needed
export vae --out grey                        there is a run in it; replace it with --overwrite
export vae --out vae --overwrite             is the run itself
export prior --out vqvae --overwrite         of its VQ-VAE
export prior --out vqvae --codes vqvae --overwrite   of its VQ-VAE
export vae --out new --codes vqvae           means nothing to a vae
export vae --out vae.onnx                    a folder is written; name one without .onnx
"""


@pytest.mark.parametrize("row", WRONG.strip().splitlines(), ids=lambda row: row.partition("  ")[0])
def test_a_wrong_command_line(row, capsys):
    line, _, words = row.partition("  ")
    Path("file").touch()
    Path("full/folder.png").mkdir(parents=True)
    for folder in "begun", "of-cifar", "runs/vae-mnist", "pretrained/vae-mnist", \
            "pretrained/vae-cifar10":
        shutil.copytree("vqvae", folder)
    Path("begun/checkpoint.npz").unlink()
    changed("of-cifar", lambda config: config.update(script="train_cifar.py"))
    before = {str(p): p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()}
    assert words.strip() in refused(capsys, asked(line))
    assert before == {str(p): p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()}


def test_a_name_that_is_too_long(capsys):
    assert "File name too long" in refused(capsys, train("--model", "vae", "--out", "x" * 256))


def test_without_a_home(monkeypatch, capsys):
    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.delenv("SCRATCHNET_DATA")
    monkeypatch.setattr(Path, "expanduser", expanduser)
    assert "no such home folder" in refused(capsys, train("--model", "vae"))
    assert "RUN: expected a value" in refused(capsys, call(generate, ""))
    assert train(*VAE) == 0


def test_a_model_that_only_the_other_script_has(capsys):
    assert "did you mean conv-vae?" in refused(capsys, train("--model", "vae", kind="cifar"))


@pytest.mark.parametrize("line", ["--model vae --dataset mnist", "--resume of", "generate of",
                                  "evaluate of", "--model prior --codes of"])
def test_data_that_cannot_be_had(line, capsys):
    """The advice is for flags that the script has; a folder that was mistyped is not made."""
    shutil.copytree("vqvae", "of")
    changed("of", lambda config: config["dataset"].update(name="mnist"))
    changed("of", lambda config: config["flags"].update(dataset="mnist"))
    message = refused(capsys, asked(f"{line} --data-dir no/such"))
    assert "name its folder with --data-dir" in message
    assert ("use --dataset synthetic" in message) == ("--dataset" in line)
    assert not Path("no").exists()


@pytest.mark.parametrize("content, words", [
    ('{"model": "vae", "batch_sise": 3}', "'batch_sise'; did you mean batch_size?"),
    ('{"model": "vae", "epochs": -1}', "'-1' is not a whole number, 1 or more"),
    ('{"model": "vae", "epochs": [1, 2]}', "'epochs' is '[1, 2]'; it takes one value"),
    ('{"model": ["vae"]}', "'model' is"),
    ('{"model": "vae", "limit": true}', "'limit' is 'True'"),
    ('{"model": "vae", "quiet": 3}', "quiet"),
    ('{"model": "vae", "lr": {"a": 1}}', "lr"),
    ('{"model": "vae",}', "JSON")])
def test_a_wrong_config(content, words, capsys):
    Path("c.json").write_text(content, encoding="latin-1")
    err = refused(capsys, train("--config", "c.json"))
    assert words in err and "c.json" in err


@pytest.mark.parametrize("model", ["vae", "conv-vae", "gated-pixelcnn"])
def test_a_class_that_all_images_have_is_not_told(model, capsys, monkeypatch):
    title, (images, labels, test, test_labels) = digits()
    of_one = title, (images, 0 * labels, test, 0 * test_labels)
    monkeypatch.setitem(data.KINDS, "mnist", replace(data.KINDS["mnist"], synthetic=lambda: of_one))
    message = refused(capsys, asked(f"--model {model} --conditional --dataset synthetic"))
    assert "--conditional: the images have no labels, or one class alone" in message
    assert not Path("runs").exists()


@pytest.mark.parametrize("changes", [
    {"script": 3}, {"script": None}, {"script": ...}, {"flags": []}, {"flags": ...},
    {"flags__model": ["vae"]}, {"flags__model": "gan"}, {"flags__model": "x\ny"},
    {"flags__h_dim": "four"}, {"flags__h_dim": [[4]]},
    {"flags__h_dim": []}, {"flags__h_dim": [5]}, {"flags__h_dim": {}}, {"flags__h_dim": True},
    {"flags__seed": -1}, {"flags__seed": 1.5}, {"flags__seed": 10 ** 400},
    {"flags__z_dim": 1e999}, {"flags__z_dim": float("nan")}, {"flags__h_dim": [10 ** 9, 10 ** 9]},
    {"flags__binarize": 3}, {"flags__binarize": "half"}, {"flags__nonsense": 1},
    {"flags__sigma_x": 0}, {"flags__beta": -1}, {"flags__activation": "gelu"},
    {"dataset": "mnist"}, {"dataset__title": 3}, {"dataset__image_shape": 28},
    {"dataset__name": ...}, {"dataset__num_classes": None}, {"flags__lr": "x"},
    {"dataset__sha256": ...}, {"flags__z_dim": {"a": 1}}, {"flags__codes": [[1]]},
], ids=str)
def test_a_config_that_was_changed(changes, capsys):
    """a__b: what config["a"]["b"] becomes; ...: it is left out."""
    def change(config):
        for name, value in changes.items():
            *path, last = name.split("__")
            part = functools.reduce(dict.__getitem__, path, config)
            part.pop(last) if value is ... else part.update({last: value})
    changed("grey", change)
    before = sorted(Path().rglob("*"))
    for line in "generate grey", "evaluate grey", "--resume grey --epochs 2":
        refused(capsys, asked(f"{line} --quiet"))
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("content", [
    b"", b"{", b"{}", b"[]", b"\xff\xfe", b"[" * 10 ** 5, b'{"flags": ' * 10 ** 5, b"1" * 5000,
    b" " * (1 << 25), b"null", b'"flags"', b'{"flags": {"model": "vae"}}'],
    ids=lambda content: str(content[:12]))
def test_what_is_no_config(content, capsys):
    Path("vae/config.json").write_bytes(content)
    for line in "generate vae", "evaluate vae", "--resume vae", "runs vae":
        assert "vae/config.json" in refused(capsys, asked(line))
    if b"model" not in content:  # that would do, as flags
        refused(capsys, asked("--config vae/config.json"))


def test_data_that_changed(capsys):
    changed("vae", lambda config: config["dataset"].update(sha256="0" * 64))
    for line in "evaluate vae", "--resume vae --epochs 2":
        message = refused(capsys, asked(line))
        assert "data found now has" in message and "restore it, or name another" in message


def test_damaged_data_is_not_replaced_by_synthetic(capsys):
    path = Path("no data/mnist/train-images-idx3-ubyte.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x1f\x8b damaged")
    assert f"{path}: " in refused(capsys, train("--model", "vae"))


def test_codes_that_changed_since(capsys):
    train("--resume", "vqvae", "--steps", 5, "--quiet")
    for line in "generate prior", "evaluate prior", "--resume prior --epochs 3":
        assert "are not those of vqvae" in refused(capsys, asked(line))


@pytest.mark.parametrize("error, words", [
    (ImportError("PIL/_imaging.so: failed to map\nsegment"), "failed to map segment"),
    (OSError(5, "Input/output error", "\x1b[31m/\udcff"), "\\x1b[31m/\\udcff: Input/output error"),
    (MemoryError("Unable to allocate 3.20 TiB"), "not enough memory")])
def test_what_the_system_or_a_library_refuses_is_one_line(error, words, capsys):
    def work():
        raise error
    assert words in refused(capsys, cli.guarded("x.py", work))


# ---------------------------------------------------------------- help

def test_without_arguments_there_are_examples(capsys):
    assert train() == 2
    err = capsys.readouterr().err
    assert all(f"\n  {model} " in err for model in RECIPES["mnist"])
    assert "python train_mnist.py --model vqvae" in err and "--lr" not in err
    for script in (generate, evaluate, export):
        assert call(script) == 2
        assert f"python {script.__name__}.py runs/vae-mnist" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--model", "vae", "--help"], ["-h", "--model=vae"], ["--help"]])
def test_help_is_of_one_model_or_of_all(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        train(*argv)
    found = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    if len(argv) > 1:
        assert "hidden layers, from the image inwards (default: 400)" in found
        assert "(default: cooldown)" in found and "--channels" not in found
    else:
        assert all(f" {model} " in found for model in RECIPES["mnist"]) and "--resume" in found
        assert found.count("(default: depends on the model)") >= 4 and "constant)" not in found


# ---------------------------------------------------------------- what the machine lacks

def test_cupy_asked_for_and_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    err = refused(capsys, train(*VAE, "--backend", "cupy"))
    assert "cupy" in err and "pip install" in err
    assert train("--model", "vae", *SYNTHETIC[:-1], "--steps", 1, "--backend", "auto") == 0
    assert "--backend auto: using numpy" in capsys.readouterr().out


def test_a_missing_matplotlib_is_said_before_the_training(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    err = refused(capsys, train(*VAE, "--out", "new"))
    assert "Matplotlib" in err and "pip install" in err and not Path("new").exists()


def test_what_a_run_can_give_is_not_what_it_refuses(capsys):
    """Grey pixels have no likelihood, and no scores."""
    assert "scores" not in refused(capsys, asked("generate grey --what codes"))
    assert "scores" in refused(capsys, asked("generate vae --what codes"))


USAGES = [[]] + [["--model", model, "--help"] for model in RECIPES["mnist"]]


def test_help_fits_a_terminal_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for path in ROOT.glob("*.py"):
        about = ast.get_docstring(ast.parse(path.read_text()))
        assert path.stem == "early" or all(len(line) <= 80 for line in about.splitlines()), path
    for argv in USAGES:
        with contextlib.suppress(SystemExit):
            train(*argv)
        said = "".join(capsys.readouterr())
        assert "--" in said and all(len(line) <= 80 for line in said.splitlines())


def test_a_message_and_figures_are_cut_between_words_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with monkeypatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert asked("generate nowhere") == 2
    err = capsys.readouterr().err
    assert max(map(len, err.splitlines())) < 60 and "(nowhere/config.json does not exist)" in (
        " ".join(err.split()))
    assert call(generate, "pixelcnn", "--what", "scores", "--num", 2, "--out", "x.csv") == 0
    assert train("--resume", "vqvae") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:3])) <= 60
    at = next(k for k, line in enumerate(lines) if line.startswith("  recon. err "))
    whole = "   ".join(line.strip() for line in lines[at:at + 2])  # a name stays with its figure
    assert [words.rpartition(" ")[0] for words in whole.split("   ")] == [
        "recon. err", "VQ loss", "perplexity", "codes used"]


def test_an_old_python_is_told_so(capsys, monkeypatch):
    """By early.py, so that what imports it is in the words of Python 3.6."""
    for path in ROOT.glob("*.py"):
        ast.parse(path.read_text(), path.name, feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "early.py"))
    assert end.value.code == 2 and "and 3.10 or later is needed\n" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["train_mnist.py", "export.py", "-m exercises", "-m mistakes"])
@pytest.mark.parametrize("numpy, words", [
    ("raise ImportError('no\\nlibrary')", "NumPy cannot be loaded"),
    ("import nothing_of_that_name", "NumPy cannot be loaded"),
    ("__version__ = '1.26.4'", "this is NumPy 1.26.4, and 2.0 or later is needed; install it")])
def test_without_numpy_a_script_says_so(script, numpy, words, tmp_path):
    (tmp_path / "numpy.py").write_text(numpy)
    found = subprocess.run([sys.executable, *script.split()], capture_output=True, cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True)
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert words in found.stderr
