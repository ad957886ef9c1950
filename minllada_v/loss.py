"""The training loss, and the same sum as a bound on the likelihood of an answer (LLaDA, arXiv 2502.09992, equations 3
to 6; LLaDA-V, arXiv 2505.16933, section 3, where prompt and picture are given and never masked).

As the sampler does, this file sees the model as a function: `denoise(canvas, masked)` takes token ids (batch, length)
and a bool for each, and returns logits (places, vocabulary) at the masked places, row by row. See `batch.denoiser`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .chat import IGNORED
from .masking import Masks, draw_times, draw_uniform, mask_by_count, mask_by_time

BatchDenoiser = Callable[[Tensor, Tensor], Tensor]


def masked_loss(
    denoise: BatchDenoiser, ids: Tensor, labels: Tensor, mask_id: int, masks: Masks, weights: Tensor | None = None
) -> Tensor:
    """Mask `ids` and ask for the labels there: Σ over masked places of −log p(label) / divisor, (batch,), in nats
    per target.

    `ids` and `labels` (batch, length) int64. `weights` (batch, length), with a mean of 1 over the targets of each
    sequence, say how much each place counts; None: all the same. Computed in float32, or in the type of the logits if
    that is wider.
    """
    logits = denoise(ids.masked_fill(masks.masked, mask_id), masks.masked)  # (places, vocabulary)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nats = F.cross_entropy(logits, labels[masks.masked], reduction="none")  # (places,)
    nats = torch.zeros_like(masks.masked, dtype=nats.dtype).masked_scatter(masks.masked, nats)  # (batch, length)
    if weights is not None:
        nats = nats * weights
    return nats.sum(dim=1) / masks.divisor


def training_loss(
    denoise: BatchDenoiser,
    ids: Tensor,
    labels: Tensor,
    mask_id: int,
    generator: torch.Generator | None = None,
    stratified: bool = False,
) -> Tensor:
    """The loss of a batch, a scalar: mask each target with a probability p drawn for its sequence, and average
    Σ −log p(label) / (p · n) over the sequences (n: the number of a sequence's targets; LLaDA equation 5).

    `ids` and `labels` (batch, length) int64; `generator` is on the CPU. `stratified` spreads the times evenly over
    the batch (see `draw_times`). Its expectation bounds −log p(answer | prompt) / n from above, but for an error of
    order ε: probabilities below ε are never drawn. Raises `InputError` if a sequence has no target.
    """
    t = draw_times(len(labels), generator, stratified).to(labels.device)
    masks = mask_by_time(labels, t, draw_uniform(labels, generator))
    return masked_loss(denoise, ids, labels, mask_id, masks).mean()


def likelihood_bound(
    denoise: BatchDenoiser,
    ids: Tensor,
    labels: Tensor,
    mask_id: int,
    draws: int,
    generator: torch.Generator | None = None,
    masking: Callable[[Tensor, Tensor, Tensor], Masks] = mask_by_count,
) -> Tensor:
    """Estimates (draws, batch) of a bound on −log p(answer | prompt) in nats; their mean over the draws is the bound.

    The labels say what the answer is. `masking` is either way of masking: `mask_by_count` has less variance, and an
    expectation that is never below −log p; `mask_by_time` is what training does, times n. Each row of a batch is
    masked anew in each draw, at times that are stratified over the draws. For many draws at once repeat the sequence.
    Raises `InputError` if a sequence has no target.
    """
    count = (labels != IGNORED).sum(dim=1)  # n
    times = torch.stack([draw_times(draws, generator, stratified=True) for _ in labels], dim=1).to(labels.device)
    return torch.stack([
        masked_loss(denoise, ids, labels, mask_id, masking(labels, t, draw_uniform(labels, generator))) * count
        for t in times  # (batch,)
    ])
