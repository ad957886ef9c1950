"""A question as somebody might type it: in one of its wordings, with capital letters and marks or without."""

import re
from collections.abc import Mapping

from numpy.random import Generator

from .scenes import COLOURS, SHAPES, pick
from .unrelated_questions import spliced
from .wordings import SYNONYMS, WORDINGS

QUESTION_WORDS = (
    "what", "which", "where", "how", "is", "are", "does", "do", "can", "any", "who", "why", "when", "and", "would",
    "have", "in", "on", "from", "seen", "compared", "of", "has", "will", "did", "should", "could",
)
SPLICED = 0.4  # share of the trained unrelated questions
POLITE = ("please, {}", "{}, please", "please {}", "{} please", "hey, {}", "so, {}", "ok, {}", "hi, {}", "tell me, {}")


def word(rng: Generator, kind: str, slots: Mapping[str, str], held_out: bool = False) -> str:
    """A question of that kind, typed as somebody might. `held_out` takes a wording that training never draws."""
    text = pick(rng, WORDINGS[kind][held_out])
    if kind == "unknown" and not held_out and rng.random() < SPLICED:
        text = spliced(rng, FAMILIAR)
    if kind != "unknown":
        text = re.sub("[a-z]+(?![a-z}])", lambda found: pick(rng, SYNONYMS.get(found[0], (found[0],))), text)
    return typed(rng, text.format(**{name: _said(rng, value) for name, value in slots.items()}))


def _said(rng: Generator, value: str) -> str:
    """What fills a bracket, with synonyms for its last word."""
    *before, last = value.split(" ")
    return " ".join([*before, pick(rng, SYNONYMS.get(last, (last,)))])


def typed(rng: Generator, text: str) -> str:
    """`text` with or without a capital letter, a final mark and a polite word."""
    asks = text.split(" ")[0].rstrip(",") in QUESTION_WORDS or text.endswith("isn't it")
    if rng.random() < 0.15:
        text = pick(rng, POLITE).format(text)
    way = rng.random()
    if way < 0.5:
        text = text[0].upper() + text[1:]
    elif way > 0.97:
        text = text.upper()
    if rng.random() < 0.7:
        text += "?" if asks else "."
    return text


def words_of_wordings() -> list[str]:
    """Every word that `word` can say about the small world, in lower case."""
    texts = [text for kind, both in WORDINGS.items() if kind != "unknown" for wordings in both for text in wordings]
    texts += [*POLITE, *(text for synonyms in SYNONYMS.values() for text in synonyms)]
    return list(dict.fromkeys(found for text in texts for found in re.findall("[a-z]+(?![a-z}])", text)))


FAMILIAR = {*words_of_wordings(), *COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), "top", "bottom"}
