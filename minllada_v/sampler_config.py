"""How an answer is sampled: the settings, what "sure" means, and how sure is sure enough."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .errors import InputError

# logits (n, vocabulary) float64, the chosen tokens (n,), a generator → confidence (n,) float64
Confidence = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]


def probability(logits: Tensor, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
    """Low-confidence remasking: the model's probability of the chosen token, without the noise
    that a temperature adds."""
    return logits.softmax(dim=-1).gather(-1, tokens[:, None])[:, 0]


def at_random(logits: Tensor, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
    """Random remasking: numbers in [0, 1) that have nothing to do with the model."""
    return torch.rand(len(tokens), dtype=logits.dtype, device=logits.device, generator=generator)


CONFIDENCE: dict[str, Confidence] = {"low_confidence": probability, "random": at_random}


@dataclass(frozen=True)
class SamplerConfig:
    """How an answer is sampled. Raises `InputError` for settings that do not fit together."""

    gen_length: int = 128  # L, the number of [MASK] tokens that the answer starts from
    _: KW_ONLY
    steps: int | None = None  # denoising steps in all; None: one per token
    block_length: int | None = None  # blocks are finished left to right; None: a single block
    temperature: float = 0.0  # 0 takes the likeliest token
    cfg_scale: float = 0.0  # w, classifier-free guidance; 0 is off
    remasking: str | Confidence = "low_confidence"  # or "random", or a rule of your own
    stop: tuple[str, ...] = ()  # ends the answer, as the end of the turn does; matched as tokens
    suffix: str = ""  # text that the answer must lead up to; special tokens in it are plain text
    seed: int = 0  # for temperature and random remasking
    refresh_every: int = 1  # each n-th step runs the whole canvas, the rest a block; 1 is exact
    threshold: float | None = None  # fill in all tokens at least this sure; leave out `steps`
    factor: float | None = None  # fill in as many as this allows (`sure_enough`); likewise

    def __post_init__(self):
        for name in ("steps", "block_length"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.gen_length)  # how to set a frozen field
        for name in ("gen_length", "steps", "block_length", "refresh_every"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                fail(f"{name} must be a whole number, at least 1, not {getattr(self, name)!r}")
        length, block = self.gen_length, self.block_length
        if length % block:
            fail(f"gen_length {length} must be a multiple of block_length {block}")
        if self.steps % self.blocks:
            fail(f"steps {self.steps} must be a multiple of the number of blocks, {self.blocks} "
                 "(gen_length / block_length)")
        for name in ("temperature", "cfg_scale", "threshold", "factor"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                fail(f"{name} must be 0 or more, not {getattr(self, name)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**64:
            fail(f"seed must be from 0 to 2**64 - 1, not {self.seed}")
        if not callable(self.remasking) and self.remasking not in CONFIDENCE:
            fail(f"remasking must be low_confidence or random, not {self.remasking!r}")
        if isinstance(self.stop, str) or not all(isinstance(it, str) and it for it in self.stop):
            fail(f"stop must be a tuple of texts that are not empty, not {self.stop!r}")
        self._check_shortcuts()

    def _check_shortcuts(self):
        rules = [name for name in ("threshold", "factor") if getattr(self, name) is not None]
        if len(rules) == 2:
            fail("threshold and factor are two rules for the same thing; leave out one of them")
        if rules and self.steps != self.gen_length:
            fail(f"with a {rules[0]} the model's confidence says how many steps it takes, up to "
                 f"one for each of {self.gen_length} tokens; leave out steps, not {self.steps}")
        if rules and self.remasking != "low_confidence":
            fail(f"a {rules[0]} needs the model's own confidence, and another remasking replaces "
                 "it; leave out one of them")

    @property
    def blocks(self) -> int:
        """How many blocks the response is cut into."""
        return self.gen_length // self.block_length

    @property
    def exact(self) -> bool:
        """Whether no shortcut is taken: no cache that grows stale, as many tokens as scheduled."""
        return (self.refresh_every, self.threshold, self.factor) == (1, None, None)


def sure_enough(surest: Tensor, config: SamplerConfig) -> int:
    """How many tokens a shortcut fills in, given confidences `surest` in falling order; else 0.

    Both rules are Fast-dLLM's (arXiv 2505.22618). `threshold`: all that reach it. `factor` f: the n
    surest, while the n-th has at least 1 − f / (n + 1); the released code calls it `threshold`.
    """
    if config.threshold is not None:
        return int((surest >= config.threshold).sum())
    if config.factor is not None:
        n = torch.arange(1, len(surest) + 1)
        fits = surest >= 1 - config.factor / (n + 1)
        fits[0] = True  # one at least, however unsure
        return int(fits.long().cumprod(0).sum())
    return 0


def fail(problem: str):
    """Refuse the settings."""
    raise InputError(problem)
