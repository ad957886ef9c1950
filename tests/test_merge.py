"""Vision tower, projector and the merging of tiles: the released features, in the released order."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from device import DEVICE, assert_close
from golden_data import CASES, CLOSE, TENSORS, golden_model, picture, video_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.answer import encode_images, prompt_ids
from minllada_v.chat import IMAGE_ID
from minllada_v.merge import join_tiles, merge, shrink, unpad, with_newlines
from minllada_v.model import splice
from minllada_v.tiles import Tiles, anyres_tiles, choose_grid

MODEL, TOKENIZER = golden_model()
FULL_SIZE = [(a, b) for a in range(1, 7) for b in range(1, 7)]


@pytest.mark.parametrize("index", [0, 1, 3])
def test_golden_vision_features_and_projection(index):
    pixel_values = anyres_tiles(picture(index), MODEL.config).pixel_values
    features = MODEL.vision_tower(pixel_values.to(DEVICE))
    assert_close(features, TENSORS[f"prompt/{index}/vision_features"], **CLOSE)
    assert_close(MODEL.project(pixel_values), TENSORS[f"prompt/{index}/projected"], **CLOSE)


@pytest.mark.parametrize("index", range(7))
def test_golden_spliced_embeddings(index):
    case = CASES["prompts"][index]
    features = encode_images(MODEL, [picture(case["image"])])
    ids = prompt_ids(TOKENIZER, "Describe the image in detail.", features).to(DEVICE)
    assert len(ids) == case["length"]
    embeds = MODEL.embed(ids[None], features)[0]
    assert_close(embeds, TENSORS[f"prompt/{index}/inputs_embeds"], **CLOSE)


def test_golden_spliced_embeddings_of_two_pictures():
    features = encode_images(MODEL, [picture(index) for index in CASES["multi"]["images"]])
    ids = prompt_ids(TOKENIZER, "What is the difference?", features).to(DEVICE)
    assert len(ids) == CASES["multi"]["length"]
    norms = MODEL.embed(ids[None], features)[0].norm(dim=-1)
    assert_close(norms, TENSORS["multi/inputs_embeds_norms"], **CLOSE)


@pytest.mark.parametrize("position", ["grid", "frame", "one_token", "no_token"])
def test_golden_video_layouts(position):
    model = copy.copy(MODEL)
    model.config = replace(MODEL.config, newline_position=position)
    features = encode_images(model, video=video_frames())
    ids = prompt_ids(TOKENIZER, "What happens in the video?", features).to(DEVICE)
    embeds = model.embed(ids[None], features)[0]
    assert_close(embeds, TENSORS[f"video/{position}/inputs_embeds"], **CLOSE)
    last = torch.arange(len(ids) - 4, len(ids))
    logits = model(ids, features, last)
    assert_close(logits, TENSORS[f"video/{position}/last_logits"], **CLOSE)


def merged_length(size: tuple[int, int], grid: tuple[int, int], side: int, anyres_max: int) -> int:
    """The number of features of a picture, worked out by hand from section 7 of the description."""
    (width, height), map_width, map_height = size, grid[0] * side, grid[1] * side
    if width / height > map_width / map_height:
        map_height -= 2 * ((map_height - int(height * (map_width / width))) // 2)
    else:
        map_width -= 2 * ((map_width - int(width * (map_height / height))) // 2)
    times = math.sqrt(map_height * map_width / (anyres_max * side * side))
    if times > 1.1:
        map_height, map_width = int(map_height // times), int(map_width // times)
    return side * side + map_height * (map_width + 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([4, 27]), st.sampled_from([1, 2, 4, 9]))
def test_merged_length_is_what_the_formula_says(width, height, side, anyres_max):
    """For any picture, the features are the base tile's, then rows · (columns + 1) of the unpadded, shrunk map."""
    grid = choose_grid((width, height), FULL_SIZE, 384)
    tiles = Tiles(torch.empty(0), "anyres", (width, height), grid)
    features = torch.zeros(1 + grid[0] * grid[1], side * side, 2)
    merged = merge(features, tiles, torch.ones(2), anyres_max, "grid")
    assert merged.shape == (merged_length((width, height), grid, side, anyres_max), 2)


@pytest.mark.parametrize("anyres_max", [1, 2])
def test_the_config_says_how_far_a_map_is_shrunk(anyres_max):
    model = copy.copy(MODEL)
    model.config = replace(MODEL.config, anyres_max=anyres_max)
    grid = choose_grid((200, 150), model.config.grids, 56)
    assert len(encode_images(model, [picture(6)])[0]) == merged_length((200, 150), grid, 4, anyres_max)


def test_unpadding_rounds_in_the_released_order():
    """A 244 x 183 picture on a map of 20 x 16: 183 · (20 / 244) is 14.999999999999998, so 14 rows are kept and one goes
    on each side; 183 · 20 / 244 would be 15 and keep all 16."""
    assert unpad(torch.zeros(1, 16, 20), (244, 183)).shape == (1, 14, 20)


@pytest.mark.parametrize("position, length", [("grid", 3 * 14 * 15), ("frame", 3 * (14 * 14 + 1)),
                                              ("one_token", 3 * 14 * 14 + 1), ("no_token", 3 * 14 * 14)])
def test_a_released_frame_is_halved_upwards(position, length):
    """27 x 27 features of a frame become 14 x 14, in every layout."""
    tiles = Tiles(torch.empty(0), "video")
    assert merge(torch.zeros(3, 729, 2), tiles, torch.ones(2), 4, position).shape == (length, 2)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_joined_tiles_lie_where_they_were_cut(columns, rows, side, width):
    """Place (y, x) of the map is patch (y mod p, x mod p) of tile (y div p, x div p)."""
    features = torch.arange(rows * columns * side * side * width).view(rows * columns, side * side, width)
    joined = join_tiles(features, columns, rows)
    for y in range(rows * side):
        for x in range(columns * side):
            tile, patch = (y // side) * columns + x // side, (y % side) * side + x % side
            assert joined[:, y, x].equal(features[tile, patch])


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 6), st.integers(1, 6))
def test_unpadding_keeps_the_middle(width, height, columns, rows):
    """Only whole rows or only whole columns go, as many on either side, and what is left is at least as wide (tall)
    for its height (width) as the picture, to within the two rows that rounding may leave."""
    feature_map = torch.arange(rows * 27 * columns * 27).view(1, rows * 27, columns * 27)
    kept = unpad(feature_map, (width, height))
    cut = [(whole - part) // 2 for whole, part in zip(feature_map.shape, kept.shape)]
    assert 0 in cut[1:]
    middle = feature_map[:, cut[1] : rows * 27 - cut[1], cut[2] : columns * 27 - cut[2]]
    assert kept.equal(middle)
    if cut[1]:
        assert 0 <= kept.shape[1] - int(height * (columns * 27 / width)) <= 1
    if cut[2]:
        assert 0 <= kept.shape[2] - int(width * (rows * 27 / height)) <= 1


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 100))
def test_shrinking_is_bilinear_and_never_enlarges(height, width, places):
    """Up to 1.1 times as much is untouched; of a larger map each side shrinks by one factor, and a constant stays."""
    feature_map = torch.randn(2, height, width, generator=torch.Generator().manual_seed(height * width))
    small = shrink(feature_map, places)
    if height * width <= 1.21 * places:
        assert small is feature_map
    else:
        times = math.sqrt(height * width / places)
        assert small.shape[1:] == (max(1, int(height // times)), max(1, int(width // times)))
        expected = F.interpolate(feature_map[None], small.shape[1:], mode="bilinear", align_corners=False)[0]
        assert_close(small, expected)
        assert_close(shrink(torch.ones(2, height, width), places), torch.ones_like(small))


@given(st.integers(1, 5), st.integers(1, 5))
def test_every_row_ends_with_a_newline(height, width):
    feature_map = torch.randn(3, height, width)
    sequence = with_newlines(feature_map, torch.full((3,), 7.0)).view(height, width + 1, 3)
    assert (sequence[:, -1] == 7).all()
    assert sequence[:, :-1].equal(feature_map.permute(1, 2, 0))


@settings(deadline=None)
@given(st.lists(st.integers(0, 9) | st.just(IMAGE_ID), max_size=8), st.integers(0, 99))
def test_splice_repeats_each_place_as_often_as_its_picture_is_long(ids, seed):
    """The literal splice: copy ids one after another, and -200 once for every feature."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 5, (ids.count(IMAGE_ID),), generator=generator).tolist()
    remaining, expected = list(lengths), []
    for index in ids:
        expected += [IMAGE_ID] * remaining.pop(0) if index == IMAGE_ID else [index]
    input_ids = torch.tensor(ids, dtype=torch.long)
    assert input_ids[splice(input_ids, lengths)].tolist() == expected
    with pytest.raises(InputError, match="places for pictures"):
        splice(input_ids, [*lengths, 1])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_embedding_puts_features_in_order_at_their_places(seed):
    """Tokens get their own embedding, the places of a picture the rows of the features, one after another."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(-3, 600, (2, 12), generator=generator)
    ids[ids < 0] = IMAGE_ID
    features = torch.randn(24, 32, generator=generator).to(DEVICE)
    embeds, rows = MODEL.embed(ids.to(DEVICE), [features]), iter(features)
    table = MODEL.language_model.embed_tokens.weight
    for index, vector in zip(ids.flatten().tolist(), embeds.flatten(0, 1)):
        assert vector.equal(next(rows) if index == IMAGE_ID else table[index])
