"""The language model: a LLaMA transformer (arXiv 2302.13971) without a causal mask.

Every position sees every other, before and behind it, so one pass predicts all masked positions at once. There is no
shift: the logits at position i are about the token at position i.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config
from .layers import Linear, RMSNorm

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Part:
    """One of several sequences that lie one behind another in a pass. Attention never crosses from one to another.

    With `kept`, the part runs only some positions of its sequence, and looks at the keys and values of the others as
    they were when these last ran. `kept` holds K and V, (1, key-value heads, length, head width) each, of every layer.
    It starts empty and is filled by a part that runs its whole sequence; each part after it puts what is fresh in its
    place.
    """

    places: int  # of the pass
    asked: int  # how many of these the caller asked for
    run: slice | Tensor  # the positions of its sequence that it runs
    seen: slice | Tensor  # those it may look at
    kept: list[tuple[Tensor, Tensor]] | None = None


def rotary_angles(positions: Tensor, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos and sin, each (length, head width) float32, of the angle position · θ^(−2i / head width)."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions.device) / head_width
    angles = torch.outer(positions.float(), 1 / theta ** exponents)
    angles = torch.cat([angles, angles], dim=-1)  # entry i is rotated together with entry i + head width / 2
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of entries of `x` (…, length, head width) by its position's angle (RoPE, arXiv 2104.09864)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attend(q: Tensor, k: Tensor, v: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Grouped-query attention (arXiv 2305.13245), every query to every key unless a mask says otherwise.

    `q` (batch, heads, queries, head width), `k` and `v` (batch, key-value heads, keys, head width) → as `q`.
    """
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, enable_gqa=grouped)


def attend_parts(q: Tensor, k: Tensor, v: Tensor, parts: Sequence[Part], layer: int) -> Tensor:
    """As `attend`, with a batch of 1, where each part attends to itself and to what is kept of its own sequence.

    No filling up and no mask, so that the fastest attention there is can be used.
    """
    places = [part.places for part in parts]
    queries = places if q.shape[2] == k.shape[2] else [part.asked for part in parts]
    attended = []
    for part, q, k, v in zip(parts, q.split(queries, dim=2), k.split(places, dim=2), v.split(places, dim=2)):
        if part.kept is not None:
            if layer == len(part.kept):
                part.kept.append((k.new_empty(k.shape), v.new_empty(v.shape)))
            kept_k, kept_v = part.kept[layer]
            kept_k[:, :, part.run], kept_v[:, :, part.run] = k, v
            k, v = kept_k[:, :, part.seen], kept_v[:, :, part.seen]
        attended.append(attend(q, k, v))
    return torch.cat(attended, dim=2)


class Attention(nn.Module):
    """The projections of attention, with rotary positions."""

    def __init__(self, config: Config):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        key_value_width = config.num_key_value_heads * self.head_width
        self.q_proj = Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.v_proj = Linear(config.hidden_size, key_value_width, bias=False)
        self.o_proj = Linear(config.hidden_size, config.hidden_size, bias=False)

    def queries(self, hidden_states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, places, width) → (batch, heads, places, head width)."""
        return rotate(self.split(self.q_proj(hidden_states)), cos, sin)

    def keys_and_values(self, hidden_states: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, places, width) → (batch, key-value heads, places, head width) each."""
        return rotate(self.split(self.k_proj(hidden_states)), cos, sin), self.split(self.v_proj(hidden_states))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


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
        self, hidden_states: Tensor, cos: Tensor, sin: Tensor, attend: Attend, positions: Tensor | slice
    ) -> Tensor:
        """The new hidden states at `positions`: (batch, length, width) → (batch, places, width)."""
        normed = self.input_layernorm(hidden_states)
        q = self.self_attn.queries(normed[:, positions], cos[positions], sin[positions])
        k, v = self.self_attn.keys_and_values(normed, cos, sin)
        attended = attend(q, k, v).transpose(1, 2).flatten(2)  # (batch, places, width)
        return self.after_attention(hidden_states[:, positions], attended)

    def after_attention(self, hidden_states: Tensor, attended: Tensor) -> Tensor:
        """Output projection and MLP, each added to what came in: (batch, places, width)."""
        hidden_states = hidden_states + self.self_attn.o_proj(attended)
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
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        parts: Sequence[Part] | None = None,
    ) -> Tensor:
        """`inputs_embeds` (batch, length, width) → `hidden_states` of the same shape, after the final norm.

        `attention_mask` (batch, 1, length or 1, length) bool is True where a query may look at a key; None lets every
        position see every other. With `positions` (places,) the result is (batch, places, width), the hidden states
        there: the last layer, whose other outputs nobody reads, then computes only those. `position_ids` (length,)
        say where each place stands; None: at 0, 1, 2, … `parts` tell several sequences in a batch of 1 apart.
        """
        if position_ids is None:
            position_ids = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)
        cos, sin = rotary_angles(position_ids, self.head_width, self.rope_theta)
        cos, sin = cos.to(inputs_embeds.dtype), sin.to(inputs_embeds.dtype)
        hidden_states = inputs_embeds
        for number, layer in enumerate(self.layers):
            asked = slice(None) if positions is None or number + 1 < len(self.layers) else positions
            if parts is not None:
                attention = partial(attend_parts, parts=parts, layer=number)
            elif attention_mask is None or attention_mask.shape[2] == 1:  # the same for every query
                attention = partial(attend, attention_mask=attention_mask)
            else:
                attention = partial(attend, attention_mask=attention_mask[:, :, asked])
            hidden_states = layer(hidden_states, cos, sin, attention, asked)
        return self.norm(hidden_states)


def dialogue_causal_mask(turn_ids: Tensor) -> Tensor:
    """The paper's ablation: a turn sees itself and earlier turns only. `turn_ids` (batch, length) → attention mask
    (batch, 1, length, length), True where the key's turn is not later than the query's."""
    return (turn_ids[:, None, :] <= turn_ids[:, :, None])[:, None]
