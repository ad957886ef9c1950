"""The questions of a benchmark, how they are asked, and what is known about them before a model has been loaded."""

import json
from dataclasses import replace

import pytest
from golden_data import GOLDEN, picture

from minllada_v.errors import InputError
from minllada_v.evaluation.benchmarks import (
    BENCHMARKS,
    LETTER,
    WORD,
    candidates,
    check_pairs,
    check_question,
    prompts,
    score,
)
from minllada_v.evaluation.questions import Question, read_questions

PET = Question("1", "", (("Which pet?", ("B",)),), ("cat", "dog"), images=("pet.png",))
OPEN = replace(PET, options=())


PUBLISHED = json.loads((GOLDEN / "prompts.json").read_text())


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case["case"])
def test_the_published_prompts(case, tmp_path):
    """Word for word what the released evaluation asks about a picture, from a line of a file."""
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "data.jsonl").write_text(json.dumps(case["record"] | {"image": "a.png", "answer": "A"}))
    [question] = read_questions(tmp_path / "data.jsonl")
    assert prompts(BENCHMARKS[case["benchmark"]], question) == [case["prompt"]]


def test_every_published_prompt_is_tested_and_every_benchmark_has_one():
    """But for MathVerse, whose prompt is the record's own, and the small world."""
    assert len(PUBLISHED) == 21
    assert {case["benchmark"] for case in PUBLISHED} == {*BENCHMARKS} - {"mathverse", "small-world"}
    [prompt] = prompts(BENCHMARKS["mathverse"], replace(PET, turns=(("As it is.", ("B",)),)))
    assert prompt == "As it is. /think"


@pytest.mark.parametrize("name", set(BENCHMARKS) - {"small-world"})
def test_a_mode_is_set_only_where_pictures_are_shown_that_the_question_does_not_place(name):
    question = replace(PET, form="integer")
    mode = BENCHMARKS[name].mode
    assert prompts(BENCHMARKS[name], question)[0].endswith(mode)
    assert prompts(BENCHMARKS[name], replace(question, images=(), video="frames"))[0].endswith(mode)
    for other in (replace(question, images=()), replace(question, turns=(("Is <image> a pet?", ("B",)),))):
        assert "think" not in prompts(BENCHMARKS[name], other)[0]


@pytest.mark.parametrize(("form", "words"), [
    ("integer", "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end in the"),
    ("float 1", "requiring a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1"),
    ("list", "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at"),
])
def test_mathvista_says_which_form_its_number_has(form, words):
    question = replace(OPEN, form=form, unit="cm")
    [prompt] = prompts(BENCHMARKS["mathvista"], question)
    assert prompt.startswith("Question: Which pet? (Unit: cm)\nFirst perform") and words in prompt
    check_question(BENCHMARKS["mathvista"], question)
    for form in ("", "text", "float", "float 3"):
        with pytest.raises(InputError, match="1: MathVista's prompt says which form the answer has"):
            check_question(BENCHMARKS["mathvista"], replace(OPEN, form=form))


def test_only_the_half_in_pictures_has_no_question():
    """And there nothing stands beside the picture: a text would not be asked as published."""
    empty = replace(PET, turns=(("", ("B",)),))
    check_question(BENCHMARKS["mmmu-pro-vision"], empty)
    check_question(BENCHMARKS["mmmu"], PET)
    with pytest.raises(InputError, match="has its question in the picture"):
        check_question(BENCHMARKS["mmmu-pro-vision"], PET)
    with pytest.raises(InputError, match="1: question must be text that is not empty"):
        check_question(BENCHMARKS["mmmu"], empty)


@pytest.mark.parametrize(("names", "settings", "mode"), [
    (("mmmu", "mmmu-pro-standard", "mmmu-pro-vision", "mmstar", "mmbench", "seed-bench", "ai2d", "realworldqa", "mme",
      "muirbench", "videomme", "mlvu"), (2, 2, 2, ()), " /no_think"),
    (("chartqa",), (16, 16, 16, ("\n",)), " /no_think"),
    (("docvqa", "infovqa"), (32, 32, 16, ()), " /no_think"),
    (("mathvista",), (96, 96, 48, ()), " /think"),
    (("mathverse",), (64, 64, 32, ()), " /think"),
])
def test_released_settings(names, settings, mode):
    """Length, block, steps and stops, and the mode behind the question, as the released evaluation has them."""
    assert names
    for name in names:
        sampler = BENCHMARKS[name].sampler
        assert (sampler.gen_length, sampler.block_length, sampler.steps, sampler.stop) == settings
        assert prompts(BENCHMARKS[name], replace(OPEN, form="list"))[0].endswith(mode)


def test_a_multiple_choice_is_asked_with_its_letters():
    """Where published questions hold their options (MMStar) they may come apart too."""
    assert prompts(BENCHMARKS["mmmu"], PET) == [f"Which pet?\nA. cat\nB. dog\n\n{LETTER} /no_think"]
    assert prompts(BENCHMARKS["mmmu"], OPEN) == [f"Which pet?\n\n{WORD} /no_think"]
    assert prompts(BENCHMARKS["mmstar"], OPEN) == [f"Which pet?\n{LETTER[:-1]} /no_think"]
    assert prompts(BENCHMARKS["mmstar"], PET) == [f"Which pet?\nA. cat\nB. dog\n{LETTER[:-1]} /no_think"]
    assert prompts(BENCHMARKS["realworldqa"], OPEN) == ["Which pet? /no_think"]
    assert prompts(BENCHMARKS["realworldqa"], PET) == [f"Which pet?\nA. cat\nB. dog\n{LETTER} /no_think"]
    assert prompts(BENCHMARKS["small-world"], OPEN) == ["Which pet?"]


@pytest.mark.parametrize(("name", "question"), [
    ("pope", PET), ("pope", replace(OPEN, turns=(("Is it?", ("yes", "no")),))),
    ("mme", replace(OPEN, turns=(("Is it?", ("yes",)),), group="hats")),
    ("mmmu", replace(PET, turns=(("Which?", ("C",)),))), ("mathvista", replace(PET, turns=(("Which?", ("bird",)),))),
])
def test_questions_that_cannot_be_scored_are_refused(name, question):
    with pytest.raises(InputError, match="1: "):
        check_question(BENCHMARKS[name], question)


def test_mme_needs_two_questions_about_each_picture():
    """Under one name: else each question would be a pair of its own, and accuracy⁺ nothing but accuracy."""
    one, two = (Question(name, "OCR", (("Is it?", ("yes",)),), shown="a.png") for name in "12")
    check_pairs([one, two, replace(one, id="3", group="count"), replace(two, id="4", group="count")])
    for wrong in ([one], [one, two, replace(two, id="3")], [one, replace(two, shown="b.png")],
                  [one, replace(two, group="count")], [replace(one, shown=""), replace(two, shown="")]):
        with pytest.raises(InputError, match="1: MME asks two questions about each picture"):
            check_pairs(wrong)


def test_scores_take_the_best_accepted_answer_and_the_worst_turn():
    twice = Question("1", "", (("a?", ("x", "y")), ("b?", ("z",))))
    world = BENCHMARKS["small-world"]
    assert score(world, twice, ["y", "z"]) == 1
    assert score(world, twice, ["y", "x"]) == score(world, twice, ["z", "z"]) == 0
    assert score(BENCHMARKS["docvqa"], replace(OPEN, turns=(("a?", ("abcd", "wxyz")),)), ["Answer: wxyy"]) == 0.75
    assert score(BENCHMARKS["mmmu"], PET, ["dog"]) == 1 and score(BENCHMARKS["mathvista"], PET, ["(B)"]) == 1


@pytest.mark.parametrize(("name", "answer", "expected", "points"), [
    ("chartqa", "50.", "50", 1), ("chartqa", "red.", "red", 1), ("chartqa", "red..", "red", 0),
    ("docvqa", "Answer: Paris.", "Paris", 1), ("docvqa", "It says so. **Answer:** Paris, ", "Paris", 1),
    ("infovqa", "Answer: 3\nAnswer: at: 5", "5", 1), ("docvqa", "Paris", "Paris", 0), ("docvqa", "nothing", "None", 1),
    ("infovqa", "Paris", "None", 1), ("ocrbench", "It says: Paris.", "Paris", 1),
    ("mathvista", "It is 7 or 8. Answer: 5", "5", 1), ("mathvista", "Answer: 5 of 7", "5", 0),
    ("mathvista", "It is 5", "5", 1), ("mathvista", "First 5. Answer: two", "5", 0),
    ("realworldqa", "three", "3", 1), ("realworldqa", "Ten.", "10", 1), ("realworldqa", "eleven", "11", 0),
    ("realworldqa", "three cars", "3", 0), ("mmmu", "three", "3", 0),
    ("mmmu", "3.0", "3", 1), ("mmmu", "1,234", "1234", 1), ("mmmu", "$24", "24", 1), ("mmmu", "25", "24", 0),
    ("mmmu", "The result is a red apple", "red", 1),
])
def test_what_of_an_answer_counts(name, answer, expected, points):
    """Without its last full stop, and as each benchmark reads it."""
    assert score(BENCHMARKS[name], replace(OPEN, turns=(("?", (expected,)),)), [answer]) == points


def test_ocrbench_reads_handwritten_formulas_without_white_space():
    formula = Question("1", "Handwritten Mathematical Expression Recognition", (("?", ("x ^ 2",)),))
    assert score(BENCHMARKS["ocrbench"], formula, ["x^2"]) == 1
    assert score(BENCHMARKS["ocrbench"], replace(formula, group="Scene Text"), ["x^2"]) == 0


def test_likelihood_compares_letters_or_yes_and_no():
    assert candidates(BENCHMARKS["mmmu"], PET) == candidates(BENCHMARKS["mathvista"], PET) == ["A", "B"]
    assert candidates(BENCHMARKS["ai2d"], PET) == ["A", "B"] and candidates(BENCHMARKS["pope"], OPEN) == ["Yes", "No"]
    for name, question in (("mmmu", OPEN), ("chartqa", PET), ("small-world", OPEN)):
        with pytest.raises(InputError, match="score it by generation"):
            candidates(BENCHMARKS[name], question)
