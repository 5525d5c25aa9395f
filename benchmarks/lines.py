"""Lines of each part of the code, and the longest function of each.

    python -m benchmarks.lines [CHECKOUT]
"""

import ast
import sys
from pathlib import Path

PARTS = {  # part: files, where they are and where they were before the house had three parts
    "math": ["scratchnet/*.py", "scratchnet/ops/*.py", "models/*.py"],
    "speed": ["scratchnet/fast/*.py", "scratchnet/parallel.py", "scratchnet/stream.py",
              "scratchnet/parts.py"],
    "plumbing": ["scratchnet/runs/*.py", "*.py", "models/recipes.py"] + [
        f"scratchnet/{n}.py" for n in ("cli", "flags", "runs", "checkpoint", "data", "synthetic",
                                       "figures", "errors")],
}


def functions(path):
    """(lines, name) of every function in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node.end_lineno - node.lineno + 1, f"{path.name}: {node.name}"


def main(root="."):
    files = {}
    for part, patterns in PARTS.items():  # a later part takes a file from an earlier one
        for pattern in patterns:
            files.update(dict.fromkeys(Path(root).glob(pattern), part))
    for part in PARTS:
        own = [path for path, p in files.items() if p == part]
        lines = sum(len(path.read_text().splitlines()) for path in own)
        longest, name = max((f for path in own for f in functions(path)), default=(0, ""))
        print(f"{part:10} {lines:6,} lines in {len(own)} files; the longest function: "
              f"{longest}, {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
