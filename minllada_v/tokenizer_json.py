"""`tokenizer.json`, the format of Hugging Face's tokenizers, to a `Tokenizer`.

What a file asks for and `tokenizer.py` does not do is refused by name, for a wrong token id would be noticed by nobody.
"""

import re
import unicodedata
from functools import cache, partial
from pathlib import Path

from .errors import InputError, quote
from .files import read_json
from .tokenizer import BYTE_TO_CHARACTER, Tokenizer


def read_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in the file `tokenizer.json`. Raises `InputError`, naming the file, if it is missing, broken or not
    supported."""
    description = read_json(Path(path))
    try:
        return make_tokenizer(description)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, re.error) as error:
        raise InputError(f"{path} is not a tokenizer file: {type(error).__name__} {str(error)[:200]}") from None


def make_tokenizer(description: dict) -> Tokenizer:
    """The tokenizer that the object in `tokenizer.json` describes. Raises `InputError` for anything in it that is not
    supported."""
    _check_supported(description)
    model = description["model"]
    vocabulary: dict[str, int] = dict(model["vocab"])
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    for left, right in merges:
        if left + right not in vocabulary:
            raise InputError(f"the merge {quote(left)} {quote(right)} makes a token that the vocabulary does not have")
    missing = [byte for byte, character in enumerate(BYTE_TO_CHARACTER) if character not in vocabulary]
    if missing:
        raise InputError(f"the vocabulary has no token for byte 0x{missing[0]:02X}; this is not byte-level BPE")

    added = description.get("added_tokens") or []
    special = {token["content"]: token["id"] for token in added}
    ids = vocabulary | special
    if any(type(index) is not int or index < 0 for index in ids.values()):
        raise InputError("token ids must be whole numbers from 0 up")
    first_with: dict[int, str] = {}
    for token, index in ids.items():
        if first_with.setdefault(index, token) != token:
            raise InputError(f"the tokens {quote(first_with[index])} and {quote(token)} have the same id {index}")
    split, _ = _pre_tokenizers(description)
    skipped = [token["id"] for token in added if token.get("special")]
    return Tokenizer(vocabulary, merges, python_pattern(split["pattern"]["Regex"]), special, skipped)


def _pre_tokenizers(description: dict) -> list[dict]:
    pre_tokenizer = description.get("pre_tokenizer") or {"type": "none at all"}
    return pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]


def _check_supported(description: dict):
    """Raise `InputError` for the first component of `tokenizer.json` that this file does not implement."""
    def need(condition: bool, component: str):
        if not condition:
            raise InputError(f"the tokenizer uses {component[:200]}, which is not supported")

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


# Python knows the Unicode of its own version: 14 in 3.11, 16 in 3.14. What the released tokenizer knows depends on the
# version of Hugging Face's `tokenizers`: Unicode 14 up to 0.20, Unicode 16 from 0.21 on. Here it is Unicode 16 under
# every Python up to 3.14, for these are the letters (L) and numbers (N) that it has and Unicode 14 has not. A later
# Python may know a few more of them, in scripts that no vocabulary holds.
SINCE_UNICODE_14 = {
    "L": "1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 1123F-11240 11380-11389 1138B "
         "1138E 11390-113B5 113B7 113D1 113D3 11BC0-11BE0 11F02 11F04-11F10 11F12-11F33 1342F 13441-13446 13460-143FA "
         "16100-1611D 16D40-16D6C 18CFF 1B132 1B155 1DF25-1DF2A 1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0 2B739 "
         "2EBF0-2EE5D 31350-323AF",
    "N": "10D40-10D49 116D0-116E3 11BF0-11BF9 11F50-11F59 16130-16139 16D70-16D79 1CCF0-1CCF9 1D2C0-1D2D3 1E4F0-1E4F9 "
         "1E5F1-1E5FA",
}


@cache
def _category(name: str) -> str:
    r"""The code points of the Unicode category L or N, as the inside of a `[…]`."""
    if name not in SINCE_UNICODE_14:
        raise InputError(f"the split pattern uses \\p{{{name}}}, which is not supported")
    runs = re.finditer(name.encode() + b"+", _categories())
    return "".join(f"\\U{run.start():08x}-\\U{run.end() - 1:08x}" for run in runs)


@cache
def _categories() -> bytes:
    """The first letter of each code point's Unicode category."""
    letters = bytearray(ord(unicodedata.category(chr(point))[0]) for point in range(0x110000))
    for name, ranges in SINCE_UNICODE_14.items():
        for first, *last in (map(partial(int, base=16), part.split("-")) for part in ranges.split()):
            end = (last[0] if last else first) + 1
            letters[first:end] = name.encode() * (end - first)
    return bytes(letters)
