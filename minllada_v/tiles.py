"""Pictures to tiles: the vision tower only sees squares of one size.

This is LLaVA-NeXT's anyres (any resolution). A single picture is shown twice: once as a whole,
squeezed into one tile, and once cut into a grid of tiles that keeps its detail and shape. Several
pictures get one padded tile each, and each frame of a video is squeezed into one.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .config import Config
from .errors import InputError

GREY = (127, 127, 127)


@dataclass(frozen=True)
class Tiles:
    """The tiles of one picture or video, and what is needed to merge their features again."""

    pixel_values: Tensor  # (tiles, 3, S, S) float32 in [-1, 1]
    kind: str  # "anyres": base tile, then the grid; "video": one per frame; "square", "whole": one
    size: tuple[int, int] = (0, 0)  # anyres: (width, height) of the picture
    grid: tuple[int, int] = (0, 0)  # anyres: (columns, rows) of tiles


def picture_tiles(pictures: list[Image.Image], config: Config) -> list[Tiles]:
    """The tiles of each picture of a prompt: anyres for one alone, a padded square for several."""
    if len(pictures) == 1:
        return [anyres_tiles(pictures[0], config)]
    return [square_tile(picture, config.vision.image_size) for picture in pictures]


def anyres_tiles(picture: Image.Image, config: Config) -> Tiles:
    """A base tile with the whole picture, then the grid of tiles in reading order:
    `(1 + columns·rows, 3, S, S)`."""
    tile_size = config.vision.image_size
    columns, rows = choose_grid(picture.size, config.grids, tile_size)
    padded = fit_on_black(picture, (columns * tile_size, rows * tile_size))
    corners = [(x * tile_size, y * tile_size) for y in range(rows) for x in range(columns)]
    base = picture.resize((tile_size, tile_size), Image.Resampling.BICUBIC)  # its shape is lost
    tiles = [base, *(padded.crop((x, y, x + tile_size, y + tile_size)) for x, y in corners)]
    return Tiles(to_pixel_values(tiles), "anyres", picture.size, (columns, rows))


def square_tile(picture: Image.Image, tile_size: int) -> Tiles:
    """The picture in the centre of a grey square, resized to one tile: `(1, 3, S, S)`. Raises
    `InputError` if the square would have more pixels than Pillow considers safe."""
    side = max(picture.size)
    if Image.MAX_IMAGE_PIXELS is not None and side * side > Image.MAX_IMAGE_PIXELS:
        raise InputError(f"a picture of {picture.width} x {picture.height} is too long to be "
                         "padded to a square; crop it")
    square = Image.new("RGB", (side, side), GREY)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return replace(whole_tile(square, tile_size), kind="square")


def video_tiles(frames: list[Image.Image], tile_size: int) -> Tiles:
    """Each frame squeezed into one tile: `(frames, 3, S, S)`."""
    squeezed = [frame.resize((tile_size, tile_size), Image.Resampling.BICUBIC) for frame in frames]
    return Tiles(to_pixel_values(squeezed), "video")


def whole_tile(picture: Image.Image, tile_size: int) -> Tiles:
    """The picture squeezed into one tile, for the first stage of training: `(1, 3, S, S)`."""
    return replace(video_tiles([picture], tile_size), kind="whole")


def choose_grid(
    size: tuple[int, int], grids: tuple[tuple[int, int], ...], tile_size: int
) -> tuple[int, int]:
    """The grid (columns, rows) that keeps most of the picture's pixels; of equals the one that
    leaves least of its area empty, then the first."""
    width, height = size

    def quality(grid: tuple[int, int]) -> tuple[int, int]:
        grid_width, grid_height = grid[0] * tile_size, grid[1] * tile_size
        scale = min(grid_width / width, grid_height / height)
        effective = min(int(width * scale) * int(height * scale), width * height)  # pixels kept
        wasted = grid_width * grid_height - effective
        return effective, -wasted

    return max(grids, key=quality)


def fit_on_black(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in the centre of a black one of `size` (width, height), as large as fits into it;
    its shape is kept."""
    width, height = size
    scale_x, scale_y = width / picture.width, height / picture.height
    if scale_x < scale_y:
        fitted = (width, min(math.ceil(picture.height * scale_x), height))
    else:
        fitted = (min(math.ceil(picture.width * scale_y), width), height)
    padded = Image.new("RGB", size)
    offset = ((width - fitted[0]) // 2, (height - fitted[1]) // 2)
    padded.paste(picture.resize(fitted, Image.Resampling.BICUBIC), offset)
    return padded


def to_pixel_values(tiles: list[Image.Image]) -> Tensor:
    """`(tiles, 3, S, S)` float32 in [-1, 1] from RGB pictures of one size."""
    if not tiles:
        raise InputError("there is no picture to look at")
    pixels = torch.from_numpy(np.stack([np.asarray(tile) for tile in tiles]))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5  # from (tiles, S, S, 3) uint8
