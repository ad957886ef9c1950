"""The forward process: replace some of an answer's tokens by [MASK], and have the model guess them.

Only targets, the positions whose label is not -100, are ever masked. There are two ways. Training
masks each target with the same probability p (`mask_by_time`). The likelihood of an answer is
estimated with a fixed number of masks instead (`mask_by_count`). Both turn a time t in [0, 1) and a
uniform number per position into a mask: t = 0 masks least, t → 1 everything, and a larger t only
adds masks. All draws are made on the CPU, so that a seed gives the same masks on every device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .chat import IGNORED
from .errors import InputError

EPSILON = 1e-3  # ε, the least masking probability


@dataclass(frozen=True)
class Masks:
    """Which positions are masked, and by what to divide a sum over a sequence's masked positions so
    that it estimates the mean over all of its targets."""

    masked: Tensor  # (batch, length) bool
    divisor: Tensor  # (batch,) float, above 0; the number of masks, expected or actual


Masking = Callable[[Tensor, Tensor, Tensor], Masks]  # (labels, t, uniform) → masks


def draw_times(
    count: int, generator: torch.Generator | None = None, stratified: bool = False
) -> Tensor:
    """t ~ U(0, 1), (count,) float32 in [0, 1), on the CPU as `generator` is.

    Stratified times each are uniform too, but together lie evenly spaced: one in each interval of
    width 1 / count. A mean over them varies less, since it always sees easy and hard times in equal
    shares.
    """
    if not stratified:
        return torch.rand(count, generator=generator)
    return (torch.rand(1, generator=generator) + torch.arange(count) / count) % 1


def draw_uniform(labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A number for each of the `labels` (batch, length), float32 in [0, 1), on their device."""
    return torch.rand(labels.shape, generator=generator).to(labels.device)


def masking_probability(t: Tensor) -> Tensor:
    """p = (1 − ε) t + ε, in [ε, 1] for t in [0, 1]. It keeps the weight 1/p bounded, and with it
    the variance of the loss: E[(1/p)² · p] = ∫ dp / p, and from 0 on that is infinite."""
    return (1 - EPSILON) * t + EPSILON


def mask_by_time(labels: Tensor, t: Tensor, uniform: Tensor) -> Masks:
    """Mask each target with probability p(t), where `uniform` < p (LLaDA section 2.1).

    `labels` (batch, length) int64, `t` (batch,), `uniform` (batch, length). The divisor is p · n,
    the number of masks expected among n targets. Raises `InputError` if a sequence has no target.
    """
    targets, count = _targets(labels)
    p = masking_probability(t)
    return Masks(targets & (uniform < p[:, None]), p * count)


def mask_by_count(labels: Tensor, t: Tensor, uniform: Tensor) -> Masks:
    """Mask l = 1 + ⌊t · n⌋ of the n targets, so that l is uniform in 1..n: those with the lowest
    `uniform` numbers (LLaDA equation 6, where n is called L).

    Arguments as for `mask_by_time`. The divisor is l. Raises `InputError` if a sequence has no
    target.
    """
    targets, count = _targets(labels)
    rank = uniform.masked_fill(~targets, torch.inf).argsort(dim=1).argsort(dim=1)  # 0 is the lowest
    masked = targets & (rank <= (t * count)[:, None])
    return Masks(masked, masked.sum(dim=1).to(t.dtype))


def _targets(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which positions are targets, (batch, length) bool, and their number n, (batch,) int64."""
    targets = labels != IGNORED
    count = targets.sum(dim=1)
    if (count == 0).any():
        number = int((count == 0).int().argmax())
        raise InputError(f"sequence {number} of the batch has no target: nothing could be masked "
                         "in it; leave it out, or give it an answer")
    return targets, count
