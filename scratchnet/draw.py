"""The tape, drawn: what an op recorded, from what, and what it keeps for the way back.

    graph = scratchnet.draw(loss, model, h=h)           # before backward(), which uses the tape up
    print(graph)                                        # a line for each op
    loss.backward(keep=graph.gradients)
    graph.save("loss.svg")                              # now with the norm of each gradient

A notebook shows the picture by itself. Rows that repeat, as a network's blocks do, are folded into
one block. docs/01-chain-rule.md reads such a graph from its end.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from .arraylike import op_of
from .backend import to_numpy, xp
from .tensor import Tensor

LONGEST = 200  # rows of a block that is looked for


@dataclass
class Row:
    """A node of the tape, or a leaf (key). number: among the rows; sources: those of its inputs;
    without: shapes of inputs that get no gradient; kept: bytes; copies: the keys of the same row in
    the other repetitions of its block."""

    number: int
    key: object
    name: str
    op: str
    shape: tuple
    sources: list = field(default_factory=list)
    without: list = field(default_factory=list)
    kept: int = 0
    copies: list = field(default_factory=list)


@dataclass
class Graph:
    """rows, inputs before what is made of them; blocks: [(first row, rows, times), ...] of what is
    repeated; gradients: {node: dL/dy}, which backward(keep=...) fills."""

    rows: list
    blocks: list
    gradients: dict = field(default_factory=dict)

    def norm(self, key):
        """The length of dL/d(this), of a leaf that of its .grad; None before backward(keep=...)."""
        g = key.grad if self.gradients and isinstance(key, Tensor) else self.gradients.get(key)
        return None if g is None else float(np.linalg.norm(to_numpy(g)))

    def norms(self, row):
        """That of a row; of a folded one the smallest and the largest: "0.12 to 3.4"."""
        found = [n for n in map(self.norm, [row.key, *row.copies]) if n is not None]
        ends = sorted({f"{n:.3g}" for n in found}, key=float)
        return " to ".join([ends[0], ends[-1]] if len(ends) > 1 else ends)

    def kept(self):
        """The bytes that all rows keep for the way back."""
        return sum(row.kept * (1 + len(row.copies)) for row in self.rows)

    def __str__(self):
        margins = {}
        for first, length, times in self.blocks:
            margins |= dict.fromkeys(range(first, first + length), "| ")
            margins[first] = f"| {times} times:\n| "
        lines = [["", "op", "shape", "from", "keeps", "|gradient|"]]
        for row in self.rows:
            given = [self.called(i).rpartition(".")[2] for i in row.sources]
            lines.append([self.called(row.number), row.op, shape_of(row.shape), ", ".join(
                given + [f"[{shape_of(s)}]" for s in row.without]), bytes_of(row.kept),
                self.norms(row)])
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [margins.get(k - 1, "") + "  ".join(
            cell.ljust(w) for cell, w in zip(line, wide, strict=True)) for k, line in
            enumerate(lines)]
        text.append(f"kept for the way back: {bytes_of(self.kept()) or 'nothing'}"
                    + "; [in brackets]: gets no gradient" * any(row.without for row in self.rows))
        return "\n".join(line.rstrip() for line in "\n".join(text).split("\n"))

    def called(self, i):
        return self.rows[i].name or str(i + 1)

    def _repr_svg_(self):
        return picture(self)

    def save(self, path):
        """Write the picture, an SVG."""
        Path(path).write_text(picture(self), encoding="utf-8")


def draw(y, /, model=None, **names):
    """The Graph of what was recorded for a Tensor y: print(it), it.save("y.svg"). It holds the
    tape, as y does.

    model: a Module, whose parameters have its names for them. names: Tensors, by the names that
    they shall have. Raises ValueError for a Tensor that was not recorded, or whose tape backward()
    has used up, and TypeError for a name of what is no Tensor.
    """
    if not isinstance(y, Tensor) or y.node is None or y.node.edges is None:
        raise ValueError("draw(y): nothing is on the tape of y: it is a leaf, or was computed "
                         "under no_grad(), or backward() has used the tape up; draw before it")
    named = model.named_parameters() if model is not None else {}
    for name, t in names.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"draw(y, {name}=...): a Tensor can have a name in the graph, and this "
                            f"is a {type(t).__name__}")
    called = {t if t.node is None else t.node: name for name, t in {**named, **names}.items()}
    rows, places, seen = [], {}, {}
    for node in nodes_of(y.node):
        for source, _ in node.edges:
            if isinstance(source, Tensor) and source not in places:
                places[source] = len(rows)
                rows.append(Row(len(rows), source, called.get(source, ""), "leaf", source.shape))
                whole = memory_of(source.data)
                seen[id(whole)] = whole.nbytes  # it is there, whatever the tape keeps
        derivatives = [derivative for _, derivative in node.edges]
        places[node] = len(rows)
        rows.append(Row(len(rows), node, called.get(node, ""), op_of(derivatives[0])[0],
                        node.shape,
                        list(dict.fromkeys(places[source] for source, _ in node.edges)),
                        [shape for shape in node.without if shape], bytes_kept(derivatives, seen)))
    return Graph(*folded(rows))


def nodes_of(last):
    """All nodes that the last was computed from, and itself, the oldest first."""
    found, todo = {last}, [last]
    while todo:
        node = todo.pop()
        if node.edges is None:
            raise ValueError("draw(y): nothing is on the tape of a part that y was computed from: "
                             "backward() has used it up; draw before it")
        for source, _ in node.edges:
            if not isinstance(source, Tensor) and source not in found:
                found.add(source)
                todo.append(source)
    return sorted(found, key=lambda node: node.number)


def bytes_kept(functions, seen):
    """The bytes of the arrays that these functions hold, each counted where it is seen first; of
    views no more than there is memory. seen: {memory: bytes counted}."""
    total, todo, functions = 0, list(functions), set()
    while todo:
        held = todo.pop()
        if isinstance(held, Tensor):
            held = held.data
        if isinstance(held, (list, tuple)):
            todo += held
        elif hasattr(held, "__code__") and held not in functions:
            functions.add(held)
            todo += [cell.cell_contents for cell in held.__closure__ or ()]
            todo += held.__defaults__ or ()
        elif isinstance(held, xp.ndarray):
            whole = memory_of(held)
            before = seen.get(id(whole), 0)
            seen[id(whole)] = min(whole.nbytes, before + held.nbytes)
            total += seen[id(whole)] - before
    return total


def memory_of(array):
    """Of a view, the array that has the memory; of another array itself."""
    while getattr(array, "base", None) is not None and isinstance(array.base, xp.ndarray):
        array = array.base
    return array


def folded(rows):
    """The rows without those that repeat the ones before them, and the blocks. Rows are alike that
    do the same with what is as far away."""
    kinds = [(row.op, row.shape, [row.number - i for i in row.sources], row.without)
             for row in rows]
    kept, blocks, new = [], [], {}
    k = 0
    while k < len(rows):
        best = 1, 1  # rows of the block, how often
        for length in range(1, min(LONGEST, (len(rows) - k) // 2) + 1):
            n = k + length
            while n < len(rows) and kinds[n] == kinds[n - length]:
                n += 1
            times = (n - k) // length
            if times > 1 and length * times > max(3, best[0] * best[1]):
                best = length, times
        length, times = best
        for j in range(k, k + length):
            new[j] = len(kept)
            row = rows[j]
            row.copies = [rows[j + t * length].key for t in range(1, times)]
            row.number, row.sources = len(kept), [new[i] for i in row.sources]
            kept.append(row)
        for j in range(k + length, k + length * times):
            new[j] = new[j - length]
        if times > 1:
            blocks.append((new[k], length, times))
        k += length * times
    return kept, blocks


def shape_of(shape):
    return " x ".join(map(str, shape)) or "a number"


def bytes_of(n):
    """1.2 MB; nothing of 0."""
    power = min(3, (len(str(n)) - 1) // 3)
    return f"{n / 1000 ** power:.3g} {('B', 'kB', 'MB', 'GB')[power]}" if n else ""


# ---------------------------------------------------------------- as a picture

WIDE, HIGH, DOWN, LETTER = 190, 54, 80, 4.9  # pixels: a box, a level, a letter beside it
STYLE = """text{font:12px sans-serif;fill:#222;text-anchor:middle}.op{font-weight:bold}
.norm{fill:#b3261e}.side{font-size:10px;fill:#555;text-anchor:end}.dead{font-size:10px;fill:#555;
text-anchor:start}rect{fill:#eef3f9;stroke:#4e79a7}.leaf{fill:#fff}.block{fill:none;stroke:#888;
stroke-dasharray:5 4}path{fill:none;stroke:#888;stroke-width:1.3}"""


def picture(graph):
    """The graph as an SVG, from the top down. A parameter of one op stands at its left, what gets
    no gradient at its right."""
    rows = graph.rows
    beside = {i for row in rows if row.without or any(rows[i].op != "leaf" for i in row.sources)
              for i in row.sources if rows[i].op == "leaf"
              and sum(i in other.sources for other in rows) == 1}
    levels, lanes = laid_out(rows, beside)
    said = {k: [f"{rows[i].name}: " + (f"|g| = {graph.norms(rows[i])}" if graph.norms(rows[i]) else
                                       shape_of(rows[i].shape)) for i in rows[k].sources
                if i in beside] for k in levels}
    dead = {k: [f"no gradient: {shape_of(shape)}" for shape in rows[k].without] for k in levels}
    def room(*words): return 40 + round(LETTER * sum(max(map(len, w), default=0) for w in words))
    at_lane = {(lanes[k], levels[k]): k for k in levels}
    between = [room(said[k], dead.get(at_lane.get((lanes[k] - 1, levels[k])), [])) for k in levels
               if lanes[k]]
    left, right = (max(map(room, words.values())) for words in (said, dead))
    across = WIDE + max(90, right, *between)
    def at(k): return left + lanes[k] * across, 20 + levels[k] * DOWN  # a box's upper left corner
    arrows, boxes = [], []
    for k in levels:
        x, y = at(k)
        arrows += [arrow(*at(i), x, y) for i in rows[k].sources if i in levels]
        boxes += box(graph, rows[k], said[k], dead[k], x, y)
    for first, length, times in graph.blocks:  # a frame for each run of a block in one lane
        block = sorted((lanes[k], levels[k], k) for k in range(first, first + length)
                       if k in levels)
        starts = [n for n, (lane, level, _) in enumerate(block)
                  if not n or block[n - 1][:2] != (lane, level - 1)]
        for n, end in zip(starts, [*starts[1:], len(block)], strict=True):
            (x, y), (_, last) = at(block[n][2]), at(block[end - 1][2])
            boxes.append(f'<rect class="block" x="{x - 7}" y="{y - 7}" width="{WIDE + 14}" '
                         f'height="{last - y + HIGH + 14}" rx="8"/>'
                         + text("dead", x + WIDE + 10, last + HIGH + 2, f"{times} times"))
    wide = left + WIDE + right + across * max(lanes.values())
    high = 40 + HIGH + DOWN * max(levels.values())
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
            f'height="{high}"><style>{STYLE}</style><marker id="end" viewBox="0 0 8 8" refX="7" '
            f'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0L8,4L0,8z" '
            f'style="fill:#888"/></marker><rect width="100%" height="100%" '
            f'style="fill:#fff;stroke:none"/>{"".join(arrows + boxes)}</svg>\n')


def laid_out(rows, beside):
    """({row: level}, {row: lane}) of all rows but those beside others: below its inputs, and what
    is made of parameters alone just above where it is used; the longest way to the result in one
    lane, what joins it in lanes of its own."""
    levels, lanes, taken, alone = {}, {}, set(), set()
    for k, row in enumerate(rows):
        if k not in beside:
            levels[k] = 1 + max((levels[i] for i in row.sources if i in levels), default=-1)
            if row.op == "leaf" or len(row.sources) == 1 and row.sources[0] in alone:
                alone.add(k)
    below = {}
    for k in reversed(levels):
        if k in alone and k in below:
            levels[k] = below[k] - 1
        for i in rows[k].sources:
            below[i] = min(below.get(i, len(rows)), levels[k])
    for k in reversed(levels):
        way = []
        while k is not None and k not in lanes:
            way.append(k)
            k = max((i for i in rows[k].sources if i in levels and i not in lanes),
                    key=levels.get, default=None)
        if way:
            span = range(levels[way[-1]], levels[way[0]] + 1)
            lane = next(n for n in range(len(rows)) if not taken & {(n, v) for v in span})
            taken |= {(lane, v) for v in span}
            lanes |= dict.fromkeys(way, lane)
    return levels, lanes


def arrow(x0, y0, x, y):
    """From the box at x0, y0 to that at x, y: downwards; past others, around them."""
    if y - y0 <= DOWN:
        x0, y0, x = x0 + WIDE / 2, y0 + HIGH, x + WIDE / 2
        curve = f"{x0},{(y0 + y) / 2} {x},{(y0 + y) / 2}"
    else:
        y0, y = y0 + HIGH / 2, y + HIGH / 3
        far = min(110, 30 + (y - y0) / 10)
        before = far if x0 <= x else -far
        after = far if x <= x0 else -far
        x0, x = (x0 + WIDE if before > 0 else x0), (x + WIDE if after > 0 else x)
        curve = f"{x0 + before},{y0} {x + after},{y}"
    return f'<path d="M{x0},{y0}C{curve} {x},{y}" marker-end="url(#end)"/>'


def box(graph, row, said, dead, x, y):
    """A row, what is said of the parameters beside it, and of what gets no gradient."""
    kind, name = ("leaf", row.name) if row.op == "leaf" else (
        "", f"{row.name} = {row.op}" if row.name else row.op)
    keeps = f", keeps {bytes_of(row.kept)}" if row.kept else ""
    norm = graph.norms(row)
    lines = [("op", name), ("", shape_of(row.shape) + keeps), ("norm", norm and f"|g| = {norm}")]
    return [f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="5"/>',
            *(text(c, x + WIDE / 2, y + 16 + 16 * n, line) for n, (c, line) in enumerate(lines)),
            *(text("side", x - 10, y + 20 + 14 * n, line) for n, line in enumerate(said)),
            *(text("dead", x + WIDE + 10, y + 16 + 14 * n, line) for n, line in enumerate(dead))]


def text(kind, x, y, words):
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>' if words else ""
