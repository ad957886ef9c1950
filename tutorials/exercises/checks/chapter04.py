"""Grades chapter 4: patches, the projector, attention, and what holds for every block without positions."""

import math

import torch
from grading import GRADING, agree, ask, call, grade_property, require, spelled
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.5, 2.0])


@st.composite
def matrices(draw, *shapes, numbers=NUMBERS, dtype=torch.float32):
    """Tensors of the given shapes, one shape each."""
    def filled(shape):
        count = math.prod(shape)
        return torch.tensor(draw(st.lists(numbers, min_size=count, max_size=count)), dtype=dtype).view(shape)

    return tuple(filled(shape) for shape in shapes)


SIZES = st.integers(1, 3)
PROJECTIONS = st.tuples(SIZES, SIZES, SIZES).flatmap(lambda sizes: matrices(
    sizes[:2], (sizes[2], sizes[1]), (sizes[2],), (sizes[2], sizes[2]), (sizes[2],)))
# Widths whose root is exact, and few different numbers: large scores then are exact in float32 too.
HEADS = st.tuples(SIZES, SIZES, st.sampled_from([1, 4]), st.integers(1, 2)).flatmap(lambda sizes: matrices(
    (sizes[0], sizes[2]), (sizes[1], sizes[2]), (sizes[1], sizes[3]),
    numbers=st.sampled_from([0.0, 1.0, -0.5, 2.0, 30.0])))
SHUFFLED = st.integers(2, 4).flatmap(lambda patches: st.tuples(
    SIZES.flatmap(lambda width: matrices((patches, width), dtype=torch.float64)), st.permutations(range(patches)))
).map(lambda drawn: (drawn[0][0], drawn[1]))


def number_by_number(features, w1, b1, w2, b2):
    def linear(row, weights, bias):
        return [sum(w * x for w, x in zip(line, row)) + b for line, b in zip(weights, bias)]

    projected = []
    for row in features.tolist():
        bent = [x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in linear(row, w1.tolist(), b1.tolist())]
        projected.append(linear(bent, w2.tolist(), b2.tolist()))
    return torch.tensor(projected)


def query_by_query(q, k, v):
    results = []
    for query in q.tolist():
        scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(len(query)) for key in k.tolist()]
        parts = [math.exp(score - max(scores)) for score in scores]
        results.append([sum(part * value for part, value in zip(parts, column)) / sum(parts)
                        for column in zip(*v.tolist())])
    return torch.tensor(results)


@GRADING
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
def check_cut_patches(student, patch, height, width):
    height, width = max(height, patch), max(width, patch)
    tile = torch.arange(3.0 * height * width).view(3, height, width)
    found = ask(student.cut_patches, tile, patch)
    case = f"With tile = torch.arange({3 * height * width}.0).view(3, {height}, {width}): "
    rows, columns, length = height // patch, width // patch, 3 * patch * patch
    shape = tuple(found.shape) if isinstance(found, torch.Tensor) else spelled(found)
    require(shape == (rows * columns, length), case + f"cut_patches(tile, {patch}) should have the shape "
                                                      f"{(rows * columns, length)}, not {shape}.")
    for number in range(rows * columns):
        for place in range(length):
            channel, line, column = place // patch**2, place // patch % patch, place % patch
            y, x = number // columns * patch + line, number % columns * patch + column
            value = found[number, place].item()
            require(value == tile[channel, y, x], case + f"in patch {number} (counted from 0) of cut_patches(tile, "
                    f"{patch}) number {place} is {value:g}. It should be {tile[channel, y, x]:g}: that of channel "
                    f"{channel}, line {y}, column {x} of the tile.")


@GRADING
@given(PROJECTIONS)
def check_project(student, inputs):
    agree(student.project, number_by_number, *inputs)


@GRADING
@given(HEADS)
def check_attend(student, inputs):
    found = ask(student.attend, *inputs)
    require(not isinstance(found, torch.Tensor) or found.isfinite().all(),
            f"{call(student.attend, *inputs)} gave {spelled(found)}, and should give finite numbers.")
    agree(student.attend, query_by_query, *inputs)


def check_order_property(student):
    def attention(rows):
        return rows + (rows @ rows.T / 2).softmax(dim=-1) @ rows.exp()

    def mean(rows):
        return rows + (rows + rows.exp().mean(dim=0)).tanh()

    def causal(rows):
        seen = torch.ones(len(rows), len(rows), dtype=torch.bool).tril()
        return rows + (rows @ rows.T / 2).masked_fill(~seen, -torch.inf).softmax(dim=-1) @ rows.exp()

    def with_neighbours(rows):
        return rows + (rows.roll(1, dims=0) + rows.roll(-1, dims=0)).tanh()

    def shows(layer, rows, order):
        return layer(rows), layer(rows[order])

    grade_property(student.order_property, attention, {
        "lets a patch see only itself": lambda rows: rows + rows.tanh(),
        "lets a patch see only itself and those before it": causal,
        "lets a patch see only the one before it and the one behind it": with_neighbours,
        "adds a position to each row": lambda rows: attention(rows + torch.arange(len(rows))[:, None]),
        "hands the first row to all": lambda rows: rows + rows[0],
        "looks only at the largest numbers": lambda rows: rows + rows.amax(dim=0),
        "gives the rows in reverse": lambda rows: attention(rows).flip(0),
    }, SHUFFLED, shows)
    grade_property(student.order_property, mean, {}, SHUFFLED, shows)
