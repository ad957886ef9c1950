"""Pictures to look at: token strips, heat maps, mosaics, animations. Line charts stand in `curve.py`.

Plain functions on Pillow that return a `PIL.Image.Image`, RGB and 800 pixels wide unless told otherwise. The colours
are Okabe and Ito's, which colour-blind readers tell apart; a shade always goes from pale to strong.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from ..files import replacing

WIDTH, SIZE, GAP, MARGIN = 800, 16, 4, 8  # of a picture, of letters, between boxes, above them
INK, GREY, LINE = "#222222", "#9c9c9c", "#dddddd"
COLOURS = BLUE, ORANGE, GREEN, RED, SKY, PINK, BLACK = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#000000")


class Box(NamedTuple):
    """A token in a strip."""

    text: str = ""
    fill: str = "#f0f0f0"
    frame: str | None = None  # the colour of a frame around it


@lru_cache
def font(size: int = SIZE) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow. It has ASCII and little else: see `visible`."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def tint(colour: str, share: float) -> str:
    """`colour` mixed with white: the colour itself at share 1, a pale trace of it at 0."""
    share = 0.15 + 0.85 * min(max(share, 0.0), 1.0)
    return "#" + "".join(f"{round(255 + share * (part - 255)):02x}" for part in ImageColor.getrgb(colour)[:3])


@lru_cache(maxsize=4096)
def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on `colour`."""
    return INK if ImageColor.getcolor(colour, "L") > 120 else "white"


def visible(text: str) -> str:
    """`text` as the font shows it: · for a space, \\n for a line break, and U+4E2D for a character that it lacks."""
    lacking = bytes(font().getmask("\uffff"))
    return "".join(char if char.isprintable() and bytes(font().getmask(char)) != lacking else f"U+{ord(char):04X}"
                   for char in text.translate({ord(" "): "·", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}))


@lru_cache(maxsize=4096)
def shortened(text: str, room: float, size: int = SIZE) -> str:
    """`text`, cut to `room` pixels."""
    end = len(text)
    while end and font(size).getlength(text[:end] + "…" * (end < len(text))) > room:
        end -= 1
    return text[:end] + "…" * (end < len(text))


def label_width(labels: Sequence[str]) -> int:
    """The room that labels beside a picture take: that of the longest, and margins."""
    return max((math.ceil(font().getlength(label)) + 12 for label in labels), default=0)


def column_widths(rows: Sequence[Sequence[Box]]) -> list[int]:
    """For each place in rows of equal length, how wide its widest box is, so that places stand below each other."""
    return [max(24, *(math.ceil(font().getlength(box.text)) + 12 for box in places))
            for places in zip(*rows, strict=True)]


def token_strips(
    rows: Sequence[Sequence[Box]], labels: Sequence[str] = (), widths: Sequence[int] | None = None, width: int = WIDTH
) -> Image.Image:
    """Rows of tokens as boxes, each row with a label before it; one that is too long goes on in the next line.
    Without `widths` (see `column_widths`) every box is as wide as its text. Show tokens by their `visible` text."""
    left, height = label_width(labels), SIZE + 12
    placed, tops, y = [], [], MARGIN
    for row in rows:
        tops.append(y)
        x = left
        for box, wide in zip(row, widths or column_widths([row])):
            wide = min(wide, width - left)
            if x + wide > width and x > left:
                x, y = left, y + height + GAP
            placed.append((x, y, wide, box))
            x += wide + GAP
        y += height + (GAP if y == tops[-1] else 3 * GAP)  # what goes on in a second line is told from the next row
    picture = Image.new("RGB", (width, y), "white")
    draw = ImageDraw.Draw(picture)
    for label, top in zip(labels, tops):
        draw.text((left - 8, top + height / 2), label, fill=INK, font=font(), anchor="rm")
    for x, y, wide, box in placed:
        draw.rounded_rectangle((x, y, x + wide - 1, y + height - 1), 5, box.fill, box.frame, 3 if box.frame else 0)
        text = shortened(box.text, wide - 6)
        draw.text((x + wide / 2, y + height / 2), text, fill=ink_on(box.fill), font=font(), anchor="mm")
    return picture


def cells(
    colours: Sequence[Sequence[str]], rows: Sequence[str] = (), columns: Sequence[str] = (),
    texts: Sequence[Sequence[str]] | None = None, width: int = WIDTH, most: int = 48,
) -> Image.Image:
    """A table of coloured squares, at most `most` pixels wide, with `texts` in them, and labels where there is room."""
    rows, columns = ([shortened(label, 160) for label in labels] for labels in (rows, columns))
    left, longest = label_width(rows), label_width(columns)
    side = max(2, min(most, (width - left - longest // 2) // len(colours[0])))
    upright = longest > side and any(len(label) > 3 for label in columns)  # then they are turned
    top = 0 if not columns else longest if upright else SIZE + 8
    picture = Image.new("RGB", (max(width, left + side * len(colours[0])), top + side * len(colours) + 8), "white")
    draw = ImageDraw.Draw(picture)
    edge = side - (2 if side > 6 else 1)  # large cells stand apart
    for (row, column), colour in np.ndenumerate(np.array(colours)):
        x, y = left + side * column, top + side * row
        draw.rectangle((x, y, x + edge, y + edge), str(colour))
        if texts:
            draw.text((x + side / 2, y + side / 2), shortened(texts[row][column], side, SIZE - 2),
                      fill=ink_on(str(colour)), font=font(SIZE - 2), anchor="mm")
    for row in range(len(rows))[::math.ceil((SIZE + 2) / side)]:
        draw.text((left - 8, top + side * (row + 0.5)), rows[row], fill=INK, font=font(), anchor="rm")
    for column in range(len(columns))[::max(1, math.ceil((SIZE + 2 if upright else longest) / side))]:
        label = Image.new("L", (longest, SIZE + 6))
        ImageDraw.Draw(label).text((0 if upright else longest / 2, SIZE), columns[column], 255, font(),
                                   anchor="ls" if upright else "ms")
        label = label.rotate(90, expand=True) if upright else label
        picture.paste(INK, (round(left + side * (column + 0.5) - label.width / 2), top - 4 - label.height), label)
    return picture


def heat_map(
    values: np.ndarray, rows: Sequence[str] = (), columns: Sequence[str] = (), low: float | None = None,
    high: float | None = None, numbers: str = "", colour: str = BLUE, width: int = WIDTH, most: int = 48,
) -> Image.Image:
    """`values` (rows, columns) as shades from `low` (pale; the smallest value) to `high` (strong; the largest), with
    a legend. `numbers`, such as ".2f", also writes each value into its cell. The rest is as in `cells`."""
    low, high = (np.min(values) if low is None else low), (np.max(values) if high is None else high)
    shades = (np.asarray(values, dtype=float) - low) / ((high - low) or 1.0)
    texts = [[format(value, numbers) for value in line] for line in values] if numbers else None
    table = cells([[tint(colour, share) for share in line] for line in shades], rows, columns, texts, width, most)
    return stack([table, token_strips([scale(colour, low, high)], width=width)])


def scale(colour: str, low: float = 0.0, high: float = 1.0) -> list[Box]:
    """The legend of a shade: boxes from `low` to `high`."""
    return [Box(f"{low + share * (high - low):.3g}", tint(colour, share)) for share in (0, 0.25, 0.5, 0.75, 1)]


def mosaic(
    pictures: Sequence[Image.Image], captions: Sequence[str] = (), columns: int = 4, width: int = WIDTH
) -> Image.Image:
    """Pictures in rows of `columns`, each scaled to its cell, with a caption below. Pixels of small ones stay sharp."""
    side, caption = width // columns - 12, SIZE + 10 if captions else 0
    scaled = [ImageOps.contain(picture.convert("RGB"), (side, side), Image.Resampling.NEAREST
                               if max(picture.size) < side else Image.Resampling.BICUBIC) for picture in pictures]
    rows = []
    for start in range(0, len(scaled), columns):
        row = Image.new("RGB", (width, max(it.height for it in scaled[start:start + columns]) + caption), "white")
        for column, picture in enumerate(scaled[start:start + columns]):
            words = captions[start + column] if start + column < len(captions) else ""
            middle = (side + 12) * column + side // 2 + 6
            row.paste(picture, (middle - picture.width // 2, 0))
            ImageDraw.Draw(row).text((middle, picture.height + 6), shortened(words, side), INK, font(), anchor="mt")
        rows.append(row)
    return stack(rows)


def stack(pictures: Sequence[Image.Image], gap: int = 10) -> Image.Image:
    """Pictures below each other on white."""
    *tops, end = accumulate((picture.height + gap for picture in pictures), initial=0)
    canvas = Image.new("RGB", (max(picture.width for picture in pictures), end - gap), "white")
    for picture, top in zip(pictures, tops):
        canvas.paste(picture, (0, top))
    return canvas


def save_animation(frames: Iterable[Image.Image], path: str | Path, seconds: float = 0.5, hold: float = 3.0):
    """Write pictures of one size as an endless GIF: `seconds` each, and the last one `hold`."""
    frames = [frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * hold)]
    with replacing(path) as file:
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
