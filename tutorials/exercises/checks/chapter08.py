"""Grades chapter 8: how many masks a step fills in, which token, which places, and what holds for every sampler."""

import math
from random import Random

from grading import GRADING, THOROUGH, agree, ask, call, grade_property, require, spelled
from hypothesis import example, given
from hypothesis import strategies as st

MASK = "[MASK]"
PALE = "#d5e8f5"
SHARES = st.sampled_from([(1.0,), (0.9, 0.1), (0.8, 0.2), (0.3, 0.7), (0.6, 0.4), (0.2, 0.5, 0.3), (0.4, 0.25, 0.35)])


@st.composite
def choices(draw):
    """(logits, temperature, uniform, forbidden) for a vocabulary of up to five tokens."""
    size = draw(st.integers(1, 5))
    logits = draw(st.lists(st.integers(-8, 8).map(lambda halves: halves / 2), min_size=size, max_size=size))
    uniform = draw(st.lists(st.sampled_from([number / 20 for number in range(1, 20)]), unique=True, min_size=size,
                            max_size=size))
    forbidden = draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    return logits, draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])), uniform, sorted(forbidden)


@st.composite
def steps(draw):
    """(canvas, guesses, count, start, stop) with a mask in the block at least."""
    canvas = draw(st.lists(st.sampled_from([MASK, MASK, "the"]), min_size=1, max_size=6).filter(lambda it: MASK in it))
    place = draw(st.sampled_from([place for place, word in enumerate(canvas) if word == MASK]))
    start, stop = draw(st.integers(0, place)), draw(st.integers(place + 1, len(canvas)))
    guesses = [dict(zip(("red", "blue", "star"), draw(SHARES))) for _ in canvas]
    return canvas, guesses, draw(st.integers(1, 3)), start, stop


def schedule(masked: int, steps: int) -> list[int]:
    """Deal the masks out, like cards."""
    counts = [0] * steps
    for card in range(masked):
        counts[card % steps] += 1
    return counts


def choose_token(logits, temperature, uniform, forbidden):
    best, total = None, 0.0
    for token, logit in enumerate(logits):
        if token in forbidden:
            continue
        total += math.exp(logit)
        score = math.exp(logit) / (-math.log(uniform[token])) ** temperature
        if best is None or score > best[0]:
            best = score, token
    return best[1], math.exp(logits[best[1]]) / total


def fill_surest(canvas, guesses, count, start, stop):
    filled = list(canvas)
    for _ in range(count):
        surest = None
        for place in range(start, stop):
            if filled[place] == MASK and (surest is None or max(guesses[place].values()) > surest[0]):
                surest = max(guesses[place].values()), place
        if surest:
            place = surest[1]
            filled[place] = next(word for word, chance in guesses[place].items() if chance == surest[0])
    return filled


def strips(before: list[str], expected: list[str], found: list[str]):
    """The canvas before, and below it what should be there and what is; where these differ the box has a frame."""
    from minllada_v.drawing.charts import GREY, ORANGE, Box, column_widths, token_strips

    rows = [[Box("" if word == MASK else str(word), GREY if word == MASK else PALE, ORANGE if wrong else None)
             for word, wrong in zip(row, marks)]
            for row, marks in [(before, [False] * len(before)), (expected, [False] * len(before)),
                               (found, [one != other for one, other in zip(expected, found)])]]
    return token_strips(rows, ["before", "right", "yours"], column_widths(rows))


@GRADING
@given(st.integers(0, 30), st.integers(1, 12))
def check_schedule(student, masked, steps):
    agree(student.schedule, schedule, masked, steps)


@THOROUGH
@example(([2.0, 0.0], 2.0, [0.05, 0.95], []))
@example(([1.0, 1.0], 0.0, [0.9, 0.1], []))
@given(choices())
def check_choose_token(student, choice):
    agree(student.choose_token, choose_token, *choice)


@THOROUGH
@given(steps())
def check_fill_surest(student, step):
    canvas, guesses, count, start, stop = step
    found, expected = ask(student.fill_surest, *step), fill_surest(*step)
    words = f"{call(student.fill_surest, *step)} gave {spelled(found)}: "
    require(isinstance(found, list | tuple) and len(found) == len(canvas),
            words + f"it should be a list of {len(canvas)} words.")
    for place, (old, right, new) in enumerate(zip(canvas, expected, found)):
        if new == right:
            continue
        if old != MASK:
            reason = f"place {place} shows {old!r} already, and must stay as it is."
        elif not start <= place < stop:
            reason = f"place {place} is not in the block from {start} to {stop - 1}, and must stay a MASK."
        elif right == MASK:
            reason = f"place {place} must stay a MASK, for {count} other masks of the block go before it."
        elif new == MASK:
            reason = f"place {place} is one of the {count} that should be filled in, but is a MASK still."
        else:
            reason = f"at place {place} the likeliest word is {right!r}, and not {new!r}."
        require(False, words + reason, lambda: strips(canvas, expected, list(found)))


def made_up(seed: int):
    """A model without meaning: what it says of a place depends, at random, on the whole canvas."""
    def model(canvas):
        random = Random(f"{seed} {canvas}")
        return [(random.choice("abc"), random.random()) for _ in canvas]

    return model


def one_a_step(model, length, block, pick=None, view=list, word=lambda place, said: said[place][0], each=1, end=0,
               start=None):
    """A sampler with parts that can be broken. `pick` chooses among open places, `view` is what the model is shown."""
    canvases = [start or [MASK] * length]
    pick = pick or (lambda places, said: max(places, key=lambda place: said[place][1]))
    while canvases[-1].count(MASK) > end:
        canvas, said = list(canvases[-1]), model(view(canvases[-1]))
        for _ in range(each):
            if MASK in canvas:
                first = canvas.index(MASK) // block * block
                place = pick([place for place in range(first, first + block) if canvas[place] == MASK], said)
                canvas[place] = word(place, said)
        canvases.append(canvas)
    return canvases


def broken(**parts):
    return lambda model, length, block: one_a_step(model, length, block, **parts)


def check_sampler_property(student):
    def changes_its_mind(model, length, block):
        canvases = one_a_step(model, length, block)
        return [canvases[0], *([said[0] if old != MASK else new for old, new, said in zip(before, after, model(before))]
                               for before, after in zip(canvases, canvases[1:]))]

    def surest_of_all_first(model, length, block):
        said = model([MASK] * length)
        first = max(range(length), key=lambda place: said[place][1])
        canvases = [[MASK] * length, [MASK] * length]
        canvases[1][first] = said[first][0]
        return [*canvases, *one_a_step(model, length, block, start=canvases[1])[1:]]

    def starts_with_a_word(model, length, block):
        return one_a_step(model, length, block)[1:]

    inputs = st.integers(1, 3).flatmap(lambda block: st.tuples(
        st.integers(0, 50).map(made_up), st.integers(1, 3).map(lambda blocks: block * blocks), st.just(block)))
    grade_property(student.sampler_property, one_a_step, {
        "fills in the leftmost place, however sure the model is": broken(pick=lambda places, said: places[0]),
        "fills in what the model is least sure of":
            broken(pick=lambda places, said: min(places, key=lambda place: said[place][1])),
        "takes no heed of blocks": lambda model, length, block: one_a_step(model, length, length),
        "finishes the blocks from right to left":
            lambda model, length, block: [canvas[::-1] for canvas in one_a_step(model, length, block)],
        "asks the model about the empty canvas only": broken(view=lambda canvas: [MASK] * len(canvas)),
        "writes 'a', whatever the model says": broken(word=lambda place, said: "a"),
        "fills in two places a step": broken(each=2),
        "leaves the last mask": broken(end=1),
        "changes words that were filled in before": changes_its_mind,
        "starts with one word filled in already": starts_with_a_word,
        "fills in the surest place of all, and then goes on in blocks": surest_of_all_first,
    }, inputs, lambda sampler, model, length, block: sampler(model, length, block))
