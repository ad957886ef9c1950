"""Grades "build your own LLaDA-V sampler": each step against a slow one, and in the end against the released model."""

import copy
import math

import torch
from golden import network, packaged, question, questions, released
from grading import GRADING, agree, ask, call, require, same, seconds, spelled
from hypothesis import example, given, settings
from hypothesis import strategies as st


def transfer_schedule(masked, steps):
    """One place after another, to each step in turn."""
    return [sum(place % steps == step for place in range(masked)) for step in range(steps)]


@GRADING
@given(st.integers(0, 40), st.integers(1, 40))
@example(3, 7)
@example(128, 100)
def check_transfer_schedule(student, masked, steps):
    agree(student.transfer_schedule, transfer_schedule, masked, steps)


def confidence(logits, forbidden):
    tokens, sure = [], []
    for row in logits.double().tolist():
        allowed = [token for token in range(len(row)) if token not in forbidden]
        tokens.append(max(allowed, key=lambda token: row[token]))
        sure.append(1 / sum(math.exp(row[token] - row[tokens[-1]]) for token in allowed))
    return torch.tensor(tokens, dtype=torch.long), torch.tensor(sure, dtype=torch.float64)


@st.composite
def rows_of_logits(draw):
    """(logits, forbidden), with equal ones among the logits."""
    width = draw(st.integers(1, 5))
    number = st.integers(-4, 4).map(lambda halves: halves / 2) | st.integers(-30, 30).map(float)
    rows = draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=3))
    return torch.tensor(rows), draw(st.lists(st.integers(0, width - 1), max_size=width - 1, unique=True))


@settings(GRADING, max_examples=60)
@given(rows_of_logits())
@example((torch.tensor([[0.0, 30.0], [30.0, 0.0]]), []))
def check_confidence(student, drawn):
    logits, forbidden = drawn
    tokens, sure = agree(student.confidence, confidence, logits, forbidden)
    shown = call(student.confidence, logits, forbidden)
    require(tokens.dtype == torch.long and sure.dtype == torch.float64,
            f"{shown} gave {tokens.dtype} and {sure.dtype}; it should be int64 and float64.")
    doubts, right = ((1 - one).tolist() for one in (sure, confidence(logits, forbidden)[1]))
    for row, (doubt, expected) in enumerate(zip(doubts, right)):
        require(abs(doubt - expected) < 0.01 * expected + 1e-15,
                f"{shown}: in row {row} the doubt, 1 - sure, should be {expected:.3g}, but is {doubt:.3g}.")
    unchanged(student.confidence, logits, forbidden)


def unchanged(function, *arguments):
    """Require that the function leaves what it is given as it is."""
    given_ones = copy.deepcopy(arguments)
    function(*given_ones)
    require(same(given_ones, arguments), f"{call(function, *arguments)} changed what it was given.")


@st.composite
def steps_of_blocks(draw):
    """Arguments of `one_step`. Two tokens are allowed at each place, so that equal confidences are exactly equal."""
    width = draw(st.integers(3, 5))
    first, second, mask, *forbidden = draw(st.permutations(range(width)))
    canvas = draw(st.lists(st.sampled_from([mask, mask, first, second]), min_size=1, max_size=6))
    logits = torch.full((len(canvas), width), 50.0)  # what is not allowed, MASK too, would be likeliest
    for row in logits:
        row[first], row[second] = draw(st.sampled_from([(0.0, 0.5), (0.5, 0.0), (0.0, 2.0), (2.0, 0.0), (3.0, 0.0)]))
    start = draw(st.integers(0, len(canvas) - 1))
    stop = draw(st.integers(start + 1, len(canvas)))
    return torch.tensor(canvas), logits, start, stop, draw(st.integers(1, 3)), mask, forbidden


def one_step(canvas, logits, start, stop, count, mask_id, forbidden):
    tokens, sure = confidence(logits, [mask_id, *forbidden])
    filled, places = canvas.tolist(), [place for place in range(start, stop) if canvas[place] == mask_id]
    for place in sorted(places, key=lambda place: (-float(sure[place]), place))[:count]:
        filled[place] = int(tokens[place])
    return torch.tensor(filled)


@settings(GRADING, max_examples=60)
@given(steps_of_blocks())
def check_one_step(student, drawn):
    agree(student.one_step, one_step, *drawn)
    unchanged(student.one_step, *drawn)


NOTHING = torch.tensor([], dtype=torch.long)


class MadeUp:
    """A model without meaning: its logits at a place depend on the whole canvas and on the place."""

    __name__ = "made_up"

    def __init__(self, seed: int, width: int):
        generator = torch.Generator().manual_seed(seed)
        self.width, self.mix = width, torch.randn(20, 20, generator=generator)
        self.table = 3 * torch.randn(997, width, generator=generator)

    def __call__(self, canvas):
        seen = self.mix[:len(canvas), :len(canvas)] @ (canvas + 1.0)
        return self.table[(seen.abs() * 1000).long() % 997]


@st.composite
def answers_to_write(draw):
    """Arguments of `write`: tokens 0 to 4, 5 is MASK, 4 may not be chosen."""
    block, blocks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    some = st.lists(st.integers(0, 3), max_size=3)
    stops = draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=2), max_size=2))
    return (MadeUp(draw(st.integers(0, 10**6)), 6), torch.tensor(draw(some), dtype=torch.long), block * blocks,
            blocks * draw(st.integers(1, 5)), block, 5, [4], stops, draw(some), draw(st.sampled_from([0.0, 1.5])))


def write(model, prompt, length, steps, block, mask_id, forbidden, stops=(), suffix=(), guidance=0.0):
    def answer():
        return canvas[len(prompt):len(prompt) + length]
    def end():
        starts = (start for start in range(length) for stop in stops if answer()[start:start + len(stop)] == list(stop))
        return min(starts, default=length)

    canvas = [*prompt.tolist(), *[mask_id] * length, *suffix]
    for first in range(0, length, block):
        for count in transfer_schedule(block, steps * block // length):
            stop = min(first + block, end())
            if count == 0 or mask_id not in answer()[first:stop]:
                continue
            logits = model(torch.tensor(canvas))
            if guidance:
                blind = model(torch.tensor([mask_id] * len(prompt) + canvas[len(prompt):]))
                logits = blind + (guidance + 1) * (logits - blind)
            canvas = one_step(torch.tensor(canvas), logits, len(prompt) + first, len(prompt) + stop, count, mask_id,
                              forbidden).tolist()
    return answer()[:end()] + list(suffix)


@seconds(40)
def check_write(student):
    @settings(GRADING, max_examples=40)
    @given(answers_to_write())
    @example((MadeUp(24, 6), NOTHING, 4, 4, 4, 5, [4], [[0]], [], 0.0))  # fewer steps where a stop stands
    @example((MadeUp(0, 6), NOTHING, 8, 6, 4, 5, [4], [], [], 0.0))  # each block shares its own steps
    def agrees(drawn):
        agree(student.write, write, *drawn)

    agrees()
    model, cases = released()[0], questions()
    wrong = []
    with torch.no_grad():
        for case in cases:
            features, asked = question(case)

            def released_model(canvas, features=features):
                return model(canvas, features if (canvas < 0).any() else [])

            found = ask(student.write, released_model, *asked)
            if list(found) != case["output"]:
                settings_of = {key: it for key, it in case.items() if key not in ("output", "text")}
                wrong.append(f"{spelled(settings_of)}\nshould give  {case['output']}\nyours gives  {spelled(found)}")
    require(not wrong, f"{len(cases) - len(wrong)} of {len(cases)} answers are those of the released model. The first "
                       f"that is not: {''.join(wrong[:1])}")


def run_toy(model_of, first, block, blocks, suffix, counts, refresh, layers):
    """Fill in a canvas, each time the leftmost `counts` places of the block, and note what a toy network was asked and
    got to see. Returns the notes, and the logits of the block at each step."""
    notes, seen = [], []

    def network(tokens, places, remember):
        states = (tokens + 1.0)[None, :, None].repeat(2, 1, 1)  # (heads, places, width)
        notes.append(places.tolist())
        for layer in range(layers):
            keys, values = remember(layer, states + layer, 10 * states)
            notes.append((keys.flatten().tolist(), values.flatten().tolist()))
            states = states + (keys * values).mean(dim=1, keepdim=True) / 100
        return states[0].repeat(1, 3)

    model = ask(model_of, network, first, block, refresh, 9)
    canvas = torch.tensor([1] * first + [9] * block * blocks + [2] * suffix)
    for start in range(first, first + block * blocks, block):
        filled, turn = 0, 0
        while filled < block:
            seen.append(ask(model, canvas)[start:start + block].tolist())
            count = counts[turn % len(counts)]
            canvas = canvas.clone()
            canvas[start + filled:start + min(filled + count, block)] = turn % 5
            filled, turn = filled + count, turn + 1
    return notes, seen


def remembering(network, first, block, refresh, mask_id):
    """Keeps what each place last gave, place by place."""
    keys_of, values_of, turns = {}, {}, []

    def model(canvas):
        start = first + (canvas.tolist().index(mask_id) - first) // block * block
        turns.append(start)
        whole = (turns.count(start) - 1) % refresh == 0
        places = list(range(len(canvas))) if whole else list(range(start, start + block))

        def remember(layer, keys, values):
            for number, place in enumerate(places):
                keys_of[layer, place], values_of[layer, place] = keys[:, number], values[:, number]
            return (torch.stack([kept[layer, place] for place in range(len(canvas))], dim=1)
                    for kept in (keys_of, values_of))

        logits = torch.zeros(len(canvas), 3)
        logits[places] = network(canvas[places], torch.tensor(places), remember)
        return logits
    return model


@seconds(40)
def check_remembering(student):
    @settings(GRADING, max_examples=30)
    @given(st.integers(0, 2), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1),
           st.lists(st.integers(1, 2), min_size=1, max_size=3), st.integers(1, 4), st.integers(1, 2))
    @example(1, 2, 2, 1, [1], 2, 2)
    def remembers(first, block, blocks, suffix, counts, refresh, layers):
        found, expected = (run_toy(it, first, block, blocks, suffix, counts, refresh, layers)
                           for it in (student.remembering, remembering))
        where = f"With {first=}, {block=}, {blocks=}, {refresh=}, {layers=} and {suffix} places behind:\n"
        for one, other in zip(found[0], expected[0]):
            what = "these places should run" if isinstance(other, list) else "a layer should see these keys and values"
            require(same(one, other, 1e-4), f"{where}{what}: {spelled(other)}\nbut with yours: {spelled(one)}")
        require(same(found, expected, 1e-4), f"{where}the logits of the block should be {spelled(expected[1][-1])} at "
                                             f"last, but with yours they are {spelled(found[1][-1])}.")

    remembers()
    cases = questions()
    with torch.no_grad():
        for case, refresh in ((cases[2], 1), (cases[2], 3), (cases[8], 2), (cases[6], 100)):
            prompt, length, steps, block, mask_id, forbidden, _, suffix, _ = question(case)[1]
            own = ask(student.remembering, network, len(prompt), block, refresh, mask_id)
            found = ask(student.write, own, prompt, length, steps, block, mask_id, forbidden, [], suffix)
            expected = case["output"] if refresh == 1 else packaged(case, refresh)
            require(list(found) == expected, f"With the golden model, {block=} and {refresh=} your `write` and memory\n"
                                             f"should give  {expected}\nbut give     {spelled(found)}")
