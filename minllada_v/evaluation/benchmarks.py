"""The benchmarks by name: how a question is asked, how the answer is sampled, and what counts as right.

Prompts, the settings of the sampler, and " /no_think" or " /think" behind the question are those of the released
evaluation. It has no POPE, OCRBench and MVBench: theirs are the usual ones of lmms-eval, with the settings of the same
kind of answer. Some prompts could not be compared with the released ones. MathVista's for units, and for numbers other
than floats with two decimal places, follow the benchmark's own wording. MMStar and RealWorldQA are published with the
options in the question; where they come apart, they are shown in the usual way. A hint of MMBench must stand in the
question. MathVerse's question must be the record's own `query_cot`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from ..chat import IMAGE
from ..errors import InputError
from ..sampler_config import SamplerConfig
from .metrics import (
    anls,
    behind_answer,
    contained,
    document_answer,
    exact_match,
    expected_letter,
    formula_match,
    letter_match,
    letter_or_open_match,
    number_or_letter,
    number_word,
    read_yes_no,
    relaxed_match,
    without_stop,
    yes_no_match,
)
from .questions import Question

LETTER = "Answer with the option's letter from the given choices directly."
PRO_LETTER = "Answer with the option letter from the given choices directly."
WORD = "Answer the question using a single word or phrase."
REASON = ("Give the reason and then write your final answer in the format 'Answer: X' where X is the answer to the "
          "question.")
SUBTITLES = ("Select the best answer to the following multiple-choice question based on the video and the subtitles. "
             "Respond with only the letter (A, B, C, or D) of the correct option.\n")
THINK = "\nFirst perform reasoning, then finally {} in the following format: Answer: xxx."
CLOSEST = "\nIf it is hard to determine, give the closest answer."
NUMBERS = {  # MathVista's
    "integer": "an integer answer and provide the final value, e.g., 1, 2, 3,",
    "float 1": "a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4,",
    "float 2": "a floating-point number with two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45,",
    "list": "a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4],",
}
CHOOSING = (letter_match, letter_or_open_match, number_or_letter)  # rules that look at the options
MME_TASKS = {
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
    "perception": ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork",
                   "ocr"),
}


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark is asked and scored."""

    title: str
    metric: str  # what the table calls the score
    rule: Callable[..., float]  # of metrics.py
    sampler: SamplerConfig | None = None  # None: from as long a canvas as the model's config says
    front: str = ""  # before the question
    between: str = "\n"  # before the options
    label: str | None = "{}. "  # of an option, from its letter; None: they stand in the question or the picture
    choose: str = ""  # behind the options
    behind: str = ""  # behind a question without options
    mode: str = " /no_think"  # behind a question about pictures that does not place them itself
    read: Callable[[str], str] = str  # what of an answer counts
    remark: str = ""  # what the number cannot claim


def _choice(title: str, behind: str = "\n" + LETTER, **more) -> Benchmark:
    """A multiple choice; where the question holds its options itself, it ends in the same way."""
    return Benchmark(title, "accuracy", **{"rule": letter_match, "sampler": SamplerConfig(2),
                                           "choose": behind, "behind": behind} | more)


_YES_NO = Benchmark("", "yes or no", yes_no_match, SamplerConfig(2), behind="\n" + WORD)
_DOCUMENT = Benchmark("", "ANLS", anls, SamplerConfig(32, steps=16), behind="\n" + REASON,
                      read=document_answer)
_THINKING = Benchmark("", "accuracy", number_or_letter, SamplerConfig(96, steps=48), mode=" /think",
                      remark="The paper has a language model find the answer in what was said. Here a fixed rule reads "
                             "it, so this number and the paper's cannot be compared.")

BENCHMARKS = {
    "mmmu": _choice("MMMU", "\n\n" + WORD, choose="\n\n" + LETTER, rule=letter_or_open_match),
    "mmmu-pro-standard": _choice("MMMU-Pro standard", "\n\n" + PRO_LETTER),
    "mmmu-pro-vision": _choice("MMMU-Pro vision", PRO_LETTER, label=None),
    "mmstar": _choice("MMStar", "\n" + LETTER.removesuffix(".")),
    "mmbench": _choice("MMBench", "\n\n" + LETTER, between=" There are several options:\n", remark=(
        "Each line counts by itself. MMBench's own score asks every question once for each order of its options, and "
        "counts it if all are right.")),
    "seed-bench": _choice("SEED-Bench"),
    "ai2d": _choice("AI2D"),
    "realworldqa": _choice("RealWorldQA", "", choose="\n" + LETTER, read=number_word),  # its questions say how
    "mvbench": _choice("MVBench", "\nOnly give the best option.\n", front="Question:", between="\nOption:\n",
                       label="({}) "),
    "muirbench": _choice("MuirBench"),
    "videomme": _choice("Video-MME", "\n\n" + LETTER, front=SUBTITLES),
    "mlvu": _choice("MLVU", "\nOnly give the best option.\nBest option: (", label="({}) "),
    "pope": replace(_YES_NO, title="POPE"),
    "mme": replace(_YES_NO, title="MME", metric="accuracy + accuracy⁺"),
    "chartqa": Benchmark("ChartQA", "relaxed accuracy", relaxed_match,
                         SamplerConfig(16, stop=("\n",)),
                         behind="\nAnswer the question with a single word."),
    "docvqa": replace(_DOCUMENT, title="DocVQA"),
    "infovqa": replace(_DOCUMENT, title="InfoVQA"),
    "ocrbench": replace(_DOCUMENT, title="OCRBench", metric="contained", rule=contained, behind="", read=str),
    "mathvista": replace(
        _THINKING, title="MathVista", front="Question: ", between="\nChoices:\n", label="({}) ", read=behind_answer,
        choose=THINK.format("select the question from the choices") + CLOSEST,
        remark=_THINKING.remark + " Of LLaDA-V others measured 52.4 and 50.6, and 16.8 with another prompt."),
    "mathverse": replace(_THINKING, title="MathVerse", label=None,
                         sampler=SamplerConfig(64, steps=32)),
    "small-world": Benchmark("small world", "exact answers", exact_match, mode="", remark=(
        "A dialogue counts if every turn is right, where the model's own answers are the history of the next turn.")),
}


def check_question(benchmark: Benchmark, question: Question):
    """Raises `InputError` if the benchmark cannot ask this question, or its rule cannot tell right from wrong."""
    answers = [answer for _, expected in question.turns for answer in expected]
    unasked = not all(asked.strip() for asked, _ in question.turns)
    if unasked != (benchmark.title == "MMMU-Pro vision"):
        raise InputError(f"{question.id}: " + ("question must be text that is not empty" if unasked else
                         "MMMU-Pro's vision half has its question in the picture; leave question out"))
    if benchmark.rule is yes_no_match and {*map(read_yes_no, answers)} not in ({"yes"}, {"no"}):
        raise InputError(f"{question.id}: the answer to a yes/no question must be yes or no, not "
                         f"{' and '.join(map(repr, answers))}")
    if question.options and not any(expected_letter(answer, question.options) for answer in answers):
        raise InputError(f"{question.id}: the answer must be an option's letter or text, and {answers[0]!r} is neither")
    if benchmark.title == "MathVista" and not question.options and question.form not in NUMBERS:
        raise InputError(f"{question.id}: MathVista's prompt says which form the answer has; give options, or "
                         "answer_type integer, list, or float with a precision of 1 or 2")
    if benchmark.title == "MME" and question.group.lower() not in sum(MME_TASKS.values(), ()):
        raise InputError(f"{question.id}: group must be one of MME's tasks, {', '.join(sum(MME_TASKS.values(), ()))}, "
                         f"not {question.group!r}")


def check_pairs(questions: Sequence[Question]):
    """Raises `InputError` unless there are two of MME's questions about each picture. Accuracy⁺ would be accuracy if
    the picture had another name in each of them."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for question in questions:
        pairs.setdefault((question.group.lower(), question.shown), []).append(question.id)
    for (task, shown), ids in pairs.items():
        if len(ids) != 2 or not shown:
            raise InputError(f"{ids[0]}: MME asks two questions about each picture, and {len(ids)} of {task} name "
                             f"{shown or 'no picture'}; give the same name in both")


def prompts(benchmark: Benchmark, question: Question) -> list[str]:
    """What the model is asked in each turn: the question, its options, each with its letter, and how to answer."""
    behind = benchmark.behind
    if question.options and benchmark.label is not None:
        options = [benchmark.label.format(letter) + option for letter, option in zip(ascii_uppercase, question.options)]
        behind = benchmark.between + "\n".join(options) + benchmark.choose
    elif benchmark.title == "MathVista":
        behind = THINK.format(f"answer the question requiring {NUMBERS[question.form]} at the end") + CLOSEST
    if benchmark.title == "MathVista" and question.unit:
        behind = f" (Unit: {question.unit})" + behind
    asked = [benchmark.front + text + behind for text, _ in question.turns]
    if benchmark.title == "MME":
        asked = [text.replace(" Please answer yes or no.", "") for text in asked]
    shown = question.images or question.video is not None
    return [text + benchmark.mode * (bool(shown) and IMAGE not in text) for text in asked]


def candidates(benchmark: Benchmark, question: Question) -> list[str]:
    """The answers among which the likeliest is taken. Raises `InputError` if they are not known."""
    if benchmark.rule is yes_no_match:
        return ["Yes", "No"]
    if question.options and benchmark.rule in CHOOSING:
        return list(ascii_uppercase[:len(question.options)])
    raise InputError(f"{question.id}: the likelihood is compared between options, or between yes and no, and this "
                     "question has neither; score it by generation")


def score(benchmark: Benchmark, question: Question, answers: Sequence[str]) -> float:
    """From 0 to 1: that of the turn that went worst, each compared with the accepted answer that fits best."""
    rule = benchmark.rule
    if rule is contained and "handwritten mathematical" in question.group.lower():
        rule = formula_match
    more = (question.options,) if rule in CHOOSING else ()
    read = [benchmark.read(without_stop(answer)) for answer in answers]
    return min(max(rule(answer, expected, *more) for expected in accepted)
               for answer, (_, accepted) in zip(read, question.turns, strict=True))
