"""Grading a class: nothing that is handed in stops the grader, or is believed when it should not be."""

import csv
import json
import re
from pathlib import Path

import pytest
from exercise_files import EXERCISES, child, given, grade, notes, student, tasks
from exercises import submissions
from PIL import Image

SETS = tasks.sets()
needs_solutions = pytest.mark.skipif(not tasks.SOLUTIONS.exists(), reason="solutions are not handed out here")


@needs_solutions
def test_what_is_handed_in_neither_stops_the_grader_nor_fools_it(tmp_path, monkeypatch, capsys):
    """A class of three, with four child processes. `tests/exercises/class_of_thirty.py` grades all kinds."""
    names = ["swallows", "patches", "helped"]
    submissions.write(tmp_path / "in", names)
    path = tmp_path / "in" / "swallows" / "chapter01.py"
    more = "import os\ndef guess_word(*_): os._exit(0)\ndef fill_most_confident(*_): open('/fred', 'w')\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    monkeypatch.setattr(grade, "chosen", lambda word: tasks.chosen("chapter01"))
    out = tmp_path / "out"
    assert grade.main([*(str(tmp_path / "in" / name) for name in names), "--out", str(out), "--seconds", "4"]) == 1
    told = {name: json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    results = {name: [one["result"] for one in summary["exercises"]] for name, summary in told.items()}
    assert results == {"swallows": ["did not finish", "did not finish", "wrong", "right"],
                       "patches": ["not believed"] * 4, "helped": ["right"] + ["not implemented yet"] * 3}
    messages = [one["message"] for one in told["swallows"]["exercises"]]
    assert "loop that never ends" in messages[0] and "(exit code 0)" in messages[1]
    assert "the grader does not let it" in messages[2] and "guess_word" not in messages[2]
    assert "chapter01.py changes files elsewhere (/fred)" in told["swallows"]["notes"]
    assert "chapter01.py imports grading" in told["patches"]["notes"]
    with open(out / "class.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == names and rows[2]["chapter01 mask_words"] == "right"
    assert re.search(r"^helped +1 +8 +1 ", capsys.readouterr().out, re.MULTILINE)


def graded(monkeypatch, folder: Path, out: Path, run=None, *more: str) -> int:
    """Grade chapter 1 with what `run` says came of it, without a child process."""
    def run_set(folder, tasks, seconds, stop):
        return grade.Run(run(tasks)) if callable(run) else run
    monkeypatch.setattr(grade, "run_set", run_set)
    return grade.main([str(folder), "--out", str(out), "--only", "1", *more])


def test_did_not_finish_is_written_before_anything_runs(tmp_path, monkeypatch):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "chapter01.py").touch()
    found = []

    def run(tasks):
        found.extend(json.loads((tmp_path / "out" / "anna.json").read_text(encoding="utf-8"))["exercises"])
        return {task.name: {"result": "right"} for task in tasks}

    assert graded(monkeypatch, tmp_path / "anna", tmp_path / "out", run) == 0
    assert [one["result"] for one in found] == ["did not finish"] * 4
    after = json.loads((tmp_path / "out" / "anna.json").read_text(encoding="utf-8"))
    assert after["right"] == after["of"] == 4 and after["stars"] == after["of_stars"] == 8


def test_a_complete_chapter_shows_a_cat_and_any_other_where_to_go_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "chapter01.py").touch()
    cat = (EXERCISES / "cat.txt").read_text(encoding="utf-8").rstrip()
    graded(monkeypatch, tmp_path, tmp_path / "out", lambda tasks: {task.name: {"result": "right"} for task in tasks})
    told = capsys.readouterr().out
    assert cat in told and "Complete: chapter01." in told
    graded(monkeypatch, tmp_path, tmp_path / "out", lambda tasks: {task.name: {
        "result": "wrong" if task.name == "guess_word" else "right", "message": "No.\nSo."} for task in tasks})
    told = capsys.readouterr().out
    assert cat not in told and "            So.\n" in told and "Try --only guess_word --hint 1." in told


def test_a_mistake_is_drawn_and_the_message_names_the_picture(tmp_path, monkeypatch):
    """It goes to --out, so nobody's folder needs to be written to."""
    checks = child.checks_of("chapter06")
    task = next(one for one in tasks.chosen(None) if one.name == "mask_answers")
    without_epsilon = student("def mask_answers(labels, t, uniform):\n"
                              "    return (labels != -100) & (uniform < t[:, None])\n")
    _, _, picture = child.grade(checks.check_mask_answers, without_epsilon, task, given("chapter06"))
    trimmed = child.trimmed(picture)
    assert 100 < trimmed.width < picture.width and child.trimmed(trimmed).size == trimmed.size
    picture.save(tmp_path / "picture.png")
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "chapter01.py").touch()
    graded(monkeypatch, tmp_path / "anna", tmp_path / "out", lambda tasks: {task.name: {
        "result": "wrong", "message": "No.", "picture": (tmp_path / "picture.png").read_bytes()} for task in tasks})
    [message] = [one["message"] for one in json.loads((tmp_path / "out" / "anna.json").read_text("utf-8"))["exercises"]
                 if one["exercise"] == "guess_word"]
    assert Image.open(message.split("A picture of it: ")[1]).size == picture.size
    assert [path.name for path in (tmp_path / "anna").iterdir()] == ["chapter01.py"]


def test_the_tasks_are_copied_once_and_nothing_of_a_student_is_overwritten(tmp_path, capsys):
    folder = tmp_path / "answers"
    assert grade.main([str(folder), "--start"]) == 0
    assert sorted(path.stem for path in folder.iterdir()) == sorted(SETS)
    (folder / "chapter01.py").write_text("mine")
    (folder / "chapter02.py").unlink()
    assert grade.main([str(folder), "--start"]) == 0
    assert (folder / "chapter01.py").read_text() == "mine" and (folder / "chapter02.py").exists()
    assert f"1 files of tasks; {len(SETS) - 1} were there" in capsys.readouterr().out


def test_hints_come_one_after_the_other(capsys):
    shown = []
    for number in (1, 2, 3):
        assert grade.main(["--only", "guess_word", "--hint", str(number)]) == 0
        shown.append(capsys.readouterr().out)
    assert "1. Cross out" in shown[0] and "2. Add up" not in shown[0]
    assert "2. Add up" in shown[1] and "3. A sentence fits" in shown[2]


@pytest.mark.parametrize("arguments, words", [
    (["--only", "77"], "there is no chapter, file or exercise 77"), (["nowhere"], "there is no folder nowhere"),
    (["--hint", "1"], "say with --only which exercise"), ([".", "."], "two folders are called"),
    (["--seconds", "0", "."], "at least 1"), ([".", "--out", str(EXERCISES / "grade.py")], "--out")])
def test_wrong_usage_is_told_in_words(arguments, words, capsys):
    with pytest.raises(SystemExit) as end:
        grade.main(arguments)
    assert end.value.code == 2 and words in capsys.readouterr().err


@needs_solutions
def test_a_teacher_is_told_what_is_worth_a_look(tmp_path):
    """Imports that the handed-out file does not have, and our own solutions; and nothing of an honest answer."""
    (tmp_path / "chapter01.py").write_text(
        "import os, math, sys\nfrom minllada_v.masking import mask_by_time\nfrom tutorials.solutions import chapter01\n"
        "eval('1')\n" + (tasks.SOLUTIONS / "chapter01.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "broken.py").write_text("def f(:")
    (tmp_path / "chapter04.py").write_text((EXERCISES / "chapter04.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert set(notes.notes(tmp_path)) == {
        "chapter01.py imports os", "chapter01.py imports sys", "chapter01.py imports minllada_v.masking (mask_by_time)",
        "chapter01.py imports tutorials.solutions (chapter01)", "chapter01.py calls eval",
        "chapter01.py: guess_word is our solution, word for word",
        "chapter01.py: masking_property is our solution, word for word"}
