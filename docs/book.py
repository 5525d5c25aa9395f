"""The book from its chapters, docs/01-*.md to docs/11-*.md.

    python docs/book.py figures [FOLDER]         all pictures (docs/draw_*.py), into docs/images
    python docs/book.py equations                docs/equations.md, from the chapters' tables
    python docs/book.py results                  what pages quote of docs/results.md, as it says
    python docs/book.py exercises                the chapters' lists of exercises, and a transcript
    python docs/book.py notebooks [CHAPTER ...]  a notebook beside each chapter, with its outputs
    python docs/book.py slides [FOLDER]          docs/slides.md as slides.html, .pdf and .pptx

The notebooks need pip install -e ".[book]". A chapter is their only text: code is taken from its
blocks, and the outputs are those of running it now. Their first cell finds scratchnet, or clones it
from where this clone comes from, so that a notebook can be opened in Colab and the like. They are
not committed: they would be a second text beside the chapters, and their pictures megabytes with
each edit. The slides need Node.js, whose npx fetches Marp, and Chromium or Chrome.
"""

import base64
import doctest
import functools
import math
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
PICTURE = re.compile(r"(.*?)(?:!\[[^\]]*\]\(images/(\S+)\)|\Z)", re.S)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
TABLE = "## Formula, line, test"
HEADER = ["formula", "equation", "source", "line", "test", "seen"]


def chapters():
    """The chapters' files, in reading order."""
    return sorted(DOCS.glob("[0-9][0-9]-*.md"))


@dataclass
class Row:
    """A formula, where it is derived, the paper's number, the lines that compute it, the tests that
    prove it, and where it is seen: the cells of a row of a chapter's last table, as Markdown."""

    chapter: Path
    formula: str
    equation: str
    source: str
    line: str
    test: str
    seen: str

    def lines(self):
        """[(dotted name, its lines)]: `module.function`: `line`, `line`; ..."""
        spans = [re.findall(r"`([^`]+)`", part) for part in self.line.split(";")]
        return [(name, lines) for name, *lines in spans]

    def tests(self):
        return re.findall(r"`(test_\w+)`", self.test)


def rows(chapter):
    """The rows of the table at the end of a chapter. Raises ValueError if it is not as expected."""
    _, found, after = chapter.read_text().partition(TABLE + "\n")
    table = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    if not found or not cells or cells[0] != HEADER:
        raise ValueError(f"{chapter.name}: needs a section '{TABLE}' with a table of the columns "
                         f"{', '.join(HEADER)}")
    for row in cells[2:]:
        if len(row) != len(HEADER):
            raise ValueError(f"{chapter.name}: {row[0]}: {len(row)} cells, not {len(HEADER)}")
    return [Row(chapter, *row) for row in cells[2:]]


def equations():
    """The text of docs/equations.md: the rows of all chapters."""
    def at_home(cell, chapter):  # a link within a chapter, seen from another page
        return re.sub(r"\]\(#", f"]({chapter.name}#", cell)
    text = ["# The formulas, the line that computes each, the test that proves it", "",
            "Made of the tables at the ends of the chapters by `python docs/book.py equations`; "
            "tests/test_book.py finds", "each line in the function that is named, each test, and "
            "each place where a formula is derived or seen.", ""]
    for chapter in chapters():
        title = chapter.read_text().partition("\n")[0].removeprefix("# ")
        table = [[at_home(getattr(row, name), chapter) for name in HEADER] for row in rows(chapter)]
        text += [f"## [{title}]({chapter.name})", ""] + [
            f"| {' | '.join(cells)} |" for cells in [HEADER, ["---"] * len(HEADER), *table]] + [""]
    return "\n".join(text)


# ---------------------------------------------------------------- what is quoted of the results

RESULT = re.compile(r'<a id="([\w-]+)"></a>\**([\d.,]+)(?: (nats a code|nats|bits/dim))?')
QUOTED = re.compile(r"\[([\d.,]+)\](\((?:docs/)?results\.md#([\w-]+)\))")


def results():
    """{anchor: (number, unit)}: the figures of docs/results.md, as they stand there."""
    return {name: figure for name, *figure in RESULT.findall((DOCS / "results.md").read_text())}


def pages():
    """What may quote docs/results.md by [number](results.md#anchor)."""
    return [DOCS.parent / "README.md", *sorted(set(DOCS.glob("*.md")) - {DOCS / "results.md"})]


def with_results(text):
    """A page, each quoted figure as docs/results.md has it now; in rows of a table of costs, whose
    first column says how large an image is, in bits an image, and bits a dimension beside it."""
    found, lines, dims = results(), text.split("\n"), None
    for k, line in enumerate(lines):
        size = re.match(r"\| [^|]*?(?:\$D = (\d+)\$|, (\d+) of \d+) \|", line)
        dims = int(size[1] or size[2]) if size else dims if line.startswith("| | ") else None
        lines[k] = (in_bits(line, dims, found) if dims else
                    QUOTED.sub(lambda q: f"[{found.get(q[3], [q[1]])[0]}]{q[2]}", line))
    return "\n".join(lines)


def in_bits(row, dims, found):
    """A row of the table of costs: the third and the fourth cell follow the figure."""
    quoted = QUOTED.search(row)
    if not quoted or quoted[3] not in found:  # tests/test_docs.py finds the link that leads nowhere
        return row
    figure, unit = found[quoted[3]]
    of_each = {"nats": 1 / dims, "nats a code": 1, "bits/dim": math.log(2)}[unit]
    each = float(figure) * of_each / math.log(2)
    cells = row.split("|")
    total = f"{dims * each:,.{1 if dims * each < 1000 else 0}f}"
    cells[3] = cells[3].replace(f"[{quoted[1]}]", f"[{total}]")
    cells[4] = re.sub(r"[\d.]+", figure if unit == "bits/dim" else f"{each:#.4g}", cells[4])
    return "|".join(cells)


def costs():
    """{kind of images: [[model, bits an image, what it is], ...]}: the table of chapter 9."""
    found, kind = {}, None
    for line in (DOCS / "09-priors-and-bits.md").read_text().splitlines():
        cells = [LINK.sub(r"\1", cell).strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[\d,.]+", cells[2]):
            kind = cells[0].partition(",")[0] or kind
            found.setdefault(kind, []).append([cells[1], float(cells[2].replace(",", "")),
                                               cells[4].partition(",")[0]])
    return found


# ---------------------------------------------------------------- exercises

TRIED = {
    10: ["return g * y", "return y * (g - (g * y).sum())"],
    39: ["return mu ** 2 + np.exp(v) - 1 - v, mu, (np.exp(v) - 1) / 2"],
    55: ["return np.arange(height * width).reshape(height, width) <= height * width // 2"]}


def with_exercises(page):
    """The text of a chapter with the list of its exercises, or of docs/exercises.md with three that
    are tried; of a page that has no such section, as it is."""
    sys.path.insert(0, str(DOCS.parent))  # where exercises is
    from exercises.__main__ import told
    from exercises.check import KINDS, check, exercises
    from exercises.solution import solved, written
    if page.name == "exercises.md":
        heading, lines = "## Three of them, tried", []
        for number, tries in TRIED.items():
            e = exercises()[number]
            tries = [*(written(e.text, lines) for lines in tries), solved(number)]
            for failed, text in enumerate(tries, 1):
                function = text[text.index(f"def {e.call}"):].strip()
                lines += ["```python", "# my/" + e.file, function, "```", "", "```",
                          f"$ python -m exercises {number}",
                          told(e, *check(number, text), failed), "```", ""]
    else:
        mine = [e for e in exercises().values() if e.chapter == int(page.name[:2])]
        heading, lines = "## Exercises", [
            f"`python -m exercises {mine[0].number}` begins the first, and checks what you write "
            "([how](exercises.md)).", "", *(
                f"{e.number}. [{e.title}](../exercises/{e.file}): {KINDS[e.kind]}" for e in mine),
            ""]
    return re.sub(rf"(?<=^{heading}\n\n).*?(?=^## |\Z)", lambda _: "\n".join([*lines, ""]),
                  page.read_text(), flags=re.M | re.S).rstrip("\n") + "\n"


def pages_with_exercises():
    return [*chapters(), DOCS / "exercises.md"]


def figures(folder):
    """Run every docs/draw_*.py; each writes into the folder what its docstring says."""
    folder.mkdir(parents=True, exist_ok=True)
    for script in sorted(DOCS.glob("draw_*.py")):
        start = time.perf_counter()
        subprocess.run([sys.executable, script, folder], check=True)
        print(f"{script.name}: {time.perf_counter() - start:.1f} s", flush=True)


def cells(text):
    """(kind, source) of a chapter's parts: markdown, or the code between two outputs; "raises" for
    code whose output is a traceback."""
    end = 0
    for fence in FENCE.finditer(text):
        if ">>>" not in fence[2]:
            continue
        yield "markdown", text[end:fence.start()]
        code = ""
        for example in doctest.DocTestParser().get_examples(fence[2]):
            code += example.source
            if example.want:
                yield "raises" if example.exc_msg else "code", code
                code = ""
        yield "code", code
        end = fence.end()
    yield "markdown", text[end:]


FIRST = """# Run this first: it finds scratchnet, or fetches it, as an online service needs.
import os
import subprocess
import sys

if os.path.isdir("../scratchnet/fast"):
    os.chdir("..")
elif not os.path.isdir("scratchnet/fast"):
    subprocess.run(["git", "clone", "--depth", "1", {address!r}, "repository"], check=True)
    os.chdir("repository")
sys.path.insert(0, os.getcwd())
from IPython.display import Image"""


def address():
    """Where this clone, or fork, comes from."""
    found = subprocess.run(["git", "remote", "get-url", "origin"], cwd=DOCS, capture_output=True,
                           text=True)
    return found.stdout.strip() or "the address of the repository"


def parts(text):
    """The cells of a notebook: those of the chapter, its pictures as code that shows them, which
    finds them wherever the notebook is."""
    yield "code", FIRST.format(address=address())
    for kind, source in cells(text):
        if kind == "markdown":
            for words, picture in PICTURE.findall(source):
                yield "markdown", words
                yield "code", picture and f'Image("docs/images/{picture}", width=820)'
        else:
            yield kind, source


def notebook(chapter):
    """Write and run CHAPTER.ipynb; an error in a cell is raised, but where the chapter shows it."""
    import nbclient
    import nbformat
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell,
           "raises": functools.partial(nbformat.v4.new_code_cell,
                                       metadata={"tags": ["raises-exception"]})}
    book = nbformat.v4.new_notebook(cells=[new[kind](source.strip()) for kind, source in
                                           parts(chapter.read_text()) if source.strip()])
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3",
                            resources={"metadata": {"path": str(DOCS)}}).execute()
    path = chapter.with_suffix(".ipynb")
    nbformat.write(book, path)
    return path


# ---------------------------------------------------------------- slides

MARP = "@marp-team/marp-cli@4.5.1"
BROWSER = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SHRINKS = 'data-auto-scaling="downscale-only"|width: 100%; height: auto;'
FIND_OVERFLOW = """<script>addEventListener("load", () => {
  const found = [];
  document.querySelectorAll("section").forEach((slide, k) => {
    const edge = slide.getBoundingClientRect(), room = edge.height / 72;  // 10 of 720 pixels
    for (const part of slide.querySelectorAll("*")) {
      const box = part.getBoundingClientRect();
      if (box.width && (box.bottom > edge.bottom - room || box.right > edge.right - room ||
                        box.top < edge.top + room || box.left < edge.left + room ||
                        part.parentElement === slide && part.scrollWidth > part.clientWidth + 1))
        { found.push(`${k + 1} (${part.tagName.toLowerCase()})`); break; }
    }
  });
  document.body.dataset.overflow = found.join(", ") || "none";
});</script>"""


def marp(source, path, *how):
    """A page of a deck of slides, by Marp; the pictures' paths are relative to docs/."""
    environment = os.environ | {"CHROME_PATH": BROWSER, "CHROME_NO_SANDBOX": "1"}
    subprocess.run(["npx", "--yes", MARP, "--allow-local-files", "--no-stdin", *how, source, "-o",
                    path.resolve()], check=True, env=environment, cwd=DOCS)


def overflow(source):
    """Which slides have something beyond their edge, and what: "2 (p), 5 (img)", or "none"."""
    page = DOCS / "slides-check.html"
    try:
        marp(source, page, "--template", "bare")
        text = page.read_text().replace("</body>", FIND_OVERFLOW + "</body>")
        # Marp would make a long line of code or a long formula fit, by making it small
        page.write_text(re.sub(SHRINKS, "", text))
        seen = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--dump-dom",
                               "--virtual-time-budget=10000", page.as_uri()],
                              check=True, capture_output=True, text=True).stdout
    finally:
        page.unlink(missing_ok=True)
    found = re.search(r'data-overflow="([^"]*)"', seen)
    return found[1] if found else "unknown"


def slides(folder, source=DOCS / "slides.md"):
    """Write slides.html, slides.pdf and slides.pptx. Raises SystemExit if a slide overflows."""
    if not BROWSER or not shutil.which("npx"):
        raise SystemExit("slides: need Node.js (npx) and Chromium or Chrome")
    if (found := overflow(source)) != "none":
        raise SystemExit(f"slides: beyond the edge of slide {found}")
    folder.mkdir(parents=True, exist_ok=True)
    for kind, how in (("html", []), ("pdf", ["--pdf"]), ("pptx", ["--pptx"])):
        marp(source, folder / f"slides.{kind}", *how)
    page = folder / "slides.html"  # in one piece, wherever it is put
    page.write_text(re.sub(r'images/[\w-]+\.png', lambda name: "data:image/png;base64," +
                           base64.b64encode((DOCS / name[0]).read_bytes()).decode(),
                           page.read_text()))


def main(command=None, *rest):
    if command == "figures" and len(rest) <= 1:
        figures(Path(rest[0] if rest else DOCS / "images"))
    elif command == "equations" and not rest:
        (DOCS / "equations.md").write_text(equations())
    elif command == "results" and not rest:
        for page in pages():
            page.write_text(with_results(page.read_text()))
    elif command == "exercises" and not rest:
        for page in pages_with_exercises():
            page.write_text(with_exercises(page))
    elif command == "notebooks":
        for chapter in map(Path, rest or chapters()):
            start = time.perf_counter()
            print(f"{notebook(chapter)}: {time.perf_counter() - start:.1f} s", flush=True)
    elif command == "slides" and len(rest) <= 1:
        slides(Path(rest[0] if rest else DOCS / "slides"))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
