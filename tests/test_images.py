"""Images of one's own: each form that they come in, and what is said of those that do not fit."""

import gzip
import re
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image
from scripts import (
    CIFAR_FILES,
    CIFAR_FOLDER,
    call,
    config_of,
    idx,
    refused,
    scenes,
    served,
    state,
    train,
)

import evaluate
import generate
import runs
from models import RECIPES
from scratchnet.runs.data import load_own
from scratchnet.runs.formats import sha256_of
from scratchnet.runs.images import Form, read
from scratchnet.runs.run import open_run
from scratchnet.runs.run import read as read_run

rng = np.random.default_rng(5)
GREY = rng.integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)
COLOURED = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
LARGE = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)  # of CIFAR's size
LABELS = (np.arange(24) % 3).astype(np.uint8)


def raw_folder(path, pack=bytes, end=""):
    """As torchvision leaves MNIST/raw."""
    (path / "MNIST" / "raw").mkdir(parents=True)
    for part, n in (("train", 24), ("t10k", 12)):
        for kind, array in (("images-idx3", GREY[:n, ..., 0]), ("labels-idx1", LABELS[:n])):
            (path / "MNIST" / "raw" / f"{part}-{kind}-ubyte{end}").write_bytes(pack(idx(array)))


def pictures(path, images, kind="png", classes=("cat", "dog", "owl")):
    for k, image in enumerate(images):
        folder = path / classes[LABELS[k]] if classes else path
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(folder / f"{k:02}.{kind}")


def kaggle(path):
    table = np.concatenate([LABELS[:, None], GREY.reshape(24, -1)], 1)
    names = "label," + ",".join(f"pixel{k}" for k in range(64))
    np.savetxt(path, table, "%d", ",", header=names, comments="")


def records(*labels):
    planes = LARGE.transpose(0, 3, 1, 2).reshape(24, -1)
    return np.concatenate([*(x[:, None] for x in labels), planes], 1).tobytes()


# name: (how it is written, the flags it needs, the images, whether it has labels)
FORMS = {
    "a.npy": (lambda p: np.save(p, GREY[..., 0]), (), GREY, False),
    "coloured.npy": (lambda p: np.save(p, COLOURED), (), COLOURED, False),
    "planes.npy": (lambda p: np.save(p, COLOURED.transpose(0, 3, 1, 2)), ("--channels-first",),
                   COLOURED, False),
    "from 0 to 1.npy": (lambda p: np.save(p, GREY.astype(np.float32) / 255), (), GREY, False),
    "from -1 to 1.npy": (lambda p: np.save(p, COLOURED / 127.5 - 1), (), COLOURED, False),
    "0 and 1.npy": (lambda p: np.save(p, GREY // 128), (), GREY // 128 * 255, False),
    "whole numbers.npy": (lambda p: np.save(p, GREY.astype(np.int64)), (), GREY, False),
    "keras.npz": (lambda p: np.savez(p, x_train=GREY, y_train=LABELS, x_test=GREY[:12],
                                     y_test=LABELS[:12]), (), GREY, True),
    "medmnist.npz": (lambda p: np.savez(
        p, train_images=GREY, train_labels=LABELS[:, None], val_images=GREY, val_labels=LABELS,
        test_images=GREY[:12], test_labels=LABELS[:12]), (), GREY, True),
    "one array.npz": (lambda p: np.savez(p, latest_values=GREY), (), GREY, False),
    "to validate.npz": (lambda p: np.savez(p, train=GREY, valid=GREY[:12]), (), GREY, False),
    "train.csv": (kaggle, (), GREY, True),
    "pandas.csv": (lambda p: np.savetxt(p, GREY.reshape(24, -1), "%d", ",", comments="",
                                        header=",".join(map(str, range(64)))), (), GREY, False),
    "one file": (lambda p: p.mkdir() or np.save(p / "a.npy", GREY), (), GREY, False),
    "letters-images-idx3-ubyte": (lambda p: p.write_bytes(idx(GREY[..., 0].transpose(0, 2, 1))),
                                  ("--transpose",), GREY, False),
    "raw": (raw_folder, (), GREY, True),
    "raw, gzipped": (lambda p: raw_folder(p, gzip.compress, ".gz"), (), GREY, True),
    "cifar10.bin": (lambda p: p.write_bytes(records(LABELS)), (), LARGE, True),
    "cifar100.bin": (lambda p: p.write_bytes(records(LABELS * 0 + 19, LABELS)), (), LARGE, True),
    "classes": (lambda p: pictures(p, COLOURED), (), COLOURED, True),
    "folder": (lambda p: pictures(p, GREY, "bmp", None), (), GREY, False),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_trained_on_and_reconstructed(name, here, tmp_path, capsys):
    """The same pixels, whatever the form: the images are those that were written, and the run opens
    them again from another folder."""
    write, flags, images, labelled = FORMS[name]
    write(tmp_path / name)
    form = Form(transpose="--transpose" in flags, channels_first="--channels-first" in flags)
    found = read(name, form, progress=False)
    part = found.get("all") or found["train"]
    order = np.lexsort((np.arange(24), LABELS)) if name == "classes" else np.arange(24)
    np.testing.assert_array_equal(part.images, images[order])
    assert part.images.dtype == np.uint8 and part.images.flags.c_contiguous
    assert np.array_equal(part.labels, LABELS[order]) if labelled else part.labels is None
    assert train(name, *flags, "--model", "vae", "--h-dim", 8, "--epochs", 1, "--out", "run",
                 kind="images") == 0
    said = capsys.readouterr().out
    trained_on = 24 - 2 * ("all" in found)
    assert f"{trained_on} training and {2 if 'all' in found else 12} test images" in said
    assert ("is taken for" in said) == ("1.npy" in name)
    assert config_of("run")["dataset"]["num_classes"] == (3 if labelled else 1)
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        assert call(generate, "../run", "--what", "reconstructions", "--out", "a.npy") == 0
        pairs = np.load("a.npy")
    all_pixels = {image.tobytes() for image in images}
    assert {np.rint(p[0] * 255).astype(np.uint8).tobytes() for p in pairs} <= all_pixels


def test_cifar_as_pictures_gives_the_run_of_the_binary(here, tmp_path, monkeypatch):
    """To the bit: the same images, in the same order, are the same run."""
    _, (images, labels, test_images, test_labels) = scenes()
    images, labels = images[:40], labels[:40] % 10
    (tmp_path / CIFAR_FOLDER).mkdir()
    files = {}
    for k, name in enumerate(CIFAR_FILES):
        part = slice(8 * k, 8 * k + 8) if k < 5 else slice(0, 20)
        x, y = (images, labels) if k < 5 else (test_images, test_labels % 10)
        planes = x[part].transpose(0, 3, 1, 2).reshape(len(x[part]), -1)
        content = np.concatenate([y[part][:, None], planes], 1).astype(np.uint8).tobytes()
        (tmp_path / CIFAR_FOLDER / name).write_bytes(content)
        files[name] = sha256_of(content)
    served(monkeypatch, "cifar10", ("http://127.0.0.1:9/x",), files)
    for part, x in (("train", images), ("test", test_images)):
        (tmp_path / "own" / part).mkdir(parents=True)
        for k, image in enumerate(x):
            Image.fromarray(image).save(tmp_path / "own" / part / f"{k:03}.png")
    flags = ["--model", "vqvae", "--steps", 3, "--batch-size", 16, "--num-embeddings", 16, "--lr",
             1e-3, "--restart-below", 0, "--quiet"]
    assert train(*flags, "--dataset", "cifar10", "--data-dir", tmp_path, "--out", "a",
                 kind="cifar") == 0
    assert train(tmp_path / "own", *flags, "--out", "b", kind="images") == 0
    for name, array in state("a").items():
        np.testing.assert_array_equal(state("b")[name], array, err_msg=name)


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_size_is_that_of_transposed_images(tmp_path, name):
    image = np.arange(32, dtype=np.uint8).reshape(8, 4)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", image[None])
    found = read(tmp_path / name, Form(size=(2, 4), transpose=True), progress=False)["all"].images
    assert found.shape == (1, 2, 4, 1)
    assert (found[0, ..., 0] == image.T.reshape(2, 2, 4, 2).mean(axis=(1, 3)) + 0.5).all()


def test_pictures_are_cut_resized_and_told_apart(tmp_path):
    """Averages over areas; grey ones among coloured ones; turned as the camera was held."""
    stripes = np.zeros((4, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    Image.fromarray(stripes[..., 0]).save(tmp_path / "b.png")
    turned = Image.fromarray(stripes.transpose(1, 0, 2))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned.save(tmp_path / "c.png", exif=exif)
    (tmp_path / "notes.txt").write_text("no picture")
    found = read(tmp_path, Form(size=(2, 4)), progress=False)["all"]
    assert found.images.shape == (3, 2, 4, 3) and (found.images == 100).all()
    assert found.said == ("left out what is no picture: 1 file",)
    large = Image.fromarray(np.kron(COLOURED[0], np.ones((16, 16, 1), np.uint8)))
    (tmp_path / "large").mkdir()
    large.save(tmp_path / "large" / "a.jpg", quality=100)
    again = np.asarray(Image.open(tmp_path / "large" / "a.jpg").resize((4, 4), Image.BOX))
    assert (read(tmp_path / "large", Form(size=(4, 4)), False)["all"].images == again).all()
    (tmp_path / "large" / "a.jpg").unlink()
    assert read(tmp_path, Form(size=(2, 2), grey=True), False)["all"].images.shape == (3, 2, 2, 1)
    assert (read(tmp_path / "a.png", Form(), False)["all"].images == stripes).all()


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_a_part_of_folders_of_classes_has_several_of_them(parts, tmp_path):
    """They lie there class after class, and are mixed, each with its label."""
    for part in parts:
        pictures(tmp_path / part, GREY)
    flags = Namespace(images=tmp_path, test=None, size=None, grey=False, transpose=False,
                      channels_first=False)
    whole = load_own(flags, progress=False)
    label_of = {x.tobytes(): k for x, k in zip(GREY, LABELS, strict=True)}
    for images, labels in ((whole.train_images, whole.train_labels),
                           (whole.test_images, whole.test_labels)):
        assert [label_of[x.tobytes()] for x in images] == labels.tolist()
        assert len({x.tobytes() for x in images}) == len(images)
    for part in whole.limited(12).train_labels, whole.with_validation(12).test_labels:
        assert set(part.tolist()) == {0, 1, 2}
    if len(parts) == 2:
        assert set(whole.limited(12).test_labels.tolist()) == {0, 1, 2}
    again = load_own(flags, progress=False)
    assert again.sha256 == whole.sha256 and (again.train_images == whole.train_images).all()


@pytest.mark.parametrize("folders, parts", [
    (["train", "test"], ["train", "test"]), (["Train", "validation"], ["train", "test"]),
    (["trains", "valleys", "planes"], ["all"]), (["raw", "edited"], ["all"])])
def test_only_the_words_divide_a_folder(folders, parts, tmp_path):
    for folder in folders:
        pictures(tmp_path / folder, GREY[:3], classes=None)
    found = read(tmp_path, Form(), False)
    assert set(found) == set(parts)
    assert sum(len(part.images) for part in found.values()) == 3 * len(folders)
    assert parts != ["all"] or found["all"].classes == tuple(sorted(folders))


def test_a_table_beside_pictures_is_no_images(tmp_path):
    """Nor is what a link leads to twice."""
    pictures(tmp_path, GREY[:6])
    (tmp_path / "train.csv").write_text("file,label\n0.png,1\n")
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    (tmp_path / "far").mkdir()
    pictures(tmp_path / "far", GREY[:3], classes=None)
    found = read(tmp_path, Form(), False)["all"]
    assert len(found.images) == 9 and "left out what is no picture: 1 file" in found.said
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "cats").symlink_to(tmp_path / "cat")
    assert len(read(tmp_path / "near", Form(), False)["all"].images) > 1  # others are followed


def test_classes_are_said_and_numbers_are_in_their_order(here, tmp_path, capsys):
    pictures(tmp_path, GREY, classes=("10", "2", "1"))
    assert read(tmp_path, Form(), False)["all"].classes == ("1", "2", "10")
    assert train(tmp_path, "--model", "vae", "--steps", 1, "--out", "run", kind="images") == 0
    assert "NOTE: classes: 0 1, 1 2, 2 10" in capsys.readouterr().out
    assert read_run("run").classes == ("1", "2", "10")


def test_given_images_are_of_the_classes_of_the_run_by_their_names(here, tmp_path, capsys):
    pictures(tmp_path / "mine", GREY)
    assert train("mine", "--model", "vae", "--conditional", "--steps", 1, "--out", "run", "--quiet",
                 kind="images") == 0
    run = open_run("run", RECIPES)
    pictures(tmp_path / "few", GREY[:3], classes=("owl", "dog", "owl"))
    found = run.given("few")
    assert found.test_labels.tolist() == [1, 2, 2] and found.classes == ("cat", "dog", "owl")
    pictures(tmp_path / "others", GREY[:3], classes=("owl", "emu", "owl"))
    found = run.given("others")
    assert found.test_labels is None
    assert "its subfolders emu, owl are none of the classes of this run, cat" in found.said[-1]
    call(generate, "run", "--input", "others")
    assert "say which with --label" in capsys.readouterr().err
    assert call(generate, "run", "--input", "others", "--label", 2) == 0


def test_rows_and_columns_change_places_in_what_is_of_the_same_kind(here, tmp_path):
    """EMNIST's arrays lie on their side; a picture of a letter does not."""
    np.save("a.npy", GREY[..., 0])
    assert train("a.npy", "--transpose", "--model", "vae", "--steps", 1, "--out", "run", "--quiet",
                 kind="images") == 0
    run = open_run("run", RECIPES)
    np.save("b.npy", GREY[:2, ..., 0])
    pictures(tmp_path / "mine", GREY[:2], classes=None)
    turned, upright = run.given("b.npy"), run.given("mine")
    assert (turned.test_images == GREY[:2].swapaxes(1, 2)).all()
    assert "as for --transpose" in turned.said[-1]
    assert (upright.test_images == GREY[:2]).all() and not upright.said


def test_a_folder_of_a_folder_of_classes_is_that(tmp_path):
    pictures(tmp_path / "animals" / "train", GREY)
    assert read(tmp_path / "animals", Form(), False)["all"].classes == ("cat", "dog", "owl")


def test_files_say_by_any_word_what_they_are_for(tmp_path):
    for name, n in (("x_train.npy", 20), ("x_test.npy", 4), ("more.npy", 3)):
        np.save(tmp_path / name, GREY[:n])
    found = read(tmp_path, Form(), False)
    assert {part: len(of.images) for part, of in found.items()} == {"train": 20, "test": 4}
    assert found["train"].said == ("left out: more.npy",)


def test_a_grey_picture_with_an_opaque_alpha_channel_is_grey(tmp_path):
    Image.fromarray(np.concatenate([GREY[0], np.full_like(GREY[0], 255)], -1)).save(
        tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png", Form(), False)["all"].images, GREY[:1],
                                  strict=True)


def test_runs_on_other_images_of_one_name_are_not_ranked_together(here, tmp_path, capsys):
    for place in "a", "b":
        (tmp_path / place).mkdir()
        np.save(f"{place}/good.npy", GREY)
        assert train(f"{place}/good.npy", "--model", "vae", "--steps", 1, "--out", f"run-{place}",
                     "--quiet", kind="images") == 0
    assert call(runs, ".") == 0
    out = "".join(capsys.readouterr().out.split())
    assert all(f"{place}/good.npy,8x8x1:test-ELBO" in out for place in "ab")


def test_a_table_with_a_mark_of_its_encoding(tmp_path):
    kaggle(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().partition("\n")[2]
    (tmp_path / "B.CSV").write_text(text, encoding="utf-8-sig")
    assert (read(tmp_path / "B.CSV", Form(), False)["all"].images == GREY).all()


def alpha(path):
    Image.fromarray(np.concatenate([COLOURED[0], COLOURED[0][..., :1]], -1)).save(path)


@pytest.mark.parametrize("name, write, words", [
    ("cat/odd.png", lambda p: Image.fromarray(LARGE[0]).save(p), "is 32 x 32, but .* --size H W"),
    ("cat/odd.png", alpha, "odd.png: is partly transparent.*save it without an alpha channel"),
    ("cat/odd.png", lambda p: Image.fromarray(GREY[0, ..., 0].astype(np.uint16)).save(p),
     "odd.png: has 16 bits or more a pixel; save it with 8"),
    ("cat/odd.png", lambda p: p.write_bytes(b"\x89PNG cut"), "odd.png: is no picture.*remove it"),
    ("odd.png", lambda p: Image.fromarray(COLOURED[0]).save(p), "subfolders, but odd.png"),
    ("a.npy", lambda p: np.save(p, COLOURED.transpose(0, 3, 1, 2)), "--channels-first"),
    ("a.npy", lambda p: np.save(p, COLOURED[..., :2]), r"\(24, 8, 8, 2\), but images are"),
    ("a.npy", lambda p: np.save(p, LARGE.reshape(24, 32, 24, 4)), "leave that out"),
    ("a.npy", lambda p: np.save(p, GREY.reshape(24, 64)), r"\(24, 64\), but images are"),
    ("a.npy", lambda p: np.save(p, GREY.astype(np.uint16) * 257), "from 0 to 65535; accepted"),
    ("a.npy", lambda p: np.save(p, np.full((24, 8, 8), np.nan)), "NaN"),
    ("a.npy", lambda p: np.save(p, [None, 1]), "allow_pickle=False"),
    ("a.npy", lambda p: np.save(p, GREY[:2]), "2 images; to learn something"),
    ("a.npz", lambda p: np.savez(p, a=GREY, b=GREY, c=GREY), "which of its arrays.*a, b, c"),
    ("a.npz", lambda p: np.savez(p, images=GREY, labels=LABELS - 1.5), "classes are whole numbers"),
    ("a.csv", lambda p: np.savetxt(p, GREY.reshape(24, 64)[:, :60], "%d", ","), "rows of 60"),
    ("a.bin", lambda p: p.write_bytes(bytes(100)), "no records of 3,073"),
    ("a.zip", lambda p: p.write_bytes(b"what is it?"), "damaged or no file of images"),
    ("a.npz", lambda p: np.savez(p, x=GREY, y=LABELS[:9]), r"y \(9,\) are no labels of 24 images"),
    ("a.npz", lambda p: np.savez(p, x=GREY, y=LABELS.astype(str)), "classes are whole numbers"),
    ("a.npz", lambda p: np.savez(p, x_train=GREY, y_train=LABELS, x_test=GREY, y_test=LABELS + 9),
     r"test images have the labels \[9, 10, 11\], which no training image has"),
    ("a.csv", lambda p: p.write_text("label,a,b\n"), "it has no rows of numbers"),
    ("a.csv", lambda p: p.write_text("1,2,3\n1,2\n"), r"changed from 3 to 2 at row 2\);"),
    ("a.npy", lambda p: np.save(p, GREY[:0]), "there are no images in it"),
    ("a.txt", lambda p: None, "there is nothing of that name; give a folder of .*those$"),
    ("empty/a", lambda p: None, "there is nothing of that name"),
])
def test_what_does_not_fit_is_one_line(name, write, words, here, tmp_path, capsys):
    """It names the file, and says what to do."""
    path = tmp_path / "own" / name
    pictures(tmp_path / "own", COLOURED)
    write(path)
    inside = name.endswith("png")
    capsys.readouterr()
    said = refused(capsys, train(tmp_path / "own" if inside else path, "--model", "vae",
                                 kind="images"))
    assert str(path if "subfolders" not in words else path.parent) in said
    assert re.search(words, said), said
    assert not (tmp_path / "runs").exists()


def test_test_images_of_another_place(here, tmp_path, capsys):
    np.save("a.npy", GREY)
    np.save("b.npy", GREY[:5])
    np.save("c.npy", COLOURED)
    flags = ["a.npy", "--model", "vae", "--h-dim", 8, "--epochs", 1]
    assert train(*flags, "--test", "b.npy", "--out", "run", kind="images") == 0
    assert "24 training and 5 test images" in capsys.readouterr().out
    assert call(evaluate, "run") == 0 and "5 test images" in capsys.readouterr().out
    assert train("./a.npy", "--test", "./b.npy", "--resume", "run", "--epochs", 2, "--quiet",
                 kind="images") == 0  # the same, said in another way
    assert "--size H W and --grey" in refused(capsys, train(*flags, "--test", "c.npy",
                                                            kind="images"))
    np.savez("both.npz", x_train=GREY, y_train=LABELS, x_test=GREY[:12], y_test=LABELS[:12])
    assert train("both.npz", *flags[1:], "--test", "both.npz", kind="images") == 0
    out = capsys.readouterr().out
    assert "24 training and 12 test images" in out and "NOTE: the test images of both.npz" in out
    assert "NOTE: the train images of both.npz are left out" in out
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.npy").rename(tmp_path / "moved" / "a.npy")
    assert "nothing of that name" in refused(capsys, call(evaluate, "run"))
    (tmp_path / "b.npy").rename(tmp_path / "moved" / "b.npy")
    assert call(evaluate, "run", "--data-dir", "moved/a.npy") == 0
    np.save("moved/a.npy", GREY[::-1])
    assert "the same data" in refused(capsys, call(evaluate, "run", "--data-dir", "moved/a.npy"))


@pytest.mark.parametrize("argv, words", [
    (["--model", "vae"], "python train_images.py PATH --model MODEL"),
    (["a.npy", "--model", "vae", "b.npy"], "one word too many"),
    (["a.npy", "--model", "conv-vae", "--size", 15, 18], "images of 16 x 20 would"),
    (["a.npy", "--model", "vqvae", "--size", 15, 18], "images of 16 x 20 would do"),
    (["a.npy", "--model", "vae", "--size", 15], "--size: expected 2 arguments"),
    (["--resume", "vae"], "use python train_mnist.py"),
    (["b.npy", "--resume", "own"], "b.npy (were they moved? --data-dir b.npy)"),
    (["a.npy", "--model", "prior"], "--codes RUN"),
    (["--model", "prior", "--codes", "own", "--grey"], "--grey: the images are those of the VQ"),
    (["a.npy", "--model", "vae", "--data-dir", "b.npy"], "--data-dir b.npy: says where"),
    (["b.npy", "--model", "prior", "--codes", "own"], "b.npy: the images are those of")])
def test_mistakes_with_images_of_ones_own(argv, words, runs_here, capsys):
    np.save("a.npy", GREY)
    if "own" in argv:
        assert train("a.npy", "--model", "vqvae", "--num-embeddings", 8, "--epochs", 1, "--quiet",
                     "--out", "own", kind="images") == 0
    assert words in refused(capsys, train(*argv, kind="images"))


def test_a_prior_over_codes_of_ones_own_images(here):
    """And both go on from their checkpoints."""
    np.save("a.npy", LARGE)
    small = ["--embedding-dim", 4, "--quiet", "--epochs", 1]
    assert train("a.npy", "--model", "vqvae", "--num-embeddings", 16, *small, "--out", "vqvae",
                 kind="images") == 0
    assert train("--model", "prior", "--codes", "vqvae", "--features", 8, "--blocks", 1, "--head",
                 8, *small, "--out", "prior", kind="images") == 0
    assert call(generate, "prior", "--num", 4, "--out", "new.npy", "--quiet") == 0
    assert np.load("new.npy").shape == (4, 32, 32, 3)
    for run in "prior", "vqvae":  # in this order: a prior keeps to its VQ-VAE
        assert train("--resume", run, "--epochs", 2, "--quiet", kind="images") == 0
        assert call(evaluate, run, "--quiet") == 0
