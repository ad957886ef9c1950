"""Grades chapter 2: learning and using merges, the chat format, what every tokenizer must hold to."""

import re
import unicodedata
from pathlib import Path

from grading import GRADING, THOROUGH, agree, ask, call, grade_property, require, spelled
from hypothesis import given
from hypothesis import strategies as st

from minllada_v.tokenizer_json import read_tokenizer

TOKENIZER = read_tokenizer(Path(__file__).parents[3] / "tests" / "golden" / "checkpoint" / "tokenizer.json")
SPECIAL = {"<|startoftext|>": 1000, "<|start_header_id|>": 1001, "<|end_header_id|>": 1002, "<|eot_id|>": 1003}
TYPED = st.lists(st.one_of(st.text(max_size=5), st.sampled_from([*SPECIAL, "  ", "É", "Cafe\u0301", "\n"])),
                 max_size=3).map("".join)


def plain(text: str) -> list[int]:
    """A tokenizer whose ids are easy to read in a message: the codes of the characters, and 900 + n for n line breaks.
    No text gets a special id."""
    codes = [900 + len(run) if run[0] == "\n" else ord(run) for run in re.findall(r"\n+|[^\n]", text)]
    return [code if code < 1000 else code + 10000 for code in codes]


@st.composite
def words_and_merges(draw):
    """(word, merges): merges of letters and of what earlier merges made, no two of which make the same token."""
    tokens, merges = ["a", "b"], []
    for _ in range(draw(st.integers(0, 6))):
        left, right = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if left + right not in tokens:
            tokens.append(left + right)
            merges.append((left, right))
    return draw(st.text("ab", max_size=8)), merges


def pair_by_counting(pieces):
    pairs = [(left, right) for piece in pieces for left, right in zip(piece, piece[1:])]
    return max(sorted(set(pairs), reverse=True), key=pairs.count)


def merged_one_by_one(word, merges):
    tokens = list(word)
    while known := [place for place in range(len(tokens) - 1) if (tokens[place], tokens[place + 1]) in merges]:
        _, place = min((merges.index((tokens[place], tokens[place + 1])), place) for place in known)
        tokens[place:place + 2] = [tokens[place] + tokens[place + 1]]
    return tokens


def goes_on(ids: list[int], place: int) -> str:
    return f"goes on with {ids[place:place + 5]}" if ids[place:] else "ends here"


def row_of(encode, special, messages):
    row = [special["<|startoftext|>"]]
    for role, text in [*messages, ("assistant", None)]:
        row += [special["<|start_header_id|>"], *encode(role), special["<|end_header_id|>"]]
        row += encode("\n\n") if text is None else [*encode("\n\n" + text), special["<|eot_id|>"]]
    return row


@GRADING
@given(st.lists(st.lists(st.sampled_from(["t", "h", "e", "th"]), max_size=6), min_size=1, max_size=4).filter(
    lambda pieces: max(map(len, pieces)) > 1))
def check_most_frequent_pair(student, pieces):
    agree(student.most_frequent_pair, pair_by_counting, pieces)


@THOROUGH
@given(words_and_merges())
def check_encode_piece(student, word_and_merges):
    word, merges = word_and_merges
    tokens = ask(student.encode_piece, word, merges)
    require(isinstance(tokens, list) and "".join(tokens) == word,
            f"{call(student.encode_piece, word, merges)} gave {spelled(tokens)}, which joined is not {word!r}.")
    agree(student.encode_piece, merged_one_by_one, word, merges)


@GRADING
@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TYPED), max_size=3))
def check_chat_ids(student, messages):
    ids, expected = ask(student.chat_ids, plain, SPECIAL, messages), row_of(plain, SPECIAL, messages)
    require(isinstance(ids, list), f"The result should be a list of ids, not {spelled(ids)}.")
    headers = ids.count(SPECIAL["<|start_header_id|>"])
    require(headers == len(messages) + 1, f"For the messages {messages} there should be one header for each message "
                                          f"and one for the assistant, {len(messages) + 1} in all. "
                                          f"Yours has {headers}.")
    place = next((place for place, (one, other) in enumerate(zip(ids, expected)) if one != other),
                 min(len(ids), len(expected)))
    require(ids == expected, f"For the messages {messages} the rows part at place {place}: yours "
                             f"{goes_on(ids, place)}, and the right one {goes_on(expected, place)}. (Text is encoded "
                             f"as character codes here, n line breaks as 900 + n, special tokens as {SPECIAL}.)")


def check_tokenizer_property(student):
    encode, decode, special_ids = TOKENIZER.encode, TOKENIZER.decode, set(TOKENIZER.special.values())

    def decode_text(ids):
        return decode(ids, skip_special_tokens=True)

    grade_property(student.tokenizer_property, (encode, decode, special_ids), {
        "makes all letters small": (lambda text: encode(text.lower()), decode, special_ids),
        "drops white space at the ends": (lambda text: encode(text.strip()), decode, special_ids),
        "writes a double space as one": (lambda text: encode(text.replace("  ", " ")), decode, special_ids),
        "decodes token by token, so that characters of several tokens are lost": (
            encode, lambda ids: "".join(decode([index]) for index in ids), special_ids),
        "writes accents in another way than the user did": (
            lambda text: encode(unicodedata.normalize("NFC", text)), decode, special_ids),
        "takes special tokens that a user types for real ones": (
            lambda text: encode(text, special_tokens=True), decode, special_ids),
        "takes special tokens that a user types for real ones, and leaves them out when it decodes": (
            lambda text: encode(text, special_tokens=True), decode_text, special_ids),
        "loses what follows a special token that a user types": (
            lambda text: encode(text.split("<|eot_id|>")[0]), decode, special_ids),
    }, st.tuples(TYPED), lambda encode, decode, special_ids, text: (encode(text), decode(encode(text))))
