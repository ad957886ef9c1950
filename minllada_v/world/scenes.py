"""Scenes of the small world: what stands where in a picture, and painting it.

A scene is a list of things in reading order. It holds all there is to know about its picture, so that questions are
answered from it, and so is what each patch of the picture shows.

Shapes stand in the four squares that halving a picture twice makes, a little off the middle. Hence they never touch,
rows and columns are clear, and left of, above and reading order have one meaning.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# After Okabe and Ito: they also differ in brightness, and stay apart for colour-blind people.
RGB = {
    "red": (205, 50, 20),
    "yellow": (240, 205, 40),
    "green": (0, 158, 115),
    "blue": (0, 90, 185),
    "pink": (225, 130, 185),
    "black": (20, 20, 20),
}
COLOURS = tuple(RGB)
SHAPES = ("circle", "square", "triangle", "star")
SIZES = ((48, 48), (96, 48), (48, 96), (96, 96))  # 1, 2, 2 and 4 tiles of 48 pixels
CELLS = 2  # columns of cells in a picture, and rows
SMALLEST, LARGEST = 14, 32  # pixels a shape is wide; a smaller star looks like a blob
WOBBLE = 3  # pixels that a shape is off the middle of its cell at most

Look = tuple[str, str]  # shape and colour


@dataclass(frozen=True)
class Thing:
    """A shape, a bar or a digit in a picture."""

    name: str  # one of SHAPES, "bar", or a digit "0" to "9"
    colour: str  # one of COLOURS
    box: tuple[int, int, int, int]  # left, top, right, bottom; the thing touches all four sides, from within


Scene = list[Thing]


def pick(rng: np.random.Generator, options: Sequence):
    """One of `options`, all equally likely."""
    return options[rng.integers(len(options))]


def shuffled(rng: np.random.Generator, options: Sequence) -> list:
    """The `options` in random order."""
    return [options[index] for index in rng.permutation(len(options))]


def cell_of(thing: Thing, size: tuple[int, int]) -> int:
    """The cell that the middle of a shape is in, in a picture of `size` (width, height): 0 to 3, in reading order."""
    left, top, right, bottom = thing.box
    return (top + bottom) * CELLS // (2 * size[1]) * CELLS + (left + right) * CELLS // (2 * size[0])


def square(cell: int) -> str:
    """The name of a cell: column a or b from the left, row 1 or 2 from the top."""
    return f"{'ab'[cell % CELLS]}{cell // CELLS + 1}"


def reading_order(shapes: Iterable[Thing], size: tuple[int, int]) -> Scene:
    """Row by row, from left to right."""
    return sorted(shapes, key=lambda thing: cell_of(thing, size))


def shifted(thing: Thing, x: int, y: int) -> Thing:
    """The same thing, so many pixels to the right and down."""
    left, top, right, bottom = thing.box
    return replace(thing, box=(left + x, top + y, right + x, bottom + y))


def to_cell(thing: Thing, cell: int, size: tuple[int, int]) -> Thing:
    """The same shape in another cell."""
    old = cell_of(thing, size)
    right, down = cell % CELLS - old % CELLS, cell // CELLS - old // CELLS
    return shifted(thing, right * (size[0] // CELLS), down * (size[1] // CELLS))


def place(rng: np.random.Generator, looks: Sequence[Look], size: tuple[int, int], cells: Sequence[int] = ()) -> Scene:
    """Stand one shape for each of `looks` in a cell of its own.

    The first shapes go to the given `cells`, the others to random ones.
    """
    width, height = size[0] // CELLS, size[1] // CELLS
    short = min(width, height)
    free = [cell for cell in range(CELLS**2) if cell not in cells]
    scene = []
    for (shape, colour), cell in zip(looks, [*cells, *shuffled(rng, free)]):
        side = int(rng.integers(max(SMALLEST, short * 5 // 12), min(LARGEST, short - 4) + 1))
        # At least one pixel is left to the border of the cell.
        x, y = (int(rng.integers(-wobble, wobble + 1))
                for wobble in (min(WOBBLE, (length - side) // 2 - 1) for length in (width, height)))
        left = cell % CELLS * width + (width - side) // 2 + x
        top = cell // CELLS * height + (height - side) // 2 + y
        scene.append(Thing(shape, colour, (left, top, left + side, top + side)))
    return reading_order(scene, size)


def paint(scene: Scene, size: tuple[int, int], background: tuple[int, int, int]) -> Image.Image:
    """The RGB picture of a scene. Edges of shapes are hard, those of digits soft."""
    picture = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(picture)
    for thing in scene:
        left, top, right, bottom = thing.box
        width, height = right - left, bottom - top
        colour = RGB[thing.colour]
        if thing.name.isdecimal():
            picture.paste(colour, thing.box, glyph(thing.name).resize((width, height), Image.Resampling.BOX))
        elif thing.name == "circle":
            draw.ellipse((left, top, right - 1, bottom - 1), fill=colour)
        else:
            corners = CORNERS[thing.name]
            draw.polygon([(left + x * (width - 1), top + y * (height - 1)) for x, y in corners], fill=colour)
    return picture


@cache
def glyph(digit: str) -> Image.Image:
    """A large, bold digit of Pillow's own font, cut to its ink: white on black, mode L."""
    font = ImageFont.load_default(96)
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).text((16, 0), digit, fill=255, font=font, stroke_width=2)
    return mask.crop(mask.getbbox())


def _star() -> list[tuple[float, float]]:
    """The ten corners of a star that fills the unit square."""
    points = [(radius * math.sin(angle), -radius * math.cos(angle)) for angle, radius in
              ((math.pi * corner / 5, 0.45 if corner % 2 else 1.0) for corner in range(10))]
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    width, height = (max(point[axis] for point in points) - low for axis, low in enumerate((left, top)))
    return [((x - left) / width, (y - top) / height) for x, y in points]


SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]
CORNERS = {"square": SQUARE, "bar": SQUARE, "triangle": [(0.5, 0), (1, 1), (0, 1)], "star": _star()}
