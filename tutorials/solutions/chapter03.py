"""Solutions of the exercises of chapter 3."""

import math


def read_lines(feature_map, newline):
    return [feature for line in feature_map for feature in [*line, newline]]


def best_grid(size, grids, tile):
    w, h = size

    def quality(grid):
        W, H = grid[0] * tile, grid[1] * tile
        scale = min(W / w, H / h)
        effective = min(int(w * scale) * int(h * scale), w * h)
        return effective, -(W * H - effective)

    return max(grids, key=quality)  # of equal ones the first


def border(size, map_size):
    (w, h), (map_w, map_h) = size, map_size
    if w / h > map_w / map_h:
        return (map_h - int(h * (map_w / w))) // 2, 0
    return 0, (map_w - int(w * (map_h / h))) // 2


def join_tiles(tiles, columns, rows):
    p = math.isqrt(len(tiles[0]))
    return [[tiles[y // p * columns + x // p][y % p * p + x % p] for x in range(columns * p)] for y in range(rows * p)]
