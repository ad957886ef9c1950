"""A question in, text out: what the other files do, in the order in which the data flows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from .chat import BOS, END_HEADER, END_OF_TURN, EOS, MASK, START_HEADER, chat_prompt
from .errors import InputError
from .image import Source, read_frames, read_picture
from .model import LLaDAV, splice
from .packing import packed_denoiser
from .sampler import Row, SamplerConfig, Step, sample
from .tiles import picture_tiles, video_tiles
from .tokenizer import Tokenizer

TILES_AT_ONCE = 4  # bounds what a video takes in the vision tower


def answer(
    model: LLaDAV,
    tokenizer: Tokenizer,
    prompt: str,
    images: Sequence[Source] = (),
    video: str | Path | Sequence[Source] | None = None,
    history: Sequence[tuple[str, str]] = (),
    system: str | None = None,
    sampler: SamplerConfig | None = None,
) -> str:
    """Answer `prompt` about `images` (paths or PIL images) or a `video` (see `image.read_frames`).

    `history` holds earlier turns as (question, answer). `system` and `sampler` replace the system text and the length
    of the canvas that the model was made for. `<image>` in the prompt is the place of a picture or of the video;
    without any, they go in front. Raises `InputError` for whatever is wrong with the question, the pictures or the
    settings.
    """
    system = model.config.system if system is None else system
    sampler = sampler or SamplerConfig(model.config.gen_length)
    features = look(model, images, video)
    ids = read_question(tokenizer, prompt, features, history, system)
    steps = denoise_answer(model, tokenizer, ids, features, sampler)
    total = min(sampler.steps, sampler.gen_length)
    *_, last = tqdm(steps, total=total, desc="denoising", unit="step", delay=2, leave=False)
    return answer_text(tokenizer, last)


@torch.no_grad()
def look(
    model: LLaDAV,
    images: Sequence[Source] = (),
    video: str | Path | Sequence[Source] | None = None,
    seen: dict | None = None,
) -> list[Tensor]:
    """The features of each picture, or of the one video, as the language model reads them: (length, width) each.

    Whatever is in `seen` already, because its path or PIL image was looked at before, is taken from there; whatever is
    new is put there.
    """
    seen = {} if seen is None else seen
    if isinstance(images, (str, Path, Image.Image)):
        raise InputError("images must be a list of pictures; put a single one into [ ]")
    if len(images) and video is not None:
        raise InputError("give either pictures or a video, not both")
    if not len(images) and video is None:
        return []
    if model.config.vision is None:
        raise InputError("this checkpoint is a text-only LLaDA: it cannot look at pictures")
    if video is not None:
        frames = name_of(video) if isinstance(video, (str, Path)) else tuple(map(name_of, video))
        shown = {("video", frames): video_tiles(read_frames(video), model.config.vision.image_size)}
        names = list(shown)
    else:
        names = [("alone" if len(images) == 1 else "one of several", name_of(image)) for image in images]
        shown = dict(zip(names, picture_tiles([read_picture(image) for image in images], model.config)))
    new = {name: tiles for name, tiles in shown.items() if name not in seen}
    with tqdm(total=sum(len(tiles.pixel_values) for tiles in new.values()), desc="looking", unit="tile", delay=2,
              leave=False) as bar:
        for name, tiles in new.items():
            projected = []
            for some in tiles.pixel_values.split(TILES_AT_ONCE):
                projected.append(model.project(some))
                bar.update(len(some))
            seen[name] = model.merge(torch.cat(projected), tiles)
    return [seen[name] for name in names]


def name_of(source: Source) -> str | int:
    """What tells a picture from others for as long as it is at hand: its path, or the PIL image itself."""
    return str(source) if isinstance(source, (str, Path)) else id(source)


def read_question(
    tokenizer: Tokenizer,
    prompt: str,
    features: Sequence[Tensor] = (),
    history: Sequence[tuple[str, str]] = (),
    system: str | None = None,
) -> Tensor:
    """The prompt's token ids (length,), with -200 at every position where a row of `features` belongs."""
    input_ids = torch.tensor(chat_prompt(tokenizer, prompt, len(features), history, system))
    return input_ids[splice(input_ids, [len(rows) for rows in features])]


def denoise_answer(
    model: LLaDAV, tokenizer: Tokenizer, ids: Tensor, features: Sequence[Tensor], sampler: SamplerConfig
) -> Iterator[Step]:
    """Sample an answer to the prompt `ids` (see `read_question`), step by step.

    Raises `InputError` if prompt and answer together are longer than the model was made for.
    """
    steps = sample(packed_denoiser(model, [features]), [answer_row(model, tokenizer, ids, sampler)])
    return (step for [(_, step)] in steps)


def answer_row(model: LLaDAV, tokenizer: Tokenizer, ids: Tensor, sampler: SamplerConfig) -> Row:
    """What the sampler has to know to answer the prompt `ids`. Raises `InputError` as `denoise_answer` does."""
    suffix = tokenizer.encode(sampler.suffix)
    stops = [[tokenizer.token_id(END_OF_TURN)],
             *(tokenizer.encode(stop, special_tokens=True) for stop in sampler.stop)]
    if any(tokenizer.token_id(MASK) in stop for stop in stops):
        raise InputError(f"a stop must not hold {MASK}: every answer starts from it")
    forbidden = [tokenizer.token_id(token) for token in (EOS, BOS, START_HEADER, END_HEADER)]
    length = len(ids) + sampler.gen_length + len(suffix)
    if length > model.config.max_length:
        raise InputError(f"prompt and answer are {length} tokens long, and the model reads at most "
                         f"{model.config.max_length}; ask for fewer tokens, show fewer pictures or shorten the text")
    generator = torch.Generator("cpu" if model.device.type == "mps" else model.device).manual_seed(sampler.seed)
    return Row(ids, sampler, tokenizer.token_id(MASK), forbidden, stops, suffix, generator)


def answer_text(tokenizer: Tokenizer, step: Step) -> str:
    """The text of the answer at the last step, without special tokens and outer white space."""
    return tokenizer.decode(step.answer.tolist(), skip_special_tokens=True).strip()
