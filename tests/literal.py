"""Slow, literal versions of what the package does fast: the oracles of the property tests.

Each follows the released method step by step and computes everything everywhere. Nothing here is clever.
"""

import torch
from torch import Tensor


def literal_sample(
    all_logits, prompt, gen_length, steps, block_length, temperature, cfg_scale, remasking,
    mask_id, forbidden, stops, suffix, generator=None, after_step=None,
) -> list[int]:
    """Sample as the released code does: `all_logits(canvas)` gives logits (length, vocabulary) at every position.

    Returns the answer's ids, up to the first stop, with the suffix behind it. `after_step()` is called after every
    step.
    """
    # Canvas: prompt, L x [MASK], then the suffix.
    canvas = torch.tensor(list(prompt) + [mask_id] * gen_length + list(suffix))
    response = range(len(prompt), len(prompt) + gen_length)
    blocks = gen_length // block_length
    stop_start = None

    for block in range(blocks):
        places = response[block * block_length : (block + 1) * block_length]
        masked = sum(canvas[place].item() == mask_id for place in places)
        steps_here = steps // blocks
        counts = [masked // steps_here + (1 if step < masked % steps_here else 0) for step in range(steps_here)]
        for count in counts:
            # Only masked places of this block, before the stop if there is one, can be filled.
            fillable = [place for place in places if canvas[place].item() == mask_id]
            if stop_start is not None:
                fillable = [place for place in fillable if place < stop_start]
            if count == 0 or not fillable:
                continue

            logits = all_logits(canvas)
            if cfg_scale > 0:
                unprompted = canvas.clone()
                unprompted[: len(prompt)] = mask_id
                unconditional = all_logits(unprompted)
                logits = unconditional + (cfg_scale + 1) * (logits - unconditional)
            logits[:, [*forbidden, mask_id]] = -torch.inf

            logits64 = logits.to(torch.float64)
            if temperature > 0:
                # The noise is drawn for the fillable places only, so that both samplers see the same numbers.
                noise = torch.rand(len(fillable), logits.shape[1], dtype=torch.float64, generator=generator)
                noisy = logits64.clone()
                noisy[fillable] = logits64[fillable].exp() / (-noise.log()) ** temperature
                tokens = noisy.argmax(dim=-1)
            else:
                tokens = logits.argmax(dim=-1)
            if remasking == "random":
                confidence = torch.zeros(len(canvas), dtype=torch.float64)
                confidence[fillable] = torch.rand(len(fillable), dtype=torch.float64, generator=generator)
            else:
                probabilities = torch.softmax(logits64, dim=-1)
                confidence = probabilities.gather(-1, tokens[:, None])[:, 0]

            for place in sorted(fillable, key=lambda place: -confidence[place].item())[:count]:
                canvas[place] = tokens[place]

            # The earliest start of any stop string in the response.
            for start in reversed(response):
                for stop in stops:
                    if canvas[start : min(start + len(stop), response.stop)].tolist() == list(stop):
                        stop_start = start
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
            scores = torch.tensor([q[head, query] @ key for key in k[shared]], dtype=q.dtype) / width**0.5
            if mask is not None:
                scores[~mask[query]] = -torch.inf
            out[head, query] = scores.softmax(0) @ v[shared]
    return out
