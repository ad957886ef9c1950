"""Layers that store their weights in one type and compute in the type of their input.

This keeps 16 GB of bfloat16 weights in 16 GB on a CPU while the arithmetic runs in float32, which
is exact and, on CPUs without native bfloat16, several times faster. Where both types are equal
these are torch's own layers; so is `Linear` under autocast, which chooses types itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Rows of a matrix that are converted at once. All of lm_head would take 2 GB at the released size.
ROWS = 8192


class Linear(nn.Linear):
    """y = x Wᵀ + b, computed in the type of x."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dtype == x.dtype or torch.is_autocast_enabled(x.device.type):
            return F.linear(x, self.weight, self.bias)
        y = torch.cat([F.linear(x, rows.to(x.dtype)) for rows in self.weight.split(ROWS)], dim=-1)
        return y if self.bias is None else y + self.bias.to(x.dtype)


class LayerNorm(nn.LayerNorm):
    """(x − mean) / std · γ + β over the last dimension, computed in the type of x."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """x / rms(x) · γ over the last dimension; the statistics are taken in float32 at least."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)
