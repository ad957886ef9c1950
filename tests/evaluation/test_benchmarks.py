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


def write(folder, *entries) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))
    return path


def test_a_file_is_read_as_it_says(tmp_path):
    """Pictures lie beside the file, numbers may be numbers, empty lines count as lines, and any id will do."""
    picture(0).save(tmp_path / "a.png")
    path = write(tmp_path, {"question": "How many?", "answer": 3, "image": "a.png", "group": "count"}, "",
                 {"id": 7, "question": "Which?", "answers": ["B", "dog"], "images": ["a.png", "a.png"],
                  "options": ["cat", "dog"]},
                 {"question": "Hi?", "answer": "yes", "video": "."})
    first, second, third = read_questions(path)
    assert (first.id, first.group, first.turns) == ("1", "count", (("How many?", ("3",)),))
    assert first.images == (tmp_path / "a.png",) and first.options == () and first.video is None
    assert (second.id, second.options) == ("7", ("cat", "dog")) and second.turns[0][1] == ("B", "dog")
    assert len(second.images) == 2 and second.shown == "a.png, a.png"
    assert (third.id, third.video, third.shown) == ("4", tmp_path, ".")


def test_pictures_may_lie_in_another_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    picture(0).save(tmp_path / "pictures" / "a.png")
    path = write(tmp_path, {"question": "?", "answer": "A", "image": "a.png"})
    assert read_questions(path, tmp_path / "pictures")[0].images == (tmp_path / "pictures" / "a.png",)
    with pytest.raises(InputError, match="line 1: .*a.png does not exist"):
        read_questions(path)


GOOD = {"id": "x", "question": "Why?", "answer": "A"}


@pytest.mark.parametrize(("entries", "message"), [
    ([GOOD, GOOD], "line 2: the id 'x' was there before"),
    ([GOOD, "{"], "line 2: this is not valid JSON"),
    (["[]"], "line 1: each line must be a JSON object"),
    (["[" * 100000], "line 1: this is not valid JSON"),
    ([GOOD | {"question": ""}], "question must be a text"),
    ([GOOD | {"question": None}], "question must be a text"),
    ([GOOD | {"answer": ""}], "it has no answer"),
    ([GOOD | {"answer": []}], "it has no answer"),
    ([GOOD | {"answer": True}], "answer must be text, not True"),
    ([GOOD | {"answer": {"a": 1}}], "answer must be text"),
    ([GOOD | {"answers": ["B"]}], "it has answers and answer; give one"),
    ([{"question": "Why?"}], "it has no answer"),
    ([GOOD | {"options": list(range(27))}], "27 options"),
    ([GOOD | {"image": "no.png"}], "no.png does not exist"),
    ([GOOD | {"image": "\0"}], "line 1: "),
    ([GOOD | {"video": ["a", "b"]}], "either pictures or one video"),
    ([GOOD | {"video": ".", "image": "."}], "either pictures or one video"),
    ([GOOD | {"id": None, "group": ["a"]}], "group must be text"),
    ([""], "holds no questions"),
])
def test_a_line_that_makes_no_sense_is_named(tmp_path, entries, message):
    with pytest.raises(InputError, match=message):
        read_questions(write(tmp_path, *entries))


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "latin").write_bytes(b'{"question": "\xe4"}')
    for name, message in (("missing", "missing cannot be read"), ("latin", "is not UTF-8"), (".", "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_questions(tmp_path / name)


def test_the_small_world_is_always_the_same_and_held_out():
    """`count` of each ability; they are the samples of the test split with the first seeds, whoever draws them."""
    questions = world_questions(3)
    ids = [f"{ability} {seed}" for ability in ABILITIES for seed in range(3)]
    assert [question.id for question in questions] == ids
    for question in questions:
        ability, seed = question.id.split()
        sample = draw_sample(ability, int(seed), "test")
        assert question.group == ability
        assert [text for asked, (answered,) in question.turns for text in (asked, answered)] == [
            message["value"] for message in sample.conversation]
        pictures = question.video if sample.video else question.images
        assert [shown.tobytes() for shown in pictures] == [shown.tobytes() for shown in sample.pictures]
    assert [question.turns for question in world_questions(5) if int(question.id.split()[1]) < 3] == [
        question.turns for question in questions]


def test_half_of_the_small_worlds_yes_no_questions_are_traps():
    """In the 40 that are asked where nobody says how many: always saying yes is right in about half of them."""
    said = [question.turns[0][1][0] for question in world_questions(WORLD_COUNT) if question.group == "yes_no"]
    assert len(said) == WORLD_COUNT and 17 <= sum(answer.endswith(" yes") for answer in said) <= 23
    assert all(answer.endswith((" yes", " no")) for answer in said)


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
