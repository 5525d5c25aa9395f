"""Data sets: idx files, damage, downloads from a local server, synthetic digits, batches."""

import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from scratchnet import data, to_numpy
from scratchnet.errors import DataError


def idx_bytes(array):
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A data set of four small files, with `tiny.root` its folder and `tiny.files` their bytes."""
    rng = np.random.default_rng(3)
    arrays = [rng.integers(0, 256, (7, 5, 4)), rng.integers(0, 10, 7),
              rng.integers(0, 256, (3, 5, 4)), rng.integers(0, 10, 3)]
    tiny = type("Tiny", (), {})()
    tiny.root, tiny.arrays = tmp_path, arrays
    tiny.files = {name: gzip.compress(idx_bytes(a), mtime=0)
                  for name, a in zip(data.IDX_FILES, arrays, strict=True)}
    tiny.sums = {n: hashlib.sha256(c).hexdigest() for n, c in tiny.files.items()}
    monkeypatch.setitem(data.SOURCES, "mnist", ("Tiny", "tiny", ("http://127.0.0.1:9/",),
                                                tiny.sums))
    return tiny


@pytest.fixture
def present(tiny):
    for name, content in tiny.files.items():
        write(tiny.root / "tiny" / name, content)
    return tiny


def test_files_are_read_as_written(present):
    dataset = data.load("mnist", present.root)
    for found, expected in zip((dataset.train_images[..., 0], dataset.train_labels,
                                dataset.test_images[..., 0], dataset.test_labels),
                               present.arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert dataset.image_shape == (5, 4, 1)


def test_folder_from_the_environment(present, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", str(present.root))
    assert len(data.load("mnist").train_images) == 7


def test_limited_keeps_images_and_labels_together(present):
    part = data.load("mnist", present.root).limited(5)
    assert (len(part.train_images), len(part.train_labels), len(part.test_images)) == (5, 5, 3)


def image_file(tiny):
    return tiny.root / "tiny" / "train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("damage, words", [
    (lambda packed: packed[:60], "truncated or damaged gzip"),
    (lambda packed: gzip.compress(gzip.decompress(packed)[:-1]),
     "truncated: the header promises 7 x 5 x 4 bytes, but 139 are there"),
    (lambda packed: gzip.compress(b"\0\0\x08"), "not even an idx header"),
    (lambda packed: gzip.compress(b"\0\0\x08\x01" + gzip.decompress(packed)[4:]),
     "wrong magic number 2049, expected 2051"),
    (lambda packed: gzip.decompress(packed), "cannot be read: Not a gzipped file"),
    (lambda packed: gzip.compress(gzip.decompress(packed)[:-1] + b"\0"), "checksum mismatch"),
    (lambda packed: b"", "truncated|damaged"),
], ids=["gzip cut", "idx cut", "no header", "magic", "not gzip", "checksum", "empty"])
def test_damage_is_named_with_the_file_and_a_remedy(damage, words, present):
    path = image_file(present)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        data.load("mnist", present.root)
    assert str(path) in str(caught.value) and "delete the file" in str(caught.value)
    assert not isinstance(caught.value, data.MissingDataError)


def test_unknown_data_set_is_explained():
    with pytest.raises(DataError, match="choose one of mnist, fashion-mnist"):
        data.load("mnits")


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
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:len(content) // 2] if action == "cut" else content)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    httpd.plan, httpd.seen = plan, seen
    httpd.address = f"http://127.0.0.1:{httpd.server_port}/"
    monkeypatch.setitem(data.SOURCES, "mnist", ("Tiny", "tiny", (httpd.address,), tiny.sums))
    monkeypatch.setattr(data.time, "sleep", lambda seconds: None)
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def folder_of(tiny):
    return sorted(p.name for p in (tiny.root / "tiny").glob("*"))


def test_download_puts_verified_files_in_place(tiny, server):
    dataset = data.load("mnist", tiny.root, progress=False)
    np.testing.assert_array_equal(dataset.test_images[..., 0], tiny.arrays[2])
    assert folder_of(tiny) == sorted(tiny.files)
    data.load("mnist", tiny.root)
    assert len(server.seen) == 4  # the second load fetched nothing


def test_download_404_names_the_address_and_leaves_nothing(tiny, server):
    server.plan += ["404"]
    with pytest.raises(data.MissingDataError, match=f"{server.address}train-images.*HTTP 404"):
        data.load("mnist", tiny.root, progress=False)
    assert folder_of(tiny) == [] and len(server.seen) == 1


def test_download_of_wrong_bytes_leaves_nothing(tiny, server):
    server.plan += ["wrong bytes"]
    with pytest.raises(data.MissingDataError, match="wrong bytes: SHA-256 is"):
        data.load("mnist", tiny.root, progress=False)
    assert folder_of(tiny) == []


def test_download_cut_half_way_is_tried_again(tiny, server):
    server.plan += ["cut", "cut"]
    assert len(data.load("mnist", tiny.root, progress=False).train_images) == 7
    assert len(server.seen) == 4 + 2 and folder_of(tiny) == sorted(tiny.files)


def test_download_cut_every_time_gives_up(tiny, server):
    server.plan += ["cut"] * data.TRIES
    with pytest.raises(data.MissingDataError, match="cut after .* of .* bytes|Incomplete"):
        data.load("mnist", tiny.root, progress=False)
    assert folder_of(tiny) == []


def test_second_mirror_is_used_when_the_first_fails(tiny, server, monkeypatch):
    monkeypatch.setitem(data.SOURCES, "mnist", (
        "Tiny", "tiny", ("http://127.0.0.1:9/", server.address), tiny.sums))
    assert len(data.load("mnist", tiny.root, progress=False).train_images) == 7


def test_unreachable_server_says_what_was_tried(tiny):
    with pytest.raises(data.MissingDataError, match=r"http://127.0.0.1:9/train-images(.|\n)*"
                                                    r"--data-dir"):
        data.load("mnist", tiny.root, progress=False)


def test_unwritable_folder_is_explained(tiny, server):
    (tiny.root / "tiny").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot write .* choose another folder"):
        data.load("mnist", tiny.root, progress=False)


# ---------------------------------------------------------------- synthetic, batches

def test_synthetic_digits_are_reproducible_and_told_apart():
    """A nearest-mean classifier on the pixels recognises most of them."""
    a = data.synthetic_digits(train=3000, test=500)
    b = data.synthetic_digits(train=3000, test=500)
    assert a.sha256 == b.sha256 and a.image_shape == (28, 28, 1)
    assert set(np.unique(a.train_labels)) == set(range(10))
    flat, means = a.test_images.reshape(500, -1) / 255.0, []
    for k in range(10):
        means.append(a.train_images[a.train_labels == k].reshape(-1, 784).mean(0) / 255)
    guess = ((flat[:, None] - np.array(means)) ** 2).sum(-1).argmin(1)
    assert (guess == a.test_labels).mean() > 0.6
    assert 0.05 < flat.mean() < 0.25 and flat.max() == 1


def test_synthetic_test_images_are_not_training_images():
    a = data.synthetic_digits(train=2000, test=500)
    train = {image.tobytes() for image in a.train_images}
    assert not any(image.tobytes() in train for image in a.test_images)


def test_batch_is_float32_between_0_and_1(backend):
    x = data.to_batch(np.array([[0, 51, 255]], np.uint8))
    assert x.dtype == np.float32
    np.testing.assert_allclose(to_numpy(x), [[0, 0.2, 1]], rtol=1e-6)


def test_binarised_pixels_are_bernoulli_draws(rng):
    grey = np.repeat(np.array([0, 51, 128, 255], np.uint8), 50_000).reshape(4, -1)
    drawn = data.binarise(grey, rng)
    assert set(np.unique(drawn)) == {0, 255}
    np.testing.assert_allclose((drawn / 255).mean(1), [0, 0.2, 128 / 255, 1], atol=0.006)
    assert (drawn[0] == 0).all() and (drawn[3] == 255).all()


def test_static_binarisation_is_one_and_the_same(present):
    dataset = data.load("mnist", present.root)
    a, b = data.statically_binarised(dataset), data.statically_binarised(dataset, train=False)
    np.testing.assert_array_equal(a.test_images, b.test_images)
    assert set(np.unique(a.train_images)) == {0, 255}
    np.testing.assert_array_equal(b.train_images, dataset.train_images)
