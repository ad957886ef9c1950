"""An oracle that knows a picture of the small world from its pixels alone."""

import numpy as np
from PIL import Image

from minllada_v.world.scenes import RGB, glyph


def see(picture: Image.Image) -> list[tuple[str, str, tuple[int, int, int, int]]]:
    """(form, colour, box) of each connected patch of one of the six colours, found by flooding."""
    pixels = np.asarray(picture).astype(int)
    left_over = {}
    for colour, rgb in RGB.items():
        ys, xs = np.nonzero((pixels == rgb).all(axis=2))
        left_over |= {(x, y): colour for x, y in zip(xs.tolist(), ys.tolist())}
    found = []
    while left_over:
        start, colour = left_over.popitem()
        patch, edge = {start}, [start]
        while edge:
            x, y = edge.pop()
            for near in [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]:
                if left_over.get(near) == colour:
                    del left_over[near]
                    patch.add(near)
                    edge.append(near)
        xs, ys = zip(*patch)
        box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        found.append((form(patch, box), colour, box))
    return found


def form(patch: set[tuple[int, int]], box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    full = len(patch) / ((right - left) * (bottom - top))
    if full == 1:
        return "square"
    if all((x, bottom - 1) in patch for x in range(left, right)):
        return "triangle"
    return "circle" if full > 0.7 else "star"


def middle(box) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def rows(things) -> list:
    """In reading order. A row ends where the next middle is more than 12 pixels lower; none is nearly so."""
    things = sorted(things, key=lambda thing: middle(thing[2])[1])
    rows = [[things[0]]]
    for before, thing in zip(things, things[1:]):
        step = middle(thing[2])[1] - middle(before[2])[1]
        assert step <= 7 or step >= 17
        if step > 12:
            rows.append([])
        rows[-1].append(thing)
    return [thing for row in rows for thing in sorted(row, key=lambda thing: middle(thing[2])[0])]


def side_of(thing, other) -> str:
    """left, right, above or below; clearly so."""
    x, y = middle(thing[2]) - middle(other[2])
    far, near = max(abs(x), abs(y)), min(abs(x), abs(y))
    assert far >= 17 and near <= 7
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "above" if y < 0 else "below"


def read_number(picture: Image.Image) -> str:
    """Cut the ink into columns that belong together, and compare each with all ten digits."""
    pixels = np.asarray(picture).astype(int)
    ink = abs(pixels - pixels[0, 0]).sum(axis=2)
    ink = ink / ink.max()
    inked = np.flatnonzero(ink.any(axis=0))
    read = ""
    for columns in np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1):
        part = ink[:, columns]
        part = Image.fromarray(np.uint8(part[part.any(axis=1)] * 255))
        templates = [glyph(digit) for digit in "0123456789"]
        wrong = [abs(np.subtract(part.resize((32, 48)), template.resize((32, 48)), dtype=float)).mean()
                 + 100 * abs(part.width / part.height - template.width / template.height) for template in templates]
        read += str(np.argmin(wrong))
    return read
