"""generate.py and evaluate.py, and the codes of a VQ-VAE that a prior models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scripts import RUNS, asked, digits, drawn, names, refused, rows, train

import evaluate
from models import RECIPES, VAE
from scratchnet import to_numpy
from scratchnet.runs import data, pictures
from scratchnet.runs import run as runs
from scratchnet.training import PURPOSES, generator, to_batch

pytestmark = pytest.mark.usefixtures("runs_here")
SQUARE = (28, 28, 1)
DRAWN = {"samples": (4, *SQUARE), "completion": (4, 6, *SQUARE), "scores": (4,)}
CAN = {  # run: what generate.py makes of it, with the shape of the array for --num 4
    "autoencoder": {"reconstructions": (4, 2, *SQUARE), "interpolation": (4, 11, *SQUARE),
                    "traversal": (3, 13, *SQUARE), "latent": (60, 3)},
    "vae": {"samples": (4, *SQUARE), "reconstructions": (4, 2, *SQUARE),
            "interpolation": (4, 11, *SQUARE), "manifold": (16, *SQUARE), "latent": (60, 2),
            "scores": (4,)},
    "cvae": {"samples": (4, *SQUARE), "reconstructions": (4, 2, *SQUARE),
             "interpolation": (4, 11, *SQUARE), "styles": (10, 4, *SQUARE),
             "manifold": (16, *SQUARE), "latent": (60, 2), "scores": (4,)},
    "vqvae": {"reconstructions": (4, 2, *SQUARE), "codes": (4, 7, 7), "usage": (16,),
              "palette": (16, *SQUARE)},
    "pixelcnn": DRAWN, "gated": DRAWN, "prior": DRAWN}


def opened(name):
    return runs.open_run(Path(name), RECIPES)


# ---------------------------------------------------------------- generate.py

@pytest.mark.parametrize("name", CAN)
def test_every_run_gives_what_it_can_and_says_what_it_cannot(name, capsys):
    for what in pictures.PICTURES:
        line = f"{name} --what {what}" + " --num 4" * (what not in ("latent", "usage", "palette"))
        if what in CAN[name]:
            array = drawn(line)
            assert array.shape == CAN[name][what] and np.ptp(array) > 0
        else:
            err = refused(capsys, asked(f"generate {line}"))
            assert f"--what {what}: " in err and ", ".join(CAN[name]) in err
    first = next(iter(CAN[name]))
    for out in f"{name}/{first}-seed0.png", f"{name}/{first}-seed0-2.png":  # beside the first
        assert asked(f"generate {name}") == 0  # a picture, of what it does first
        assert f"{first} of {RUNS[name][1]} on synthetic digits" in capsys.readouterr().out
        assert Path(out).is_file()
    assert asked(f"generate {name} --what {first} --num 3 --out said.npy") == 0
    assert f"said.npy (3 x {'2 x ' * (first == 'reconstructions')}28 x" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["autoencoder", "vae", "cvae", "vqvae", "gated", "prior"])
def test_pictures_are_made_on_every_device(name, backend):
    run = opened(name)
    ask = pictures.Request(run.model, run.title, run.image_shape, run.dataset, num=2)
    for what in pictures.possible(run.model):
        array, figure = pictures.make(what, ask)
        assert isinstance(array, np.ndarray) and np.isfinite(array).all()
        assert run.title in figure().get_suptitle()


def test_drawing_in_order_depends_on_seed_label_and_temperature_alone():
    found = [drawn(f"gated --num 3 {how}") for how in ("", "", "--seed 1", "--label 7")]
    assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any() and (found[0] != found[3]).any()
    cold = drawn("pixelcnn --num 4 --temperature 1e-4")
    assert_array_equal(cold, cold[:1].repeat(4, axis=0))


# ---------------------------------------------------------------- evaluate.py

def evaluated(line):
    """What evaluate.py writes."""
    assert asked(f"evaluate {line} --quiet") == 0
    written = max(Path(line.split()[0]).glob("*ation*.json"), key=lambda p: p.stat().st_mtime_ns)
    return json.loads(written.read_text())


@pytest.mark.parametrize("name", RUNS)
def test_evaluation_repeats_the_last_row_of_training(name):
    """Same test images, same noise, same weights (the averaged ones, where kept)."""
    found, row = evaluated(f"{name} --batch-size 64"), rows(f"{name}/metrics.csv")[-1]
    expected = {n[5:]: float(v) for n, v in row.items() if n.startswith("test_")}
    assert {n: f["value"] for n, f in found["figures"].items()} == pytest.approx(expected, 1e-6)
    assert found["test_images"] == 60 and found["step"] == int(row["step"])


@pytest.mark.parametrize("name, metric", [("grey", "neg_elbo"), ("prior", "nll")])
def test_a_run_is_measured_on_its_validation_images_and_on_the_test_images(name, metric):
    train(*RUNS[name], "--validation", 50, "--steps", 1, "--out", "chosen")
    found = evaluated("chosen")
    chosen = evaluated("chosen --validation")
    assert found["test_images"] == 60 and chosen["validation_images"] == 50
    assert json.loads(Path("chosen/evaluation.json").read_text()) == found
    row, = rows("chosen/metrics.csv")
    assert chosen["figures"][metric]["value"] == pytest.approx(
        float(row[f"validation_{metric}"]), 1e-6)
    assert found["figures"][metric]["value"] != chosen["figures"][metric]["value"]


def test_last_partial_batch_counts_by_its_size():
    whole = evaluated("autoencoder --batch-size 60")["figures"]["loss"]["value"]
    for size in 59, 16, 1000:
        assert evaluated(f"autoencoder --batch-size {size}")["figures"]["loss"]["value"] == (
            pytest.approx(whole, rel=1e-5))


NATS, GIVEN = "nats per image", ", given its class"
LINES = {  # run: {metric: (what it is called on the screen, its unit)}, with batches of 16
    "autoencoder": {"loss": ("loss", f"{NATS} (BCE: a loss, not a likelihood)")},
    "vae": {"neg_elbo": ("-ELBO", NATS), "kl": ("KL", NATS), "reconstruction": ("recon.", NATS)},
    "cvae": {"neg_elbo": ("-ELBO", NATS + GIVEN), "kl": ("KL", NATS + GIVEN),
             "reconstruction": ("recon.", NATS + GIVEN)},
    "grey": {"neg_elbo": ("-ELBO", f"{NATS} (grey pixels: a loss)")},
    "vqvae": {"recon_error": ("recon. err", "squared error / data variance"), "vq": ("VQ loss", ""),
              "perplexity": ("perplexity, mean over batches of 16", ""),
              "epoch_perplexity": ("perplexity of all these test images", ""),
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
    assert asked(f"evaluate {name} --batch-size 16") == 0
    out, found = capsys.readouterr().out, json.loads(Path(name, "evaluation.json").read_text())
    assert all(len(line) < 80 for line in out.splitlines())
    figures, said = found["figures"], " ".join(out.split())
    for metric, (called, unit) in LINES[name].items():
        value, error = figures[metric]["value"], figures[metric].get("standard_error")
        error = f" +- {error:.2g}" if error else ""
        line, = (line for line in out.splitlines() if line.startswith(f"  {called} "))
        assert line.removeprefix(f"  {called}").lstrip() == f"{value:.6g}{error} {unit}".rstrip()
    model, binary = RUNS[name][1], ", binarised once (--binarize static)"
    assert (found["batch_size"], found["test_images"], found["model"]) == (16, 60, model)
    data_set = "synthetic digits" + ", as 7x7 codes of vqvae" * (name == "prior")
    assert (found["dataset"], found["binarised"]) == (data_set, binary in said)
    assert (binary in said) == (name in ("vae", "cvae", "pixelcnn", "gated"))
    if model == "vae":
        assert found["units"] == LINES[name]["neg_elbo"][1]
    assert f"{model} on {data_set}: 60 test images" in said
    assert f"after step {found['step']:,}; numpy" in said
    assert ("\n  loss " in out) == (name == "autoencoder")
    run = opened(name)
    test = run.dataset()
    if name == "vqvae":
        shares = [np.bincount(runs.codes_of(run.model, test.test_images[part]).ravel(),
                              minlength=16) / (len(test.test_images[part]) * 49)
                  for part in (slice(16), slice(16, 32), slice(32, 48), slice(48, 60))]
        def perplexity(p): return np.prod(p[p > 0] ** -p[p > 0])
        n = np.array([16, 16, 16, 12]) / 60
        assert figures["perplexity"]["value"] == pytest.approx(
            n @ [perplexity(p) for p in shares], rel=1e-4)
        assert figures["epoch_perplexity"]["value"] == pytest.approx(perplexity(n @ shares))
        assert figures["codes_used"]["value"] == np.count_nonzero(n @ shares)
    if "nll" in figures:
        labels = {"labels": test.test_labels} if GIVEN in out else {}
        x = to_batch(test.test_images, run.model.takes_codes)
        nll = to_numpy(run.model.neg_log_likelihood(x, **labels))
        assert figures["nll"]["value"] == pytest.approx(nll.mean(), rel=1e-5)
        assert figures["nll"]["standard_error"] == pytest.approx(
            nll.std(ddof=1) / np.sqrt(60), rel=1e-3)


def test_importance_sampling_sees_every_image_once_with_noise_of_its_own(monkeypatch):
    given, told = [], []
    def log_likelihood(model, x, num_samples, rng, labels=()):
        given.append((len(x), num_samples, rng.random()))
        told.extend(labels)
        return -x.reshape(len(x), -1).sum(axis=1)
    monkeypatch.setattr(evaluate, "IMAGES", 25)
    monkeypatch.setattr(evaluate, "processes", lambda batch_size: 1)
    monkeypatch.setattr(VAE, "log_likelihood", log_likelihood)
    found = evaluated("vae --importance-samples 7")
    assert found["importance_samples"] == 7
    assert [(n, samples) for n, samples, _ in given] == [(25, 7), (25, 7), (10, 7)]
    first = {u for _, _, u in given} | {generator(0, purpose, k).random() for k in range(4)
                                        for purpose in PURPOSES if purpose != "evaluation"}
    assert len(first) == 3 + 4 * (len(PURPOSES) - 1)  # nor with that of training with seed 0
    nll = (opened("vae").dataset().test_images / 255).sum(axis=(1, 2, 3))
    figure = found["figures"]["importance_nll"]
    assert figure["value"] == pytest.approx(nll.mean(), rel=1e-5)
    assert figure["standard_error"] == pytest.approx(nll.std(ddof=1) / np.sqrt(60), rel=1e-5)
    assert told == []
    assert evaluated("cvae --importance-samples 7")["units"] == NATS + GIVEN
    assert told == opened("cvae").dataset().test_labels.tolist()


def test_a_longer_or_shorter_measurement_replaces_none_but_its_like():
    whole = evaluated("vae")
    few = evaluated("vae --limit 7")
    evaluated("vae --limit 60")  # all there are
    assert "evaluation-first60.json" not in names("vae")
    evaluated("vae --limit 1 --importance-samples 2")  # one image has no standard error
    assert few["test_images"] == 7
    assert {"evaluation.json", "evaluation-first7.json",
            "evaluation-first1-importance2.json"} <= names("vae")
    assert json.loads(Path("vae/evaluation.json").read_text()) == whole
    assert "NaN" not in Path("vae/evaluation-first1-importance2.json").read_text()


def test_figures_that_a_file_has_already_are_not_written_again(capsys):
    """But for rounding: the file may be under version control."""
    evaluated("vae")
    path = Path("vae/evaluation.json")
    def change(factor):
        content = json.loads(path.read_text())
        content["figures"]["kl"]["value"] *= factor
        path.write_text(json.dumps(content | {"versions": {}, "run": "elsewhere"}))
        return path.read_bytes()
    for factor, kept in (1 + 1e-9, True), (1 + 1e-5, False):
        before = change(factor)
        assert asked("evaluate vae") == 0
        assert (path.read_bytes() == before) == kept
        out = capsys.readouterr().out
        assert f"{'As' if kept else 'In'} {path}" in out
        assert ("in the place of other figures" in out) == (not kept)
    for damaged in b"", b"[]", b'{"figures": {"kl": 1}}':
        path.write_bytes(damaged)
        assert "neg_elbo" in evaluated("vae")["figures"]


def test_figures_of_a_run_that_cannot_be_written_to_go_elsewhere():
    before = names("vae")
    assert asked("evaluate vae --out mine.json --quiet") == 0
    assert names("vae") == before and "neg_elbo" in json.loads(Path("mine.json").read_text())[
        "figures"]


def test_static_binarisation_for_a_run_trained_on_grey(capsys):
    grey, static = evaluated("grey"), evaluated("grey --binarize static")
    assert static["binarised"] and not grey["binarised"]
    assert grey["figures"]["neg_elbo"]["value"] != static["figures"]["neg_elbo"]["value"]
    assert asked("evaluate grey --binarize static --importance-samples 2") == 0
    assert "grey pixels" not in capsys.readouterr().out
    assert {"evaluation-static.json", "evaluation-static-importance2.json"} <= names("grey")


# ---------------------------------------------------------------- the codes of a VQ-VAE

def test_prior_models_the_codes_of_its_vqvae():
    run, (_, (images, *_)) = opened("prior"), digits()
    dataset = runs.encoded(data.load("synthetic", synthetic=digits), run.vqvae)
    assert dataset.train_images.shape == (200, 7, 7, 1)
    assert_array_equal(run.dataset().test_images, dataset.test_images)
    assert_array_equal(dataset.train_images[:5, ..., 0],
                       run.vqvae.model.codes(images[:5] / np.float32(255)))
    assert drawn("prior --num 3").shape == (3, *SQUARE)  # decoded


def test_a_prior_names_its_vqvae_where_it_is_now():
    for name in "prior", "vqvae":
        shutil.copytree(name, f"moved/{name}", dirs_exist_ok=True)
    Path("moved/vqvae").rename("moved/elsewhere")
    config = json.loads(Path("moved/prior/config.json").read_text())
    config["flags"]["codes"] = "moved/elsewhere"
    Path("moved/prior/config.json").write_text(json.dumps(config))
    assert opened("moved/prior").title == "prior on synthetic digits, as 7x7 codes of elsewhere"
    assert opened("prior").title == "prior on synthetic digits, as 7x7 codes of vqvae"


def test_a_mirrored_image_has_the_codes_that_its_vqvae_gives_it(rng):
    """Which are not its own codes backwards; also where fewer are trained on."""
    run, images = opened("vqvae"), data.load("synthetic", synthetic=digits)
    backwards = run.model.codes(images.train_images[:, :, ::-1] / np.float32(255))[..., None]
    whole = runs.encoded(images, run, flip=True)
    for dataset in (whole, whole.limited(90), whole.with_validation(20)):
        chosen = rng.permutation(len(dataset.train_images))[:50]
        batch = dataset.train_images[chosen]
        found = dataset.flipped(chosen, batch, rng)
        mirrored = (found != batch).any(axis=(1, 2, 3))
        assert 10 < mirrored.sum() < 40
        assert_array_equal(found[mirrored], backwards[chosen][mirrored])
        assert (found[mirrored] != batch[mirrored][:, :, ::-1]).any()
    assert train(*RUNS["prior"], "--flip", "--steps", 1, "--out", "mirrored") == 0
    assert_array_equal(opened("mirrored").dataset().test_images, whole.test_images)


def test_codes_of_a_run_on_binary_images_are_those_of_binary_images():
    """Binarised once, whatever was drawn while the VQ-VAE learned."""
    train(*RUNS["vqvae"], "--binarize", "dynamic", "--steps", 1, "--out", "binary")
    run, grey = opened("binary"), data.load("synthetic", synthetic=digits)
    binary, found, codes = data.statically_binarised(grey), runs.encoded(grey, run), run.model.codes
    for part in ("train_images", "test_images"):
        expected = codes(getattr(binary, part) / np.float32(255))
        assert_array_equal(getattr(found, part)[..., 0], expected)
        assert (codes(getattr(grey, part) / np.float32(255)) != expected).any()
    train(*RUNS["prior"], "--codes", "binary", "--steps", 1, "--out", "of-binary")
    assert_array_equal(opened("of-binary").dataset().test_images, found.test_images)


def test_colour_runs(capsys):
    small = ["--limit", 8, "--batch-size", 8, "--steps", 1, "--out"]
    assert train("--model", "conv-vae", "--channels", 4, 8, "--h-dim", 16, "--dataset", "synthetic",
                 *small, "vae-of-scenes", kind="cifar") == 0
    out = capsys.readouterr().out
    assert "synthetic scenes" in out and "bits/dim" in out
    net = ["--features", 6, "--blocks", 1, "--head", 6]
    assert train("--model", "vqvae", "--num-embeddings", 8, "--embedding-dim", 4, "--dataset",
                 "synthetic", *small, "codes", kind="cifar") == 0
    for model, *more in (["prior", "--codes", "codes"], ["pixelcnn", "--levels", 4],
                         ["gated-pixelcnn", "--mixture", 2]):
        more += [] if model == "prior" else ["--dataset", "synthetic"]
        assert train("--model", model, *more, *net, *small, f"of-{model}", kind="cifar") == 0
        assert drawn(f"of-{model} --num 1").shape == (1, 32, 32, 3)
        assert evaluated(f"of-{model} --limit 8")["figures"]["nll"]["value"] > 0
