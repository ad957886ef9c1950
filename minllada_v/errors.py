"""Mistakes in what the user gave, told apart from bugs of ours."""

import json
import sys
from pathlib import Path


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


def kind_of(path: str | Path) -> str:
    """What `path` leads to: "file", "folder", "nothing", or "device", which pipes are too. Raises `InputError` where it
    cannot be followed."""
    path = Path(path)
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else "device" if path.exists() else "nothing"
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def read_json(path: Path) -> dict:
    """The JSON object in the file `path`. Raises `InputError` if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; a checkpoint folder needs it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value
