"""The reverse process: fill in [MASK] tokens, the surest first (LLaDA-V, arXiv 2505.16933; the
method, low-confidence remasking in blocks, is LLaDA's, arXiv 2502.09992).

A `Canvas` is one answer being written. Its three methods are the three questions of every step:
`turns`: when is it a block's turn, and what must the model run? `choose`: what is the best token at
each open position, and how sure is the model of it? `commit`: which of these tokens stay?
`sample` leads many canvases through one pass of the model per step.

The sampler knows nothing of pictures or transformers: it asks a function `denoise` for logits at
some positions of some canvases (see `ModelInput`).

In the released `generate.py` the same things are called
    canvas.ids                      x               tokens, confidence      x0, x0_p
    canvas.candidates               mask_index      committed               transfer_index
    transfer_schedule               get_num_transfer_tokens
    best_tokens' noise              add_gumbel_noise
    step.forward_passes             nfe
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError
from .sampler_config import CONFIDENCE, SamplerConfig, sure_enough

ROWS_AT_ONCE = {"cpu": 16}  # bounds the float64 copies of logits: large ones slow a CPU down


@dataclass(frozen=True)
class ModelInput:
    """What one pass of the model runs of a canvas. Tensors are on the CPU."""

    canvas: int  # its number among those that are sampled together
    ids: Tensor  # (num_tokens,) the token ids on it, without what a stop cut out
    position_ids: Tensor  # (num_tokens,) where they stand: 0, 1, 2, …, but for that gap
    window: slice  # which of `ids` run: all, or only the active block if a cache knows the rest
    logits_at: Tensor  # (n,) which of `ids`, all in the window, need logits
    kv_cache: list | None  # the denoiser's own, kept from step to step; None: no cache


Denoiser = Callable[[Sequence[ModelInput]], Tensor]  # to logits (Σ n, vocabulary), input by input


@dataclass(frozen=True)
class Step:
    """The state after one denoising step. All tensors are on the CPU and belong to the receiver."""

    canvas: Tensor  # (length,) ids of prompt, response and suffix, [MASK] where it is open
    candidates: Tensor  # (n,) the positions that could be filled in this step
    confidence: Tensor  # (n,) float64, how sure the model is of its token there
    committed: Tensor  # (k,) the positions that were filled
    answer: Tensor  # (m,) ids of the answer so far: the response up to the first stop, the suffix
    forward_passes: int  # how often the model has run until now


def transfer_schedule(masked: int, steps: int) -> Iterator[int]:
    """How many of `masked` tokens each of `steps` steps commits: the same for each, and one more
    in the first steps if there is a remainder."""
    return (masked // steps + (step < masked % steps) for step in range(steps))


def best_tokens(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """The likeliest token of each row of `logits` (n, vocabulary) float64 or, with a temperature T,
    argmax exp(logits) / (−log U)^T, in logarithms (Gumbel-max: a draw from softmax(logits / T))."""
    if temperature > 0:
        uniform = torch.empty_like(logits).uniform_(generator=generator)
        logits = logits - temperature * torch.log(-torch.log(uniform))
    return logits.argmax(dim=-1)


class Canvas:
    """One answer being written. Chance belongs to it, not to its neighbours: it has its own
    `generator`, on the device of the logits."""

    def __init__(
        self, prompt: Tensor, config: SamplerConfig, mask_id: int, forbidden: Sequence[int] = (),
        stops: Sequence[Sequence[int]] = (), suffix: Sequence[int] = (), generator=None,
    ):
        """`prompt` (length,) token ids; `forbidden` ids are never chosen, nor is `mask_id`; `stops`
        and `suffix` are those of `config` as token ids."""
        self.config, self.mask_id, self.stops, self.generator = config, mask_id, stops, generator
        response = torch.full((config.gen_length,), mask_id)
        self.ids = torch.cat([prompt.cpu(), response, torch.tensor(suffix, dtype=torch.long)])
        self.first, self.last = len(prompt), len(prompt) + config.gen_length  # of the response
        self.end = self.behind = self.last  # a stop is found from `end` to `behind`; none yet
        self.visible = torch.arange(len(self.ids))  # the positions that a stop has not cut out
        self.forbidden = torch.tensor(sorted({mask_id, *forbidden}))
        # One for the canvas and one for guidance, which runs it a second time without its prompt.
        self.kv_caches = ([], []) if config.refresh_every > 1 else (None, None)
        self.steps = 0

    def turns(self, number: int) -> Iterator[list[ModelInput]]:
        """When: what the model must run of canvas `number` before each step. Blocks go from left to
        right, each in its share of the steps. Sets `candidates` and, how many to fill, `count`."""
        config = self.config
        for start in range(self.first, self.last, config.block_length):
            schedule = transfer_schedule(config.block_length, config.steps // config.blocks)
            for step_in_block, self.count in enumerate(schedule):
                block = slice(start, min(start + config.block_length, self.end))
                self.candidates = start + (self.ids[block] == self.mask_id).nonzero()[:, 0]
                if self.count == 0 or len(self.candidates) == 0:
                    break
                self.steps += 1
                window = slice(0, len(self.visible))
                if step_in_block % config.refresh_every > 0:  # the cache knows all but the block
                    window = slice(start, min(start + config.block_length, self.behind))
                yield self.model_inputs(number, window)

    def model_inputs(self, number: int, window: slice) -> list[ModelInput]:
        """The canvas and, for guidance, the canvas whose prompt is masked."""
        # A gap lies behind the block, so that candidates' positions are their indices in `ids` too.
        prompted = self.ids[self.visible]
        unprompted = torch.cat([torch.full((self.first,), self.mask_id), prompted[self.first:]])
        versions = (prompted, unprompted) if self.config.cfg_scale > 0 else (prompted,)
        return [ModelInput(number, ids, self.visible, window, self.candidates, kv_cache)
                for ids, kv_cache in zip(versions, self.kv_caches, strict=False)]

    def choose(self, logits: Tensor, *unconditional: Tensor) -> Tensor:
        """What: a token and its confidence for each candidate, (n, 2) float64, on the device of the
        logits (n, vocabulary). The confidence is NaN where the best logit is not finite."""
        for u in unconditional:  # classifier-free guidance: u + (w + 1)(c − u)
            logits = u + (self.config.cfg_scale + 1) * (logits - u)
        self.forbidden = self.forbidden.to(logits.device, non_blocking=True)
        confidence_of = CONFIDENCE.get(self.config.remasking, self.config.remasking)
        choices = []
        for some in logits.split(ROWS_AT_ONCE.get(logits.device.type, 64)):
            some = some.to(torch.float64, copy=True).index_fill_(-1, self.forbidden, -torch.inf)
            tokens = best_tokens(some, self.config.temperature, self.generator)
            valid = some.gather(-1, tokens[:, None])[:, 0].isfinite()  # not NaN, +∞ or all −∞
            confidence = confidence_of(some, tokens, self.generator).where(valid, torch.nan)
            choices.append(torch.stack([tokens.double(), confidence], dim=-1))  # to fetch as one
        return torch.cat(choices)

    def commit(self, choice: Tensor) -> Step:
        """Which: fill in the candidates that the model is surest of; the others stay [MASK].
        `choice` is that of `choose`, on the CPU. Raises `InputError` if a confidence is NaN."""
        config, (tokens, confidence) = self.config, choice.unbind(dim=-1)
        if confidence.isnan().any():
            raise InputError(f"the logits are not finite at step {self.steps} of {config.steps}: "
                             "the weights are damaged or need the type float32, or temperature or "
                             "guidance is far too high")
        surest, order = confidence.sort(descending=True, stable=True)
        order = order[:max(self.count, sure_enough(surest, config))]
        committed = self.candidates[order]
        self.ids[committed] = tokens[order].long()
        self.stop()
        answer = torch.cat([self.ids[self.first:self.end], self.ids[self.last:]])
        passes = self.steps * (2 if config.cfg_scale > 0 else 1)
        return Step(self.ids.clone(), self.candidates, confidence, committed, answer, passes)

    def stop(self):
        """End the answer before the earliest stop. With a shortcut, what is behind the stop is
        cut out, as nobody will read it; the exact sampler goes on running it, as released."""
        response = self.ids[self.first:self.last].tolist()
        self.end = self.first + find_stop(response, self.stops)
        if self.end < self.last and not self.config.exact:
            self.behind = self.end + stop_length(response[self.end - self.first:], self.stops)
            suffix = torch.arange(self.last, len(self.ids))
            self.visible = torch.cat([torch.arange(self.behind), suffix])


def find_stop(response: list[int], stops: Sequence[Sequence[int]]) -> int:
    """The earliest start of any of `stops` in `response`, or its length where there is none."""
    firsts = {stop[0] for stop in stops}
    return next((start for start, token in enumerate(response)
                 if token in firsts and stop_length(response[start:], stops)), len(response))


def stop_length(response: list[int], stops: Sequence[Sequence[int]]) -> int:
    """How long the longest of `stops` is that `response` starts with; 0 if it starts with none."""
    return max((len(stop) for stop in stops if response[:len(stop)] == list(stop)), default=0)


def sample(denoise: Denoiser, canvases: Sequence[Canvas]) -> Iterator[list[tuple[int, Step]]]:
    """Fill in all canvases; after every pass of the model yields the `Step` of each canvas that
    took part, with its number.

    Canvases know nothing of each other: each has the blocks, stops and refreshes that it would
    have alone, and drops out when finished. Raises `InputError` for logits that are not numbers.
    """
    turns = [canvas.turns(number) for number, canvas in enumerate(canvases)]
    while waiting := {number: inputs for number, turn in enumerate(turns)
                      if (inputs := next(turn, None))}:
        together = [it for inputs in waiting.values() for it in inputs]
        logits = iter(denoise(together).split([len(it.logits_at) for it in together]))
        choices = [canvases[number].choose(*(next(logits) for _ in inputs))
                   for number, inputs in waiting.items()]
        fetched = torch.cat(choices).cpu()  # a GPU is waited for only here, once per step
        choices = fetched.split([len(choice) for choice in choices])
        yield [(number, canvases[number].commit(choice))
               for number, choice in zip(waiting, choices, strict=True)]
