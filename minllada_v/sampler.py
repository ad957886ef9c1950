"""The reverse process: fill a row of [MASK] tokens, the most confident first (LLaDA-V, arXiv 2505.16933; the method,
low-confidence remasking in blocks, is LLaDA's, arXiv 2502.09992).

The sampler knows nothing of pictures or transformers. It asks a function `denoise` for logits at some places of some
canvases (see `View`), and yields its state after every step. Two shortcuts, both Fast-dLLM's (arXiv 2505.22618) and
both off unless asked for, change what it asks: `refresh_every` lets the model run a block alone most of the time, and
`threshold` fills in all places at once that the model is sure of.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError


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
    refresh_every: int = 1  # how often the whole canvas runs, in steps; between, the block alone does. 1 is exact
    threshold: float | None = None  # fill in every place whose confidence reaches it; left out: as many as `steps` say

    def __post_init__(self):
        for name in ("steps", "block_length"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.gen_length)  # the way to set a field of a frozen dataclass
        for name in ("gen_length", "steps", "block_length", "refresh_every"):
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
        if self.threshold is not None:
            if not 0 <= self.threshold < float("inf"):
                raise InputError(f"threshold must be 0 or more, not {self.threshold}")
            if self.steps != self.gen_length:
                raise InputError(f"with a threshold the model's confidence says how many steps it takes, up to one for "
                                 f"each of the {self.gen_length} tokens; leave out steps, not {self.steps}")
            if self.remasking == "random":
                raise InputError("a threshold needs the model's own confidence, and random remasking replaces that by "
                                 "noise; leave out one of them")
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


@dataclass(frozen=True)
class Row:
    """One answer to sample. Chance belongs to it, not to its place among others: it brings its own generator."""

    prompt: Tensor  # (length,) token ids
    config: SamplerConfig
    mask_id: int
    forbidden: Sequence[int] = ()  # ids that are never chosen, beside `mask_id`
    stops: Sequence[Sequence[int]] = ()  # `config.stop` as token ids
    suffix: Sequence[int] = ()  # `config.suffix` as token ids
    generator: torch.Generator | None = None  # on the device of the logits; for temperature and random remasking


@dataclass(frozen=True)
class View:
    """What the model is asked: run some places of a canvas, and give the logits at some of these. Tensors are on the
    CPU."""

    row: int  # whose canvas it is
    ids: Tensor  # (places,) the token ids on it
    positions: Tensor  # (places,) where they stand: 0, 1, 2, …, with a gap where a stop cut out all up to the suffix
    run: slice  # of the places: all of them, or only the active block where `kept` knows the others
    asked: Tensor  # (n,) the places, all among `run`, whose logits are wanted
    kept: list | None  # the model's own notes on this canvas, handed on from view to view; None: none are needed


Denoiser = Callable[[Sequence[View]], Tensor]  # to logits (n of the first view + n of the second + …, vocabulary)


def transfer_schedule(masked: int, steps: int) -> Iterator[int]:
    """How many tokens each of `steps` steps commits: masked // steps, the first masked mod steps steps one more."""
    return (masked // steps + (step < masked % steps) for step in range(steps))


def find_stop(response: list[int], stops: Sequence[Sequence[int]]) -> int:
    """The earliest start of any of `stops` in `response`, or the length of `response` where there is none."""
    return next((start for start in range(len(response))
                 if any(response[start:start + len(stop)] == list(stop) for stop in stops)), len(response))


def stop_length(response: list[int], stops: Sequence[Sequence[int]]) -> int:
    """How long the longest of `stops` is that `response` starts with; 0 if it starts with none."""
    return max((len(stop) for stop in stops if response[:len(stop)] == list(stop)), default=0)


def choose(
    logits: Tensor, config: SamplerConfig, forbidden: Tensor, generator: torch.Generator | None
) -> Tensor:
    """A token and its confidence for each row of `logits` (n, vocabulary): (n, 2) float64, on the same device.

    With a temperature T the token is argmax exp(logits) / (−log U)^T (Gumbel-max), here in logarithms. A confidence
    is NaN where the logits leave no choice: NaN, +∞, or −∞ throughout.
    """
    logits = logits.to(torch.float64, copy=True).index_fill_(-1, forbidden, -torch.inf)
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
    return torch.stack([tokens.double(), torch.where(valid, confidence, torch.nan)], dim=-1)


def fill_in(number: int, row: Row) -> Generator:
    """The reverse process of a single answer, as a conversation that `sample` leads with three moves a step:

    `next` gives the views of the model that are needed; sending their logits, (n, vocabulary) each, gives the tokens
    and confidences (n, 2) that follow; and sending these back, now on the CPU, gives the `Step`.
    """
    config, mask_id, w = row.config, row.mask_id, row.config.cfg_scale
    blank = torch.full((config.gen_length,), mask_id)
    canvas = torch.cat([row.prompt.cpu(), blank, torch.tensor(row.suffix, dtype=torch.long)])
    first, last = len(row.prompt), len(row.prompt) + config.gen_length
    end = seen = last  # a stop moves them left: nothing from `end` on will be read, nor from `seen` on be looked at
    forbidden = torch.tensor(sorted({mask_id, *row.forbidden}))
    exact = config.refresh_every == 1 and config.threshold is None
    step, kept = 0, (None, None) if config.refresh_every == 1 else ([], [])
    for start in range(first, last, config.block_length):
        for turn, count in enumerate(transfer_schedule(config.block_length, config.steps // config.blocks)):
            block = canvas[start:min(start + config.block_length, end)]
            candidates = start + (block == mask_id).nonzero()[:, 0]
            if count == 0 or len(candidates) == 0:
                break
            step += 1
            places = torch.cat([torch.arange(seen), torch.arange(last, len(canvas))])
            ids, run = canvas[places], slice(0, len(places))
            if turn % config.refresh_every > 0:
                run = slice(start, min(start + config.block_length, seen))
            views = [View(number, ids, places, run, candidates, kept[0])]
            if w > 0:  # classifier-free guidance: u + (w + 1)(c − u), where u are the logits with the prompt masked
                unprompted = torch.cat([torch.full((first,), mask_id), ids[first:]])
                views.append(View(number, unprompted, places, run, candidates, kept[1]))
            logits, *unconditional = yield views
            for u in unconditional:
                logits = u + (w + 1) * (logits - u)
            choice = yield choose(logits, config, forbidden.to(logits.device, non_blocking=True), row.generator)
            tokens, confidence = choice[:, 0].long(), choice[:, 1]
            if confidence.isnan().any():
                raise InputError(f"the logits are not finite at step {step} of {config.steps}: the weights are damaged "
                                 "or need the type float32, or temperature or guidance is far too high")
            if config.threshold is not None:
                count = max(count, int((confidence >= config.threshold).sum()))
            order = confidence.argsort(descending=True, stable=True)[:count]
            committed = candidates[order]
            canvas[committed] = tokens[order]
            response = canvas[first:last].tolist()
            end = first + find_stop(response, row.stops)
            if not exact:
                seen = end + stop_length(response[end - first:], row.stops)
            answer = torch.cat([canvas[first:end], canvas[last:]])
            yield Step(canvas.clone(), candidates, confidence, committed, answer, step * len(views))


def sample(denoise: Denoiser, rows: Sequence[Row]) -> Iterator[list[tuple[int, Step]]]:
    """Sample an answer for each row; after every pass of the model yields the `Step` of each row that took part, with
    the row's number.

    Rows know nothing of each other: their blocks, stops and refreshes come when they would alone, all views are one
    call of `denoise`, and a row that is finished drops out. Raises `InputError` where the model's logits are no
    numbers.
    """
    conversations = [fill_in(number, row) for number, row in enumerate(rows)]
    while waiting := [(number, views) for number, row in enumerate(conversations) if (views := next(row, None))]:
        views = [view for _, views in waiting for view in views]
        logits = iter(denoise(views).split([len(view.asked) for view in views]))
        choices = [conversations[number].send([next(logits) for _ in views]) for number, views in waiting]
        fetched = torch.cat(choices).cpu().split([len(choice) for choice in choices])  # a GPU is waited for only here
        yield [(number, conversations[number].send(choice)) for (number, _), choice in zip(waiting, fetched)]
