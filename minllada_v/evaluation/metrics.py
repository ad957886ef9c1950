"""Right or wrong: the text of an answer against what a benchmark expects, each by its published rule.

A score is from 0 to 1. Every rule is a plain function of the two texts: no model helps to read an answer, none is ever
guessed, and an answer that cannot be read is wrong. Where that departs from a benchmark's own script it is said.

What the released evaluation makes of an answer first stands at the top; `benchmarks.score` does it.
"""

import math
import re
from collections.abc import Sequence
from decimal import MAX_PREC, ROUND_HALF_UP, Context, Decimal
from string import ascii_uppercase

NUMBER = r"[-+]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
OPEN_NUMBER = (r"-?\b[0-9]{1,3}(?:,[0-9]{3})+\b|-?[0-9]+(?:\.[0-9]+)?e[+-]?[0-9]+"
               r"|-?(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+\b)(?!e[+-]?[0-9]+)(?![,0-9])")
ANLS_THRESHOLD = 0.5
RELAXED_TOLERANCE = 0.05
DIGITS = dict(zip("zero one two three four five six seven eight nine ten".split(), map(str, range(11))))
KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")  # before MMMU's open answers


def without_stop(answer: str) -> str:
    """Without the full stop at its very end, if there is one, and outer white space: of every answer."""
    return answer.removesuffix(".").strip()


def behind_answer(answer: str) -> str:
    """What stands behind the last "Answer:", which MathVista's prompt asks for, or everything."""
    return answer.rpartition("Answer:")[2].strip()


def document_answer(answer: str) -> str:
    """As the released evaluation reads DocVQA and InfoVQA: without asterisks, what stands behind the last colon of the
    last "Answer:", without outer blanks, full stops and commas. Without an "Answer:" it is the text "None"."""
    answer = answer.replace("*", "")
    return answer.rpartition(":")[2].strip(" .,") if "Answer:" in answer else "None"


def number_word(answer: str) -> str:
    """One of the words zero to ten as digits (RealWorldQA); anything else as it is."""
    return DIGITS.get(answer.lower(), answer)


def exact_match(answer: str, expected: str) -> float:
    """1 if the texts are equal, apart from case, the amount of white space and a full stop at the end."""
    return float(_plain(answer) == _plain(expected))


def letter_match(answer: str, expected: str, options: Sequence[str] = ()) -> float:
    """1 if the answer names the right option: accuracy of MMMU (arXiv 2311.16502), MMStar (2403.20330) and the others.

    `expected` is a letter or the text of an option. Where it is neither (RealWorldQA's yes, no and counts) the texts
    must match exactly. MMMU's own script guesses an option where it cannot read one.
    """
    wanted = expected_letter(expected, options)
    return exact_match(answer, expected) if wanted is None else float(read_letter(answer, options) == wanted)


def letter_or_open_match(answer: str, expected: str, options: Sequence[str] = ()) -> float:
    """MMMU's accuracy: of a question with options as `letter_match`, else as `open_match`."""
    return letter_match(answer, expected, options) if options else open_match(answer, expected)


def open_match(answer: str, expected: str) -> float:
    """MMMU's published rule for open questions (arXiv 2311.16502): 1 if one of the answer's key phrases contains the
    expected text or, where a number is expected, is that number or holds it, to two decimal places.

    A line's key phrase is the shortest that stands behind "is", "so", "therefore" and the like, in the last line also
    behind "="; without any of these, the whole answer is one. Numbers may have commas between thousands, an exponent,
    or a unit: 3.0 is 3, 1,234 is 1234, and $24 is 24. A text of one character must have a blank beside it.
    """
    lines = answer.strip().strip(".").lower().split("\n")
    phrases = []
    for number, line in enumerate(lines, start=1):
        keys = (*KEYS, "=") if number == len(lines) else KEYS
        tails = [line.rpartition(key)[2].strip() for key in keys if key in line]
        phrases += sorted(filter(None, tails), key=len)[:1]
    phrases = [phrase for phrase in phrases if phrase not in set(":,.!?;'")] or ["\n".join(lines)]
    said, wanted = list(map(_number_or_texts, phrases)), _number_or_texts(expected)
    if isinstance(wanted, float):
        numbers = [_number_or_texts(number) for phrase in phrases for number in re.findall(OPEN_NUMBER, phrase)]
        return float(wanted in said + numbers)
    return float(any(form in text for form in wanted for texts in said if isinstance(texts, list) for text in texts))


def _number_or_texts(text: str) -> float | list[str]:
    """A number, rounded to two decimal places, or else the forms of a text that must be found (MMMU)."""
    text = text.strip().lower()
    number = read_number(text) if not text.endswith("%") else None
    if number is not None:
        return round(number, 2)
    return [" " + text, text + " "] if len(text) == 1 else [text]


def expected_letter(expected: str, options: Sequence[str] = ()) -> str | None:
    """The letter that a benchmark expects, given as the letter or as the text of an option; None if it is neither.

    Where an option's text is itself a letter, as in "which letter is written here?", `expected` is read as the label.
    """
    letter = expected.strip().strip("().")
    if len(letter) == 1 and letter in ascii_uppercase[:len(options) or 26]:
        return letter
    return next((letter for letter, option in zip(ascii_uppercase, options) if exact_match(expected, option)), None)


def read_letter(answer: str, options: Sequence[str] = ()) -> str | None:
    """The letter of the option that an answer names, or None where it names none, or two.

    What follows the last "answer is" or "answer:" is read, or else everything. In this order: the words of an option
    and nothing else; a letter at the start ("B", "(B) because", "B. cat", "B because", or a small one alone or with its
    bracket, "b", "(b) because"); the words of just one option, anywhere; just one capital letter, anywhere, where no
    option is named; one behind "not" does not count. At the start "A" and "I" may be words of a sentence, so in front
    of a blank they are letters only in this last case.
    """
    letters = ascii_uppercase[:len(options) or 26]
    said = re.split(r"\banswer(?:\s+is\b\s*:?|\s*:)", answer, flags=re.IGNORECASE)[-1].strip()
    exact = [letter for letter, option in zip(letters, options) if len(option) > 1 and exact_match(said, option)]
    if exact:
        return exact[0] if len(exact) == 1 else None
    if re.match(rf"\W*[{letters}]\W*(?:[,/&]|\b(?:or|and)\b)\W*[{letters}]\b", said):
        return None
    no_words = letters.translate({ord("A"): None, ord("I"): None})
    start = re.match(rf"\(([{letters}])\)|\[([{letters}])\]|([{letters}])(?:$|[).:,\n])"
                     + (rf"|([{no_words}])\s" if no_words else ""), said)
    if start:
        return next(filter(None, start.groups()))
    if small := re.fullmatch(rf"\(?([{letters.lower()}])(?:[).:]*|\).*)", said, re.DOTALL):
        return small[1].upper()
    named = [letter for letter, option in zip(letters, options) if _holds_words(said, option)]
    named = [letter for letter in named if not any(_inside(letter, other, options) for other in named)]
    if len(named) == 1:
        return named[0]
    said = re.sub(rf"(?:\bnot|n't)\s+(?:option\s+)?[(\[]?[{letters}][)\]]?(?!'?\w)", "", said, flags=re.IGNORECASE)
    alone = set(re.findall(rf"(?<!\w)(?<!\w')[{letters}](?!'?\w)", said))
    return alone.pop() if len(alone) == 1 and not named else None


def read_yes_no(answer: str) -> str | None:
    """ "yes", "no", or None: the first word of the first sentence that is one of yes, no and not (which means no).

    POPE's own script (arXiv 2305.10355) says no where the first sentence has "no" or "not" anywhere, "Yes, there is no
    other" included, and takes everything else, silence too, for yes. MME's (2306.13394) reads the first four letters.
    """
    words = re.findall(r"[a-z]+(?:'[a-z]+)*", re.split(r"[.\n]", answer.strip().lower())[0])
    said = next((word for word in words if word in ("yes", "no", "not")), None)
    return "no" if said == "not" else said


def yes_no_match(answer: str, expected: str) -> float:
    """1 if the answer says yes where `expected` does, and no where that does (POPE, MME)."""
    return float(read_yes_no(answer) is not None and read_yes_no(answer) == read_yes_no(expected))


def relaxed_match(answer: str, expected: str) -> float:
    """Relaxed accuracy of ChartQA (arXiv 2203.10244): a number may be off by 5 % of the expected one, a text must be
    the same but for case.

    "n %" counts as n / 100, as in the common script, so "50%" is wrong where "50" is expected. 5 % off is still right,
    and where 0 is expected nothing but 0 is. Unlike that script we read commas between thousands.
    """
    said, wanted = read_number(answer), read_number(expected)
    if said is None or wanted is None:
        return float(answer.strip().lower() == expected.strip().lower())
    return float(abs(said - wanted) <= RELAXED_TOLERANCE * abs(wanted) * (1 + 1e-12))


def read_number(text: str) -> float | None:
    """The number that `text` is as a whole, or None. A percent sign divides it by 100."""
    match = re.fullmatch(rf"({NUMBER})\s*(%?)", text.strip())
    value = float(match[1].replace(",", "")) / (100 if match[2] else 1) if match else math.inf
    return value if math.isfinite(value) else None


def anls(answer: str, expected: str) -> float:
    """Normalized Levenshtein similarity (arXiv 1905.13648, equation 1; DocVQA, InfographicVQA): 1 − NL where NL < 0.5,
    and else 0. NL is the number of edits over the length of the longer text; case and extra white space don't count.

    The mean over all questions is ANLS; where several answers are accepted the best one counts. NL = 0.5 is 0 by the
    equation; some scripts give it 0.5.
    """
    said, wanted = " ".join(answer.lower().split()), " ".join(expected.lower().split())
    distance = edits(said, wanted) / max(len(said), len(wanted), 1)
    return 1 - distance if distance < ANLS_THRESHOLD else 0.0


def edits(first: str, second: str) -> int:
    """Levenshtein distance: how many characters must be put in, taken out or replaced."""
    row = list(range(len(second) + 1))  # row[j] edits lead from what has been read of `first` to second[:j]
    for i, character in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (character != other))
    return row[-1]


def contained(answer: str, expected: str) -> float:
    """1 if the answer contains the expected text, in whatever case, a line break counting as a blank (OCRBench, arXiv
    2305.07895)."""
    said, wanted = (text.strip().lower().replace("\n", " ") for text in (answer, expected))
    return float(wanted in said)


def formula_match(answer: str, expected: str) -> float:
    """1 if the answer contains the expected formula, white space aside: OCRBench's rule for handwritten mathematics."""
    said, wanted = ("".join(text.split()) for text in (answer, expected))
    return float(wanted in said)


def number_or_letter(answer: str, expected: str, options: Sequence[str] = ()) -> float:
    """Of MathVista (arXiv 2310.02255): the right option, or the right number, or else the same text.

    The number is the last one in the answer, rounded to the decimals of the expected one; a whole number must be met
    exactly. The paper has a language model find the answer in the text, and so scores some answers as right that this
    rule cannot read; and its script takes the most similar option, and cuts decimals off where a whole number is
    expected.
    """
    if options:
        return letter_match(answer, expected, options)
    if read_number(expected) is None:
        return exact_match(answer, expected)
    wanted = Decimal(re.match(NUMBER, expected.strip())[0].replace(",", ""))
    found = re.findall(rf"(?<![\w.]){NUMBER}(?!\w)", answer)
    if not found:
        return 0.0
    said, decimals = Decimal(found[-1].replace(",", "")), -wanted.as_tuple().exponent
    if decimals > 0:
        said = said.quantize(Decimal((0, (1,), -decimals)), ROUND_HALF_UP, Context(MAX_PREC))
    return float(said == wanted)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).removesuffix(".").rstrip()


def _holds_words(text: str, words: str) -> bool:
    """Whether `words` stand in `text`, neither inside a longer word nor, as 5 in 0.5 or -5, inside another number."""
    words = _plain(words)
    before = r"(?<![\w.,−-])" if words[:1].isdigit() else r"(?<!\w)"
    after = r"(?!\w|[.,]\d)" if words[-1:].isdigit() else r"(?!\w)"
    return bool(words) and re.search(before + re.escape(words) + after, _plain(text)) is not None


def _inside(letter: str, other: str, options: Sequence[str]) -> bool:
    """Whether the words of one option are a part of another's, as "red" is of "dark red"."""
    mine, theirs = (options[ascii_uppercase.index(name)] for name in (letter, other))
    return letter != other and _plain(mine) != _plain(theirs) and _holds_words(theirs, mine)
