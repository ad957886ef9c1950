"""Exercises of chapter 12, against autoregression. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 12`. No exercise needs more than plain Python.
"""

import math  # for your code

IGNORED = -100  # the label of a place that is no target


def twin_questions(labels):
    """★ ●●● Say which place an autoregressive twin must ask for which token.

    A place of the twin sees itself and what is before it. If it were asked for its own token it would only have to copy
    it. And a target with nothing in front of it cannot be asked for at all.

    labels: a list of token ids, IGNORED where there is no target. Returns a list of pairs, (the place that is asked,
    the token that it should say), in the order of the places.

        place     0  1  2  3  4
        labels    –  –  7  8  –
        asked        7  8

    >>> twin_questions([-100, -100, 7, 8, -100])
    [(1, 7), (2, 8)]
    """
    raise NotImplementedError


def difference(first, second, t):
    """★★ ●●● Compare two kinds of models that were trained with the same seeds.

    A seed decides on the samples, and some samples are easier than others. Two models of one seed had the same ones. So
    what counts is how far they are apart, seed by seed. Of these n differences d, take the mean and the interval

        mean ± t · s / √n,        s² = Σ (d − mean)² / (n − 1)

    first, second: lists of n numbers, 2 or more, one for each seed, in the same order. t: Student's t for n − 1 degrees
    of freedom, a number above 0. Returns (mean of second less first, lower end, upper end).

        seed       1     2     3
        first     60    70    80        a wide spread
        second    63    72    84        a wide spread
        apart     +3    +2    +4        a narrow one

    >>> difference([60.0, 70.0, 80.0], [63.0, 72.0, 84.0], 4.303)
    (3.0, 0.5157, 5.4843)
    """
    raise NotImplementedError


def luck(intervals, coverage):
    """★ ●● Say how often chance alone makes a finding.

    An interval holds the true difference with probability `coverage`, and misses it else. A study prints many. How many
    of them miss, on average? And how likely is it that at least one does? (Take them to be independent.)

    intervals: how many there are, a whole number, 0 or more. coverage: a number from 0 to 1. Returns a pair.

        27 intervals of 95 %    ─────●─────   ─────●─────   ●  ─────────   …
                                                            missed

    >>> luck(27, 0.95)
    (1.35, 0.7497)
    """
    raise NotImplementedError


def comparison_property(compare, first, second):
    """★★★ ●● Write a property: what must hold of every fair comparison of two kinds of models, seed by seed?

    There are several ways to say how far two kinds are apart: with Student's t, with the lowest and the highest
    difference, with a bootstrap. Their intervals differ. But what a comparison says must not depend on which of the two
    kinds comes first, nor on the order of the seeds, nor on whether a seed had easy samples, which helped both of its
    models alike. (Nobody says how to ask for that. What could you do to the input, and what must then become of the
    output?)

    compare: a function; `compare(first, second)` returns (mean of second less first, lower end, upper end). It may be
    right or wrong. first, second: lists of 2 to 4 whole numbers, one for each seed, in the same order. Returns True
    if `compare` does right with these inputs, and False if not.

        first   60  70        first   70  60        first   60  75        first   63  72
        second  63  72        second  72  63        second  63  77        second  60  70
        as it is              other order           seed 2 easier         changed over

    >>> def lowest_to_highest(first, second):
    ...     apart = [b - a for a, b in zip(first, second)]
    ...     return sum(apart) / len(apart), min(apart), max(apart)
    >>> comparison_property(lowest_to_highest, [60, 70], [63, 72])
    True
    >>> comparison_property(lambda first, second: (max(second) - max(first), 0, 0), [60, 70], [63, 72])
    False
    """
    raise NotImplementedError
