"""Data sets: read as written, damaged, downloaded from a local server, drawn, cut, binarised."""

import contextlib
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scripts import CIFAR_FILES, CIFAR_FOLDER, NOBODY, idx, served

from scratchnet import to_numpy
from scratchnet.errors import DataError
from scratchnet.runs import data
from scratchnet.runs.sources import IDX_FILES
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes
from scratchnet.training import to_batch


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A data set of four small files: its folder, not there yet, and their bytes."""
    rng = np.random.default_rng(3)
    arrays = [rng.integers(0, 256, (7, 5, 4)), rng.integers(0, 10, 7),
              rng.integers(0, 256, (3, 5, 4)), rng.integers(0, 10, 3)]
    files = {name: gzip.compress(idx(np.uint8(a)), mtime=0)
             for name, a in zip(IDX_FILES, arrays, strict=True)}
    sums = {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    served(monkeypatch, "mnist", (NOBODY,), sums)
    return SimpleNamespace(root=tmp_path, arrays=arrays, files=files, sums=sums)


@pytest.fixture
def present(tiny):
    (tiny.root / "mnist").mkdir()
    for name, content in tiny.files.items():
        (tiny.root / "mnist" / name).write_bytes(content)
    return tiny


def parts(dataset):
    return (dataset.train_images[..., 0], dataset.train_labels, dataset.test_images[..., 0],
            dataset.test_labels)


# ---------------------------------------------------------------- idx files

def test_files_are_read_as_written(present, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", str(present.root))
    for dataset in data.load("mnist", present.root), data.load("mnist"):
        for found, expected in zip(parts(dataset), present.arrays, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert dataset.image_shape == (5, 4, 1)


@pytest.mark.parametrize("n", [5, 2])
def test_limited_keeps_images_and_labels_together(n, present):
    part = data.load("mnist", present.root).limited(n)
    for found, expected in zip(parts(part), present.arrays, strict=True):
        np.testing.assert_array_equal(found, expected[:n])


@pytest.mark.parametrize("damage", [
    lambda packed: packed[:60], lambda packed: b"", lambda packed: gzip.decompress(packed)[:-1],
    lambda packed: packed[:-9] + bytes([packed[-9] ^ 1]) + packed[-8:]],
    ids=["cut", "empty", "unpacked and cut", "a bit"])
def test_damage_is_named_with_the_file_and_a_remedy(damage, present):
    path = present.root / "mnist" / IDX_FILES[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path}: checksum mismatch.*delete the file") as caught:
        data.load("mnist", present.root)
    assert not isinstance(caught.value, data.MissingDataError)


@pytest.mark.parametrize("place", ["mnist", "mnist/raw", "MNIST/raw", "."])
@pytest.mark.parametrize("name, change", [
    (lambda name: name, lambda packed: gzip.compress(gzip.decompress(packed), 1)),
    (lambda name: name, gzip.decompress),  # a browser unpacks it and keeps the name
    (lambda name: name.removesuffix(".gz"), gzip.decompress),
    (lambda name: name.removesuffix(".gz").replace("-idx", ".idx"), gzip.decompress)],
    ids=["gzipped anew", "unpacked under its name", "unpacked", "with a dot"])
def test_mnist_in_another_form_is_known_by_its_content(name, change, place, tiny, monkeypatch):
    folder = tiny.root / place
    folder.mkdir(parents=True, exist_ok=True)
    for file, packed in tiny.files.items():
        (folder / name(file)).write_bytes(change(packed))
    with pytest.raises(DataError):  # of other content
        data.load("mnist", tiny.root)
    unpacked = {file: hashlib.sha256(gzip.decompress(packed)).hexdigest()
                for file, packed in tiny.files.items()}
    monkeypatch.setitem(data.SOURCES, "mnist", replace(data.SOURCES["mnist"], unpacked=unpacked))
    dataset = data.load("mnist", tiny.root)
    for found, expected in zip(parts(dataset), tiny.arrays, strict=True):
        np.testing.assert_array_equal(found, expected)


# ---------------------------------------------------------------- CIFAR-10

@pytest.fixture
def cifar(monkeypatch, tmp_path):
    """Six small .bin files; `root` is the data folder, with nothing in it."""
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (6, 4, 32, 32, 3)).astype(np.uint8)
    labels = rng.integers(0, 10, (6, 4)).astype(np.uint8)
    planes = images.transpose(0, 1, 4, 2, 3).reshape(6, 4, -1)
    files = {name: np.concatenate([labels[k][:, None], planes[k]], axis=1).tobytes()
             for k, name in enumerate(CIFAR_FILES)}
    sums = {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    served(monkeypatch, "cifar10", (f"{NOBODY}cifar-10-binary.tar.gz",), sums)
    return SimpleNamespace(root=tmp_path, images=images, labels=labels, files=files, sums=sums,
                           archive=tmp_path / "cifar-10-binary.tar.gz",
                           folder=tmp_path / CIFAR_FOLDER)


def pack(path, files, type=tarfile.REGTYPE):
    """An archive of these files."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), type, "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))


def test_cifar_planes_become_channels(cifar):
    pack(cifar.archive, {f"{CIFAR_FOLDER}/{n}": c for n, c in cifar.files.items()})
    dataset = data.load("cifar10", cifar.root)
    np.testing.assert_array_equal(dataset.train_images, cifar.images[:5].reshape(20, 32, 32, 3))
    np.testing.assert_array_equal(dataset.train_labels, cifar.labels[:5].reshape(20))
    np.testing.assert_array_equal(dataset.test_images, cifar.images[5])
    np.testing.assert_array_equal(dataset.test_labels, cifar.labels[5])
    assert {p.name for p in cifar.folder.iterdir()} == set(cifar.files)


@pytest.mark.parametrize("make, words", [
    (lambda path, files: pack(path, {"test_batch.bin": b""}, type=tarfile.SYMTYPE), ""),
    (lambda path, files: pack(path, dict([*files.items()][:1])), "data_batch_2.bin"),
    (lambda path, files: pack(path, {n: c[:-1] + b"!" for n, c in files.items()}),
     "data_batch_1.bin"),
    (lambda path, files: path.write_bytes(gzip.compress(b"\xff" * 5000)), "damaged"),
    (lambda path, files: path.write_bytes(b""), "damaged")],
    ids=["a link", "one alone", "changed", "no tar", "empty"])
def test_an_archive_with_a_fault_is_refused_whole(make, words, cifar):
    make(cifar.archive, cifar.files)
    with pytest.raises(DataError) as caught:
        data.load("cifar10", cifar.root)
    assert str(cifar.archive) in str(caught.value) and words in str(caught.value)
    assert not cifar.folder.exists()


@pytest.mark.parametrize("name", ["../evil.bin", "/tmp/evil.bin", "x/../../evil.bin"])
def test_nothing_is_unpacked_outside_the_folder(name, cifar):
    pack(cifar.archive, cifar.files | {name: b"evil"})
    with contextlib.suppress(DataError):
        data.load("cifar10", cifar.root)
    assert not [*cifar.root.parent.rglob("evil.bin")] and not Path("/tmp/evil.bin").exists()


def test_unpacking_that_fails_leaves_nothing(cifar, monkeypatch):
    pack(cifar.archive, cifar.files)
    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        data.load("cifar10", cifar.root)
    assert not [*cifar.folder.iterdir()]


def test_a_damaged_bin_file_is_explained(cifar):
    pack(cifar.archive, cifar.files)
    data.load("cifar10", cifar.root)
    path = cifar.folder / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=f"{path}: checksum mismatch.*delete the file"):
        data.load("cifar10", cifar.root)


# ---------------------------------------------------------------- downloads

@pytest.fixture
def server(tiny, monkeypatch):
    """A local HTTP server of tiny's files; server.plan is what to do with each next request."""
    plan, seen = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            action = plan.pop(0) if plan else "serve"
            content = tiny.files[Path(self.path).name]
            if action == "404":
                return self.send_error(404)
            if action == "wrong bytes":
                content = content[:-1] + b"!"
            self.send_response(200)
            self.send_header("Content-Length", "-5" if action == "-5" else str(len(content)))
            self.end_headers()
            self.wfile.write(content[:len(content) // 2] if action == "cut" else content)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    httpd.plan, httpd.seen = plan, seen
    httpd.address = f"http://127.0.0.1:{httpd.server_port}/"
    served(monkeypatch, "mnist", (httpd.address,), tiny.sums)
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def fetched(tiny):
    dataset = data.load("mnist", tiny.root, progress=False)
    np.testing.assert_array_equal(dataset.test_images[..., 0], tiny.arrays[2])
    assert {p.name for p in (tiny.root / "mnist").iterdir()} == set(tiny.files)


def test_download_puts_verified_files_in_place(tiny, server):
    for _ in range(2):
        fetched(tiny)
        assert len(server.seen) == 4  # the second load fetched nothing


@pytest.mark.parametrize("plan, words", [
    (["404"], "train-images.*404"), (["wrong bytes"], "SHA-256"),
    (["cut"] * 9, "bytes|Incomplete")])
def test_a_download_that_fails_says_why_and_leaves_nothing(plan, words, tiny, server):
    server.plan += plan
    with pytest.raises(data.MissingDataError, match=words) as caught:
        data.load("mnist", tiny.root, progress=False)
    assert server.address in str(caught.value) and not (tiny.root / "mnist").exists()


@pytest.mark.parametrize("plan", [[], ["cut"], ["-5"]])
def test_second_mirror_is_used_when_the_first_fails(plan, tiny, server, monkeypatch):
    """There is no such server, or the connection broke off."""
    server.plan += plan
    served(monkeypatch, "mnist", (server.address if plan else NOBODY, server.address), tiny.sums)
    fetched(tiny)


# ---------------------------------------------------------------- synthetic

def drawn(draw, **sizes):
    return data.load("synthetic", synthetic=lambda: draw(**sizes))


def test_synthetic_digits_are_reproducible_and_told_apart():
    """A nearest-mean classifier on the pixels recognises most of them."""
    a, b = (drawn(synthetic_digits, train=1500, test=300) for _ in range(2))
    assert a.sha256 == b.sha256 and a.image_shape == (28, 28, 1)
    assert set(np.unique(a.train_labels)) == set(range(10))
    flat = a.test_images.reshape(300, -1) / 255.0
    means = np.array([a.train_images[a.train_labels == k].reshape(-1, 784).mean(0) / 255
                      for k in range(10)])
    guess = ((flat[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (guess == a.test_labels).mean() > 0.6
    assert 0.05 < flat.mean() < 0.25 and flat.max() == 1


@pytest.mark.parametrize("draw", [synthetic_digits, synthetic_scenes])
def test_synthetic_images_keep_their_labels_wherever_they_are_cut(draw):
    _, (images, labels, more_images, more_labels) = draw(train=20, test=10)
    _, (all_images, all_labels, *none) = draw(train=30, test=0)
    np.testing.assert_array_equal([*images, *more_images], all_images)
    assert [*labels, *more_labels] == all_labels.tolist() and not any(map(len, none))


@pytest.mark.parametrize("draw", [synthetic_digits, synthetic_scenes])
def test_synthetic_test_images_are_not_training_images(draw):
    a = drawn(draw, train=1000, test=200)
    assert not set(map(bytes, a.train_images)) & set(map(bytes, a.test_images))


# ---------------------------------------------------------------- what is made of them

def test_variance_is_one_over_all_pixels_and_channels():
    a = drawn(synthetic_scenes, train=300, test=10)
    assert a.variance == pytest.approx((a.train_images / 255).var(), rel=1e-12)
    large = np.empty((3, 2600, 2600, 1), np.uint8)  # in parts
    large[...] = np.reshape([0, 100, 255], (3, 1, 1, 1))
    found = data.Dataset("", "", large, np.array([0, 3, 1]), large, np.array([4, 0, 0]), "")
    assert found.variance == pytest.approx(np.var([0, 100, 255]) / 255 ** 2, rel=1e-12)
    assert found.num_classes == 5  # of the test images, too


def test_flipped_images_are_mirrored_half_of_the_time(rng):
    images = rng.integers(0, 256, (4000, 3, 5, 2)).astype(np.uint8)
    labels = np.zeros(4000, np.uint8)
    dataset = data.Dataset("", "", images, labels, images, labels, "")
    found = dataset.flipped(np.arange(4000), images, rng)
    same = (found == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(found[~same], images[~same][:, :, ::-1])
    assert 1900 < same.sum() < 2100  # of 4,000; the standard deviation is 32


def test_batch_is_float32_between_0_and_1(backend):
    x = to_batch(np.array([[0, 51, 255]], np.uint8))
    assert x.dtype == np.float32
    np.testing.assert_allclose(to_numpy(x), [[0, 0.2, 1]], rtol=1e-6)


def test_binarised_pixels_are_bernoulli_draws(rng):
    grey = np.repeat(np.array([0, 51, 128, 255], np.uint8), 50_000).reshape(4, -1)
    found = data.binarise(grey, rng)
    assert set(np.unique(found)) == {0, 255}
    np.testing.assert_allclose((found / 255).mean(1), [0, 0.2, 128 / 255, 1], atol=0.006)
    assert (found[0] == 0).all() and (found[3] == 255).all()


def test_static_binarisation_is_one_and_the_same(present):
    """Figures compare with those that were published: the seeds stay. No draw is used twice."""
    dataset = data.load("mnist", present.root)
    a, b = data.statically_binarised(dataset), data.statically_binarised(dataset, train=False)
    np.testing.assert_array_equal(a.test_images, b.test_images)
    for found, grey, seed in ((a.train_images, dataset.train_images, 2011),
                              (a.test_images, dataset.test_images, 1901)):
        u = np.random.default_rng(seed).integers(0, 255, grey.shape, np.uint8)
        np.testing.assert_array_equal(found, 255 * (u < grey))
    np.testing.assert_array_equal(b.train_images, dataset.train_images)


def test_a_data_set_is_here_if_all_of_its_files_are(tmp_path, monkeypatch):
    source = data.SOURCES["mnist"]
    for file in source.files:
        assert not data.is_here("mnist", tmp_path)
        (tmp_path / source.folder).mkdir(exist_ok=True)
        (tmp_path / source.folder / file).touch()
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path))
    assert data.is_here("mnist") and not data.is_here("fashion-mnist")
