"""What each patch of a drawn picture shows, in words, and the loss that teaches the vision tower to say it.

LLaDA-V starts from SigLIP 2, a vision tower that has learned from captions which features belong to which words. A
tower of random weights needs something in its place, or its language model learns to guess before it can see. The
small world knows what stands where, so each patch is asked five questions: what is here, in which colour, is this its
middle, and in which column and row does it stand? The answers are words, or letters and digits as on a chess board,
and the feature of a patch shall point to their embeddings.

All patches of a shape name its square, as answers do (`scenes.square`), and empty ones name none: where it stands can
then be read off any of its patches, just as its colour can. With every patch naming its own place in the tile instead,
colours were looked up without a mistake when squares still came out as guesses.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..chat import EOS
from ..errors import InputError
from ..tokenizer import Tokenizer
from .scenes import CELLS, COLOURS, SHAPES, Scene

NAMES = (*SHAPES, "bar", *"0123456789")
CHOICES = (NAMES, COLOURS, ("place",), "abcd", "1234")  # of the questions; number 0 stands for none
LEAST = 0.12  # share of a patch that a thing must cover to be seen in it
SHARPNESS = 12.0  # of the softmax over cosines
EMPTY_WEIGHT = 0.2  # most patches are empty, and soon known to be


def patch_words(scenes: Sequence[Scene], size: tuple[int, int], tile: int, patch: int) -> Tensor:
    """For each patch of the tiles of a sample, the numbers of its words in `CHOICES`, counted from 1: int64
    (tiles, patches, questions).

    `scenes` belong to pictures of `size` (width, height). A single picture is seen as a whole, in a base tile, and in
    a grid of tiles; of several pictures each is one tile. What covers a patch most gives it its name and colour, and
    the patch that holds the middle of a thing is its place. A shape's column and row are those of its cell, as far as
    the tile shows: a tile that is as wide as a cell cannot know its column. In bars and digits a patch has its own.
    """
    width, height = size
    # What is seen: the scene, from which left and top, at which scale, and how many columns and rows of cells.
    views = [(scene, 0, 0, tile / width, tile / height, (CELLS, CELLS)) for scene in scenes]
    if len(scenes) == 1:
        views += [(scenes[0], x, y, 1, 1, (CELLS * tile // width, CELLS * tile // height))
                  for y in range(0, height, tile) for x in range(0, width, tile)]
    side = tile // patch
    words = np.zeros((len(views), side, side, len(CHOICES)), np.int64)
    edges = np.arange(side) * patch
    own_column, own_row = np.meshgrid(np.arange(side) + 1, np.arange(side) + 1)  # (side, side)
    for words_of_tile, (scene, x, y, across, down, cells) in zip(words, views):
        most = np.full((side, side), LEAST * patch**2)
        for thing in scene:
            left, top, right, bottom = thing.box
            left, right, top, bottom = (left - x) * across, (right - x) * across, (top - y) * down, (bottom - y) * down
            columns, rows = (np.maximum(np.minimum(edges + patch, end) - np.maximum(edges, start), 0)
                             for start, end in ((left, right), (top, bottom)))
            covered = rows[:, None] * columns  # (side, side) pixels
            seen = covered > most
            most = np.maximum(most, covered)
            words_of_tile[seen, 0] = NAMES.index(thing.name) + 1
            words_of_tile[seen, 1] = COLOURS.index(thing.colour) + 1
            column, row = int((left + right) / 2 // patch), int((top + bottom) / 2 // patch)
            if 0 <= column < side and 0 <= row < side:
                words_of_tile[row, column, 2] = 1
            if thing.name in SHAPES:
                for question, middle, count in ((3, (left + right) / 2, cells[0]), (4, (top + bottom) / 2, cells[1])):
                    words_of_tile[seen, question] = int(middle * count / tile) + 1 if count > 1 else 0
            else:
                words_of_tile[seen, 3] = own_column[seen]
                if thing.name == "bar":  # digits are words of their own
                    words_of_tile[seen, 4] = own_row[seen]
    return torch.from_numpy(words.reshape(len(views), side * side, len(CHOICES)))


def spellings(tokenizer: Tokenizer) -> list[list[Tensor]]:
    """The token ids of the words in `CHOICES`, behind that of <|endoftext|>, which stands for none: one tensor for
    each question, in each of three spellings: "star", " star" and " stars".

    A language model meets them all. Raises `InputError` if a word is more than one token of `tokenizer`.
    """
    none, ways = tokenizer.token_id(EOS), ("{}", " {}", " {}s")
    result = []
    for way in ways:
        ids = [[none, *(_single(tokenizer, word, way) for word in words)] for words in CHOICES]
        result.append([torch.tensor(row) for row in ids])
    return result


def _single(tokenizer: Tokenizer, word: str, way: str) -> int:
    """The token of a word, in the nearest way in which it is a single one."""
    for spelling in (way.format(word), f" {word}", word):
        ids = tokenizer.encode(spelling)
        if len(ids) == 1:
            return ids[0]
    raise InputError(f"the vision stage needs {word!r} to be one token, and the tokenizer makes {len(ids)} of it; "
                     "take the tokenizer of the built-in model")


def word_loss(features: Tensor, embeddings: Tensor, words: Tensor, ids: Sequence[Sequence[Tensor]]) -> Tensor:
    """How badly features point to their words: cross entropy over cosines, (tiles,), in nats a patch and question.

    Projected `features` (tiles, patches, width), the language model's `embeddings` (vocabulary, width), `words` from
    `patch_words` and `ids` from `spellings`. A second, small term keeps features about as long as embeddings.
    """
    weight = torch.where(words[..., 0] > 0, 1.0, EMPTY_WEIGHT)  # (tiles, patches)
    weight = weight / weight.sum(dim=1, keepdim=True)
    pointing = SHARPNESS * F.normalize(features, dim=-1)
    loss = 0
    for spelling in ids:
        for question, choices in enumerate(spelling):
            logits = pointing @ F.normalize(embeddings[choices], dim=-1).T  # (tiles, patches, choices)
            nats = F.cross_entropy(logits.flatten(0, 1), words[..., question].flatten(), reduction="none")
            loss = loss + (nats.view_as(weight) * weight).sum(dim=1)
    length = features.norm(dim=-1) / embeddings.detach().norm(dim=-1).mean()
    return loss / (len(CHOICES) * len(ids)) + 0.1 * length.log().square().mean(dim=1)
