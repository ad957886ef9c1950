"""LoRA (arXiv 2106.09685): teach a model while its weights stay as they are, by adding to each matrix a product of two
thin ones.

    y = W x + (alpha / r) · B (A x)        A is r × in, B is out × r, and r is small

Only A and B learn: for a matrix of 4096 × 4096 and r = 8 these are 65,536 numbers in place of 16.8 million, and there
are as many fewer gradients and optimizer states. W may be stored in any way, for nothing is asked of its layer but W x
and the way back: over weights of 4 bits this is QLoRA (arXiv 2305.14314).

How an adapter lies on the disk is the business of `adapters.py`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import LLaDAV


class LoRA(nn.Module):
    """A linear layer of any kind, which does not change, and beside it the product B A, which learns."""

    def __init__(self, base_layer: nn.Module, a: Tensor, b: Tensor, alpha: float):
        """`a` (r, in) and `b` (out, r) float32."""
        super().__init__()
        self.base_layer, self.lora_A, self.lora_B = base_layer, nn.Parameter(a), nn.Parameter(b)
        # A buffer, so that what is said of all the model's tensors, such as a fingerprint, is said of alpha too.
        self.register_buffer("scale", torch.tensor(alpha / len(a), device=a.device))

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out), computed in the type of x."""
        low = F.linear(x, self.lora_A.to(x.dtype)) * self.scale  # (…, r)
        return self.base_layer(x) + F.linear(low, self.lora_B.to(x.dtype))


def linear_layers(model: LLaDAV) -> dict[str, nn.Module]:
    """The linear layers of the language model by their names, however they store their weights. An `lm_head` that
    shares its weights with the embeddings is left out: an adapter would change one and not the other."""
    return {name: module for name, module in model.named_modules()
            if name.startswith("language_model.") and hasattr(module, "in_features")
            and not (name.endswith("lm_head") and model.config.tied_embeddings)}


def add_lora(model: LLaDAV, rank: int, alpha: float, seed: int):
    """Put an adapter on every linear layer of the language model. B is 0, so that nothing changes at first. A is drawn
    as `peft` draws it: were it 0 as well, neither would ever have a gradient."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in linear_layers(model).items():
        a = (2 * torch.rand(rank, layer.in_features, generator=generator) - 1) / math.sqrt(layer.in_features)
        model.set_submodule(name, LoRA(layer, a, torch.zeros(layer.out_features, rank), alpha))


def choose_adapters(model: LLaDAV, only: bool):
    """Freeze all but the adapters and, unless `only` these learn, the projector and the newline."""
    learning = () if only else ("mm_projector.", "image_newline")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(learning) or name.endswith((".lora_A", ".lora_B")))
    # Gradients go back to what enters the first layer, if there is a picture or not. Sharded processes that went
    # different ways would wait for each other for ever.
    model.language_model.embed_tokens.register_forward_hook(lambda module, ids, embeds: embeds.requires_grad_())


def merge_adapters(model: LLaDAV, dtype: torch.dtype):
    """Add each product to the matrix beside it, W + (alpha / r) · B A, in float32, and take the adapter off. What was
    adapted is then stored as `dtype`. One layer after another, so that memory never holds all in float32."""
    for name, layer in [*model.named_modules()]:
        if isinstance(layer, LoRA):
            change = layer.scale * (layer.lora_B.detach().float() @ layer.lora_A.detach().float())
            weight = (layer.base_layer.weight.detach().float() + change).to(dtype)
            layer.base_layer.weight = nn.Parameter(weight, requires_grad=False)
            model.set_submodule(name, layer.base_layer)
