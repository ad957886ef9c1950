"""Text to token ids and back: byte-level BPE, read from a Hugging Face `tokenizer.json`.

Encoding goes in three steps: a regular expression cuts the text into pieces (words, digits, runs of spaces), each
piece becomes UTF-8 bytes, and pairs of neighbours are merged, the pair that was learned first going first.
"""

import heapq
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

from .errors import InputError, read_json


def byte_characters() -> list[str]:
    """GPT-2's table: the character that stands for each byte 0..255 in a vocabulary file.

    Printable bytes stand for themselves, the others for U+0100 upward, so that a token is always visible text.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


BYTE_TO_CHARACTER = byte_characters()
CHARACTER_TO_BYTE = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}


class Tokenizer:
    """A byte-level BPE tokenizer.

    `special` maps the content of every added token, such as `<|eot_id|>`, to its id. `largest_id` is the largest of
    all ids; a model may have embeddings beyond it.
    """

    def __init__(self, description: dict):
        """`description` is the object in `tokenizer.json`. Raises `InputError` for anything in it that is not
        supported, by name."""
        _check_supported(description)
        model = description["model"]
        self._ids: dict[str, int] = dict(model["vocab"])
        merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        for left, right in merges:
            if left + right not in self._ids:
                raise InputError(f"the merge {left!r} {right!r} makes a token that the vocabulary does not have")
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        missing = [byte for byte, character in enumerate(BYTE_TO_CHARACTER) if character not in self._ids]
        if missing:
            raise InputError(f"the vocabulary has no token for byte 0x{missing[0]:02X}; this is not byte-level BPE")

        added = description.get("added_tokens") or []
        self.special: dict[str, int] = {token["content"]: token["id"] for token in added}
        ids = self._ids | self.special
        if any(type(index) is not int or index < 0 for index in ids.values()):
            raise InputError("token ids must be whole numbers from 0 up")
        self._tokens = {index: token for token, index in ids.items()}
        if len(self._tokens) < len(ids):
            twice = next(token for token, index in ids.items() if self._tokens[index] != token)
            raise InputError(f"the tokens {twice!r} and {self._tokens[ids[twice]]!r} have the same id {ids[twice]}")
        self.largest_id = max(self._tokens)
        self._skipped = {token["id"] for token in added if token.get("special")}
        longest_first = sorted(filter(None, self.special), key=len, reverse=True)
        self._special_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

        split, _ = _pre_tokenizers(description)
        self._pattern = re.compile(python_pattern(split["pattern"]["Regex"]))
        self._merge = lru_cache(maxsize=1 << 16)(self._merge)  # words repeat

    @classmethod
    def from_file(cls, path: str | Path) -> "Tokenizer":
        """Read `tokenizer.json`. Raises `InputError`, naming the file, if it is missing, broken or unsupported."""
        description = read_json(Path(path))
        try:
            return cls(description)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, re.error) as error:
            raise InputError(f"{path} is not a tokenizer file: {type(error).__name__} {error}") from None

    def token_id(self, content: str) -> int:
        """The id of the special token `content`. Raises `InputError` if this tokenizer has none."""
        if content not in self.special:
            raise InputError(f"the tokenizer has no special token {content!r}; it was not made for LLaDA")
        return self.special[content]

    def encode(self, text: str, special_tokens: bool = False) -> list[int]:
        """Token ids of `text`.

        Strings such as `<|eot_id|>` in `text` are plain text, so what a user types can never forge a chat turn;
        only with `special_tokens=True` do they become the special ids. Raises `InputError` for lone surrogates.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"the text holds {text[error.start]!r}, which is not valid Unicode") from None
        if not special_tokens:
            return [index for piece in self._split(text) for index in self._merge(piece)]
        ids, end = [], 0
        for match in self._special_pattern.finditer(text):
            ids += self.encode(text[end:match.start()]) + [self.special[match[0]]]
            end = match.end()
        return ids + self.encode(text[end:])

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of `ids`. Ids that no token has decode to nothing, bytes that are no UTF-8 to U+FFFD."""
        kept = (int(index) for index in ids if not (skip_special_tokens and int(index) in self._skipped))
        return b"".join(map(self.token_bytes, kept)).decode("utf-8", errors="replace")

    def token_bytes(self, index: int) -> bytes:
        """The bytes of one token, which may be a part of a character. An id that no token has has none."""
        return _token_bytes(self._tokens.get(index, ""))

    def _split(self, text: str) -> Iterator[str]:
        """Cut `text` into the pieces that merges never cross; what the pattern does not match is a piece too."""
        end = 0
        for match in self._pattern.finditer(text):
            if match.start() > end:
                yield text[end:match.start()]
            if match[0]:
                yield match[0]
            end = match.end()
        if end < len(text):
            yield text[end:]

    def _merge(self, piece: str) -> tuple[int, ...]:
        """Byte-pair encoding of one piece: merge the pair of lowest rank, the leftmost of equals, until none is left.

        A heap of candidates and a linked list of symbols keep this at n log n: a page of Chinese is one piece.
        """
        symbols = [BYTE_TO_CHARACTER[byte] for byte in piece.encode("utf-8")]
        before, after = list(range(-1, len(symbols))), list(range(1, len(symbols) + 1))
        heap: list[tuple[int, int]] = []

        def rank(left: int) -> int | None:
            if left < 0 or not symbols[left] or after[left] >= len(symbols):
                return None
            return self._ranks.get((symbols[left], symbols[after[left]]))

        def push(left: int):
            if (found := rank(left)) is not None:
                heapq.heappush(heap, (found, left))

        for left in range(len(symbols)):
            push(left)
        while heap:
            found, left = heapq.heappop(heap)
            if rank(left) != found:
                continue  # one of the two has since been merged with another neighbour
            right = after[left]
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            before[after[right]] = left
            push(before[left])
            push(left)
        return tuple(self._ids[symbol] for symbol in symbols if symbol)


def _token_bytes(token: str) -> bytes:
    try:
        return bytes(CHARACTER_TO_BYTE[character] for character in token)
    except KeyError:  # an added token that is not written in byte characters
        return token.encode("utf-8")


def _pre_tokenizers(description: dict) -> list[dict]:
    pre_tokenizer = description.get("pre_tokenizer") or {"type": "none at all"}
    return pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]


def _check_supported(description: dict):
    """Raise `InputError` for the first component of `tokenizer.json` that this file does not implement."""
    def need(condition: bool, component: str):
        if not condition:
            raise InputError(f"the tokenizer uses {component}, which is not supported")

    model = description["model"]
    need(model["type"] == "BPE", f"the model {model['type']}")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        need(not model.get(option), f"the BPE option {option}")
    for component in ("normalizer", "truncation", "padding"):
        value = description.get(component)
        need(not value, f"a {component}" + (f" ({value['type']})" if value and "type" in value else ""))
    for component in ("post_processor", "decoder"):
        value = description.get(component) or {"type": "ByteLevel"}
        need(value["type"] == "ByteLevel", f"the {component} {value['type']}")
    parts = _pre_tokenizers(description)
    for part in parts:
        need(part["type"] in ("Split", "ByteLevel"), f"the pre-tokenizer {part['type']}")
    need([part["type"] for part in parts] == ["Split", "ByteLevel"], "pre-tokenizers other than Split, then ByteLevel")
    split, byte_level = parts
    need("Regex" in split["pattern"], "a Split without a Regex")
    need(split["behavior"] == "Isolated" and not split.get("invert"), f"a Split with behavior {split['behavior']}")
    need(not byte_level.get("add_prefix_space") and not byte_level.get("use_regex", True), "a ByteLevel that splits")
    for token in description.get("added_tokens") or []:
        for flag in ("single_word", "lstrip", "rstrip"):
            need(not token.get(flag), f"the flag {flag} on {token['content']}")


# Unicode white space. Python's own `\s` would add U+001C to U+001F.
WHITE_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def python_pattern(pattern: str) -> str:
    r"""Rewrite a tokenizer's regular expression for Python's `re`, which has no `\p{…}`.

    Raises `InputError` for an escape that means something else here.
    """
    in_class = False

    def rewrite(match: re.Match) -> str:
        nonlocal in_class
        text = match[0]
        if text in "[]":
            if in_class == (text == "["):
                raise InputError(f"the split pattern has a {text!r} that is not supported")
            in_class = text == "["
            return text
        if text == r"\s" or match[1]:
            members = WHITE_SPACE if text == r"\s" else _category(match[1])
            return members if in_class else f"[{members}]"
        if text == r"\S" and not in_class:
            return f"[^{WHITE_SPACE}]"
        if text[0] == "\\" and text[1].isalnum() and text[1] not in "rnt":
            raise InputError(f"the split pattern uses {text}, which is not supported")
        return text

    return re.sub(r"\\p\{(\w+)\}|\\.|[\[\]]", rewrite, pattern, flags=re.DOTALL)


@cache
def _category(name: str) -> str:
    r"""The code points of a Unicode category such as L or Nd, as the inside of a `[…]`."""
    ranges = _category_ranges()
    found = [(first, last) for category, first, last in ranges if category.startswith(name)]
    if not found:
        raise InputError(f"the split pattern uses \\p{{{name}}}, which is not supported")
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


@cache
def _category_ranges() -> list[tuple[str, int, int]]:
    ranges, start = [], 0
    for category, run in groupby(map(unicodedata.category, map(chr, range(0x110000)))):
        length = sum(1 for _ in run)
        ranges.append((category, start, start + length - 1))
        start += length
    return ranges
