"""The abilities of the small world, and what lies beyond them: what is not there, and what cannot be known."""

from collections.abc import Callable, Sequence
from functools import partial

from numpy.random import Generator

from .follow_ups import describing_turn, dialogue
from .one_turn import (
    Drawn,
    Size,
    Turn,
    bars,
    colour,
    count,
    describe,
    difference,
    motion,
    number,
    random_looks,
    shape,
    tallest,
    where,
    where_in,
    yes_no,
)
from .scenes import COLOURS, SHAPES, pick, place, shuffled
from .sentences import OPPOSITE, said_side
from .unrelated_pictures import HELD_OUT_PICTURES, PICTURES
from .unrelated_questions import some_words


def not_there(rng: Generator, most: int, size: Size) -> Drawn:
    """A question about a shape, a colour, a number or a bar that the picture does not show."""
    kind = pick(rng, ("colour", "colour", "shape", "shape", "place", "is_it", "where", "is_side", "number", "bars"))
    missing, *others = shuffled(rng, SHAPES)
    tint, *tints = shuffled(rng, COLOURS)
    looks = random_looks(rng, rng.integers(1, most + 1), others, tints)
    scenes = [place(rng, looks, size)]
    if rng.random() < 0.25:
        scenes, _ = (tallest if kind == "number" else number if kind == "bars" else pick(rng, (number, tallest)))(
            rng, most, size)
        if kind in ("where", "is_side"):  # which of the two is missing would be a question of its own
            kind = "place"
        if kind == "shape":
            kind = "colour"
    pair = shuffled(rng, [missing, pick(rng, looks)[0]])
    side = said_side(pick(rng, tuple(OPPOSITE)))
    slots = {"colour": {"shape": missing}, "shape": {"colour": tint}, "place": {"shape": missing},
             "is_it": {"shape": missing, "colour": pick(rng, COLOURS)}, "where": {"shape": pair[0], "other": pair[1]},
             "is_side": {"shape": pair[0], "other": pair[1], "side": side}, "number": {},
             "bars": {"most": pick(rng, ("tallest", "shortest"))}}
    return scenes, [Turn(kind, slots[kind])]


def talk(rng: Generator, most: int, size: Size) -> Drawn:
    """A follow-up, or a question by itself, late in a conversation: one to three turns stand before it, about the same
    picture or about nothing that can be known."""
    scenes, turns = pick(rng, (dialogue, dialogue, colour, shape, count, yes_no, where, where_in))(rng, most, size)
    before = [Turn("unknown", some_words(rng)) if rng.random() < 0.4 else describing_turn(rng, scenes[0])
              for _ in range(rng.integers(1, 4))]
    return scenes, [*before, *turns]


def unknown(rng: Generator, most: int, size: Size) -> Drawn:
    """A question about anything else, alone or after one that can be answered."""
    asked = Turn("unknown", some_words(rng))
    if rng.random() < 0.2:
        return no_shapes(rng, most, size)[0], [asked]
    scenes, turns = pick(rng, (colour, shape, describe, count, number, bars))(rng, most, size)
    return scenes, [*turns, asked] if rng.random() < 0.15 else [asked]


def no_shapes(rng: Generator, most: int, size: Size, kinds: Sequence[Callable] = PICTURES) -> Drawn:
    """A question that could be answered, about a picture that has nothing to do with the small world."""
    _, [turn] = pick(rng, (describe, describe, colour, shape, count, yes_no, where, where_in, number, bars))(
        rng, most, size)
    stretch = rng.uniform(0.8, 2.5) * rng.uniform(0.8, 1.25, 2)
    return [pick(rng, kinds)(rng, tuple(int(length) for length in stretch * size))], [turn]


ABILITIES: dict[str, Callable[[Generator, int, Size], Drawn]] = {
    "colour": colour, "shape": shape, "count": count, "yes_no": yes_no, "where": where, "place": where_in,
    "number": number, "bars": bars, "describe": describe, "dialogue": dialogue, "talk": talk, "difference": difference,
    "motion": motion, "not_there": not_there, "unknown": unknown, "no_shapes": no_shapes,
}
NEW_PICTURES = partial(no_shapes, kinds=HELD_OUT_PICTURES)
