"""The plain language of the small world: one wording for each question, and answers of a few words.

It is learned in minutes, so the studies use it, and the built-in model begins with it. "star a1" says that a star
stands on square a1: column a or b from the left, row 1 or 2 from the top.
"""

from numpy.random import Generator

from .follow_ups import two_turns
from .one_turn import (
    Drawn,
    Size,
    Turn,
    colour,
    count,
    difference,
    motion,
    number,
    shape,
    shapes,
    tallest,
    two_aligned,
)
from .scenes import CELLS, COLOURS, SHAPES, Scene, Thing, cell_of, pick, place, shuffled
from .sentences import find, side_of

WORDS = (  # of plain questions and answers, apart from digits and marks
    *COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), "shape", "shapes", "colour", "picture", "number", "bar",
    "yes", "no", "left", "right", "above", "below", "up", "down", "what", "which", "where", "how", "many", "way", "is",
    "are", "does", "move", "differs", "describe", "tallest", "there", "this", "the", "a", "b", "and", "it", "from",
)
QUESTIONS = {
    "colour": "what colour is the {shape}?", "shape": "what is the {colour} shape?",
    "count": "how many {things} are there?", "yes_no": "is there a {colour} {shape}?",
    "where": "from the {other}, where is the {shape}?", "number": "what number is this?",
    "bars": "which bar is tallest?", "describe": "describe the picture.", "difference": "what differs?",
    "motion": "which way does the {shape} move?", "and": "and the {this}?", "side_it": "from it, where is the {shape}?",
}


def yes_no(rng: Generator, most: int, size: Size) -> Drawn:
    """Is there a red star? There is one star, red or not, and where more is drawn also something red: seeing both is
    not enough. The answer says what the star looks like."""
    asked, *others = shuffled(rng, SHAPES)
    colour_asked, *colours = shuffled(rng, COLOURS)
    answer = pick(rng, ("yes", "no"))
    extra = int(rng.integers(most))

    def looks(total: int, colours=COLOURS):
        return [(pick(rng, others), pick(rng, colours)) for _ in range(total)]

    first = (asked, colour_asked if answer == "yes" else pick(rng, colours))
    scene = place(rng, [first, *looks(min(extra, 1), [colour_asked]), *looks(max(extra - 1, 0))], size)
    return [scene], [Turn("yes_no", {"shape": asked, "colour": colour_asked})]


def where(rng: Generator, most: int, size: Size) -> Drawn:
    """On which side of the circle is the star? They are in one row or in one column."""
    scene, star, circle, _ = two_aligned(rng, most, size)
    return [scene], [Turn("where", {"shape": star, "other": circle})]


def plain_question(turn: Turn) -> str:
    """The one wording of a question."""
    return QUESTIONS[turn.wording or turn.kind].format(**turn.slots)


def plain_answer(turn: Turn, scenes: list[Scene], size: Size) -> str:
    """The answer to a plain question about pictures of `size` (width, height) that show `scenes`."""
    scene, asked = scenes[0], turn.slots
    match turn.kind:
        case "colour" | "shape" | "yes_no":
            wanted = {"colour": asked["colour"]} if turn.kind == "shape" else {"shape": asked["shape"]}
            found = find(scene, **wanted)[0]
            said = f"{found.colour} {found.name}"
            return f"{said}: {'yes' if found.colour == asked['colour'] else 'no'}" if turn.kind == "yes_no" else said
        case "count":
            hits = find(scene, asked.get("shape"), asked.get("colour"))
            said = ["no" if thing not in hits else asked.get("colour", thing.name) for thing in _cells(scene, size)]
            return f"{', '.join(said)}: {len(hits)}"
        case "where":
            one, other = find(scene, asked["shape"])[0], find(scene, asked["other"])[0]
            said = f"{one.name} {square(one, size)}, {other.name} {square(other, size)}"
            return f"{said}: {side_of(one, other, size)}"
        case "number":
            return "".join(thing.name for thing in scene)
        case "bars":
            return f"{max(scene, key=lambda thing: thing.box[3] - thing.box[1]).colour} bar"
        case "describe":
            return description(scene, size)
        case "difference":
            [old], [new] = ([thing for thing in one if thing not in other] for one, other in (scenes, scenes[::-1]))
            return ", ".join(f"{thing.colour} {thing.name} {square(thing, size)}" for thing in (old, new))
        case _:
            (x, y), (x_later, y_later) = (find(scene, asked["shape"])[0].box[:2] for scene in scenes[:2])
            way = ("left" if x_later < x else "right") if y == y_later else "up" if y_later < y else "down"
            return f"{asked['shape']}: {way}"


def description(scene: Scene, size: Size) -> str:
    """What stands on each square, in reading order."""
    return ", ".join(f"{thing.colour} {thing.name}" if thing else "no shape" for thing in _cells(scene, size))


def square(thing: Thing, size: Size) -> str:
    """The square on which a shape stands, such as "a1"."""
    row, column = divmod(cell_of(thing, size), CELLS)
    return f"{'ab'[column]}{row + 1}"


def _cells(scene: Scene, size: Size) -> list[Thing | None]:
    """What stands in each of the cells."""
    things = {cell_of(thing, size): thing for thing in scene}
    return [things.get(cell) for cell in range(CELLS**2)]


PLAIN = {f"plain {name}": ability for name, ability in {
    "colour": colour, "shape": shape, "count": count, "yes_no": yes_no, "where": where, "number": number,
    "bars": tallest, "describe": shapes, "dialogue": two_turns, "difference": difference, "motion": motion}.items()}
