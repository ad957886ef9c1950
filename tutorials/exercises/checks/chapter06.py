"""Grades chapter 6: how many masks to expect, masking by time and by count, and what holds for both."""

import math

import torch
from grading import GRADING, THOROUGH, agree, ask, call, grade_property, require, spelled
from hypothesis import example, given
from hypothesis import strategies as st

IGNORED = -100
TIMES = st.floats(0, 1, width=16)
LABELS = st.lists(st.sampled_from([IGNORED, 0, 5, 6, 7]), min_size=1, max_size=6)
DARK, PALE, ORANGE = "#3c3c3c", "#d5e8f5", "#e69f00"


def p_of(t: float) -> float:
    return 0.999 * t + 0.001


@st.composite
def sequences(draw, apart: bool = False):
    """(labels, uniform), tensors (length,) with at least one target; no two numbers are equal if they lie `apart`."""
    labels = draw(LABELS.filter(lambda them: any(label != IGNORED for label in them)))
    uniform = draw(st.lists(st.sampled_from([number / 20 for number in range(20)]), unique=apart,
                            min_size=len(labels), max_size=len(labels)))
    return torch.tensor(labels), torch.tensor(uniform)


@st.composite
def batches(draw):
    """(labels, t, uniform) of up to three sequences of one length."""
    batch, length = draw(st.integers(1, 3)), draw(st.integers(1, 5))

    def rows(values):
        return draw(st.lists(st.lists(values, min_size=length, max_size=length), min_size=batch, max_size=batch))

    labels = rows(st.sampled_from([IGNORED, 0, 5]))
    t = draw(st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), min_size=batch, max_size=batch))
    uniform = rows(st.sampled_from([0.05, 0.25, 0.4, 0.6, 0.95]))
    return torch.tensor(labels), torch.tensor(t), torch.tensor(uniform)


def strips(labels: list[int], expected: list[bool], found: list[bool]):
    """What should be masked above what was; where they differ the lower box has a frame."""
    from minllada_v.drawing.charts import Box, token_strips

    def row(masked, frames):
        return [Box("no target" if label == IGNORED else str(label), DARK if hidden else PALE,
                    ORANGE if frame else None)
                for label, hidden, frame in zip(labels, masked, frames)]

    wrong = [one != other for one, other in zip(expected, found)]
    return token_strips([row(expected, [False] * len(labels)), row(found, wrong)], ["right", "yours"])


def compare_masks(words: str, labels: list[int], expected: list[bool], found: list[bool], reasons: list[str]):
    """Compare the masks of a sequence place by place. `reasons` say, for each target, why it is masked or not."""
    for place, label in enumerate(labels):
        if found[place] == expected[place]:
            continue
        reason = (f"position {place} is not a target but was masked" if label == IGNORED else
                  f"position {place} is a target and should {'' if expected[place] else 'not '}be masked, "
                  f"since {reasons[place]}")
        require(False, f"{words}, {reason}. Your masks: {spelled(found)}.", lambda: strips(labels, expected, found))


def require_bools(function, arguments, found, shape):
    require(isinstance(found, torch.Tensor) and found.dtype == torch.bool and found.shape == shape,
            f"{call(function, *arguments)} should give a tensor of bool with the shape {tuple(shape)}, but gave "
            f"{spelled(found)}.")


@GRADING
@given(LABELS, TIMES)
def check_expected_masks(student, labels, t):
    agree(student.expected_masks, lambda labels, t: p_of(t) * sum(label != IGNORED for label in labels), labels, t)


@THOROUGH
@example((torch.tensor([[5, 5]]), torch.tensor([0.0]), torch.tensor([[0.0, 0.0005]])))
@example((torch.tensor([[5, 5]]), torch.tensor([0.0]), torch.tensor([[0.001, 0.002]])))
@given(batches())
def check_mask_answers(student, batch):
    labels, t, uniform = batch
    found = ask(student.mask_answers, *batch)
    require_bools(student.mask_answers, batch, found, labels.shape)
    for row, time in enumerate(t.tolist()):
        p = p_of(time)
        numbers = uniform[row].tolist()
        expected = [label != IGNORED and number < p for label, number in zip(labels[row].tolist(), numbers)]
        compare_masks(f"In sequence {row} of {len(t)}, for t = {time:.3g}, labels {labels[row].tolist()} and uniform "
                    f"{spelled(numbers)}", labels[row].tolist(), expected, found[row].tolist(),
                    [f"{number:.3g} is {'' if number < p else 'not '}below p = {p:.3g}" for number in numbers])


@GRADING
@given(sequences(apart=True), st.data())
def check_mask_exactly(student, sequence, data):
    labels, uniform = sequence
    targets = [place for place, label in enumerate(labels.tolist()) if label != IGNORED]
    count = data.draw(st.integers(1, len(targets)))
    found = ask(student.mask_exactly, labels, count, uniform)
    require_bools(student.mask_exactly, (labels, count, uniform), found, labels.shape)
    order = sorted(targets, key=lambda place: uniform[place].item())
    compare_masks(f"For count = {count}, labels {labels.tolist()} and uniform {spelled(uniform.tolist())}",
                labels.tolist(), [place in order[:count] for place in range(len(labels))], found.tolist(),
                [f"{order.index(place)} of the {len(order)} targets have a lower number" if place in order else ""
                 for place in range(len(labels))])


def check_film_property(student):
    def by_time(labels, t, uniform):
        return (labels != IGNORED) & (uniform < p_of(t))

    def by_count(labels, t, uniform):
        targets = labels != IGNORED
        rank = uniform.masked_fill(~targets, 2.0).argsort().argsort()
        return targets & (rank < min(1 + math.floor(t * int(targets.sum())), int(targets.sum())))

    def last_target_left(labels, t, uniform):
        masked = by_time(labels, t, uniform)
        masked[(labels != IGNORED).nonzero()[-1]] = False
        return masked

    def other_places_each_time(labels, t, uniform):
        return by_time(labels, t, (uniform + 7 * t) % 1)

    def larger(labels, t, uniform):
        return (labels != IGNORED) & ((uniform > t) | torch.tensor(t == 1))

    def both(masking, labels, early, late, uniform):
        return masking(labels, early, uniform), masking(labels, late, uniform)

    inputs = st.tuples(sequences(), st.tuples(TIMES, TIMES)).map(
        lambda drawn: (drawn[0][0], min(drawn[1]), max(drawn[1]), drawn[0][1]))
    grade_property(student.film_property, by_time, {
        "masks what is no target": lambda labels, t, uniform: uniform < p_of(t),
        "masks what is no target, but only at late times":
            lambda labels, t, uniform: by_time(labels, t, uniform) | torch.tensor(0.75 < t < 1),
        "masks where the number is larger than t": larger,
        "masks other places at each time": other_places_each_time,
        "never masks the last target": last_target_left,
        "masks with probability t / 2": lambda labels, t, uniform: by_time(labels, t / 2, uniform),
    }, inputs, both)
    grade_property(student.film_property, by_count, {}, inputs, both)
