"""Questions of one turn: for each ability a random scene, and a question about it that has one true answer.

Every function takes a random generator, the most shapes (or bars) to draw and the size of the picture, and returns
what each picture shows together with the turns of a conversation. Where an ability needs two shapes it draws two,
whatever the most is. A turn says what is meant; `wordings.py` says it as people do, and `sentences.py` answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator
from PIL import Image

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
    to_cell,
)
from .sentences import COLUMNS, OPPOSITE, ROWS, said_side

FRAMES = 8  # of a video

Size = tuple[int, int]


@dataclass(frozen=True)
class Turn:
    """A question: what is meant, about what, and in which wordings if not in those of its kind."""

    kind: str  # as in `sentences.ANSWERS`
    slots: dict[str, str]  # what fills the brackets of a wording
    wording: str = ""


Drawn = tuple[Sequence[Scene | Image.Image], list[Turn]]  # what each picture shows, or a picture that shows no scene


def colour(rng: Generator, most: int, size: Size) -> Drawn:
    """What colour is the only star?"""
    asked, *others = shuffled(rng, SHAPES)
    looks = [(asked, pick(rng, COLOURS)), *random_looks(rng, rng.integers(most), others)]
    return [place(rng, looks, size)], [Turn("colour", {"shape": asked})]


def shape(rng: Generator, most: int, size: Size) -> Drawn:
    """What shape is the only red one?"""
    asked, *others = shuffled(rng, COLOURS)
    looks = [(pick(rng, SHAPES), asked), *random_looks(rng, rng.integers(most), colours=others)]
    return [place(rng, looks, size)], [Turn("shape", {"colour": asked})]


def count(rng: Generator, most: int, size: Size) -> Drawn:
    """How many shapes, stars or red shapes are there?"""
    kind = pick(rng, ("any", "shape", "colour"))
    hits = int(rng.integers(kind == "any", most + 1))  # drawn first, so that all answers are equally likely
    total = hits if kind == "any" else int(rng.integers(max(hits, 1), most + 1))
    if kind == "any":
        looks, asked = random_looks(rng, total), {}
    elif kind == "shape":
        wanted, *others = shuffled(rng, SHAPES)
        looks = random_looks(rng, hits, [wanted]) + random_looks(rng, total - hits, others)
        asked = {"shape": wanted}
    else:
        wanted, *others = shuffled(rng, COLOURS)
        looks = random_looks(rng, hits, colours=[wanted]) + random_looks(rng, total - hits, colours=others)
        asked = {"colour": wanted}
    return [place(rng, looks, size)], [counting(**asked)]


def yes_no(rng: Generator, most: int, size: Size) -> Drawn:
    """Is there a red star, a star, a red shape? Is the star red? Of the traps, where the answer is no, half are about
    what is nowhere in the picture; in the others the star is there, and something else is red."""
    asked, *others = shuffled(rng, SHAPES)
    tint, *tints = shuffled(rng, COLOURS)
    about = pick(rng, ("both", "both", "shape", "colour", "is it"))
    truth = pick(rng, ("yes", "no"))
    extra = int(rng.integers(most))
    if truth == "yes":
        looks = [(asked, tint), *random_looks(rng, extra, others, tints if about == "colour" else COLOURS)]
    elif about == "is it" or about == "both" and rng.random() < 0.75:
        looks = [(asked, pick(rng, tints)), *random_looks(rng, min(extra, 1), others, [tint]),
                 *random_looks(rng, max(extra - 1, 0), others)]
    else:
        looks = random_looks(rng, extra + 1, SHAPES if about == "colour" else others,
                              tints if about == "colour" else COLOURS)
        if about == "both":  # the colour alone gives nothing away
            looks[0] = (looks[0][0], pick(rng, (tint, looks[0][1])))
    scene = place(rng, looks, size)
    if about == "is it":
        return [scene], [Turn("is_it", {"shape": asked, "colour": tint})]
    return [scene], [asking({"both": {"shape": asked, "colour": tint}, "shape": {"shape": asked},
                              "colour": {"colour": tint}}[about])]


def where(rng: Generator, most: int, size: Size) -> Drawn:
    """On which side of the circle is the star? Is it left of the circle? They are in one row or in one column."""
    scene, star, circle, side = two_aligned(rng, most, size)
    if rng.random() < 0.65:
        return [scene], [Turn("where", {"shape": star, "other": circle})]
    return [scene], [Turn("is_side", {"shape": star, "other": circle,
                                      "side": said_side(pick(rng, (side, OPPOSITE[side])))})]


def where_in(rng: Generator, most: int, size: Size) -> Drawn:
    """Where in the picture is the star? What is at the top left?"""
    if rng.random() < 0.6:
        scenes, [turn] = colour(rng, most, size)
        return scenes, [replace(turn, kind="place")]
    cell = int(rng.integers(CELLS**2))
    cells = shuffled(rng, range(CELLS**2))
    if pick(rng, (True, False)):  # asked about a shape
        cells.sort(key=lambda each: each != cell)
    scene = place(rng, random_looks(rng, rng.integers(1, most + 1)), size, cells)
    return [scene], [Turn("at", {"row": ROWS[cell // CELLS], "column": COLUMNS[cell % CELLS]})]


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
    return [scene], [Turn("number", {})]


def tallest(rng: Generator, most: int, size: Size) -> Drawn:
    """Which bar is tallest? Heights differ by an eighth of the picture at least."""
    total = int(rng.integers(2, max(most, 2) + 1))
    colours = shuffled(rng, COLOURS)[:total]
    levels = [int(level) for level in rng.permutation(range(1, 8))[:total]]
    slot, floor = size[0] // total, size[1] - 2
    margin = max(2, (slot - 16) // 2)
    scene = [Thing("bar", name, (left + margin, floor - level * size[1] // 8, left + slot - margin, floor))
             for left, name, level in zip(range(0, size[0], slot), colours, levels)]
    return [scene], [Turn("bars", {"most": "tallest"})]


def bars(rng: Generator, most: int, size: Size) -> Drawn:
    """Which bar is tallest, or shortest?"""
    scenes, _ = tallest(rng, most, size)
    return scenes, [Turn("bars", {"most": pick(rng, ("tallest", "shortest"))})]


def shapes(rng: Generator, most: int, size: Size) -> Drawn:
    """Describe a picture of shapes: say what stands on each square, row by row, from left to right."""
    return [place(rng, random_looks(rng, rng.integers(1, most + 1)), size)], [Turn("describe", {})]


def describe(rng: Generator, most: int, size: Size) -> Drawn:
    """Describe a picture of shapes, or of a number or bars."""
    scenes, _ = pick(rng, (shapes,) * 5 + (number, tallest))(rng, most, size)
    return scenes, [Turn("describe", {})]


def difference(rng: Generator, most: int, size: Size) -> Drawn:
    """Two pictures that differ in the colour, the shape or the place of one thing. The answer describes it as the first
    picture shows it, and as the second. There are three things at most, which leaves a free cell to move to."""
    old, *others = shuffled(rng, place(rng, random_looks(rng, rng.integers(1, min(most, 3) + 1)), size))
    part = pick(rng, ("colour", "shape", "place"))
    if part == "colour":
        new = replace(old, colour=pick(rng, [name for name in COLOURS if name != old.colour]))
    elif part == "shape":
        new = replace(old, name=pick(rng, [name for name in SHAPES if name != old.name]))
    else:
        free = set(range(CELLS**2)) - {cell_of(thing, size) for thing in (old, *others)}
        new = to_cell(old, pick(rng, sorted(free)), size)
    return [reading_order([thing, *others], size) for thing in (old, new)], [Turn("difference", {})]


def motion(rng: Generator, most: int, size: Size) -> Drawn:
    """Which way does the star move? Where two shapes may be drawn, another may stand beside its way."""
    moving, *others = shuffled(rng, SHAPES)
    way = pick(rng, ("left", "right", "up", "down"))
    axis = int(way in ("up", "down"))
    start, *cells = shuffled(rng, range(CELLS**2))
    lane = (lambda cell: cell % CELLS) if axis else (lambda cell: cell // CELLS)
    beside = [cell for cell in cells if lane(cell) != lane(start)]
    looks = random_looks(rng, 1, [moving]) + random_looks(rng, rng.integers(min(most, 2)), others)
    scene = place(rng, looks, size, [start, *beside])

    mover, *still = sorted(scene, key=lambda thing: thing.name != moving)  # False comes first
    room = size[axis] - (mover.box[2] - mover.box[0]) - 2  # one pixel to each border stays free
    step = int(rng.integers(3, room // (FRAMES - 1) + 1))
    first = int(rng.integers(1, room - step * (FRAMES - 1) + 2))
    offsets = [first + step * frame - mover.box[axis] for frame in range(FRAMES)]
    if way in ("left", "up"):
        offsets.reverse()
    moved = [shifted(mover, 0, offset) if axis else shifted(mover, offset, 0) for offset in offsets]
    return [reading_order([thing, *still], size) for thing in moved], [Turn("motion", {"shape": moving})]


def counting(shape: str | None = None, colour: str | None = None) -> Turn:
    """How many shapes, stars, red shapes or red stars are there?"""
    asked = {name: value for name, value in (("shape", shape), ("colour", colour)) if value}
    return Turn("count", asked | {"things": " ".join([*([colour] if colour else []),
                                                      f"{shape}s" if shape else "shapes"])})


def asking(asked: dict[str, str]) -> Turn:
    """Is there a star, a red shape or a red star? `asked` has a shape, a colour or both."""
    return Turn("yes_no", asked | {"thing": " ".join([*([asked["colour"]] if "colour" in asked else []),
                                                      asked.get("shape", "shape")])})


def random_looks(rng: Generator, total: int, shapes=SHAPES, colours=COLOURS) -> list[Look]:
    """So many shapes and colours, drawn independently of each other."""
    return [(pick(rng, shapes), pick(rng, colours)) for _ in range(total)]


def two_aligned(rng: Generator, most: int, size: Size) -> tuple[Scene, str, str, str]:
    """A scene with two shapes in one row or column, their names, and on which side of the second the first is."""
    star, circle, *others = shuffled(rng, SHAPES)
    cells, side = aligned(rng)
    looks = random_looks(rng, 1, [star]) + random_looks(rng, 1, [circle])
    looks += random_looks(rng, rng.integers(max(most, 2) - 1), others)
    return place(rng, looks, size, cells), star, circle, side


def aligned(rng: Generator) -> tuple[list[int], str]:
    """Two cells in one row or one column, and on which side of the second the first is."""
    side = pick(rng, ("left", "right", "above", "below"))
    lane = int(rng.integers(CELLS))
    cells = [CELLS * lane, CELLS * lane + 1] if side in ("left", "right") else [lane, CELLS + lane]
    return cells if side in ("left", "above") else cells[::-1], side
