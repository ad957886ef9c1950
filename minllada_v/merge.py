"""Tiles' features to the sequence that the language model reads, as in LLaVA-NeXT.

The grid's tiles are put together to one feature map of the whole picture, as if one large vision
tower had seen it; the black border is cut off, a large map is shrunk, and each row is ended by
`image_newline`, a learned embedding. A tile has p × p patches, 27 × 27 as released.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .tiles import Tiles


def merge(
    features: Tensor, tiles: Tiles, newline: Tensor, anyres_max: int, newline_position: str
) -> Tensor:
    """Merge the projected features of one picture or video: `features` (tiles, p·p, width) and
    `newline` (width,) → (length, width). `anyres_max` and `newline_position`: see `Config`."""
    if tiles.kind == "video":
        return merge_video(features, newline, newline_position)
    if tiles.kind == "whole":
        return features[0]
    if tiles.kind == "square":
        return torch.cat([features[0], newline[None]])
    base, grid = features[0], features[1:]
    feature_map = unpad(join_tiles(grid, *tiles.grid), tiles.size)
    feature_map = shrink(feature_map, anyres_max * base.shape[0])
    return torch.cat([base, with_newlines(feature_map, newline)])


def join_tiles(features: Tensor, columns: int, rows: int) -> Tensor:
    """(rows·columns, p·p, width) → the feature map (width, rows·p, columns·p)."""
    side = math.isqrt(features.shape[1])
    grid = features.view(rows, columns, side, side, -1)
    grid = grid.permute(4, 0, 2, 1, 3)  # (width, rows, p, columns, p)
    return grid.flatten(3).flatten(1, 2)


def unpad(feature_map: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut off the rows or columns of `feature_map` (width, rows, columns) that show only the black
    border around a picture of `size` (width, height) in pixels."""
    width, height = size
    map_height, map_width = feature_map.shape[1:]
    # The quotient comes first, as released: 183 · (20 / 244) is just below 15, and becomes 14.
    if width / height > map_width / map_height:
        border = (map_height - int(height * (map_width / width))) // 2
        return feature_map[:, border : map_height - border]
    border = (map_width - int(width * (map_height / height))) // 2
    return feature_map[:, :, border : map_width - border]


def shrink(feature_map: Tensor, num_tokens: int) -> Tensor:
    """Resize a map of clearly more than `num_tokens` positions to about that many, as released."""
    height, width = feature_map.shape[1:]
    factor = math.sqrt(height * width / num_tokens)
    if factor <= 1.1:
        return feature_map
    size = (max(1, int(height // factor)), max(1, int(width // factor)))
    return F.interpolate(feature_map[None], size, mode="bilinear", align_corners=False)[0]


def with_newlines(feature_map: Tensor, newline: Tensor) -> Tensor:
    """(width, rows, columns) → (rows·(columns + 1), width): row by row, each ended by `newline`."""
    ends = newline[:, None, None].expand(-1, feature_map.shape[1], 1)
    return torch.cat([feature_map, ends], dim=2).flatten(1).T


def merge_video(features: Tensor, newline: Tensor, position: str) -> Tensor:
    """Halve each frame's map, (frames, p·p, width) → (length, width). `position` says where
    `newline` stands: after every row ("grid"), every frame, once at the end, or nowhere."""
    frames, patches, width = features.shape
    side = math.isqrt(patches)
    maps = features.transpose(1, 2).view(frames, width, side, side)
    half = math.ceil(side / 2)
    # (frames, width, half, half)
    maps = F.interpolate(maps, (half, half), mode="bilinear", align_corners=False)
    if position == "grid":  # the frames stacked to one tall map
        return with_newlines(maps.transpose(0, 1).flatten(1, 2), newline)
    sequence = maps.flatten(2).transpose(1, 2)  # (frames, half·half, width)
    if position == "frame":
        return torch.cat([sequence, newline.expand(frames, 1, -1)], dim=1).flatten(0, 1)
    sequence = sequence.flatten(0, 1)
    return torch.cat([sequence, newline[None]]) if position == "one_token" else sequence
