"""Grades chapter 11: weights, places and seconds of large models, and what must hold of shards."""

import math

from grading import GRADING, agree, grade_property
from hypothesis import example, given
from hypothesis import strategies as st


def count_weights(hidden, inner, layers, heads, key_heads, vocabulary):
    """Tensor by tensor, as they lie in a file."""
    width = hidden // heads
    shapes = [(vocabulary, hidden), (hidden,), (vocabulary, hidden)]
    for _ in range(layers):
        shapes += [(hidden, heads * width), (hidden, key_heads * width), (hidden, key_heads * width),
                   (heads * width, hidden), (hidden, inner), (hidden, inner), (inner, hidden), (hidden,), (hidden,)]
    return sum(math.prod(shape) for shape in shapes)


@GRADING
@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 3), st.integers(1, 40), st.integers(1, 4),
       st.integers(1, 50))
@example(128, 32, 1, 12288, 32, 126464)
@example(128, 8, 8, 28672, 80, 128256)
def check_count_weights(student, width, key_heads, shared, inner, layers, vocabulary):
    heads = key_heads * shared
    agree(student.count_weights, count_weights, heads * width, inner, layers, heads, key_heads, vocabulary)


def photo_places(size, grid, side, most):
    """Line by line: those that are no padding, then each with its end."""
    (width, height), columns, lines = size, grid[0] * side, grid[1] * side
    if width / height > columns / lines:
        border = (lines - int(height * (columns / width))) // 2
        lines = len(range(lines)[border:lines - border])
    else:
        border = (columns - int(width * (lines / height))) // 2
        columns = len(range(columns)[border:columns - border])
    factor = math.sqrt(lines * columns / (most * side * side))
    if factor > 1.1:
        lines, columns = max(1, int(lines // factor)), max(1, int(columns // factor))
    return side * side + sum(columns + 1 for _ in range(lines))


SIZES = st.tuples(st.integers(20, 2000), st.integers(20, 2000))


@GRADING
@given(SIZES, st.tuples(st.integers(1, 6), st.integers(1, 6)), st.sampled_from([4, 16, 27]), st.integers(1, 9))
@example((384, 384), (1, 1), 27, 4)
@example((1920, 1080), (5, 3), 27, 4)
@example((2000, 20), (6, 1), 4, 1)
@example((1000, 1000), (2, 2), 27, 4)  # just as many as are allowed
def check_photo_places(student, size, grid, side, most):
    agree(student.photo_places, photo_places, size, grid, side, most)


def step_seconds(places, weights, bits, operations, bandwidth):
    reading, computing = weights * bits / 8 / bandwidth, 2 * weights * places / operations
    return reading if reading > computing else computing


@GRADING
@given(st.integers(1, 4000), st.sampled_from([1e6, 8e9]), st.sampled_from([4, 8, 16, 32]),
       st.sampled_from([1e11, 1e14]), st.sampled_from([2e10, 2e12]))
@example(1, 8e9, 4, 1e11, 2e12)
@example(1, 8e9, 16, 1e14, 2e12)
def check_step_seconds(student, places, weights, bits, operations, bandwidth):
    agree(student.step_seconds, step_seconds, places, weights, bits, operations, bandwidth)


def in_order(sizes, most, allowed=lambda total, most: total <= most):
    shards, total = [], 0
    for name, size in sizes.items():
        if not shards or not allowed(total + size, most):
            shards, total = [*shards, []], 0
        shards[-1].append(name)
        total += size
    return shards


def check_shards_property(student):
    def each_alone(sizes, most):
        return [[name] for name in reversed(sizes)]

    def shows(split, sizes, most):
        return split(sizes, most)

    inputs = st.tuples(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), max_size=6), st.integers(1, 12))
    grade_property(student.shards_property, in_order, {
        "loses the last tensor": lambda sizes, most: in_order(dict([*sizes.items()][:-1]), most),
        "stores the first tensor twice": lambda sizes, most: in_order(sizes, most) + [[name] for name in [*sizes][:1]],
        "puts everything into one file": lambda sizes, most: [[*sizes]] if sizes else [],
        "begins a new file only when one is too large already": lambda sizes, most: in_order(
            sizes, most, lambda total, most: total - 1 <= most),
        "puts a tensor that is too large beside others": lambda sizes, most: in_order(
            sizes, most, lambda total, most: total <= most or max(sizes.values()) > most),
        "leaves out what is larger than a file may be": lambda sizes, most: in_order(
            {name: size for name, size in sizes.items() if size <= most}, most),
        "makes an empty file where there is nothing to store": lambda sizes, most: in_order(sizes, most) or [[]],
        "begins with an empty file if the first tensor is too large": lambda sizes, most: (
            [[]] * (next(iter(sizes.values()), 0) > most) + in_order(sizes, most)),
        "calls a tensor by another name": lambda sizes, most: [
            [name.upper() if name == "c" else name for name in shard] for shard in in_order(sizes, most)],
    }, inputs, shows)
    grade_property(student.shards_property, each_alone, {}, inputs, shows)
