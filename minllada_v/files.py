"""Files from outside and files of ours: what is read ends, and what is written is whole or not there."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from .errors import InputError

MOST_TEXT = 2**24  # characters from standard input, a thousand times what a model can read


def kind_of(path: str | Path) -> str:
    """What `path` leads to: "file", "folder", "pipe", "device" or "nothing". Raises `InputError` where it cannot be
    followed."""
    path = Path(path)
    try:
        return ("file" if path.is_file() else "folder" if path.is_dir() else "pipe" if path.is_fifo()
                else "device" if path.exists() else "nothing")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def check_file(path: str | Path, wanted: str = "a file"):
    """Raises `InputError` unless `path` is a file. A pipe or a device, which may have no end, is none."""
    kind = kind_of(path)
    if kind == "nothing":
        raise InputError(f"{path} does not exist")
    if kind != "file":
        raise InputError(f"{path} is a {kind}, not {wanted}")


def read_file(path: str | Path) -> bytes:
    """The content of a file. Raises `InputError` if there is none, or it cannot be read."""
    check_file(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def read_json(path: Path) -> dict:
    """The JSON object in the file `path`. Raises `InputError` if there is none."""
    if kind_of(path) == "nothing":
        raise InputError(f"{path} is missing; a checkpoint folder needs it")
    try:
        value = json.loads(read_file(path).decode("utf-8-sig"))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value


def read_input(read: Callable[[int], str]) -> str:
    """What `sys.stdin.read` or `sys.stdin.readline` gives. Raises `InputError` if it does not come to an end."""
    text = read(MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise InputError(f"standard input holds more than {MOST_TEXT:,} characters, more than any model can read")
    return text


def beside(path: Path) -> Path:
    """Where the content of `path` is written before it takes that name. A link stays a link."""
    path = path.resolve()
    return path.with_name(path.name + ".unfinished")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Within `with`, the name of a file to write. It takes the place of `path` at the end, and is gone where anything
    failed. Raises an `OSError` that names `path` where it cannot be written."""
    unfinished = beside(Path(path))
    try:
        with naming(path):
            yield unfinished
            os.replace(unfinished, Path(path).resolve())
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within `with`, an `OSError` says that `path` cannot be written. That of a full disk does not say where it was."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # either can report a full disk
        raise OSError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
