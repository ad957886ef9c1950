"""The questions of a benchmark, how they are asked, and what is known about them before a model has been loaded."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from golden_data import picture

from minllada_v.evaluation.questions import Question, read_questions, world_questions
from minllada_v.evaluation.benchmarks import BENCHMARKS, LETTER, WORD, candidates, check_pairs, check_question, prompts, score
from minllada_v.errors import InputError
from minllada_v.evaluate import WORLD_COUNT
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample

PET = Question("1", "", (("Which pet?", ("B",)),), ("cat", "dog"))
OPEN = replace(PET, options=())


@pytest.mark.parametrize(("names", "settings", "mode"), [
    (("mmmu", "mmstar", "mmbench", "seed-bench", "ai2d", "realworldqa", "mme", "muirbench", "videomme", "mlvu"),
     (2, 2, 2, ()), " /no_think"),
    (("chartqa",), (16, 16, 16, ("\n",)), " /no_think"),
    (("docvqa", "infovqa"), (32, 32, 16, ()), " /no_think"),
    (("mathvista",), (96, 96, 48, ()), " /think"),
    (("mathverse",), (64, 64, 32, ()), " /think"),
])
def test_released_settings(names, settings, mode):
    """Length, block, steps and stops, and the mode behind the question, as the released evaluation has them."""
    for name in names:
        sampler = BENCHMARKS[name].sampler
        assert (sampler.gen_length, sampler.block_length, sampler.steps, sampler.stop) == settings
        assert prompts(BENCHMARKS[name], OPEN)[0].endswith(mode)


def test_a_multiple_choice_is_asked_with_its_letters():
    assert prompts(BENCHMARKS["mmmu"], PET) == [f"Which pet?\nA. cat\nB. dog\n{LETTER} /no_think"]
    assert prompts(BENCHMARKS["mmmu"], OPEN) == [f"Which pet?\n{WORD} /no_think"]
    assert prompts(BENCHMARKS["mmstar"], OPEN) == [f"Which pet?\n{LETTER} /no_think"]  # its options are in the question
    assert prompts(BENCHMARKS["realworldqa"], OPEN) == ["Which pet? /no_think"]
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
    assert score(BENCHMARKS["docvqa"], replace(OPEN, turns=(("a?", ("abcd", "wxyz")),)), ["wxyy"]) == 0.75
    assert score(BENCHMARKS["mmmu"], PET, ["dog"]) == 1 and score(BENCHMARKS["mathvista"], PET, ["(B)"]) == 1


def test_ocrbench_reads_handwritten_formulas_without_white_space():
    formula = Question("1", "Handwritten Mathematical Expression Recognition", (("?", ("x ^ 2",)),))
    assert score(BENCHMARKS["ocrbench"], formula, ["x^2"]) == 1
    assert score(BENCHMARKS["ocrbench"], replace(formula, group="Scene Text"), ["x^2"]) == 0


def test_likelihood_compares_letters_or_yes_and_no():
    assert candidates(BENCHMARKS["mmmu"], PET) == ["A", "B"] and candidates(BENCHMARKS["pope"], OPEN) == ["Yes", "No"]
    for name, question in (("mmmu", OPEN), ("chartqa", PET), ("small-world", OPEN)):
        with pytest.raises(InputError, match="score it by generation"):
            candidates(BENCHMARKS[name], question)
