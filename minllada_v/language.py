"""The language model: a LLaMA transformer (arXiv 2302.13971) without a causal mask.

Every position sees every other, before and behind it, so one pass predicts all masked positions at
once. There is no shift: the logits at position i predict the token at position i.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config
from .layers import Linear, RMSNorm

Queries = Tensor | slice  # the positions whose hidden states are wanted

# How positions look at each other: q, k, v (shaped as for `attention`), queries, layer → like q.
# A mask needs to know which the queries are; a cache of keys and values, which layer this is.
Attend = Callable[[Tensor, Tensor, Tensor, Queries, int], Tensor]


def rotary_angles(position_ids: Tensor, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos and sin, (length, head width) float32 each, of position · θ^(−2i / head width)."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device=position_ids.device)
    angles = torch.outer(position_ids.float(), 1 / theta ** (exponents / head_width))
    angles = torch.cat([angles, angles], dim=-1)  # entries i and i + head width / 2 are one pair
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of entries of `x` (…, length, head width) by its position's angle.

    Then q · k depends on how far apart two positions are, not on where (RoPE, arXiv 2104.09864).
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attention(q: Tensor, k: Tensor, v: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √head width) v. With fewer key-value heads than heads, several heads share
    one (grouped-query attention, arXiv 2305.13245).

    `q` (batch, heads, queries, head width), `k` and `v` (batch, key-value heads, keys, head width)
    → like q. Where `attention_mask` is False, a query does not see a key.
    """
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, enable_gqa=grouped)


def bidirectional(q: Tensor, k: Tensor, v: Tensor, queries: Queries, layer: int) -> Tensor:
    """Every position sees every other: how LLaDA-V attends."""
    return attention(q, k, v)


class Attention(nn.Module):
    """Attention with rotary positions."""

    def __init__(self, config: Config):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        key_value_width = config.num_key_value_heads * self.head_width
        self.q_proj = Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.v_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.o_proj = Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, queries: Queries, layer: int
    ) -> Tensor:
        """`x` (batch, length, width) → what the queries read, (batch, queries, width)."""
        q = rotate(self.split_heads(self.q_proj(x[:, queries])), cos[queries], sin[queries])
        k = rotate(self.split_heads(self.k_proj(x)), cos, sin)
        v = self.split_heads(self.v_proj(x))
        gathered = attend(q, k, v, queries, layer)  # (batch, heads, queries, head width)
        return self.o_proj(gathered.transpose(1, 2).flatten(2))

    def split_heads(self, x: Tensor) -> Tensor:
        """(batch, length, width) → (batch, heads, length, head width)."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


class MLP(nn.Module):
    """SwiGLU (arXiv 2002.05202): down(silu(gate(x)) · up(x))."""

    def __init__(self, config: Config):
        super().__init__()
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, width) → the same shape, each position by itself."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """A pre-norm block: attention, then MLP, each added to what came in."""

    def __init__(self, config: Config):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, queries: Queries, layer: int
    ) -> Tensor:
        """(batch, length, width) → the queries' new hidden states, (batch, queries, width)."""
        normed = self.input_layernorm(x)
        x = x[:, queries] + self.self_attn(normed, cos, sin, attend, queries, layer)
        return x + self.mlp(self.post_attention_layernorm(x))


class LanguageModel(nn.Module):
    """Embeddings in, final hidden states out.

    The caller applies `lm_head`: most positions need no logits, and each has 126,464 of them.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.rope_theta = config.rope_theta
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self, inputs_embeds: Tensor, attend: Attend = bidirectional,
        queries: Tensor | None = None, position_ids: Tensor | None = None,
    ) -> Tensor:
        """`inputs_embeds` (batch, length, width) → hidden states after the final norm.

        They are (batch, length, width), or (batch, n, width) at the positions `queries` (n,): the
        last layer then computes only these, as nobody reads the others. Earlier layers compute
        all, since the next layer's keys need them. `position_ids` (length,) say where each token
        stands; None: at 0, 1, 2, …
        """
        if position_ids is None:
            position_ids = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)
        cos, sin = rotary_angles(position_ids, self.head_width, self.rope_theta)
        cos, sin = cos.to(inputs_embeds.dtype), sin.to(inputs_embeds.dtype)
        x, last = inputs_embeds, len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            wanted = slice(None) if queries is None or number < last else queries
            x = layer(x, cos, sin, attend, wanted, number)
        return self.norm(x)
