"""The true answer to each kind of question, as a sentence, read off the scene.

The language is made for a model that writes all words of an answer at once: no word depends on its neighbour, as "a"
or "an" would ("a" fits all colours and shapes), and each word is one token. An answer shows its work: it says again
what it is about, and before it counts, it says for each square of the picture what is counted there, row by row. A
diffusion model writes these easy words first, and reads the hard one off them. What lists the squares names the empty
ones too, so that each word has its own place in the answer.
"""

from collections.abc import Callable, Sequence

from PIL import Image

from .scenes import CELLS, SHAPES, Scene, Thing, cell_of

Size = tuple[int, int]
ROWS, COLUMNS = ("top", "bottom"), ("left", "right")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
UNKNOWN = "I only know colours, shapes, places, numbers and bars."
NO_SHAPES = "I can make out no shapes here."
CANVAS = 20  # tokens of the longest answer, and one that ends the turn
ASKED = ("shape", "colour", "other", "row", "column", "most", "side")  # slots that an answer depends on


def true_answer(kind: str, scenes: Sequence[Scene | Image.Image], size: Size, slots: dict[str, str]) -> str:
    """The answer to a question of that kind about pictures of `size` (width, height) that show `scenes`."""
    if kind == "unknown":
        return UNKNOWN
    if isinstance(scenes[0], Image.Image):
        return NO_SHAPES
    asked = {name: slots[name] for name in ASKED if name in slots}
    if kind in ("difference", "motion"):
        return {"difference": difference, "motion": motion}[kind](scenes, size, **asked)
    return ANSWERS[kind](scenes[0], size, **asked)


def find(scene: Scene, shape: str | None = None, colour: str | None = None) -> list[Thing]:
    """The shapes of a scene that look so."""
    return [thing for thing in scene if thing.name in SHAPES and shape in (None, thing.name)
            and colour in (None, thing.colour)]


def place_of(thing: Thing, size: Size) -> str:
    """Such as "top left"."""
    row, column = divmod(cell_of(thing, size), CELLS)
    return f"{ROWS[row]} {COLUMNS[column]}"


def side_of(thing: Thing, other: Thing, size: Size) -> str:
    """On which side of the other, which stands in the same row or column, the thing is."""
    (row, column), (other_row, other_column) = (divmod(cell_of(it, size), CELLS) for it in (thing, other))
    if row == other_row:
        return "left" if column < other_column else "right"
    return "above" if row < other_row else "below"


def said_side(side: str) -> str:
    """Such as "left of" or "above", as it stands before what it is compared to."""
    return f"{side} of" if side in COLUMNS else side


def none_such(shape: str | None = None, colour: str | None = None) -> str:
    """That nothing looks so, as the rest of a sentence."""
    return f"there is no {shape or f'{colour} shape'}."


def by_squares(scene: Scene, size: Size, say: Callable[[Thing | None], str]) -> str:
    """What `say` says of each square, row by row."""
    things = {cell_of(thing, size): thing for thing in scene}
    one, two, three, four = (say(things.get(cell)) for cell in range(CELLS**2))
    return f"Top: {one}, {two}. Bottom: {three}, {four}."


def colour(scene: Scene, size: Size, shape: str) -> str:
    """The star is blue."""
    found = find(scene, shape)
    return f"The {shape} is {found[0].colour}." if found else none_such(shape).capitalize()


def shape(scene: Scene, size: Size, colour: str) -> str:
    """The red shape is a star."""
    found = find(scene, colour=colour)
    return f"The {colour} shape is a {found[0].name}." if found else none_such(colour=colour).capitalize()


def count(scene: Scene, size: Size, shape: str | None = None, colour: str | None = None) -> str:
    """Top: star, none. Bottom: none, star. That makes 2."""
    hits = find(scene, shape, colour)
    squares = by_squares(scene, size, lambda thing: "none" if thing not in hits else colour or thing.name)
    return f"{squares} That makes {len(hits)}."


def yes_no(scene: Scene, size: Size, shape: str | None = None, colour: str | None = None) -> str:
    """Yes, there is a red star. No, the star is blue. No, there is no star."""
    if found := find(scene, shape, colour):
        return f"Yes, there is a {found[0].colour} {found[0].name}."
    alike = find(scene, shape) if shape else []
    return f"No, the {shape} is {alike[0].colour}." if alike else f"No, {none_such(shape, colour)}"


def is_it(scene: Scene, size: Size, shape: str, colour: str) -> str:
    """Yes, the star is red. No, the star is blue."""
    if not (found := find(scene, shape)):
        return none_such(shape).capitalize()
    return f"{'Yes' if found[0].colour == colour else 'No'}, the {shape} is {found[0].colour}."


def where(scene: Scene, size: Size, shape: str, other: str) -> str:
    """The star at the top left is left of the circle at the top right."""
    for each in (shape, other):
        if not find(scene, each):
            return none_such(each).capitalize()
    one, two = find(scene, shape)[0], find(scene, other)[0]
    side = said_side(side_of(one, two, size))
    return f"The {shape} at the {place_of(one, size)} is {side} the {other} at the {place_of(two, size)}."


def is_side(scene: Scene, size: Size, shape: str, other: str, side: str) -> str:
    """No, the star at the top left is left of the circle at the top right."""
    truth = where(scene, size, shape, other)
    if not truth.startswith("The "):
        return truth
    return f"{'Yes' if f' is {side} the ' in truth else 'No'}, t{truth[1:]}"


def place(scene: Scene, size: Size, shape: str) -> str:
    """The star is at the top left."""
    found = find(scene, shape)
    return f"The {shape} is at the {place_of(found[0], size)}." if found else none_such(shape).capitalize()


def at(scene: Scene, size: Size, row: str, column: str) -> str:
    """There is a red star at the top left. There is no shape at the top left."""
    found = [thing for thing in find(scene) if place_of(thing, size) == f"{row} {column}"]
    said = f"a {found[0].colour} {found[0].name}" if found else "no shape"
    return f"There is {said} at the {row} {column}."


def number(scene: Scene, size: Size) -> str:
    """The number is 42."""
    digits = "".join(thing.name for thing in scene if thing.name.isdecimal())
    return f"The number is {digits}." if digits else none_such("number").capitalize()


def bars(scene: Scene, size: Size, most: str) -> str:
    """The red bar is the tallest."""
    heights = {thing.box[3] - thing.box[1]: thing.colour for thing in scene if thing.name == "bar"}
    if not heights:
        return none_such("bar").capitalize()
    return f"The {heights[(max if most == 'tallest' else min)(heights)]} bar is the {most}."


def describe(scene: Scene, size: Size) -> str:
    """Top: red star, no shape. Bottom: no shape, blue circle."""
    if scene[0].name == "bar":
        return bars(scene, size, "tallest")
    if scene[0].name.isdecimal():
        return number(scene, size)
    return by_squares(scene, size, lambda thing: f"{thing.colour} {thing.name}" if thing else "no shape")


def difference(scenes: list[Scene], size: Size) -> str:
    """The red star at the top left is now a blue star at the top left."""
    [before], [after] = ([thing for thing in one if thing not in other] for one, other in (scenes, scenes[::-1]))
    old, new = (f"{thing.colour} {thing.name} at the {place_of(thing, size)}" for thing in (before, after))
    return f"The {old} is now a {new}."


def motion(scenes: list[Scene], size: Size, shape: str) -> str:
    """The star moves left."""
    (x, y), (x_later, y_later) = (find(scene, shape)[0].box[:2] for scene in scenes[:2])
    way = ("left" if x_later < x else "right") if y == y_later else "up" if y_later < y else "down"
    return f"The {shape} moves {way}."


ANSWERS = {answer.__name__: answer for answer in (
    colour, shape, count, yes_no, is_it, where, is_side, place, at, number, bars, describe)}
