"""Which of a few answers is the likeliest, for benchmarks with options: the training loss as a Monte Carlo bound."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..answer import prompt_ids
from ..autoregressive import next_token_loss
from ..chat import END_OF_TURN, IGNORED, MASK
from ..errors import InputError
from ..loss import BatchDenoiser, training_loss
from ..masking import Masking, draw_times, draw_uniform, mask_by_count
from ..model import LLaDAV
from ..tokenizer import Tokenizer
from ..training.batch import Batch, denoiser
from ..training.conversations import parts

DRAWS = 128  # as LLaDA (arXiv 2502.09992) takes


@torch.no_grad()
def answer_bounds(
    model: LLaDAV,
    tokenizer: Tokenizer,
    prompt: str,
    answers: Sequence[str],
    features: Sequence[Tensor] = (),
    system: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[float]:
    """For each of `answers` a bound, estimated from above, on −log p(answer and end of turn | prompt) in nats.

    `features` are those of the pictures (see `answer.encode_images`), and `system` replaces the model's own system
    text. All answers are masked with the same random numbers, so that chance does not favour any. An answer of n tokens
    has only 2ⁿ − 1 masks, and each is looked at once. A twin needs none: its "bound" is −log p itself. Raises
    `InputError` as `answer.answer` does.
    """
    system = model.config.system if system is None else system
    ids = prompt_ids(tokenizer, prompt, features, system=system)
    bounds = []
    for text in answers:
        tokens = torch.tensor([*tokenizer.encode(text), tokenizer.token_id(END_OF_TURN)])
        row = torch.cat([ids, tokens])[None].to(model.device)
        if row.shape[1] > model.config.max_length:
            raise InputError(f"prompt and answer are {row.shape[1]} tokens long, and the model reads at most "
                             f"{model.config.max_length}")
        labels = row.clone()
        labels[:, :len(ids)] = IGNORED
        prompt_first = model.config.attention == "prompt-first"
        part_ids = torch.tensor([parts(tokenizer, row[0].tolist())], device=model.device) if prompt_first else None
        batch = Batch(row, labels, tuple(features), part_ids)
        if model.config.autoregressive:
            bounds.append(next_token_loss(model, batch).item() * len(tokens))
            continue
        denoise = remember(denoiser(model, batch))
        generator = torch.Generator().manual_seed(seed)
        estimates = likelihood_bound(denoise, row, labels, tokenizer.token_id(MASK), draws, generator)
        bounds.append(estimates.mean().item())
    if not all(map(math.isfinite, bounds)):
        raise InputError("the likelihoods are not numbers: the weights are damaged or need the type float32")
    return bounds


def likelihood_bound(
    denoise: BatchDenoiser, ids: Tensor, labels: Tensor, mask_id: int, draws: int,
    generator: torch.Generator | None = None, masking: Masking = mask_by_count,
) -> Tensor:
    """Estimates (draws, batch) of a bound on −log p(answer | prompt) in nats; their mean over the draws is the bound
    (LLaDA equation 6).

    `ids` and `labels` (batch, length) int64; the labels say what the answer is. `masking` is either way of masking:
    `mask_by_count` has less variance, and an expectation that is never below −log p; `mask_by_time` is what training
    does. Each row of a batch is masked anew in each draw, at times that are stratified over the draws. For many draws
    at once repeat the sequence. Raises `InputError` if a sequence has no target.
    """
    count = (labels != IGNORED).sum(dim=1)  # n
    times = torch.stack([draw_times(draws, generator, stratified=True) for _ in labels], dim=1)
    estimates = []
    for t in times.to(labels.device):  # (batch,)
        uniform = draw_uniform(labels, generator)
        estimates.append(count * training_loss(denoise, ids, labels, mask_id, t, uniform, masking))
    return torch.stack(estimates)


def remember(denoise: BatchDenoiser) -> BatchDenoiser:
    """The same function of one sequence, which computes the logits of each mask only once."""
    known: dict[tuple[int, ...], Tensor] = {}

    def remembered(canvas: Tensor, masked: Tensor) -> Tensor:
        places = tuple(masked[0].nonzero()[:, 0].tolist())
        if places not in known:
            known[places] = denoise(canvas, masked)
        return known[places]

    return remembered
