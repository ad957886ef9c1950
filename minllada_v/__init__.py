"""minllada_v: LLaDA-V, a vision-language model that writes by masked diffusion, in small files."""

__version__ = "0.2.0"

from .answer import Answer, Request, answer, answer_batch
from .checkpoint import load_pretrained
from .errors import InputError
from .model import LLaDAV
from .sampler_config import SamplerConfig
from .tokenizer import Tokenizer

__all__ = [
    "Answer", "InputError", "LLaDAV", "Request", "SamplerConfig", "Tokenizer", "answer", "answer_batch", "load_pretrained",
]
