"""Where a byte-level BPE tokenizer comes from: merge the most frequent pair of neighbours, again and again.

The small world has so few words that the merging goes on until each word is a single token. That keeps sequences
short, and lets a patch of a picture stand for one token. `python -m minllada_v.world.tokenizer FILE` writes the
`tokenizer.json` of the built-in model; its special tokens and its splitting pattern are the released ones.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ..chat import BOS, END_HEADER, END_OF_TURN, EOS, MASK, START_HEADER
from ..tokenizer import BYTE_TO_CHARACTER
from .asking import words_of_wordings
from .plain import WORDS
from .scenes import COLOURS, SHAPES

PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
SPECIAL = (BOS, EOS, MASK, START_HEADER, END_HEADER, END_OF_TURN)
CHAT_WORDS = ("answer", "system", "user", "assistant")
PATCH_WORDS = ("place", "c", "d")
ANSWER_WORDS = (  # what `sentences.py` says beside the words of the questions
    "yes", "no", "top", "bottom", "colours", "makes", "none", "moves", "places", "numbers", "bars", "only", "know",
    "out", "make", "i", "can", "here",
)
FREQUENT = (  # in questions that have nothing to do with the small world
    "you", "your", "me", "my", "we", "he", "she", "they", "who", "why", "when", "will", "was", "be", "like", "much",
    "long", "old", "one", "two", "by", "with", "at", "it", "not", "get", "go", "an",
)


def learn_merges(texts: Iterable[str]) -> list[tuple[str, str]]:
    """The merges, first learned first, that make each of `texts` one token (Sennrich et al., arXiv 1508.07909).

    Every text is one piece: it has been cut from longer text by the splitting pattern. Of pairs that are equally
    frequent the last in alphabetical order goes first, so that the result is always the same.
    """
    pieces = [[BYTE_TO_CHARACTER[byte] for byte in text.encode()] for text in texts]
    merges = []
    while pairs := Counter(pair for piece in pieces for pair in zip(piece, piece[1:])):
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        pieces = [merge_pair(piece, *merges[-1]) for piece in pieces]
    return merges


def merge_pair(piece: list[str], left: str, right: str) -> list[str]:
    """`piece` with every `left` and `right` beside each other made one token."""
    result: list[str] = []
    for token in piece:
        if result and (result[-1], token) == (left, right):
            result[-1] = left + right
        else:
            result.append(token)
    return result


def describe_tokenizer(texts: Iterable[str]) -> dict:
    """The object of a `tokenizer.json` in the released format, whose vocabulary is the bytes and `texts`."""
    merges = learn_merges(texts)
    tokens = dict.fromkeys([*BYTE_TO_CHARACTER, *(left + right for left, right in merges)])
    bytes_again = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": len(tokens) + index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for index, content in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
            bytes_again | {"use_regex": False},
        ]},
        "post_processor": None,
        "decoder": bytes_again,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [list(pair) for pair in merges],
        },
    }


def world_texts() -> list[str]:
    """Every piece of text that a conversation about the small world is cut into and that is longer than a byte.

    A word is a token of its own in lower case, with a capital letter and in capitals, at the beginning and behind a
    space. The words of unrelated questions are not among them, apart from the most frequent: they fall into pieces,
    and so does whatever else the model is asked. That is how it can tell.
    """
    words = dict.fromkeys([*WORDS, *words_of_wordings(), *PATCH_WORDS, *CHAT_WORDS, *FREQUENT, *ANSWER_WORDS])
    first = [*words_of_wordings(), *FREQUENT, *COLOURS, *SHAPES, *ANSWER_WORDS]
    texts = [spelled for word in words for spelled in (word, f" {word}", f" {word.upper()}")]
    texts += [spelled for word in first for spelled in (word.capitalize(), word.upper())]
    return list(dict.fromkeys([*texts, " Bottom", " That", "\n\n"]))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(describe_tokenizer(world_texts()), indent=1) + "\n", encoding="utf-8")
