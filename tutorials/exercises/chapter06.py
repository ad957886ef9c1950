"""Exercises of chapter 6, the forward process. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 6`. The last three need torch.
"""

import torch  # for your code

IGNORED = -100  # the label of a place that is no target
EPSILON = 0.001  # ε, the least probability of a mask


def expected_masks(labels, t):
    """★ ●● Say how many masks to expect, on average over many draws.

    A place is a target if its label is not IGNORED. Each target is masked with probability p(t) = (1 − ε) t + ε.

        labels    −100     7       7       9
        masked     0     0.5005  0.5005  0.5005          of the time

    labels: a list of whole numbers. t: a number from 0 to 1. Returns a number.

    >>> expected_masks([-100, 7, 7, 9], 0.5)
    1.5015
    """
    raise NotImplementedError


def mask_answers(labels, t, uniform):
    """★★ ●●● Mask a batch of answers, each at a time of its own.

    The place i of sequence b is masked if it is a target (its label is not IGNORED), and

        uniform[b, i] < p(t[b]) = (1 − ε) t[b] + ε

        t 0.9     −100  5            0.1 0.1            □ ■          no target is never masked
        t 0.5        6  6            0.8 0.2            □ ■
                  labels             uniform            result

    labels: (batch, length) int64. t: (batch,) float32. uniform: (batch, length) float32 in [0, 1).
    Returns (batch, length) bool, True where there is a mask.

    >>> mask_answers(torch.tensor([[-100, 5], [6, 6]]), torch.tensor([0.9, 0.5]),
    ...              torch.tensor([[0.1, 0.1], [0.8, 0.2]]))
    tensor([[False,  True],
            [False,  True]])
    """
    raise NotImplementedError


def mask_exactly(labels, count, uniform):
    """★★ ●● Mask exactly `count` targets of one sequence: those with the lowest uniform numbers.

        labels     −100    5     6     7
        uniform     0.1   0.9   0.3   0.2             count 2
        result       □     □     ■     ■              0.1 does not count: it is no target's

    labels: (length,) int64. count: a whole number from 1 to n, the number of targets. uniform: (length,) float32 in
    [0, 1), no two of them equal. Returns (length,) bool, True where there is a mask.

    >>> mask_exactly(torch.tensor([-100, 5, 6, 7]), 2, torch.tensor([0.1, 0.9, 0.3, 0.2]))
    tensor([False, False,  True,  True])
    """
    raise NotImplementedError


def film_property(masking, labels, early, late, uniform):
    """★★★ ●●● Write a property: what must be true of every right forward process, by time or by count?

    masking: a function `masking(labels, t, uniform)` for one sequence, with labels and uniform (length,) and t a
    number; it returns (length,) bool. It may be right or wrong. early, late: two times, 0 ≤ early ≤ late ≤ 1. Returns
    True if `masking` does right with these inputs, and False if not.

        labels     −100    5     6
        early        □     □     ■
        late         □     ■     ■
        at time 1.0  □     ■     ■

    Chapter 6 proves lemmas on this film. Three of them hold for masking by time and by count alike: one on what is
    masked at all, one on two times, one on the end. Your property is tried with two right implementations and with some
    that we broke on purpose. It must be True for the first two, always, and False for each of the others, on one input
    at least.

    >>> labels, uniform = torch.tensor([-100, 5]), torch.tensor([0.1, 0.5])
    >>> film_property(lambda labels, t, uniform: (labels != IGNORED) & (uniform < t), labels, 0.2, 0.6, uniform)
    True
    >>> film_property(lambda labels, t, uniform: uniform < t, labels, 0.2, 0.6, uniform)  # masks the first place too
    False
    """
    raise NotImplementedError
