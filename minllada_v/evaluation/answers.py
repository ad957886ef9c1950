"""The one resumable file of answers, of `generate --batch` and of `evaluate`.

Its lines are JSON: the first says how the answers were made, `{"settings": …}` with a fingerprint of the weights, and
each other one is the record of a question: `id`, `digest`, and what was answered, or an `error`. Lines are only ever
added, so whatever ends a run, what it has answered stays, and the same command goes on from there. Of several records
of one id the last counts.

An answer is taken over only if it was given to the same question (see `questions.digest`; the bytes of pictures count)
by the same weights and settings. Other weights or settings are refused by name. A question that has changed, or that
could not be answered, is asked again.

The file is locked for the whole run, and the lock dies with its process. Under torchrun each process answers its share
of the questions, and all of them append to the one file. A kill or a full disk may leave half a line; the next run
leaves it out, and its question is asked again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from tqdm import tqdm

from ..errors import InputError, quote
from ..files import kind_of
from ..model import LLaDAV
from ..processes import rank_and_size
from .questions import Question, digest

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None

FORMAT = 2
START = f'{{"settings": {{"format": {FORMAT}, '.encode()  # of its first line
RUN, WRITE = 0, 1  # the bytes that are locked: for a run, and for a write of one of its processes
AT_ONCE = 2**22  # bounds the 64-bit products of a fingerprint
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by a number's size in bytes


class AnswerFile:
    """The file `path`, or nothing but memory without one. `records` holds the last record of each id."""

    def __init__(self, path: Path | None):
        """Raises `InputError` if the file is none of ours, another run uses it, or it cannot be written. What is in it
        stays as it is."""
        self.path, self.file, self.settings, self.records = path, None, {}, {}
        self.digests: dict[Path, str] = {}  # of pictures that were read in this run
        self.rank, self.processes = rank_and_size()
        # Processes may end their shares hours apart, and the usual group does not wait that long.
        self.group = dist.new_group(backend="gloo", timeout=timedelta(days=30)) if dist.is_initialized() else None
        self.device = path is not None and kind_of(path) in ("device", "pipe")  # without an end, so it is never read
        if self.processes > 1 and (path is None or self.device):
            raise InputError("the answers of several processes meet in a file; name one with --out FILE")
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = path.open("ab" if self.device else "a+b", buffering=0)  # every write goes to the end
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from None
        try:
            if fcntl and self.rank == 0 and not self.device:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, RUN)
        except OSError as error:
            raise InputError(f"{path} is in use by another run, or cannot be locked ({error.strerror}); name another "
                             "--out") from None
        if self.rank == 0:
            self.read()

    def __enter__(self) -> "AnswerFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, *_):
        if self.file is not None:
            self.file.close()
            if error is not None and self.records:
                error.add_note(f"{self.path} holds what was answered, and the same command goes on from there")

    def read(self) -> int:
        """Read what the file holds now; returns the length of its whole lines."""
        if self.file is None or self.device:
            return 0
        self.file.seek(0)
        content = self.file.read()
        length = content.rfind(b"\n") + 1
        try:
            if not length:  # new, or cut short at once
                if content[:len(START)] != START[:len(content)]:
                    raise ValueError
                return 0
            first, *others = content[:length].splitlines()
            head = json.loads(first)
            self.settings = {} if "id" in head and {"text", "error"} & {*head} else dict(head["settings"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{self.path} exists and holds no answers of ours; name another --out") from None
        if self.settings.get("format") != FORMAT:
            raise InputError(f"{self.path} was written by an earlier version, which did not note what its answers "
                             "depend on; name another --out")
        self.records = {record["id"]: record for record in map(_record, others) if record}
        return length

    def begin(self, settings: dict):
        """Say how answers are made from now on. Raises `InputError` if the file holds answers made in another way."""
        settings = json.loads(json.dumps({"format": FORMAT, **settings}))
        if self.file is not None and self.rank == 0:
            length, first_line = self.read(), json.dumps({"settings": settings}).encode() + b"\n"
            for name in (settings | self.settings) if length else ():
                if self.settings.get(name) != settings.get(name):
                    raise InputError(f"{self.path} holds answers with {name} {quote(self.settings.get(name))}, and now "
                                     f"it is {quote(settings.get(name))}; name another --out")
            if not self.device:
                self.file.truncate(length)  # a kill may have left half a line
            if not length:
                self._write(first_line)
        self.meet()
        if self.rank > 0:
            self.read()

    def fill(
        self,
        questions: Sequence[Question],
        prompts: Callable[[Question], Sequence[str]],
        ask: Callable[[Sequence[Question]], list[dict]],
        batch_size: int,
        title: str,
    ):
        """Ask this process's share of what has no answer yet, and write down every batch: `ask` returns what is known
        of each of its questions, or an `error`. At the end process 0 has the records of all."""
        share = questions[self.rank::self.processes]  # of all: other processes may have found more answers, or fewer
        waiting = [question for question in share if not self.answers(question, prompts(question))]
        tokens, start = 0, time.perf_counter()
        with tqdm(total=len(share), initial=len(share) - len(waiting), desc=title, unit="question",
                  disable=self.rank > 0) as bar:
            for first in range(0, len(waiting), batch_size):
                batch = waiting[first:first + batch_size]
                digests = [digest(question, prompts(question), self.digests) for question in batch]
                replies = iter(ask([question for question in batch if not question.error]))
                records = [{"id": question.id, "digest": name}
                           | ({"error": question.error} if question.error else next(replies))
                           for question, name in zip(batch, digests, strict=True)]
                self.add(records)
                tokens += sum(len(record.get("tokens", ())) for record in records)
                if tokens:
                    bar.set_postfix_str(f"{tokens / (time.perf_counter() - start):.1f} tokens/s")
                bar.update(len(batch))
        self.meet()
        if self.processes > 1 and self.rank == 0:
            self.read()

    def answers(self, question: Question, prompts: Sequence[str]) -> bool:
        """Whether the file holds an answer to this very question."""
        record = self.records.get(question.id)
        return bool(record) and "error" not in record and record["digest"] == digest(question, prompts, self.digests)

    def add(self, records: Sequence[dict]):
        """Write down what was answered. Raises OSError where the disk is full."""
        new = [record for record in records if self.records.get(record["id"]) != record]  # not an old error once more
        if self.file is not None:
            self._write("".join(json.dumps(record) + "\n" for record in new).encode())
        self.records |= {record["id"]: record for record in new}

    def meet(self):
        """Wait until all processes of this run are here."""
        if self.group is not None:
            dist.barrier(self.group)

    def _write(self, text: bytes):
        """Put `text` at the end, while no other process of this run does so."""
        try:
            if fcntl and not self.device:
                fcntl.lockf(self.file, fcntl.LOCK_EX, 1, WRITE)
            while text:  # a disk that is full takes a part, and then complains
                text = text[self.file.write(text):]
            if fcntl and not self.device:
                fcntl.lockf(self.file, fcntl.LOCK_UN, 1, WRITE)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None


def _record(line: bytes) -> dict | None:
    """The record of a line; None if a full disk has cut it short."""
    try:
        record = json.loads(line)
        return record if type(record["id"]) in (str, int) and type(record["digest"]) is str else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def fingerprint(model: LLaDAV) -> str:
    """A few letters that change with any weight, with the config and with the type of the arithmetic, wherever the
    model lies.

    The bits of each tensor are read as whole numbers, and summed up modulo 2^64, each times an odd number that depends
    on its place: no change of a single weight leaves such a sum as it is. One pass over the weights, as a step makes.
    """
    digest = hashlib.sha256(f"{model.compute_dtype} {model.config}".encode())
    for name, tensor in model.state_dict().items():
        bits = tensor.detach().flatten().view(BITS[tensor.element_size()])
        total = 0
        for first in range(0, len(bits), AT_ONCE):
            some = bits[first:first + AT_ONCE].long()
            places = torch.arange(first, first + len(some), device=bits.device)
            total += (some * (places * 0x9E3779B97F4A7C1 | 1)).sum().item()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {total % 2**64}".encode())
    return digest.hexdigest()[:16]
