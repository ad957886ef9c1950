"""Compiled layers: torch.compile for all of a layer except attention.

`attend` changes from pass to pass and is a single kernel already, so the compiler leaves it alone. What is left is
compiled for any number of positions.
"""

import torch

from .model import LLaDAV


def compile_layers(model: LLaDAV):
    """Make the layers of the language model run compiled, in place. The first passes take a minute or more.

    Needs what torch.compile needs: a C++ compiler for CPUs, Triton for GPUs. Not for training.
    """
    language_model = model.language_model
    for layer in language_model.layers:
        layer.compile(dynamic=True)
    forward = language_model.forward

    def with_plain_attention(inputs_embeds, attend, *others):
        return forward(inputs_embeds, torch.compiler.disable(attend), *others)

    language_model.forward = with_plain_attention
