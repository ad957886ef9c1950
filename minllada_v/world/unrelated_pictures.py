"""Pictures that show nothing of the small world: two of the kinds are never trained on.

Each function takes a random generator and a size (width, height), and returns an RGB picture.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .scenes import pick
from .unrelated_questions import nonsense

Size = tuple[int, int]


def noise(rng: Generator, size: Size) -> Image.Image:
    """Coloured noise, fine or coarse."""
    grain = int(rng.integers(1, 7))
    small = rng.integers(0, 256, (math.ceil(size[1] / grain), math.ceil(size[0] / grain), pick(rng, (1, 3))))
    return _image(np.broadcast_to(small, (*small.shape[:2], 3))).resize(size, pick(rng, (0, 2)))


def gradient(rng: Generator, size: Size) -> Image.Image:
    """From one colour to another, in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    share = (np.cos(angle) * x + np.sin(angle) * y)[..., None] / 2.83 + 0.5
    return _image(_colour(rng) * share + _colour(rng) * (1 - share))


def page(rng: Generator, size: Size) -> Image.Image:
    """Lines of text, dark on light or light on dark."""
    picture = Image.new("RGB", size, tuple(rng.integers(200, 256, 3).tolist()))
    draw, height = ImageDraw.Draw(picture), int(rng.integers(7, 16))
    font = ImageFont.load_default(height)
    ink = tuple(rng.integers(0, 110, 3).tolist())
    for y in range(int(rng.integers(2, 8)), size[1] - height, height + int(rng.integers(1, 5))):
        text = " ".join(nonsense(rng) for _ in range(size[0] // height // 2 + 1))
        draw.text((int(rng.integers(2, 6)), y), text, fill=ink, font=font)
    return picture if rng.random() < 0.7 else Image.eval(picture, lambda value: 255 - value)


def photograph(rng: Generator, size: Size) -> Image.Image:
    """Soft light and shade with a large thing before it, as a photograph seen from far away."""
    picture = _clouds(rng, size)
    for _ in range(rng.integers(1, 5)):
        mask = Image.new("L", size)
        middle, reach = rng.uniform(0, 1, 2) * size, rng.uniform(0.12, 0.6) * min(size)
        angles = np.sort(rng.uniform(0, 2 * math.pi, 12))
        far = reach * rng.uniform(0.6, 1.1, 12)
        corners = np.stack([middle[0] + far * np.cos(angles), middle[1] + far * np.sin(angles)], axis=1)
        ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners], fill=255)
        picture.paste(_clouds(rng, size), mask=mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3))))
    return picture


def stripes(rng: Generator, size: Size) -> Image.Image:
    """Stripes or checks of two colours."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    width, slant = rng.uniform(3, 14), rng.uniform(-1, 1)
    on = ((x + slant * y) // width % 2).astype(bool)
    if rng.random() < 0.5:
        on ^= ((y - slant * x) // width % 2).astype(bool)
    return _image(np.where(on[..., None], _colour(rng), _colour(rng)))


def scribble(rng: Generator, size: Size) -> Image.Image:
    """Lines drawn by a shaky hand."""
    picture = Image.new("RGB", size, tuple(rng.integers(225, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 8)):
        steps = rng.normal(0, 0.12 * min(size), (int(rng.integers(4, 20)), 2))
        way = np.cumsum(steps, axis=0) + rng.uniform(0, 1, 2) * size
        draw.line([tuple(point) for point in way], tuple(_colour(rng).astype(int).tolist()), int(rng.integers(1, 4)))
    return picture


def blank(rng: Generator, size: Size) -> Image.Image:
    """A single colour."""
    return Image.new("RGB", size, tuple(_colour(rng).astype(int).tolist()))


def spots(rng: Generator, size: Size) -> Image.Image:
    """Many soft spots of light."""
    picture = Image.new("RGB", size, tuple(_colour(rng).astype(int).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(15, 60)):
        (x, y), radius = rng.uniform(0, 1, 2) * size, rng.uniform(1, 9)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), tuple(_colour(rng).astype(int).tolist()))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))


def ripples(rng: Generator, size: Size) -> Image.Image:
    """Rings around a point, as on water."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    left, top = rng.uniform(0, 1, 2) * size
    wave = np.sin(np.hypot(x - left, y - top) / rng.uniform(1.5, 6) + rng.uniform(0, 6))[..., None] / 2 + 0.5
    return _image(_colour(rng) * wave + _colour(rng) * (1 - wave))


def mosaic(rng: Generator, size: Size) -> Image.Image:
    """Stones of many colours, each pixel in the colour of the nearest of some points."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    count = int(rng.integers(12, 50))
    points = rng.uniform(0, 1, (count, 2)) * size
    nearest = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).argmin(axis=-1)
    return _image(rng.integers(0, 256, (count, 3))[nearest])


PICTURES: tuple[Callable[[Generator, Size], Image.Image], ...] = (
    noise, gradient, page, photograph, stripes, scribble, blank, spots)
HELD_OUT_PICTURES = (ripples, mosaic)


def _clouds(rng: Generator, size: Size) -> Image.Image:
    """Noise of all sizes, the larger the stronger, in shades of a few colours."""
    total = np.zeros((size[1], size[0], 3))
    for cells in (2, 4, 8, 16):
        layer = _image(rng.integers(0, 256, (cells, cells, 3))).resize(size, Image.Resampling.BICUBIC)
        shade = np.asarray(layer, dtype=float)
        grey = rng.uniform(0.3, 0.95)  # how far its colours are mixed with grey
        total += (grey * shade.mean(axis=2, keepdims=True) + (1 - grey) * shade - 127) / cells ** 0.8
    return _image(_colour(rng) + rng.uniform(0.5, 1.6) * total)


def _colour(rng: Generator) -> np.ndarray:
    return rng.uniform(0, 255, 3)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
