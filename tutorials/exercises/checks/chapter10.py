"""Grades chapter 10: what a threshold fills in, what a cache saves, how it attends, and what holds for every cache."""

import math

import torch
from grading import GRADING, THOROUGH, agree, grade_property
from hypothesis import given
from hypothesis import strategies as st

SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 0.99, 1.0])
NUMBERS = st.integers(-4, 4).map(lambda halves: halves / 2)


@st.composite
def attentions(draw):
    """(queries, keys, values, fresh keys, fresh values, start) of one width."""
    length, width = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    start = draw(st.integers(0, length - 1))
    block = draw(st.integers(1, length - start))

    def rows(count):
        row = st.lists(NUMBERS, min_size=width, max_size=width)
        return torch.tensor(draw(st.lists(row, min_size=count, max_size=count)), dtype=torch.float64)

    return rows(block), rows(length), rows(length), rows(block), rows(block), start


@st.composite
def changes(draw):
    """(layers, before, after, start, stop): tokens before and after a change within a block."""
    before = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    start = draw(st.integers(0, len(before) - 1))
    stop = draw(st.integers(start + 1, len(before)))
    new = draw(st.lists(st.integers(0, 5), min_size=stop - start, max_size=stop - start))
    after = draw(st.sampled_from([before, before[:start] + new + before[stop:]]))
    return draw(st.integers(1, 3)), before, after, start, stop


def commit(confidence, threshold):
    sure = [place for place in range(len(confidence)) if confidence[place] >= threshold]
    if sure:
        return sure
    surest = 0
    for place in range(len(confidence)):
        if confidence[place] > confidence[surest]:
            surest = place
    return [surest]


def places_run(prompt, length, block, refresh):
    total = 0
    for place in range(length):
        total += prompt + length if place % block % refresh == 0 else block
    return total


def attend_alone(queries, keys, values, fresh_keys, fresh_values, start):
    keys, values, out = keys.tolist(), values.tolist(), []
    for number, (key, value) in enumerate(zip(fresh_keys.tolist(), fresh_values.tolist())):
        keys[start + number], values[start + number] = key, value
    for query in queries.tolist():
        weights = [math.exp(sum(q * k for q, k in zip(query, key)) / math.sqrt(len(query))) for key in keys]
        out.append([sum(weight * value[entry] for weight, value in zip(weights, values)) / sum(weights)
                    for entry in range(len(query))])
    return torch.tensor(out, dtype=torch.float64)


@THOROUGH
@given(st.lists(SHARES, min_size=1, max_size=6), st.one_of(SHARES, st.just(1.5)))
def check_commit(student, confidence, threshold):
    agree(student.commit, commit, confidence, threshold)


@GRADING
@given(st.integers(0, 20), st.integers(1, 4), st.integers(1, 6), st.integers(1, 8))
def check_places_run(student, prompt, blocks, block, refresh):
    agree(student.places_run, places_run, prompt, blocks * block, block, refresh)


@GRADING
@given(attentions())
def check_attend_alone(student, attention):
    agree(student.attend_alone, attend_alone, *attention)


# A small transformer: a state is one number, which is query, key and value at once; the place goes into the key.


def embed(tokens: list[int]) -> list[float]:
    return [math.sin(1.3 * token + 0.7) for token in tokens]


def look(place: int, state: float, seen: list[tuple[int, float]]) -> float:
    """The next state of a place, which sees pairs of place and state."""
    weights = [math.exp(2 * state * (other + 0.3 * (there - place))) for there, other in seen]
    return math.tanh(state + 2 * sum(weight * other for weight, (_, other) in zip(weights, seen)) / sum(weights))


def states_of(layers: int, tokens: list[int]) -> list[list[float]]:
    """The states that go into each layer and, last, those that come out."""
    states = [embed(tokens)]
    for _ in range(layers):
        seen = list(enumerate(states[-1]))
        states.append([look(place, state, seen) for place, state in seen])
    return states


def network(layers: int, tokens: list[int]) -> list[float]:
    return states_of(layers, tokens)[-1]


def replaced(kept, fresh, start, stop):
    return [*enumerate(kept[:start]), *enumerate(fresh, start), *enumerate(kept[stop:], stop)]


def cached(layers, before, after, start, stop, sees=replaced, level=lambda layer: layer):
    """The block alone. `sees` says what it sees, given the kept states and its fresh ones, and can be broken."""
    kept, fresh = states_of(layers, before), embed(after)[start:stop]
    for layer in range(layers):
        seen = sees(kept[level(layer)], fresh, start, stop)
        fresh = [look(place, state, seen) for place, state in enumerate(fresh, start)]
    return fresh


def broken(**parts):
    return lambda layers, before, after, start, stop: cached(layers, before, after, start, stop, **parts)


def check_cache_property(student):
    def everything(layers, before, after, start, stop):
        return network(layers, after)[start:stop]

    def counted_from_0(kept, fresh, start, stop):
        return [*enumerate(kept[:start]), *enumerate(fresh), *enumerate(kept[stop:], stop)]

    def shows(cached, network, layers, before, after, start, stop):
        return cached(layers, before, after, start, stop)

    faults = {
        "keeps the block's own keys and values as they were":
            broken(sees=lambda kept, fresh, start, stop: list(enumerate(kept))),
        "puts the fresh keys and values behind the old ones, and replaces none":
            broken(sees=lambda kept, fresh, start, stop: [*enumerate(kept), *enumerate(fresh, start)]),
        "forgets what stands behind the block":
            broken(sees=lambda kept, fresh, start, stop: replaced(kept, fresh, start, stop)[:stop]),
        "forgets what stands in front of the block":
            broken(sees=lambda kept, fresh, start, stop: replaced(kept, fresh, start, stop)[start:]),
        "takes the places of the block for 0, 1, 2, …": broken(sees=counted_from_0),
        "keeps the first layer's keys and values for all layers": broken(level=lambda layer: 0),
        "gives what the block was before, and runs nothing":
            lambda layers, before, after, start, stop: network(layers, before)[start:stop],
        "gives the first numbers, and not those of the block":
            lambda layers, before, after, start, stop: network(layers, after)[:stop - start],
        "leaves a layer out":
            lambda layers, before, after, start, stop: cached(layers - 1, before, after, start, stop),
        "loses the last place of the block": lambda *inputs: cached(*inputs)[:-1],
    }
    grade_property(student.cache_property, (cached, network), {
        fault: (implementation, network) for fault, implementation in faults.items()}, changes(), shows)
    grade_property(student.cache_property, (everything, network), {}, changes(), shows)
