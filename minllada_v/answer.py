"""A question in, text out: what the other files do, in the order in which the data flows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from .autoregressive import write
from .chat import BOS, END_HEADER, END_OF_TURN, EOS, MASK, START_HEADER, chat_prompt
from .errors import InputError, quote
from .image import Source, read_frames, read_picture
from .model import LLaDAV, splice
from .packing import packed_denoiser
from .processes import rank_and_size
from .prompt_first import prompt_first_denoiser
from .sampler import Canvas, Step, sample
from .sampler_config import SamplerConfig
from .tiles import picture_tiles, video_tiles
from .tokenizer import Tokenizer
from .training.conversations import parts

TILES_AT_ONCE = 4  # bounds what a video takes in the vision tower


@dataclass(frozen=True)
class Request:
    """A question with all that goes with it. Raises `InputError` where the prompt or an earlier turn is not text."""

    prompt: str  # `<image>` in it is the place of a picture or of the video; without any, they go in front
    images: Sequence[Source] = ()  # paths or PIL images
    video: str | Path | Sequence[Source] | None = None  # see `image.read_frames`
    history: Sequence[tuple[str, str]] = ()  # earlier turns, (question, answer)
    system: str | None = None  # in place of the system text that the model was trained with
    sampler: SamplerConfig | None = None  # None: as many masks as the model was made for, no shortcut

    def __post_init__(self):
        if not isinstance(self.prompt, str):
            raise InputError(f"the question must be text, not a {type(self.prompt).__name__}")
        for turn in self.history:
            pair = isinstance(turn, (tuple, list)) and len(turn) == 2
            if not pair or not all(isinstance(text, str) for text in turn):
                raise InputError(f"an earlier turn must be a pair of texts, question and answer, not {quote(turn)}")


@dataclass(frozen=True)
class Answer:
    """What the model says."""

    text: str  # without special tokens and outer white space
    tokens: list[int]  # up to the end of the turn, a suffix included


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
    """Answer one question; the arguments are those of `Request`.

    Raises `InputError` for whatever is wrong with the question, the pictures or the settings.
    """
    [reply] = answer_batch(model, tokenizer, [Request(prompt, images, video, history, system, sampler)])
    if isinstance(reply, InputError):
        raise reply
    return reply.text


def answer_batch(
    model: LLaDAV, tokenizer: Tokenizer, requests: Sequence[Request], feature_cache: dict | None = None
) -> list[Answer | InputError]:
    """Answer all `requests` side by side, in order. Where one cannot be answered, the error stands in its place.

    Requests may differ in everything: length, pictures, settings. Each answer is the one that it would get alone, in
    float32 token for token. A picture that occurs more than once (the same path or the same PIL image) is encoded
    once; with a `feature_cache`, a dict that is empty at first, also across calls.
    """
    feature_cache = {} if feature_cache is None else feature_cache
    replies: list[Answer | InputError | None] = [None] * len(requests)
    canvases, features, numbers = [], [], []
    for number, request in enumerate(requests):
        try:
            if not isinstance(request, Request):
                raise InputError(f"give a Request, not a {type(request).__name__}")
            pictures = encode_images(model, request.images, request.video, feature_cache)
            system = model.config.system if request.system is None else request.system
            ids = prompt_ids(tokenizer, request.prompt, pictures, request.history, system)
            canvases.append(prepare(model, tokenizer, ids, request.sampler))
        except InputError as error:
            replies[number] = error
        else:
            features.append(pictures)
            numbers.append(number)
    try:
        for number, step in zip(numbers, last_steps(model, tokenizer, canvases, features), strict=True):
            replies[number] = Answer(answer_text(tokenizer, step), step.answer.tolist())
    except InputError as error:  # such as logits that are not numbers: ask each alone, so that only one fails
        if len(numbers) == 1:
            replies[numbers[0]] = error
        else:
            for number in numbers:
                [replies[number]] = answer_batch(model, tokenizer, [requests[number]], feature_cache)
    return replies


@torch.no_grad()
def encode_images(
    model: LLaDAV,
    images: Sequence[Source] = (),
    video: str | Path | Sequence[Source] | None = None,
    feature_cache: dict | None = None,
) -> list[Tensor]:
    """The features of each picture, or of the one video, as the language model reads them: (length, width) each.

    Pictures that are in `feature_cache`, by their path or as the same PIL image, are taken from there; new ones are
    put there.
    """
    feature_cache = {} if feature_cache is None else feature_cache
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
        names = [("video", frames)]
        tiles = [video_tiles(read_frames(video), model.config.vision.image_size)]
    else:
        names = [("alone" if len(images) == 1 else "one of several", name_of(image)) for image in images]
        tiles = picture_tiles([read_picture(image) for image in images], model.config)
    new = {name: it for name, it in zip(names, tiles, strict=True) if name not in feature_cache}
    with tqdm(total=sum(len(it.pixel_values) for it in new.values()), desc="looking", unit="tile", delay=2,
              leave=False) as bar:
        for name, it in new.items():
            projected = []
            for some in it.pixel_values.split(TILES_AT_ONCE):
                projected.append(model.project(some))
                bar.update(len(some))
            feature_cache[name] = model.merge(torch.cat(projected), it)
    return [feature_cache[name] for name in names]


def name_of(source: Source) -> str | int:
    """What tells a picture from others during a call: its path, or the identity of the PIL image."""
    return str(source) if isinstance(source, (str, Path)) else id(source)


def prompt_ids(
    tokenizer: Tokenizer,
    prompt: str,
    features: Sequence[Tensor] = (),
    history: Sequence[tuple[str, str]] = (),
    system: str | None = None,
) -> Tensor:
    """The prompt's token ids (length,), with -200 at every position where a row of `features` belongs."""
    input_ids = torch.tensor(chat_prompt(tokenizer, prompt, len(features), history, system))
    return input_ids[splice(input_ids, [len(rows) for rows in features])]


def prepare(model: LLaDAV, tokenizer: Tokenizer, ids: Tensor, sampler: SamplerConfig | None = None) -> Canvas:
    """A canvas of masks behind the prompt `ids` (see `prompt_ids`), with what the sampler has to know.

    Raises `InputError` if prompt and answer together are longer than the model was made for.
    """
    sampler = sampler or SamplerConfig(model.config.gen_length)
    suffix = tokenizer.encode(sampler.suffix)
    stops = [[tokenizer.token_id(END_OF_TURN)],
             *(tokenizer.encode(stop, special_tokens=True) for stop in sampler.stop)]
    if any(tokenizer.token_id(MASK) in stop for stop in stops):
        raise InputError(f"a stop must not hold {MASK}: every answer starts from it")
    # EOS, the padding behind an answer, is forbidden too: far from the prompt it is always the surest token, and an
    # answer would end before it has begun.
    forbidden = [tokenizer.token_id(token) for token in (EOS, BOS, START_HEADER, END_HEADER)]
    length = len(ids) + sampler.gen_length + len(suffix)
    if length > model.config.max_length:
        raise InputError(f"prompt and answer are {length} tokens long, and the model reads at most "
                         f"{model.config.max_length}; ask for fewer tokens, show fewer pictures or shorten the text")
    generator = torch.Generator("cpu" if model.device.type == "mps" else model.device).manual_seed(sampler.seed)
    return Canvas(ids, sampler, tokenizer.token_id(MASK), forbidden, stops, suffix, generator)


def sample_all(
    model: LLaDAV, tokenizer: Tokenizer, canvases: Sequence[Canvas], features: Sequence[Sequence[Tensor]]
) -> Iterator[list[tuple[int, Step]]]:
    """Fill in all canvases in the way that the model was trained for; `features` are those of each one's pictures.

    Yields after each pass of the model the number and `Step` of each canvas that took part. Raises `InputError`.
    """
    if model.config.autoregressive:
        return write(model, canvases, features)
    if model.config.attention == "prompt-first":
        prompts = [parts(tokenizer, canvas.ids[:canvas.first].tolist()) for canvas in canvases]
        return sample(prompt_first_denoiser(model, prompts, features), canvases)
    return sample(packed_denoiser(model, features), canvases)


def answer_steps(
    model: LLaDAV, tokenizer: Tokenizer, ids: Tensor, features: Sequence[Tensor], sampler: SamplerConfig | None = None
) -> Iterator[Step]:
    """The steps of one answer to the prompt `ids`, to watch it filling in. Raises `InputError` as `prepare` does."""
    return (step for [(_, step)] in sample_all(model, tokenizer, [prepare(model, tokenizer, ids, sampler)], [features]))


def last_steps(
    model: LLaDAV, tokenizer: Tokenizer, canvases: Sequence[Canvas], features: Sequence[Sequence[Tensor]]
) -> list[Step]:
    """Fill in all canvases, behind a bar that counts tokens; the last step of each."""
    last: dict[int, Step] = {}
    with tqdm(total=sum(canvas.config.gen_length for canvas in canvases), desc="denoising", unit="token", delay=2,
              leave=False, disable=rank_and_size()[0] > 0) as bar:
        for steps in sample_all(model, tokenizer, canvases, features):
            last.update(steps)
            bar.update(sum(len(step.committed) for _, step in steps))
    return [last[number] for number in range(len(canvases))]


def answer_text(tokenizer: Tokenizer, step: Step) -> str:
    """The text of the answer at the last step, without special tokens and outer white space."""
    return tokenizer.decode(step.answer.tolist(), skip_special_tokens=True).strip()
