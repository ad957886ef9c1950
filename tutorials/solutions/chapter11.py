"""Solutions of the exercises of chapter 11."""

import math


def count_weights(hidden, inner, layers, heads, key_heads, vocabulary):
    keys = hidden // heads * key_heads  # the width of all keys of a place, and of all values
    attention = 2 * hidden * hidden + 2 * hidden * keys
    return layers * (attention + 3 * hidden * inner + 2 * hidden) + hidden + 2 * vocabulary * hidden


def photo_places(size, grid, side, most):
    (width, height), map_width, map_height = size, grid[0] * side, grid[1] * side
    if width / height > map_width / map_height:
        map_height -= 2 * ((map_height - int(height * (map_width / width))) // 2)
    else:
        map_width -= 2 * ((map_width - int(width * (map_height / height))) // 2)
    factor = math.sqrt(map_height * map_width / (most * side**2))
    if factor > 1.1:
        map_height, map_width = max(1, int(map_height // factor)), max(1, int(map_width // factor))
    return side**2 + map_height * (map_width + 1)


def step_seconds(places, weights, bits, operations, bandwidth):
    return max(weights * bits / 8 / bandwidth, 2 * weights * places / operations)


def shards_property(split, sizes, most):
    shards = split(sizes, most)
    if sorted(name for shard in shards for name in shard) != sorted(sizes):
        return False  # each name once, and no other
    if not all(shards):
        return False
    return all(len(shard) == 1 or sum(sizes[name] for name in shard) <= most for shard in shards)
