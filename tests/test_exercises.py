"""The exercises of the course: solutions are right, what is untouched is not implemented yet, mistakes get words, and
nothing that is handed in stops the grader or is believed when it should not be."""

import ast
import csv
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).parent.parent
EXERCISES = ROOT / "tutorials" / "exercises"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


grade = load(EXERCISES / "grade.py")  # it makes the others known, too
child = load(EXERCISES / "grader" / "child.py")
wrong = load(ROOT / "tests" / "exercises" / "wrong.py")
submissions = load(ROOT / "tests" / "exercises" / "submissions.py")
tasks, grading, notes = (sys.modules[name] for name in ("tasks", "grading", "notes"))
SETS = tasks.sets()
TASKS = tasks.chosen(None)
needs_solutions = pytest.mark.skipif(not tasks.SOLUTIONS.exists(), reason="solutions are not handed out here")


def given(name: str) -> dict:
    return vars(child.load(EXERCISES / f"{name}.py", f"handed_out_{name}"))


def student(text: str) -> ModuleType:
    module = ModuleType("student")
    exec(text, vars(module))
    return module


def in_work(name: str) -> bool:
    """Whether a task file was changed, in place, to more than docstrings and `raise NotImplementedError`."""
    names = {task.name for task in tasks.tasks_of(name)}
    tree = ast.parse((EXERCISES / f"{name}.py").read_text(encoding="utf-8"))
    bodies = [node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    return any(len(body) != 2 or ast.unparse(body[1]) != "raise NotImplementedError" for body in bodies)


@needs_solutions
@pytest.mark.parametrize("name", SETS)
def test_every_solution_is_right(name):
    checks, solution = child.checks_of(name), child.load(tasks.SOLUTIONS / f"{name}.py", f"solution_{name}")
    for task in tasks.tasks_of(name):
        result, words, _ = child.grade(getattr(checks, f"check_{task.name}"), solution, task, given(name))
        assert (result, words) == ("right", ""), task.name


@pytest.mark.parametrize("name", SETS)
def test_an_untouched_task_is_not_implemented_yet(name):
    """As the file is handed out: neither an example nor a check fails before it gets to ask."""
    if in_work(name):
        pytest.skip(f"{name}.py is being worked on; a copy of it, made by grade.py --start, is the place for that")
    checks, untouched = child.checks_of(name), ModuleType("untouched")
    vars(untouched).update(given(name))
    assert tasks.tasks_of(name)
    for task in tasks.tasks_of(name):
        check = getattr(checks, f"check_{task.name}")
        assert child.grade(check, untouched, task, given(name))[0] == "not implemented yet"
        with pytest.raises((grading.NotYet, NotImplementedError)):
            check(untouched)


@pytest.mark.parametrize("name", SETS)
def test_each_task_has_its_drawing_example_hints_check_and_row_in_the_table(name):
    text = (EXERCISES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:\d\d|`?\w+`?) \| `(\w+)` \| (★+) \| (●+) \| \d+ \| .+ \|$", text, re.MULTILINE)
    here = tasks.tasks_of(name)
    checks = re.findall(r"^def check_(\w+)\(", (EXERCISES / "checks" / f"{name}.py").read_text("utf-8"), re.MULTILINE)
    assert checks == [task.name for task in here] and here
    for task in here:
        assert (task.name, "★" * task.difficulty, "●" * task.importance) in rows
        assert re.search(r"^    +\S", task.text, re.MULTILINE), f"{task.name} has no drawing"
        assert re.search(r"^>>> ", task.text, re.MULTILINE), f"{task.name} has no example"
        hints = tasks.hints(task)
        assert len(hints) == 3 and all(len(hint) > 20 for hint in hints), f"{task.name} should have three hints"
        assert "Hint" not in task.text


@pytest.mark.parametrize("name, exercise, words, text", wrong.WRONG, ids=[one[1] for one in wrong.WRONG])
def test_a_wrong_answer_that_looks_right_is_told_so(name, exercise, words, text):
    checks = child.checks_of(name)
    task = next(one for one in TASKS if (one.set, one.name) == (name, exercise))
    result, told, _ = child.grade(getattr(checks, f"check_{exercise}"), student(wrong.HEAD + text), task, given(name))
    assert result == "wrong" and words in told


def property_told(property_text: str) -> str:
    checks = child.checks_of("chapter01")
    with pytest.raises(grading.Wrong) as error:
        checks.check_masking_property(student(property_text))
    return str(error.value)


def test_a_property_that_misses_a_fault_is_shown_an_input_and_both_outputs():
    told = property_told("def masking_property(mask, words, low, high, uniform):\n    return True")
    assert "accepts an implementation that loses the last word" in told
    assert "For example, with ['the'], " in told and "\na right one gives  (['" in told
    assert "\nthis one gives     ([], [])" in told


def test_a_property_that_rejects_what_is_right_is_shown_what_it_asked_under_its_own_names():
    told = property_told("def masking_property(their, words, low, high, uniform):\n"
                         "    return their(words, 1.0, uniform) == []")
    assert "your property says that it is not" in told and "masking_property(their, [" in told
    assert "\ntheir(['the'], 1.0, [0.0]) gave ['[MASK]']\n" in told


def test_a_property_sees_all_implementations_under_one_name():
    seen = set()

    def holds(implementation, number):
        seen.add((implementation.__name__, implementation.__qualname__))
        return implementation(number) == number

    grading.grade_property(holds, round, {"gives another number": lambda number: number + 1},
                           st.tuples(st.integers()), lambda one, number: one(number))
    assert seen == {("implementation", "wrapped.<locals>.implementation")}


@pytest.mark.parametrize("value, text", [
    (0.05000000074505806, "0.05"), (1.0, "1.0"), (1e-12, "1e-12"), (float("inf"), "inf"),
    ({"a": 1 / 3}, "{'a': 0.333333}"), ((2 / 3,), "(0.666667,)"),
    ("x" * 3000, "'" + "x" * 999 + " …"), ([True, None], "[True, None]")])
def test_values_are_shown_short(value, text):
    assert grading.spelled(value) == text


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
    assert grade.main([*(str(tmp_path / "in" / name) for name in names), "--out", str(out), "--seconds", "1"]) == 1
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
    assert re.search(r"^helped +1 of 8 +1 ", capsys.readouterr().out, re.MULTILINE)


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
    task = next(one for one in TASKS if one.name == "mask_answers")
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
