"""The autoregressive twin: the same network, tokens and targets, but each token is predicted from those before it.

The paper compares LLaDA-V with LLaMA3-V in this way (arXiv 2505.16933, section 4). Two things change. A position sees
itself and what is before it, and its logits are about the next token. So every token is a target in one pass, and none
needs a mask; and since nothing that follows changes what is known of a token, keys and values can be kept for good.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .answer import answer_row, look, read_question
from .training.batch import Batch
from .chat import IGNORED
from .errors import InputError
from .image import Source
from .language import LanguageModel, rotary_angles
from .model import LLaDAV
from .sampler import SamplerConfig, choose, find_stop
from .tokenizer import Tokenizer

Kept = list[tuple[Tensor, Tensor]]  # for each layer K and V, (batch, key-value heads, length, head width)


def causal_hidden_states(model: LanguageModel, inputs_embeds: Tensor, kept: Kept | None = None) -> Tensor:
    """`inputs_embeds` (batch, length, width) → `hidden_states` of the same shape, after the final norm.

    With `kept`, a list that is empty at first, these are the positions that follow those of the calls before, whose
    keys and values it holds. Those of the new ones are put behind them.
    """
    before = kept[0][0].shape[2] if kept else 0
    positions = torch.arange(before, before + inputs_embeds.shape[1], device=inputs_embeds.device)
    cos, sin = rotary_angles(positions, model.head_width, model.rope_theta)
    cos, sin = cos.to(inputs_embeds.dtype), sin.to(inputs_embeds.dtype)
    hidden_states = inputs_embeds
    for number, layer in enumerate(model.layers):
        attention = partial(attend_causally, kept=kept, layer=number)
        hidden_states = layer(hidden_states, cos, sin, attention, slice(None))
    return model.norm(hidden_states)


def attend_causally(q: Tensor, k: Tensor, v: Tensor, kept: Kept | None, layer: int) -> Tensor:
    """Attend from each position to itself and all before it, those of which K and V are kept included.

    `q` (batch, heads, new, head width), `k` and `v` (batch, key-value heads, new, head width) → as `q`.
    """
    if kept is not None:
        if layer == len(kept):
            kept.append((k, v))
        else:
            kept[layer] = k, v = torch.cat([kept[layer][0], k], dim=2), torch.cat([kept[layer][1], v], dim=2)
    new, seen, grouped = q.shape[2], k.shape[2], q.shape[1] != k.shape[1]
    if new in (1, seen):  # with a single new position there is nothing to hide
        return F.scaled_dot_product_attention(q, k, v, is_causal=new == seen, enable_gqa=grouped)
    mask = torch.ones(new, seen, dtype=torch.bool, device=q.device).tril(seen - new)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)


def next_token_loss(model: LLaDAV, batch: Batch, weights: Tensor | None = None) -> Tensor:
    """Σ −log p(label | all before it) / n over the n targets of each sequence, (batch,) in nats per target.

    Targets are those of diffusion, padding included, but for the very first token, which nothing comes before. Unlike
    the masked loss this is no bound: the sum is −log p(targets) itself. What a batch is filled up with lies behind
    everything and is seen by nothing. `weights` (batch, length), as for `masked_loss`, say how much each target
    counts; None: all the same. Raises `InputError` if a sequence has no target.
    """
    labels = batch.labels[:, 1:]
    targets = labels != IGNORED
    count = targets.sum(dim=1)
    if (count == 0).any():
        raise InputError(f"sequence {int((count == 0).int().argmax())} of the batch has no target; leave it out")
    hidden_states = causal_hidden_states(model.language_model, model.embed(batch.ids, _rows(model, batch.features)))
    logits = model.language_model.lm_head(hidden_states[:, :-1][targets])  # (places, vocabulary)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nats = F.cross_entropy(logits, labels[targets], reduction="none")
    if weights is not None:
        nats = nats * weights[:, 1:][targets]
    return torch.zeros_like(targets, dtype=nats.dtype).masked_scatter(targets, nats).sum(dim=1) / count


@torch.no_grad()
def decode(
    model: LLaDAV,
    tokenizer: Tokenizer,
    ids: Tensor,
    features: Sequence[Tensor],
    gen_length: int,
    temperature: float = 0.0,
    stop: Sequence[str] = (),
    seed: int = 0,
) -> list[int]:
    """At most `gen_length` tokens behind the prompt `ids` (see `answer.read_question`), one after another.

    The likeliest token or, with a temperature T, one drawn from softmax(logits / T). Stops and tokens that are never
    written are those of diffusion: the result ends before the first of `stop`, or at the end of the turn. Raises
    `InputError` if prompt and answer are longer than the model was made for, or its logits are no numbers.
    """
    config = SamplerConfig(gen_length, temperature=temperature, stop=tuple(stop), seed=seed)
    row = answer_row(model, tokenizer, ids, config)
    forbidden = torch.tensor([row.mask_id, *row.forbidden], device=row.generator.device)
    kept: Kept = []
    said: list[int] = []
    new, shown = ids, _rows(model, features)
    while len(said) < gen_length:
        inputs_embeds = model.embed(new[None].to(model.device), shown)
        hidden_states = causal_hidden_states(model.language_model, inputs_embeds, kept)[:, -1]
        logits = model.language_model.lm_head(hidden_states).to(row.generator.device)
        [(token, confidence)] = choose(logits, config, forbidden, row.generator).tolist()
        if math.isnan(confidence):
            raise InputError("the logits are not finite: the weights are damaged or need the type float32, or the "
                             "temperature is far too high")
        said.append(int(token))
        end = find_stop(said, row.stops)
        if end < len(said):
            return said[:end]
        new, shown = torch.tensor(said[-1:]), shown[:0]
    return said


def answer_left_to_right(
    model: LLaDAV,
    tokenizer: Tokenizer,
    prompt: str,
    images: Sequence[Source] = (),
    video: str | Path | Sequence[Source] | None = None,
    history: Sequence[tuple[str, str]] = (),
    system: str | None = None,
    gen_length: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """As `answer.answer`, by a model that was trained with `next_token_loss`."""
    system = model.config.system if system is None else system
    gen_length = model.config.gen_length if gen_length is None else gen_length
    features = look(model, images, video)
    ids = read_question(tokenizer, prompt, features, history, system)
    tokens = decode(model, tokenizer, ids, features, gen_length, temperature, seed=seed)
    return tokenizer.decode(tokens, skip_special_tokens=True).strip()


def _rows(model: LLaDAV, features: Sequence[Tensor]) -> Tensor:
    """The features of all pictures, one behind another: (rows, width)."""
    nothing = torch.empty(0, model.config.hidden_size, device=model.device, dtype=model.compute_dtype)
    return torch.cat([nothing, *(rows.to(nothing) for rows in features)])
