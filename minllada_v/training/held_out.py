"""How good is it so far: the loss on examples that training never sees, and a few answers to read."""

import torch

from ..answer import answer_steps, answer_text, encode_images, prompt_ids
from ..chat import IMAGE_ID
from ..errors import InputError
from ..masking import draw_times
from ..model import LLaDAV, splice
from ..processes import rank_and_size
from ..sampler_config import SamplerConfig
from ..tokenizer import Tokenizer
from .data import Record, derive_seed
from .distributed import Learner, gather, sum_over_processes
from .examples import Examples, stage_tiles


@torch.no_grad()
def held_out_loss(learner: Learner, data: Examples, batch_size: int) -> tuple[float | None, list[str]]:
    """The mean training loss over the held-out examples, None if there are none that can be read; and what is wrong
    with the others.

    Times and masks are drawn anew, but the same at every evaluation, so that two evaluations differ by the model only.
    All processes must call this: the batches are dealt out to them.
    """
    count = data.data.held_out_count
    rank, processes = rank_and_size()
    times = draw_times(count, torch.Generator().manual_seed(0), stratified=True) if count else torch.empty(0)
    results = torch.zeros(2, count, device=learner.model.device)  # losses, and 1 where there is one
    problems = {}
    for first in range(0, count, batch_size * processes):  # all processes go round equally often
        start = first + rank * batch_size
        examples = {number: data.held_out(number) for number in range(start, min(start + batch_size, count))}
        problems |= {number: str(error) for number, error in examples.items() if isinstance(error, InputError)}
        good = [number for number in examples if number not in problems]
        losses = learner([examples[number] for number in good], times[good], [derive_seed(number) for number in good])
        if good:
            results[0, good], results[1, good] = losses, 1.0
    sum_over_processes(results)
    total, valid = results.sum(dim=1).tolist()
    return total / valid if valid else None, [text for _, text in sorted(gather(problems).items())]


def sample_answers(learner: Learner, data: Examples, count: int, length: int) -> list[dict[str, str]]:
    """Question, expected answer and answer of the first held-out examples. Of a conversation the first turn is asked.

    Sharded processes must all call this.
    """
    answers = []
    for number in range(min(count, data.data.held_out_count)):
        try:
            record = data.data.held_out_record(number)
            question, expected = (message["value"] for message in record.conversation[:2])
            said = learner.ask(answer_record, data.tokenizer, record, data.stage, data.system, length)
        except (InputError, ValueError) as error:  # a broken record; said here, counted nowhere
            answers.append({"error": f"{type(error).__name__}: {error}"})
            continue
        answers.append({"question": question, "expected": expected, "answer": said})
    return answers


def answer_record(
    model: LLaDAV, tokenizer: Tokenizer, record: Record, stage: str, system: str | None, length: int
) -> str:
    """What the model says to the first message of `record`, or to the picture alone in stage "align"."""
    if stage == "align":
        [tiles] = stage_tiles(record, model.config, stage)
        features, ids = [model.merge(model.project(tiles.pixel_values), tiles)], torch.tensor([IMAGE_ID])
        ids = ids[splice(ids, [len(rows) for rows in features])]
    else:
        images, video = ([], record.pictures) if record.video else (record.pictures, None)
        features = encode_images(model, images, video)
        ids = prompt_ids(tokenizer, record.conversation[0]["value"], features, system=system)
    *_, last = answer_steps(model, tokenizer, ids, features, SamplerConfig(length))
    return answer_text(tokenizer, last)
