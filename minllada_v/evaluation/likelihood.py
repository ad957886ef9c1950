"""Which of a few answers is the likeliest: the Monte Carlo bound of `loss.py`, for benchmarks with options."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..answer import prompt_ids
from ..autoregressive import next_token_loss
from ..chat import END_OF_TURN, IGNORED, MASK
from ..errors import InputError
from ..loss import BatchDenoiser, likelihood_bound
from ..model import LLaDAV
from ..tokenizer import Tokenizer
from ..training.batch import Batch, denoiser

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
        batch = Batch(row, labels, tuple(features), None)
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


def remember(denoise: BatchDenoiser) -> BatchDenoiser:
    """The same function of one sequence, which computes the logits of each mask only once."""
    known: dict[tuple[int, ...], Tensor] = {}

    def remembered(canvas: Tensor, masked: Tensor) -> Tensor:
        places = tuple(masked[0].nonzero()[:, 0].tolist())
        if places not in known:
            known[places] = denoise(canvas, masked)
        return known[places]

    return remembered
