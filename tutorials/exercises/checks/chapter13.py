"""Grades chapter 13: a row in few bits, what it takes, a low-rank update, and what must hold of every good scale."""

import math

import torch
from grading import GRADING, agree, ask, grade_property, require, same, spelled
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

MILLION = 10**6
ROWS = st.lists(st.integers(-40, 40).map(lambda tenths: tenths / 10), min_size=1, max_size=5)


def half_way(row, scale):
    """Whether some weight lies just between two levels: then either is right."""
    return any(abs(weight / scale % 1 - 0.5) < 1e-6 for weight in row)


@GRADING
@given(ROWS, st.sampled_from([2, 3, 4, 8]))
@example([-4.0, 3.9], 4)
@example([0.0], 2)
def check_quantise(student, row, bits):
    largest, levels = max(map(abs, row)), range(1 - 2 ** (bits - 1), 2 ** (bits - 1))
    scale = largest / levels[-1] if largest else 1.0
    assume(not half_way(row, scale))
    agree(student.quantise, lambda row, bits: (
        [min(levels, key=lambda level: abs(weight - level * scale)) for weight in row], scale), row, bits)


def stored_bytes(rows, inputs, bits, group):
    total = 0
    for _ in range(rows):
        bits_used, scales = 0, 0
        for place in range(inputs):
            bits_used, scales = bits_used + bits, scales + (place % group == 0)
        total += math.ceil(bits_used / 8) + 2 * scales
    return total


@GRADING
@given(st.integers(1, 5), st.integers(1, 40), st.sampled_from([1, 3, 4, 8, 16]), st.integers(1, 20))
@example(3, 5, 4, 64)
@example(2, 64, 4, 64)
def check_stored_bytes(student, rows, inputs, bits, group):
    agree(student.stored_bytes, stored_bytes, rows, inputs, bits, group)


@settings(GRADING, max_examples=10)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(20, 30), st.integers(20, 30), st.sampled_from([1.0, 4.0, 0.5]),
       st.integers(0, 99))
def check_adapted(student, batch, rank, inputs, outputs, alpha, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = (outputs, inputs), (rank, inputs), (outputs, rank), (batch, inputs)
    weight, a, b, x = (torch.randn(shape, generator=generator) for shape in shapes)
    a.requires_grad_(), b.requires_grad_()

    def layer(x):
        return x @ weight.T

    def adapt(layer, alpha):  # `ask` would hand over copies of a and b
        return student.adapted(layer, a, b, alpha)

    forward = ask(adapt, layer, alpha)
    require(callable(forward), f"adapted should return a function, not {spelled(forward)}.")
    found = ask(forward, x)
    expected = x @ (weight + alpha / rank * b @ a).T
    shown = f"With {batch=}, r={rank}, {inputs=}, {outputs=} and {alpha=}"
    require(same(found, expected, 1e-3), f"{shown} the result is not W x + (alpha / r) · B A x:\nit should be "
                                         f"{spelled(expected)}\nand is {spelled(found)}")
    require(found.requires_grad, "No gradient reaches a and b.")
    gradients = [torch.autograd.grad((it**2).sum(), [a, b]) for it in (found, expected)]
    require(same(*gradients, 1e-2), f"{shown} the result is right, but not the gradients of a and b.")
    large = ask(student.adapted, abs, torch.ones(1, MILLION), torch.ones(MILLION, 1), 1.0)  # B A would take 4 TB
    require(float(ask(large, torch.ones(1, MILLION))[0, -1]) == MILLION + 1, "With a million inputs it is wrong.")


def with_levels(row, most, least, scale, nearest=round):
    return [min(max(nearest(weight / scale), least), most) for weight in row], scale


def symmetric(row, bits, nearest=round, stretch=1.0, shrink=1):
    most = 2 ** (bits - 1) - 1
    scale = max(map(abs, row)) / most * stretch or 1.0
    return with_levels(row, most // shrink, -(most // shrink), scale * shrink, nearest)


def cut_off(level):
    return math.trunc(level * (1 + 1e-9))


def one_level_more(row, bits):
    """−m − 1 … m; the larger side has the additional level, so the scale is negative where that is the upper one."""
    most = 2 ** (bits - 1)
    above, below = max(0.0, *row), max(0.0, *(-weight for weight in row))
    scale = max(max(above, below) / most, min(above, below) / (most - 0.5)) or 1.0
    return with_levels(row, most - 1, -most, -scale if above > below else scale)


def check_levels_property(student):
    def from_least_to_most(row, bits):
        """Levels for what lies between the least and the largest weight, and nothing is kept free for 0."""
        step = (max(row) - min(row)) / (2**bits - 1) or 1.0
        return [round((weight - min(row)) / step) - 2 ** (bits - 1) for weight in row], step

    def shows(quantise, row, bits):
        return quantise(row, bits)

    inputs = st.tuples(ROWS, st.sampled_from([2, 4, 8])).filter(lambda it: not half_way(it[0], symmetric(*it)[1]))
    grade_property(student.levels_property, symmetric, {
        "cuts off in place of taking the nearest level": lambda row, bits: symmetric(row, bits, cut_off),
        "always rounds up": lambda row, bits: symmetric(
            row, bits, lambda level: math.ceil(level - 1e-9)),
        "has a scale that is too small, so that the largest weights are cut": lambda row, bits: symmetric(
            row, bits, stretch=0.6),
        "has a scale that is twice as large as it need be": lambda row, bits: symmetric(row, bits, stretch=2.0),
        "uses every other level only": lambda row, bits: tuple(
            [[2 * one for one in it] if isinstance(it, list) else it / 2 for it in symmetric(row, bits, shrink=2)])
            if bits > 2 else symmetric(row, bits, cut_off),
        "takes the largest weight without regard to its sign": lambda row, bits: with_levels(
            row, 2 ** (bits - 1) - 1, 1 - 2 ** (bits - 1), max(0.1, *row) / (2 ** (bits - 1) - 1)),
        "has levels that these bits cannot hold": lambda row, bits: symmetric(row, bits + 1),
        "has levels for the weights between the least and the largest, and reads them without an offset":
            from_least_to_most,
        "does not round the levels": lambda row, bits: symmetric(row, bits, float),
        "loses the last weight": lambda row, bits: (symmetric(row, bits)[0][:-1], symmetric(row, bits)[1]),
    }, inputs, shows)
    grade_property(student.levels_property, one_level_more, {}, inputs, shows)
