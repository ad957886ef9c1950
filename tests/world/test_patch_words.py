"""What patches are taught to say, against an oracle that counts pixels, and the loss that teaches it."""

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from golden_data import golden_model
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.tokenizer_json import make_tokenizer
from minllada_v.world.patch_words import CHOICES, LEAST, NAMES, patch_words, spellings, word_loss
from minllada_v.world.plain import PLAIN
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample
from minllada_v.world.scenes import COLOURS, SHAPES
from minllada_v.world.sentences import UNKNOWN
from minllada_v.world.tokenizer import describe_tokenizer, learn_merges, world_texts

BUILT_IN = Path(__file__).parents[2] / "minllada_v" / "builtin"
PAINTED = [*PLAIN, *(ability for ability in ABILITIES if ability not in ("unknown", "no_shapes"))]
DESCRIBED = describe_tokenizer(world_texts())
TOKENIZER = make_tokenizer(DESCRIBED)


def words_by_pixels(scene, box, cells, tile: int, patch: int) -> list[list[int]]:
    """Words of each patch of a tile that shows `box` (left, top, right, bottom) of a picture, pixel by pixel. The box
    is divided into `cells`, columns and rows."""
    left, top, right, bottom = box
    across, down = tile / (right - left), tile / (bottom - top)
    side = tile // patch
    result = []
    for row in range(side):
        for column in range(side):
            def within(x, y, column=column, row=row):
                return column <= (x - left) * across / patch < column + 1 and row <= (y - top) * down / patch < row + 1

            seen, place = [], 0
            for thing in scene:
                a, b, c, d = thing.box
                count = sum(within(x + 0.5, y + 0.5) for x in range(a, c) for y in range(b, d))
                seen.append((count * across * down, thing))
                place |= within((a + c) / 2, (b + d) / 2)
            area, thing = max(seen, key=lambda pair: pair[0])
            if area <= LEAST * patch**2:
                result.append([0, 0, int(place), 0, 0])
                continue
            square = [column + 1, 0 if thing.name.isdecimal() else row + 1]
            if thing.name in SHAPES:
                (a, b, c, d), (columns, rows) = thing.box, cells
                square = [0 if columns == 1 else 1 + ((a + c) / 2 >= (left + right) / 2),
                          0 if rows == 1 else 1 + ((b + d) / 2 >= (top + bottom) / 2)]
            result.append([NAMES.index(thing.name) + 1, COLOURS.index(thing.colour) + 1, int(place), *square])
    return result


@settings(deadline=None, max_examples=40)
@given(ability=st.sampled_from(PAINTED), seed=st.integers(0, 2**32))
def test_a_patch_says_what_covers_most_of_it(ability, seed):
    sample = draw_sample(ability, seed)
    width, height = sample.pictures[0].size
    found = patch_words(sample.scenes, (width, height), 48, 12).tolist()
    boxes = [(scene, (0, 0, width, height), (2, 2)) for scene in sample.scenes]
    if len(sample.scenes) == 1:
        boxes += [(sample.scenes[0], (x, y, x + 48, y + 48), ({48: 2, 96: 1}[width], {48: 2, 96: 1}[height]))
                  for y in range(0, height, 48) for x in range(0, width, 48)]
    assert len(found) == len(boxes)
    for words, (scene, box, cells) in zip(found, boxes):
        expected = words_by_pixels(scene, box, cells, 48, 12)
        # Where a pixel of a shrunken picture lies across two patches the oracle gives it to one of them.
        same = sum(one == other for one, other in zip(words, expected))
        assert same == len(expected) or box[2] - box[0] > 48 or box[3] - box[1] > 48
        assert same >= len(expected) - 3


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_features_that_point_to_their_words_cost_least(seed):
    """Right words cost less than any others, whichever spelling is asked for, and the longer features the more."""
    generator = torch.Generator().manual_seed(seed)
    ids = spellings(TOKENIZER)
    embeddings = torch.eye(TOKENIZER.largest_id + 1)
    words = torch.stack([torch.randint(len(choices) + 1, (2, 16), generator=generator) for choices in CHOICES], dim=-1)
    tokens = torch.stack([torch.stack([spelling[question][words[..., question]] for question in range(len(CHOICES))])
                          for spelling in ids])  # (spellings, questions, tiles, patches)
    features = F.normalize(embeddings[tokens].sum(dim=(0, 1)), dim=-1)
    right = word_loss(features, embeddings, words, ids)
    assert right.shape == (2,) and (word_loss(3 * features, embeddings, words, ids) > right).all()
    other = words.clone()
    other[:, :, 0] = (other[:, :, 0] + 1) % (len(NAMES) + 1)
    assert (word_loss(features, embeddings, other, ids) > right).all()


def test_a_tokenizer_that_cuts_the_words_into_pieces_is_refused():
    with pytest.raises(InputError, match="'circle' to be one token"):
        spellings(golden_model()[1])


@given(st.lists(st.text("abcd ", min_size=1, max_size=8), max_size=6))
def test_trained_on_some_texts_each_is_one_token(texts):
    """And every prefix that merging passes through is a token too, so nothing is ever missing."""
    merges = learn_merges(texts)
    assert len(set(merges)) == len(merges)
    tokenizer = make_tokenizer(describe_tokenizer(texts))
    for text in texts:
        if text.isalpha():  # the splitting pattern leaves such a text whole
            assert len(tokenizer.encode(text)) == 1 and tokenizer.decode(tokenizer.encode(text)) == text


def test_the_built_in_tokenizer_is_the_one_that_training_gives():
    assert json.loads((BUILT_IN / "tokenizer.json").read_text()) == DESCRIBED


@settings(deadline=None, max_examples=60)
@given(ability=st.sampled_from(PAINTED), seed=st.integers(0, 2**32), held_out=st.booleans())
def test_no_word_of_the_small_world_is_more_than_one_token(ability, seed, held_out):
    """In lower case, with a capital letter at the beginning, and in capitals. (Squares and "isn't" have two.)"""
    said = [message["value"].rsplit("\n")[-1] for message in draw_sample(ability, seed, held_out=held_out).conversation]
    for text, answer in zip(said, [*said[1:], ""], strict=True):
        if answer == UNKNOWN:  # what has nothing to do with the small world falls into pieces
            continue
        for place, word in enumerate(re.findall("[A-Za-z]+", text)):
            square = ability.startswith("plain ") and re.search(rf"\b{word}[12]", text)
            if not square and word.lower() not in ("isn", "t"):
                assert len(TOKENIZER.encode(f" {word}" if place else word)) == 1, word
