"""Data sets: idx files, damage, downloads from a local server, synthetic digits, batches."""

import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from limits import peak

from scratchnet import to_numpy
from scratchnet.errors import DataError
from scratchnet.runs import data, formats
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes
from scratchnet.training import to_batch


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
    part = data.load("mnist", present.root).limited(2)
    for found, expected in zip((part.train_images[..., 0], part.train_labels,
                                part.test_images[..., 0], part.test_labels),
                               present.arrays, strict=True):
        np.testing.assert_array_equal(found, expected[:2])


def image_file(tiny):
    return tiny.root / "tiny" / "train-images-idx3-ubyte.gz"


def of_header(*numbers):
    return gzip.compress(struct.pack(f">{len(numbers)}I", *numbers) + bytes(140))


@pytest.mark.parametrize("damage, words", [
    (lambda packed: packed[:60], "truncated or damaged gzip"),
    (lambda packed: packed[:-8] + b"12345678", "truncated or damaged gzip"),
    (lambda packed: gzip.compress(gzip.decompress(packed)[:-1]),
     "the header promises 7 x 5 x 4 bytes, but 139 are there"),
    (lambda packed: gzip.compress(gzip.decompress(packed) + b"!"),
     "the header promises 7 x 5 x 4 bytes, but more are there"),
    (lambda packed: gzip.compress(b"\0\0\x08"), "not even an idx header"),
    (lambda packed: gzip.compress(b"\0\0\x08\x01" + gzip.decompress(packed)[4:]),
     "wrong magic number 2049, expected 2051"),
    (lambda packed: gzip.decompress(packed), "truncated or damaged gzip file .Not a gzipped file"),
    (lambda packed: b"", "truncated|damaged"),
    (lambda packed: of_header(0x803, 0, 28, 28), "0 x 28 x 28 .* no images"),
    (lambda packed: of_header(0x803, 7, 0, 28), "7 x 0 x 28 .* no images"),
    (lambda packed: of_header(0x803, 2 ** 31, 2 ** 31, 16), "promises 2147483648 x 2147483648"),
    (lambda packed: of_header(0x803, 7, 4, 5), "of 4 x 5, but the test images of 5 x 4"),
    (lambda packed: gzip.compress(idx_bytes(np.zeros((6, 5, 4)))), "6 training images, 7 labels"),
], ids=["gzip cut", "gzip sum", "idx cut", "idx long", "no header", "magic", "not gzip", "empty",
        "no images", "no rows", "overflow", "other size", "other number"])
def test_damage_is_named_with_the_file_and_a_remedy(damage, words, present):
    """Even where the checksum is right."""
    path = image_file(present)
    present.sums[path.name] = write(path, damage(path.read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        data.load("mnist", present.root)
    assert str(path.parent) in str(caught.value) and "delete the file" in str(caught.value)
    assert not isinstance(caught.value, data.MissingDataError)


def test_a_wrong_checksum_is_found_before_anything_is_unpacked(present, monkeypatch):
    path = image_file(present)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\0"))
    monkeypatch.setattr(formats.gzip, "GzipFile", None)
    monkeypatch.setattr(formats.gzip, "decompress", None)
    with pytest.raises(DataError, match=f"{path}: checksum mismatch.*delete the file"):
        data.load("mnist", present.root)


@pytest.mark.parametrize("header, words", [
    (struct.pack(">4I", 0x803, 7, 5, 4), "but more are there"),
    (struct.pack(">4I", 0x803, 2 ** 14, 2 ** 10, 4), "more than any")])
def test_no_more_of_a_bomb_is_unpacked_than_its_header_promises(header, words, present, small):
    path = image_file(present)
    present.sums[path.name] = write(path, gzip.compress(header + bytes(1 << 26), 1))
    most, message = peak(lambda: data.load("mnist", present.root), DataError)
    assert most < 1 << 21 and words in message


def test_a_file_larger_than_any_is_not_read(present, small):
    with open(image_file(present), "r+b") as file:
        file.truncate(1 << 33)
    most, message = peak(lambda: data.load("mnist", present.root), DataError)
    assert most < 1 << 20 and "has 8,589,934,592 bytes, more than any" in message


@pytest.mark.parametrize("folder", ["~nosuchuser", "x" * 300, "y/" * 3000])
def test_a_data_folder_that_cannot_be_is_explained(folder):
    with pytest.raises((DataError, OSError), match="--data-dir|File name too long"):
        data.load("mnist", folder, progress=False)


def test_no_home_is_explained_and_synthetic_needs_none(monkeypatch):
    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.setattr(data.Path, "expanduser", expanduser)
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    with pytest.raises(DataError, match="~/.cache/scratchnet: .*--data-dir"):
        data.load("mnist")
    assert len(drawn(synthetic_digits, train=20, test=10).test_images) == 10


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
            self.send_header("Content-Length", action if action[0] == "-" else str(len(content)))
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


@pytest.mark.parametrize("length", ["-5", "-" + "1" * 5000])
def test_a_length_that_is_no_number_is_ignored(length, tiny, server):
    server.plan += [length]
    assert len(data.load("mnist", tiny.root, progress=False).train_images) == 7


def test_an_endless_download_is_ended(tiny, server, monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", 100)
    with pytest.raises(data.MissingDataError, match="more than any file of a data set"):
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
    with pytest.raises(FileExistsError, match="tiny"):  # in one line: cli.explained
        data.load("mnist", tiny.root, progress=False)


# ---------------------------------------------------------------- synthetic

def drawn(draw, **sizes):
    return data.load("synthetic", synthetic=lambda: draw(**sizes))


def test_synthetic_digits_are_reproducible_and_told_apart():
    """A nearest-mean classifier on the pixels recognises most of them."""
    a = drawn(synthetic_digits, train=3000, test=500)
    b = drawn(synthetic_digits, train=3000, test=500)
    assert a.sha256 == b.sha256 and a.image_shape == (28, 28, 1)
    assert set(np.unique(a.train_labels)) == set(range(10))
    flat, means = a.test_images.reshape(500, -1) / 255.0, []
    for k in range(10):
        means.append(a.train_images[a.train_labels == k].reshape(-1, 784).mean(0) / 255)
    guess = ((flat[:, None] - np.array(means)) ** 2).sum(-1).argmin(1)
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
    a = drawn(draw, train=2000, test=500)
    train = {image.tobytes() for image in a.train_images}
    assert not any(image.tobytes() in train for image in a.test_images)


def test_synthetic_scenes_are_colourful_and_their_shapes_differ():
    a = drawn(synthetic_scenes, train=600, test=100)
    assert a.image_shape == (32, 32, 3) and set(np.unique(a.train_labels)) == set(range(10))
    assert a.train_images.std(axis=(0, 1, 2)).min() > 40  # in every channel
    bars, disks = (a.train_images[a.train_labels == k].astype(float) for k in (8, 0))
    assert np.abs(bars.mean(0) - disks.mean(0)).max() > 10


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


# ---------------------------------------------------------------- batches

def test_batch_is_float32_between_0_and_1(backend):
    x = to_batch(np.array([[0, 51, 255]], np.uint8))
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
    # Figures compare with those that were published: the seeds stay. No draw is used twice.
    for found, grey, seed in ((a.train_images, dataset.train_images, 2011),
                              (a.test_images, dataset.test_images, 1901)):
        u = np.random.default_rng(seed).integers(0, 255, grey.shape, np.uint8)
        np.testing.assert_array_equal(found, 255 * (u < grey))
    assert set(np.unique(a.train_images)) == {0, 255}
    np.testing.assert_array_equal(b.train_images, dataset.train_images)
