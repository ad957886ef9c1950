"""LLaDA-V, a vision-language model that writes by masked diffusion. Its reading order:

    minllada_v/
      config          what `config.json` says, checked
      tokenizer       text to ids and back: byte-level BPE
      chat            a conversation to prompt ids
      tiles           a picture to square tiles (anyres)
      vision          the vision tower: a SigLIP ViT
      projector       vision features to the language model's width
      merge           tiles back to one map: unpad, shrink, mark the line ends
      layers          weights stored in one type, computed in another
      language        the bidirectional transformer
      model           the parts as one: p(token | pictures, prompt, canvas)
      masking         the forward process: which tokens are masked
      loss            the training loss
      sampler_config  how an answer is sampled, and what "sure" means
      sampler         the reverse process: fill in the surest places first

      answer          a question in, text out; packing, prompt_first and autoregressive attend; compiled is faster
      image           files to pictures: one, or the frames of a video
      checkpoint      safetensors files to a model and back; low_bits, config_json, tokenizer_json, tensor_names
      generate        the commands, with train, evaluate, convert; generate_options, command, processes, files, errors
      training/       labels, data, objectives, steps, checkpoints, LoRA; several processes
      evaluation/     benchmarks, metrics, likelihood; one resumable file of answers
      world/          a small world of drawn shapes, and questions about it
      drawing/        charts, and an answer filling in: on a terminal, as a picture
      builtin/        a small model of that world
"""

from . import command  # noqa: F401  first: it says what Ctrl-C does while torch is imported
from .answer import Answer, Request, answer, answer_batch
from .checkpoint import load_pretrained
from .errors import InputError
from .model import LLaDAV
from .sampler_config import SamplerConfig
from .tokenizer import Tokenizer

__version__ = "0.2.0"

__all__ = [
    "Answer", "InputError", "LLaDAV", "Request", "SamplerConfig", "Tokenizer", "answer", "answer_batch",
    "load_pretrained",
]
