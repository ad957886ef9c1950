"""Solutions of the exercises of chapter 6."""

import torch

IGNORED = -100
EPSILON = 0.001


def expected_masks(labels, t):
    targets = sum(label != IGNORED for label in labels)
    return ((1 - EPSILON) * t + EPSILON) * targets


def mask_answers(labels, t, uniform):
    p = (1 - EPSILON) * t + EPSILON
    return (labels != IGNORED) & (uniform < p[:, None])


def mask_exactly(labels, count, uniform):
    targets_first = uniform.masked_fill(labels == IGNORED, 2.0).argsort()
    masked = torch.zeros(len(labels), dtype=torch.bool)
    masked[targets_first[:count]] = True
    return masked


def film_property(masking, labels, early, late, uniform):
    targets = labels != IGNORED
    first, second = masking(labels, early, uniform), masking(labels, late, uniform)
    if (first & ~targets).any() or (second & ~targets).any():
        return False
    if (first & ~second).any():
        return False
    return bool((masking(labels, 1.0, uniform) == targets).all())
