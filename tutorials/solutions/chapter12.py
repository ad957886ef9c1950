"""Solutions of the exercises of chapter 12."""

import math

IGNORED = -100


def twin_questions(labels):
    return [(place - 1, token) for place, token in enumerate(labels) if token != IGNORED and place > 0]


def difference(first, second, t):
    apart = [b - a for a, b in zip(first, second)]
    n = len(apart)
    mean = sum(apart) / n
    reach = t * math.sqrt(sum((d - mean) ** 2 for d in apart) / (n - 1)) / math.sqrt(n)
    return mean, mean - reach, mean + reach


def luck(intervals, coverage):
    return intervals * (1 - coverage), 1 - coverage**intervals


def comparison_property(compare, first, second):
    def close(one, other):
        return all(abs(a - b) < 1e-6 for a, b in zip(one, other))

    mean, low, high = compare(first, second)
    if abs(mean - (sum(second) - sum(first)) / len(first)) > 1e-6 or not low - 1e-6 <= mean <= high + 1e-6:
        return False
    if not close(compare(second, first), (-mean, -high, -low)):
        return False
    for turn in range(1, len(first)):  # the seeds in another order
        if not close(compare(first[turn:] + first[:turn], second[turn:] + second[:turn]), (mean, low, high)):
            return False
    easier = [10 * seed for seed in range(len(first))]  # which helps both models of a seed
    moved = compare([a + e for a, e in zip(first, easier)], [b + e for b, e in zip(second, easier)])
    return close(moved, (mean, low, high))
