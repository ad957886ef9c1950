"""The reverse process: fill a row of [MASK] tokens, the most confident first (LLaDA-V, arXiv 2505.16933; the method,
low-confidence remasking in blocks, is LLaDA's, arXiv 2502.09992).

The sampler knows nothing of pictures or transformers. It sees the model as a function `denoise(canvas, positions)`
from token ids (length,) and positions (n,) to logits (n, vocabulary) there, and yields its state after every step.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class SamplerConfig:
    """How an answer is sampled. Raises `InputError` for settings that do not fit together."""

    gen_length: int = 128  # L, the number of [MASK] tokens that the answer starts from
    steps: int | None = None  # denoising steps in all; left out: as many as tokens
    block_length: int | None = None  # blocks are finished left to right; left out: a single block
    temperature: float = 0.0  # 0 takes the likeliest token
    cfg_scale: float = 0.0  # classifier-free guidance; 0 is off
    remasking: str = "low_confidence"  # or "random": which chosen tokens are kept
    stop: tuple[str, ...] = ()  # the answer ends before the first of these, as whole tokens, or at the end of the turn
    suffix: str = ""  # text that the answer must lead up to; as any user's text it holds no special tokens
    seed: int = 0  # for temperature and random remasking

    def __post_init__(self):
        for name in ("steps", "block_length"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.gen_length)  # the way to set a field of a frozen dataclass
        for name in ("gen_length", "steps", "block_length"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise InputError(f"{name} must be a whole number, at least 1, not {getattr(self, name)!r}")
        if self.gen_length % self.block_length:
            raise InputError(f"gen_length {self.gen_length} must be a multiple of block_length {self.block_length}")
        if self.steps % self.blocks:
            raise InputError(f"steps {self.steps} must be a multiple of the number of blocks, {self.blocks} "
                             "(gen_length / block_length)")
        for name in ("temperature", "cfg_scale"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**64:
            raise InputError(f"seed must be from 0 to 2**64 - 1, not {self.seed}")
        if self.remasking not in ("low_confidence", "random"):
            raise InputError(f"remasking must be low_confidence or random, not {self.remasking!r}")
        if isinstance(self.stop, str) or not all(isinstance(stop, str) and stop for stop in self.stop):
            raise InputError(f"stop must be a tuple of texts that are not empty, not {self.stop!r}")

    @property
    def blocks(self) -> int:
        return self.gen_length // self.block_length


@dataclass(frozen=True)
class Step:
    """The state after one denoising step. All tensors are on the CPU and belong to the receiver."""

    canvas: Tensor  # (length,) token ids of prompt, response and suffix; what is still open is [MASK]
    candidates: Tensor  # (n,) the positions that could be filled in this step
    confidence: Tensor  # (n,) float64 in [0, 1], how sure the model is of its token there
    committed: Tensor  # (k,) the positions that were filled
    answer: Tensor  # (m,) ids of the answer so far: the response up to the first stop, then the suffix
    forward_passes: int  # how often the model has run until now


def transfer_schedule(masked: int, steps: int) -> Iterator[int]:
    """How many tokens each of `steps` steps commits: masked // steps, the first masked mod steps steps one more."""
    return (masked // steps + (step < masked % steps) for step in range(steps))


def find_stop(response: list[int], stops: Sequence[Sequence[int]]) -> int:
    """The earliest start of any of `stops` in `response`, or the length of `response` where there is none."""
    return next((start for start in range(len(response))
                 if any(response[start:start + len(stop)] == list(stop) for stop in stops)), len(response))


def choose(logits: Tensor, config: SamplerConfig, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A token and its confidence for each row of `logits` (n, vocabulary) float64 → (n,) int64, (n,) float64.

    With a temperature T the token is argmax exp(logits) / (−log U)^T (Gumbel-max), here in logarithms. A confidence
    is NaN where the logits leave no choice: NaN, +∞, or −∞ throughout.
    """
    noisy = logits
    if config.temperature > 0:
        noise = torch.rand(logits.shape, dtype=logits.dtype, device=logits.device, generator=generator)
        noisy = logits - config.temperature * torch.log(-torch.log(noise))
    tokens = noisy.argmax(dim=-1)
    if config.remasking == "random":
        confidence = torch.rand(len(tokens), dtype=logits.dtype, device=logits.device, generator=generator)
    else:
        confidence = logits.softmax(dim=-1).gather(-1, tokens[:, None])[:, 0]
    valid = logits.gather(-1, tokens[:, None])[:, 0].isfinite()
    return tokens, torch.where(valid, confidence, torch.nan)


def guided_logits(denoise: Denoiser, canvas: Tensor, positions: Tensor, prompt_length: int, mask_id: int, w: float):
    """Classifier-free guidance: u + (w + 1)(c − u), where c are the logits (n, vocabulary) at `positions` and u those
    with the whole prompt masked. w = 0 is c alone, and needs one pass instead of two."""
    conditional = denoise(canvas, positions)
    if w == 0:
        return conditional
    unprompted = canvas.clone()
    unprompted[:prompt_length] = mask_id
    unconditional = denoise(unprompted, positions)
    return unconditional + (w + 1) * (conditional - unconditional)


def sample(
    denoise: Denoiser,
    prompt: Tensor,
    config: SamplerConfig,
    mask_id: int,
    forbidden: Sequence[int] = (),
    stops: Sequence[Sequence[int]] = (),
    suffix: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """Sample a response to `prompt` (length,) token ids; yields a `Step` after every denoising step.

    `forbidden` ids and `mask_id` are never chosen. `stops` and `suffix` are `config.stop` and `config.suffix` as
    token ids. `generator`, on the device of the logits, is used only with a temperature or random remasking.
    Raises `InputError` at the step where the model's logits are no numbers.
    """
    blank = torch.full((config.gen_length,), mask_id)
    canvas = torch.cat([prompt.cpu(), blank, torch.tensor(suffix, dtype=torch.long)])
    first, last = len(prompt), len(prompt) + config.gen_length
    end = last  # a stop moves it left: nothing behind it will be read
    forbidden = sorted({mask_id, *forbidden})
    step, passes_a_step = 0, 1 if config.cfg_scale == 0 else 2
    for start in range(first, last, config.block_length):
        for count in transfer_schedule(config.block_length, config.steps // config.blocks):
            in_block = torch.arange(start, max(start, min(start + config.block_length, end)))
            candidates = in_block[canvas[in_block] == mask_id]
            if count == 0 or len(candidates) == 0:
                break
            step += 1
            logits = guided_logits(denoise, canvas, candidates, first, mask_id, config.cfg_scale)
            logits = logits.to(torch.float64, copy=True)
            logits[:, forbidden] = -torch.inf
            tokens, confidence = (chosen.cpu() for chosen in choose(logits, config, generator))
            if confidence.isnan().any():
                raise InputError(f"the logits are not finite at step {step} of {config.steps}: the weights are damaged "
                                 "or need the type float32, or temperature or guidance is far too high")
            order = confidence.argsort(descending=True, stable=True)[:count]
            committed = candidates[order]
            canvas[committed] = tokens[order]
            end = first + find_stop(canvas[first:last].tolist(), stops)
            answer = torch.cat([canvas[first:end], canvas[last:]])
            yield Step(canvas.clone(), candidates, confidence, committed, answer, step * passes_a_step)
