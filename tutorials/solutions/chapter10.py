"""Solutions of the exercises of chapter 10."""

import torch


def commit(confidence, threshold):
    sure = [place for place, value in enumerate(confidence) if value >= threshold]
    return sure or [confidence.index(max(confidence))]


def places_run(prompt, length, block, refresh):
    whole = -(-block // refresh)  # rounded up
    return length // block * (whole * (prompt + length) + (block - whole) * block)


def attend_alone(queries, keys, values, fresh_keys, fresh_values, start):
    behind = start + len(queries)
    keys = torch.cat([keys[:start], fresh_keys, keys[behind:]])
    values = torch.cat([values[:start], fresh_values, values[behind:]])
    weights = (queries @ keys.T / queries.shape[1] ** 0.5).softmax(dim=-1)  # (n, length)
    return weights @ values


def cache_property(cached, network, layers, before, after, start, stop):
    found = cached(layers, before, after, start, stop)
    if len(found) != stop - start:
        return False
    if layers > 1 and before != after:
        return True
    expected = network(layers, after)[start:stop]
    return all(abs(one - other) < 1e-6 for one, other in zip(found, expected))
