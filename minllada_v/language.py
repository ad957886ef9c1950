"""The language model: a LLaMA transformer (arXiv 2302.13971) without a causal mask.

Every position sees every other, before and behind it, so one pass predicts all masked positions at once. There is no
shift: the logits at position i are about the token at position i.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config
from .layers import Linear, RMSNorm


def rotary_angles(length: int, head_width: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """cos and sin, each (length, head width) float32, of the angle position · θ^(−2i / head width)."""
    frequencies = 1 / theta ** (torch.arange(0, head_width, 2, dtype=torch.float32, device=device) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), frequencies)
    angles = torch.cat([angles, angles], dim=-1)  # entry i is rotated together with entry i + head width / 2
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of entries of `x` (…, length, head width) by its position's angle (RoPE, arXiv 2104.09864)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query attention (arXiv 2305.13245) with rotary positions, every position to every position unless a mask
    says otherwise."""

    def __init__(self, config: Config):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.grouped = config.num_key_value_heads != config.num_attention_heads
        key_value_width = config.num_key_value_heads * self.head_width
        self.q_proj = Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.v_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.o_proj = Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, hidden_states: Tensor, cos: Tensor, sin: Tensor, attention_mask: Tensor | None, positions: Tensor | slice
    ) -> Tensor:
        """Attend from `positions` to everything: (batch, length, width) → (batch, places, width)."""
        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)  # (batch, heads, length, head width)

        q = rotate(split(self.q_proj(hidden_states[:, positions])), cos[positions], sin[positions])
        k = rotate(split(self.k_proj(hidden_states)), cos, sin)
        v = split(self.v_proj(hidden_states))
        if attention_mask is not None and attention_mask.shape[2] > 1:  # else it is the same for every query
            attention_mask = attention_mask[:, :, positions]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, enable_gqa=self.grouped)
        return self.o_proj(attended.transpose(1, 2).flatten(2))  # (batch, places, width)


class MLP(nn.Module):
    """SwiGLU (arXiv 2002.05202): down(silu(gate(x)) · up(x))."""

    def __init__(self, config: Config):
        super().__init__()
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(hidden_states)) * self.up_proj(hidden_states))


class Layer(nn.Module):
    """A pre-norm block: attention, then MLP, each added to what came in."""

    def __init__(self, config: Config):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(
        self, hidden_states: Tensor, cos: Tensor, sin: Tensor, attention_mask: Tensor | None, positions: Tensor | slice
    ) -> Tensor:
        """The new hidden states at `positions`: (batch, length, width) → (batch, places, width)."""
        attended = self.self_attn(self.input_layernorm(hidden_states), cos, sin, attention_mask, positions)
        hidden_states = hidden_states[:, positions] + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class LanguageModel(nn.Module):
    """Embeddings in, final hidden states out. `lm_head` is a step of its own: most positions need no logits."""

    def __init__(self, config: Config):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.rope_theta = config.rope_theta
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """`inputs_embeds` (batch, length, width) → `hidden_states` of the same shape, after the final norm.

        `attention_mask` (batch, 1, length or 1, length) bool is True where a query may look at a key; None lets every
        position see every other. With `positions` (places,) the result is (batch, places, width), the hidden states
        there: the last layer, whose other outputs nobody reads, then computes only those.
        """
        cos, sin = rotary_angles(inputs_embeds.shape[1], self.head_width, self.rope_theta, inputs_embeds.device)
        cos, sin = cos.to(inputs_embeds.dtype), sin.to(inputs_embeds.dtype)
        everywhere = slice(None)
        hidden_states = inputs_embeds
        for layer in self.layers[:-1]:
            hidden_states = layer(hidden_states, cos, sin, attention_mask, everywhere)
        asked = everywhere if positions is None else positions
        return self.norm(self.layers[-1](hidden_states, cos, sin, attention_mask, asked))


def dialogue_causal_mask(turn_ids: Tensor) -> Tensor:
    """The paper's ablation: a turn sees itself and earlier turns only. `turn_ids` (batch, length) → attention mask
    (batch, 1, length, length), True where the key's turn is not later than the query's."""
    return (turn_ids[:, None, :] <= turn_ids[:, :, None])[:, None]
