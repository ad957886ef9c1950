"""Several questions answered in one run: side by side, each exactly as it would be alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from .answer import answer_row, answer_text, look, read_question
from .errors import InputError
from .image import Source
from .model import LLaDAV
from .packing import packed_denoiser
from .processes import rank_and_size
from .sampler import Row, SamplerConfig, Step, sample
from .tokenizer import Tokenizer


@dataclass(frozen=True)
class Request:
    """A question with all that `answer` takes beside the model."""

    prompt: str
    images: Sequence[Source] = ()
    video: str | Path | Sequence[Source] | None = None
    history: Sequence[tuple[str, str]] = ()
    system: str | None = None
    sampler: SamplerConfig | None = None


Question = tuple[Row, list[Tensor]]  # what the sampler has to know, and the features of the pictures


def answer_batch(model: LLaDAV, tokenizer: Tokenizer, requests: Sequence[Request]) -> list[str]:
    """The answers to `requests`, in order, sampled side by side.

    Questions may differ in everything: length, pictures, settings. Each answer is the one that `answer` gives, in
    float32 token for token; only rounding may differ. A picture that occurs more than once (the same path or the same
    PIL image) is looked at once. Raises `InputError`, with the number of the request, for whatever `answer` would.
    """
    seen: dict = {}
    questions = []
    for number, request in enumerate(requests, start=1):
        try:
            questions.append(read_request(model, tokenizer, request, seen))
        except InputError as error:
            raise InputError(f"request {number}: {error}") from None
    return [answer_text(tokenizer, step) for step in last_steps(model, questions)]


def read_request(model: LLaDAV, tokenizer: Tokenizer, request: Request, seen: dict) -> Question:
    """Look at the pictures of a request, unless `seen` has them, and read its text. Raises `InputError`."""
    if not isinstance(request, Request):
        raise InputError(f"give a Request, not a {type(request).__name__}")
    features = look(model, request.images, request.video, seen)
    system = model.config.system if request.system is None else request.system
    ids = read_question(tokenizer, request.prompt, features, request.history, system)
    return answer_row(model, tokenizer, ids, request.sampler or SamplerConfig(model.config.gen_length)), features


def last_steps(model: LLaDAV, questions: Sequence[Question]) -> list[Step]:
    """Answer all `questions` at once; the last step of each."""
    last: dict[int, Step] = {}
    with tqdm(total=sum(row.config.gen_length for row, _ in questions), desc="denoising", unit="token", delay=2,
              leave=False, disable=rank_and_size()[0] > 0) as bar:
        for steps in sample(packed_denoiser(model, [features for _, features in questions]),
                            [row for row, _ in questions]):
            last.update(steps)
            bar.update(sum(len(step.committed) for _, step in steps))
    return [last[number] for number in range(len(questions))]
