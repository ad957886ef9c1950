"""Records to training examples: tiles and token ids, with what is asked of the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..chat import IMAGE, IMAGE_ID
from ..config import Config
from ..errors import InputError
from ..merge import merge
from ..tiles import Tiles, picture_tiles, video_tiles, whole_tile
from ..tokenizer import Tokenizer
from ..world.patch_words import patch_words
from .conversations import canvas_example, caption_example, training_example
from .data import LlavaData, Record, WorldData
from .settings import Settings


@dataclass(frozen=True)
class Example:
    """What the model is trained on. The three lists have one length; -200 stands where a picture goes."""

    input_ids: list[int]
    labels: list[int]  # -100 where nothing is asked
    part_ids: list[int]
    tiles: list[Tiles]  # of each picture, or of the one video
    words: torch.Tensor | None = None  # (tiles, patches, questions) what each patch shows, in stage "vision"
    warning: str = ""  # what is wrong with its record


def encode(
    record: Record, tokenizer: Tokenizer, config: Config, stage: str, system: str | None = None,
    canvas: int | None = None,
) -> Example:
    """The example of a record: a chat in stage "tune", a picture and its caption in stage "align", what each patch
    shows in stage "vision". With `canvas`, of a chat only the last answer (see `conversations.py`).

    Raises `InputError` if nobody answers, `<image>` and pictures differ in number, or the example with its pictures
    is longer than `config.max_length`.
    """
    if not any(message["from"] == "gpt" for message in record.conversation):
        raise InputError("no message is from gpt, so there is nothing to learn")
    if record.pictures and config.vision is None:
        raise InputError("it has a picture, and the model is a text-only LLaDA")
    pictures = 1 if record.video else len(record.pictures)
    if stage == "align":
        ids, labels, part_ids = caption_example(tokenizer, record.conversation)
    elif canvas:
        ids, labels, part_ids = canvas_example(tokenizer, record.conversation, pictures, canvas, system)
    else:
        ids, labels, part_ids = training_example(tokenizer, record.conversation, system, pictures > 0)
    placeholders = ids.count(IMAGE_ID)
    if placeholders != pictures:
        raise InputError(f"{placeholders} {IMAGE} in the messages from human, but {pictures} pictures")
    tiles = stage_tiles(record, config, stage)
    length = len(ids) - placeholders + sum(
        feature_rows(shown.kind, shown.size, shown.grid, len(shown.pixel_values), config) for shown in tiles)
    if length > config.max_length:
        raise InputError(f"it is {length} tokens long with its pictures, and the model reads at most "
                         f"{config.max_length}")
    words = None
    if stage == "vision":
        vision = config.vision
        words = patch_words(record.scenes, record.pictures[0].size, vision.image_size, vision.patch_size)
    return Example(ids, labels, part_ids, tiles, words, record.warning)


def stage_tiles(record: Record, config: Config, stage: str) -> list[Tiles]:
    """The tiles of a record's pictures: in stage "align" one tile of the whole picture (see `caption_example`), else
    as in use. Raises `InputError` for what the stage cannot show."""
    if stage == "align":
        if record.video:
            raise InputError("stage align shows one picture, not a video")
        return [whole_tile(picture, config.vision.image_size) for picture in record.pictures]
    if record.video:
        return [video_tiles(record.pictures, config.vision.image_size)]
    return picture_tiles(record.pictures, config) if record.pictures else []


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

    def __init__(self, data: LlavaData | WorldData, tokenizer: Tokenizer, config: Config, settings: Settings):
        """Of the `settings` count `stage`, `system` and `canvas`."""
        self.data, self.tokenizer, self.config = data, tokenizer, config
        self.stage, self.canvas = settings.stage, settings.canvas
        self.system = config.system if settings.system is None else settings.system

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


def batches_of(
    rank: int, processes: int, batch_size: int, accumulate: int, steps: Iterable[int]
) -> Iterator[list[int]]:
    """The numbers of the examples of each batch that process `rank` works on, step after step.

    A step's examples are dealt out batch by batch: the first to process 0, the second to process 1, and so on. So one
    process that accumulates over 6 batches sees the batches that 3 processes see which accumulate over 2.
    """
    for step in steps:
        for micro_step in range(accumulate):
            first = ((step * accumulate + micro_step) * processes + rank) * batch_size
            yield list(range(first, first + batch_size))
