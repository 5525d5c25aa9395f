"""What is seen while a run trains: how long it will take, pictures, a GIF of them; and codes that
are kept."""

import io
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageSequence
from scripts import (
    RUNS,
    VAE,
    after_step,
    assert_same_run,
    call,
    each_step,
    interrupt,
    names,
    state,
    train,
)

import evaluate
import generate
from scratchnet.runs import frames, pictures, sketches
from scratchnet.runs import log as runs_log
from scratchnet.runs import run as runs
from scratchnet.runs import train as runs_train

pytestmark = pytest.mark.usefixtures("here")


# ---------------------------------------------------------------- pictures

@pytest.fixture
def drawn(monkeypatch):
    """Pictures after every second step and every epoch; the names of those made."""
    made, make = [], pictures.make
    monkeypatch.setattr(pictures, "possible", lambda model: ["samples", "reconstructions"])
    monkeypatch.setattr(sketches, "SHARE", 1e9)
    monkeypatch.setattr(runs_train, "LOOK_EVERY", 2)
    monkeypatch.setattr(runs_train, "DRAW_EVERY", 0)
    monkeypatch.setattr(pictures, "make", lambda name, ask: made.append(name) or make(name, ask))
    return made


def steps_of(path):
    with Image.open(path) as image:
        steps = list(map(int, image.info["comment"].split()))
        assert image.n_frames == len(steps)
        return steps


@pytest.mark.parametrize("size", [1, 2])
def test_pictures_change_nothing_and_a_run_that_goes_on_adds_to_them(size, monkeypatch, request):
    """Losses, weights, averages and figures to the bit; also where two processes train, of which
    the first alone draws."""
    monkeypatch.setattr(runs_train, "processes", lambda batch_size: size)
    argv = [*VAE, "--average", 0.9, "--epochs", 2]
    assert train(*argv, "--out", "plain") == 0
    made = request.getfixturevalue("drawn")
    assert train(*argv, "--out", "whole") == 0
    assert steps_of("whole/training.gif") == [2, 4, 6, 8]
    assert len(made) == 2 * 4
    with monkeypatch.context() as patch:
        after_step(patch, 5, interrupt)
        assert train(*argv, "--out", "parts") == 130
    assert steps_of("parts/training.gif") == [2, 4]
    assert {"samples.png", "reconstructions.png"} < names("parts")
    assert train("--resume", "parts", "--quiet") == 0
    assert train("--resume", "parts", "--quiet") == 0  # draws the last again
    assert_same_run("whole", "parts")
    assert Path("whole/training.gif").read_bytes() == Path("parts/training.gif").read_bytes()
    for name, array in state("plain").items():
        np.testing.assert_array_equal(array, state("whole")[name])


def test_every_frame_is_of_the_same_noise_and_the_last_of_the_end(drawn, monkeypatch):
    arrays = []
    real = frames.tiles
    monkeypatch.setattr(frames, "tiles", lambda name, a: arrays.append(a) or real(name, a))
    nothing = dict.fromkeys(("loss", "neg_elbo", "reconstruction", "kl"), np.full((), 999.0))
    each_step(monkeypatch, lambda *a: nothing)
    assert train(*VAE, "--out", "a") == 0
    assert len(arrays) == 4
    np.testing.assert_array_equal(arrays[0], arrays[2])
    np.testing.assert_array_equal(arrays[1], arrays[3])


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def sketched(clock, monkeypatch, each, figures=0.0, rows=None):
    """Sketches of a model that takes `each` seconds for a frame, or for each of its rows; and the
    times at which it drew frames and figures."""
    drew, figured = [], []
    model = SimpleNamespace(training=True, eval=lambda: None, train=lambda mode: None,
                            image_shape=(rows, 8, 1))
    def make(name, ask):
        assert ask.classes == ("cat",) and ask.origin.endswith(", step 0, seed 0")
        for _ in range(rows or 1):
            clock.now += each
            if rows:
                ask.after_row()
        return np.zeros((4, 8, 8, 1)), lambda: None
    def write(path, figure):
        clock.now += figures
        figured.append(clock.now)
    monkeypatch.setattr(pictures, "possible", lambda model: ["samples"])
    monkeypatch.setattr(pictures, "in_order", lambda model: bool(rows))
    monkeypatch.setattr(pictures, "make", make)
    monkeypatch.setattr(pictures, "write_figure", write)
    monkeypatch.setattr(sketches, "add_frame", lambda log, arrays, step: drew.append(clock.now))
    dataset = SimpleNamespace(image_shape=(8, 8, 1), classes=("cat",))
    return sketches.Sketches(model, dataset, "title", 0), drew, figured


def test_pictures_take_two_hundredths_of_the_time(clock, monkeypatch, tmp_path):
    found, drew, figured = sketched(clock, monkeypatch, each=0.3, figures=0.6)
    log = runs_log.Log(None, tmp_path, None, None)
    begun = clock.now
    while clock.now < begun + 1000:
        clock.now += 1
        found.draw(log, lambda: None)
    assert 20 < len(drew) <= 1000 / 30 + 1 and 10 < len(figured) <= 1000 / 60 + 1
    few, drew[:] = len(drew), []
    for _ in range(100):
        clock.now += 10
        found.draw(log, lambda: None, least=300)
    assert 2 <= len(drew) <= 4 < few


def test_one_that_would_take_too_long_is_left_after_its_first_row(clock, monkeypatch, tmp_path):
    found, drew, _ = sketched(clock, monkeypatch, each=2.0, rows=28)
    log = runs_log.Log(None, tmp_path, None, None)
    clock.now, spent = 150, 0
    for _ in range(600):
        clock.now += 10
        before = clock.now
        found.draw(log, lambda: None)
        spent += clock.now - before
        assert spent < 3 or drew
    assert len(drew) == 1 and drew[0] > 5600 and spent == 2 + 56
    found.last["frame"], before = 0, clock.now
    found.draw(log, lambda: 15)  # Ctrl-C does not wait for it
    assert clock.now == before + 2 and len(drew) == 1


def noise(n, channels=1, seed=0):
    return {"samples": np.random.default_rng(seed).random((n, 28, 28, channels))}


def test_a_gif_stays_small_and_keeps_its_last_frame(tmp_path, monkeypatch):
    assert frames.LARGEST <= 10 ** 6
    monkeypatch.setattr(frames, "LARGEST", 10 ** 5)
    log = runs_log.Log(None, tmp_path, None, None)
    for log.step in range(10, 170, 10):
        assert frames.add_frame(log, noise(20, seed=log.step), log.step) == ["training.gif"]
        assert (tmp_path / "training.gif").stat().st_size < 10 ** 5
    steps = steps_of(tmp_path / "training.gif")
    assert steps[-1] == 160 and 4 < len(steps) < 16 and steps == sorted(set(steps))
    frames.add_frame(log, noise(20), 100)  # went on from there
    assert steps_of(tmp_path / "training.gif") == [s for s in steps if s < 100] + [100]
    (tmp_path / "training.gif").write_bytes(b"GIF89a, but another program's")
    frames.add_frame(log, noise(3), 100)
    assert steps_of(tmp_path / "training.gif") == [100]


@pytest.mark.parametrize("arrays", [noise(3), noise(80, 3), {
    "samples": np.zeros((64, 90, 50, 3)), "reconstructions": np.ones((30, 2, 90, 50, 3))}, {
    "reconstructions": np.ones((1, 2, 4, 4, 1))}])
def test_frames_of_all_shapes(arrays, tmp_path):
    log = runs_log.Log(None, tmp_path, None, None)
    for log.step in 1, 2:
        frames.add_frame(log, arrays, log.step)
    with Image.open(tmp_path / "training.gif") as image:
        assert len(list(ImageSequence.Iterator(image))) == 2 and image.width <= 320
    assert not frames.add_frame(log, {"usage": np.zeros(3)}, 2)


# ---------------------------------------------------------------- how long it takes

def test_the_time_of_the_whole_run_is_said_once(clock, capsys):
    table = runs_log.Table(("loss",), "test", 3, False, steps=1000)
    bar = table.progress_bar(0, 0, 400)
    for step in range(1, 401):
        clock.now += 10
        table.left(step)
        bar.update()
        if step % 50 == 0:
            table.show(bar, step, {"loss": 2.0})
    out, err = capsys.readouterr()
    assert re.fullmatch(r"The whole run will take about 2 h 30 min more, until \d\d:\d\d\n", out)
    lines = err.splitlines()
    assert len(lines) == 66 and max(map(len, lines)) < 80  # one a minute
    assert lines[:1] + lines[9:10] + lines[-1:] == [
        "epoch 1/3: 6 of 400 steps", "epoch 1/3: 60 of 400 steps, loss 2",
        "epoch 1/3: 396 of 400 steps, 1 h 48 min left, loss 2"]


def test_the_estimate_is_of_the_whole_run(monkeypatch):
    """By the pace of this session, not of the steps before it."""
    steps, found, real = [], [], runs_log.Table.left
    def left(table, step):
        steps.append(step)
        found.append((real(table, step), table.steps))
        return found[-1][0]
    monkeypatch.setattr(runs_log, "TIMED", 3)
    monkeypatch.setattr(runs_log.Table, "left", left)
    assert train(*VAE, "--out", "a") == 0
    assert train("--resume", "a", "--epochs", 3, "--quiet") == 0
    assert steps == list(range(1, 13)) and {n for _, n in found[4:]} == {12}
    assert [seconds is None for seconds, _ in found[4:]] == 2 * [True] + 6 * [False]
    assert found[-1][0] == 0


def test_quiet_says_nothing_and_durations_are_words(clock, capsys):
    done = runs_log.counting(True, 3, "drawing", "row")
    table = runs_log.Table(("loss",), "test", 1, True, steps=1000)
    bar = table.progress_bar(0, 0, 400)
    for step in range(1, 400):
        clock.now += 100
        table.show(bar, step, {"loss": 2.0})
        done()
    assert capsys.readouterr() == ("", "")
    assert list(map(runs_log.duration, (0, 59.4, 59.6, 3569, 3571, 7502))) == [
        "0 s", "59 s", "1 min", "59 min", "1 h 00 min", "2 h 05 min"]


def test_a_terminal_has_bars_that_go_and_fit_its_width(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    done = runs_log.counting(False, 5, "-log p(x) of each image", "part")
    for _ in range(3):  # two at a time, and one of them too much
        done(2)
    assert "0/5" in terminal.getvalue() and "/?" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize("line, said", [
    ("evaluate gated", {"evaluating", "-log p(x) of each image"}),
    ("evaluate vae --importance-samples 2", {"evaluating", "importance sampling"}),
    ("evaluate prior", {"evaluating", "-log p(x) of each image"}),
    ("generate vae --what latent", {"encoding"}), ("generate vqvae --what usage", {"encoding"}),
    ("generate gated --num 1", {"drawing"})])
def test_what_takes_long_says_how_far_it_is(line, said, runs_here, monkeypatch, capsys):
    monkeypatch.setattr(runs_log, "LINE_EVERY", 0)
    script, *argv = line.split()
    assert call({"evaluate": evaluate, "generate": generate}[script], *argv) == 0
    assert {words.partition(":")[0] for words in capsys.readouterr().err.splitlines()} == said


# ---------------------------------------------------------------- codes that are kept

@pytest.fixture
def encodings(runs_here, monkeypatch):
    """How many images were encoded each time; none of the test images of reconstructions."""
    found, real = [], runs.codes_of
    monkeypatch.setattr(runs, "codes_of", lambda model, images, *a: found.append(len(images)) or
                        real(model, images, *a))
    return found


def test_a_run_goes_on_with_the_codes_it_kept(encodings, capsys):
    assert train(*RUNS["prior"], "--flip", "--epochs", 1, "--out", "p") == 0
    assert encodings == [60, 200, 200]
    assert train("--resume", "p", "--epochs", 2) == 0 and len(encodings) == 3
    assert capsys.readouterr().out.startswith("The codes are those in p/codes.npz\n")
    assert call(generate, "p", "--what", "completion", "--num", 2, "--quiet") == 0
    assert call(evaluate, "p", "--quiet") == 0 and len(encodings) == 3
    assert train(*RUNS["prior"], "--flip", "--epochs", 2, "--out", "whole") == 0
    for name, array in state("whole").items():
        np.testing.assert_array_equal(array, state("p")[name])


def test_codes_that_are_damaged_or_of_another_vqvae_are_made_anew(encodings):
    path = Path("prior/codes.npz")
    good = path.read_bytes()
    with np.load(path) as file:
        parts = dict(file)
    def saved(**wrong):
        with io.BytesIO() as file:
            np.savez(file, **parts | wrong)
            return file.getvalue()
    for content in (b"", good[:len(good) // 2], good.replace(b"PK", b"pk"), saved(checksum="0"),
                    saved(test=parts["test"][:-1])):
        path.write_bytes(content)
        encodings.clear()
        assert train("--resume", "prior", "--quiet") == 0
        assert 60 in encodings
        with np.load(path) as file:
            for name, array in parts.items():
                np.testing.assert_array_equal(file[name], array)


def test_a_run_that_was_ended_with_its_codes_alone_begins_anew(encodings, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runs_train, "Log", lambda *a: 1 / 0)  # before the first step
        with pytest.raises(ZeroDivisionError):
            train(*RUNS["prior"], "--epochs", 1, "--out", "p")
    assert names("p") == {"config.json", "codes.npz"}
    encodings.clear()
    assert train("--resume", "p", "--quiet") == 0 and not encodings
    assert_same_run("p", "prior")


def test_codes_that_cannot_be_written_do_not_end_a_run(encodings, monkeypatch, capsys):
    def full(*given, **named):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez_compressed", full)
    assert train(*RUNS["prior"], "--epochs", 1, "--out", "p") == 0
    assert "NOTE: p/codes.npz could not be written (No space" in capsys.readouterr().err
    assert "codes.npz" not in names("p")
