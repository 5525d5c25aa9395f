"""Draws images/papers.png: which section of five papers is in which file, and in which chapter,
from the tables of docs/11-papers.md.

    python docs/draw_papers.py
"""

import re
from dataclasses import dataclass

from drawing import BLUE, DOCS, GREEN, GREY, INK, ORANGE, RED, VIOLET, new_figure, save
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

COLOURS = BLUE, GREEN, ORANGE, RED, VIOLET
SECTIONS, FILES, CHAPTERS = 4.2, 6.9, 10.3  # where the three columns stand
WIDTH, HEIGHT = 13.5, 12.5


@dataclass
class Section:
    name: str    # sec. 2.2
    about: str
    ways: list   # of (file, chapter)


def papers():
    """[(title, sections)] of the chapter's tables."""
    text = (DOCS / "11-papers.md").read_text()
    heading = r"^## ([^\n]* \(\d{4}\.\d+\))\n"
    for title, body in re.findall(heading + r"(.*?)(?=^## )", text, re.M | re.S):
        sections = {}
        for row in re.findall(r"^\| ((?:sec|app)\..*) \|$", body, re.M):
            part, about, here, _ = (cell.strip() for cell in row.split("|"))
            part = part.partition(",")[0]
            section = sections.setdefault(part, Section(part, about, []))
            files = dict.fromkeys(map(file_of, re.findall(r"`([\w.]+)`", here)))
            chapters = re.findall(r"\[chapter (\d+)\]", here) or ["10"]
            section.ways += [(f, c) for f in files for c in chapters if (f, c) not in section.ways]
        yield title, list(sections.values())


def file_of(dotted):
    """models.vae.VAE.loss -> models/vae.py"""
    parts = dotted.split(".")
    return next(name for cut in range(len(parts), 0, -1)
                if (DOCS.parent / (name := "/".join(parts[:cut]) + ".py")).exists())


def titles():
    """{"5": "5. From the autoencoder to the VAE"}, from the book's first page."""
    found = re.findall(r"^\| \[((\d+)\. .*?)\]", (DOCS / "README.md").read_text(), re.M)
    return {number: title for title, number in found}


def stack(names, counts, gap):
    """{name: its upper edge}, one below the other, over the height of the page; the thickness of a
    band."""
    band = (HEIGHT - 0.6 - gap * (len(names) - 1)) / sum(counts[n] for n in names)
    edges, y = {}, HEIGHT - 0.3
    for name in names:
        edges[name] = y
        y -= band * counts[name] + gap
    return edges, band


def flow(axes, x0, x1, y0, y1, thick0, thick1, colour):
    """A band between two columns; y0 and y1 are its upper edges."""
    middle = (x0 + x1) / 2
    corners = [(x0, y0), (middle, y0), (middle, y1), (x1, y1), (x1, y1 - thick1),
               (middle, y1 - thick1), (middle, y0 - thick0), (x0, y0 - thick0), (x0, y0)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    axes.add_patch(PathPatch(Path(corners, codes), facecolor=colour, alpha=0.45, lw=0))


def main():
    found = list(papers())
    ways = [way for _, sections in found for s in sections for way in s.ways]
    places = {f: [k for k, way in enumerate(ways) if way[0] == f] for f, _ in ways}
    files = sorted(places, key=lambda f: sum(places[f]) / len(places[f]))  # few bands cross
    chapters = sorted({c for _, c in ways}, key=int)
    at_file, band = stack(files, {f: len(places[f]) for f in files}, 0.28)
    at_chapter, broad = stack(chapters, {c: sum(w[1] == c for w in ways) for c in chapters}, 0.5)
    counts = {name: [w[k] for w in ways].count(name)
              for k, names in ((0, files), (1, chapters)) for name in names}

    figure = new_figure(WIDTH, HEIGHT + 0.6, "Five papers, section by section: the file, and the "
                                             "chapter", "grey: not here")
    axes = figure.subplots()
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    for name, y in at_file.items():
        height = band * counts[name]
        axes.add_patch(Rectangle((FILES, y - height), 0.1, height, color=INK, lw=0))
        axes.text(FILES + 0.2, y - height / 2, name.removeprefix("scratchnet/"), va="center",
                  fontsize=11, color=INK, family="monospace", zorder=5,
                  bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5})
    for name, y in at_chapter.items():
        height = broad * counts[name]
        axes.add_patch(Rectangle((CHAPTERS, y - height), 0.1, height, color=INK, lw=0))
        text = titles()[name].replace(", and", ",\nand").replace(" autoencoder", "\nautoencoder")
        axes.text(CHAPTERS + 0.2, y - height / 2, text.replace("cross-", "\ncross-").replace(
            "papers with", "papers\nwith").replace("copy and", "copy\nand"), va="center",
            fontsize=11.5, color=INK)

    row = HEIGHT / (sum(len(s) for _, s in found) + 1.9 * len(found))
    in_file, in_chapter, y = dict(at_file), dict(at_chapter), HEIGHT + 0.1
    for (title, sections), colour in zip(found, COLOURS, strict=True):
        y -= 1.4 * row
        axes.text(0, y, title, fontsize=11.5, fontweight="bold", color=colour, va="center",
                  zorder=5, bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1})
        y -= 0.5 * row
        for section in sections:
            y -= row
            tone = INK if section.ways else "#aaaaaa"
            axes.text(0.75, y + row / 2, section.name, ha="right", va="center", fontsize=10,
                      color=colour if section.ways else tone, fontweight="bold")
            axes.text(0.85, y + row / 2, section.about, va="center", fontsize=10, color=tone)
            top, thick = y + 0.88 * row, 0.76 * row / max(1, len(section.ways))
            for file, chapter in section.ways:
                flow(axes, SECTIONS, FILES, top, in_file[file], thick, band, colour)
                flow(axes, FILES + 0.1, CHAPTERS, in_file[file], in_chapter[chapter], band, broad,
                     colour)
                top, in_file[file] = top - thick, in_file[file] - band
                in_chapter[chapter] -= broad
    for x, text in ((0, "paper"), (FILES, "file"), (CHAPTERS, "chapter")):
        axes.text(x, HEIGHT - 0.02, text, fontsize=10, color=GREY, style="italic")
    save(figure, "papers.png")


if __name__ == "__main__":
    main()
