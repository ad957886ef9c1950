"""Solutions of "find the bug", samplers and tokenizers. Where the bug is stands above each test."""

from math import exp, isclose

from hypothesis import assume, given
from hypothesis import strategies as st

MASK = "[MASK]"
UNIFORM = st.floats(0.01, 0.99)
CHOICES = st.lists(st.tuples(st.floats(-5, 5), UNIFORM), min_size=1, max_size=5)  # for each token l and u


# The confidence is computed from the logits with the noise on them. Temperature and u may choose another token, but the
# confidence is always the plain probability of that.
def choose_test(choose):
    @given(CHOICES, st.floats(0, 3))
    def the_confidence_is_a_plain_probability(tokens, temperature):
        logits, uniform = map(list, zip(*tokens))
        token, confidence = choose(logits, temperature, uniform)
        assert isclose(confidence, exp(logits[token]) / sum(map(exp, logits)), rel_tol=1e-6)

    the_confidence_is_a_plain_probability()


# With a temperature the noise is put on the logits as they were, before a token was forbidden. At temperature 0 nothing
# is wrong: the test must draw others.
def draw_test(draw):
    @given(CHOICES, st.sets(st.integers(0, 4)), st.sampled_from([0.0, 1.0, 10.0]))
    def nothing_forbidden_is_drawn(tokens, forbidden, temperature):
        assume(not forbidden >= set(range(len(tokens))))
        logits, uniform = map(list, zip(*tokens))
        token = draw(logits, sorted(forbidden), temperature, uniform)
        assert 0 <= token < len(tokens) and token not in forbidden

    nothing_forbidden_is_drawn()


# After filling there is no MASK any more, so every place counts as known, with an infinite confidence.
def remask_test(remask):
    words = st.lists(st.sampled_from([MASK, MASK, "the", "cat"]), min_size=4, max_size=4)

    @given(words, st.permutations([0.1, 0.4, 0.8, 0.9]), st.integers(0, 3))
    def the_least_sure_are_masked_again(canvas, sure, count):
        was_open = [place for place, word in enumerate(canvas) if word == MASK]
        assume(count < len(was_open))
        again = sorted(was_open, key=lambda place: sure[place])[:count]
        for place, word in enumerate(remask(canvas, ["a", "dog", "is", "here"], sure, count)):
            kept = ["a", "dog", "is", "here"][place] if place in was_open else canvas[place]
            assert word == (MASK if place in again else kept)

    the_least_sure_are_masked_again()


# It takes the first of the list that is found anywhere, and not the first in the answer.
def end_of_test(end_of):
    words = st.lists(st.sampled_from("ab"), max_size=6)

    @given(words, st.lists(words.filter(len).map(lambda stop: stop[:2]), max_size=3))
    def the_earliest_stop_ends_it(answer, stops):
        def stops_at(place):
            return any(answer[place:place + len(stop)] == stop for stop in stops)

        end = end_of(answer, stops)
        assert not any(stops_at(place) for place in range(end))
        assert end == len(answer) or stops_at(end)

    the_earliest_stop_ends_it()


# In "a", "a", "a" the pair ("a", "a") stands at two places that overlap: merging the second spoils the first.
def merge_test(merge):
    @given(st.lists(st.sampled_from("ab"), max_size=6), st.tuples(st.sampled_from("ab"), st.sampled_from("ab")))
    def no_letter_is_lost_and_no_pair_is_left(pieces, pair):
        merged = merge(pieces, pair)
        assert "".join(merged) == "".join(pieces)
        assert pair not in zip(merged, merged[1:])
        assert {*merged} <= {*pieces, "".join(pair)}

    no_letter_is_lost_and_no_pair_is_left()
