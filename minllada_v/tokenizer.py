"""Text to token ids and back: byte-level BPE (arXiv 1508.07909, on bytes as in GPT-2).

Encoding goes in three steps: a regular expression cuts the text into pieces (words, digits, runs
of spaces), each piece becomes UTF-8 bytes, and neighbouring tokens are merged, in the order in
which these merges were learned. `tokenizer_json.py` reads a tokenizer from its file.
"""

import heapq
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from .errors import InputError


def byte_characters() -> list[str]:
    """GPT-2's table: the character that stands for each byte 0..255 in a vocabulary file. Printable
    bytes stand for themselves, the others for U+0100 upward: a token is always visible text."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


BYTE_TO_CHARACTER = byte_characters()
CHARACTER_TO_BYTE = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}


class Tokenizer:
    """`special` maps the content of every added token, such as `<|eot_id|>`, to its id.
    `largest_id` is the largest of all ids; a model may have embeddings beyond it."""

    def __init__(
        self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], pattern: str,
        special: Mapping[str, int], skipped: Collection[int] = (),
    ):
        """`vocabulary` maps tokens, in byte characters, to ids: all bytes, and the result of each
        merge. `merges` come in the order they were learned. `pattern`, for Python's `re`, finds the
        pieces. `skipped` are the ids of those special tokens that `decode` can leave out."""
        self.special = dict(special)
        self._ids = dict(vocabulary)
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._tokens = {index: token for token, index in {**vocabulary, **special}.items()}
        self.largest_id = max(self._tokens)
        self._skipped = set(skipped)
        self._pattern = re.compile(pattern)
        contents = sorted(filter(None, special), key=len, reverse=True)  # the longest match wins
        self._special_pattern = re.compile("|".join(map(re.escape, contents)) or r"(?!)")  # or none
        self._merge = lru_cache(maxsize=1 << 16)(self._merge)  # words repeat

    def token_id(self, content: str) -> int:
        """The id of the special token `content`. Raises `InputError` if this tokenizer has none."""
        if content not in self.special:
            raise InputError(f"the tokenizer has no special token {content!r}: it is not LLaDA's")
        return self.special[content]

    def encode(self, text: str, special_tokens: bool = False) -> list[int]:
        """Token ids of `text`. Strings such as `<|eot_id|>` in it are plain text, so what a user
        types can never forge a chat turn; only with `special_tokens=True` do they become the
        special ids. Raises `InputError` if the text is not valid Unicode."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            wrong = text[error.start]
            raise InputError(f"the text holds {wrong!r}, which is not valid Unicode") from None
        if not special_tokens:
            return [token_id for piece in self._split(text) for token_id in self._merge(piece)]
        ids, end = [], 0
        for match in self._special_pattern.finditer(text):
            ids += self.encode(text[end:match.start()]) + [self.special[match[0]]]
            end = match.end()
        return ids + self.encode(text[end:])

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of `ids`. Ids without a token decode to nothing, invalid UTF-8 to U+FFFD."""
        skipped = self._skipped if skip_special_tokens else ()
        tokens = (self.token_bytes(index) for index in map(int, ids) if index not in skipped)
        return b"".join(tokens).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token, which may be a part of a character; none for an unknown id."""
        token = self._tokens.get(token_id, "")
        try:
            return bytes(CHARACTER_TO_BYTE[character] for character in token)
        except KeyError:  # an added token that is not written in byte characters
            return token.encode("utf-8")

    def _split(self, text: str) -> Iterator[str]:
        """Cut `text` into pieces that merges never cross. Text between matches is a piece too."""
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
        """Merge the pair of lowest rank, the leftmost of equals, until none is left; returns ids.
        A page of Chinese is one piece: a heap and a linked list (before, after) keep it n log n."""
        symbols = [BYTE_TO_CHARACTER[byte] for byte in piece.encode("utf-8")]
        before, after = list(range(-1, len(symbols))), list(range(1, len(symbols) + 1))
        heap: list[tuple[int, int]] = []  # (rank, index of the pair's left symbol)

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
            symbols[right] = ""  # gone
            after[left] = after[right]
            before[after[right]] = left  # `before` has an entry for the end, too
            push(before[left])
            push(left)
        return tuple(self._ids[symbol] for symbol in symbols if symbol)
