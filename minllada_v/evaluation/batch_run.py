"""A file of questions to a file of answers: `python -m minllada_v.generate --batch FILE --out FILE`.

Both are JSON lines. A question has `prompt` and, if it wants to, `image` (a path or a list of paths, relative to the
file's folder) and `id` (text or a whole number; without one, the number of its line). Its record in the answers has
`id`, `text` and `tokens`, or `id` and `error`.

The file of answers is all that a run leaves and all that it needs to go on: whoever has a record there is not asked
again. Under torchrun every process answers its share of the questions, and all of them append to the one file, each
record with its line end in a single write while the others are locked out. A run that is killed within a write leaves
half a line; whoever writes next, or goes on, takes it away first, and its question is asked again.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..answer import Request, answer_batch
from ..errors import InputError, kind_of
from ..model import LLaDAV
from ..processes import rank_and_size
from ..sampler_config import SamplerConfig
from ..tokenizer import Tokenizer

try:
    import fcntl
except ImportError:  # Windows, where torchrun's processes must not share a file
    fcntl = None

Id = str | int
Line = tuple[Id, Request | InputError]  # a question, or what is wrong with its line


def read_questions(path: Path, system: str | None, sampler: SamplerConfig) -> list[Line]:
    """The lines of `path` that are not blank. Raises `InputError` if it cannot be read or two lines have one id."""
    if kind_of(path) == "nothing":
        raise InputError(f"{path} does not exist")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    lines, first_with = [], {}
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            identity, question = _parse(line, number, path.parent, system, sampler)
        except InputError as error:
            identity, question = number, error
        if identity in first_with:
            raise InputError(f"{path}: lines {first_with[identity]} and {number} have the same id {identity!r}; "
                             "give each an id of its own (a line without one has its number)")
        first_with[identity] = number
        lines.append((identity, question))
    return lines


def _parse(line: bytes, number: int, folder: Path, system: str | None, sampler: SamplerConfig) -> Line:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"it must be a JSON object, not a {type(values).__name__}")
    identity = number if values.get("id") is None else values["id"]
    if type(identity) not in (str, int):
        raise InputError(f"id must be text or a whole number, not {identity!r}")
    try:
        return identity, _request(values, folder, system, sampler)
    except InputError as error:
        return identity, error


def _request(values: dict, folder: Path, system: str | None, sampler: SamplerConfig) -> Request:
    prompt, images = values.get("prompt"), values.get("image")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError(f"prompt must be text that is not empty, not {prompt!r}")
    if values.get("video") is not None:
        raise InputError("a file of questions cannot ask about a video; use --video")
    images = [] if images is None else images if isinstance(images, list) else [images]
    if not all(isinstance(image, str) and image for image in images):
        raise InputError(f"image must be a path or a list of paths, not {values['image']!r}")
    return Request(prompt, [folder / image for image in images], system=system, sampler=sampler)


def read_records(path: Path) -> set[Id]:
    """The ids that have a record in `path` already; makes the file if there is none.

    Raises `InputError` if it cannot be written, or holds anything else than records: that is no file of ours.
    """
    try:
        with path.open("a+b") as file:
            _lock(file)
            file.seek(0)
            lines = file.read().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    ids = set()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            ids.add(record["id"])
            record.get("error") or record["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            if line and (number < len(lines) or not _is_torn(line)):
                raise InputError(f"{path}: line {number} is no answer that --batch wrote; name another file with --out"
                                 ) from None
    return ids


def append(path: Path, records: list[dict]):
    """Write `records` behind what `path` holds, after taking away half a line that a killed process has left."""
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    with path.open("a+b", buffering=0) as file:  # every write goes to the end, and all of `text` is one
        _lock(file)
        length = file.seek(0, 2)
        file.seek(max(0, length - 1))
        if length and file.read(1) != b"\n":
            file.seek(0)
            whole, line_end, rest = file.read().rpartition(b"\n")
            try:
                json.loads(rest)
                text = b"\n" + text  # only the line end is missing
            except ValueError:
                file.truncate(len(whole + line_end))
        while text:  # a disk that is full takes a part, and then complains
            text = text[file.write(text):]


def _is_torn(line: bytes) -> bool:
    """Whether `line` can be the beginning of a record. `json.dumps` always starts them alike."""
    start = b'{"id": '
    return line.startswith(start) or start.startswith(line)


def _lock(file):
    """Until `file` is closed, no other process of ours reads or writes it."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX)


def run_batch(
    model: LLaDAV, tokenizer: Tokenizer, lines: Sequence[Line], done: set[Id], out: Path, batch_size: int
):
    """Answer this process's share of `lines`, but for those in `done`, and append the records to `out` batch by
    batch."""
    rank, processes = rank_and_size()
    share = lines[rank::processes]  # of all: other processes may have found more of them done, or fewer
    waiting = [line for line in share if line[0] not in done]
    seen: dict = {}
    tokens = errors = 0
    start = time.perf_counter()
    with tqdm(total=len(share), initial=len(share) - len(waiting), desc="answering", unit="question",
              disable=rank > 0) as bar:
        for first in range(0, len(waiting), batch_size):
            if len(seen) > batch_size:  # questions about one picture are usually neighbours
                seen.clear()
            records = answer_lines(model, tokenizer, waiting[first:first + batch_size], seen)
            append(out, records)
            tokens += sum(len(record.get("tokens", ())) for record in records)
            errors += sum("error" in record for record in records)
            bar.set_postfix_str(f"{tokens / (time.perf_counter() - start):.1f} tokens/s")
            bar.update(len(records))
    if errors:
        print(f"{errors} of {len(waiting)} questions could not be answered; {out} says why", file=sys.stderr)


def answer_lines(model: LLaDAV, tokenizer: Tokenizer, lines: Sequence[Line], seen: dict) -> list[dict]:
    """The record of each line. What is wrong with one costs the others nothing."""
    records = {identity: {"id": identity, "error": str(request)}
               for identity, request in lines if isinstance(request, InputError)}
    good = {identity: request for identity, request in lines if identity not in records}
    for identity, reply in zip(good, answer_batch(model, tokenizer, list(good.values()), seen), strict=True):
        records[identity] = {"id": identity} | (
            {"error": str(reply)} if isinstance(reply, InputError) else {"text": reply.text, "tokens": reply.tokens})
    return [records[identity] for identity, _ in lines]
