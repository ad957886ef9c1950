"""Training examples: records in the LLaVA format, or samples of the small world, to tiles and token ids.

Which record is example number k of a run depends on the seed and on k, and on nothing that happened before. So a run
that was stopped needs no memory of where it was in its data.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .chat import IGNORED, IMAGE, IMAGE_ID, canvas_example, training_example
from .config import Config
from .errors import InputError
from .image import read_frames, read_picture
from .lessons import Lesson
from .merge import merge
from .patch_words import patch_words
from .scenes import Scene
from .tiles import Tiles, picture_tiles, video_tiles
from .tokenizer import Tokenizer
from .world import draw_samples

NEIGHBOURS = 16  # examples in a row that have pictures of one size, so that a batch of them needs little padding
STAGES = ("vision", "align", "tune")


@dataclass(frozen=True)
class Record:
    """A conversation and its pictures, read but not yet encoded."""

    name: str
    conversation: list[dict]  # {"from": "human" or "gpt", "value": text}
    pictures: list[Image.Image]  # the frames, of a video
    video: bool
    scenes: list[Scene] = field(default_factory=list)  # what the pictures of the small world show


@dataclass(frozen=True)
class Example:
    """What the model is trained on. The three lists have one length; -200 stands where a picture goes."""

    input_ids: list[int]
    labels: list[int]  # -100 where nothing is asked
    turn_ids: list[int]
    tiles: list[Tiles]  # of each picture, or of the one video
    words: torch.Tensor | None = None  # (tiles, patches, questions) what each patch shows, in stage "vision"


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
        try:
            return read_record(self.records[index], f"record {index}", self.folder)
        except InputError as error:
            raise InputError(f"{self.path.name}, record {index}: {error}") from None


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
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            records = json.loads(text)
        else:
            records = [line for line in text.split("\n") if line.strip()]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is neither a JSON list nor JSON lines: {error}") from None
    if not records:
        raise InputError(f"{path} holds no records")
    return records


def read_record(record: dict | str, name: str, folder: Path) -> Record:
    """Read a record's pictures: `image` is a path or a list of paths, `video` a folder of frames or an animation.

    Raises `InputError` for a record of another form, or a picture that is missing or broken.
    """
    if isinstance(record, str):
        try:
            record = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the line is not valid JSON: {error}") from None
    conversation = record.get("conversations") if isinstance(record, dict) else None
    if not isinstance(conversation, list) or not all(isinstance(message, dict) for message in conversation):
        raise InputError('it must be an object with "conversations", a list of messages')
    image, video = record.get("image"), record.get("video")
    paths = [image] if isinstance(image, str) else [] if image is None else image
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InputError(f"image must be a path or a list of paths, not {image!r}")
    if video is not None and (paths or not isinstance(video, str)):
        raise InputError(f"video must be one path, and without an image beside it, not {video!r}")
    try:
        pictures = [read_picture(folder / path) for path in paths] if video is None else read_frames(folder / video)
    except (OSError, ValueError) as error:  # such as a path with a null character, or a folder not to be entered
        raise InputError(str(error)) from None
    return Record(str(record.get("id", name)), conversation, pictures, video is not None)


def encode(
    record: Record, tokenizer: Tokenizer, config: Config, stage: str, system: str | None = None,
    canvas: int | None = None,
) -> Example:
    """The example of a record: a chat in stage "tune", a picture and its caption in stage "align", what each patch
    shows in stage "vision". With `canvas`, of a chat only the last answer (see `chat.canvas_example`).

    Raises `InputError` if nobody answers, `<image>` and pictures differ in number, or the example with its pictures
    is longer than `config.max_length`.
    """
    if not any(message.get("from") == "gpt" for message in record.conversation):
        raise InputError("no message is from gpt, so there is nothing to learn")
    if record.pictures and config.vision is None:
        raise InputError("it has a picture, and the model is a text-only LLaDA")
    pictures = 1 if record.video else len(record.pictures)
    if stage == "align":
        ids, labels, turn_ids = caption_example(tokenizer, record.conversation)
    elif canvas:
        ids, labels, turn_ids = canvas_example(tokenizer, record.conversation, pictures, canvas, system)
    else:
        ids, labels, turn_ids = training_example(tokenizer, record.conversation, system)
    places = ids.count(IMAGE_ID)
    if places != pictures:
        raise InputError(f"{places} {IMAGE} in the messages from human, but {pictures} pictures")
    if record.video:
        tiles = [video_tiles(record.pictures, config.vision.image_size)]
    else:
        tiles = picture_tiles(record.pictures, config) if record.pictures else []
    length = len(ids) - places + sum(
        feature_rows(shown.kind, shown.size, shown.grid, len(shown.pixel_values), config) for shown in tiles)
    if length > config.max_length:
        raise InputError(f"it is {length} tokens long with its pictures, and the model reads at most "
                         f"{config.max_length}")
    words = None
    if stage == "vision":
        vision = config.vision
        words = patch_words(record.scenes, record.pictures[0].size, vision.image_size, vision.patch_size)
    return Example(ids, labels, turn_ids, tiles, words)


def caption_example(tokenizer: Tokenizer, conversation: list[dict]) -> tuple[list[int], list[int], list[int]]:
    """`(input_ids, labels, turn_ids)` of the first stage: the picture, then its caption and a line break, which are
    the targets. There is no chat format around them, and what the human says does not count, but for its `<image>`."""
    if [message.get("from") for message in conversation] != ["human", "gpt"]:
        raise InputError("stage align needs one message from human, with the picture, and one from gpt, its caption")
    shown, caption = (message.get("value") for message in conversation)
    if not isinstance(shown, str) or not isinstance(caption, str) or shown.count(IMAGE) != 1:
        raise InputError(f"stage align needs a message with one {IMAGE}, and a caption that is text")
    ids = tokenizer.encode(caption + "\n")
    return [IMAGE_ID, *ids], [IGNORED, *ids], [0] * (1 + len(ids))


@lru_cache
def feature_rows(kind: str, size: tuple[int, int], grid: tuple[int, int], count: int, config: Config) -> int:
    """How many positions a picture of `count` tiles takes in the sequence: `merge` on tensors that have a shape and no
    content. The other arguments are those of `Tiles`."""
    features = torch.empty(count, config.vision.patches_per_side**2, 1, device="meta")
    tiles, newline = Tiles(features, kind, size, grid), torch.empty(1, device="meta")
    return len(merge(features, tiles, newline, config.anyres_max, config.newline_position))


class Examples(torch.utils.data.Dataset):
    """Encoded training examples by their number, for torch's DataLoader. A broken one is an `InputError`, handed over
    in place of the example for the training loop to count."""

    def __init__(
        self, data: LlavaData | WorldData, tokenizer: Tokenizer, config: Config, stage: str, system: str | None,
        canvas: int | None = None,
    ):
        self.data, self.tokenizer, self.config, self.stage = data, tokenizer, config, stage
        self.system, self.canvas = system, canvas

    def __getitem__(self, number: int) -> Example | InputError:
        return self._encoded(self.data.training_record, number)

    def held_out(self, number: int) -> Example | InputError:
        """Example `number` of the evaluation."""
        return self._encoded(self.data.held_out_record, number)

    def _encoded(self, read, number: int) -> Example | InputError:
        try:
            record = read(number)
        except InputError as error:
            return error
        try:
            return encode(record, self.tokenizer, self.config, self.stage, self.system, self.canvas)
        except InputError as error:
            return InputError(f"{record.name}: {error}")


def turns_of(rank: int, processes: int, batch_size: int, accumulate: int, steps: Iterable[int]) -> Iterator[list[int]]:
    """The numbers of the examples of each batch that process `rank` works on, step after step.

    A step's examples are dealt out batch by batch: the first to process 0, the second to process 1, and so on. So one
    process that accumulates over 6 batches sees the batches that 3 processes see which accumulate over 2.
    """
    for step in steps:
        for turn in range(accumulate):
            first = ((step * accumulate + turn) * processes + rank) * batch_size
            yield list(range(first, first + batch_size))
