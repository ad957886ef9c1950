"""Grades chapter 7: the loss of a mask, its average over masks, the same over orders, and what makes it right."""

from itertools import product
from math import factorial

from grading import GRADING, agree, grade_property
from hypothesis import given
from hypothesis import strategies as st

NATS = st.integers(0, 40).map(lambda eighths: eighths / 8)  # surprises that are short to write
PROBABILITIES = st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9])


@st.composite
def one_mask(draw):
    """(nats, mask), of one length."""
    nats = draw(st.lists(NATS, min_size=1, max_size=6))
    return nats, tuple(draw(st.lists(st.booleans(), min_size=len(nats), max_size=len(nats))))


@st.composite
def every_mask(draw, most: int):
    """A dict from all masks of a length up to `most` to the surprises at their masked places."""
    masks = product([False, True], repeat=draw(st.integers(1, most)))
    return {mask: [draw(NATS) if hidden else None for hidden in mask] for mask in masks}


def loss_of(nats, masked, p):
    total = 0.0
    for place in range(len(nats)):
        if masked[place]:
            total += nats[place]
    return total / (p * len(nats))


def average(nats, p):
    total = 0.0
    for mask in nats:
        chance = 1.0
        for hidden in mask:
            chance *= p if hidden else 1 - p
        total += chance * loss_of(nats[mask], mask, p)
    return total


def average_over_times(nats):
    """Over t from 0 to 1, where the integral of t^k (1 − t)^(n − k) / t is (k − 1)! (n − k)! / n!."""
    total = 0.0
    for mask in nats:
        n, k = len(mask), sum(mask)
        for place in range(n):
            if mask[place]:
                total += nats[mask][place] * factorial(k - 1) * factorial(n - k) / factorial(n)
    return total / n


@GRADING
@given(one_mask(), PROBABILITIES)
def check_sequence_loss(student, nats_and_mask, p):
    nats, mask = nats_and_mask
    agree(student.sequence_loss, loss_of, nats, mask, p)


@GRADING
@given(every_mask(3), PROBABILITIES)
def check_enumerated_loss(student, nats, p):
    agree(student.enumerated_loss, average, nats, p)


@GRADING
@given(every_mask(3))
def check_mean_over_orders(student, nats):
    agree(student.mean_over_orders, average_over_times, nats)


def check_loss_property(student):
    def first_for_all(nats, masked, p):
        first = next((value for value, hidden in zip(nats, masked) if hidden), 0.0)
        return first * sum(masked) / (p * len(nats))

    grade_property(student.loss_property, loss_of, {
        "forgets the weight 1/p": lambda nats, masked, p: loss_of(nats, masked, 1.0),
        "forgets to divide by n": lambda nats, masked, p: loss_of(nats, masked, p) * len(nats),
        "divides by how many are masked, and not by how many are expected":
            lambda nats, masked, p: loss_of(nats, masked, max(1, sum(masked)) / len(nats)),
        "asks for the visible tokens": lambda nats, masked, p: loss_of(nats, [not hidden for hidden in masked], p),
        "asks for all tokens, masked or not": lambda nats, masked, p: loss_of(nats, [True] * len(nats), p),
        "weighs with 1/(1 − p)": lambda nats, masked, p: loss_of(nats, masked, 1 - p),
        "takes the first masked token for all of them": first_for_all,
    }, st.tuples(st.lists(NATS, min_size=1, max_size=4), PROBABILITIES),
       lambda loss, nats, p: loss(nats, (True, *[False] * (len(nats) - 1)), p))
