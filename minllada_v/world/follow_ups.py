"""Questions of two turns, the second of which leans on the first."""

from dataclasses import replace

from numpy.random import Generator

from .one_turn import (
    Drawn,
    Size,
    Turn,
    aligned,
    asking,
    colour,
    count,
    counting,
    random_looks,
    shape,
    where,
    where_in,
    yes_no,
)
from .scenes import COLOURS, SHAPES, Scene, pick, place, shuffled


def two_turns(rng: Generator, most: int, size: Size) -> Drawn:
    """Two turns, the second of which says too little without the first."""
    first, second, *others = shuffled(rng, SHAPES)
    tint, *tints = shuffled(rng, COLOURS)
    second_tint = pick(rng, tints)
    extra = rng.integers(max(most, 2) - 1)
    looks = [(first, tint), (second, second_tint), *random_looks(rng, extra, others, tints)]
    if pick(rng, (True, False)):
        turns = [Turn("colour", {"shape": first}), Turn("colour", {"shape": second, "this": second}, "and")]
        return [place(rng, looks, size)], turns
    cells, _ = aligned(rng)
    return [place(rng, looks, size, cells[::-1])], [
        Turn("shape", {"colour": tint}), Turn("where", {"shape": second, "other": first}, "side_it")]


def dialogue(rng: Generator, most: int, size: Size) -> Drawn:
    """Two turns, the second of which leans on the first, or asks something else about the same picture."""
    follow = pick(rng, (two_turns, two_turns, _next_one, _next_one, _again, _count_on, _count_on, _it, _it, _other))
    return follow(rng, most, size)


def _next_one(rng: Generator, most: int, size: Size) -> Drawn:
    """The same question about another shape: "and the circle?", "and the red one?" """
    first, second, *others = shuffled(rng, SHAPES)
    tint, second_tint, *tints = shuffled(rng, COLOURS)
    looks = [(first, tint), (second, second_tint), *random_looks(rng, rng.integers(max(most, 2) - 1), others, tints)]
    if pick(rng, (True, False)):
        kind = pick(rng, ("colour", "place"))
        if rng.random() < 0.2:  # the second is not there
            looks.pop(1)
        turns = [Turn(kind, {"shape": first}), Turn(kind, {"shape": second, "this": second}, "and")]
    else:
        this = f"{second_tint} {pick(rng, ('one', 'shape'))}"
        turns = [Turn("shape", {"colour": tint}), Turn("shape", {"colour": second_tint, "this": this}, "and")]
    return [place(rng, looks, size)], turns


def _again(rng: Generator, most: int, size: Size) -> Drawn:
    """Is there a red star? And a blue circle?"""
    scenes, [one] = yes_no(rng, most, size)
    _, [two] = yes_no(rng, most, size)
    looks = [{"shape": thing.name, "colour": thing.colour} for thing in scenes[0]]
    if "thing" not in one.slots or "thing" not in two.slots:
        one, two = (asking(pick(rng, looks)) for _ in range(2))
    elif pick(rng, (True, False)):
        two = asking(pick(rng, looks))
    for turn in (one, two):  # of shapes that are there twice, one cannot say what colour they have
        alike = [thing for thing in scenes[0] if all(turn.slots.get(name, value) == value for name, value in
                                                     (("shape", thing.name),))]
        if "shape" in turn.slots and len(alike) > 1 or "shape" not in turn.slots:
            return two_turns(rng, most, size)
    return scenes, [one, replace(two, wording="and_a")]


def _count_on(rng: Generator, most: int, size: Size) -> Drawn:
    """How many shapes are there? How many of them are red? And the stars?"""
    scenes, [one] = count(rng, most, size)
    wanted = pick(rng, scenes[0])
    asked = one.slots.get("shape")
    if "colour" not in one.slots and pick(rng, (True, True, False)):
        tint = wanted.colour if rng.random() < 0.7 else pick(rng, COLOURS)
        return scenes, [one, replace(counting(asked, tint), wording="of_them")]
    if rng.random() < 0.5:
        name = wanted.name if rng.random() < 0.7 else pick(rng, SHAPES)
        return scenes, [one, Turn("count", {"shape": name, "this": f"{name}s"}, "and")]
    tint = wanted.colour if rng.random() < 0.7 else pick(rng, COLOURS)
    return scenes, [one, Turn("count", {"colour": tint, "this": f"{tint} {pick(rng, ('ones', 'shapes'))}"}, "and")]


def _it(rng: Generator, most: int, size: Size) -> Drawn:
    """What is the red shape? Where is it? What colour is it?"""
    first, *others = shuffled(rng, SHAPES)
    tint, *tints = shuffled(rng, COLOURS)
    scene = place(rng, [(first, tint), *random_looks(rng, rng.integers(most), others, tints)], size)
    start = pick(rng, ("colour", "shape", "place"))
    one = Turn(start, {"colour": tint} if start == "shape" else {"shape": first})
    if start == "place":
        return [scene], [one, Turn("colour", {"shape": first}, "colour_it")]
    return [scene], [one, Turn("place", {"shape": first}, "where_it")]


def _other(rng: Generator, most: int, size: Size) -> Drawn:
    """A question that has nothing to do with the one before."""
    scenes, [one] = pick(rng, (colour, shape, where, where_in, yes_no))(rng, most, size)
    first = describing_turn(rng, scenes[0])
    return scenes, [first, one]


def describing_turn(rng: Generator, scene: Scene) -> Turn:
    """A question that every scene of shapes answers."""
    if pick(rng, (True, False)):
        return Turn("describe", {})
    return pick(rng, (counting(), counting(shape=pick(rng, SHAPES)), counting(colour=pick(rng, COLOURS))))
