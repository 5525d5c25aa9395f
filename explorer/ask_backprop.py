"""What the page asks of the tape: an expression, or a model's loss on one image, forward and back.

docs/01-chain-rule.md. An expression is read as a syntax tree and computed node by node: names,
numbers, + - * / ** @, a minus sign, and calls of the functions in FUNCTIONS. Nothing else of Python
is run.
"""

import ast
import contextlib
import copy
import inspect
import json
import re
from collections import Counter

import numpy as np

from scratchnet import Tensor, conv, losses, no_grad, ops, tensor
from scratchnet.backend import to_numpy, xp
from scratchnet.draw import bytes_of, folded, rows_of, shape_of
from scratchnet.training import classes, generator

from .answers import Wrong, asked, integer
from .runs import grid_of

LONGEST = 200  # characters of an expression
MOST_NODES, MOST_LEAVES, MOST_NUMBERS = 60, 8, 36  # of an expression; of one leaf
LARGEST = 4096  # numbers of a result within it
EPS = 1e-5  # of central differences; docs/01-chain-rule.md derives the best
FUNCTIONS = {f.__name__: f for f in (
    ops.exp, ops.log, ops.sqrt, ops.tanh, ops.sigmoid, ops.softplus, ops.relu, ops.elu, ops.clip,
    ops.gate, ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.power, ops.matmul, ops.transpose,
    ops.sum, ops.mean, ops.max, ops.softmax, ops.log_softmax, ops.logsumexp, ops.straight_through,
    ops.linear, losses.mse, losses.bce_with_logits, losses.gaussian_kl,
    losses.softmax_cross_entropy)} | {"detach": Tensor.detach}
OPERATORS = {ast.Add: ops.add, ast.Sub: ops.sub, ast.Mult: ops.mul, ast.Div: ops.div,
             ast.Pow: ops.power, ast.MatMult: ops.matmul}
OPTIONS = {"axis": int, "keepdims": bool, "low": float, "high": float, "alpha": float}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}")


# ---------------------------------------------------------------- an expression

@asked
def expression_leaves(runs, expression):
    """The names of the expression's leaves, as they come, and the functions that there are."""
    return {"leaves": names_in(parsed(expression)), "functions": sorted(FUNCTIONS)}


@asked
def tape(runs, expression, leaves):
    """The tape of an expression, forward and back, and finite differences beside each gradient.

    leaves: {name: number, list of numbers or lists, or those as text}. Computed in float64. Of a
    result with several numbers the way back begins at their sum. rows: see told; differences: of
    each leaf.
    """
    root = parsed(expression)
    values = leaves_of(names_in(root), leaves)

    def loss(arrays, spoken=None):
        made = {name: Tensor(array, requires_grad=True)
                for name, array in arrays.items()}
        with np.errstate(all="ignore"):
            return made, computed(root, made, spoken)
    with values_kept():
        spoken = {}
        made, y = loss(values, spoken)
        if not isinstance(y, Tensor) or y.node is None:
            raise Wrong("expression: has no operation on a leaf that gets a gradient; try x * w")
        with np.errstate(all="ignore"):
            found = told(y, made, rows_of(y, made), spoken)

    @no_grad()
    def total(name, array):
        return float(loss(values | {name: array})[1].data.sum())
    return found | {"differences": [compared(name, made[name], values[name], total)
                                    for name in values]}


def parsed(expression):
    """The expression's tree. Raises Wrong with the part that cannot be in it."""
    if not isinstance(expression, str) or not 0 < len(expression.strip()) <= LONGEST:
        raise Wrong(f"expression: needs 1 to {LONGEST} characters, such as tanh(x * w + b)")
    try:
        root = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        at = (error.text or expression)[max(0, (error.offset or 1) - 1):][:12].strip()
        raise Wrong(f"expression: cannot be read at {at or 'its end'!r}") from None
    except (ValueError, MemoryError, RecursionError):
        raise Wrong("expression: cannot be read") from None
    nodes = list(ast.walk(root))
    if sum(isinstance(node, ast.expr) for node in nodes) > MOST_NODES:
        raise Wrong(f"expression: has more than {MOST_NODES} parts")
    check(root)
    if len(names_in(root)) > MOST_LEAVES:
        raise Wrong(f"expression: has more than {MOST_LEAVES} leaves")
    return root


def check(node):
    """Raise Wrong for a part that is neither a name, a number, an operator nor a call."""
    part = ast.unparse(node)[:40]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if abs(node.value) > 1e6:
            raise Wrong(f"expression: {part} is too large")
    elif isinstance(node, ast.Name):
        if node.id in FUNCTIONS:
            raise Wrong(f"expression: {node.id} is a function; call it, as in {node.id}(x)")
        if not NAME.fullmatch(node.id):
            raise Wrong(f"expression: {part!r} cannot be a leaf's name; use letters and digits")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        check(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        check(node.left)
        check(node.right)
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            raise Wrong(f"expression: {ast.unparse(node.func)[:40]!r} is no function here; there "
                        f"are {', '.join(sorted(FUNCTIONS))}")
        for keyword in node.keywords:
            option(keyword)
        for argument in node.args:
            check(argument)
    else:
        raise Wrong(f"expression: {part!r} cannot be in it; names, numbers, + - * / ** @ and calls "
                    f"can")


def option(keyword):
    """The value of a keyword such as axis=0. Raises Wrong."""
    value = keyword.value
    sign = -1 if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub) else 1
    value = value.operand if sign < 0 else value
    kind = OPTIONS.get(keyword.arg)
    right = {int: (int,), bool: (bool,), float: (int, float)}.get(kind, ())
    if not isinstance(value, ast.Constant) or type(value.value) not in right:
        raise Wrong(f"expression: {ast.unparse(keyword)[:40]!r} cannot be in it; axis=0, "
                    f"keepdims=True, low=0, high=1 and alpha=1 can")
    return sign * value.value if kind is not bool else value.value


def names_in(root):
    """The leaves' names, as they come."""
    called = {id(node.func) for node in ast.walk(root) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(root) if isinstance(node, ast.Name)
             and id(node) not in called]
    return list(dict.fromkeys(n.id for n in sorted(names, key=lambda n: n.col_offset)))


def leaves_of(names, given):
    """{name: float64 array of the values given for it}."""
    if not isinstance(given, dict):
        raise Wrong('leaves: needs {"x": 2, ...}')
    return {name: leaf(name, given.get(name)) for name in names}


def leaf(name, value):
    needs = f"{name}: needs a number, or a list such as [1, 2] or [[1, 2], [3, 4]]"
    if value is None:
        raise Wrong(f"{name}: has no value yet; write a number, or a list such as [1, 2]")
    if isinstance(value, str):
        try:
            value = json.loads(value[:1000])
        except (ValueError, RecursionError):
            raise Wrong(f"{needs}, not {value[:20]!r}") from None
    try:
        array = np.asarray(value)
    except ValueError:
        raise Wrong(f"{needs}; its rows must be of one length") from None
    if array.dtype.kind not in "iuf" or array.ndim > 2:
        raise Wrong(needs)
    if not 1 <= array.size <= MOST_NUMBERS:
        raise Wrong(f"{name}: needs 1 to {MOST_NUMBERS} numbers, not {array.size}")
    array = array.astype(np.float64)
    if not (np.abs(array) <= 1e6).all():
        raise Wrong(f"{name}: needs numbers from -1e6 to 1e6")
    return array


def computed(node, leaves, spoken=None):
    """The Tensor, or number, of this part of the expression. spoken: gets {tape's node: part}."""
    def inner(part): return computed(part, leaves, spoken)
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        return leaves[node.id]
    with failing(node):
        if isinstance(node, ast.UnaryOp):
            value = inner(node.operand)
            y = -value if isinstance(value, float) else ops.neg(value)
        elif isinstance(node, ast.BinOp):
            y = arithmetic(type(node.op), inner(node.left), inner(node.right))
        else:
            options = {keyword.arg: option(keyword) for keyword in node.keywords}
            y = called(node.func.id, [inner(argument) for argument in node.args], options)
    if isinstance(y, Tensor) and y.size > LARGEST:
        raise Wrong(f"expression: {ast.unparse(node)[:40]!r} has {y.size} numbers; at most "
                    f"{LARGEST}")
    if spoken is not None and isinstance(y, Tensor) and y.node is not None:
        spoken[y.node] = ast.unparse(node)
    return y


def arithmetic(operator, a, b):
    if operator is ast.Pow and not isinstance(b, float):
        raise ValueError("the exponent must be a number, not a leaf")
    if not isinstance(a, float) or not isinstance(b, float):
        return OPERATORS[operator](a, b)
    y = {ast.Add: lambda: a + b, ast.Sub: lambda: a - b, ast.Mult: lambda: a * b,
         ast.Div: lambda: a / b, ast.Pow: lambda: a ** b}.get(operator, lambda: None)()
    if not isinstance(y, float):
        raise ValueError("two numbers have no such result")
    return y


def called(name, given, options):
    if name == "detach" and not (len(given) == 1 and isinstance(given[0], Tensor)):
        raise ValueError("detach takes one leaf, or what is computed from leaves")
    if name == "softmax_cross_entropy" and len(given) == 2 and isinstance(given[1], Tensor):
        given = [given[0], whole(given[1].data)]  # classes are indices: nothing to derive by
    if given and not any(isinstance(part, Tensor) for part in given):
        given[0] = Tensor(np.float64(given[0]))  # exp(1), in float64 as the leaves
    return FUNCTIONS[name](*given, **options)


def whole(array):
    if (array % 1).any():
        raise ValueError("its labels must be whole numbers: classes")
    return array.astype(np.int64)


@contextlib.contextmanager
def failing(node):
    """What an op says of its inputs becomes a sentence with the part of the expression."""
    try:
        yield
    except Wrong:
        raise
    except ArithmeticError:
        raise Wrong(f"expression: {ast.unparse(node)[:60]!r} is no number that can be computed"
                    ) from None
    except (IndexError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise Wrong(f"expression: in {ast.unparse(node)[:60]!r}: {said[:200]}") from None


# ---------------------------------------------------------------- a model's loss

@asked
def loss_tape(runs, run, image=0):
    """The same of a model's loss on one test image: norms and ranges in the place of numbers, and
    what repeats is folded. Its differences are asked for one by one, as loss_difference."""
    model, x, noise, how = loss_of(runs, run, image)
    named = model.named_parameters()
    model.zero_grad()
    with values_kept():
        y, _ = model.loss(x, noise, **how)
        rows, _ = folded(rows_of(y, named))
        found = told(y, named, rows, {})
    model.zero_grad()
    return found


@asked
def loss_difference(runs, run, name, image=0):
    """<dL/dp, d> of one parameter p of a model's loss, and finite differences along d, a random
    direction of length 1, in float64."""
    model, x, noise, how = loss_of(runs, run, image)
    model = copy.deepcopy(model).astype(np.float64)
    p = model.named_parameters().get(name) if isinstance(name, str) else None
    if p is None:
        raise Wrong(f"name: {str(name)[:40]!r} is no parameter of this model")
    x, noise = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in (x, noise))
    model.loss(x, noise, **how)[0].backward()
    d = generator(0, "pictures").standard_normal(p.shape)
    d /= np.linalg.norm(d)
    analytic = 0.0 if p.grad is None else float((to_numpy(p.grad) * d).sum())
    here = p.data

    @no_grad()
    def at(step):
        p.data = here + step * xp.asarray(d)
        return model.loss(x, noise, **how)[0].item()
    numeric = (at(EPS) - at(-EPS)) / (2 * EPS)
    return {"gradient": words(np.float64(analytic)),
            "numeric": words(np.float64(numeric).round(8) + 0), **agreement(analytic, numeric)}


def loss_of(runs, name, image):
    """(model, x, noise, {"labels"} or nothing) of the loss on one image."""
    run = runs.of(name, "loss")
    images, labels, _ = runs.test_images(name)
    image = integer("image", image, 0, len(images) - 1)
    x = grid_of(runs, name, image)
    noise = generator(0, "evaluation").standard_normal((1, run.model.noise_dim), dtype=np.float32)
    return run.model, x, noise, classes(run.model, labels[[image]])


# ---------------------------------------------------------------- what is told of a tape

class Valued(tensor.Node):
    """A node that keeps its result, which the tape itself has no need of."""

    __slots__ = ("value",)

    def __init__(self, y, *rest):
        super().__init__(y, *rest)
        self.value = y


@contextlib.contextmanager
def values_kept():
    """Within this, what is recorded keeps its values, to be shown."""
    tensor.Node, before = Valued, tensor.Node
    try:
        yield
    finally:
        tensor.Node = before


def told(y, leaves, rows, spoken):
    """{rows, back, leaves, kept}: the tape of y, told to the page. It is used up.

    rows: what draw.Row has, with the forward value and the whole gradient of each. back: the way
    back, a step for each op, the newest first: {"row", "parts"}, each part what it gives to one
    input ("to"), by which derivative, of how many parts ("from"), and their sum so far. Of a row
    that stands for several, `times`, the numbers are those of the first.
    """
    edges = {row.key: row.key.edges for row in rows if row.op != "leaf"}
    kept = {}
    y.backward(xp.ones(y.shape, y.dtype), keep=kept)
    places = {key: row.number for row in rows for key in [row.key, *row.copies]}
    uses = Counter(source for found in edges.values() for source, _ in found)
    back, sums = [], {}
    for row in reversed([row for row in rows if row.op != "leaf"]):
        parts = []
        for source, derivative in edges[row.key]:
            part = derivative(kept[row.key])
            sums[source] = part if source not in sums else sums[source] + part
            parts.append({"to": places[source], "by": derivative.__name__,
                          "from": uses[source], "part_words": words(part),
                          "sum_words": words(sums[source])})
        back.append({"row": row.number, "parts": parts})
    reached = set(places)
    return {"rows": [told_row(row, kept, spoken) for row in rows], "back": back,
            "result": shape_of(y.shape), "seed": words(np.ones(y.shape)),
            "kept": bytes_of(sum(row.kept * (1 + len(row.copies)) for row in rows)) or "nothing",
            "leaves": [{"name": name, "shape": shape_of(t.shape),
                        "none": t.grad is None or t not in reached} for name, t in leaves.items()]}


def told_row(row, kept, spoken):
    leaf = row.op == "leaf"
    value, gradient = (row.key.data, row.key.grad) if leaf else (row.key.value, kept.get(row.key))
    return {"name": row.name or spoken.get(row.key, ""), "op": row.op, "shape": shape_of(row.shape),
            "sources": row.sources, "without": [shape_of(s) for s in row.without],
            "kept": bytes_of(row.kept), "times": 1 + len(row.copies),
            "doc": "" if leaf else formula(row.op), "value_words": words(value),
            "gradient_words": words(gradient)}


def formula(op):
    """The docstring of an op, to the last line that has a derivative."""
    function = next((getattr(place, op) for place in (ops, losses, conv) if hasattr(place, op)),
                    None)
    lines = (inspect.getdoc(function) or "").split("\n") if function else []
    last = max((k for k, line in enumerate(lines) if "dL/d" in line), default=0)
    return "\n".join(lines[:last + 1])


def words(array):
    """[1, -0.25]; of many numbers their range and norm; of None "none"."""
    if array is None:
        return "none"
    array = to_numpy(array)
    if array.size <= 12:
        def said(part):
            return f"[{', '.join(map(said, part))}]" if isinstance(part, list) else f"{part:.4g}"
        return said(array.tolist())
    if array.dtype.kind in "iu":
        return f"{array.min()} to {array.max()}"
    return f"{array.min():.3g} to {array.max():.3g}, norm {np.linalg.norm(array):.3g}"


def compared(name, t, value, total):
    """Of a leaf: its gradient beside central differences, element by element."""
    if t.grad is None:
        return {"name": name, "gradient": "none", "numeric": "", "agrees": True, "apart": ""}
    numeric, gradient = np.empty(value.shape), to_numpy(t.grad)
    for index in np.ndindex(*value.shape):
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * EPS
            try:
                sides.append(total(name, moved))
            except Wrong:  # a target of 1, say, that would be above it
                return {"name": name, "gradient": words(gradient), "agrees": True, "apart": "",
                        "numeric": "at an end of what the function takes: cannot be moved"}
        numeric[index] = (sides[0] - sides[1]) / (2 * EPS)
    return {"name": name, "gradient": words(gradient), "numeric": words(numeric.round(8) + 0),
            **agreement(gradient, numeric)}


def agreement(gradient, numeric):
    """As near as differences in float64 come: an error of about EPS^2, and rounding over EPS."""
    error = np.abs(gradient - numeric)
    return {"apart": f"{np.max(error):.0e}",
            "agrees": bool((error <= 1e-7 + 1e-6 * np.abs(numeric)).all())}
