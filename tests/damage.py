"""What happens to a file: it is cut, some of its bits flip, a part is lost or comes twice, somebody
edits it as text."""

import re

ODD = ["", "-1", "0", "1", "1.5", "x", "nan", "1e999", "null", "true", "[]", "{}", "\xe9", "--",
       "-x", "a\nb", "\x1b[31m", "x" * 300, "1" * 400]


def pick(rng, things):
    return things[int(rng.integers(len(things)))]


def damaged(rng, content):
    """The bytes of a file with one kind of damage."""
    return pick(rng, [cut, flipped, spliced, edited])(rng, content)


def cut(rng, content):
    return content[:rng.integers(len(content) + 1)]


def flipped(rng, content):
    content = bytearray(content)
    for _ in range(pick(rng, (1, 1, 2, 20))):
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def spliced(rng, content):
    """A part is lost, comes twice, or is overwritten with another."""
    a = int(rng.integers(len(content)))
    b = min(len(content), a + pick(rng, (1, 4, 50, 5000)))
    return pick(rng, [content[:a] + content[b:], content[:b] + content[a:],
                      content[:a] + rng.bytes(b - a) + content[b:]])


def edited(rng, content):
    """One word or number is another, or gone."""
    words = [*re.finditer(rb"\w+", content)]
    word = pick(rng, words)
    return content[:word.start()] + pick(rng, ODD).encode() + content[word.end():]
