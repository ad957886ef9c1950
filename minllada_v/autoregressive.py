"""The autoregressive twin: the same network, tokens and targets, but each token is predicted from those before it.

The paper compares LLaDA-V with LLaMA3-V in this way (arXiv 2505.16933, section 4). Two things change. A position sees
itself and what is before it, and its logits are about the next token. So every token is a target in one pass, and none
needs a mask; and since nothing that follows changes what is known of a token, keys and values can be kept for good.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .chat import IGNORED
from .errors import InputError
from .language import Attend, Queries, attention
from .model import LLaDAV
from .packing import KVCache, update
from .sampler import Canvas, Step
from .training.batch import Batch

ONLY_DIFFUSION = ("cfg_scale", "remasking", "suffix", "refresh_every", "threshold", "factor")


def causal(kv_cache: KVCache | None = None, before: int = 0, length: int = 0) -> Attend:
    """Attend from each position to itself and to all before it.

    With a cache, the sequence has at most `length` positions. The cache holds keys and values of the first `before`,
    and the positions that run now follow them.
    """
    def attend(q: Tensor, k: Tensor, v: Tensor, queries: Queries, layer: int) -> Tensor:
        num_tokens = k.shape[2]
        if kv_cache is not None:
            k, v = update(kv_cache, layer, k, v, slice(before, before + num_tokens), length)
            k, v = k[:, :, :before + num_tokens], v[:, :, :before + num_tokens]
        if num_tokens == 1:  # a single new position: there is nothing to hide from it
            return attention(q, k, v)
        if before == 0 and isinstance(queries, slice):  # the usual square, for which torch needs no mask
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])
        visible = torch.ones(num_tokens, k.shape[2], dtype=torch.bool, device=q.device).tril(before)
        return attention(q, k, v, visible[queries])

    return attend


def next_token_loss(model: LLaDAV, batch: Batch, weights: Tensor | None = None) -> Tensor:
    """Σ −log p(label | all before it) / n over the n targets of each sequence, (batch,) in nats per target.

    Targets are those of diffusion, padding included, except the very first token, since nothing comes before it. Unlike
    the masked loss this is no bound: the sum is −log p(targets) itself. The padding of a batch stands behind all
    targets, so that none of them sees it. `weights` (batch, length), as for `masked_loss`, say how much each target
    counts; None: all the same. Raises `InputError` if a sequence has no target.
    """
    labels = batch.labels[:, 1:]
    targets = labels != IGNORED
    count = targets.sum(dim=1)
    if (count == 0).any():
        raise InputError(f"sequence {int((count == 0).int().argmax())} of the batch has no target; leave it out")
    hidden_states = model.language_model(model.embed(batch.ids, batch.features), causal())
    logits = model.language_model.lm_head(hidden_states[:, :-1][targets])  # (targets, vocabulary)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nats = F.cross_entropy(logits, labels[targets], reduction="none")
    if weights is not None:
        nats = nats * weights[:, 1:][targets]
    return torch.zeros_like(targets, dtype=nats.dtype).masked_scatter(targets, nats).sum(dim=1) / count


@torch.no_grad()
def write(
    model: LLaDAV, canvases: Sequence[Canvas], features: Sequence[Sequence[Tensor]]
) -> Iterator[list[tuple[int, Step]]]:
    """Fill in each canvas from left to right, one token per pass; yields the steps as `sampler.sample` does.

    Each token is the likeliest or, with a temperature T, one drawn from softmax(logits / T). The steps and blocks of
    the settings mean nothing here. Raises `InputError` for settings that only masked diffusion knows, and where the
    logits are not numbers.
    """
    for number, canvas in enumerate(canvases):
        refuse_what_needs_masks(canvas)
        kv_cache: KVCache = []
        ids, pictures, before = canvas.ids[:canvas.first].to(model.device), features[number], 0
        for position in range(canvas.first, canvas.last):
            length = before + len(ids)
            attend, query = causal(kv_cache, before, canvas.last), torch.tensor([len(ids) - 1], device=model.device)
            logits = model(ids, pictures, query, attend, torch.arange(before, length, device=model.device))
            canvas.candidates, canvas.count, canvas.steps = torch.tensor([position]), 1, canvas.steps + 1
            choice = canvas.choose(logits.cpu() if logits.device.type == "mps" else logits)
            yield [(number, canvas.commit(choice.cpu()))]
            if canvas.end < canvas.last:
                break
            ids, pictures, before = canvas.ids[position:position + 1].to(model.device), (), length


def refuse_what_needs_masks(canvas: Canvas):
    """Raises `InputError` if an answer is asked for in a way that only masked diffusion can give."""
    for name in ONLY_DIFFUSION:
        value = getattr(canvas.config, name)
        if value != getattr(type(canvas.config), name):
            raise InputError(f"this model was trained with --autoregressive: it writes from left to right, and has no "
                             f"{name}; leave out {value!r}")
