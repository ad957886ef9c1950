"""Files to pictures to tiles: the released tiles, for pictures of any size and mode."""

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_data import CASES, CLOSE, TENSORS, golden_model, picture, video_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from minllada_v import InputError
from minllada_v.image import NOT_READ, evenly_spaced, read_frames, read_picture
from minllada_v.tiles import anyres_tiles, choose_grid, fit_on_black, picture_tiles, square_tile, video_tiles

CONFIG = golden_model()[0].config
TILE = CONFIG.vision.image_size
LONG = [(1, 1), (5000, 50), (50, 5000), (1, 3000)]
sizes = st.tuples(st.integers(1, 300), st.integers(1, 300)) | st.sampled_from(LONG)


@pytest.mark.parametrize("case", CASES["grid"], ids=lambda case: "x".join(map(str, case["size"])))
def test_golden_grids(case):
    assert list(choose_grid(tuple(case["size"]), CONFIG.grids, TILE)) == case["grid"]


@pytest.mark.parametrize("index", range(7))
def test_golden_tiles(index):
    tiles = anyres_tiles(picture(index), CONFIG)
    assert tiles.size == tuple(CASES["images"][index]["size"])
    assert len(tiles.pixel_values) == CASES["images"][index]["tiles"]
    if (expected := TENSORS.get(f"image/{index}/pixel_values")) is not None:
        torch.testing.assert_close(tiles.pixel_values, expected, **CLOSE)
    else:
        std, mean = torch.std_mean(tiles.pixel_values, dim=(2, 3))
        torch.testing.assert_close(torch.stack([mean, std], -1), TENSORS[f"image/{index}/pixel_mean_std"], **CLOSE)


def test_golden_tiles_of_two_pictures():
    tiles = picture_tiles([picture(index) for index in CASES["multi"]["images"]], CONFIG)
    torch.testing.assert_close(torch.cat([one.pixel_values for one in tiles]), TENSORS["multi/pixel_values"], **CLOSE)


def test_golden_tiles_of_a_video():
    tiles = video_tiles(video_frames(), TILE)
    torch.testing.assert_close(tiles.pixel_values, TENSORS["video/pixel_values"], **CLOSE)


def literal_grid(size, grids, tile):
    """Try every candidate in order and keep the best so far, as the released code does."""
    best, most, least = None, 0, float("inf")
    for columns, rows in grids:
        width, height = columns * tile, rows * tile
        scale = min(width / size[0], height / size[1])
        effective = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        wasted = width * height - effective
        if effective > most or (effective == most and wasted < least):
            best, most, least = (columns, rows), effective, wasted
    return best


@settings(deadline=None)
@given(
    sizes | st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)) | st.just((1, 342)),
    st.just(CONFIG.grids) | st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=9),
)
def test_the_grid_is_the_literal_choice(size, grids):
    """max() with a key picks what the released loop picks, ties included, whatever grids are allowed."""
    assert choose_grid(size, grids, TILE) == literal_grid(size, grids, TILE)


def in_mode(size: tuple[int, int], mode: str, seed: int) -> Image.Image:
    """A noisy picture of that mode, saved to a file format that has it and opened again."""
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8))
    stream = io.BytesIO()
    if mode == "animated":
        noise.save(stream, "GIF", save_all=True, append_images=[noise.rotate(180)])
    elif mode == "I;16":
        Image.fromarray(np.asarray(noise).astype(np.uint16) * 257).save(stream, "PNG")
    else:
        noise.convert(mode).save(stream, "TIFF" if mode in ("CMYK", "YCbCr", "I", "F") else "PNG")
    return Image.open(stream)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "animated"]


@settings(deadline=None, max_examples=60)
@given(sizes, st.sampled_from(MODES), st.integers(0, 99))
def test_any_picture_gives_finite_tiles_of_the_right_count(size, mode, seed):
    """Every size from 1 x 1 to 5000 x 50 and every mode: one base tile and the grid, all finite and in [-1, 1]."""
    tiles = anyres_tiles(read_picture(in_mode(size, mode, seed)), CONFIG)
    columns, rows = choose_grid(size, CONFIG.grids, TILE)
    assert tiles.pixel_values.shape == (1 + columns * rows, 3, TILE, TILE)
    assert tiles.pixel_values.isfinite().all() and tiles.pixel_values.abs().max() <= 1


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_keeps_the_picture(mode):
    """Whatever the mode, a bright picture is read brighter than a dark one, pixel for pixel (but for dithering)."""
    size, grey = (9, 7), np.asarray(in_mode((9, 7), "L", 3)).astype(float)
    read = np.asarray(read_picture(in_mode(size, mode, 3))).mean(-1)
    assert read.shape == (7, 9)
    if mode == "1":
        assert set(np.unique(read)) <= {0.0, 255.0}
    elif mode in ("CMYK", "YCbCr", "animated"):
        assert np.abs(read - grey).max() <= 4
    else:
        assert np.abs(read - grey).max() <= 1


@settings(deadline=None, max_examples=40)
@given(sizes)
def test_fitting_keeps_the_shape_and_touches_two_borders(size):
    """A white picture on the black canvas spans it in one direction and is centred in the other."""
    canvas_size = tuple(side * TILE for side in choose_grid(size, CONFIG.grids, TILE))
    canvas = np.asarray(fit_on_black(Image.new("RGB", size, (255, 255, 255)), canvas_size))[..., 0]
    columns, rows = np.flatnonzero(canvas.any(0)), np.flatnonzero(canvas.any(1))
    for filled, side in ((columns, canvas_size[0]), (rows, canvas_size[1])):
        before, after = filled[0], side - 1 - filled[-1]
        assert 0 <= after - before <= 1  # half the rest in front, rounded down
    assert len(columns) == canvas_size[0] or len(rows) == canvas_size[1]
    scale = min(canvas_size[0] / size[0], canvas_size[1] / size[1])
    assert abs(len(columns) - size[0] * scale) <= 1 and abs(len(rows) - size[1] * scale) <= 1


def test_float_rounding_of_the_scale_counts():
    """150 · 1.12 is 168.00000000000003 in floating point, so the released code makes it 169 rows."""
    canvas = np.asarray(fit_on_black(Image.new("RGB", (200, 150), (255, 255, 255)), (224, 224)))
    assert canvas.any((1, 2)).sum() == 169


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_square_tile_is_padded_with_grey(width, height):
    """Of several pictures each is centred in a mid-grey square, a row or column left over being behind: white (1) in
    the middle, 127 of 255 beside it. The tile has the square's own size here, so that nothing is resized."""
    side = max(width, height)
    values = square_tile(Image.new("RGB", (width, height), (255, 255, 255)), side).pixel_values
    expected = torch.full((1, 3, side, side), (127 / 255 - 0.5) / 0.5)
    left, top = (side - width) // 2, (side - height) // 2
    expected[..., top : top + height, left : left + width] = 1
    torch.testing.assert_close(values, expected)


def test_a_picture_too_long_for_a_square_is_named():
    with pytest.raises(InputError, match="60000 x 1 is too long"):
        square_tile(Image.new("RGB", (60_000, 1)), TILE)


def test_sixteen_bits_keep_their_brightness(tmp_path):
    """A 16-bit grey of 40,000 is 156 of 255, not clipped to white."""
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png").getpixel((0, 0)) == (156, 156, 156)


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)  # every grey once: 127.5 on average
DEEP = {"16 bits": RAMP.astype(np.uint16) * 257, "32 bits": RAMP.astype(np.int32) * 257,
        "floats to 1": RAMP.astype(np.float32) / 255, "floats to 255": RAMP.astype(np.float32),
        "integers to 255": RAMP.astype(np.int32), "8 bits": RAMP}


@pytest.mark.parametrize("values", DEEP.values(), ids=DEEP)
def test_greys_of_any_depth_arrive_in_every_way(values, tmp_path):
    """As an object, a file, a list, a folder of frames and an animation, a picture keeps each of its 256 greys."""
    shown = Image.fromarray(values)
    (tmp_path / "frames").mkdir()
    file, frames, film = tmp_path / "one.tiff", tmp_path / "frames", tmp_path / "film.tiff"
    for path in (file, frames / "1.tiff", frames / "2.tiff"):
        shown.save(path)
    shown.save(film, save_all=True, append_images=[shown])
    ways = [[read_picture(shown)], [read_picture(file)], read_frames([file, shown]), read_frames(frames),
            read_frames(film)]
    assert [len(way) for way in ways] == [1, 1, 2, 2, 2]
    for read in sum(ways, []):
        assert read.mode == "RGB" and np.asarray(read).mean() == 127.5
        assert (np.asarray(read) == RAMP[..., None]).all()


@pytest.mark.parametrize("values, says", [
    (np.array([[0.0, 300.0]], np.float32), "from 0 to 300, and 255 is the most"),
    (np.array([[-0.5, 0.5]], np.float32), "from -0.5 to 0.5"),
    (np.array([[0.5, np.nan]], np.float32), "from nan to nan"),
    (np.array([[0.5, np.inf]], np.float32), "from 0.5 to inf"),
    (np.array([[0, 70_000]], np.int32), "from 0 to 70000, and 65535 is the most"),
    (np.array([[-1, 70]], np.int32), "from -1 to 70"),
])
def test_greys_that_8_bits_cannot_keep_are_refused(values, says, tmp_path):
    film = tmp_path / "film.tiff"
    Image.fromarray(values).save(film, save_all=True, append_images=[Image.fromarray(values)])
    for read, source in ((read_picture, Image.fromarray(values)), (read_picture, film), (read_frames, film)):
        with pytest.raises(InputError, match=says):
            read(source)


def test_a_cut_picture_is_read_only_where_that_is_allowed(tmp_path, monkeypatch):
    """As far as it goes; Pillow's switch is then as it was, so that the next one is refused again."""
    stream = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:-200])
    for _ in range(2):
        read = read_picture(tmp_path / "cut.jpg", allow_truncated=True)
        assert read.getpixel((128, 20))[0] == pytest.approx(20, abs=3)
        with pytest.raises(InputError, match="cut.jpg"):
            read_picture(tmp_path / "cut.jpg")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # by the program that we are a part of
    assert read_picture(tmp_path / "cut.jpg").size == (256, 256)


def test_pillows_limit_can_be_lifted(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert square_tile(Image.new("RGB", (300, 2)), TILE).pixel_values.shape == (1, 3, TILE, TILE)


@pytest.mark.parametrize("suffix", [".pdf", ".mpg", ".h5", ".grib", ".palm"])
def test_a_frames_folder_takes_only_what_pillow_can_read(suffix, tmp_path):
    """What lies beside the frames, and Pillow only knows by name, is no frame."""
    Image.new("RGB", (5, 5), (7, 0, 0)).save(tmp_path / "1.png")
    (tmp_path / f"2{suffix}").write_bytes(b"x")
    assert [frame.getpixel((0, 0))[0] for frame in read_frames(tmp_path)] == [7]
    with pytest.raises(InputError, match=f"2{suffix} cannot be read as a video"):
        read_frames(tmp_path / f"2{suffix}")


def test_every_format_of_a_frames_folder_is_one_that_pillow_opens():
    assert {"JPEG", "PNG", "WEBP", "TIFF", "GIF"} <= set(Image.OPEN) and NOT_READ <= set(
        Image.registered_extensions().values())
    read_as_jpeg = {"MPO"}
    assert set(Image.registered_extensions().values()) - NOT_READ - read_as_jpeg <= set(Image.OPEN)


def save_animation(path, count):
    frames = [Image.new("RGB", (12, 8), (index * 8, 0, 0)) for index in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=20, lossless=True)


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp"])
def test_frames_of_an_animation(name, tmp_path):
    save_animation(tmp_path / name, 20)
    frames = read_frames(tmp_path / name, 5)
    assert [frame.getpixel((0, 0))[0] // 8 for frame in frames] == evenly_spaced(20, 5) == [0, 4, 9, 14, 19]
    assert read_picture(tmp_path / name).getpixel((0, 0)) == (0, 0, 0)  # as a picture: the first frame


def test_frames_of_a_folder_are_in_number_order(tmp_path):
    for index in (10, 9, 1, 2):
        Image.new("RGB", (5, 5), (index, 0, 0)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".hidden.png").write_bytes(b"not a frame")
    assert [frame.getpixel((0, 0))[0] for frame in read_frames(tmp_path)] == [1, 2, 9, 10]


def test_a_folder_of_many_frames_is_sampled_and_a_list_is_taken_whole(tmp_path):
    """64 of 80 frames of a folder, if asked for; what is given as a list is not thinned out."""
    frames = [Image.new("RGB", (2, 2), (index, 0, 0)) for index in range(80)]
    for index, frame in enumerate(frames):
        frame.save(tmp_path / f"{index}.png")
    read = [frame.getpixel((0, 0))[0] for frame in read_frames(tmp_path, 64)]
    assert read == evenly_spaced(80, 64) and len(read) == 64
    assert len(read_frames(tmp_path)) == 32 and len(read_frames(frames)) == 80


@given(st.integers(1, 500), st.integers(1, 64))
def test_frames_are_evenly_spaced(total, count):
    """The first and the last frame are in, the gaps differ by at most one, and few frames are all taken."""
    chosen = evenly_spaced(total, count)
    gaps = np.diff(chosen)
    assert len(chosen) == min(total, count) and chosen[0] == 0
    if len(chosen) > 1:
        assert chosen[-1] == total - 1 and gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


def huge_png() -> bytes:
    """A valid header that promises 60,000 x 60,000 pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def png(picture=None) -> bytes:
    stream = io.BytesIO()
    (picture or Image.effect_noise((64, 64), 50)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is not a picture"),
        (b"hello, I am text", "is not a picture"),
        (png()[:400], "cannot be read as a picture"),
        (huge_png(), "unpacks to more than"),
        (None, "does not exist"),
    ],
    ids=["empty", "text", "truncated", "bomb", "missing"],
)
def test_unreadable_pictures_are_named(content, says, tmp_path):
    file = tmp_path / "picture.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=f"picture.png.*{says}"):
        read_picture(file)


def test_less_than_a_bomb_is_refused_too(tmp_path, monkeypatch):
    """Pillow only warns of pictures of one to two times its limit; here they are an error."""
    (tmp_path / "large.png").write_bytes(png(Image.new("L", (12, 10))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="large.png unpacks to more than 100 pixels"):
        read_picture(tmp_path / "large.png")


def test_a_picture_without_pixels_is_named():
    with pytest.raises(InputError, match="it is 0 x 5"):
        read_picture(Image.new("RGB", (0, 5)))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what the damage did
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["GIF", "WEBP", "TIFF", "PNG"]), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_damaged_animation_is_frames_or_an_input_error(kind, place, byte, cut):
    """An animation with one wrong byte, or cut short, never lets Pillow's own exceptions out."""
    frames = [Image.linear_gradient("L").resize((16, 16)).rotate(90 * turn).convert("RGB") for turn in range(4)]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    content = bytearray(stream.getvalue())
    content[place % len(content)] = byte
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"damaged.{kind.lower()}"
        file.write_bytes(content[: place % len(content)] if cut else content)
        try:
            assert all(frame.mode == "RGB" for frame in read_frames(file, 3))
        except InputError as error:
            assert "damaged" in str(error)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_file_is_a_picture_or_an_input_error(place, byte):
    """Whatever one wrong byte does to a PNG, Pillow's own exceptions never come out."""
    content = bytearray(png(Image.linear_gradient("L").resize((20, 20))))
    content[place % len(content)] = byte
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "damaged.png").write_bytes(content)
        try:
            assert read_picture(file).mode == "RGB"
        except InputError as error:
            assert "damaged.png" in str(error)


@pytest.mark.parametrize("make, says", [
    (lambda folder: folder, "holds no pictures"),
    (lambda folder: folder / "nothing.gif", "does not exist"),
    (lambda folder: save_animation(folder / "still.gif", 1) or folder / "still.gif", "single picture"),
    (lambda folder: [], "at least one frame"),
])
def test_broken_videos_are_named(make, says, tmp_path):
    with pytest.raises(InputError, match=says):
        read_frames(make(tmp_path))
