"""The book as HTML: docs/*.md, their pictures, and the sources that they link to.

    book = Book()
    book.pages                       {"01-chain-rule.html": docs/01-chain-rule.md, ...}
    book.page("01-chain-rule.html")  its HTML, readable without JavaScript; book.js makes it run

Markdown by markdown-it-py, formulas as MathML by latex2mathml: pip install -e ".[explore]".
"""

import doctest
import functools
import posixpath
import re
import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path

from scratchnet.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s:#]+)")
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
MISSING = 'the book as a page needs pip install -e ".[explore]"; as Markdown it is in docs/'
PAGE = """<!doctype html>
<html lang="en" data-engine="">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: scratchnet</title>
<link rel="icon" href="{top}page/icon.svg">
<link rel="stylesheet" href="{top}page/style.css">
<script type="module" src="{top}page/book.js"></script>
</head>
<body class="book">
<a class="skip" href="#main">to the content</a>
<header>
  <a class="home" href="{top}index.html">scratchnet</a>
  <nav aria-label="the book"><a href="{index}">The book</a></nav>
  <button id="theme" aria-label="dark or light" hidden>◐</button>
</header>
<main id="main" tabindex="-1">
{body}
</main>
</body>
</html>
"""


class Book:
    """pages: {address below book/: file}, all that may be read: the pages of docs/, and what they
    and pretrained/README.md link to."""

    def __init__(self):
        self.pages, queue = {}, sorted((ROOT / "docs").glob("*.md"))
        self.addresses = {}  # {file: address}
        while queue:
            file = queue.pop()
            if file in self.addresses:
                continue
            self.addresses[file] = address_of(file)
            self.pages[self.addresses[file]] = file
            if is_text(file):
                links = LINK.findall(FENCED.sub("", file.read_text(encoding="utf-8")))
                queue += [path for path in ((file.parent / link).resolve() for link in links)
                          if path.is_relative_to(ROOT) and path.exists()]

    def page(self, address):
        """The HTML of a page, or the bytes of a picture. KeyError if there is no such page."""
        file = self.pages[address]
        if file.suffix == ".png":
            return file.read_bytes()
        top = "../" * (address.count("/") + 1)
        title, body = self.rendered(file) if is_text(file) else listed(file)
        return PAGE.format(title=escape(title), body=body, top=top,
                           index=posixpath.relpath("index.html", posixpath.dirname(address) or "."))

    def rendered(self, file):
        """(title, HTML) of Markdown."""
        tokens = markdown().parse(file.read_text(encoding="utf-8"))
        title = file.name
        for k, token in enumerate(tokens):
            if token.type == "heading_open" and token.tag == "h1" and title == file.name:
                title = tokens[k + 1].content
            for part in token.children or []:
                for name in ("href", "src"):
                    if name in part.attrs:
                        part.attrs[name] = self.led(file, part.attrs[name])
            if "style" in token.attrs:  # of a column; the policy of the page allows no styles
                token.attrs["class"] = token.attrs.pop("style").partition(":")[2]
        body = markdown().renderer.render(tokens, markdown().options, {})
        if neighbours := re.search(r'<p><em><a href="index.html">.*?</p>', body):
            body += neighbours[0]  # at the end, too
        return title, body

    def led(self, file, link):
        """A link of a file, as one of its page."""
        path, _, place = link.partition("#")
        found = self.addresses.get((file.parent / path).resolve()) if path else None
        if found is None or ":" in path:
            return link
        here = posixpath.dirname(self.addresses[file]) or "."
        return posixpath.relpath(found, here) + ("#" + place if place else "")


def address_of(file):
    """Where a file's page lies, below book/."""
    path = file.relative_to(ROOT)
    if path.parts[0] == "docs" and is_text(file):
        return "index.html" if path.stem == "README" else f"{path.stem}.html"
    if path.parts[:2] == ("docs", "images"):
        return f"images/{path.name}"
    return f"source/{path.as_posix()}" + ".html" * (file.suffix != ".png")


def is_text(file):
    return file.suffix == ".md" and file.name != "slides.md"  # those are for another program


def listed(file):
    """(title, HTML) of a source, or of a folder."""
    path = file.relative_to(ROOT).as_posix()
    text = "\n".join(sorted(p.name for p in file.iterdir())) if file.is_dir() else file.read_text(
        encoding="utf-8")
    return path, f"<h1>{escape(path)}</h1>\n<pre><code>{escape(text)}</code></pre>"


# ---------------------------------------------------------------- Markdown

@functools.cache
def markdown():
    """The parser. Raises UserError where the packages are missing."""
    try:
        import latex2mathml  # noqa: F401
        from markdown_it import MarkdownIt
        from mdit_py_plugins.anchors import anchors_plugin
        from mdit_py_plugins.dollarmath import dollarmath_plugin
    except ImportError:
        raise UserError(MISSING) from None
    found = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found.use(dollarmath_plugin, renderer=lambda text, how: mathml(text, how["display_mode"]))
    found.use(anchors_plugin, max_level=6, slug_func=slug)
    found.add_render_rule("fence", lambda self, tokens, k, *_: code(tokens[k].content))
    found.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
    found.add_render_rule("table_close", lambda *_: "</table></div>")
    return found


def slug(heading):
    """The name of a heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")


def code(text):
    """A block of code; one of doctest's as cells: the code with its prompts, and what is printed,
    which book.js makes editable and runs."""
    if ">>>" not in text:
        return f"<pre><code>{escape(text)}</code></pre>\n"
    return "".join(f'<div class="cell"{" data-raises" * raises}><pre class="in"><code>'
                   f'{escape(prompted)}</code></pre>' +
                   f'<pre class="out"><samp>{escape(want)}</samp></pre>' * bool(want) + "</div>\n"
                   for prompted, want, raises in cells(text))


def cells(block):
    """(code with its prompts, what it prints, whether that is a traceback), cut after each output,
    as docs/book.py cuts the cells of a notebook."""
    prompted, lines = "", block.splitlines(keepends=True)
    for example in doctest.DocTestParser().get_examples(block):
        prompted += "".join(lines[example.lineno:][:example.source.count("\n")])
        if example.want:
            yield prompted, example.want, bool(example.exc_msg)
            prompted = ""
    if prompted:
        yield prompted, "", False


# ---------------------------------------------------------------- formulas

FUNCTIONS = {"log", "exp", "tanh", "cosh", "sinh", "cos", "sin"}
LONG = 20  # letters of a formula that may take more than a line
SPACE = {"width": "0.167em"}


def mathml(formula, display):
    """A formula of TeX as MathML. Its number, by \\tag, is text beside it."""
    from latex2mathml.converter import convert
    number = re.search(r"\\tag\{([\d.]+)\}", formula)
    formula = re.sub(r"\\tag\{.*?\}", "", formula).strip()
    found = ET.fromstring(convert(formula, display="block" if display else "inline"))
    prefix = "{http://www.w3.org/1998/Math/MathML}"
    for element in found.iter():
        element.tag = element.tag.removeprefix(prefix)
    mend(found)
    if not display:
        return "".join(map(as_text, pieces(found)))
    text = as_text(found)
    number = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="equation"><div class="wide">{text}</div>{number}</div>\n'


def pieces(formula):
    """A formula of a line of text; a long one cut before its relations and sums and after its
    commas, since browsers break lines between formulas alone."""
    row = formula[0] if len(formula) == 1 and formula[0].tag == "mrow" else formula
    parts = [[]]
    for k, element in enumerate(row):
        adds = is_sign(element, "+−") and element.get("form") is None
        if adds:
            element.set("form", "infix")
        if k and len("".join(row.itertext())) > LONG and (
                adds or is_sign(element, "=≤≥<>≈∼←") or is_sign(row[k - 1], ",")):
            parts.append([])
        parts[-1].append(element)
    for part in parts:
        piece = ET.Element("math", formula.attrib)
        ET.SubElement(piece, "mrow").extend(part)
        yield piece


def as_text(formula):
    return ET.tostring(formula, encoding="unicode")


def is_sign(element, signs):
    return element.tag == "mo" and element.text in signs


def mend(row):
    """What latex2mathml leaves to be wished for: names of several letters are one name; a minus
    after a sign is a sign; functions stand apart from their neighbours; accents lie close."""
    for element in row:
        mend(element)
    if row.tag == "mover" and row[1].text in "~¯^":
        row.set("accent", "true")
    if row.text == "∂":
        row.tag = "mi"
    elif row.text == "/":
        row.attrib |= {"lspace": "0", "rspace": "0"}
    elif row.text in (";", ":"):
        row.tag, row.attrib = "mo", {"lspace": "0", "rspace": "0.2em"}
    if row.tag not in ("math", "mrow", "mtd"):
        return
    parts = []
    for element in list(row):
        before = parts[-1] if parts else None
        if is_upright(element) and before is not None and is_upright(before):
            before.text += element.text
            continue
        if is_sign(element, "−+±") and (before is None or before.tag == "mo"
                                        and not is_sign(before, ")]⊤")):
            element.set("form", "prefix")
        if is_function(element) and before is not None and before.tag not in ("mo", "mspace"):
            parts.append(ET.Element("mspace", SPACE))
        if before is not None and is_function(before) and element.tag not in ("mo", "mspace") \
                and not (element.tag == "mrow" and len(element) and element[0].get("fence")):
            parts.append(ET.Element("mspace", SPACE))
        parts.append(element)
    for element in parts:
        if is_upright(element) and len(element.text) > 1:
            del element.attrib["mathvariant"]  # a name of several letters is upright by itself
    row[:] = parts


def is_upright(element):
    return element.tag == "mi" and element.get("mathvariant") == "normal"


def is_function(element):
    """log, also with an index or a power."""
    if element.tag in ("msub", "msup", "msubsup"):
        element = element[0]
    return element.tag == "mi" and element.text in FUNCTIONS
