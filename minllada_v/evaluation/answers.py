"""The answers of an evaluation as JSON lines: the first line says how they were made, each other one is a question.

Lines are only ever added, so whatever ends a run, what it has answered stays, and the next run goes on behind it.
"""

import hashlib
import json
import os
from pathlib import Path

import torch

from ..errors import InputError
from ..files import kind_of
from ..model import LLaDAV


class AnswerFile:
    """The file `path`, or nothing but memory without one. `records` holds the newest record of each id."""

    def __init__(self, path: Path | None, settings: dict):
        """Raises `InputError` if the file was made with other `settings`, or is none of ours. It is left as it is."""
        self.path, self.records = path, {}
        if path is None:
            return
        first_line = json.dumps({"settings": settings}).encode() + b"\n"
        try:
            content = path.read_bytes() if kind_of(path) == "file" else b""  # a device may have no end
            if len(content) < len(first_line) and first_line.startswith(content):  # new, or killed at once
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(first_line)
                return
        except OSError as error:
            raise InputError(f"{path} cannot be used for the answers: {error.strerror}") from None
        whole = content[:content.rfind(b"\n") + 1]  # a kill may have cut the last line short
        try:
            first, *others = (json.loads(line) for line in whole.splitlines())
            before = dict(first["settings"])
            self.records = {record["id"]: record for record in others}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} exists and holds no answers of an evaluation; name another --out") from None
        for name in sorted({*before, *settings}):
            if before.get(name) != settings.get(name):
                raise InputError(f"{path} holds answers with {name} {before.get(name)}, and now it is "
                                 f"{settings.get(name)}; name another --out")
        if whole != content:
            os.truncate(path, len(whole))

    def add(self, records: list[dict]):
        """Write down what was answered. Raises OSError where the disk is full."""
        self.records |= {record["id"]: record for record in records}
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(record) + "\n" for record in records))


def fingerprint(model: LLaDAV) -> str:
    """A few letters that change with the weights and the type of the arithmetic, wherever the model lies. A few
    numbers of every tensor are enough, for training moves them all."""
    digest = hashlib.sha256(str(model.compute_dtype).encode())
    for name, tensor in model.state_dict().items():
        some = tensor.flatten()[:64].to("cpu", torch.float32)
        digest.update(f"{name} {tuple(tensor.shape)} {some.tolist()}".encode())
    return digest.hexdigest()[:16]
