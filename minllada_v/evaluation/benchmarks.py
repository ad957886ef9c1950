"""The benchmarks by name: what is put behind a question, how the answer is sampled, and what counts as right.

The settings of the sampler, and " /no_think" or " /think" behind the question, are those of the released evaluation.
Where that says nothing about a benchmark we take its settings for the same kind of answer. The sentences that ask for a
letter or a word are the usual ones since LLaVA-1.5 (arXiv 2310.03744).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from .questions import Question
from ..errors import InputError
from .metrics import (
    anls, contained, exact_match, expected_letter, formula_match, letter_match, number_or_letter, read_yes_no,
    relaxed_match, yes_no_match,
)
from ..sampler_config import SamplerConfig

LETTER = "Answer with the option's letter from the given choices directly."
WORD = "Answer the question using a single word or phrase."
MME_TASKS = {
    "perception": ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork",
                   "ocr"),
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
}


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark is asked and scored."""

    title: str
    metric: str  # what the table calls the score
    rule: Callable[..., float]  # of metrics.py
    sampler: SamplerConfig | None = None  # None: from as long a canvas as the model's config says
    suffix: str = ""  # behind a question without `options`; with them, it is LETTER
    mode: str = " /no_think"  # behind everything
    remark: str = ""  # what the number cannot claim


_CHOICE = Benchmark("", "accuracy", letter_match, SamplerConfig(2, steps=2, block_length=2), LETTER)  # the question may hold the options
_YES_NO = Benchmark("", "yes or no", yes_no_match, SamplerConfig(2, steps=2, block_length=2), WORD)
_DOCUMENT = Benchmark("", "ANLS", anls, SamplerConfig(32, steps=16, block_length=32), WORD)
_THINKING = Benchmark("", "accuracy", number_or_letter, SamplerConfig(96, steps=48, block_length=96), mode=" /think", remark=(
    "The paper has a language model find the answer in what was said. Here a fixed rule reads it, so this number "
    "and the paper's cannot be compared."))

BENCHMARKS = {
    "mmmu": replace(_CHOICE, title="MMMU", suffix=WORD),
    "mmstar": replace(_CHOICE, title="MMStar"),
    "mmbench": replace(_CHOICE, title="MMBench", remark=(
        "Each line counts by itself. MMBench's own score asks every question once for each order of its options, and "
        "counts it if all are right.")),
    "seed-bench": replace(_CHOICE, title="SEED-Bench"),
    "ai2d": replace(_CHOICE, title="AI2D"),
    "realworldqa": replace(_CHOICE, title="RealWorldQA", suffix=""),  # its questions say how to answer
    "mvbench": replace(_CHOICE, title="MVBench"),
    "muirbench": replace(_CHOICE, title="MuirBench"),
    "videomme": replace(_CHOICE, title="Video-MME"),
    "mlvu": replace(_CHOICE, title="MLVU"),
    "pope": replace(_YES_NO, title="POPE"),
    "mme": replace(_YES_NO, title="MME", metric="accuracy + accuracy⁺"),
    "chartqa": Benchmark("ChartQA", "relaxed accuracy", relaxed_match, SamplerConfig(16, stop=("\n",)),
                         "Answer the question with a single word."),
    "docvqa": replace(_DOCUMENT, title="DocVQA"),
    "infovqa": replace(_DOCUMENT, title="InfoVQA"),
    "ocrbench": replace(_DOCUMENT, title="OCRBench", metric="contained", rule=contained, suffix=""),
    "mathvista": replace(_THINKING, title="MathVista"),
    "mathverse": replace(_THINKING, title="MathVerse", sampler=SamplerConfig(64, steps=32, block_length=64)),
    "small-world": Benchmark("small world", "exact answers", exact_match, mode="", remark=(
        "A dialogue counts if every turn is right, where the model's own answers are the history of the next turn.")),
}


def check_question(benchmark: Benchmark, question: Question):
    """Raises `InputError` if the benchmark's rule cannot tell right from wrong in this question."""
    answers = [answer for _, expected in question.turns for answer in expected]
    if benchmark.rule is yes_no_match and {*map(read_yes_no, answers)} not in ({"yes"}, {"no"}):
        raise InputError(f"{question.id}: the answer to a yes/no question must be yes or no, not "
                         f"{' and '.join(map(repr, answers))}")
    if question.options and not any(expected_letter(answer, question.options) for answer in answers):
        raise InputError(f"{question.id}: the answer must be an option's letter or text, and {answers[0]!r} is neither")
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
    """What the model is asked in each turn: the question, its options, each with its letter, and the suffix."""
    options = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, question.options)]
    suffix = LETTER if options else benchmark.suffix
    return ["\n".join(filter(None, (asked, *options, suffix))) + benchmark.mode for asked, _ in question.turns]


def candidates(benchmark: Benchmark, question: Question) -> list[str]:
    """The answers among which the likeliest is taken. Raises `InputError` if they are not known."""
    if benchmark.rule is yes_no_match:
        return ["Yes", "No"]
    if question.options and benchmark.rule in (letter_match, number_or_letter):
        return list(ascii_uppercase[:len(question.options)])
    raise InputError(f"{question.id}: the likelihood is compared between options, or between yes and no, and this "
                     "question has neither; score it by generation")


def score(benchmark: Benchmark, question: Question, answers: Sequence[str]) -> float:
    """From 0 to 1: that of the turn that went worst, each compared with the accepted answer that fits best."""
    rule = benchmark.rule
    if rule is contained and "handwritten mathematical" in question.group.lower():
        rule = formula_match
    more = (question.options,) if rule in (letter_match, number_or_letter) else ()
    return min(max(rule(answer, expected, *more) for expected in accepted)
               for answer, (_, accepted) in zip(answers, question.turns, strict=True))
