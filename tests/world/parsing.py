"""A slow and obvious reader of questions: tries every wording of every kind, in all its spellings."""

import re
from functools import cache

from minllada_v.world.asking import POLITE
from minllada_v.world.scenes import COLOURS, SHAPES
from minllada_v.world.wordings import SYNONYMS, WORDINGS

SAME = {synonym: word for word, synonyms in SYNONYMS.items() for synonym in synonyms}  # "objects" → "shapes"
LOOKS = [f"{colour} {shape}" for colour in COLOURS for shape in (*SHAPES, "shape")]
PLURALS = [f"{shape}s" for shape in SHAPES]
VALUES = {
    "shape": SHAPES, "other": SHAPES, "colour": COLOURS, "row": ("top", "bottom"), "column": ("left", "right"),
    "side": ("left of", "right of", "above", "below"), "most": ("tallest", "shortest"), "thing": (*SHAPES, *LOOKS),
    "things": ("shapes", *PLURALS, *(f"{colour} shapes" for colour in COLOURS)),
    "this": (*SHAPES, *PLURALS, *(f"{colour} {word}" for colour in COLOURS for word in "one ones shape shapes".split())
             ),
}


def meanings(question: str) -> set[tuple[str, frozenset]]:
    """Every (kind, slots) that a question about the small world can have."""
    words = " ".join(SAME.get(word, word) for word in re.findall("[a-z'?]+", question.lower().rstrip("?.")))
    plain = [words]
    for way in POLITE:
        before, after = (re.sub("[^a-z ]", "", part).strip() for part in way.split("{}"))
        if words.startswith(f"{before} " if before else "") and words.endswith(f" {after}" if after else ""):
            plain.append(words.removeprefix(before).removesuffix(after).strip())
    return {(kind, frozenset(found.groupdict().items())) for text in plain for kind, pattern in patterns()
            if (found := pattern.fullmatch(text))}


@cache
def patterns() -> list[tuple[str, re.Pattern]]:
    """What the questions of each kind look like, one pattern for each wording."""
    result = []
    for kind, both in WORDINGS.items():
        for text in () if kind == "unknown" else (*both[0], *both[1]):
            canonical = " ".join(SAME.get(word, word) for word in re.findall("[a-z'{}]+", text))
            result.append((kind, re.compile(re.sub(r"\{(\w+)\}", slot_pattern, canonical))))
    return result


def slot_pattern(slot: re.Match) -> str:
    return f"(?P<{slot[1]}>{'|'.join(VALUES[slot[1]])})"
