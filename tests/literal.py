"""Slow, literal versions of what the package does fast: the oracles of the property tests.

Each follows the released method step by step and computes everything everywhere. Nothing here is clever.
"""

import torch
from torch import Tensor

from minllada_v.language import rotary_angles, rotate


def literal_sample(
    all_logits, prompt, gen_length, steps, block_length, temperature, cfg_scale, remasking,
    mask_id, forbidden, stops, suffix, generator=None, after_step=None, refresh_every=1, threshold=None, factor=None,
) -> list[int]:
    """Sample as the released code does: `all_logits(canvas, seen)` gives logits (length, vocabulary) at every position
    of the canvas, of which only the positions `seen` may be looked at.

    Returns the answer's ids, up to the first stop, with the suffix behind it. `after_step()` is called after every
    step. Between two refreshes the model sees the canvas as it was, but for the places of the block. With a refresh or
    a threshold what stands behind the stop's last token is out of sight, the suffix excepted.
    """
    # Canvas: prompt, L x [MASK], then the suffix.
    canvas = torch.tensor(list(prompt) + [mask_id] * gen_length + list(suffix))
    response = range(len(prompt), len(prompt) + gen_length)
    blocks = gen_length // block_length
    stop_start = None
    remembered, seen = canvas.clone(), list(range(len(canvas)))

    for block in range(blocks):
        places = response[block * block_length : (block + 1) * block_length]
        masked = sum(canvas[place].item() == mask_id for place in places)
        steps_here = steps // blocks
        counts = [masked // steps_here + (1 if step < masked % steps_here else 0) for step in range(steps_here)]
        for turn, count in enumerate(counts):
            # Only masked places of this block, before the stop if there is one, can be filled.
            fillable = [place for place in places if canvas[place].item() == mask_id]
            if stop_start is not None:
                fillable = [place for place in fillable if place < stop_start]
            if count == 0 or not fillable:
                continue

            if turn % refresh_every == 0:
                remembered = canvas.clone()
            for place in places:
                remembered[place] = canvas[place]
            logits = all_logits(remembered, seen)
            if cfg_scale > 0:
                unprompted = remembered.clone()
                unprompted[: len(prompt)] = mask_id
                unconditional = all_logits(unprompted, seen)
                logits = unconditional + (cfg_scale + 1) * (logits - unconditional)
            logits[:, [*forbidden, mask_id]] = -torch.inf

            logits64 = logits.to(torch.float64)
            if temperature > 0:
                # The noise is drawn for the fillable places only, so that both samplers see the same numbers.
                noise = torch.rand(len(fillable), logits.shape[1], dtype=torch.float64, generator=generator,
                                   device=logits.device)
                noisy = logits64.clone()
                noisy[fillable] = logits64[fillable].exp() / (-noise.log()) ** temperature
                tokens = noisy.argmax(dim=-1)
            else:
                tokens = logits.argmax(dim=-1)
            if remasking == "random":
                confidence = torch.zeros(len(canvas), dtype=torch.float64, device=logits.device)
                confidence[fillable] = torch.rand(len(fillable), dtype=torch.float64, generator=generator,
                                                  device=logits.device)
            else:
                probabilities = torch.softmax(logits64, dim=-1)
                confidence = probabilities.gather(-1, tokens[:, None])[:, 0]

            if threshold is not None:
                count = max(1, sum(confidence[place].item() >= threshold for place in fillable))
            if factor is not None:  # the longest run of the surest, each of which is sure enough for its rank
                falling = sorted((confidence[place].item() for place in fillable), reverse=True)
                count = 1
                while count < len(falling) and falling[count] >= 1 - factor / (count + 2):
                    count += 1
            for place in sorted(fillable, key=lambda place: -confidence[place].item())[:count]:
                canvas[place] = tokens[place]

            # The earliest start of any stop string in the response.
            for start in reversed(response):
                for stop in stops:
                    if canvas[start : min(start + len(stop), response.stop)].tolist() == list(stop):
                        stop_start = start
            if stop_start is not None and (refresh_every > 1 or threshold is not None or factor is not None):
                behind = max(stop_start + len(stop) for stop in stops
                             if canvas[stop_start : min(stop_start + len(stop), response.stop)].tolist() == list(stop))
                seen = [place for place in range(len(canvas)) if place < behind or place >= response.stop]
            if after_step:
                after_step()

    end = response.stop if stop_start is None else stop_start
    return canvas[response.start : end].tolist() + list(suffix)


def literal_bpe(piece: bytes, ranks: dict[tuple[bytes, bytes], int]) -> list[bytes]:
    """Byte-pair encoding: again and again merge the leftmost of the pairs with the lowest rank."""
    symbols = [bytes([byte]) for byte in piece]
    while True:
        pairs = [(ranks[pair], place) for place, pair in enumerate(zip(symbols, symbols[1:])) if pair in ranks]
        if not pairs:
            return symbols
        _, place = min(pairs)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


def literal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention, one head and one query at a time. q (heads, length, width), k and v (kv heads, …)."""
    heads, length, width = q.shape
    out = torch.empty_like(q)
    for head in range(heads):
        shared = head * len(k) // heads  # grouped-query attention: neighbouring heads share keys and values
        for query in range(length):
            scores = torch.stack([q[head, query] @ key for key in k[shared]]) / width**0.5
            if mask is not None:
                scores[~mask[query]] = -torch.inf
            out[head, query] = scores.softmax(0) @ v[shared]
    return out


def literal_block_pass(model, before: Tensor, after: Tensor, start: int, stop: int) -> Tensor:
    """Hidden states (stop − start, width) of a language model at the places start..stop-1 of the embeddings `after`
    (length, width), where all layers still have the other places' keys and values from a pass over `before`."""
    stale, fresh = before, after[start:stop]
    cos, sin = rotary_angles(torch.arange(len(before), device=before.device), model.head_width, model.rope_theta)

    def heads(x: Tensor) -> Tensor:
        return x.view(len(x), -1, model.head_width).transpose(0, 1)

    def one_layer(layer, x: Tensor, seen: Tensor, places: slice) -> Tensor:
        """The output for `x`, whose places these are, where attention sees the normed inputs `seen` (length, width)."""
        attention = layer.self_attn
        q = rotate(heads(attention.q_proj(layer.input_layernorm(x))), cos[places], sin[places])
        k, v = rotate(heads(attention.k_proj(seen)), cos, sin), heads(attention.v_proj(seen))
        x = x + attention.o_proj(literal_attention(q, k, v).transpose(0, 1).flatten(1))
        return x + layer.mlp(layer.post_attention_layernorm(x))

    for layer in model.layers:
        seen = layer.input_layernorm(stale)
        replaced = torch.cat([seen[:start], layer.input_layernorm(fresh), seen[stop:]])
        stale, fresh = one_layer(layer, stale, seen, slice(None)), one_layer(layer, fresh, replaced, slice(start, stop))
    return model.norm(fresh)
