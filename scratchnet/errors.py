"""Errors that are the user's to mend.

Every script catches `UserError`, prints its message without a traceback and
exits with code 2. A message says what was wrong, what is accepted, and what to
do next.
"""

import shutil
import textwrap


def shown(text, longest=60):
    """What was given, for a message: quoted, and not all of it if it is long."""
    return repr(text if len(text) <= longest else f"{text[:longest - 10]}...")


def printable(text):
    """Text that somebody else wrote (the name of a file, say), with what a terminal would obey and
    what nothing can show (an undecodable byte) as escape codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_brief(error):
    """What another library's error says, in one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if words.isprintable() and len(words) <= 200 else shown(words, 200)


def an(name):
    """"an autoencoder", "a vae"."""
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def columns():
    """Of the terminal, or $COLUMNS; 80 where there is neither; 40 where there are fewer."""
    return max(40, shutil.get_terminal_size().columns)


def fitted(text, indent=2):
    """A paragraph in lines of 79 characters, or less in a narrower terminal, so far as its words
    allow; all but the first indented."""
    return textwrap.fill(text, min(80, columns()) - 1, subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False)


class UserError(Exception):
    """Something the user gave cannot be used; the message says what to do."""


class BackendError(UserError):
    """The array library asked for is missing, or has no GPU to work on."""


class DataError(UserError):
    """A data set is missing, damaged, or cannot be downloaded."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or belongs to something else."""


class RunError(UserError):
    """A run folder or a flag cannot be used as asked."""


class ProcessError(UserError):
    """A process that trains together with this one failed, or was killed."""


class DivergenceError(UserError):
    """A loss became NaN or infinite, or far larger than that of the untrained model."""
