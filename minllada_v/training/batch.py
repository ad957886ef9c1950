"""Training examples of different length side by side, in one tensor.

There are two kinds of padding. The first, with <|endoftext|> in ids and labels, is a target, as released: positions
behind the end of an answer must show something. (What ends the answer is <|eot_id|>.) Once the pictures have taken
their places, lengths may still differ. The second kind evens that out. It is never attended to and no target, so it
changes no number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..chat import IGNORED
from ..language import Attend, Queries, attention, bidirectional
from ..loss import BatchDenoiser
from ..model import LLaDAV, splice


@dataclass(frozen=True)
class Batch:
    """Spliced sequences of one length. All tensors lie on the model's device."""

    ids: Tensor  # (batch, length) int64, -200 where a row of `features` belongs
    labels: Tensor  # (batch, length) int64, -100 where nothing is asked
    features: tuple[Tensor, ...]  # (rows, width) for each picture, the first sequence's pictures first
    part_ids: Tensor | None  # (batch, length) int64: a part sees itself and earlier ones; None: all see all


def pad(examples: Sequence[tuple[list[int], list[int], list[int]]], padding_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """`(input_ids, labels, part_ids)`, each (batch, length) int64, of examples as `conversations.py` gives them.

    The shorter ones are padded on the right with `padding_id`, the id of <|endoftext|>, as ids and as labels. Padding
    belongs to the last part.
    """
    length = max(len(input_ids) for input_ids, _, _ in examples)
    padded = []
    for input_ids, labels, part_ids in examples:
        rest = length - len(input_ids)
        padded.append([input_ids + [padding_id] * rest, labels + [padding_id] * rest, part_ids + part_ids[-1:] * rest])
    return tuple(torch.tensor(rows) for rows in zip(*padded, strict=True))


def splice_batch(
    input_ids: Tensor, labels: Tensor, features: Sequence[Sequence[Tensor]], part_ids: Tensor | None = None
) -> Batch:
    """Give the pictures their places in a padded batch: `features` are each sequence's pictures, (rows, width) each.

    `input_ids`, `labels` and, where not all see all, `part_ids` are (batch, length) as `pad` gives them; whole turns
    are parts too. Raises `InputError` if a sequence has not as many -200 as pictures.
    """
    sources = [splice(row, [len(rows) for rows in pictures]) for row, pictures in zip(input_ids, features, strict=True)]

    def spread(values: Tensor, padding: int) -> Tensor:
        rows = [row[source] for row, source in zip(values, sources, strict=True)]
        return pad_sequence(rows, batch_first=True, padding_value=padding)

    if part_ids is None and len({len(source) for source in sources}) > 1:
        part_ids = torch.zeros_like(input_ids)
    if part_ids is not None:  # padding is a part after the last, so no other position attends to it
        part_ids = spread(part_ids, int(part_ids.max()) + 1)
    pictures = tuple(rows for pictures in features for rows in pictures)
    return Batch(spread(input_ids, 0), spread(labels, IGNORED), pictures, part_ids)


def masked(attention_mask: Tensor) -> Attend:
    """Attend where `attention_mask` is True: bool, query by key, (batch, 1, length, length) or, where it is the same
    for every query, (batch, 1, 1, length)."""
    def attend(q: Tensor, k: Tensor, v: Tensor, queries: Queries, layer: int) -> Tensor:
        mask = attention_mask.expand(-1, -1, k.shape[2], -1)
        return attention(q, k, v, mask[:, :, queries])

    return attend


def dialogue_causal_mask(turn_ids: Tensor) -> Tensor:
    """The paper's ablation (its Table 4): a turn sees itself and earlier turns only. `turn_ids` (batch, length) →
    (batch, 1, length, length) bool, True where the key's turn is not later than the query's. With the parts of
    `conversations.parts` in place of turns, this is prompt-first attention: no question sees its answer."""
    return (turn_ids[:, None, :] <= turn_ids[:, :, None])[:, None]


def denoiser(model: LLaDAV, batch: Batch) -> BatchDenoiser:
    """The model about the pictures and parts of `batch`, as the function that `loss.py` asks.

    Only the masked places' hidden states go through `lm_head`: logits at every place would be the largest tensor of
    all by far. Without parts no mask is handed to the attention, which is then fastest.
    """
    attend = bidirectional if batch.part_ids is None else masked(dialogue_causal_mask(batch.part_ids))

    def denoise(canvas: Tensor, masked: Tensor) -> Tensor:
        wanted = masked.any(dim=0)
        wanted[0] = True  # where chance masks nothing, an attention without any query need not work everywhere
        queries = wanted.nonzero()[:, 0]
        hidden_states = model.language_model(model.embed(canvas, batch.features), attend, queries)
        return model.language_model.lm_head(hidden_states[masked[:, queries]])  # (masked places, vocabulary)

    return denoise
