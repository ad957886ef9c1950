"""Compiled layers: torch.compile for all that the language model does at each place by itself.

Attention stays as it is, a single kernel already. What is left does not care how many places there are, so their number
is rounded up to one of few, and only as many shapes are ever compiled: places of zeros are filled in and cut off again.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .language import Attention, Layer
from .model import LLaDAV


def compile_layers(model: LLaDAV):
    """Make the layers of the language model run compiled, in place. Each new shape costs some time, once.

    Needs what torch.compile needs: a C++ compiler for CPUs, Triton for GPUs. Not for training.
    """
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)  # one for each shape
    queries, keys_and_values, after_attention = map(
        once_per_shape, (Attention.queries, Attention.keys_and_values, Layer.after_attention))
    for layer in model.language_model.layers:
        layer.self_attn.queries = partial(queries, layer.self_attn)
        layer.self_attn.keys_and_values = partial(keys_and_values, layer.self_attn)
        layer.after_attention = partial(after_attention, layer)


def once_per_shape(function: Callable) -> Callable:
    """`function(module, *tensors)`, compiled, for tensors (…, places, width) of which each place is computed alone."""
    compiled = torch.compile(function, dynamic=False)

    def call(module: torch.nn.Module, *tensors: Tensor):
        places = tensors[0].shape[-2]
        filled = (F.pad(tensor, (0, 0, 0, rounded_up(places) - places)) for tensor in tensors)
        results = compiled(module, *filled)
        if isinstance(results, Tensor):
            return results[..., :places, :]
        return tuple(result[..., :places, :] for result in results)

    return call


def rounded_up(places: int) -> int:
    """The next of 16, 32, … 128, 144, … 256, 288, … 512, …: eight to a doubling, so never an eighth more and at least
    a place."""
    unit = max(16, 1 << max(0, (places - 1).bit_length() - 4))
    return -(-places // unit) * unit
