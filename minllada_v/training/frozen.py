"""Frozen matrices on the way back. For y = W x the gradient of x needs W, in the type of the arithmetic. Autograd would
keep what W was converted to from the way there until then: all of the language model in float32, beside the bfloat16
that it is stored in. So W is converted a second time."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from ..layers import ROWS, Linear


class _Product(Function):
    @staticmethod
    def forward(context, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(weight)
        return torch.cat([F.linear(x, rows.to(x.dtype)) for rows in weight.split(ROWS)], dim=-1)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        [weight] = context.saved_tensors
        parts = zip(gradient.split(ROWS, dim=-1), weight.split(ROWS), strict=True)
        return sum(part @ rows.to(part.dtype) for part, rows in parts), None


def product(layer: Linear, x: Tensor) -> Tensor:
    """What `layer`, which is frozen and has no bias, makes of `x`."""
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return _Product.apply(x, layer.weight)


def keep_no_copies(model: nn.Module):
    """Let the frozen linear layers of a model that is to be trained convert their weights twice, and keep nothing.
    (Those with a bias are in the vision tower. Where it is frozen, no gradient goes through it.)"""
    for layer in model.modules():
        if isinstance(layer, Linear) and layer.bias is None and not layer.weight.requires_grad:
            layer.forward = partial(product, layer)
