"""Data sets: idx files, damage, downloads from a local server, synthetic digits, batches."""

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

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


def peak(call):
    """What a call that is refused takes, in bytes at once."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            call()
        return tracemalloc.get_traced_memory()[1], str(caught.value)
    finally:
        tracemalloc.stop()


@pytest.fixture
def small(monkeypatch):
    """Files are small here: 1 MB at most."""
    monkeypatch.setattr(formats, "LARGEST", 1 << 20)


@pytest.mark.parametrize("header, words", [
    (struct.pack(">4I", 0x803, 7, 5, 4), "but more are there"),
    (struct.pack(">4I", 0x803, 2 ** 14, 2 ** 10, 4), "more than any")])
def test_no_more_of_a_bomb_is_unpacked_than_its_header_promises(header, words, present, small):
    path = image_file(present)
    present.sums[path.name] = write(path, gzip.compress(header + bytes(1 << 26), 1))
    most, message = peak(lambda: data.load("mnist", present.root))
    assert most < 1 << 21 and words in message


def test_a_file_larger_than_any_is_not_read(present, small):
    with open(image_file(present), "r+b") as file:
        file.truncate(1 << 33)
    most, message = peak(lambda: data.load("mnist", present.root))
    assert most < 1 << 20 and "has 8,589,934,592 bytes, more than any" in message


@pytest.mark.parametrize("folder", ["~nosuchuser", "x" * 300, "y/" * 3000])
def test_a_data_folder_that_cannot_be_is_explained(folder):
    with pytest.raises(DataError, match="--data-dir"):
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
    with pytest.raises(DataError, match="cannot write .* choose another folder"):
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


def test_flipped_images_are_mirrored_half_of_the_time(rng):
    images = rng.integers(0, 256, (400, 3, 5, 2)).astype(np.uint8)
    found = data.flipped(images, rng)
    same = (found == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(found[~same], images[~same][:, :, ::-1])
    assert 140 < same.sum() < 260


# ---------------------------------------------------------------- CIFAR-10

@pytest.fixture
def cifar(monkeypatch, tmp_path):
    """Six small .bin files; cifar.root is the data folder, with nothing in it."""
    rng, cifar = np.random.default_rng(4), type("Cifar", (), {})()
    cifar.images = rng.integers(0, 256, (6, 4, 32, 32, 3)).astype(np.uint8)
    cifar.labels = rng.integers(0, 10, (6, 4)).astype(np.uint8)
    cifar.files = {}
    for name, images, labels in zip(data.CIFAR_FILES, cifar.images, cifar.labels, strict=True):
        planes = images.transpose(0, 3, 1, 2).reshape(4, -1)
        cifar.files[name] = np.concatenate([labels[:, None], planes], axis=1).tobytes()
    monkeypatch.setattr(data, "CIFAR_FILES", {n: hashlib.sha256(c).hexdigest()
                                              for n, c in cifar.files.items()})
    monkeypatch.setattr(data, "CIFAR_ARCHIVES", ("http://127.0.0.1:9/cifar-10-binary.tar.gz",))
    cifar.root, cifar.archive = tmp_path, tmp_path / "cifar-10-binary.tar.gz"
    return cifar


def archive_of(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def unpacked(cifar):
    folder = cifar.root / data.CIFAR_FOLDER
    return sorted(p.name for p in folder.glob("*")) if folder.exists() else []


def test_cifar_planes_become_channels(cifar):
    archive_of(cifar.archive, {f"{data.CIFAR_FOLDER}/{n}": c for n, c in cifar.files.items()})
    dataset = data.load("cifar10", cifar.root)
    np.testing.assert_array_equal(dataset.train_images, cifar.images[:5].reshape(20, 32, 32, 3))
    np.testing.assert_array_equal(dataset.test_images, cifar.images[5])
    np.testing.assert_array_equal(dataset.test_labels, cifar.labels[5])
    assert unpacked(cifar) == sorted(cifar.files)


@pytest.mark.parametrize("name", ["../evil.bin", "/tmp/evil.bin", "a/../../evil.bin"])
def test_an_archive_with_unsafe_paths_is_refused_whole(name, cifar):
    archive_of(cifar.archive, {**cifar.files, name: b"evil"})
    with pytest.raises(DataError, match=f"unsafe path or link '{name}'.*nothing was unpacked"):
        data.load("cifar10", cifar.root)
    assert unpacked(cifar) == [] and not (cifar.root.parent / "evil.bin").exists()


def test_an_archive_with_a_link_is_refused(cifar):
    with tarfile.open(cifar.archive, "w:gz") as tar:
        link = tarfile.TarInfo("test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="unsafe path or link"):
        data.load("cifar10", cifar.root)


def test_a_damaged_archive_is_explained(cifar):
    archive_of(cifar.archive, cifar.files)
    cifar.archive.write_bytes(cifar.archive.read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged archive"):
        data.load("cifar10", cifar.root)
    archive_of(cifar.archive, {"data_batch_1.bin": cifar.files["data_batch_1.bin"]})
    with pytest.raises(DataError, match="has no data_batch_2.bin"):
        data.load("cifar10", cifar.root)
    archive_of(cifar.archive, {n: c[:-1] + b"!" for n, c in cifar.files.items()})
    with pytest.raises(DataError, match="data_batch_1.bin: checksum mismatch"):
        data.load("cifar10", cifar.root)


def header_of(**numbers):
    """An archive of one file of 3 bytes, with these PAX records."""
    def archive(path):
        with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
            member = tarfile.TarInfo("data_batch_1.bin")
            member.size, member.pax_headers = 3, numbers
            tar.addfile(member, io.BytesIO(b"abc"))
    return archive


def long_name(path):
    """A name of 64 MB."""
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as tar:
        member = tarfile.TarInfo("././@LongLink")
        member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 26
        tar.addfile(member, io.BytesIO(bytes(1 << 26)))


def sparse(path):
    """A file of 1 TB, all of it a hole."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("data_batch_1.bin")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                              "GNU.sparse.name": "data_batch_1.bin",
                              "GNU.sparse.realsize": str(1 << 40)}
        content = b"1\n1099511627775\n1\n".ljust(512, b"\0") + b"!"
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def zeros(path):
    archive_of(path, {"data_batch_1.bin": bytes(1 << 26)})


@pytest.mark.parametrize("archive", [
    header_of(size="abc"), header_of(size="-1"), header_of(size="9" * 30), header_of(mtime="x"),
    header_of(**{"GNU.sparse.map": "1,x"}), header_of(**{"GNU.sparse.size": "1"}), long_name,
    sparse, zeros, lambda path: path.write_bytes(gzip.compress(b"\xff" * 5000)),
    lambda path: path.write_bytes(b"")],
    ids=["size", "negative", "huge", "mtime", "map", "sparse size", "long name", "sparse", "zeros",
         "no tar", "empty"])
def test_an_archive_that_lies_is_refused_and_takes_no_memory(archive, cifar, small):
    archive(cifar.archive)
    most, message = peak(lambda: data.load("cifar10", cifar.root))
    assert most < 1 << 23 and str(cifar.archive) in message and unpacked(cifar) == []


@pytest.mark.parametrize("damage, words", [
    (lambda c: c[:-5], "truncated: 12,287 bytes are no whole number of records of 3,073 bytes"),
    (lambda c: b"", "truncated"), (lambda c: b"\x0b" + c[1:], "a label is 11, expected 0 to 9")],
    ids=["cut", "empty", "label"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_damaged_bin_file_is_explained(checked, damage, words, cifar):
    for name, content in cifar.files.items():
        write(cifar.root / data.CIFAR_FOLDER / name, content)
    path = cifar.root / data.CIFAR_FOLDER / "test_batch.bin"
    digest = write(path, damage(path.read_bytes()))
    if not checked:
        data.CIFAR_FILES[path.name] = digest
    with pytest.raises(DataError, match="checksum mismatch" if checked else words) as caught:
        data.load("cifar10", cifar.root)
    assert str(path) in str(caught.value)


def test_cifar_out_of_reach_says_what_was_tried(cifar):
    with pytest.raises(data.MissingDataError, match="127.0.0.1:9/cifar-10-binary.tar.gz"):
        data.load("cifar10", cifar.root, progress=False)


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
    assert set(np.unique(a.train_images)) == {0, 255}
    np.testing.assert_array_equal(b.train_images, dataset.train_images)
