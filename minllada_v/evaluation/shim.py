"""Stands in for what answer.py will have."""
from dataclasses import dataclass

from ..answer import answer_text
from ..batch_answer import Request, last_steps, read_request  # noqa: F401
from ..errors import InputError


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: list[int]


def answer_batch(model, tokenizer, requests, feature_cache=None):
    cache = {} if feature_cache is None else feature_cache
    replies = []
    for request in requests:
        try:
            replies.append(read_request(model, tokenizer, request, cache))
        except InputError as error:
            replies.append(error)
    good = [place for place, reply in enumerate(replies) if not isinstance(reply, InputError)]
    try:
        for place, step in zip(good, last_steps(model, [replies[place] for place in good])):
            replies[place] = Answer(answer_text(tokenizer, step), step.answer.tolist())
    except InputError as error:
        if len(requests) > 1:
            return [answer_batch(model, tokenizer, [request], cache)[0] for request in requests]
        return [error]
    return replies
