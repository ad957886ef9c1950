"""The drawing module: what must be seen in a picture is there, wherever it stands."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageColor

from minllada_v.drawing.charts import (
    BLUE,
    COLOURS,
    GREEN,
    ORANGE,
    RED,
    WIDTH,
    Box,
    cells,
    column_widths,
    font,
    heat_map,
    ink_on,
    mosaic,
    save_animation,
    shortened,
    stack,
    tint,
    token_strips,
    visible,
)
from minllada_v.drawing.curve import around, free_spot, line_chart, ticks

TEXTS = st.text(max_size=12)


def pixels(picture: Image.Image, colour: str) -> np.ndarray:
    """Where a picture has exactly this colour: (height, width) bool."""
    return (np.asarray(picture) == ImageColor.getrgb(colour)).all(axis=-1)


def brightness(colour: str) -> int:
    return ImageColor.getcolor(colour, "L")


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=40))
def test_visible_text_is_in_the_font_and_keeps_every_character(text):
    """No white space, no control character, nothing that the font lacks; and characters do not vanish."""
    shown = visible(text)
    lacking = font().getmask("\uffff")
    assert not any(char.isspace() for char in shown) and len(shown) >= len(text)
    for char in shown:
        drawn = font().getmask(char)
        assert (drawn.size, bytes(drawn)) != (lacking.size, bytes(lacking))


def test_white_space_and_other_scripts_are_spelt_out():
    assert visible(" a\n\t") == "·a\\n\\t"
    assert visible("中é") == "U+4E2DU+00E9"


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(TEXTS, min_size=1, max_size=30), min_size=1, max_size=4), st.integers(150, 900))
def test_every_box_of_a_strip_is_drawn_and_stays_inside(rows, width):
    """However long a row is, the boxes of all rows are there. Each has a colour of its own."""
    colours = iter(f"#{100 + number // 200:02x}{number % 200 + 20:02x}fe" for number in range(2000))
    boxes = [[Box(text, next(colours)) for text in row] for row in rows]
    picture = token_strips(boxes, [str(row) for row in range(len(rows))], width=width)
    assert picture.width == width
    areas = {colour: area for area, colour in picture.getcolors(picture.width * picture.height)}
    for box in (box for row in boxes for box in row):
        assert areas[ImageColor.getrgb(box.fill)] >= 24 * 15


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12))
def test_places_stand_below_each_other(pairs):
    """With `column_widths` the boxes of a place begin and end at the same pixels in every row."""
    rows = [[Box(first, GREEN if place % 2 else ORANGE) for place, first in enumerate(row)] for row in zip(*pairs)]
    picture = token_strips(rows, widths=column_widths(rows), width=3000)
    height = picture.height // 2
    ends = [[np.flatnonzero(pixels(part, colour).any(axis=0)) for colour in (GREEN, ORANGE)]
            for part in (picture.crop((0, 0, 3000, height)), picture.crop((0, height, 3000, 2 * height)))]
    assert ends[0][1].size
    for above, below in zip(*ends, strict=True):
        assert np.array_equal(above, below)


@given(st.text(max_size=30), st.integers(0, 200))
def test_a_shortened_text_fits_and_only_loses_its_end(text, room):
    short = shortened(text, room)
    assert short == text or (text.startswith(short.removesuffix("…")) and short.endswith("…"))
    assert font().getlength(short) <= max(room, font().getlength("…"))


@given(st.sampled_from(COLOURS), st.floats(-1, 2), st.floats(-1, 2))
def test_a_stronger_shade_is_darker_and_its_text_can_be_read(colour, one, other):
    weak, strong = (tint(colour, share) for share in sorted((one, other)))
    assert brightness(strong) <= brightness(weak)
    assert abs(brightness(ink_on(weak)) - brightness(weak)) > 80


def test_colours_differ_in_brightness_or_hue_for_every_kind_of_eye():
    """Any two series differ when red and green are seen as one, and no line is lost on white."""
    seen = [np.array([(red + green) / 2, blue]) for red, green, blue in map(ImageColor.getrgb, COLOURS)]
    for index, one in enumerate(seen):
        assert all(np.abs(one - other).max() >= 20 for other in seen[:index])
    assert all(brightness(colour) < 200 for colour in COLOURS)


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 30), st.integers(1, 40), st.booleans(), st.integers(0, 2**32))
def test_a_cell_has_its_colour_at_its_place(down, across, labelled, seed):
    """Rows from top to bottom, columns from left to right: one cell of another colour is found where it belongs."""
    row, column = (int(np.random.default_rng(seed).integers(most)) for most in (down, across))
    colours = [[GREEN] * across for _ in range(down)]
    colours[row][column] = RED
    names = [[f"name {number}" for number in range(most)] if labelled else () for most in (down, across)]
    picture = cells(colours, *names)
    ys, xs = np.nonzero(pixels(picture, GREEN) | pixels(picture, RED))
    red_ys, red_xs = np.nonzero(pixels(picture, RED))
    assert (red_ys.mean() - ys.min()) * down // (ys.max() + 1 - ys.min()) == row
    assert (red_xs.mean() - xs.min()) * across // (xs.max() + 1 - xs.min()) == column


def test_a_heat_map_goes_from_pale_to_strong_and_writes_its_numbers():
    plain = heat_map([[0.0, 1.0], [0.5, 0.25]], most=40)
    shades = [plain.getpixel((x, y)) for x, y in ((20, 20), (60, 60), (20, 60), (60, 20))]
    assert shades == [ImageColor.getrgb(tint(BLUE, share)) for share in (0, 0.25, 0.5, 1)]
    assert ImageChops.difference(plain, heat_map([[0.0, 1.0], [0.5, 0.25]], numbers=".2f", most=40)).getbbox()
    heat_map(np.full((2, 2), 3.0))  # no range at all


def test_a_mosaic_shows_every_picture_and_keeps_its_shape():
    shown = [Image.new("RGB", size, colour) for size, colour in zip(((100, 50), (3, 9), (800, 20)), COLOURS)]
    picture = mosaic(shown, ["one", "two", "three"], columns=2)
    assert picture.width == WIDTH
    for one, colour in zip(shown, COLOURS):
        ys, xs = np.nonzero(pixels(picture, colour))
        assert (np.ptp(xs) + 1) / (np.ptp(ys) + 1) == pytest.approx(one.width / one.height, rel=0.1)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(3, 12))
@example(0.1, 4.1, 3)
def test_ticks_are_few_round_and_evenly_spaced(low, room, most):
    high = low + room
    marks = ticks(low, high, most)
    slack = max(abs(low), abs(high)) * 1e-6
    assert 1 <= len(marks) <= most and all(low - slack <= mark <= high + slack for mark in marks)
    steps = np.diff(marks)
    assert np.allclose(steps, steps[:1], atol=slack)
    assert all(f"{step:.0e}"[0] in "125" for step in steps[:1] if room > slack)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e6, 1e6)), max_size=60))
def test_any_points_can_be_drawn(points):
    series = {"some": sorted(points), "none": [], "odd": [(1.0, math.nan), (math.inf, 2.0)]}
    assert line_chart(series).size == (WIDTH, 400)


def test_a_line_goes_where_its_points_are():
    """A rising line goes from the lower left to the upper right, and values outside the range stay at its edge."""
    picture = line_chart({"": [(0, 0), (1, 5), (2, 10)]}, y_range=(0, 10))
    ys, xs = np.nonzero(pixels(picture, BLUE)[60:])
    assert np.corrcoef(xs, ys)[0, 1] < -0.99
    beyond = line_chart({"": [(0, 0), (1, 5), (2, 99)]}, y_range=(0, 10))
    edge = line_chart({"": [(0, 0), (1, 5), (2, 10)]}, y_range=(0, 10))
    assert not ImageChops.difference(beyond, edge).getbbox()


@settings(deadline=None, max_examples=8)
@given(st.floats(1, 4), st.floats(6, 9))
def test_an_error_bar_reaches_from_its_low_end_to_its_high_one(low, high):
    """To where the same chart has dots of these values."""
    bar = np.nonzero(pixels(line_chart({"": [(0, (low + high) / 2, low, high)]}, y_range=(0, 10)), BLUE)[60:])[0]
    for end, value in ((bar.max(), low), (bar.min(), high)):
        dot = np.nonzero(pixels(line_chart({"": [(0, value)]}, y_range=(0, 10)), BLUE)[60:])[0]
        assert abs(end - (dot.min() + dot.max()) / 2) <= 2


def test_names_stand_on_the_axis_in_place_of_numbers():
    """Below the points at 0, 1, 2 and nowhere else; all other lines are as they were."""
    points = {"": [(0, 1), (1, 3), (2, 2)]}
    named, other = (line_chart(points, x_names=names) for names in (("few", "some", "many"), ("few", "none", "many")))
    left, top, right, bottom = ImageChops.difference(named, other).getbbox()
    centres = [np.nonzero(pixels(line_chart({"": [(x, 1)]}, x_names=("a", "b", "c")), BLUE)[60:])[1].mean()
               for x in range(3)]
    assert top > 340 and abs((left + right) / 2 - centres[1]) < 30
    assert np.diff(centres).std() < 1 and centres == sorted(centres)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 4), st.floats(0, 100)), min_size=1, max_size=12), st.integers(0, 9))
def test_labels_of_points_do_not_cover_each_other_dots_or_the_edge(points, digit):
    """Each label finds a place of its own, near its point, where there is room for all of them."""
    area, taken = (0.0, 0.0, 900.0, 600.0), [around(200 * x + 50, 5 * y + 50, 16, 16) for x, y in points]
    for x, y in points:
        free_spot((200 * x + 50, 5 * y + 50), 10.0 + 5 * digit, 16.0, taken, area)
    dots, labels = taken[:len(points)], taken[len(points):]
    assert len(labels) == len(points)
    for number, box in enumerate(labels):
        assert area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]
        for other in [*dots, *labels[:number]]:
            assert box[0] >= other[2] or other[0] >= box[2] or box[1] >= other[3] or other[1] >= box[3]


def test_points_that_have_labels_are_not_joined():
    """A series with labels has its dots where it had them, no line between, and its labels in its colour."""
    points = {"a": [(0, 0), (10, 10)]}
    joined, single = line_chart(points), line_chart(points, labels={"a": ["", ""]})
    named = line_chart(points, labels={"a": ["first", "second"]})
    middle = slice(190, 210), slice(380, 420)
    assert pixels(joined, BLUE)[middle].any() and not pixels(single, BLUE)[middle].any()
    assert pixels(named, BLUE).sum() > pixels(single, BLUE).sum()


def test_an_animation_loops_and_holds_its_last_picture(tmp_path):
    frames = [stack([Image.new("RGB", (60, 20), colour)] * 2) for colour in COLOURS[:3]]
    save_animation(frames, tmp_path / "a.gif", seconds=0.2, hold=1.5)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.info["loop"]) == (3, 0)
        times = []
        for index, frame in enumerate(frames):
            film.seek(index)
            times.append(film.info["duration"])
            assert np.abs(np.asarray(film.convert("RGB"), int) - np.asarray(frame, int)).max() <= 3
    assert times == [200, 200, 1500]


def test_ticks_of_a_range_without_a_multiple_of_the_coarser_step():
    """5 apart there is none; 2 apart there are two."""
    assert ticks(0.1, 4.2, 3) == [2, 4]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_animation_that_cannot_be_finished_leaves_the_one_before(error, tmp_path, monkeypatch):
    """And no half of the new one. What the disk lacks is said with the file's name."""
    frames = [Image.new("RGB", (60, 20), colour) for colour in COLOURS[:3]]
    save_animation(frames, tmp_path / "a.gif")
    before = (tmp_path / "a.gif").read_bytes()

    def cut(picture, file, *arguments, **options):
        file.write_bytes(before[:100])
        raise error

    monkeypatch.setattr(Image.Image, "save", cut)
    with pytest.raises(type(error), match="a.gif cannot be written: No space left" if error.args else None):
        save_animation(frames[::-1], tmp_path / "a.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"] and (tmp_path / "a.gif").read_bytes() == before
