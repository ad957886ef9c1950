"""The projector: from the vision tower's features to the language model's embeddings."""

from torch import Tensor, nn

from .layers import Linear


class Projector(nn.Sequential):
    """Linear, exact (erf) GELU, Linear: the released `mlp2x_gelu`; its tensors are `0.…`, `2.…`."""

    def __init__(self, vision_width: int, width: int):
        super().__init__(Linear(vision_width, width), nn.GELU(), Linear(width, width))

    def forward(self, features: Tensor) -> Tensor:
        """`features` (tiles, patches, vision width) → (tiles, patches, width)."""
        return super().forward(features)
