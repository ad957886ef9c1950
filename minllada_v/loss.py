"""The training loss (LLaDA, arXiv 2502.09992, equations 3 to 5; LLaDA-V, arXiv 2505.16933, section
3, where prompt and picture are given and never masked). `evaluation/likelihood.py` uses it as a
bound on the likelihood of an answer.

As the sampler does, this file sees the model as a function: `denoise(ids, masked)` takes token ids
(batch, length) and a bool for each, and returns logits (masked positions, vocabulary), in reading
order (`denoiser` in `training/batch.py`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .masking import Masking, Masks, mask_by_time

BatchDenoiser = Callable[[Tensor, Tensor], Tensor]


def training_loss(
    denoise: BatchDenoiser, ids: Tensor, labels: Tensor, mask_id: int, t: Tensor, uniform: Tensor,
    masking: Masking = mask_by_time, weights: Tensor | None = None,
) -> Tensor:
    """Mask each sequence at its time and ask for what was there: (batch,), in nats per target
    (LLaDA equation 5). Training minimizes the mean of it.

    `ids` and `labels` (batch, length) int64. All that chance decides comes in from outside: `t`
    (batch,) from `draw_times` and `uniform` (batch, length) from `draw_uniform`. `weights` are
    those of `masked_loss`. Raises `InputError` if a sequence has no target.

    `masking` is the forward process. A schedule of your own is one function in its place, which
    masks each target with probability p(t) and divides by n · p(t) / p′(t), for n targets. The
    weight of a masked position is p′(t) / p(t), for the loss is an integral over p, and dp = p′(t)
    dt. It is 1/p only for the linear schedule, where p′ is 1. (Strictly it is 1 − ε; the paper
    leaves that out.) With another p and the weight 1/p the loss is a different one, and no error
    says so.

    With `mask_by_time` the expectation bounds −log p(answer | prompt) / n from above, but for an
    error of order ε: probabilities below ε are never drawn.
    """
    return masked_loss(denoise, ids, labels, mask_id, masking(labels, t, uniform), weights)


def masked_loss(
    denoise: BatchDenoiser, ids: Tensor, labels: Tensor, mask_id: int, masks: Masks,
    weights: Tensor | None = None,
) -> Tensor:
    """Σ over masked positions of −log p(label) / divisor, (batch,), with the masks given.

    `ids` and `labels` (batch, length) int64. `weights` (batch, length), with a mean of 1 over the
    targets of each sequence, say how much each position counts; None: all the same. Computed in
    float32, or in the type of the logits if that is wider.
    """
    logits = denoise(ids.masked_fill(masks.masked, mask_id), masks.masked)  # (masked, vocabulary)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nats = F.cross_entropy(logits, labels[masks.masked], reduction="none")  # (masked,)
    nats = torch.zeros_like(masks.masked, dtype=nats.dtype).masked_scatter(masks.masked, nats)
    if weights is not None:
        nats = nats * weights  # (batch, length)
    return nats.sum(dim=1) / masks.divisor
