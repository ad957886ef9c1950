"""The questions of a file: what is read, what is refused by name, and which two are the same."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from golden_data import picture
from hypothesis import given
from hypothesis import strategies as st

from minllada_v.errors import InputError
from minllada_v.evaluate import WORLD_COUNT
from minllada_v.evaluation.questions import Question, digest, read_questions, without_letters, world_questions
from minllada_v.world.lessons import LESSONS
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample


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
    assert (first.id, first.group, first.turns) == (1, "count", (("How many?", ("3",)),))
    assert first.images == (tmp_path / "a.png",) and first.options == () and first.video is None
    assert (second.id, second.options) == (7, ("cat", "dog")) and second.turns[0][1] == ("B", "dog")
    assert len(second.images) == 2 and second.shown == "a.png, a.png"
    assert (third.id, third.video, third.shown) == (4, tmp_path, ".")


def test_pictures_may_lie_in_another_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    picture(0).save(tmp_path / "pictures" / "a.png")
    path = write(tmp_path, {"question": "?", "answer": "A", "image": "a.png"})
    assert read_questions(path, tmp_path / "pictures")[0].images == (tmp_path / "pictures" / "a.png",)
    with pytest.raises(InputError, match="line 1: .*a.png does not exist"):
        read_questions(path)


GOOD = {"id": "x", "question": "Why?", "answer": "A"}


@pytest.mark.parametrize(("entries", "message"), [
    ([GOOD, GOOD], "lines 1 and 2 have the same id 'x'"),
    ([GOOD, "{"], "line 2: this is not valid JSON"),
    (["[]"], "line 1: each line must be a JSON object"),
    (["[" * 100000], "line 1: this is not valid JSON"),
    ([GOOD | {"question": ""}], "question must be text"),
    ([GOOD | {"question": None}], "question must be text"),
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
    for name, message in (("missing", "missing does not exist"), ("latin", "is not UTF-8"), (".", "is a folder, not")):
        with pytest.raises(InputError, match=message):
            read_questions(tmp_path / name)


@pytest.mark.parametrize("lines", [[{"id": 3, "prompt": "a"}, {"id": 3, "prompt": "b"}],
                                   [{"prompt": "a"}, {"id": 1, "prompt": "b"}], [{"id": 2, "prompt": "a"}, "broken"]])
def test_equal_ids_are_rejected(lines, tmp_path):
    with pytest.raises(InputError, match="lines 1 and 2 have the same id"):
        read_questions(write(tmp_path, *lines), judged=False)


def test_the_number_and_the_text_are_different_ids(tmp_path):
    path = write(tmp_path, {"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"})
    assert [question.id for question in read_questions(path, judged=False)] == [1, "1"]


@pytest.mark.parametrize(("name", "kind"), [("/dev/zero", "device"), ("fifo", "pipe")])
def test_what_may_have_no_end_is_never_read(name, kind, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=f"{name} is a {kind}, not a file"):
        read_questions(tmp_path / name)


def test_pictures_are_read_under_both_spellings_in_both_commands(tmp_path):
    """`images` in --batch was once left out, and the question answered blind."""
    picture(0).save(tmp_path / "a.png")
    for key, value in (("image", "a.png"), ("images", ["a.png"]), ("images", "a.png"), ("image", ["a.png"])):
        for words, judged in (({"prompt": "?"}, False), ({"question": "?"}, False), (GOOD, True)):
            [question] = read_questions(write(tmp_path, words | {key: value}), judged=judged)
            assert question.images == (tmp_path / "a.png",) and not question.error


LOOK, CHOOSE, RIGHT, ASKED = "what to look at", "what to choose from", "what is right", "what is asked"


@pytest.mark.parametrize(("key", "says"), [
    ("image_path", LOOK), ("img", LOOK), ("picture", LOOK), ("pictures", LOOK), ("image_file", LOOK), ("videos", LOOK),
    ("frames", LOOK), ("imagePath", LOOK), ("IMAGE", LOOK), ("image_1", LOOK), ("video_url", LOOK), ("bbox", LOOK),
    ("start", LOOK), ("choices", CHOOSE), ("option_A", CHOOSE), ("optionA", CHOOSE), ("A", CHOOSE), ("d", CHOOSE),
    ("candidates", CHOOSE), ("label", RIGHT), ("target", RIGHT), ("ground_truth", RIGHT), ("gt", RIGHT),
    ("correct_answer", RIGHT), ("hint", ASKED), ("query_cot", ASKED), ("history", ASKED), ("conversations", ASKED),
    ("system", ASKED),
])
def test_a_key_that_could_be_a_part_of_the_question_is_refused_by_name(key, says, tmp_path):
    """Beside the same thing under our own name too, for nobody knows which of the two counts."""
    picture(0).save(tmp_path / "a.png")
    for entry in (GOOD, GOOD | {"image": "a.png", "options": ["A", "B"]}):
        with pytest.raises(InputError, match=f"line 1: '{key}' is not read, and could say {says}"):
            read_questions(write(tmp_path, entry | {key: "x"}))
    [question] = read_questions(write(tmp_path, {"prompt": "?", key: "x"}), judged=False)
    assert (f"'{key}' is not read" in question.error) == (says != RIGHT)  # --batch judges nothing


@pytest.mark.parametrize("key", ["file_name", "path", "url", "image_id", "video_id"])
def test_a_name_of_a_file_is_refused_where_nothing_else_says_what_to_look_at(key, tmp_path):
    picture(0).save(tmp_path / "a.png")
    read_questions(write(tmp_path, GOOD | {"image": "a.png", key: "x"}))
    with pytest.raises(InputError, match=f"'{key}' is not read"):
        read_questions(write(tmp_path, GOOD | {key: "x"}))


def test_options_are_no_part_of_a_prompt_in_batch(tmp_path):
    [question] = read_questions(write(tmp_path, {"prompt": "?", "options": ["a", "b"]}), judged=False)
    assert "'options' is not read, and could say what to choose from: put that into the prompt" in question.error


def test_keys_that_mean_nothing_are_ignored_and_so_are_empty_ones(tmp_path):
    """What describes our own keys may stand beside them."""
    picture(0).save(tmp_path / "a.png")
    more = {"category": "x", "l2_category": "x", "split": 3, "metadata": {"image": "b.png"}, "difficulty": None,
            "image_size": [3, 4], "answer_type": "text", "question_id": 5, "hint": None, "image_path": "",
            "index": 1, "d_index": 2}
    text = json.dumps(GOOD | {"image": "a.png"} | more)[:-1] + ', "label": NaN}'
    assert read_questions(write(tmp_path, text)) == read_questions(write(tmp_path, GOOD | {"image": "a.png",
                                                                                          "answer_type": "text"}))


@pytest.mark.parametrize("missing", ["null", "NaN", '""', '" "'])
def test_options_that_are_missing_at_the_end_are_left_out(missing, tmp_path):
    """In the middle they would change the letters of those that follow."""
    line = '{"question": "?", "answer": "A", "options": [%s]}'
    [question] = read_questions(write(tmp_path, line % f'"cat", "dog", {missing}, {missing}'))
    assert question.options == ("cat", "dog")
    with pytest.raises(InputError, match="line 1: number 2 of options is missing, and others follow it"):
        read_questions(write(tmp_path, line % f'"cat", {missing}, "dog"'))


def test_an_answer_that_is_not_a_number_is_none(tmp_path):
    for key in ("answer", "answers"):
        with pytest.raises(InputError, match="it has no answer"):
            read_questions(write(tmp_path, json.dumps({"question": "?", key: float("nan")})))


@pytest.mark.parametrize(("options", "bare"), [
    (("A. cat", "B. dog"), ("cat", "dog")), (("(A) cat", "(B)dog"), ("cat", "dog")),
    (("A: cat", "B) dog"), ("cat", "dog")), (("A. cat", "dog"), None), (("A. cat", "C. dog"), None),
    (("A cat", "B cat"), None), (("A.M.", "B.C."), None),
    (("A. ", "B. "), None), (("A. cat",), None), ((), None),
])
def test_options_that_bear_their_letters_lose_them(options, bare):
    assert without_letters(options) == (options if bare is None else bare)


@given(st.lists(st.text("ab .", min_size=1, max_size=5).filter(str.strip), min_size=2, max_size=26),
       st.sampled_from(["{}. {}", "({}) {}"]))
def test_letters_come_off_as_they_were_put_on(options, style):
    """Whatever the options say: with their letters they are the same question as without."""
    lettered = [style.format(letter, option) for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", options)]
    assert [option.strip() for option in without_letters(lettered)] == [option.strip() for option in options]


def test_an_answer_may_be_an_option_with_its_letter(tmp_path):
    line = {"question": "?", "options": ["A. cat.", "B. dog."], "answer": "B. dog."}
    [question] = read_questions(write(tmp_path, line))
    assert question.options == ("cat.", "dog.") and question.turns[0][1] == ("dog.",)


# Which questions are the same.

PET = Question(1, "pets", (("Which pet?", ("B",)),), ("cat", "dog"), shown="a.png")


def test_the_same_question_in_another_place_is_the_same(tmp_path):
    assert digest(PET, ["x"], {}) == digest(replace(PET, id="other"), ["x"], {})


def test_whatever_changes_a_question_changes_its_digest(tmp_path):
    """Text, what is right, options, group; and every byte of its pictures, even if the file keeps its name, its size
    and its time."""
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    (tmp_path / "frames").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "frames" / name).write_bytes(name.encode())
    (tmp_path / "frames" / "notes.txt").write_text("not read")
    seen, frames = replace(PET, images=(path,)), replace(PET, video=tmp_path / "frames")
    every = [digest(question, prompts, {}) for question, prompts in [
        (PET, ["x"]), (PET, ["y"]), (PET, ["x", "y"]), (replace(PET, group=""), ["x"]), (seen, ["x"]), (frames, ["x"]),
        (replace(PET, options=("cat", "owl")), ["x"]), (replace(PET, turns=(("Which pet?", ("A",)),)), ["x"]),
        (replace(PET, images=(path, path)), ["x"]), (replace(PET, images=(picture(0),)), ["x"]),
        (replace(PET, images=(picture(1),)), ["x"]), (replace(PET, video=(picture(0),)), ["x"])]]
    before = path.stat()
    for file in (path, tmp_path / "frames" / "1.png"):
        file.write_bytes(b"12346")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    every += [digest(seen, ["x"], {}), digest(frames, ["x"], {})]
    (tmp_path / "frames" / "1.png").rename(tmp_path / "frames" / "3.png")
    every.append(digest(frames, ["x"], {}))
    assert len({*every}) == len(every) == 15
    (tmp_path / "frames" / "notes.txt").write_text("still not")
    assert digest(frames, ["x"], {}) == every[-1]


def test_a_picture_is_read_once_for_all_questions_about_it(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"12345")
    known, opened = {}, []
    usual = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *more: opened.append(path) or usual(path, *more))
    for text in "xy":
        digest(replace(PET, images=(tmp_path / "a.png",)), [text], known)
    assert opened == [tmp_path / "a.png"]


# Drawn ones.


def test_the_small_world_is_always_the_same_and_held_out():
    """`count` of each ability, then as many in wordings that are held out; they are the samples of the test split with
    the first seeds, whoever draws them."""
    questions = world_questions(3)
    ids = [f"{ability}{new} {seed}" for new in ("", ", new") for ability in ABILITIES for seed in range(3)]
    assert [question.id for question in questions] == ids
    for question in questions:
        group, _, seed = question.id.rpartition(" ")
        sample = draw_sample(group.removesuffix(", new"), int(seed), "test", held_out=group.endswith(", new"))
        assert question.group == group
        assert [text for asked, (answered,) in question.turns for text in (asked, answered)] == [
            message["value"] for message in sample.conversation]
        pictures = question.video if sample.video else question.images
        assert [shown.tobytes() for shown in pictures] == [shown.tobytes() for shown in sample.pictures]
    assert [question.turns for question in world_questions(5) if int(question.id.split()[-1]) < 3] == [
        question.turns for question in questions]


def test_half_of_the_small_worlds_yes_no_questions_are_traps():
    """In the 40 that are asked where nobody says how many: always saying yes is right in about half of them."""
    asked = world_questions(WORLD_COUNT, replace(LESSONS["everything"], abilities=("yes_no",)))
    said = [question.turns[0][1][0] for question in asked]
    assert len(said) == WORLD_COUNT and 14 <= sum(answer.startswith("Yes, ") for answer in said) <= 26
    assert all(answer.startswith(("Yes, ", "No, ")) for answer in said)
