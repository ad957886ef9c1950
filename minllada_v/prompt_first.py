"""A prompt that does not see its answer runs once, and its keys and values are kept for good.

With `train --attention prompt-first` each part of a conversation sees itself and the parts before it (see
`training/conversations.py`). So whatever an answer becomes, nothing that is known of its prompt changes, and what is
kept is exact. In a bidirectional model it would be as old as the last refresh.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .chat import IMAGE_ID
from .language import Queries, bidirectional
from .model import LLaDAV
from .packing import KVCache, packed_denoiser, update
from .sampler import Denoiser, ModelInput
from .training.batch import dialogue_causal_mask, masked


def prompt_first_denoiser(
    model: LLaDAV, prompts: Sequence[Sequence[int]], features: Sequence[Sequence[Tensor]]
) -> Denoiser:
    """The model as the function that the sampler asks, like `packing.packed_denoiser`. `prompts` are the part ids of
    each canvas's prompt, one for each of its positions. Raises `InputError` for a model that attends in another way."""
    denoise = packed_denoiser(model, features, "prompt-first")
    kept: dict[tuple[int, bytes], KVCache] = {}  # guidance runs a canvas with a second prompt, all masks

    def behind_the_prompt(it: ModelInput) -> ModelInput:
        part_ids = prompts[it.canvas]
        ids = it.ids[:len(part_ids)]
        key = it.canvas, ids.numpy().tobytes()
        if key not in kept:
            pictures = features[it.canvas] if (ids == IMAGE_ID).any() else ()
            kept[key] = run_prompt(model, ids, pictures, part_ids, int(it.position_ids[-1]) + 1)
        return replace(it, window=slice(max(len(ids), it.window.start), it.window.stop), kv_cache=kept[key])

    return lambda inputs: denoise([behind_the_prompt(it) for it in inputs])


@torch.no_grad()
def run_prompt(
    model: LLaDAV, ids: Tensor, features: Sequence[Tensor], part_ids: Sequence[int], length: int
) -> KVCache:
    """Keys and values of the spliced prompt `ids` (n,), with room for a sequence of `length` tokens."""
    mask = dialogue_causal_mask(torch.tensor([part_ids]))
    look = bidirectional if mask.all() else masked(mask.to(model.device, non_blocking=True))
    kv_cache: KVCache = []

    def attend(q: Tensor, k: Tensor, v: Tensor, queries: Queries, layer: int) -> Tensor:
        update(kv_cache, layer, k, v, slice(0, len(ids)), length)
        return look(q, k, v, queries, layer)

    last = torch.tensor([len(ids) - 1])  # nobody reads its logits, but the layers must be asked for something
    ids, last = (it.to(model.device, non_blocking=True) for it in (ids, last))
    model(ids, features, last, attend)
    return kv_cache
