"""The abilities of the small world: for each, a random scene and a question about it that has one true answer.

Every function takes a random generator, the most shapes (or bars) to draw and the size of the picture, and returns
the scene of each picture together with the turns, pairs of question and answer. Where an ability needs two shapes it
draws two, whatever the most is.

The language is made for a model that writes all words of an answer at once: no word depends on its neighbour, as
"a" or "an" would, and each word is one token of a small tokenizer. An answer shows its work: before it counts or
compares, it says what it sees, and where that matters on which square: a1 to b2, as on a chess board that is numbered
from the top. A diffusion model writes these easy words first, and reads the hard one off them. What lists the squares
names the empty ones too, so that each word has its own place in the answer.
"""

from dataclasses import replace

from numpy.random import Generator

from .scenes import (
    CELLS,
    COLOURS,
    SHAPES,
    Look,
    Scene,
    Thing,
    cell_of,
    glyph,
    pick,
    place,
    reading_order,
    shifted,
    shuffled,
    square,
    to_cell,
)

FRAMES = 8  # of a video

# Every word of every question and answer, apart from digits and the marks "," "." "?" ":"; and "place", which patches
# say (see patch_words.py).
WORDS = (
    *COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), "shape", "shapes", "colour", "place", "picture", "number",
    "bar", "yes", "no", "left", "right", "above", "below", "up", "down", "what", "which", "where", "how", "many", "way",
    "is", "are", "does", "move", "differs", "describe", "tallest", "there", "this", "the", "a", "b", "and", "it",
    "from",
)

Size = tuple[int, int]
Drawn = tuple[list[Scene], list[tuple[str, str]]]  # a scene for each picture; question and answer of each turn


def colour(rng: Generator, most: int, size: Size) -> Drawn:
    """What colour is the only star?"""
    asked, *others = shuffled(rng, SHAPES)
    looks = [(asked, pick(rng, COLOURS)), *_random_looks(rng, rng.integers(most), others)]
    return [place(rng, looks, size)], [(f"what colour is the {asked}?", f"{looks[0][1]} {asked}")]


def shape(rng: Generator, most: int, size: Size) -> Drawn:
    """What shape is the only red one?"""
    asked, *others = shuffled(rng, COLOURS)
    looks = [(pick(rng, SHAPES), asked), *_random_looks(rng, rng.integers(most), colours=others)]
    return [place(rng, looks, size)], [(f"what is the {asked} shape?", f"{asked} {looks[0][0]}")]


def count(rng: Generator, most: int, size: Size) -> Drawn:
    """How many shapes, stars or red shapes are there? The answer says for each square whether one is there."""
    kind = pick(rng, ("any", "shape", "colour"))
    hits = int(rng.integers(kind == "any", most + 1))  # drawn first, so that all answers are equally likely
    total = hits if kind == "any" else int(rng.integers(max(hits, 1), most + 1))
    if kind == "any":
        looks, asked = _random_looks(rng, total), "shapes"
    elif kind == "shape":
        wanted, *others = shuffled(rng, SHAPES)
        looks = _random_looks(rng, hits, [wanted]) + _random_looks(rng, total - hits, others)
        asked = f"{wanted}s"
    else:
        wanted, *others = shuffled(rng, COLOURS)
        looks = _random_looks(rng, hits, colours=[wanted]) + _random_looks(rng, total - hits, colours=others)
        asked = f"{wanted} shapes"
    scene = place(rng, looks, size)
    if kind == "any":
        said = [thing.name if thing else "no" for thing in _cells(scene, size)]
    else:
        said = [wanted if thing and wanted in (thing.name, thing.colour) else "no" for thing in _cells(scene, size)]
    return [scene], [(f"how many {asked} are there?", f"{', '.join(said)}: {hits}")]


def yes_no(rng: Generator, most: int, size: Size) -> Drawn:
    """Is there a red star? There is one star, red or not, and where more is drawn also something red: seeing both is
    not enough. The answer says what the star looks like."""
    asked, *others = shuffled(rng, SHAPES)
    colour_asked, *colours = shuffled(rng, COLOURS)
    answer = pick(rng, ("yes", "no"))
    extra = int(rng.integers(most))
    looks = [(asked, colour_asked if answer == "yes" else pick(rng, colours))]
    looks += _random_looks(rng, min(extra, 1), others, [colour_asked]) + _random_looks(rng, max(extra - 1, 0), others)
    question = f"is there a {colour_asked} {asked}?"
    return [place(rng, looks, size)], [(question, f"{looks[0][1]} {asked}: {answer}")]


def where(rng: Generator, most: int, size: Size) -> Drawn:
    """On which side of the circle is the star? They are in one row or in one column."""
    star, circle, *others = shuffled(rng, SHAPES)
    cells, side = _aligned(rng)
    looks = _random_looks(rng, 1, [star]) + _random_looks(rng, 1, [circle])
    looks += _random_looks(rng, rng.integers(max(most, 2) - 1), others)
    scene = place(rng, looks, size, cells)
    return [scene], [(f"from the {circle}, where is the {star}?", _side_answer(scene, star, circle, side, size))]


def number(rng: Generator, most: int, size: Size) -> Drawn:
    """Which number from 10 to 99 is written here? It is not yellow, which is hard to read on white."""
    digits = str(rng.integers(10, 100))
    ink = pick(rng, [name for name in COLOURS if name != "yellow"])
    height = int(rng.integers(18, min(size[1] - 8, size[0] * 5 // 9)))
    widths = [round(height * glyph(digit).width / glyph(digit).height) for digit in digits]
    gap = max(2, height // 8)
    left = int(rng.integers(2, size[0] - 1 - sum(widths) - gap))
    top = int(rng.integers(2, size[1] - 1 - height))
    scene = []
    for digit, width in zip(digits, widths):
        scene.append(Thing(digit, ink, (left, top, left + width, top + height)))
        left += width + gap
    return [scene], [("what number is this?", digits)]


def bars(rng: Generator, most: int, size: Size) -> Drawn:
    """Which bar is tallest? Heights differ by an eighth of the picture at least."""
    total = int(rng.integers(2, max(most, 2) + 1))
    colours = shuffled(rng, COLOURS)[:total]
    levels = [int(level) for level in rng.permutation(range(1, 8))[:total]]
    slot, floor = size[0] // total, size[1] - 2
    margin = max(2, (slot - 16) // 2)
    scene = [Thing("bar", name, (left + margin, floor - level * size[1] // 8, left + slot - margin, floor))
             for left, name, level in zip(range(0, size[0], slot), colours, levels)]
    return [scene], [("which bar is tallest?", f"{colours[levels.index(max(levels))]} bar")]


def describe(rng: Generator, most: int, size: Size) -> Drawn:
    """Say what stands on each square in reading order: row by row, from left to right."""
    scene = place(rng, _random_looks(rng, rng.integers(1, most + 1)), size)
    return [scene], [("describe the picture.", description(scene, size))]


def description(scene: Scene, size: Size) -> str:
    """What stands on each square, as `describe` asks for it."""
    return ", ".join(f"{thing.colour} {thing.name}" if thing else "no shape" for thing in _cells(scene, size))


def dialogue(rng: Generator, most: int, size: Size) -> Drawn:
    """Two turns, the second of which says too little without the first."""
    first, second, *others = shuffled(rng, SHAPES)
    tint, *tints = shuffled(rng, COLOURS)
    second_tint = pick(rng, tints)
    extra = rng.integers(max(most, 2) - 1)
    looks = [(first, tint), (second, second_tint), *_random_looks(rng, extra, others, tints)]
    if pick(rng, (True, False)):
        turns = [(f"what colour is the {first}?", f"{tint} {first}"),
                 (f"and the {second}?", f"{second_tint} {second}")]
        return [place(rng, looks, size)], turns
    cells, side = _aligned(rng)
    scene = place(rng, looks, size, cells[::-1])
    return [scene], [(f"what is the {tint} shape?", f"{tint} {first}"),
                     (f"from it, where is the {second}?", _side_answer(scene, second, first, side, size))]


def difference(rng: Generator, most: int, size: Size) -> Drawn:
    """Two pictures that differ in the colour, the shape or the place of one thing. The answer describes it as the first
    picture shows it, and as the second. There are three things at most, which leaves a free cell to move to."""
    old, *others = shuffled(rng, place(rng, _random_looks(rng, rng.integers(1, min(most, 3) + 1)), size))
    part = pick(rng, ("colour", "shape", "place"))
    if part == "colour":
        new = replace(old, colour=pick(rng, [name for name in COLOURS if name != old.colour]))
    elif part == "shape":
        new = replace(old, name=pick(rng, [name for name in SHAPES if name != old.name]))
    else:
        free = set(range(CELLS**2)) - {cell_of(thing, size) for thing in (old, *others)}
        new = to_cell(old, pick(rng, sorted(free)), size)
    answer = f"{_described(old, size)}, {_described(new, size)}"
    return [reading_order([thing, *others], size) for thing in (old, new)], [("what differs?", answer)]


def motion(rng: Generator, most: int, size: Size) -> Drawn:
    """Which way does the star move? Where two shapes may be drawn, another may stand beside its way."""
    moving, *others = shuffled(rng, SHAPES)
    way = pick(rng, ("left", "right", "up", "down"))
    axis = int(way in ("up", "down"))
    start, *cells = shuffled(rng, range(CELLS**2))
    lane = (lambda cell: cell % CELLS) if axis else (lambda cell: cell // CELLS)
    beside = [cell for cell in cells if lane(cell) != lane(start)]
    looks = _random_looks(rng, 1, [moving]) + _random_looks(rng, rng.integers(min(most, 2)), others)
    scene = place(rng, looks, size, [start, *beside])

    mover, *still = sorted(scene, key=lambda thing: thing.name != moving)  # False comes first
    room = size[axis] - (mover.box[2] - mover.box[0]) - 2  # one pixel to each border stays free
    step = int(rng.integers(3, room // (FRAMES - 1) + 1))
    first = int(rng.integers(1, room - step * (FRAMES - 1) + 2))
    offsets = [first + step * frame - mover.box[axis] for frame in range(FRAMES)]
    if way in ("left", "up"):
        offsets.reverse()
    moved = [shifted(mover, 0, offset) if axis else shifted(mover, offset, 0) for offset in offsets]
    scenes = [reading_order([thing, *still], size) for thing in moved]
    return scenes, [(f"which way does the {moving} move?", f"{moving}: {way}")]


def _cells(scene: Scene, size: Size) -> list[Thing | None]:
    """What stands in each of the cells."""
    things = {cell_of(thing, size): thing for thing in scene}
    return [things.get(cell) for cell in range(CELLS**2)]


def _described(thing: Thing, size: Size) -> str:
    return f"{thing.colour} {thing.name} {square(cell_of(thing, size))}"


def _side_answer(scene: Scene, asked: str, other: str, side: str, size: Size) -> str:
    squares = {thing.name: square(cell_of(thing, size)) for thing in scene}
    return f"{asked} {squares[asked]}, {other} {squares[other]}: {side}"


def _random_looks(rng: Generator, total: int, shapes=SHAPES, colours=COLOURS) -> list[Look]:
    return [(pick(rng, shapes), pick(rng, colours)) for _ in range(total)]


def _aligned(rng: Generator) -> tuple[list[int], str]:
    """Two cells in one row or one column, and on which side of the second the first is."""
    side = pick(rng, ("left", "right", "above", "below"))
    lane = int(rng.integers(CELLS))
    cells = [CELLS * lane, CELLS * lane + 1] if side in ("left", "right") else [lane, CELLS + lane]
    return cells if side in ("left", "above") else cells[::-1], side


ABILITIES = {ability.__name__: ability for ability in (
    colour, shape, count, yes_no, where, number, bars, describe, dialogue, difference, motion)}
