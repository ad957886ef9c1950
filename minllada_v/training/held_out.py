"""How good is it so far: the loss on examples that training never sees, and a few answers to read."""

import torch

from ..errors import InputError
from .examples import Examples
from .objectives import Learner
from ..masking import draw_times
from ..processes import rank_and_size, sum_over_processes
from .data import derive_seed


@torch.no_grad()
def held_out_loss(learner: Learner, data: Examples, batch_size: int) -> tuple[float | None, list[int]]:
    """The mean training loss over the held-out examples, None if there are none that can be read; and the numbers of
    those that cannot.

    Times and masks are drawn anew, but the same at every evaluation, so that two evaluations differ by the model only.
    All processes must call this: the batches are dealt out to them.
    """
    count = data.data.held_out_count
    rank, processes = rank_and_size()
    times = draw_times(count, torch.Generator().manual_seed(0), stratified=True) if count else torch.empty(0)
    results = torch.zeros(2, count, device=learner.model.device)  # losses, and 1 where there is one
    for first in range(0, count, batch_size * processes):  # all processes go round equally often
        start = first + rank * batch_size
        examples = {number: data.held_out(number) for number in range(start, min(start + batch_size, count))}
        good = [number for number, example in examples.items() if not isinstance(example, InputError)]
        losses = learner([examples[number] for number in good], times[good], [derive_seed(number) for number in good])
        if good:
            results[0, good], results[1, good] = losses, 1.0
    sum_over_processes(results)
    total, valid = results.sum(dim=1).tolist()
    return total / valid if valid else None, (results[1] == 0).nonzero()[:, 0].tolist()


def sample_answers(learner: Learner, data: Examples, count: int, length: int) -> list[dict[str, str]]:
    """Question, expected answer and answer of the first held-out examples. Of a conversation the first turn is asked.

    Sharded processes must all call this.
    """
    answers = []
    for number in range(min(count, data.data.held_out_count)):
        try:
            record = data.data.held_out_record(number)
            question, expected = (message["value"] for message in record.conversation[:2])
            said = learner.answer(record, data.stage, data.system, length)
        except (InputError, ValueError, KeyError) as error:  # a broken record; said here, counted nowhere
            answers.append({"error": f"{type(error).__name__}: {error}"})
            continue
        answers.append({"question": question, "expected": expected, "answer": said})
    return answers
