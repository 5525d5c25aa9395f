"""Whether one can name what a run drew: benchmarks/named.py."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scripts import refused

from benchmarks import named
from scratchnet.runs import data, run
from scratchnet.runs.script import guarded


def test_the_shares_are_of_what_was_asked_for():
    """Two images of class 0, one of 1, one of 2; a class that many are taken for gains nothing."""
    found = named.shares(np.array([0, 2, 1, 2]), np.array([0, 0, 1, 2]), 3)
    assert_allclose(found, [1 / 2, 1, 1, 3 / 4])


@pytest.mark.parametrize("mirror", [True, False])
def test_a_mirrored_image_keeps_its_label(mirror, rng, monkeypatch):
    """Each image of an epoch, once, as it is or in a mirror, with its own label."""
    images = rng.integers(0, 256, (128, 4, 4, 3), np.uint8)
    labels = rng.integers(0, 256, 128).astype(np.uint8)
    dataset = data.Dataset("", "", images, labels, images[:1], labels[:1], "")
    seen = []
    monkeypatch.setattr(named, "step", lambda model, adam, batch, rng, labels: seen.extend(
        zip(batch, labels, strict=True)))
    named.train(named.Classifier(3, 256, rng), dataset, 1, mirror)
    known = {image.tobytes(): (k, False) for k, image in enumerate(images)} | {
        image.tobytes(): (k, True) for k, image in enumerate(images[:, :, ::-1])}
    found = [known[image.tobytes()] for image, _ in seen]
    assert sorted(k for k, _ in found) == list(range(128))
    assert_array_equal([label for _, label in seen], labels[[k for k, _ in found]])
    assert 32 < sum(mirrored for _, mirrored in found) < 96 if mirror else not any(
        mirrored for _, mirrored in found)


def test_the_classifier_learns(backend, rng):
    """Whether an image grows brighter or darker from left to right."""
    labels = rng.integers(0, 2, 512).astype(np.uint8)
    ramps = 25 * np.arange(8) * np.array([[1], [-1]]) + np.array([[0], [175]])
    images = ramps[labels][:, None, :, None] + rng.integers(0, 60, (512, 8, 8, 1))
    images = images.astype(np.uint8)
    model = named.Classifier(1, 2, rng, widths=(4, 8))
    dataset = data.Dataset("", "", images, labels, images, labels, "")
    named.train(model, dataset, epochs=15, mirror=False)
    assert named.shares(model.guesses(images), labels, 2).min() > 0.95


def test_samples_stand_in_the_row_of_their_class():
    """From the drawing to the picture; and a class has the same noise at every temperature."""
    def sample(n, rng, labels, temperature=1.0):
        return (labels / 10 + rng.random(n) * 0.01)[:, None]
    model, num = SimpleNamespace(num_classes=10, sample=sample), 8
    samples = {T: named.drawn(model, (1, 1, 1), num, temperature=T) for T in (0.5, 1)}
    assert_array_equal(samples[0.5], samples[1])
    assert_array_equal((samples[1].ravel() * 10).astype(int), np.arange(10).repeat(num))
    columns = {T: named.shares(np.arange(80) % 10, np.arange(10).repeat(num), 10) for T in samples}
    rows, heads = named.beside(samples, columns, 10, num)
    assert rows.shape == (10, 2 * named.SHOWN + 1, 1, 1, 1) and len(heads) == rows.shape[1]
    assert_array_equal((rows[:, 1].ravel() * 10).astype(int), range(10))
    assert (rows[:, named.SHOWN] == 1).all()


def test_the_nearest_training_images_by_brute_force(rng):
    training = rng.integers(0, 256, (7, 3, 2, 1), np.uint8)
    images = rng.random((4, 3, 2, 1), np.float32)
    far = np.sqrt(((images[:, None] - training / 255) ** 2).sum(axis=(2, 3, 4)))
    found, distances = named.nearest(images, training, 3)
    assert_array_equal(found, far.argsort(axis=1)[:, :3])
    assert_allclose(distances, np.sort(far, axis=1)[:, :3], rtol=1e-5)


# ---------------------------------------------------------------- as a person calls it

def called(*argv):
    return guarded("benchmarks/named.py", named.main, [str(a) for a in argv])


@pytest.mark.parametrize("name, columns", [
    ("cvae", ["samples", "test"]), ("gated", ["T = 0.5", "T = 1", "test"]),
    ("prior", ["T = 0.7", "T = 0.85", "T = 1", "decoded", "test"])])
def test_a_table_and_two_pictures(name, columns, runs_here, capsys, rng):
    np.savez("own.npz", **named.Classifier(1, 10, rng).state_dict())
    cold = ["--temperature", 0.5, 1] * (name == "gated")
    assert called(name, "--num", 2, "--classifier", "own.npz", "--out", "new/ones",
                  *cold) == 0
    head, *rows = capsys.readouterr().out.split("\n\n")[1].split("\n")
    assert head.split("  ")[-1] == columns[-1] and all(word in head for word in columns)
    assert len(rows) == 11 and all(len(row.split()) == 1 + len(columns) for row in rows)
    assert all(len(row) <= 80 for row in rows)
    assert {p.name for p in run.Path("new/ones").iterdir()} == {"named.png", "named-nearest.png"}


def test_the_classifier_is_trained_once(runs_here, monkeypatch):
    """For black and white images another one than for grey ones, whose codes the prior models."""
    trained = []
    monkeypatch.setattr(named, "train", lambda model, dataset, epochs, mirror, quiet: trained
                        .append((mirror, np.unique(dataset.train_images).size)))
    for name in "gated", "gated", "cvae", "prior":
        assert called(name, "--num", 1, "--data-dir", "kept", "--quiet") == 0
    assert trained == [(False, 2), (False, 256)]


@pytest.mark.parametrize("argv, says", [
    ("vae", "not told the class"), ("vqvae", "not told the class"),
    ("cvae --temperature 1", "--temperature: is for"), ("nowhere", "nowhere"),
    ("gated --guidance 2", "--guidance: is for a run that was trained with --untold"),
    ("gated --classifier gated/config.json", "remove it"),
    ("gated --num 0", "--num")])
def test_what_it_cannot_do(argv, says, runs_here, capsys):
    assert says in refused(capsys, called(*argv.split(), "--quiet"))
