"""In which order an answer is written: the rules of the study beside the sampler's own.

Each rule is a `Confidence` (see `sampler_config.py`): the logits and chosen tokens of the open places go in, and the
places with the highest numbers are filled in. `revising` is no such rule: it changes a canvas.
"""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from minllada_v.sampler import Canvas, Step
from minllada_v.sampler_config import Confidence


def margin(logits: Tensor, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
    """How far the likeliest token is ahead of the second, in probability."""
    first, second = logits.softmax(dim=-1).topk(2, dim=-1).values.unbind(dim=-1)
    return first - second


def entropy(logits: Tensor, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
    """Less entropy first: Σ p log p."""
    p = logits.softmax(dim=-1)
    return -torch.special.entr(p).sum(dim=-1)


def left_to_right() -> Confidence:
    """The leftmost open places, however sure. Places come in order, but not all in one call: hence a rule that goes on
    counting."""
    places = count()
    return lambda logits, tokens, generator: torch.tensor([-next(places) for _ in tokens], dtype=torch.float64,
                                                          device=logits.device)


RULES: dict[str, Callable[[], str | Confidence]] = {
    "low_confidence": lambda: "low_confidence", "random": lambda: "random", "margin": lambda: margin,
    "entropy": lambda: entropy, "left_to_right": left_to_right, "revising": lambda: "low_confidence"}


def revising(canvas: Canvas) -> Canvas:
    """Let `canvas` change its mind: at each step but the last it opens again the least sure of the answer's tokens,
    half as many as it has just filled in (one at least), and at the next step it fills in as many more. How sure a
    token is was said when it was filled in. The last step fills in all that is open."""
    fill, sure = canvas.commit, {}  # position → confidence of its token
    opened = 0

    def commit(choice: Tensor) -> Step:
        nonlocal opened
        last = canvas.steps == min(canvas.config.steps, canvas.config.gen_length)
        canvas.count = len(canvas.candidates) if last else canvas.count + opened
        step = fill(choice)
        confidence = choice[:, 1][torch.isin(canvas.candidates, step.committed)].tolist()
        sure.update(zip(sorted(step.committed.tolist()), confidence))
        inside = [place for place in sure if place <= canvas.end]  # what is behind the answer's end does not matter
        opened = 0 if last else min(len(inside), max(1, len(step.committed) // 2))
        for place in sorted(inside, key=sure.get)[:opened]:
            canvas.ids[place] = canvas.mask_id
            del sure[place]
        canvas.end = canvas.last
        canvas.stop()
        return step

    canvas.commit = commit
    return canvas
