"""generate.py, evaluate.py and the prior over a VQ-VAE's codes, as a person uses them."""

import csv
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import evaluate
import export
import generate
from models import RECIPES, VAE, PixelCNN
from scratchnet.runs import cli, data, pictures
from scratchnet.runs import run as runs
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes
from scratchnet.training import PURPOSES, generator, to_batch

PIXELS = ["--features", "8", "--blocks", "1", "--head", "8", "--batch-size", "64"]
RUNS = {  # name: flags of train_mnist.py
    "autoencoder": ["--model", "autoencoder", "--h-dim", "16", "--z-dim", "3"],
    "vae": ["--model", "vae", "--h-dim", "16", "--z-dim", "2", "--binarize", "dynamic"],
    "grey": ["--model", "vae", "--h-dim", "16", "--z-dim", "3"],
    "vqvae": ["--model", "vqvae", "--num-embeddings", "16", "--embedding-dim", "4"],
    "pixelcnn": ["--model", "pixelcnn", *PIXELS],
    "gated": ["--model", "gated-pixelcnn", "--conditional", *PIXELS],
    "prior": ["--model", "prior", "--codes", "vqvae", "--conditional", "--embedding-dim", "4",
              *PIXELS],
}
DIGITS = None


def few_digits():
    global DIGITS
    DIGITS = DIGITS or synthetic_digits(train=200, test=60)
    return DIGITS


def train(*argv):
    return cli.main("mnist", "", RECIPES["mnist"], [str(a) for a in argv])


def draw_few(patch, kind, draw):
    """Let this function draw the synthetic images."""
    patch.setitem(data.KINDS, kind, replace(data.KINDS[kind], synthetic=draw))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run of each kind, whose own pictures are left blank."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig",
                      lambda figure, file, **how: file.write(b"blank"))
        patch.chdir(folder)
        draw_few(patch, "mnist", few_digits)
        for name, argv in RUNS.items():
            named = [] if name == "prior" else ["--dataset", "synthetic"]
            assert train(*argv, *named, "--epochs", 1, "--out", name, "--quiet") == 0
    return folder


@pytest.fixture(autouse=True)
def here(trained, tmp_path, monkeypatch):
    """Each test in a folder with copies of the runs."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    draw_few(monkeypatch, "mnist", few_digits)


def call(script, *argv):
    return cli.guarded(script.__name__ + ".py", script.main, [str(a) for a in argv])


def refused(capsys, run, *argv):
    """Run, expect exit code 2 and no traceback; returns the message."""
    code = run(*argv)
    err = capsys.readouterr().err
    assert code == 2 and "error: " in err and "Traceback" not in err, err
    return err


CAN = {  # run: what generate.py makes of it, with the shape of the array for --num 4
    "autoencoder": {"reconstructions": (4, 2, 28, 28, 1), "interpolation": (4, 11, 28, 28, 1),
                    "latent": (60, 3)},
    "vae": {"samples": (4, 28, 28, 1), "reconstructions": (4, 2, 28, 28, 1),
            "interpolation": (4, 11, 28, 28, 1), "manifold": (16, 28, 28, 1), "latent": (60, 2)},
    "grey": {"samples": (4, 28, 28, 1), "reconstructions": (4, 2, 28, 28, 1),
             "interpolation": (4, 11, 28, 28, 1), "latent": (60, 3)},
    "vqvae": {"reconstructions": (4, 2, 28, 28, 1), "codes": (4, 7, 7), "usage": (16,),
              "palette": (16, 28, 28, 1)},
    "pixelcnn": {"samples": (4, 28, 28, 1), "completion": (4, 6, 28, 28, 1)},
    "gated": {"samples": (4, 28, 28, 1), "completion": (4, 6, 28, 28, 1)},
    "prior": {"samples": (4, 28, 28, 1), "completion": (4, 6, 28, 28, 1)},
}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_gives_what_it_can_and_says_what_it_cannot(name, capsys):
    for what in pictures.PICTURES:
        argv = [name, "--what", what, "--quiet"]
        argv += [] if what in ("latent", "usage", "palette") else ["--num", 4]
        if what in CAN[name]:
            assert call(generate, *argv, "--out", f"{what}.npy") == 0
            array = np.load(f"{what}.npy")
            assert array.shape == CAN[name][what]
            assert np.ptp(array) > 0
        else:
            err = refused(capsys, partial(call, generate), *argv)
            assert f"--what {what}: " in err
            assert f"This run can give: {', '.join(CAN[name])}" in err
    assert call(generate, name) == 0  # a picture, of what it does first
    first = next(iter(CAN[name]))
    assert f"{first} of " in capsys.readouterr().out
    assert Path(name, f"{first}-seed0.png").is_file()
    call(generate, name)
    assert Path(name, f"{first}-seed0-2.png").is_file()  # beside the first, not over it


def test_what_generate_says_of_an_array(capsys):
    assert call(generate, "vae", "--num", 3, "--out", "x.npy") == 0
    assert "samples of vae on synthetic digits: x.npy (3 x 28 x 28 x 1)" in capsys.readouterr().out


def draw(name, *argv):
    assert call(generate, name, *argv, "--quiet", "--overwrite", "--out", "x.npy") == 0
    return np.load("x.npy")


@pytest.mark.parametrize("name", ["autoencoder", "vae", "vqvae", "gated", "prior"])
def test_pictures_are_made_on_every_device(name, backend):
    run = runs.open_run(name, RECIPES)
    ask = pictures.Request(run.model, run.title, run.image_shape, run.dataset, num=3)
    for what in pictures.possible(run.model):
        array, figure = pictures.make(what, ask)
        assert isinstance(array, np.ndarray) and np.isfinite(array).all()
        assert run.title in figure().get_suptitle()


def test_pictures_depend_on_the_seed_alone():
    assert_array_equal(draw("pixelcnn", "--num", 3), draw("pixelcnn", "--num", 3))
    assert (draw("pixelcnn", "--num", 3) != draw("pixelcnn", "--num", 3, "--seed", 1)).any()


def test_completion_keeps_the_seen_half():
    found = draw("pixelcnn", "--what", "completion", "--num", 5)
    image = found[:, -1]
    assert set(np.unique(image)) == {0, 1}  # binarised, as in training
    for k in range(5):
        assert_array_equal(found[:, k, :14], image[:, :14])
    assert (found[:, 0, 14:] == 0.5).all()


@pytest.mark.parametrize("height, width", [(6, 3), (3, 6)])
def test_completion_keeps_half_of_the_rows(height, width, rng):
    """Of the height, where an image is not square."""
    model = PixelCNN((height, width, 1), features=4, blocks=1, head=4, rng=rng)
    images = np.repeat(255 * rng.integers(0, 2, (8, height, width, 1)).astype(np.uint8), 8, axis=0)
    dataset = data.Dataset("x", "x", images, np.zeros(64), images, np.zeros(64), "")
    found, _ = pictures.make("completion", pictures.Request(
        model, "x", (height, width, 1), lambda: dataset))
    seen, drawn, whole = found[:, 0], found[:, 1:-1], found[:, -1:]
    half = height // 2
    assert (seen[:, half:] == 0.5).all()
    assert_array_equal(seen[:, :half], whole[:, 0, :half])
    assert_array_equal(drawn[:, :, :half], np.broadcast_to(whole, drawn.shape)[:, :, :half])
    for row in range(half, height):  # every later row is drawn anew
        assert (drawn[:, :, row] != whole[:, :, row]).any()


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_interpolation_goes_from_the_first_image_to_the_second(name):
    between = draw(name, "--what", "interpolation", "--num", 3)
    again = draw(name, "--what", "reconstructions", "--num", 6)[:, 1]  # of the same six images
    assert_allclose(between[:, 0], again[:3], atol=1e-6)
    assert_allclose(between[:, -1], again[[4, 5, 3]], atol=1e-6)
    assert np.abs(again[:3] - again[[4, 5, 3]]).max() > 1e-4


def test_samples_of_a_class_use_its_label():
    by_label = [draw("gated", "--num", 6, "--label", k) for k in (1, 7)]
    assert (by_label[0] != by_label[1]).any()
    all_classes = draw("gated", "--num", 10)
    assert all_classes.shape[0] == 10


def test_temperature_cools():
    cold = draw("pixelcnn", "--num", 4, "--temperature", 1e-4)
    assert_array_equal(cold, cold[:1].repeat(4, axis=0))


def test_reconstructions_of_a_class_are_of_that_class():
    title, (_, _, images, labels) = few_digits()
    found = draw("vqvae", "--what", "reconstructions", "--num", 3, "--label", 4)
    threes = images[labels == 4] / np.float32(255)
    assert all((pair[0] == threes).all(axis=(1, 2, 3)).any() for pair in found)


@pytest.mark.parametrize("argv, words", [
    (["gated", "--label", "10"], "--label 10: synthetic digits has the classes 0 to 9"),
    (["pixelcnn", "--label", "3"], "this run is not conditional on a class; train one with"),
    (["vae", "--temperature", "0.5"], "--temperature: means nothing to samples of a vae"),
    (["vae", "--temperature", "0"], "'0' is not a number above 0"),
    (["vae", "--out", "x.jpg"], "must end in .png (a picture) or .npy"),
    (["vae", "--out", "nowhere/x.png"], "nowhere/x.png: No such file"),
    (["vae", "--out", "vae/curves.png"], "exists; name another file, or give --overwrite"),
    (["nowhere"], "no run there (nowhere/config.json does not exist)"),
    (["vae", "--what", "codes"], "a vae has no codes; a vqvae has"),
    (["grey", "--what", "manifold"], "this run's z has 3 dimensions; train one with --z-dim 2"),
    (["vqvae", "--what", "samples"], "train a prior over its codes, with python train_mnist.py"),
    (["vae", "--what", "reconstructions", "--num", "61"], "but there are 60"),
    (["vae", "--what", "completions"], "did you mean completion?"),
    (["vae", "--labl", "3"], "--labl: there is no such flag; did you mean label?"),
    (["vae", "--what", "latent", "--num", "3"], "latent is of all there is; leave it out"),
])
def test_wrong_requests_of_generate(argv, words, capsys):
    assert words in refused(capsys, partial(call, generate), *argv)


@pytest.mark.parametrize("script", [generate, evaluate])
def test_without_arguments_the_examples_are_shown(script, capsys):
    assert call(script) == 2
    assert f"python {script.__name__}.py runs/vae-mnist" in capsys.readouterr().err


def test_run_without_a_checkpoint(capsys):
    Path("vae/checkpoint.npz").unlink()
    for script in (generate, evaluate):
        err = refused(capsys, partial(call, script), "vae")
        assert "the run has no checkpoint yet" in err and "--resume vae" in err


def test_run_with_a_damaged_config(capsys):
    for content in ("{", "[]", '{"flags": {"model": "vae"}}'):
        Path("vae/config.json").write_text(content)
        assert ("is not JSON" if content == "{" else "no longer the file that the run wrote"
                ) in refused(capsys, partial(call, generate), "vae")


def test_data_that_changed(capsys):
    config = json.loads(Path("vae/config.json").read_text())
    config["dataset"]["sha256"] = "0" * 64
    Path("vae/config.json").write_text(json.dumps(config))
    assert "but the data found now has" in refused(capsys, partial(call, evaluate), "vae")


# ---------------------------------------------------------------- evaluate.py

def evaluated(name, *argv):
    assert call(evaluate, name, *argv, "--quiet") == 0
    written = max(Path(name).glob("evaluation*.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(written.read_text())


@pytest.mark.parametrize("name", RUNS)
def test_evaluation_repeats_the_last_row_of_training(name):
    """Same test images, same noise, same weights (the averaged ones, where kept)."""
    batch = 128 if "--batch-size" not in RUNS[name] else 64
    found = evaluated(name, "--batch-size", batch)
    with open(f"{name}/metrics.csv", newline="") as file:
        row = list(csv.DictReader(file))[-1]
    expected = {n[5:]: float(v) for n, v in row.items() if n.startswith("test_")}
    assert {n: f["value"] for n, f in found["figures"].items()} == pytest.approx(expected, 1e-6)
    assert found["test_images"] == 60 and found["step"] == int(row["step"])


@pytest.mark.parametrize("name", ["vae", "prior"])
def test_a_run_is_measured_on_its_validation_images_and_on_the_test_images(name):
    argv = [*RUNS[name], *([] if name == "prior" else ["--dataset", "synthetic"])]
    train(*argv, "--validation", 50, "--epochs", 1, "--out", "chosen", "--quiet")
    found = evaluated("chosen")
    assert found["test_images"] == 60
    before = Path("chosen/evaluation.json").read_text()
    assert call(evaluate, "chosen", "--validation", "--quiet") == 0
    assert Path("chosen/evaluation.json").read_text() == before
    chosen = json.loads(Path("chosen/validation.json").read_text())
    metric = {"vae": "neg_elbo", "prior": "nll"}[name]
    with open("chosen/metrics.csv", newline="") as file:
        row, = csv.DictReader(file)
    assert chosen["validation_images"] == 50 and "test_images" not in chosen
    assert chosen["figures"][metric]["value"] == pytest.approx(
        float(row[f"validation_{metric}"]), 1e-6)
    assert found["figures"][metric]["value"] != chosen["figures"][metric]["value"]


def test_standard_error_is_that_of_the_mean():
    values = np.array([1.0, 2.0, 4.0])
    assert_allclose(evaluate.standard_error(values), np.sqrt(7 / 3) / np.sqrt(3))


NATS, GIVEN = "nats per image", ", given its class"
LINES = {  # run: {metric: (what it is called on the screen, its unit)}, with batches of 16
    "autoencoder": {"loss": ("loss", f"{NATS} (BCE: a loss, not a likelihood)")},
    "vae": {"neg_elbo": ("-ELBO", NATS), "kl": ("KL", NATS), "reconstruction": ("recon.", NATS)},
    "grey": {"neg_elbo": ("-ELBO", f"{NATS} (grey pixels: a loss)")},
    "vqvae": {"recon_error": ("recon. err", "squared error / data variance"), "vq": ("VQ loss", ""),
              "perplexity": ("perplexity, mean over batches of 16", ""),
              "epoch_perplexity": ("perplexity of the whole test set", ""),
              "codes_used": ("codes used", "of 16")},
    "pixelcnn": {"nll": ("NLL", NATS), "bits_per_dim": ("bits/dim", "bits per dimension")},
    "gated": {"nll": ("NLL", NATS + GIVEN),
              "bits_per_dim": ("bits/dim", "bits per dimension" + GIVEN)},
    "prior": {"nll": ("NLL", "nats per grid of codes" + GIVEN),
              "nats_per_code": ("nats/code", "nats per code" + GIVEN)},
}


@pytest.mark.parametrize("name", RUNS)
def test_what_evaluate_prints_is_what_it_writes_and_says_of_what(name, capsys):
    """60 test images, the last batch of 12; likelihoods and perplexities by their definitions."""
    assert call(evaluate, name, "--batch-size", 16) == 0
    out, found = capsys.readouterr().out, json.loads(Path(name, "evaluation.json").read_text())
    figures = found["figures"]
    for metric, (called, unit) in LINES[name].items():
        value, error = figures[metric]["value"], figures[metric].get("standard_error")
        error = f" +- {error:.2g}" if error else ""
        assert f"  {called:<42} {value:.6g}{error} {unit}\n" in out
    assert (found["batch_size"], found["test_images"], found["model"]) == (
        16, 60, RUNS[name][1])
    data_set = "synthetic digits" + ", as 7x7 codes of vqvae" * (name == "prior")
    binary = ", binarised once (--binarize static)"
    assert (found["dataset"], found["binarised"]) == (data_set, binary in out)
    assert (binary in out) == (name in ("vae", "pixelcnn", "gated"))
    if "vae" in RUNS[name]:
        assert found["units"] == LINES[name]["neg_elbo"][1]
    assert f"{RUNS[name][1]} on {data_set}: 60 test images" in out
    assert f"after step {found['step']:,}; numpy" in out
    assert ("  loss  " in out) == (name == "autoencoder")
    run = runs.open_run(name, RECIPES)
    dataset, model = run.dataset(), run.model
    if name == "vqvae":
        shares = [np.bincount(runs.codes_of(model, dataset.test_images[part]).ravel(),
                              minlength=16) / (len(dataset.test_images[part]) * 49)
                  for part in (slice(16), slice(16, 32), slice(32, 48), slice(48, 60))]
        def perplexity(p): return np.prod(p[p > 0] ** -p[p > 0])
        n = np.array([16, 16, 16, 12]) / 60
        assert figures["perplexity"]["value"] == pytest.approx(
            n @ [perplexity(p) for p in shares], rel=1e-4)
        assert figures["epoch_perplexity"]["value"] == pytest.approx(perplexity(n @ shares))
        assert figures["codes_used"]["value"] == np.count_nonzero(n @ shares)
    if hasattr(model, "neg_log_likelihood"):
        labels = {"labels": dataset.test_labels} if model.num_classes else {}
        nll = pictures.host(model.neg_log_likelihood(to_batch(dataset.test_images), **labels))
        assert figures["nll"]["value"] == pytest.approx(nll.mean(), rel=1e-5)
        assert figures["nll"]["standard_error"] == pytest.approx(
            nll.std(ddof=1) / np.sqrt(60), rel=1e-3)


def test_importance_sampling_sees_every_image_once_with_noise_of_its_own(monkeypatch):
    given = []
    def log_likelihood(model, x, num_samples, rng):
        given.append((len(x), num_samples, rng.random()))
        return -x.reshape(len(x), -1).sum(axis=1)
    monkeypatch.setattr(evaluate, "IMAGES", 25)
    monkeypatch.setattr(evaluate, "processes", lambda batch_size: 1)
    monkeypatch.setattr(VAE, "log_likelihood", log_likelihood)
    found = evaluated("vae", "--importance-samples", 7)
    assert found["importance_samples"] == 7
    assert [(n, samples) for n, samples, _ in given] == [(25, 7), (25, 7), (10, 7)]
    first = {u for _, _, u in given} | {generator(0, purpose, k).random() for k in range(4)
                                        for purpose in PURPOSES if purpose != "evaluation"}
    assert len(first) == 3 + 4 * (len(PURPOSES) - 1)  # nor with that of training with seed 0
    nll = (runs.open_run("vae", RECIPES).dataset().test_images / 255).sum(axis=(1, 2, 3))
    figure = found["figures"]["importance_nll"]
    assert figure["value"] == pytest.approx(nll.mean(), rel=1e-5)
    assert figure["standard_error"] == pytest.approx(nll.std(ddof=1) / np.sqrt(60), rel=1e-5)


def test_one_image_has_no_standard_error():
    for name, *argv in (["vae", "--importance-samples", 3], ["pixelcnn"]):
        assert "NaN" not in json.dumps(evaluated(name, *argv, "--limit", 1))


def test_a_longer_or_shorter_measurement_replaces_none_but_its_like():
    whole = evaluated("vae")
    for argv in (["--limit", 7], ["--importance-samples", 2],
                 ["--limit", 7, "--importance-samples", 2]):
        call(evaluate, "vae", *argv, "--quiet")
    assert json.loads(Path("vae/evaluation.json").read_text()) == whole
    assert json.loads(Path("vae/evaluation-first7.json").read_text())["test_images"] == 7
    names = {path.name for path in Path("vae").glob("evaluation*.json")}
    assert {"evaluation-first7.json", "evaluation-importance2.json",
            "evaluation-first7-importance2.json"} <= names
    exported("vae", "--overwrite")
    assert {path.name for path in Path("out/vae").glob("evaluation*.json")} == names
    assert evaluated("grey", "--binarize", "static")["binarised"]
    assert Path("grey/evaluation-static.json").exists()


def test_importance_samples_tighten_the_bound():
    elbo = evaluated("vae")["figures"]["neg_elbo"]["value"]
    found = [evaluated("vae", "--importance-samples", k)["figures"]["importance_nll"]["value"]
             for k in (1, 100)]
    assert found[1] < found[0] - 0.05
    assert found[0] == pytest.approx(elbo, rel=0.05)
    again = evaluated("vae", "--importance-samples", 100)["figures"]["importance_nll"]
    assert again["value"] == found[1] and 0 < again["standard_error"] < 20


def test_static_binarisation_for_a_run_trained_on_grey(capsys):
    grey, static = evaluated("grey"), evaluated("grey", "--binarize", "static")
    assert not grey["binarised"] and static["binarised"]
    assert grey["figures"]["neg_elbo"]["value"] != static["figures"]["neg_elbo"]["value"]
    evaluated("grey", "--binarize", "static", "--importance-samples", 2)


@pytest.mark.parametrize("argv, words", [
    (["grey", "--importance-samples", "5"], "this run's pixels are grey"),
    (["pixelcnn", "--importance-samples", "5"], "of a pixelcnn is exact without it"),
    (["vqvae", "--importance-samples", "5"], "a vqvae has no likelihood"),
    (["prior", "--binarize", "static"], "grids of codes, which cannot be binarised"),
    (["vae", "--validation"], "this run set no training images aside"),
    (["vae", "--limit", "0"], "'0' is not a whole number, 1 or more"),
])
def test_wrong_requests_of_evaluate(argv, words, capsys):
    assert words in refused(capsys, partial(call, evaluate), *argv)


# ---------------------------------------------------------------- export.py

def exported(name, *argv):
    assert call(export, name, "--out", f"out/{name}", *argv, "--quiet") == 0
    with np.load(f"out/{name}/checkpoint.npz") as file:
        return {n: file[n] for n in file.files}


@pytest.mark.parametrize("name", RUNS)
def test_an_exported_run_gives_the_figures_and_pictures_of_the_run(name):
    if name == "prior":
        exported("vqvae")
    arrays = exported(name, *(["--codes", "out/vqvae"] if name == "prior" else []))
    before, after = (evaluated(folder)["figures"] for folder in (name, f"out/{name}"))
    for metric, figure in before.items():
        assert after[metric]["value"] == pytest.approx(figure["value"], rel=2e-3)
    assert all(n == "progress" or n.startswith("model/") for n in arrays)
    half = {n for n, a in arrays.items() if a.dtype == np.float16}
    assert bool(half) == (name != "vqvae")  # whose codes must not move
    if name == "vqvae":
        assert after == before
    assert call(generate, f"out/{name}", "--out", "picture.npy", "--quiet") == 0
    assert np.isfinite(np.load("picture.npy")).all()
    assert Path(f"out/{name}/metrics.csv").read_text() == Path(f"{name}/metrics.csv").read_text()


def test_the_averaged_weights_are_exported():
    run = runs.open_run(Path("gated"), {"mnist": RECIPES["mnist"]})
    own = exported("gated")
    with np.load("gated/checkpoint.npz") as file:
        assert any(n.startswith("optimizer/average") for n in file.files)
        name = next(iter(run.model.named_parameters()))
        assert not np.allclose(own[f"model/{name}"], file[f"model/{name}"], rtol=1e-3, atol=1e-6)
    for name, parameter in run.model.named_parameters().items():
        assert_array_equal(own[f"model/{name}"], parameter.numpy().astype(np.float16))


def test_an_exported_prior_looks_for_its_vqvae_where_it_was_exported_to(capsys):
    call(export, "vqvae", "--out", "out/renamed", "--quiet")
    exported("prior", "--codes", "out/renamed")
    shutil.rmtree("vqvae")
    evaluated("out/prior")
    shutil.move("out", "elsewhere")  # beside each other they find each other
    evaluated("elsewhere/prior")


def test_a_prior_takes_the_vqvae_that_its_codes_are_of(monkeypatch, capsys):
    """Of the one that its config names and the one beside it, from wherever it is asked."""
    exported("vqvae")
    exported("prior", "--codes", "out/vqvae")
    monkeypatch.chdir("out/prior")
    evaluated(".")  # it is next door
    monkeypatch.chdir("../..")
    shutil.copytree("out", "box")
    for name in ("vae", "other"):  # what was put there since is no matter
        shutil.rmtree("out/vqvae")
        if name == "other":
            train(*RUNS["vqvae"], "--dataset", "synthetic", "--seed", 1, "--steps", 1, "--out",
                  "other", "--quiet")
        shutil.copytree(name, "out/vqvae")
        evaluated("box/prior")
    shutil.copytree("vqvae", "named/vqvae")
    exported("prior", "--codes", "named/vqvae", "--overwrite")
    evaluated("out/prior")  # beside which is the other
    shutil.rmtree("named")
    assert "are no longer those of" in refused(capsys, partial(call, evaluate), "out/prior")
    shutil.rmtree("out/vqvae")
    message = refused(capsys, partial(call, evaluate), "out/prior")
    assert "out/prior: its codes are those of a VQ-VAE that is neither at named/vqvae" in message


def test_an_export_replaces_all_that_was_there_or_nothing(monkeypatch, capsys):
    Path("vqvae/palette.png").write_bytes(b"codes")
    exported("vqvae")
    assert Path("out/vqvae/palette.png").read_bytes() == b"codes"
    before = {path.name: path.read_bytes() for path in Path("out/vqvae").iterdir()}
    with monkeypatch.context() as patch:  # the disk is full at the last file
        patch.setattr(export.checkpoint, "write_json", full_disk)
        for out in ("out/vqvae", "out/new"):
            assert "No space left" in refused(capsys, partial(call, export), "vae", "--out", out,
                                             "--overwrite")
    assert before == {path.name: path.read_bytes() for path in Path("out/vqvae").iterdir()}
    assert call(export, "vae", "--out", "out/new", "--quiet") == 0  # with room again
    assert call(export, "vae", "--out", "out/vqvae", "--overwrite", "--quiet") == 0
    names = {path.name for path in Path("out/vqvae").iterdir()}
    assert "palette.png" not in names and {"manifold.png", "checkpoint.npz"} <= names


def full_disk(path, content):
    raise OSError(28, "No space left on device")


def test_figures_of_other_weights_are_not_handed_on(capsys):
    evaluated("vae")
    exported("vae")
    assert Path("out/vae/evaluation.json").exists()
    train("--resume", "vae", "--epochs", 2, "--quiet")
    assert call(export, "vae", "--out", "out/vae", "--overwrite") == 0
    assert "evaluation.json was left out: it is of other weights" in capsys.readouterr().out
    assert not Path("out/vae/evaluation.json").exists()


def test_an_exported_run_cannot_go_on_and_says_why(capsys):
    exported("vae")
    message = refused(capsys, train, "--resume", "out/vae", "--epochs", 2)
    assert "has the weights alone" in message and "left out by export.py" in message
    assert "--config out/vae/config.json" in message
    assert train("--config", "out/vae/config.json", "--out", "anew", "--quiet") == 0


@pytest.mark.parametrize("argv, words", [
    (["vae"], "--out DIR is needed"),
    (["vae", "--out", "grey"], "there is a run in it"),
    (["vae", "--out", "vae", "--overwrite"], "is the run itself"),
    (["prior", "--out", "vqvae", "--overwrite"], "is the run of its VQ-VAE"),
    (["prior", "--out", "vqvae", "--codes", "vqvae", "--overwrite"], "is the run of its VQ-VAE"),
    (["vae", "--out", "new", "--codes", "vqvae"], "means nothing to a vae"),
    (["prior", "--out", "new", "--codes", "vae"], "that run is a vae, which has no codes"),
    (["nowhere", "--out", "new"], "no run there"),
])
def test_wrong_requests_of_export(argv, words, capsys):
    assert words in refused(capsys, partial(call, export), *argv)
    assert not Path("new").exists() and Path("vae/checkpoint.npz").exists()


def test_a_prior_is_not_given_another_vqvae(capsys):
    train(*RUNS["vqvae"], "--dataset", "synthetic", "--seed", 1, "--steps", 1, "--out", "other",
          "--quiet")
    assert "the codes it models are no longer those of other" in refused(
        capsys, partial(call, export), "prior", "--out", "new", "--codes", "other")


PRETRAINED = sorted((Path(__file__).parent.parent / "pretrained").glob("*/config.json"))


@pytest.mark.parametrize("config", PRETRAINED, ids=lambda path: path.parent.name)
def test_pretrained_models_open_and_draw(config, tmp_path):
    """With no data in reach: new images, or what codes decode to."""
    run = runs.open_run(config.parent, RECIPES)
    what = next((w for w in ("samples", "palette") if w in pictures.possible(run.model)), None)
    if what:
        array, figure = pictures.make(what, pictures.Request(
            run.model, run.title, run.image_shape, None, num=2 if what == "samples" else None))
        assert np.isfinite(array).all() and array.std() > 0.01 and figure()


# ---------------------------------------------------------------- the prior

def test_prior_models_the_codes_of_its_vqvae():
    run = runs.open_run("prior", RECIPES)
    dataset = runs.encoded(data.load("synthetic", synthetic=few_digits), run.vqvae)
    assert dataset.train_images.shape == (200, 7, 7, 1) and dataset.train_images.dtype == np.int32
    assert_array_equal(run.dataset().test_images, dataset.test_images)
    assert run.model.levels == 16 and run.vqvae.flags.model == "vqvae"
    _, (images, _, _, _) = few_digits()
    codes = run.vqvae.model.codes(images[:5] / np.float32(255))
    assert_array_equal(dataset.train_images[:5, ..., 0], codes)
    drawn = run.model.sample(3, np.random.default_rng(0), labels=np.arange(3))
    assert drawn.shape == (3, 28, 28, 1)  # decoded


def test_a_mirrored_image_has_the_codes_that_its_vqvae_gives_it(rng):
    """Which are not its own codes backwards; also where fewer are trained on."""
    run = runs.open_run("vqvae", RECIPES)
    images = data.load("synthetic", synthetic=few_digits)
    backwards = run.model.codes(images.train_images[:, :, ::-1] / np.float32(255))[..., None]
    whole = runs.encoded(images, run, flip=True)
    for dataset in (whole, whole.limited(90), whole.with_validation(20)):
        n = len(dataset.train_images)
        assert dataset.train_mirrored.shape == dataset.train_images.shape
        chosen = rng.permutation(n)[:50]
        batch = dataset.train_images[chosen]
        found = dataset.flipped(chosen, batch, rng)
        mirrored = (found != batch).any(axis=(1, 2, 3))
        assert 10 < mirrored.sum() < 40
        assert_array_equal(found[mirrored], backwards[chosen][mirrored])
        assert (found[mirrored] != batch[mirrored][:, :, ::-1]).any()
    assert train(*RUNS["prior"], "--flip", "--steps", 2, "--out", "mirrored", "--quiet") == 0
    assert_array_equal(runs.open_run("mirrored", RECIPES).dataset().test_images, whole.test_images)


def test_codes_of_a_run_on_binary_images_are_those_of_binary_images():
    """Binarised once, whatever was drawn while the VQ-VAE learned."""
    train(*RUNS["vqvae"], "--dataset", "synthetic", "--binarize", "dynamic", "--epochs", 1, "--out",
          "binary", "--quiet")
    run = runs.open_run("binary", RECIPES)
    grey = data.load("synthetic", synthetic=few_digits)
    binary = data.statically_binarised(grey)
    found, codes = runs.encoded(grey, run), run.model.codes
    for part in ("train_images", "test_images"):
        images = getattr(binary, part)
        assert_array_equal(getattr(found, part)[..., 0], codes(images / np.float32(255)))
        assert (codes(getattr(grey, part) / np.float32(255)) != codes(
            images / np.float32(255))).any()
    assert train("--model", "prior", "--codes", "binary", *PIXELS, "--steps", 1, "--quiet", "--out",
                 "of-binary") == 0
    assert_array_equal(runs.open_run("of-binary", RECIPES).dataset().test_images, found.test_images)


def test_prior_goes_on_where_it_stopped(monkeypatch):
    flags = [*RUNS["prior"], "--quiet", "--steps"]
    train(*flags, 6, "--out", "whole")
    train(*flags, 6, "--schedule", "cooldown", "--out", "other")
    seen = []
    original = runs.to_batch
    monkeypatch.setattr(runs, "to_batch", lambda x: seen.append(1) or original(x))
    train(*flags, 3, "--schedule", "constant", "--out", "cut")
    train("--resume", "cut", "--steps", 6, "--quiet")
    train(*flags, 6, "--schedule", "constant", "--out", "straight")
    with np.load("cut/checkpoint.npz") as a, np.load("straight/checkpoint.npz") as b:
        for key in a.files:
            if key != "progress":
                assert_array_equal(a[key], b[key], err_msg=key)
    assert seen


@pytest.mark.parametrize("argv, words", [
    ([], "--model prior needs --codes RUN"),
    (["--codes", "vae"], "that run is a vae, which has no codes; name the run of a VQ-VAE"),
    (["--codes", "nowhere"], "no run there (nowhere/config.json does not exist)"),
    (["--codes", "vqvae", "--dataset", "mnist"], "was trained on synthetic; leave out --dataset"),
    (["--codes", "vqvae", "--binarize", "static"], "cannot be binarised"),
    (["--codes", "vqvae", "--levels", "4"], "--levels means nothing to --model prior"),
])
def test_wrong_prior(argv, words, capsys):
    assert words in refused(capsys, train, "--model", "prior", *argv, "--epochs", 1)


def test_vqvae_of_the_other_script(capsys):
    config = json.loads(Path("vqvae/config.json").read_text())
    Path("vqvae/config.json").write_text(json.dumps(config | {"script": "train_cifar.py"}))
    err = refused(capsys, train, "--model", "prior", "--codes", "vqvae", "--epochs", 1)
    assert "that VQ-VAE was trained by train_cifar.py" in err


def test_codes_that_changed_since(capsys):
    train("--resume", "vqvae", "--epochs", 2, "--quiet")
    words = "the codes it models are no longer those of vqvae"
    for run in (partial(call, generate), partial(call, evaluate)):
        assert words in refused(capsys, run, "prior")
    assert words in refused(capsys, train, "--resume", "prior", "--epochs", 3)


def test_vqvae_that_went_away(capsys):
    shutil.move("vqvae", "elsewhere")
    assert "of a VQ-VAE that is neither at vqvae nor at" in refused(
        capsys, partial(call, generate), "prior")
    Path("under").mkdir()  # moved together, they find each other
    shutil.move("elsewhere", "under/vqvae")
    shutil.move("prior", "under/prior")
    assert call(generate, "under/prior", "--num", 2, "--quiet") == 0


def test_colour_runs(monkeypatch):
    scenes = synthetic_scenes(train=40, test=20)
    draw_few(monkeypatch, "cifar", lambda: scenes)
    def train_cifar(*argv):
        argv = [str(a) for a in (*argv, "--steps", 2, "--batch-size", 8, "--quiet")]
        return cli.main("cifar", "", RECIPES["cifar"], argv)
    small = ["--features", 6, "--blocks", 1, "--head", 6]
    vqvae = ["--model", "vqvae", "--num-embeddings", 8, "--embedding-dim", 4]
    synthetic = ["--dataset", "synthetic"]
    assert train_cifar(*vqvae, *synthetic, "--out", "c/vq") == 0
    assert train_cifar("--model", "prior", "--codes", "c/vq", *small, "--out", "c/prior") == 0
    assert train_cifar("--model", "pixelcnn", "--levels", 4, *small, *synthetic,
                       "--out", "c/pixels") == 0
    assert train_cifar("--model", "gated-pixelcnn", "--mixture", 2, *small, *synthetic,
                       "--out", "c/mixture") == 0
    for name in ("c/prior", "c/pixels", "c/mixture"):
        assert draw(name, "--num", 2).shape == (2, 32, 32, 3)
        assert evaluated(name)["figures"]["nll"]["value"] > 0
