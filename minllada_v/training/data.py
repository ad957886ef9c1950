"""Where training examples come from: conversations in the LLaVA format with their pictures, or the small world.

Which record is example number k of a run depends on the seed and on k, and on nothing that happened before. So a run
that was stopped needs no memory of where it was in its data.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError, quote
from ..files import read_file
from ..image import read_frames, read_picture
from ..world.lessons import Lesson
from ..world.samples import draw_samples
from ..world.scenes import Scene
from .conversations import prepare_conversation

PREPARATION = "as released"  # before this was so, runs had no such setting
NEIGHBOURS = 16  # examples in a row that have pictures of one size, so that a batch of them needs little padding


@dataclass(frozen=True)
class Record:
    """A conversation and its pictures, read but not yet encoded."""

    name: str
    conversation: list[dict]  # as `prepare_conversation` gives it
    pictures: list[Image.Image]  # the frames, of a video
    video: bool
    scenes: list[Scene] = field(default_factory=list)  # what the pictures of the small world show
    warning: str = ""  # what is wrong with it, although it can be trained on


def derive_seed(*parts: int) -> int:
    """A seed, 0 to 2**64 - 1, that belongs to these numbers in this order."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little")


class LlavaData:
    """The records of a file in the LLaVA format: a JSON list, or JSON lines.

    `held_out` of them, chosen by the seed, are kept for evaluation. The others come in a new random order each epoch.
    """

    def __init__(self, path: str | Path, image_folder: str | Path | None, seed: int, held_out: int | None = None):
        """Picture paths are relative to `image_folder`, or else to the folder of the file. `held_out` None is a tenth
        of the records, at most 64. Raises `InputError` if the file cannot be read or too few records are left."""
        self.path, self.seed = Path(path), seed
        self.folder = Path(image_folder) if image_folder is not None else self.path.parent
        self.records = read_records(self.path)
        with self.path.open("rb") as file:  # as a stream: such a file can have gigabytes
            self.contents = "sha256 " + hashlib.file_digest(file, "sha256").hexdigest()[:16]
        count = min(64, len(self.records) // 10) if held_out is None else held_out
        if not 0 <= count < len(self.records):
            raise InputError(f"{self.path} has {len(self.records)} records, so {count} cannot be held out of training")
        order = np.random.default_rng(seed).permutation(len(self.records))
        self.held_out, self.training = order[:count], order[count:]
        self._epoch, self._order = -1, np.empty(0)

    @property
    def held_out_count(self) -> int:
        return len(self.held_out)

    def index(self, number: int) -> int:
        """Which record is example `number` of the training: each once an epoch."""
        epoch, position = divmod(number, len(self.training))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.training)
        return int(self._order[position])

    def training_record(self, number: int) -> Record:
        """Example `number` of the training. Raises `InputError` if it is broken."""
        return self._read(self.index(number))

    def held_out_record(self, number: int) -> Record:
        """Example `number` of the evaluation. Raises `InputError` if it is broken."""
        return self._read(int(self.held_out[number]))

    def _read(self, index: int) -> Record:
        place = f"{self.path.name}, record {index}"
        try:
            record = read_record(self.records[index], f"record {index}", self.folder)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        return replace(record, warning=f"{place}: {record.warning}") if record.warning else record


class WorldData:
    """A lesson of the small world, without end. Evaluation draws from its test split, which shares no sample with
    training."""

    def __init__(self, lesson: Lesson, seed: int, held_out: int | None = None):
        self.lesson, self.seed = lesson, seed
        self.held_out_count = 64 if held_out is None else held_out

    def training_record(self, number: int) -> Record:
        return self._draw(derive_seed(self.seed, number), "train", number)

    def held_out_record(self, number: int) -> Record:
        return self._draw(number, "test", number)  # the same for every seed, so that runs can be compared

    def _draw(self, seed: int, split: str, number: int) -> Record:
        lesson = self.lesson
        size = lesson.sizes[number // NEIGHBOURS % len(lesson.sizes)]
        sample = next(draw_samples(seed, split, lesson.max_shapes, [size], lesson.abilities))
        return Record(f"{sample.ability} {seed}", sample.conversation, sample.pictures, sample.video, sample.scenes)


def read_records(path: Path) -> list[dict | str]:
    """The records of a JSON list, or the lines of a JSON lines file, which are read when their turn comes.

    Raises `InputError` if the file cannot be read, is a broken list, or holds nothing.
    """
    try:
        text = read_file(path).decode("utf-8-sig")  # some editors put a mark in front
        if text.lstrip().startswith("["):
            records = json.loads(text)
        else:
            records = [line for line in text.split("\n") if line.strip()]
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is neither a JSON list nor JSON lines: {error}") from None
    if not records:
        raise InputError(f"{path} holds no records")
    return records


def read_record(record: dict | str, name: str, folder: Path) -> Record:
    """Read a record's pictures, and prepare its conversation: `image` (or `images`) is a path or a list of paths,
    `video` a folder of frames or an animation.

    A picture that lacks its end is read as far as it goes, as in the released training, and the record's `warning`
    says so. Raises `InputError` for a record of another form, or a picture that is missing or broken.
    """
    if isinstance(record, str):
        try:
            record = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the line is not valid JSON: {error}") from None
    conversation = record.get("conversations") if isinstance(record, dict) else None
    if not isinstance(conversation, list) or not all(isinstance(message, dict) for message in conversation):
        raise InputError('it must be an object with "conversations", a list of messages')
    paths, video = _picture_paths(record)
    try:
        if video is not None:
            pictures, cut = read_frames(folder / video), []
        else:
            read = [_read_even_cut(folder / path) for path in paths]
            pictures = [picture for picture, _ in read]
            cut = [path for path, (_, is_cut) in zip(paths, read, strict=True) if is_cut]
    except (OSError, ValueError) as error:  # such as a path with a null character, or a folder not to be entered
        raise InputError(str(error)) from None
    warning = ", ".join(f"{path} lacks its end, and is read as far as it goes" for path in cut)
    conversation = prepare_conversation(conversation, bool(pictures))
    return Record(str(record.get("id", name)), conversation, pictures, video is not None, warning=warning)


def _picture_paths(record: dict) -> tuple[list[str], str | None]:
    """The paths of a record's pictures, or that of its video. Raises `InputError` where a key might name a picture that
    nobody would look at."""
    given = {key: record[key] for key in ("image", "images", "video") if record.get(key) not in (None, [])}
    if len(given) > 1:
        raise InputError(f"it has {' and '.join(given)}; give one of them, such as a video without an image")
    for key, value in record.items() if not given else ():
        might_show = re.search("image|img|picture|photo|video|frame", key, re.IGNORECASE)
        if might_show and value and key not in ("image", "images", "video") and not isinstance(value, int | float):
            raise InputError(f"its key {key!r} is not read; name pictures with image, or a video with video")
    if "video" in given:
        if not isinstance(given["video"], str):
            raise InputError(f"video must be one path, not {quote(given['video'])}")
        return [], given["video"]
    image = next(iter(given.values()), [])
    paths = [image] if isinstance(image, str) else image
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InputError(f"image must be a path or a list of paths, not {quote(image)}")
    return paths, None


def _read_even_cut(path: Path) -> tuple[Image.Image, bool]:
    """A picture, and whether its file lacks the end."""
    try:
        return read_picture(path), False
    except InputError:  # it may be broken in another way, which the second try says
        return read_picture(path, allow_truncated=True), True
