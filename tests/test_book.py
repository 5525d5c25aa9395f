"""The book keeps its word: what it shows of the source is the source, what it names exists, every
formula has its line, its test and its picture. Its numbers are doctests: `pytest docs`."""

import ast
import functools
import importlib.util
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from exercises.solution import module

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("book", ROOT / "docs" / "book.py")
book = importlib.util.module_from_spec(spec)
spec.loader.exec_module(book)

CHAPTERS = book.chapters()
ROWS = [row for chapter in CHAPTERS for row in book.rows(chapter)]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.name)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.formula)

FORMULAS = [  # of the method sections of backpropagation, convolution, Adam, and the four papers
    "the chain rule with fan-out", "the adjoint: J^T g", "broadcasting", "matmul",
    "finite differences", "softmax with cross-entropy", "convolution", "its dx and dW",
    "transposed convolution", "output sizes", "masked: fewer taps", "Adam's moments",
    "its bias correction", "the ELBO from log p(x)", "Jensen and the gap", "reparameterisation",
    "the Gaussian KL", "Bernoulli on logits", "the Gaussian likelihood",
    "the discretised logistic", "IWAE's bound", "the one-hot posterior and the nearest code",
    "KL = log K", "the VQ loss", "straight-through", "EMA", "perplexity", "the factorisation",
    "masks A and B", "RGB order", "the blind spot and the window", "gates and two stacks",
    "conditioning", "the 256-way softmax", "the mixture of logistics",
    "sampling with and without a cache", "the prior over codes"]
SECTIONS = ["## What goes wrong", "## In short", "## Exercises", book.TABLE, "## Where to read on"]


# ---------------------------------------------------------------- the table of all formulas

def test_every_formula_has_its_row():
    assert not set(FORMULAS) - {row.formula for row in ROWS}
    assert len({row.formula for row in ROWS}) == len(ROWS)


@each_row
def test_a_row_has_no_gap(row):
    assert all((row.formula, row.equation, row.source, row.lines(), row.tests(), row.seen))
    assert re.fullmatch(r"\[\((\d+\.\d+)\)\]\(#eq-\d+-\d+\)", row.equation)
    assert "](" in row.seen


@each_row
def test_a_rows_lines_are_in_the_source(row):
    for name, lines in row.lines():
        assert lines
        source = [line.partition("  #")[0].strip() for line in definition(name).splitlines()]
        for line in lines:
            assert line in source, f"{name} has no line {line!r}"


@each_row
def test_a_rows_code_names_the_chapter(row):
    """There is a way back: the file of each line says which chapter derives it."""
    for name, _ in row.lines():
        file, _ = module(name)
        assert f"docs/{row.chapter.name}" in file.read_text(), f"{file} does not say so"


@each_row
def test_a_rows_tests_exist(row):
    for test in row.tests():
        assert f"def {test}(" in TESTS


@each_row
def test_a_rows_source_is_in_the_papers_section(row):
    """Chapter 11's tables have every equation and section of a paper that a row names."""
    papers = dict(re.findall(r"^## [^\n]*\((\d{4}\.\d{4,5})\)\n(.*?)(?=^## |\Z)",
                             CHAPTERS[-1].read_text(), re.M | re.S))
    for paper, rest in re.findall(r"\(https://arxiv\.org/abs/([\d.]+)\)([^;]*)", row.source):
        if paper in papers:  # those that chapter 11 goes through; others are cited whole
            known = places("\n".join(re.findall(r"^\|([^|]*)\|", papers[paper], re.M)))
            assert known and not places(rest) - known, f"chapter 11, {paper}"


def places(text):
    """The equations, sections and figures that a text names: eq. 6 to 8 is three."""
    found = re.findall(r"\b(eq|sec|app|fig)\. ([\w.]*\w)(?: to (\d+))?", text)
    return {(kind, str(k)) for kind, first, last in found
            for k in (range(int(first), int(last) + 1) if last else [first])}


def test_the_page_of_equations_is_up_to_date():
    assert (ROOT / "docs" / "equations.md").read_text() == book.equations(), \
        "run: python docs/book.py equations"


def definition(dotted):
    """The source of a function, class or method: module.name.name. Fails if there is none."""
    file, names = module(dotted)
    node = tree(file)
    for name in names:
        node = next((n for n in ast.walk(node) if n is not node and
                     getattr(n, "name", None) == name), None)
        assert node is not None, f"{file.name} has no {name}"
    return ast.get_source_segment(file.read_text(), node)


@functools.cache
def tree(file):
    return ast.parse(file.read_text())


# ---------------------------------------------------------------- what is quoted of the results

@pytest.mark.parametrize("page", book.pages(), ids=lambda p: p.name)
def test_quoted_results_are_those_of_the_results(page):
    text = page.read_text()
    assert text == book.with_results(text), "run: python docs/book.py results"
    for line, name in re.findall(r"^(>>> .*results\.md#([\w-]+))$", text, re.M):  # by hand
        assert book.results()[name][0] in line, line


def test_results_are_quoted():
    """Nothing is left behind of the table of costs when its rows change their form."""
    quoted = {q[2] for page in book.pages() for q in book.QUOTED.findall(page.read_text())}
    assert set(book.results()) == quoted and len(quoted) > 15
    assert len(book.costs()) == 4 and all(len(rows) > 1 for rows in book.costs().values())


def test_the_picture_of_costs_is_that_of_the_table():
    from PIL import Image  # comes with Matplotlib
    with Image.open(ROOT / "docs" / "images" / "bits.png") as picture:
        seen = picture.info["Description"]
    assert json.loads(seen) == book.costs(), "run: python docs/draw_codes.py"


# ---------------------------------------------------------------- what is shown of the source

def shown():
    """(chapter, file, code) of each block that begins with the name of a file."""
    for chapter in CHAPTERS:
        for _, code in book.FENCE.findall(chapter.read_text()):
            if name := re.match(r"# ([\w/]+\.py)\n", code):
                yield pytest.param(name[1], code[name.end():], id=f"{chapter.name[:2]}-{name[1]}")


@pytest.mark.parametrize(("file", "code"), list(shown()))
def test_shown_source_is_the_source(file, code):
    """In order and without a gap, but where a line is `...`; indented as there or less."""
    lines, at = (ROOT / file).read_text().splitlines(), 0
    for piece in re.split(r"^ *\.\.\.\n", code, flags=re.M):
        wanted = textwrap.dedent(piece).strip("\n").splitlines()
        at = next((k + len(wanted) for k in range(at, len(lines) - len(wanted) + 1)
                   if same(lines[k:k + len(wanted)], wanted)), None) if wanted else at
        assert at is not None, f"{file} does not have, in one piece and in this order:\n{piece}"


def same(lines, wanted):
    return textwrap.dedent("\n".join(lines)).splitlines() == wanted


@each_chapter
def test_python_is_shown_or_run(chapter):
    for language, code in book.FENCE.findall(chapter.read_text()):
        if language == "python":
            assert ">>>" in code or re.match(r"# [\w/]+\.py\n", code), code


# ---------------------------------------------------------------- the form of a chapter

@each_chapter
def test_a_chapter_has_all_its_parts(chapter):
    text, number = chapter.read_text(), CHAPTERS.index(chapter)
    assert text.startswith(f"# {number + 1}. ")
    headings = re.findall(r"^## .*", text, re.M)
    assert [h for h in headings if h in SECTIONS] == SECTIONS
    assert "![" in text and ">>> " in text
    neighbours = CHAPTERS[max(number - 1, 0):number] + CHAPTERS[number + 1:number + 2]
    for other in (*neighbours, ROOT / "docs" / "README.md"):
        assert f"]({other.name})" in text.partition("\n## ")[0], f"no way to {other.name}"
    assert f"]({chapter.name})" in (ROOT / "docs" / "README.md").read_text()


@each_chapter
def test_a_chapters_pictures_are_drawn_by_a_script(chapter):
    """The caption names the command; a script of docs/ saves a picture of that name."""
    text = chapter.read_text()
    captions = re.findall(r"!\[[^\]]*\]\(images/([\w-]+\.png)\)\n\n(\*.*?)\n\n", text, re.S)
    assert len(captions) == text.count("![")
    for image, caption in captions:
        assert (chapter.parent / "images" / image).exists()
        commands = re.findall(r"`python ([\w/]+\.py)", caption)
        assert commands, f"nothing says what draws {image}"
        for script in commands:
            source = (ROOT / script).read_text()
            assert not script.startswith("docs/") or (
                image in ast.get_docstring(ast.parse(source)) and f'"{image}"' in source), \
                f"{script} does not draw {image}"


def test_cells_of_a_notebook():
    """A cell ends at its output; one whose output is a traceback may raise."""
    text = ("a\n```python\n>>> x = 1\n>>> x\n1\n>>> 1 / 0\nTraceback (most recent call last):\n"
            "ZeroDivisionError: division by zero\n>>> x = 2\n```\nb\n```\nno code\n```\n")
    assert list(book.cells(text)) == [
        ("markdown", "a\n"), ("code", "x = 1\nx\n"), ("raises", "1 / 0\n"), ("code", "x = 2\n"),
        ("markdown", "\nb\n```\nno code\n```\n")]


def test_a_notebook_finds_scratchnet_and_its_pictures(tmp_path, monkeypatch):
    """Beside the chapters, in the repository, and where there is none: then it is cloned."""
    text = "a\n\n![what it shows](images/tape.png)\n\n*a caption*\n"
    (_, first), *cells = book.parts(text)
    assert [cell for cell in cells if cell[1]] == [
        ("markdown", "a\n\n"), ("code", 'Image("docs/images/tape.png", width=820)'),
        ("markdown", "\n\n*a caption*\n")]
    first = first.replace("from IPython.display import Image", "")  # not needed by the tests
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(subprocess, "run", lambda words, check: Path(words[-1]).mkdir())
    for start, end in ((ROOT, ROOT), (ROOT / "docs", ROOT), (tmp_path, tmp_path / "repository")):
        monkeypatch.chdir(start)
        exec(first, {})
        assert Path.cwd() == end == Path(sys.path[0])


# ---------------------------------------------------------------- math

@each_chapter
def test_equations_are_numbered_once_and_linked_by_their_number(chapter):
    text, number = chapter.read_text(), int(chapter.name[:2])
    tags = re.findall(r'<a id="eq-(\d+)-(\d+)"></a>\n+\$\$\n[^$]*\\tag\{(\d+)\.(\d+)\}\n\$\$', text)
    assert all(a == c and b == d and int(a) == number for a, b, c, d in tags)
    assert [int(b) for _, b, _, _ in tags] == list(range(1, len(tags) + 1))
    assert len(tags) == text.count("\\tag{") == text.count('<a id="eq-')
    for label, target in book.LINK.findall(text):
        if found := re.search(r"#eq-(\d+)-(\d+)$", target):
            assert label == f"({found[1]}.{found[2]})"
        if found := re.fullmatch(r"[Cc]hapter (\d+)", label):
            assert target.startswith(f"{int(found[1]):02d}-"), f"{label} leads to {target}"
    plain = re.findall(r"(?<![\w}\\])\(([1-9]0?\.\d{1,2})\)", book.LINK.sub("", prose(chapter)))
    assert not set(plain) - {f"{number}.{b}" for _, b, _, _ in tags}, "another chapter's, or none"


def prose(chapter):
    """The text of a chapter, without its code."""
    return re.sub(r"`[^`\n]*`", "", book.FENCE.sub("", chapter.read_text()))


NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
SIGN = r"\s?(?:[-+/·]|\\cdot)\s?"
SUM = re.compile(rf"(?<![\w.,^\\{{}})(·*/+-])(?<![·*/+^-] )(?<!log )(?<!cdot )"
                 rf"(-?\(*-?{NUMBER}\)*(?:{SIGN}\(*-?{NUMBER}\)*)+)\s?(?:=|\\approx)\s?"
                 rf"(-?{NUMBER})(?!{SIGN}\d)(?![\w^])")


def test_sums_by_hand_are_right():
    """24 · 1 · 32 = 768: each sum of plain numbers, to one in its last digit."""
    sums = [found for chapter in CHAPTERS for found in SUM.findall(
        re.sub(r"\s+", " ", prose(chapter).replace("$", ""))) if found[0].count("(") ==
        found[0].count(")")]
    assert len(sums) > 40
    for left, right in sums:
        value = eval(left.replace(",", "").replace("·", "*").replace("\\cdot", "*"))
        digits = len(right.partition(".")[2])
        assert abs(value - float(right.replace(",", ""))) <= 10 ** -digits, f"{left} = {right}"


NAMES = {name: getattr(math, name) for name in ("log", "sqrt", "exp", "tanh", "pi")}
NAMES["logistic"] = lambda x: 1 / (1 + math.exp(-x))
PYTHON = [(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"),
          (r"\\sqrt\{([^{}]*)\}", r" sqrt(\1)"), (r"e\^\{([^{}]*)\}", r"exp(\1)"),
          (r"\^\{([^{}]*)\}|\^(\d)", r"**(\1\2)"), (r"\\cdot", "*"),
          (r"\\sigma(?=\()", " logistic"), (r"\\(?=[a-z])", " "),
          (r"(log|tanh) +([\d.]+)", r"\1(\2)"), (r"(?<=[\d)]) +(?=[(a-z])", "*")]


def test_formulas_of_numbers_are_right():
    """log(0.1 sqrt(2 pi)) = -1.38: each side without a letter, to one in its last digit."""
    found = 0
    for formula in re.findall(r"\$+([^$]+)\$+", "\n".join(map(prose, CHAPTERS))):
        for part in re.split(r", |,? \\q?quad", " ".join(formula.split())):
            sides = re.split(r"(?<![<>!])=|\\approx", part)
            for left, right in itertools.pairwise(sides):
                for latex, python in PYTHON:
                    left = re.sub(latex, python, left)
                letters = set(re.findall(r"[A-Za-z_]\w*|\\\W|[|{}]", left)) - set(NAMES)
                if not letters and (number := re.fullmatch(rf"\s*(-?{NUMBER})[\s.]*", right)):
                    digits = len(number[1].partition(".")[2])
                    error = eval(left.strip(), NAMES) - float(number[1].replace(",", ""))
                    assert abs(error) < 1.0001 * 10 ** -digits, part
                    found += 1
    assert found > 30


@each_chapter
def test_math_is_read_as_it_is_meant(chapter):
    """Markdown eats a backslash before punctuation, a $ that touches a word is no math, and a line
    of a formula that begins like a list's is one."""
    from matplotlib.mathtext import MathTextParser
    parser = MathTextParser("agg")
    text = prose(chapter)
    display = re.findall(r"^\$\$\n(.*?)\n\$\$$", text, re.M | re.S)
    rest = re.sub(r"^\$\$\n.*?\n\$\$$", "", text, flags=re.M | re.S)
    assert "$$" not in rest
    inline = re.findall(r"(?<![\w$])\$([^$]+)\$(?![\w$])", rest)
    assert 2 * len(inline) == rest.count("$"), "a $ that opens or closes nothing"
    for formula in display:
        assert not re.search(r"^ {0,3}([-+*>]|\d+[.)]) ", formula, re.M), f"a list: {formula}"
    for formula in display + inline:
        assert not re.search(r"\\[\\{}_,;!#%&|*]", formula), f"Markdown eats a backslash: {formula}"
        assert not re.search(r"[<>](?=[a-zA-Z/])", formula), f"reads as a tag: {formula}"
        if formula in inline:
            assert formula == formula.strip(), formula
        plain = re.sub(r"\\tag\{[\d.]+\}", "", formula)
        parser.parse(f"${' '.join(plain.split())}$", dpi=72)  # raises on what is no formula


# ---------------------------------------------------------------- the slides

SLIDES = (ROOT / "docs" / "slides.md").read_text().split("\n---\n", 1)[1]


def talk():
    """(text of the chapters that its footer names, what it shows, what is said) of each slide."""
    footer = ""
    for slide in SLIDES.split("\n---\n"):
        footer = re.findall("<!-- footer: (.*) -->", slide + f"<!-- footer: {footer} -->")[0]
        about = [c for c in CHAPTERS if not re.search(r"\d", footer) or
                 c.name[:2].lstrip("0") in re.findall(r"\d+", footer)]
        note = " ".join(re.findall(r"^<!--\n(.*?)\n-->$", slide, re.M | re.S))
        yield "\n".join(c.read_text() for c in about), re.sub(r"(?s)<!--.*?-->", "", slide), note


def formulas_of(text):
    """The parts of its display formulas, as between two \\quad, without their numbers."""
    found = re.findall(r"^\$\$\n([^$]*)\n\$\$", text, re.M)
    parts = [re.split(r"\\q?quad", re.sub(r"\\tag\{.*?\}", "", formula)) for formula in found]
    return {" ".join(part.split()).rstrip(" .,") for formula in parts for part in formula}


def code_of(text):
    """Its blocks of code, without prompts and the places of comments; outputs as one line."""
    for language, block in book.FENCE.findall(text):
        lines = [re.sub(r"^(>>> |\.\.\. )? *", "", line) for line in block.splitlines()]
        yield re.sub(" {2,}#", "  #", ("\n" if language else " ").join(lines))


def test_the_slides_show_what_the_chapters_have():
    """Formulas, code, cells of tables and numbers are those of the chapters; sentences are free."""
    new, seen = [], 0
    for chapters, slide, note in talk():
        lines = re.sub(" {2,}#", "  #", re.sub(r"^(>>> |\.\.\. )? *", "", chapters, flags=re.M))
        words = re.sub(r"^\$\$\n[^$]*\n\$\$|^!.*", "", book.FENCE.sub("", slide), flags=re.M)
        numbers = re.findall(NUMBER, re.sub("`.*?`", "", words + note))
        cells = re.findall(r"(?<=\| )[^|\n-]+(?= \|)", words)
        new += formulas_of(slide) - formulas_of(chapters)
        new += [code for code in code_of(slide)
                if f"\n{code}\n" not in lines and code not in " ".join(lines.split())]
        new += [cell for cell in cells if cell not in chapters]
        new += set(numbers) - set(re.findall(NUMBER, chapters))
        seen += len(formulas_of(slide)) + len(list(code_of(slide)))
    assert seen > 15
    assert not new, "no chapter that the slide's footer names has this"


def test_the_slides_are_a_talk():
    """Of half an hour: a statement and a few words to look at, a minute to listen to."""
    slides = [(slide, note) for _, slide, note in talk()]
    assert 20 <= len(slides) <= 28
    for slide, note in slides:
        titles = re.findall("^##? .*", slide, re.M)
        assert len(titles) == 1 and len(note.split()) >= 25, titles
        words = re.sub(r"^\$\$\n[^$]*\n\$\$|^!.*", "", book.FENCE.sub("", slide), flags=re.M)
        assert len(words.split()) < 50, f"too much to read: {titles}"
    assert 15 * 130 < sum(len(note.split()) for _, note in slides) < 30 * 130  # words a minute


def test_the_slides_pictures_exist():
    names = re.findall(r"!\[[^\]]+\]\((.*?)\)", SLIDES)
    assert len(names) == SLIDES.count("![") > 10
    assert not [name for name in names if not (ROOT / "docs" / name).exists()]


def test_what_is_beyond_the_edge_of_a_slide_is_found(tmp_path):
    """Needs Chromium, and Marp where `python docs/book.py slides` has put it: no network here."""
    marp = ["npx", "--offline", "--yes", book.MARP, "--version"]
    if not book.BROWSER or not shutil.which("npx") or subprocess.run(
            marp, capture_output=True).returncode:
        pytest.skip("no Chromium, or no Marp")
    head = ("---\nmarp: true\nmath: mathjax\n"
            "style: 'img { max-width: none } section.side { padding-right: 900px }'\n---\n\n")
    fits = "# Title\n\nWords.\n\n$$\ny = x\n$$\n\n![w:600](images/tape.png)\n\n```\ny = x\n```"
    text, picture = "words " * 800, "![w:1400](images/tape.png)"
    formula, code = f"$$\n{'x + ' * 80}x\n$$", f"```python\n{'x + ' * 40}x\n```"
    deck = tmp_path / "slides.md"
    beside = f"<!-- _class: side -->\n$$\n{'x + ' * 12}x\n$$"  # under the picture at its right
    deck.write_text(head + "\n\n---\n\n".join([fits, text, picture, formula, code, fits, beside]))
    assert re.findall(r"\d+", book.overflow(deck)) == ["2", "3", "4", "5", "7"]
