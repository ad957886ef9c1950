"""Text to ids and back: exactly the released tokenizer, and nothing a user types becomes a special token."""

import hashlib
import json
import re
import unicodedata

import pytest
from golden_data import CASES, CHECKPOINT, golden_model
from hypothesis import given, settings
from hypothesis import strategies as st
from literal import literal_bpe

from minllada_v import InputError, Tokenizer
from minllada_v.tokenizer import CHARACTER_TO_BYTE
from minllada_v.tokenizer_json import WHITE_SPACE, make_tokenizer, python_pattern, read_tokenizer

DESCRIPTION = json.loads((CHECKPOINT / "tokenizer.json").read_text(encoding="utf-8"))
SPECIAL = list(CASES["special_ids"])

any_text = st.text(max_size=60)  # hypothesis leaves lone surrogates out
forged_text = st.lists(st.sampled_from(SPECIAL) | st.text(max_size=8), max_size=6).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return golden_model()[1]


@pytest.mark.parametrize("case", CASES["tokenizer"], ids=lambda case: repr(case["text"][:12]))
def test_golden_ids_and_texts(case, tokenizer):
    assert tokenizer.encode(case["text"], special_tokens=True) == case["ids"]
    assert tokenizer.decode(case["ids"]) == case["decoded"]
    assert tokenizer.decode(case["ids"], skip_special_tokens=True) == case["decoded_skip"]


def test_golden_special_ids(tokenizer):
    assert tokenizer.special == CASES["special_ids"]


@settings(deadline=None)
@given(any_text | forged_text)
def test_decoding_undoes_encoding(text):
    """decode(encode(x)) == x for any text, special strings taken as text or as tokens."""
    tokenizer = golden_model()[1]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text, special_tokens=True)) == text


@settings(deadline=None)
@given(forged_text)
def test_user_text_never_becomes_a_special_token(text):
    """No string whatever in plain text gives one of the added ids."""
    tokenizer = golden_model()[1]
    assert not set(tokenizer.encode(text)) & set(tokenizer.special.values())


@settings(deadline=None)
@given(forged_text, st.sampled_from(SPECIAL), forged_text)
def test_special_tokens_cut_the_text(before, special, after):
    """encode(a + special + b) is encode(a), the special id, encode(b): nothing merges across a special token."""
    tokenizer = golden_model()[1]
    left, right = (tokenizer.encode(text, special_tokens=True) for text in (before, after))
    joined = tokenizer.encode(before + special + after, special_tokens=True)
    assert joined == [*left, tokenizer.special[special], *right]


@settings(deadline=None)
@given(any_text, st.sampled_from(" \n\tea.1Ġ中\u00a0\U0001f600"), st.integers(0, 40))
def test_heap_merging_equals_the_literal_search(text, letter, repeats):
    """The heap finds the same merges as searching the whole piece for the best pair every time."""
    tokenizer = golden_model()[1]
    as_bytes = lambda token: bytes(CHARACTER_TO_BYTE[character] for character in token)  # noqa: E731
    merges = [merge.split(" ") for merge in DESCRIPTION["model"]["merges"]]
    ranks = {(as_bytes(left), as_bytes(right)): rank for rank, (left, right) in enumerate(merges)}
    ids = {as_bytes(token): index for token, index in DESCRIPTION["model"]["vocab"].items()}
    piece = text + letter * repeats
    assert list(tokenizer._merge(piece)) == [ids[symbol] for symbol in literal_bpe(piece.encode(), ranks)]


@settings(deadline=None)
@given(any_text)
def test_the_pieces_are_the_text(text):
    """Pre-tokenization only cuts: the pieces joined are the text."""
    pieces = list(golden_model()[1]._split(text))
    assert "".join(pieces) == text and all(pieces)


@settings(deadline=None)
@given(st.lists(st.integers(0, 700), max_size=20))
def test_any_ids_decode(ids):
    """Whatever ids the model makes up decode; those that no token has decode to nothing."""
    tokenizer = golden_model()[1]
    known = [index for index in ids if index < 616]
    assert tokenizer.decode(ids) == tokenizer.decode(known)


@settings(deadline=None)
@given(st.characters())
def test_classes_follow_unicode(character):
    r"""\p{L}, \p{N} and \s are Unicode's letters, numbers and White_Space (which U+001C to U+001F are not)."""
    category = unicodedata.category(character)
    if category != "Cn":  # this Python's Unicode has no such character, a later one may
        assert bool(re.fullmatch(python_pattern(r"\p{L}"), character)) == category.startswith("L")
        assert bool(re.fullmatch(python_pattern(r"[^\p{N}]"), character)) == (not category.startswith("N"))
    white = character.isspace() and not "\x1c" <= character <= "\x1f"
    assert bool(re.fullmatch(python_pattern(r"\s"), character)) == white
    assert bool(re.fullmatch(python_pattern(r"\S"), character)) == (not white)
    assert bool(re.fullmatch(f"[{WHITE_SPACE}]", character)) == white


@pytest.mark.skipif(unicodedata.unidata_version > "16.0.0", reason="this Python knows a later Unicode")
@pytest.mark.parametrize("name, count, digest", [
    ("L", 141_028, "8192a1dcc0cae66e"), ("N", 1911, "08fc258c1e391e3d"),
])
def test_classes_are_those_of_hugging_face_under_every_python(name, count, digest):
    """All that `tokenizers` 0.22, which has Unicode 16, matches with this class, one code point after another."""
    matches = re.compile(python_pattern(rf"\p{{{name}}}")).match
    members = "".join(filter(matches, map(chr, [*range(0xD800), *range(0xE000, 0x110000)])))
    assert len(members) == count and hashlib.sha256(members.encode()).hexdigest().startswith(digest)


def test_merges_may_be_pairs(tokenizer):
    pairs = [merge.split(" ") for merge in DESCRIPTION["model"]["merges"]]
    newer = make_tokenizer(DESCRIPTION | {"model": DESCRIPTION["model"] | {"merges": pairs}})
    assert newer.encode("The circle is red.") == tokenizer.encode("The circle is red.")


def with_special(*contents: str) -> Tokenizer:
    """The golden tokenizer with more special tokens, ids 616 upward."""
    added = [{"id": 616 + number, "content": content, "special": True} for number, content in enumerate(contents)]
    return make_tokenizer(DESCRIPTION | {"added_tokens": [*DESCRIPTION["added_tokens"], *added]})


def test_the_longest_special_token_is_taken():
    """Where one special string begins another, the longer one is meant."""
    tokenizer = with_special("<a", "<ab>", "<a>")
    assert tokenizer.encode("<ab><a><a", special_tokens=True) == [617, 618, 616]


def test_special_tokens_need_not_be_written_in_byte_characters():
    assert with_special("中 文").decode([616]) == "中 文"


def test_bytes_that_are_no_utf8_become_replacement_characters(tokenizer):
    """A model may write half a character: its bytes decode to U+FFFD, never to nothing."""
    half, whole = tokenizer.encode("中")[:1], tokenizer.encode("中")
    assert tokenizer.decode(half) == "\ufffd" and tokenizer.decode(half + tokenizer.encode("a")) == "\ufffda"
    assert tokenizer.decode(whole) == "中"


@settings(deadline=None)
@given(any_text)
def test_what_the_split_pattern_leaves_out_is_kept(text):
    """With a pattern for letters only, digits and spaces between them are pieces of their own."""
    letters_only = make_tokenizer(changed("pre_tokenizer/pretokenizers/0/pattern/Regex", r"\p{L}+"))
    assert letters_only.decode(letters_only.encode(text)) == text


def test_200_000_letters_without_a_space_can_be_encoded(tokenizer):
    """They are one piece; a search through all pairs for each merge would take hours."""
    text = "theinga" * 30_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_lone_surrogates_are_named(tokenizer):
    with pytest.raises(InputError, match="udc80"):
        tokenizer.encode("ab\udc80")


def changed(path: str, value) -> dict:
    """The golden tokenizer.json with one entry replaced."""
    description = json.loads(json.dumps(DESCRIPTION))
    *parents, last = path.split("/")
    entry = description
    for key in parents:
        entry = entry[int(key) if key.isdecimal() else key]
    entry[int(last) if last.isdecimal() else last] = value
    return description


@pytest.mark.parametrize(
    "path, value, named",
    [
        ("model/type", "WordPiece", "WordPiece"),
        ("model/dropout", 0.1, "dropout"),
        ("model/byte_fallback", True, "byte_fallback"),
        ("model/ignore_merges", True, "ignore_merges"),
        ("model/continuing_subword_prefix", "##", "continuing_subword_prefix"),
        ("normalizer", {"type": "NFKC"}, "NFKC"),
        ("truncation", {"max_length": 5}, "truncation"),
        ("post_processor", {"type": "TemplateProcessing"}, "TemplateProcessing"),
        ("decoder", {"type": "WordPiece"}, "WordPiece"),
        ("pre_tokenizer", {"type": "Whitespace"}, "Whitespace"),
        ("pre_tokenizer/pretokenizers/0/behavior", "Removed", "Removed"),
        ("pre_tokenizer/pretokenizers/0/pattern", {"String": " "}, "Regex"),
        ("pre_tokenizer/pretokenizers/0/pattern", {"Regex": r"\p{Han}+"}, r"\\p\{Han\}"),
        ("pre_tokenizer/pretokenizers/0/pattern", {"Regex": r"\p{Lu}+"}, r"\\p\{Lu\}"),
        ("pre_tokenizer/pretokenizers/0/pattern", {"Regex": r"\d+"}, r"\\d"),
        ("pre_tokenizer/pretokenizers/0/pattern", {"Regex": "[[:alpha:]]"}, r"\["),
        ("pre_tokenizer/pretokenizers/1/add_prefix_space", True, "ByteLevel"),
        ("added_tokens/0/lstrip", True, "lstrip"),
        ("model/merges", ["q z"], "q"),
        ("model/vocab", {"a": 0}, "the vocabulary does not have"),
        ("added_tokens/0/id", -1, "whole numbers from 0 up"),
        ("added_tokens/0/id", "5", "whole numbers from 0 up"),
        ("model/vocab/!", 615, "'!' and '<|eot_id|>' have the same id 615".replace("|", r"\|")),
    ],
)
def test_unsupported_components_are_named(path, value, named):
    """What the file asks for and this tokenizer does not do is an error with its name, never a wrong id."""
    with pytest.raises(InputError, match=named):
        make_tokenizer(changed(path, value))


@pytest.mark.parametrize("path, value", [
    ("normalizer", {"type": "x" * 10_000}), ("model/merges", ["x" * 10_000 + " y"]), ("model/type", "x" * 10_000),
    ("model", None), ("model/merges", 5), ("model/vocab", []), ("added_tokens", [1]),
    ("pre_tokenizer/pretokenizers/0/pattern/Regex", "(" * 10_000),
    ("pre_tokenizer/pretokenizers/0/pattern/Regex", "a{99999999999}"),
    ("pre_tokenizer/pretokenizers/0/pattern/Regex", r"\pL"),
])
def test_a_malformed_file_is_named(path, value, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(changed(path, value)))
    with pytest.raises(InputError, match="tokenizer.json") as caught:
        read_tokenizer(tmp_path / "tokenizer.json")
    assert len(str(caught.value)) < 500
