"""Images of one's own, given to a run that is trained: --input of generate.py."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import call, refused, rows

import generate
from models import RECIPES
from scratchnet import to_numpy
from scratchnet.runs.images import Form, read
from scratchnet.runs.run import open_run


def given(path, n=3, size=(28, 28)):
    path.mkdir(parents=True)
    for k in range(n):
        image = np.random.default_rng(k).integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(image).save(path / f"{k}.png")


@pytest.mark.parametrize("run, what, shape", [
    ("vae", "reconstructions", (3, 2, 28, 28, 1)), ("autoencoder", "latent", (3, 3)),
    ("vqvae", "codes", (12, 7, 7)), ("pixelcnn", "completion", (3, 6, 28, 28, 1)),
    ("prior", "completion", (3, 6, 28, 28, 1)), ("vae", "scores", (33,))])
def test_images_of_ones_own_are_given_to_a_run(run, what, shape, runs_here, tmp_path):
    """All, in their order, in shades of grey and cut to the run's size."""
    given(tmp_path / "mine", shape[0], size=(28, 28))
    label = ["--label", 1] if run == "prior" else []
    assert call(generate, run, "--input", "mine", "--what", what, *label, "--out", "a.npy",
                "--quiet") == 0
    found = np.load("a.npy")
    assert found.shape == shape
    if what == "reconstructions":  # of a run on binary pixels: black or white from 128 on
        expected = read("mine", Form(), False)["all"].images >= 128
        np.testing.assert_array_equal(found[:, 0], expected)


def test_scores_are_the_models_own(runs_here, tmp_path, capsys):
    """As a table: the file's name, nats, and nats / (pixels ln 2)."""
    given(tmp_path / "mine", 2)
    assert call(generate, "pixelcnn", "--input", "mine", "--what", "scores", "--out", "a.csv") == 0
    found = rows("a.csv")
    run = open_run("pixelcnn", RECIPES)
    x = read("mine", Form(), False)["all"].images / np.float32(255)
    nats = to_numpy(run.model.neg_log_likelihood(x))
    assert [row["image"] for row in found] == ["0.png", "1.png"]
    np.testing.assert_allclose([float(row["nats"]) for row in found], nats, rtol=1e-6)
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in found],
                               nats / (784 * np.log(2)), rtol=1e-6)
    assert f"{nats[1]:,.2f} nats" in capsys.readouterr().out


def test_scores_are_those_of_the_images_they_stand_beside(runs_here):
    """Of one class, and of names that another system's encoding has not."""
    for name in "cat", "dog":
        given(Path("mine") / name, 2)
    Path("mine/dog/0.png").rename("mine/dog/\u65e5\udcff.png")
    ask = ["--what", "scores", "--quiet", "--out"]
    for label in (), ("--label", 1):
        assert call(generate, "vae", "--input", "mine", *label, *ask, f"{len(label)}.csv") == 0
    every, dogs = rows("0.csv"), rows("2.csv")
    assert [row["image"] for row in dogs] == [row["image"] for row in every[2:]] == [
        "dog/1.png", r"dog/\u65e5\udcff.png".replace(r"\u65e5", "\u65e5")]
    assert call(generate, "vae", "--num", 3, *ask, "test.csv") == 0
    assert call(generate, "vae", "--num", 3, "--what", "reconstructions", "--quiet", "--out",
                "test.npy") == 0
    numbers = [int(row["image"]) for row in rows("test.csv")]
    test = open_run("vae", RECIPES).dataset(progress=False).test_images
    np.testing.assert_array_equal(np.load("test.npy")[:, 0], test[numbers] / np.float32(255))


def test_what_is_taken_for_granted_of_given_images_is_said(runs_here, capsys):
    np.save("a.npy", np.zeros((2, 28, 28), np.float32) - 0.5)
    assert call(generate, "vae", "--input", "a.npy", "--out", "b.npy") == 0
    assert "NOTE: numbers from -1 to 1: -1 is taken for black" in capsys.readouterr().out
    assert not np.load("b.npy")[:, 0].any()  # a quarter of white is black to a binary model


@pytest.mark.parametrize("run, sizes, words", [
    ("autoencoder", [(60, 80, 3)], "cut from 80x60 to the middle 60x60, scaled to 28x28, greyed"),
    ("autoencoder", [(28, 30)], "cut from 30x28 to the middle 28x28"),
    ("vqvae", [(14, 14)], "scaled to 28x28"),
    ("prior", [(28, 28), (28, 56, 3)], "cut to their middles, greyed"),
    ("vae", [(28, 28)], "made black and white"),
    ("grey", [(28, 28)], None)])
def test_what_was_done_to_given_images_is_said(run, sizes, words, runs_here, capsys):
    Path("mine").mkdir()
    for k, size in enumerate(sizes):
        Image.fromarray(np.full(size, 100, np.uint8)).save(f"mine/{k}.png")
    path = "mine" if len(sizes) > 1 else "mine/0.png"
    label = ["--label", 1] if run == "prior" else []
    assert call(generate, run, "--input", path, "--num", 1, *label, "--out", "a.npy") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"NOTE: {Path(path).name}: {words} " in said if words else "NOTE" not in said
    np.save("b.npy", np.full((3, 28, 28, 1), 255, np.uint8))
    assert call(generate, run, "--input", "b.npy", "--num", 1, *label, "--out", "c.npy") == 0
    assert "NOTE" not in capsys.readouterr().out


def test_what_is_white_in_the_mask_is_drawn_anew(runs_here, tmp_path):
    given(tmp_path / "mine", 2)
    mask = np.zeros((28, 28), np.uint8)
    mask[3:9, 20:] = 255
    Image.fromarray(mask).save("mask.png")
    ask = ["pixelcnn", "--input", "mine", "--what", "completion", "--quiet", "--out"]
    assert call(generate, *ask, "a.npy", "--mask", "mask.png") == 0
    seen, again, whole = np.load("a.npy")[0][[0, 1, -1]]
    np.testing.assert_array_equal(again[mask == 0], whole[mask == 0])
    assert (again[mask > 0] != whole[mask > 0]).any() and (seen[mask > 0] == 0.5).all()
    np.testing.assert_array_equal(seen[mask == 0], whole[mask == 0])
    prior = ["prior", "--what", "completion", "--num", 2, "--quiet", "--out", "b.npy"]
    assert call(generate, *prior, "--mask", "mask.png") == 0
    seen = np.load("b.npy")[0, 0]  # 4 x 4 pixels a code: rows 0 to 11, columns 20 to 27
    assert (seen[:12, 20:] == 0.5).all() and not (seen[12:] == 0.5).any()


def test_a_label_chooses_among_given_images_that_have_classes(runs_here, capsys):
    """But a model that is told the class is told this one, of all of them."""
    for name in "cat", "dog":
        given(Path("mine") / name, 2 + (name == "dog"))
    def shown(run, label):
        assert call(generate, run, "--input", "mine", "--what", "reconstructions", "--label", label,
                    "--out", "a.npy", "--overwrite", "--quiet") == 0
        return len(np.load("a.npy"))
    assert shown("vae", 0) == 2 and shown("vae", 1) == 3 and shown("cvae", 7) == 5
    for label in 2, 12:
        err = refused(capsys, call(generate, "vae", "--input", "mine", "--label", label))
        assert f"--label {label}: none of the images of mine is of that class" in err


def test_of_one_image_all_but_an_interpolation_is_drawn(runs_here, tmp_path, capsys):
    given(tmp_path / "mine", 1)
    assert call(generate, "vae", "--input", "mine", "--what", "all") == 0
    assert "NOTE: without interpolation: --input: two images" in capsys.readouterr().err
    assert {"reconstructions-seed0.png", "latent-seed0.png", "scores-seed0.png"} <= {
        path.name for path in Path("vae").iterdir()}


@pytest.mark.parametrize("argv, words", [
    (["vae", "--input", "mine", "--what", "samples"], "this run can give --what reconstructions"),
    (["vae", "--input", "nothing"], "or the folder of those\n"),
    (["vae", "--mask", "mine/0.png"], "--mask: is for --what completion"),
    (["pixelcnn", "--what", "completion", "--mask", "black.png"], "nothing in it is white"),
    (["vae", "--what", "samples", "--out", "a.csv"], "a table is of --what scores"),
    (["vqvae", "--what", "codes", "--num", "101"], "of at most 100 images; --out codes.npy"),
    (["vae", "--num", "10001"], "at most 10,000 images; --out samples.npy"),
    (["grey", "--what", "scores"], "--binarize dynamic"),
    (["gated", "--input", "mine"], "say which with --label"),
    (["pixelcnn", "--what", "completion", "--mask", "none.png"], "there is no such file"),
    (["vae", "--input", "mine", "--label", 1], "the images of --input have no classes"),
    (["vae", "--input", "mine", "--label", 0], "the images of --input have no classes"),
    (["vae", "--input", "mine/0.png", "--what", "interpolation"], "there is one: images of 0.png"),
    (["vae", "--input", "mine", "--num", 9], "9 images of mine are needed, but there are 3")])
def test_mistakes_with_images_that_are_given(argv, words, runs_here, tmp_path, capsys):
    given(tmp_path / "mine")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save("black.png")
    assert words in refused(capsys, call(generate, *argv))
