"""What JSON has to look like to be used: forms, and the one function that compares.

A form is (words, test) for a plain value, [form] for a list, {name: form} for an object that has at
least these names; with {str: form} its other names are of that form too.
"""

import json
from pathlib import Path

from ..errors import RunError, in_brief, shown
from .files import read

LONGEST = 1 << 24  # bytes of a JSON file

COUNT = ("a whole number, 0 or more", lambda v: type(v) is int and 0 <= v < 1 << 63)
NUMBER = ("a finite number", lambda v: type(v) in (int, float) and abs(v) < 1e300)
TEXT = ("a line of text", lambda v: isinstance(v, str) and v.isprintable() and len(v) < 1000)


def misfit(value, form, where="it"):
    """What is wrong with a value, in words; None if it has the form."""
    if isinstance(form, tuple):
        words, test = form
        return None if test(value) else f"{where} is not {words}"
    if not isinstance(value, type(form)):
        return f"{where} is not {'a list' if isinstance(form, list) else 'an object'}"
    if isinstance(form, list):
        parts = ((v, form[0], f"an entry of {where}") for v in value)
    else:
        named = {name: form[name] for name in form if name is not str}
        if missing := [name for name in named if name not in value]:
            return f"{where} has no {missing[0]!r}"
        rest = {name: form[str] for name in value if name not in named} if str in form else {}
        parts = ((value[name], f, shown(name)) for name, f in {**named, **rest}.items())
    return next(filter(None, (misfit(*part) for part in parts)), None)


def read_config(folder):
    """What is in the config.json of a run. Raises RunError if it is not there, or is no JSON."""
    path = Path(folder, "config.json")
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder}: no run there ({path} does not exist); name the folder of a "
                       f"run, such as runs/vae-mnist") from None


def changed(path, why):
    """What to raise for a config.json that a run did not write."""
    return RunError(f"{path}: is no longer the file that the run wrote ({why}); restore it, or "
                    f"train again")


def read_json(path):
    """What is in a JSON file. Raises RunError if it is none."""
    return parsed(path, read(path, LONGEST))


def parsed(path, content):
    """What the bytes of a file say in JSON; in UTF-8, with a byte order mark or without."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=not_json)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: is not JSON: {in_brief(error)}; restore it, or name another file"
                       ) from None


def not_json(name):
    raise ValueError(f"{name} is no number")
