"""Grades chapter 12: the twin's shift, a paired comparison, luck, and what must hold of every fair comparison."""

import itertools
import math
import statistics

from grading import GRADING, agree, grade_property
from hypothesis import example, given
from hypothesis import strategies as st

IGNORED = -100
SCORES = st.integers(0, 12)


def twin_questions(labels):
    pairs = zip(range(len(labels)), labels[1:])
    return [(place, behind) for place, behind in pairs if behind != IGNORED]


@GRADING
@given(st.lists(st.sampled_from([IGNORED, IGNORED, 0, 7, 8]), max_size=6))
@example([7])
@example([IGNORED, 0])
def check_twin_questions(student, labels):
    agree(student.twin_questions, twin_questions, labels)


def difference(first, second, t):
    apart = list(map(float.__sub__, second, first))
    middle, error = statistics.fmean(apart), statistics.stdev(apart) / math.sqrt(len(apart))
    return middle, middle - t * error, middle + t * error


def pairs_of(numbers, most=4):
    return st.integers(2, most).flatmap(
        lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 2))


@GRADING
@given(pairs_of(SCORES.map(float)), st.sampled_from([12.706, 4.303, 1.0]))
@example(([1.0, 2.0], [2.0, 3.0]), 4.303)
def check_difference(student, scores, t):
    agree(student.difference, difference, *scores, t)


def luck(intervals, coverage):
    none = 1.0
    for _ in range(intervals):
        none *= coverage
    return sum(1 - coverage for _ in range(intervals)), 1 - none


@GRADING
@given(st.integers(0, 60), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
@example(0, 0.95)
@example(27, 0.95)
def check_luck(student, intervals, coverage):
    agree(student.luck, luck, intervals, coverage)


def comparison(apart_of=lambda a, b: b - a, prepared=lambda first, second: (first, second),
               ends=lambda apart: (min(apart), max(apart))):
    def compare(first, second):
        apart = [apart_of(a, b) for a, b in zip(*prepared(first, second))]
        return statistics.fmean(apart), *ends(apart)
    return compare


def students_t(apart):
    reach = 4.303 * statistics.stdev(apart) / math.sqrt(len(apart))
    return statistics.fmean(apart) - reach, statistics.fmean(apart) + reach


def bootstrap(apart):
    means = sorted(statistics.fmean(some) for some in itertools.product(apart, repeat=len(apart)))
    return means[len(means) // 40], means[-1 - len(means) // 40]


def unpaired(first, second):
    middle = statistics.fmean(second) - statistics.fmean(first)
    reach = 2 * math.sqrt((statistics.variance(first) + statistics.variance(second)) / len(first))
    return middle, middle - reach, middle + reach


def check_comparison_property(student):
    def shows(compare, first, second):
        return compare(first, second)

    with_t = comparison(ends=students_t)
    inputs = pairs_of(SCORES)
    grade_property(student.comparison_property, with_t, {
        "forgets which models had the same seed, and compares two heaps": unpaired,
        "sorts both lists first": comparison(prepared=lambda first, second: (sorted(first), sorted(second))),
        "leaves out the last seed": lambda first, second: comparison()(first[:-1], second[:-1]),
        "says how far they are apart in per cent of the first": comparison(lambda a, b: 100 * (b - a) / (a or 1)),
        "takes every difference for positive": comparison(lambda a, b: abs(b - a)),
        "subtracts the second from the first": comparison(lambda a, b: a - b),
        "gives an interval that is open above": lambda first, second: (
            *with_t(first, second)[:2], with_t(first, second)[2] + 1.0),
        "gives the interval of the differences without their mean": lambda first, second: (
            with_t(first, second)[0], *(end - with_t(first, second)[0] for end in with_t(first, second)[1:])),
        "compares with the first seed only, and the others between each other": lambda first, second: (
            with_t(first, second)[0], second[0] - first[0], second[0] - first[0]),
        "changes the two ends over": lambda first, second: tuple(with_t(first, second)[it] for it in (0, 2, 1)),
    }, inputs, shows)
    for ends in (lambda apart: (min(apart), max(apart)), bootstrap):
        grade_property(student.comparison_property, comparison(ends=ends), {}, inputs, shows)
