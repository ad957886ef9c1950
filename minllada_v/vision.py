"""The vision tower: a SigLIP 2 ViT (arXiv 2502.14786) without last layer, final norm and pooling.

A tile is cut into patches, each patch becomes a vector, and 26 pre-norm transformer blocks let the
patches look at each other. What the last one puts out goes to the projector.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .config import VisionConfig
from .layers import LayerNorm, Linear


class VisionAttention(nn.Module):
    """Multi-head attention, every patch to every patch of its tile."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.hidden_size)
        self.v_proj = Linear(config.hidden_size, config.hidden_size)
        self.out_proj = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        def split(x: Tensor) -> Tensor:  # → (tiles, heads, patches, head width)
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        projections = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (split(project(hidden_states)) for project in projections)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(1, 2).flatten(2))  # (tiles, patches, width)


class VisionMLP(nn.Module):
    """Two linear layers with the tanh approximation of GELU between them."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(hidden_states), approximate="tanh"))


class VisionLayer(nn.Module):
    """A pre-norm block: attention, then MLP, each added to what came in."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.layer_norm1 = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.layer_norm2 = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states))
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class VisionTower(nn.Module):
    """Tiles to one feature vector per patch."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch)
        self.position_embedding = nn.Embedding(config.patches_per_side**2, width)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.kept_layers))
        # Never applied. The released checkpoint has it, and those that we write are to be complete.
        self.post_layernorm = LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """`pixel_values` (tiles, 3, S, S) in [-1, 1] → features (tiles, patches, width), the
        patches in reading order."""
        embedding, dtype = self.patch_embedding, pixel_values.dtype
        patches = F.conv2d(
            pixel_values, embedding.weight.to(dtype), embedding.bias.to(dtype), embedding.stride
        )  # (tiles, width, rows, columns)
        hidden_states = patches.flatten(2).transpose(1, 2)  # (tiles, patches, width)
        hidden_states = hidden_states + self.position_embedding.weight.to(dtype)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return hidden_states
