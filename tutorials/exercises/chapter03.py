"""Exercises of chapter 3, pictures. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 3`. No exercise needs more than plain Python.
"""


def read_lines(feature_map, newline):
    """★ ●● Read a map line by line, and mark the line ends.

        1 2
        3 4         1 2 ⏎ 3 4 ⏎ 5 6 ⏎
        5 6

    feature_map: a list of lines, each a list of features. newline: the feature that says "here a line ends".
    Returns one list. The last line has its newline too.

    >>> read_lines([[1, 2], [3, 4], [5, 6]], -1)
    [1, 2, -1, 3, 4, -1, 5, 6, -1]
    """
    raise NotImplementedError


def best_grid(size, grids, tile):
    """★★ ●●● Choose the grid that a picture is cut into.

    For a picture of w x h pixels and a grid of W x H pixels (its columns and rows times `tile`)

        scale     = min(W / w, H / h)
        effective = min(⌊w · scale⌋ · ⌊h · scale⌋, w · h)
        wasted    = W · H − effective

    The largest `effective` wins; of equal ones the smallest `wasted`; of these the one that comes first in `grids`.

        a picture of 451 x 300 and tiles of 384:

        (1, 1)  ┌───┐          (2, 1)  ┌───┬───┐        (2, 2)  ┌───┬───┐
                │▒▒▒│ 97,920           │▒▒▒│▒▒ │ 135,300        │▒▒▒│▒▒▒│ 135,300, and more is wasted
                └───┘                  └───┴───┘                ├───┼───┤
                                        wins                    │▒▒▒│▒▒▒│
                                                                └───┴───┘

    size: (w, h), whole numbers. grids: a list of (columns, rows). tile: the side of a tile in pixels.
    Returns the chosen (columns, rows).

    >>> best_grid((451, 300), [(1, 1), (1, 2), (2, 1), (2, 2)], 384)
    (2, 1)
    """
    raise NotImplementedError


def border(size, map_size):
    """★★ ●● Find out how much of a feature map is padding.

    A picture of w x h pixels was fitted into a map of map_w x map_h features, so that it touches two opposite edges;
    the rest on the two other sides is padding. If w / h > map_w / map_h, the padding is above and below, and

        new = ⌊h · (map_w / w)⌋        border = ⌊(map_h − new) / 2⌋

    rows are padding on either side. Otherwise it is left and right, and the same holds with rows and columns, heights
    and widths changed over.

        ┌─────────┐                       ┌──┬───┬──┐
        │ padding │                       │  │   │  │
        ├─────────┤   a broad picture     │  │   │  │   a narrow one
        │▒▒▒▒▒▒▒▒▒│                       │  │▒▒▒│  │
        ├─────────┤                       │  │   │  │
        └─────────┘                       └──┴───┴──┘

    size: (w, h). map_size: (map_w, map_h). Returns (rows, columns): how many rows to cut off above and, as many again,
    below; and how many columns to cut off left and, as many again, right. One of the two is always 0.

    >>> border((451, 300), (54, 27))  # the cat of chapter 3
    (0, 7)
    >>> border((400, 100), (54, 27))
    (7, 0)
    """
    raise NotImplementedError


def join_tiles(tiles, columns, rows):
    """★★★ ●● Put the tiles of a grid together to one map.

    Two tiles side by side, of 2 x 2 features each:

        1 2   5 6            1 2 5 6
        3 4   7 8            3 4 7 8

    tiles: a list of columns · rows tiles in reading order (the upper row of tiles first, from left to right). Each is a
    list of p · p features, which are read in the same way: the tile's upper line first, from left to right.
    Returns the map of the whole grid: a list of rows · p lines, each a list of columns · p features.

    >>> join_tiles([[1, 2, 3, 4], [5, 6, 7, 8]], columns=2, rows=1)
    [[1, 2, 5, 6], [3, 4, 7, 8]]
    """
    raise NotImplementedError
