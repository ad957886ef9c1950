"""Solutions of the exercises of chapter 4."""

import torch


def cut_patches(tile, patch):
    _, height, width = tile.shape
    return torch.stack([tile[:, top : top + patch, left : left + patch].flatten()
                        for top in range(0, height - patch + 1, patch) for left in range(0, width - patch + 1, patch)])


def project(features, w1, b1, w2, b2):
    x = features @ w1.T + b1
    bent = x / 2 * (1 + torch.erf(x / 2**0.5))
    return bent @ w2.T + b2


def attend(q, k, v):
    scores = q @ k.T / q.shape[1] ** 0.5
    return scores.softmax(dim=-1) @ v


def order_property(layer, rows, order):
    result = layer(rows)
    if not torch.allclose(layer(rows[order]), result[order], rtol=0, atol=1e-9):
        return False
    changed = rows.clone()
    changed[-1] += 1
    return bool(((layer(changed) - result).abs() >= 1e-9).any(dim=1).all())
