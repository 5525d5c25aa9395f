"""CIFAR-10: its archive, honest and not, and its .bin files."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from limits import peak

from scratchnet.errors import DataError
from scratchnet.runs import data


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
    np.testing.assert_array_equal(dataset.train_labels, cifar.labels[:5].reshape(20))
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
    most, message = peak(lambda: data.load("cifar10", cifar.root), DataError)
    assert most < 1 << 23 and str(cifar.archive) in message and unpacked(cifar) == []


@pytest.mark.parametrize("damage, words", [
    (lambda c: c[:-5], "truncated: 12,287 bytes are no whole number of records of 3,073 bytes"),
    (lambda c: b"", "truncated"), (lambda c: b"\x0b" + c[1:], "a label is 11, expected 0 to 9")],
    ids=["cut", "empty", "label"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_damaged_bin_file_is_explained(checked, damage, words, cifar):
    (cifar.root / data.CIFAR_FOLDER).mkdir()
    for name, content in cifar.files.items():
        (cifar.root / data.CIFAR_FOLDER / name).write_bytes(content)
    path = cifar.root / data.CIFAR_FOLDER / "test_batch.bin"
    content = damage(path.read_bytes())
    path.write_bytes(content)
    if not checked:
        data.CIFAR_FILES[path.name] = hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError, match="checksum mismatch" if checked else words) as caught:
        data.load("cifar10", cifar.root)
    assert str(path) in str(caught.value)


def test_cifar_out_of_reach_says_what_was_tried(cifar):
    with pytest.raises(data.MissingDataError, match="127.0.0.1:9/cifar-10-binary.tar.gz"):
        data.load("cifar10", cifar.root, progress=False)
