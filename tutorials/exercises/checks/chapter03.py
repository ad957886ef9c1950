"""Grades chapter 3: line ends, the choice of a grid, padding, and tiles put together."""

from grading import GRADING, THOROUGH, agree, ask, call, require, spelled
from hypothesis import assume, given
from hypothesis import strategies as st

SIDES = st.integers(1, 1000)
GRIDS = [(columns, rows) for columns in (1, 2, 3) for rows in (1, 2, 3)]


def lines_with_ends(feature_map, newline):
    row = []
    for line in feature_map:
        row.extend(line)
        row.append(newline)
    return row


def effective_pixels(size, grid, tile):
    scale = min(grid[0] * tile / size[0], grid[1] * tile / size[1])
    return min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])


def grid_by_elimination(size, grids, tile):
    most = max(effective_pixels(size, grid, tile) for grid in grids)
    keeping = [grid for grid in grids if effective_pixels(size, grid, tile) == most]
    fewest = min(columns * rows for columns, rows in keeping)
    return next(grid for grid in keeping if grid[0] * grid[1] == fewest)


def border_by_shape(size, map_size):
    (w, h), (map_w, map_h) = size, map_size
    assume(w * map_h != map_w * h)  # a float may fall to either side
    if w * map_h > map_w * h:
        new = h * map_w // w
        assume(new == int(h * (map_w / w)))  # rounding is no part of the exercise
        return (map_h - new) // 2, 0
    new = w * map_h // h
    assume(new == int(w * (map_h / h)))
    return 0, (map_w - new) // 2


def place_by_place(tiles, columns, rows):
    side = int(len(tiles[0]) ** 0.5 + 0.5)
    joined = [[None] * (columns * side) for _ in range(rows * side)]
    for number, tile in enumerate(tiles):
        for place, feature in enumerate(tile):
            joined[number // columns * side + place // side][number % columns * side + place % side] = feature
    return joined


def drawn(expected: list[list[int]], found: list[list[int]]):
    """Both maps, each feature with its number, in a shade that says how late it comes."""
    from minllada_v.drawing.charts import BLUE, Box, cells, stack, tint, token_strips

    last = max(map(max, expected)) or 1
    parts = []
    for title, one in (("as it should be", expected), ("yours", found)):
        shades = [[tint(BLUE, feature / last if isinstance(feature, int) else 0) for feature in line] for line in one]
        parts += [token_strips([[Box(title, "#ffffff")]]),
                  cells(shades, texts=[[str(feature) for feature in line] for line in one])]
    return stack(parts)


@GRADING
@given(st.integers(1, 4).flatmap(
    lambda columns: st.lists(st.lists(st.integers(0, 9), min_size=columns, max_size=columns), min_size=1, max_size=4)))
def check_read_lines(student, feature_map):
    agree(student.read_lines, lines_with_ends, feature_map, -1)


@THOROUGH
@given(st.tuples(SIDES, SIDES), st.lists(st.sampled_from(GRIDS), min_size=1, max_size=5, unique=True))
def check_best_grid(student, size, grids):
    grid = ask(student.best_grid, size, grids, 100)
    case = f"{call(student.best_grid, size, grids, 100)} gave {spelled(grid)}: "
    require(isinstance(grid, list | tuple) and tuple(grid) in grids, case + "that is none of the grids.")
    best, columns_and_rows = grid_by_elimination(size, grids, 100), tuple(grid)
    kept, most = effective_pixels(size, columns_and_rows, 100), effective_pixels(size, best, 100)
    require(kept == most, case + f"it keeps {kept} pixels of the picture, but {best} keeps {most}.")
    require(columns_and_rows[0] * columns_and_rows[1] == best[0] * best[1],
            case + f"{best} keeps as many pixels, {most}, and wastes less.")
    require(columns_and_rows == best, case + f"{best} is as good, and comes first.")


@GRADING
@given(st.tuples(SIDES, SIDES), st.sampled_from(GRIDS))
def check_border(student, size, grid):
    agree(student.border, border_by_shape, size, (27 * grid[0], 27 * grid[1]))


@GRADING
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def check_join_tiles(student, columns, rows, side):
    numbers = [list(range(tile * side**2, (tile + 1) * side**2)) for tile in range(columns * rows)]
    joined, expected = ask(student.join_tiles, numbers, columns, rows), place_by_place(numbers, columns, rows)
    case = f"{call(student.join_tiles, numbers, columns, rows)} gave {spelled(joined)}: "
    require(isinstance(joined, list) and all(isinstance(line, list) for line in joined),
            case + "it should be a list of lists.")
    require([len(line) for line in joined] == [columns * side] * (rows * side),
            case + f"it should have {rows * side} lines of {columns * side} features.")
    wrong = [(y, x) for y in range(rows * side) for x in range(columns * side) if joined[y][x] != expected[y][x]]
    y, x = wrong[0] if wrong else (0, 0)
    require(not wrong, case + f"in line {y}, column {x} (counted from 0) stands {spelled(joined[y][x])}, and it should "
                              f"be {expected[y][x]}.", lambda: drawn(expected, joined))
