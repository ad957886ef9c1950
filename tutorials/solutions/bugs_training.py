"""Solutions of "find the bug", training. Where the bug is stands above each test."""

from math import isclose

import torch
from hypothesis import given
from hypothesis import strategies as st

IGNORED, MASK, PAD = -100, -1, 0
TOKENS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


# Positions are counted from the padding on, so those of a short sequence depend on its neighbours. The model must tell
# positions apart, and look at other tokens. (At PAD too, which is 0: therefore token + 1.)
def in_batch_test(in_batch):
    def model(tokens, positions, seen):
        everything = sum(token + 1 for token, is_seen in zip(tokens, seen) if is_seen)
        return [everything + 100 * position for position in positions]

    @given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=3))
    def each_as_alone(sequences):
        alone = [model(tokens, list(range(len(tokens))), [True] * len(tokens)) for tokens in sequences]
        assert [list(numbers) for numbers in in_batch(model, sequences)] == alone

    each_as_alone()


# The padding on the left is not counted: the labels begin too early, by as many places.
def make_batch_test(make_batch):
    @given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=3))
    def the_answer_is_asked_where_it_stands(examples):
        ids, labels = make_batch(examples)
        assert len({len(row) for row in [*ids, *labels]}) == 1 and len(ids) == len(labels) == len(examples)
        for (prompt, answer), row, asked in zip(examples, ids, labels):
            places = [place for place, label in enumerate(asked) if label != IGNORED]
            assert [asked[place] for place in places] == [row[place] for place in places] == answer
            assert [token for token in row if token != PAD] == prompt + answer
            assert places == list(range(places[0], places[-1] + 1)) and row[:places[0]][-len(prompt):] == prompt

    the_answer_is_asked_where_it_stands()


# Every target is asked, masked or not. What can be seen is no surprise, so the loss is low and teaches to copy.
def example_loss_test(example_loss):
    place = st.tuples(st.integers(1, 9), st.booleans(), st.floats(0, 1, exclude_max=True))

    @given(st.lists(place, min_size=1, max_size=5).filter(lambda places: any(target for _, target, _ in places)),
           st.sampled_from([0.3, 0.5, 1.0]))
    def only_masked_targets_count(places, p):
        ids, targets, uniform = map(list, zip(*places))
        labels = [token if target else IGNORED for token, target in zip(ids, targets)]
        masked = [target and u < p for target, u in zip(targets, uniform)]

        def surprise(canvas, place):
            assert list(canvas) == [MASK if hidden else token for token, hidden in zip(ids, masked)]
            return 1.0 + place

        expected = sum(1.0 + place for place, hidden in enumerate(masked) if hidden) / (p * sum(targets))
        assert isclose(example_loss(surprise, ids, labels, uniform, p), expected, abs_tol=1e-6)

    only_masked_targets_count()


# Where chance masks nothing in a sequence, 0 is divided by 0.
def batch_loss_test(batch_loss):
    row = st.lists(st.tuples(st.floats(0, 5, width=16), st.booleans()), min_size=3, max_size=3)

    @given(st.lists(row, min_size=1, max_size=3))
    def a_mean_of_means(rows):
        means = []
        for nats in ([nats for nats, hidden in row if hidden] for row in rows):
            means.append(sum(nats) / len(nats) if nats else 0.0)
        nats, masked = (torch.tensor([[pair[part] for pair in row] for row in rows]) for part in (0, 1))
        assert isclose(float(batch_loss(nats, masked)), sum(means) / len(rows), abs_tol=1e-4)

    a_mean_of_means()


# It is the mean of the batches' means: right only where all batches have as many examples.
def mean_gradient_test(mean_gradient):
    @given(st.lists(st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=4), min_size=1, max_size=4))
    def it_does_not_matter_how_they_are_dealt_out(batches):
        everything = [gradient for batch in batches for gradient in batch]
        assert isclose(mean_gradient(batches), sum(everything) / len(everything), abs_tol=1e-6)

    it_does_not_matter_how_they_are_dealt_out()
