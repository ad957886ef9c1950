"""Exercises of chapter 6, the forward process. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `pytest tutorials/exercises -k chapter06`. The last three need torch.
"""

import torch  # for your code

IGNORED = -100  # the label of a place that is no target
EPSILON = 0.001  # ε, the least probability of a mask


def expected_masks(labels, t):
    """★ ●● Say how many masks to expect.

    Of n targets, each masked with probability p(t) = (1 − ε) t + ε, on average

        p(t) · n

    are masked. A place is a target if its label is not IGNORED.

    labels: a list of whole numbers. t: a number from 0 to 1. Returns a number.

    >>> expected_masks([-100, 7, 7, 9], 0.5)
    1.5015

    Hint: a target may have any label but -100, 0 too.
    """
    raise NotImplementedError


def mask_answers(labels, t, uniform):
    """★★ ●● Mask a batch of answers, each at a time of its own.

    The place i of sequence b is masked if it is a target (its label is not IGNORED), and

        uniform[b, i] < p(t[b]) = (1 − ε) t[b] + ε

    labels: (batch, length) int64. t: (batch,) float32. uniform: (batch, length) float32 in [0, 1).
    Returns (batch, length) bool, True where there is a mask.

    >>> mask_answers(torch.tensor([[-100, 5], [6, 6]]), torch.tensor([0.9, 0.5]),
    ...              torch.tensor([[0.1, 0.1], [0.8, 0.2]]))
    tensor([[False,  True],
            [False,  True]])

    Hint: `p[:, None]` is (batch, 1), and is compared with each place of its own sequence. `&` joins two conditions.
    """
    raise NotImplementedError


def mask_exactly(labels, count, uniform):
    """★★ ●● Mask exactly `count` targets of one sequence: those with the lowest uniform numbers.

    labels: (length,) int64. count: a whole number from 1 to n, the number of targets. uniform: (length,) float32 in
    [0, 1), no two of them equal. Returns (length,) bool, True where there is a mask.

    >>> mask_exactly(torch.tensor([-100, 5, 6, 7]), 2, torch.tensor([0.1, 0.9, 0.3, 0.2]))
    tensor([False, False,  True,  True])

    Hint: the number 0.1 of the first place must not count, since it is no target. What if such places had a number
    above all others? `uniform.masked_fill(condition, value)` and `argsort` may help.
    """
    raise NotImplementedError


def film_property(masking, labels, early, late, uniform):
    """★★★ ●● Write a property: what must be true of every right forward process, by time or by count?

    masking: a function `masking(labels, t, uniform)` for one sequence, with labels and uniform (length,) and t a
    number; it returns (length,) bool. It may be right or wrong. early, late: two times, 0 ≤ early ≤ late ≤ 1. Returns
    True if `masking` does right with these inputs, and False if not:

    1. Only targets are masked (lemma 1), at `early` and at `late`.
    2. What is masked at `early` is masked at `late` too, with the same `uniform` (lemma 3).
    3. At time 1.0 every target is masked (lemma 4).

    >>> labels, uniform = torch.tensor([-100, 5]), torch.tensor([0.1, 0.5])
    >>> film_property(lambda labels, t, uniform: (labels != IGNORED) & (uniform < t), labels, 0.2, 0.6, uniform)
    True
    >>> film_property(lambda labels, t, uniform: uniform < t, labels, 0.2, 0.6, uniform)  # masks the first place too
    False

    Your property is tried with two right implementations and with some that we broke on purpose. It must be True for
    the first two, always, and False for each of the others, on one input at least.

    Hint: `(one & ~other).any()` is a tensor; `bool(…)` makes a plain True or False of it.
    """
    raise NotImplementedError
