"""The forward process: what is masked, how often, and what never is."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.chat import IGNORED
from minllada_v.masking import (
    EPSILON,
    draw_times,
    draw_uniform,
    mask_by_count,
    mask_by_time,
    masking_probability,
)

SEEDS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 1, width=32)
WAYS = pytest.mark.parametrize("masking", [mask_by_time, mask_by_count])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_labels(seed: int, batch: int = 3, length: int = 12) -> torch.Tensor:
    """Labels of which about half are targets, at least one in each sequence."""
    generator = seeded(seed)
    labels = torch.randint(0, 50, (batch, length), generator=generator)
    ignored = torch.rand(batch, length, generator=generator) < 0.5
    ignored[:, torch.randint(length, (1,), generator=generator)] = False
    return labels.masked_fill(ignored, IGNORED)


def far_from_expected(trials: int, probability: float) -> float:
    """How far from its expectation a binomial count lies with a chance below 1e-9 (Bernstein's inequality)."""
    surprise = math.log(2 / 1e-9)
    variance = trials * probability * (1 - probability)
    return surprise / 3 + math.sqrt((surprise / 3) ** 2 + 2 * variance * surprise)


@WAYS
@settings(deadline=None)
@given(seed=SEEDS, t=TIMES)
def test_a_place_that_is_no_target_is_never_masked(masking, seed, t):
    """Whatever t and the draws are, and for the way by count at both of its ends too."""
    labels = random_labels(seed)
    masks = masking(labels, torch.full((3,), t), draw_uniform(labels, seeded(seed)))
    assert not masks.masked[labels == IGNORED].any()


@settings(deadline=None)
@given(t=TIMES)
def test_the_masking_probability_lies_between_epsilon_and_1(t):
    """p(t) stays in [ε, 1], so the weight 1/p stays in [1, 1/ε]; the ends are reached at t = 0 and t = 1."""
    at_0, p, at_1 = masking_probability(torch.tensor([0.0, t, 1.0])).tolist()
    assert at_0 <= p <= at_1
    assert at_0 == pytest.approx(EPSILON, rel=1e-6) and at_1 == 1


@WAYS
@settings(deadline=None)
@given(seed=SEEDS, one=TIMES, other=TIMES)
def test_a_larger_t_only_adds_masks(masking, seed, one, other):
    """With the same uniform draws, what is masked at a time is masked at every later time."""
    labels = random_labels(seed)
    uniform = draw_uniform(labels, seeded(seed))
    earlier = masking(labels, torch.full((3,), min(one, other)), uniform).masked
    later = masking(labels, torch.full((3,), max(one, other)), uniform).masked
    assert not (earlier & ~later).any()


@WAYS
@settings(deadline=None)
@given(seed=SEEDS)
def test_t_towards_1_masks_every_target(masking, seed):
    """At t = 1 no target is left to chance, and the divisor is n. (By count that is so from t = (n − 1)/n on.)"""
    labels = random_labels(seed)
    masks = masking(labels, torch.ones(3), draw_uniform(labels, seeded(seed)))
    assert masks.masked.equal(labels != IGNORED)
    assert masks.divisor.equal((labels != IGNORED).sum(dim=1).float())


@settings(deadline=None)
@given(seed=SEEDS, t=TIMES)
def test_the_number_of_masks_is_binomial_around_its_expectation(seed, t):
    """Of n targets p·n are masked on average. The bound is one that a right count misses once in 1e9 times; `divisor`
    is that expectation."""
    labels = torch.zeros(1, 20_000, dtype=torch.long)
    labels[:, ::4] = IGNORED
    masks = mask_by_time(labels, torch.tensor([t]), draw_uniform(labels, seeded(seed)))
    p = (1 - EPSILON) * t + EPSILON
    assert abs(int(masks.masked.sum()) - 15_000 * p) <= far_from_expected(15_000, p)
    assert masks.divisor.item() == pytest.approx(15_000 * p, rel=1e-5)


@settings(deadline=None)
@given(seed=SEEDS, targets=st.integers(1, 12), data=st.data())
def test_masking_by_count_masks_exactly_that_many(seed, targets, data):
    """t in [(l − 1)/n, l/n) masks l of n targets, never none; `divisor` is l."""
    count = data.draw(st.integers(1, targets))
    labels = torch.full((1, 20), IGNORED)
    labels[0, torch.randperm(20, generator=seeded(seed))[:targets]] = 7
    masks = mask_by_count(labels, torch.tensor([(count - 0.5) / targets]), draw_uniform(labels, seeded(seed)))
    assert masks.masked.sum() == count == masks.divisor.item()


def test_masking_by_count_chooses_every_subset_equally_often():
    """Of 4 targets, 2 can be masked in 6 ways: each comes up in a sixth of 12,000 sequences."""
    labels = torch.tensor([[5, IGNORED, 5, 5, IGNORED, 5]]).expand(12_000, -1)
    masked = mask_by_count(labels, torch.full((12_000,), 0.4), draw_uniform(labels, seeded(1))).masked
    subsets, counts = masked.unique(dim=0, return_counts=True)
    assert len(subsets) == 6
    assert all(abs(count - 2000) <= far_from_expected(12_000, 1 / 6) for count in counts.tolist())


@settings(deadline=None)
@given(seed=SEEDS, count=st.integers(1, 64))
def test_stratified_times_lie_evenly_spaced(seed, count):
    """Sorted, they stand 1 / count apart, so each of `count` equal intervals has one; plain times need not."""
    times = draw_times(count, seeded(seed), stratified=True).sort().values
    assert times.min() >= 0 and times.max() < 1
    assert torch.allclose(times.diff(), torch.full((count - 1,), 1 / count), atol=1e-6)


@pytest.mark.parametrize("stratified", [False, True])
def test_each_time_of_a_batch_is_uniform(stratified):
    """Every sequence of the batch, the first as well as the last, gets times from all of [0, 1) in equal shares:
    a tenth of the times lies in each tenth."""
    generator = seeded(2)
    times = torch.stack([draw_times(4, generator, stratified) for _ in range(5000)])
    for place in range(4):
        counts = torch.histc(times[:, place], bins=10, min=0, max=1).tolist()
        assert all(abs(count - 500) <= far_from_expected(5000, 0.1) for count in counts)


def test_a_seed_decides_every_draw_and_the_global_random_state_none():
    """Equal generators give equal draws, and drawing with one leaves torch's own random state as it was."""
    labels, before = random_labels(0), torch.get_rng_state()
    for stratified in (False, True):
        assert draw_times(5, seeded(3), stratified).equal(draw_times(5, seeded(3), stratified))
        assert not draw_times(5, seeded(3), stratified).equal(draw_times(5, seeded(4), stratified))
    assert draw_uniform(labels, seeded(3)).equal(draw_uniform(labels, seeded(3)))
    assert not draw_uniform(labels, seeded(3)).equal(draw_uniform(labels, seeded(4)))
    assert torch.get_rng_state().equal(before)


@WAYS
def test_a_sequence_without_a_target_is_refused(masking):
    """Its loss would be 0 / 0. The message says which sequence it is."""
    labels = torch.tensor([[1, 2], [IGNORED, IGNORED]])
    with pytest.raises(InputError, match="sequence 1 of the batch has no target"):
        masking(labels, torch.rand(2), torch.rand(2, 2))
