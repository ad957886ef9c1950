"""minllada_v: LLaDA-V, a vision-language model that writes by masked diffusion, in small files."""

from . import command  # noqa: F401  first: it says what Ctrl-C does while torch is imported
from .answer import answer
from .batch_answer import Request, answer_batch
from .checkpoint import load_pretrained
from .errors import InputError
from .model import LLaDAV
from .sampler import SamplerConfig
from .tokenizer import Tokenizer

__all__ = ["InputError", "LLaDAV", "Request", "SamplerConfig", "Tokenizer", "answer", "answer_batch", "load_pretrained"]
