"""Draws images/papers.png: which section of five papers is in which chapter, and which is not here,
from the tables of docs/11-papers.md.

    python docs/draw_papers.py
"""

import re

from drawing import BLUE, DOCS, GREEN, GREY, INK, ORANGE, PALE, RED, VIOLET, new_figure, save

COLOURS = BLUE, GREEN, ORANGE, RED, VIOLET
COLUMNS = (0, 1, 2), (3, 4)  # of the page: which papers
DOTS, STEP = 3.3, .36        # where the chapters' columns begin, and how far apart they are
WIDTH = 6.7


def papers():
    """{title: {section: (what it says, the chapters that have it)}} of the chapter's tables."""
    text, found = (DOCS / "11-papers.md").read_text(), {}
    heading = r"^## ([^\n]* \(\d{4}\.\d+\))\n"
    for title, body in re.findall(heading + r"(.*?)(?=^## )", text, re.M | re.S):
        sections = found[title] = {}
        for row in re.findall(r"^\| ((?:sec|app)\..*) \|$", body, re.M):
            part, about, here, _ = (cell.strip() for cell in row.split("|"))
            _, chapters = sections.setdefault(part.partition(",")[0], (about, set()))
            chapters |= {int(a or b) for a, b in re.findall(r"\[chapter (\d+)\]|\[\((\d+)\.", here)}
    return found


def main():
    found = list(papers().items())
    chapters = sorted({c for _, sections in found for _, of in sections.values() for c in of})
    rows = [sum(0.9 * len(found[k][1]) + 2.2 for k in column) for column in COLUMNS]
    figure = new_figure(11.5, 6.9, "Five papers, section by section: the chapter that has it",
                        "a dot: the chapter derives or uses it; grey, without a dot: not here")
    axes = figure.subplots()
    axes.set(xlim=(-.8, 2 * WIDTH - 1.2), ylim=(1 - max(rows), .5))
    axes.axis("off")
    for column, papers_of in enumerate(COLUMNS):
        left, y = column * WIDTH, 0
        x = {c: left + DOTS + STEP * k for k, c in enumerate(chapters)}
        for k in papers_of:
            (title, sections), colour = found[k], COLOURS[k]
            axes.text(left - .8, y, title, fontsize=10, fontweight="bold", color=colour,
                      va="center")
            y -= .9
            axes.text(x[chapters[0]] - .3, y, "chapter", fontsize=8.5, color=GREY, ha="right",
                      va="center")
            for c in chapters:
                axes.text(x[c], y, c, fontsize=8.5, color=GREY, ha="center", va="center")
            for part, (about, of) in sections.items():
                y -= .9
                tone = INK if of else "#999999"
                axes.text(left - .05, y, part, fontsize=9, ha="right", va="center", color=tone)
                axes.text(left + .05, y, about, fontsize=9, va="center", color=tone)
                axes.plot([x[chapters[0]] - .2, x[chapters[-1]] + .2], [y, y], color=PALE, lw=.6,
                          zorder=0)
                axes.scatter([x[c] for c in of], [y] * len(of), s=42, color=colour, lw=0)
            y -= 1.3
    save(figure, "papers.png", colours=128)


if __name__ == "__main__":
    main()
