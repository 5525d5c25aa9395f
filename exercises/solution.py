"""The library's lines, by name, and an exercise's page with them written in.

    scratchnet.ops.reductions.softmax.dx        the body of that function
    scratchnet.losses.gaussian_kl: y =          the statement in it that begins so
    da = scratchnet.ops.arithmetic.mul.da       what that function returns, called da
    docs/09-priors-and-bits.md: low, width      a line of the book's code
"""

import ast
import builtins
import importlib
import re
import textwrap
import types

from .check import FOLDER, exercises

ROOT = FOLDER.parent


def lines_of(name):
    """(file, number of the first line, the lines) of such a name. Raises LookupError if there is no
    such thing."""
    called, name = re.fullmatch(r"(?:(\w+) = )?(\w+[./].*)", name).groups()
    where, _, start = name.partition(": ")
    if where.endswith(".md"):
        text = (ROOT / where).read_text(encoding="utf-8")
        for k, line in enumerate(text.splitlines(), 1):
            if (code := re.sub(r"^(>>>|\.\.\.) ", "", line).strip()).startswith(start):
                return where, k, code
        raise LookupError(name)
    file, names = module(where)
    source = file.read_text(encoding="utf-8")
    node = ast.parse(source)
    for part in names:
        node = next((n for n in ast.walk(node) if n is not node
                     and getattr(n, "name", None) == part), None)
        if node is None:
            raise LookupError(name)
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(
        s.value, ast.Constant))]
    if start:
        body = [s for s in ast.walk(node) if isinstance(s, ast.stmt)
                and ast.get_source_segment(source, s).startswith(start)][:1]
        if not body:
            raise LookupError(name)
    first, last = body[0], body[-1]
    lines = source.splitlines()[first.lineno - 1:last.end_lineno]
    code = (ast.get_source_segment(source, first) if len(lines) == 1
            else textwrap.dedent("\n".join(lines)))
    if called:
        code = re.sub(r"^return ", f"{called} = ", code, flags=re.M)
    return file.relative_to(ROOT).as_posix(), first.lineno, code


def module(dotted):
    """The file of module.name.name, and the names in it."""
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        file = ROOT.joinpath(*parts[:cut]).with_suffix(".py")
        if file.exists():
            return file, parts[cut:]
    raise LookupError(dotted)


def library(number):
    """The library's lines as they stand there, each with its file and number; "" for a prediction,
    whose solution is what running gives."""
    told, before = "", None
    for name in exercises()[number].answer.solution:
        file, line, code = lines_of(re.sub(r"^\w+ = ", "", name))
        if file != before:
            told, before = told + "\n" * bool(told) + f"{file}:\n\n", file
        told += f"{line:4}  " + textwrap.indent(code, "      ").strip() + "\n"
    return told and told + "\n"


def solved(number):
    """The exercise's page with the solution in the place of NotImplementedError."""
    exercise = exercises()[number]
    answer = exercise.answer
    if exercise.kind == "predict":
        found = [v.tolist() if hasattr(v, "tolist") else v for v in answer.reference()]
        return written(exercise.text, "return " + ", ".join(
            f"np.array({v})" if isinstance(v, list) else repr(v) for v in found))
    code = "\n".join(lines_of(name)[2] for name in answer.solution)
    for old, new in answer.swap.items():
        code = code.replace(old, new)
    code = code.replace("xp.", "np.")
    if not answer.tensors:
        code = re.sub(r"(\w)\.data\b", r"\1", code)
    code = "\n".join(re.sub(r"  # .*", "", line) for line in [*code.splitlines(), answer.then])
    return written(exercise.text, "\n".join([*imports(exercise, code), code.strip("\n")]))


def written(text, code):
    """A page with this code in the place of NotImplementedError."""
    return re.sub(r"^( *)raise NotImplementedError.*\n",
                  lambda found: textwrap.indent(code, found[1]) + "\n", text, flags=re.M)


def imports(exercise, code):
    """Imports of the library's own names that the lines need, and the page does not have."""
    known = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)
             and not isinstance(n.ctx, ast.Load)} | set(dir(builtins))
    page = set(re.findall(r"\w+", exercise.text.rpartition('"""')[2]))
    found = ["import numpy as np"] if "np." in code and "np" not in page else []
    for name in sorted({n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}
                       - known - page - {"np"}):
        for where in exercise.answer.solution:
            if ".md" in where:
                continue
            file = re.sub(r"^\w+ = ", "", where).partition(": ")[0]
            dotted = ".".join(module(file)[0].relative_to(ROOT).with_suffix("").parts)
            value = vars(importlib.import_module(dotted)).get(name)
            if value is not None:
                found.append(f"import {value.__name__} as {name}".replace(f"{name} as {name}", name)
                             if isinstance(value, types.ModuleType) else
                             f"from {dotted} import {name}")
                break
    return found
