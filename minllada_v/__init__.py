"""minllada_v: LLaDA-V, a vision-language model that writes by masked diffusion, in small files."""

from .answer import answer
from .checkpoint import load_pretrained
from .errors import InputError
from .model import LLaDAV
from .sampler import SamplerConfig
from .tokenizer import Tokenizer

__all__ = ["InputError", "LLaDAV", "SamplerConfig", "Tokenizer", "answer", "load_pretrained"]
