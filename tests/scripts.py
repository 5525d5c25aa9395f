"""The scripts, called as a person calls them, but in this process."""

from models import RECIPES
from scratchnet.runs import cli


def train(*argv):
    """The exit code of train_mnist.py."""
    return cli.main("mnist", "", RECIPES["mnist"], [str(a) for a in argv])


def call(script, *argv):
    """That of another script, a module."""
    return cli.guarded(f"{script.__name__}.py", script.main, [str(a) for a in argv])


def refused(capsys, code):
    """The message of a call that gave this exit code: one line."""
    err = capsys.readouterr().err
    assert code == 2 and "error: " in err and err.count("\n") == 1 and len(err) < 600, err
    assert all(c.isprintable() or c == "\n" for c in err), err
    return err
