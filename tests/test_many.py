"""Many runs: beside each other, the best kept, one from another's weights, several in a picture."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scripts import (
    RUNS,
    after_step,
    asked,
    assert_same_run,
    call,
    change_weights,
    changed,
    config_of,
    drawn,
    interrupt,
    names,
    refused,
    rows,
    state,
    train,
)

import generate
import runs
from models import RECIPES
from scratchnet.errors import RunError
from scratchnet.runs import figures, many, pictures, plane
from scratchnet.runs import train as runs_train
from scratchnet.runs.folder import OURS, check_free
from scratchnet.runs.run import open_run

CONSTANT = [*RUNS["grey"], "--schedule", "constant", "--average", 0.5, "--validation", 20]


def judged(patch, *losses):
    """The validation -ELBO of each epoch is the next of these."""
    left, real = list(losses), runs_train.evaluate
    patch.setattr(runs_train, "evaluate", lambda *given: real(*given) | {"neg_elbo": left.pop(0)})


# ---------------------------------------------------------------- the best, kept

def test_the_best_is_kept_and_opened_and_a_run_stops_when_none_comes(here, monkeypatch, capsys):
    origins, sign = [], figures.signed
    with monkeypatch.context() as patch:
        judged(patch, 5.0, 3.0, 3.0, 4.0)
        patch.setattr(figures, "signed", lambda figure, origin: origins.append(origin) or sign(
            figure, origin))
        argv = [word for word in CONSTANT if word != "--quiet"]
        assert train(*argv, "--epochs", 9, "--keep-best", "--patience", 2, "--out", "a") == 0
    out = capsys.readouterr().out
    assert "Validation set after epoch 2, the best of 4 (stopped early)" in out
    assert "--resume a --patience 4" in out
    assert "a, epoch 4, " in origins[-1]  # its curves go on to the end
    assert train(*CONSTANT, "--epochs", 2, "--out", "two") == 0
    best, expected = open_run("a", RECIPES), open_run("two", RECIPES)
    for name, array in expected.model.state_dict().items():  # averaged ones
        assert_array_equal(best.model.state_dict()[name], array)
    assert best.progress["step"] == expected.progress["step"] == 6
    assert (state("a")["model/pixels.w"] != state("two")["model/pixels.w"]).any()  # of the last
    assert asked("evaluate a") == 0
    assert "after step 6, the best; " in capsys.readouterr().out
    assert asked("export a --out given --quiet") == 0
    assert open_run("given", RECIPES).progress["step"] == 6


def test_a_run_that_keeps_the_best_goes_on_as_if_never_stopped(here, monkeypatch, capsys):
    """Stopped after the best, and before it; and it is not stopped by an epoch of before."""
    argv = [*CONSTANT, "--epochs", 9, "--keep-best", "--patience", 2, "--out"]
    losses = 5.0, 4.0, 4.5, 3.0, 3.5, 6.0
    with monkeypatch.context() as patch:
        judged(patch, *losses)
        assert train(*argv, "whole") == 0
    with monkeypatch.context() as patch:
        judged(patch, *losses)
        for step in 7, 13:
            with monkeypatch.context() as stop:
                after_step(stop, step, interrupt)
                assert train(*(argv + ["parts"] if step == 7 else ["--resume", "parts",
                                                                   "--quiet"])) == 130
        assert train("--resume", "parts", "--quiet") == 0
    assert_same_run("whole", "parts")
    assert len(rows("whole/metrics.csv")) == 6
    with monkeypatch.context() as patch:  # no step is done; more patience does some
        judged(patch, 7.0)
        assert train("--resume", "parts", "--quiet") == 0
        capsys.readouterr()
        assert "give --patience above 2, too" in refused(capsys, train("--resume", "parts", "--lr",
                                                                       1e-4, "--epochs", 20))
        assert train("--resume", "parts", "--patience", 3, "--quiet") == 0
    assert len(rows("parts/metrics.csv")) == 7
    assert "give --patience above 3, too" in refused(capsys, train(  # which is what it has waited
        "--resume", "parts", "--patience", 1, "--epochs", 20))
    assert config_of("parts")["continued"] == [{"after_step": 18, "was": {"patience": 2}}]
    assert many.summary("parts", RECIPES).best["epoch"] == 4


# ---------------------------------------------------------------- from another's weights

@pytest.mark.parametrize("name", ["vae", "vqvae", "prior"])
def test_a_run_begins_with_anothers_weights(name, runs_here, monkeypatch, capsys):
    """In its sizes, also those that are no defaults; what is of the data is the new data's."""
    began = {}
    def note(model, *rest):
        began.update(model.state_dict())
        return None, 2
    before = open_run(name, RECIPES).model.state_dict()
    monkeypatch.setattr("scratchnet.runs.cli.train", note)
    assert train("--from", name, "--limit", 40, "--lr", 1e-4, "--out", "new",
                 *["--dataset", "synthetic"] * (name != "prior")) == 130
    flags = config_of("new")["flags"]
    assert flags["from"] == name and flags["lr"] == 1e-4
    assert f"  with the weights of {name} after step 4\n" in capsys.readouterr().out
    for key, array in before.items():
        assert_array_equal(began[key], array)


def test_what_is_of_the_data_is_not_taken_over(runs_here, monkeypatch):
    change_weights("vqvae", lambda arrays: arrays["model/data_variance"].fill(7))
    monkeypatch.setattr("scratchnet.runs.cli.train", lambda model, *rest: (
        began.append(float(model.data_variance.numpy())), (None, 2))[1])
    began = []
    assert train("--from", "vqvae", "--dataset", "synthetic", "--quiet", "--out", "new") == 130
    assert 0 < began[0] < 1


def test_a_run_from_another_goes_on_without_it(runs_here):
    assert train("--from", "grey", "--dataset", "synthetic", "--batch-size", 64, "--epochs", 2,
                 "--quiet", "--out", "whole") == 0
    shutil.copytree("whole", "parts", dirs_exist_ok=True)
    for name in names("parts") - {"config.json"}:  # ended before its first checkpoint
        Path("parts", name).unlink()
    assert train("--resume", "parts", "--quiet") == 0
    assert_same_run("whole", "parts")
    shutil.rmtree("grey")
    assert train("--resume", "parts", "--epochs", 3, "--quiet") == 0


WRONG = {
    "--from grey --z-dim 5": "that run has --z-dim 3, this one 5",
    "--from grey --model vqvae": "that run is a vae, not a vqvae",
    "--from nowhere": "nowhere: no run there",
    "--from begun": "no checkpoint yet",
    "--from prior --codes other": "its codes are not those of other",
    "--from of-4": "that run has num classes 4, this one 10",
    "--resume vae --from grey": "--from",
    "--model prior --codes vqvae --out vqvae --overwrite": "is the run of --codes; name another",
    "--from grey --out ./grey --overwrite": "is the run of --from; name another",
    "--model vae --keep-best": "--keep-best needs --validation N",
    "--model vae --validation 9 --patience 2": "--patience needs --keep-best",
    "generate cvae --what reconstructions --label 1 2": "several are for samples",
    "generate gated --what completion --temperature 1 2": "several are for samples",
    "generate gated --guidance 2": "trained with --conditional --untold 0.1; this run was not",
    "generate vae --guidance 2": "this run was not",
    "--model gated-pixelcnn --untold 0.1": "--untold: is for a run that is told the class",
    "generate cvae --label 3 10": "--label 10: ",
    "generate vae --what all --out x.png": "--what all makes several pictures",
    "generate cvae --dpi 5": "a whole number from 10 to 1,000",
    "generate vae --what traversal": "and this run's has 2",
    "runs nowhere": "nowhere: no run there",
    "runs vae --out x.png": "there is no such flag",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_refused(line, runs_here, capsys):
    if "other" in line:
        shutil.copytree("vqvae", "other")
        change_weights("other", lambda arrays: arrays["model/e"].__imul__(2))
    if "begun" in line:
        shutil.copytree("vae", "begun")
        Path("begun/checkpoint.npz").unlink()
    if "of-4" in line:
        shutil.copytree("cvae", "of-4")
        change_weights("of-4", lambda arrays: arrays.update(
            {n: a[:4] for n, a in arrays.items() if len(a.shape) > 1 and len(a) == 10}))
        changed("of-4", lambda config: config["dataset"].update(num_classes=4))
    before = {str(p) for p in Path().rglob("*")}
    more = ["--dataset", "synthetic"] * line.startswith("--from") * ("prior" not in line)
    assert WRONG[line] in refused(capsys, asked(" ".join([line, *more])))
    assert before == {str(p) for p in Path().rglob("*")}


# ---------------------------------------------------------------- beside each other

def test_the_table_of_runs(runs_here, capsys, monkeypatch):
    for out, *more in ["long", "--epochs", 2], ["short", "--steps", 3], ["other", "--z-dim", 5]:
        assert train(*RUNS["grey"], *more, *["--epochs", 1] * (out == "other"), "--out",
                     f"runs/{out}") == 0
    changed("runs/long", lambda config: config["flags"].update(epochs=1234))
    with monkeypatch.context() as patch:
        judged(patch, 5.0, 3.0, 4.0)
        assert train(*CONSTANT, "--epochs", 9, "--keep-best", "--patience", 1, "--out",
                     "runs/best") == 0
    shutil.copytree("prior", "runs/prior")
    Path("runs/broken").mkdir()
    Path("runs/broken/config.json").write_text("{")
    Path("runs/file").touch()
    capsys.readouterr()
    assert asked("runs") == 0
    out, err = capsys.readouterr()
    assert err.startswith("NOTE: runs/broken/config.json is damaged") and err.count("\n") == 1
    assert max(map(len, out.splitlines())) <= 80
    tables = {text.splitlines()[0]: text.splitlines()[1:] for text in out.split("\n\n")}
    assert [head.partition(",")[0] for head in tables] == [
        "synthetic digits", "synthetic digits: test -ELBO",
        "synthetic digits: validation -ELBO (--validation 20)"]
    head, *lines = tables["synthetic digits: test -ELBO, nats per image"]
    assert head.split() == ["run", "model", "-ELBO", "recon.", "KL", "done", "min", "MB"]
    found = {line.split()[0]: line.split() for line in lines if line.startswith("runs/")}
    assert {n: words[5] for n, words in found.items()} == {
        "runs/long": "2/1,234", "runs/short": "3", "runs/other": "1"}
    told = dict(zip(found, " ".join(lines).split("runs/")[1:], strict=True))
    assert "unfinished" in told["runs/long"] and "--z-dim 3" in told["runs/long"]
    assert "unfinished" not in told["runs/short"] and "--z-dim 5" in told["runs/other"]
    assert "--h-dim" not in out and "--seed" not in out  # are the same in all
    figures_of = [float(words[2]) for words in found.values()]
    assert figures_of == sorted(figures_of)
    for name, words in found.items():
        row = rows(f"{name}/metrics.csv")[-1]
        assert words[2:5] == [f"{float(row[f'test_{n}']):.5g}"
                              for n in ("neg_elbo", "reconstruction", "kl")]
    best = " ".join(tables["synthetic digits: validation -ELBO (--validation 20), nats per image"])
    assert "runs/best" in best and " 3 " in best and "stopped early, best: epoch 2" in best
    for columns, end in (("80", "min MB"), ("60", "done min"), ("53", "KL done"),
                         ("40", "-ELBO done")):
        monkeypatch.setenv("COLUMNS", columns)
        assert asked("runs") == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= int(columns)
        below = out.partition(": test -ELBO")[2].splitlines()
        head = next(line for line in below if line.startswith("run "))
        assert " ".join(head.split()).endswith(end)


def test_a_table_of_bits_per_dim_is_not_said_to_be_in_nats(runs_here, capsys):
    Path("run").mkdir()
    shutil.copy("cvae/config.json", "run")
    changed("run", lambda config: config["flags"].update(likelihood="logistic", binarize="none"))
    assert asked("runs run prior") == 0
    heads = [text.splitlines()[0] for text in capsys.readouterr().out.split("\n\n")]
    assert heads == ["synthetic digits, as 7x7 codes of vqvae: test nats/code, given its class",
                     "synthetic digits: test bits/dim, given its class"]


def test_curves_of_runs_are_their_rows(runs_here, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(figures, "compared", lambda panels: drawn.extend(panels))
    monkeypatch.setattr(pictures, "write_figure", lambda path, figure: drawn.append(path))
    assert asked("runs vae cvae gated --curves") == 0
    *panels, path = drawn
    assert path == Path("curves.png") and "Curves: curves.png" in capsys.readouterr().out
    assert [len(lines) for _, lines in panels] == [1, 1, 1]
    row, (title, ((name, steps, values),)) = rows("vae/metrics.csv")[-1], panels[0]
    assert title.startswith("synthetic digits, binarised: test -ELBO")
    assert name == f"vae  {values[0]:.5g}" and steps == (4,)
    assert values == (float(row["test_neg_elbo"]),)


def test_a_figure_of_runs_has_a_panel_for_each_group():
    lines = [(name, [1, 2, 3], values) for name, values in (("a", [9.0, 5, 4]), ("b", [6.0, 3, 2]))]
    found = figures.compared([("one", lines), ("two", lines[:1]), ("three", [("c", [1], [2.0])])])
    first, second, third, empty = found.axes
    assert [line.get_label() for line in first.lines] == ["a", "b"]
    assert_array_equal(first.lines[1].get_ydata(), [6, 3, 2])
    assert first.get_ylim()[0] < 2 and third.get_ylim()[0] < 2 < third.get_ylim()[1]
    assert not empty.axison and second.get_title(loc="left") == "two"


# ---------------------------------------------------------------- several in a picture

def test_rows_of_temperatures_and_labels_are_those_drawn_alone(runs_here):
    several = drawn("prior --temperature 0.5 2 --label 3 7 --num 4")
    assert several.shape == (4, 4, 28, 28, 1)
    alone = [drawn(f"prior --temperature {t} --label {k} --num 4") for t in (0.5, 2)
             for k in (3, 7)]
    assert_array_equal(several, alone)
    classes = drawn("prior --temperature 0.5 2")  # a class for each column
    assert_array_equal(classes[1], drawn("prior --temperature 2 --num 10"))
    assert drawn("cvae --label 3 4").shape == (2, 10, 28, 28, 1)


@pytest.mark.pictures
def test_guidance_is_said_and_is_for_what_is_drawn(runs_here, monkeypatch, capsys):
    """In the picture's name and title, and in a run's list of its own files; not for scores."""
    assert train("--model", "gated-pixelcnn", "--dataset", "synthetic", "--limit", 20, "--steps", 1,
                 "--conditional", "--untold", 0.5, "--features", 4, "--blocks", 1, "--head", 4,
                 "--out", "untold", "--quiet") == 0
    titles = []
    monkeypatch.setattr(generate, "write_figure", lambda path, figure, dpi, new: (
        titles.append(figure.get_suptitle()), pictures.write_figure(path, figure, dpi, new))[1])
    one, two = drawn("untold --num 4 --label 3"), drawn("untold --num 4 --label 3 --guidance 1 9")
    assert_array_equal(one, two[0])
    assert (two[0] != two[1]).any()
    for flags, name in (("--guidance 2.5", "samples-guidance2.5-seed0.png"),
                        ("--guidance 1 3 --temperature 0.5",
                         "samples-temperature0.5-guidance1-3-seed0.png")):
        assert asked(f"generate untold --num 4 {flags} --quiet") == 0
        assert name in names("untold") and OURS.fullmatch(name)
    assert "guidance 2.5" in titles[0].replace("\n", " ") and "temperature 0.5" in titles[1]
    assert "means nothing to scores" in refused(capsys, asked(
        "generate untold --what scores --guidance 2"))


@pytest.mark.pictures
def test_names_and_titles_say_what_was_drawn(runs_here, monkeypatch):
    written = []
    monkeypatch.setattr(generate, "write_figure", lambda path, figure, dpi, new: (
        written.append((figure, dpi)), pictures.write_figure(path, figure, dpi, new))[1])
    for line in ("--temperature 0.8", "--temperature 0.5 1 --dpi 40 --seed 3",
                 "--what scores --temperature 1"):
        asked(f"generate prior {line} --num 2 --quiet")
    new = {n for n in names("prior") if n.endswith(".png")} - {"curves.png"}
    assert new == {"samples-temperature0.8-seed0.png", "samples-temperature0.5-1-seed3.png"}
    (one, dpi), (two, fewer) = written
    assert (dpi, fewer) == (110, 40)
    for figure, words in (one, "prior, epoch 1, seed 0"), (two, "prior, epoch 1, seed 3"):
        assert figure.get_suptitle().startswith("prior on synthetic digits, as 7x7 codes of vqvae: "
                                                "samples")
        assert words in [text.get_text() for text in figure.artists]
    assert [t.get_text() for t in two.axes[0].texts] == ["temperature 0.5", "temperature 1", "0",
                                                         "1"]
    with pytest.raises(RunError, match="there is a run in it"):  # not: others' files
        check_free(Path("prior"), False, whole=True)
    check_free(Path("prior"), True, whole=True)  # they are the run's


def test_all_is_what_fits_the_flags(runs_here, monkeypatch, capsys):
    monkeypatch.setattr(generate, "draw", lambda run, what, ask, flags, named: done.append(
        generate.file_name(what, flags)))
    done = []
    assert asked("generate grey --what all --num 3 --seed 2") == 0
    assert done == [f"{what}-seed2.png" for what in ("samples", "reconstructions", "interpolation",
                                                     "traversal")]
    out = capsys.readouterr().out
    assert "NOTE: without latent: --num: latent is of all there is" in out
    assert "NOTE: without scores: " in out


def test_all_without_data_is_what_needs_none(runs_here, capsys):
    changed("vae", lambda config: config["dataset"].update(name="mnist"))
    assert asked("generate vae --what all --num 2 --seed 5") == 0
    assert {n for n in names("vae") if "seed5" in n} == {"samples-seed5.png", "manifold-seed5.png"}
    err = capsys.readouterr().err
    assert err.startswith("NOTE: without reconstructions, interpolation, scores: no data/mnist/")
    assert err.endswith("could not be downloaded\n") and err.count("\n") == 1
    assert "could not be downloaded" in refused(capsys, asked("generate vae --what scores"))


@pytest.mark.parametrize("name", ["grey", "autoencoder"])
def test_a_traversal_moves_one_coordinate(name, runs_here):
    """Of a VAE z_k, from -3 to 3, the others as they were; else along an axis of the codes."""
    found = drawn(f"{name} --what traversal --num 2")
    run = open_run(name, RECIPES)
    ask = pictures.Request(run.model, "", run.image_shape, run.dataset)
    (image, _), codes = ask.test_images(1), run.model.encode(run.dataset().test_images / 255)
    z = pictures.to_numpy(pictures.mean_code(run.model.encode(image / 255)))[0]
    if name == "grey":
        mu, log_var = map(pictures.to_numpy, codes)
        kl = (0.5 * (mu ** 2 + np.exp(log_var) - 1 - log_var)).mean(0)
        expected = np.tile(z, (2, 13, 1))
        for row, k in enumerate(np.argsort(-kl)[:2]):
            expected[row, :, k] = np.arange(-3, 3.5, 0.5)
    else:
        codes = pictures.to_numpy(codes)
        centred = codes - codes.mean(0)
        _, s, axes = np.linalg.svd(centred, full_matrices=False)
        expected = np.empty((2, 13, 3))
        for row in range(2):
            sign = np.sign(axes[row] @ plane.principal_axes(codes)[2][row])
            for column, t in enumerate(np.arange(-3, 3.5, 0.5)):
                along = (z - codes.mean(0)) @ axes[row]
                expected[row, column] = z + (sign * t * s[row] / np.sqrt(60) - along) * axes[row]
    images = run.model.mean_image(expected.reshape(26, 3).astype(np.float32))
    np.testing.assert_allclose(found.reshape(26, 784), pictures.to_numpy(images), atol=2e-4)


def test_without_arguments_it_lists_the_runs_that_are_there(runs_here, capsys):
    assert asked("generate") == 2 and "Runs that are here" not in capsys.readouterr().err
    shutil.copytree("vae", "pretrained/small")
    assert call(generate) == 2
    assert "Runs that are here:\n  pretrained/small  vae on synthetic digits\n" in (
        capsys.readouterr().err)
    assert call(runs, "pretrained") == 0


def test_names_are_no_formulas():
    names = "a$^_x$b", "_c", "d"
    figure = figures.compared([("one", [(name, [1], [2.0]) for name in names])])
    figure.savefig(io.BytesIO())
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        r"a\$^_x\$b", " _c", "d"]
