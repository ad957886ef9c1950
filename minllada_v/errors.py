"""Mistakes in what the user gave, told apart from bugs of ours."""

import sys


class InputError(ValueError):
    """A file, value or text from outside is wrong.

    The message is one line that says what was wrong, with which file or value, and what to do.
    The command line prints it and exits with code 2.
    """


class RunError(RuntimeError):
    """A run cannot go on. The message is one line that says why; the command line prints it and exits with code 1."""


def complain(problem: object, code: int) -> int:
    """Print `problem` as one line on stderr, for a command that then ends with the exit code `code`, which is
    returned. Control characters, which a file's name may hold, are left out."""
    words = " ".join(str(problem).split())
    print("minllada_v: " + "".join(filter(str.isprintable, words)), file=sys.stderr)
    return code


def quote(value: object, most: int = 200) -> str:
    """`value` as error lines show it: as Python writes it, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else text[:most - 1] + "…"
