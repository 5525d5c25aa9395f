"""Lines of each part of the code, its longest file and its longest function.

    python -m benchmarks.lines [CHECKOUT]
"""

import ast
import sys
from pathlib import Path

PARTS = {
    "math": ["scratchnet/*.py", "scratchnet/ops/*.py", "models/*.py"],
    "speed": ["scratchnet/fast/*.py"],
    "runs": ["scratchnet/runs/*.py", "models/recipes.py"],
    "scripts": ["*.py"],
    "page": ["explorer/*.py", "explorer/page/*.js"],
    "exercises": ["exercises/*.py", "exercises/answers/*.py"],
    "mistakes": ["mistakes/*.py"],
    "tests": ["tests/*.py", "tests/browser/*.py"],
}


def functions(path):
    """(lines, name) of every function in the file."""
    for node in ast.walk(ast.parse(path.read_text() if path.suffix == ".py" else "")):
        if isinstance(node, ast.FunctionDef):
            yield node.end_lineno - node.lineno + 1, f"{path.name}: {node.name}"


def main(root="."):
    files = {}
    for part, patterns in PARTS.items():  # a later part takes a file from an earlier one
        for pattern in patterns:
            files.update(dict.fromkeys(Path(root).glob(pattern), part))
    for part in PARTS:
        own = [path for path, p in files.items() if p == part]
        lines = {path: len(path.read_text().splitlines()) for path in own}
        file = max(own, key=lines.get)
        longest, name = max((f for path in own for f in functions(path)), default=(0, ""))
        print(f"{part:9} {sum(lines.values()):6,} lines in {len(own):2} files; the longest: "
              f"{lines[file]}, {file.name}; function: {longest}, {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
