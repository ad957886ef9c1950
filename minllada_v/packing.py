"""Several canvases in one pass of the model: one behind another, each as long as it is.

All layers but attention treat every position by itself, and attention is told which positions belong together. So
nothing is padded, and all of one canvas may run beside a single block of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .chat import IMAGE_ID
from .errors import InputError
from .language import Attend, Queries, attention
from .model import LLaDAV
from .sampler import Denoiser, ModelInput

KVCache = list[tuple[Tensor, Tensor]]  # for each layer K and V, (1, key-value heads, length, head width)
Positions = slice | Tensor  # positions of one sequence


def update(
    kv_cache: KVCache, layer: int, k: Tensor, v: Tensor, window: Positions, length: int
) -> tuple[Tensor, Tensor]:
    """Put the fresh `k` and `v` (1, key-value heads, window, head width) of a layer at the positions `window` of a
    sequence of `length`; returns all of that layer's K and V.

    The layer's first pass makes the room; later passes overwrite the entries of the positions they run.
    """
    if layer == len(kv_cache):
        shape = (*k.shape[:2], length, k.shape[3])
        kv_cache.append((k.new_empty(shape), v.new_empty(shape)))
    all_k, all_v = kv_cache[layer]
    all_k[:, :, window], all_v[:, :, window] = k, v
    return all_k, all_v


@dataclass(frozen=True)
class Segment:
    """One of several sequences that lie one behind another in a pass. Attention never crosses from one to another.

    With a cache, only the positions `window` of the sequence run in this pass. They see the keys and values of the
    other positions as these were when they last ran. The pass that meets an empty cache must run the whole sequence.
    """

    num_tokens: int  # that run in this pass
    num_queries: int  # how many of these need logits
    window: Positions  # where in the sequence the tokens of this pass stand
    visible: Positions  # the positions of the sequence that they see
    kv_cache: KVCache | None = None


def attend_alone(segment: Segment, q: Tensor, k: Tensor, v: Tensor, layer: int) -> Tensor:
    """What one segment's queries gather from its own keys and values, fresh ones and cached ones: like `q`."""
    if segment.kv_cache is not None:  # `num_tokens` is the sequence's length when it counts, in the first pass
        k, v = update(segment.kv_cache, layer, k, v, segment.window, segment.num_tokens)
        k, v = k[:, :, segment.visible], v[:, :, segment.visible]
    return attention(q, k, v)


def packed(segments: Sequence[Segment]) -> Attend:
    """Each segment attends to itself and to its own cache. There is no padding and no mask, so that torch can choose
    its fastest kernel."""
    num_tokens = [segment.num_tokens for segment in segments]
    num_queries = [segment.num_queries for segment in segments]

    def attend(q: Tensor, k: Tensor, v: Tensor, queries: Queries, layer: int) -> Tensor:
        counts = num_tokens if isinstance(queries, slice) else num_queries  # the last layer has fewer queries
        pieces = zip(segments, q.split(counts, dim=2), k.split(num_tokens, dim=2), v.split(num_tokens, dim=2))
        return torch.cat([attend_alone(*piece, layer) for piece in pieces], dim=2)

    return attend


def packed_denoiser(
    model: LLaDAV, features: Sequence[Sequence[Tensor]], attention: str | None = None
) -> Denoiser:
    """The model as the function that the sampler asks. `features` are each canvas's pictures, (length, width) each.

    Prompts hold -200 where a row of `features` belongs. Raises `InputError` for an autoregressive model, and for one
    whose `config.attention` is not the `attention` that the inputs are made for.
    """
    if model.config.autoregressive:
        raise InputError("this model was trained with --autoregressive: it writes from left to right and cannot fill "
                         "in masks")
    if model.config.attention != attention:
        its, asked = model.config.attention or "bidirectional", attention or "bidirectional"
        raise InputError(f"this model was trained with attention {its}, and would be asked with {asked}; "
                         "`answer.sample_all` asks it as it was trained")
    features = [[rows.to(model.device) for rows in pictures] for pictures in features]

    def on_device(pieces: list[Tensor]) -> Tensor:
        return torch.cat(pieces).to(model.device, non_blocking=True)

    def without_gaps(positions: Tensor) -> Positions:  # a slice where there is no gap: it copies nothing
        first, last = int(positions[0]), int(positions[-1])
        return slice(first, last + 1) if last - first < len(positions) else on_device([positions])

    @torch.no_grad()
    def denoise(inputs: Sequence[ModelInput]) -> Tensor:
        ids, position_ids, queries, segments, spliced = [], [], [], [], []
        start = 0  # of the segment, in the pass
        for it in inputs:
            ids.append(it.ids[it.window])
            position_ids.append(it.position_ids[it.window])
            queries.append(it.logits_at - it.window.start + start)
            segments.append(Segment(len(ids[-1]), len(it.logits_at), without_gaps(position_ids[-1]),
                                    without_gaps(it.position_ids), it.kv_cache))
            if (ids[-1] == IMAGE_ID).any():  # pictures stand in the prompt, which may rest in a cache
                spliced += features[it.canvas]
            start += len(ids[-1])
        logits = model(on_device(ids), spliced, on_device(queries), packed(segments), on_device(position_ids))
        return logits.cpu() if logits.device.type == "mps" else logits  # MPS has no float64

    return denoise
