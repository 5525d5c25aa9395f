"""What is done to inputs by the readers of tests/fuzz.py: bytes and JSON, with something wrong."""

import json

# Values that a reader may meet where it expects another.
ODD = [None, True, False, -1, 0, 1, 3, 0.5, -0.0, 1 << 31, 1 << 64, 10 ** 400, -10 ** 400, 1e308,
       5e-324, float("inf"), float("-inf"), float("nan"), "", " ", "\0", "a\nb", "\ud800",
       "\U0010ffff", "x" * 300, "y/" * 3000, "../../x", "/dev/null/x", "~nosuchuser", "-x",
       "--out=x", "--", "=", "--lr=--", "none", "vae", "mnist", "cifar10", "synthetic", "1", "12",
       "1_0", "0x10", "1" * 400, "1e3", "1e-400", "nan", "-inf", "\xe9\u200f", "%s", "{}", [], {},
       [[]], [1, "2"], [-1], [10 ** 30], [1.5], {"a": 1}, [None], "\r", "\x1b[31m"]


def pick(rng, things):
    return things[int(rng.integers(len(things)))]


def broken(rng, content):
    """Bytes with one kind of damage."""
    content, n = bytearray(content), len(content)
    a, b = sorted(int(v) for v in rng.integers(0, n + 1, 2))
    b = min(b, a + pick(rng, (1, 4, 50, 5000)))
    kind = rng.integers(8)
    if kind <= 2 and n:
        for _ in range(pick(rng, (1, 1, 2, 20))):
            content[rng.integers(n)] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        del content[a:]
    elif kind == 4:
        del content[a:b]
    elif kind == 5:
        content[a:a] = content[a:b]
    elif kind == 6:
        content[a:b] = rng.bytes(b - a)
    else:
        content[a:b] = bytes(b - a)
    return bytes(content)


def parts_of(tree):
    """Every (container, key) in a tree of JSON."""
    found = []
    for key in range(len(tree)) if isinstance(tree, list) else list(tree):
        found.append((tree, key))
        if isinstance(tree[key], (list, dict)):
            found += parts_of(tree[key])
    return found


def changed_tree(rng, tree):
    """JSON text of a tree in which one to three things are wrong."""
    tree = json.loads(json.dumps(tree))
    for _ in range(pick(rng, (1, 1, 2, 3))):
        change(rng, tree)
    text = json.dumps(tree)
    if rng.random() < 0.15:
        text = broken(rng, text.encode()).decode("latin-1")
    return pick(rng, ("[" * 5000, '{"a":' * 5000, text[:-1])) if rng.random() < 0.03 else text


def change(rng, tree):
    """One value another, gone, in the place of another, doubled under another name."""
    if not (places := parts_of(tree)):
        return
    (part, key), (other, other_key) = pick(rng, places), pick(rng, places)
    kind = rng.integers(6)
    value = json.loads(json.dumps(part[key]))
    if kind <= 2:
        part[key] = json.loads(json.dumps(pick(rng, ODD)))
    elif kind == 3:
        del part[key]
    elif kind == 4:
        other[other_key] = value
    elif isinstance(part, dict):
        part[str(pick(rng, ODD))] = value
    else:
        part.append(pick(rng, ODD))
