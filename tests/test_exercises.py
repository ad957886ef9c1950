"""The exercises of the course: solutions are right, what is untouched is not implemented yet, mistakes get words."""

import ast
import re
from types import ModuleType

import pytest
from exercise_files import EXERCISES, child, given, grading, student, tasks
from exercises import wrong
from hypothesis import settings
from hypothesis import strategies as st

SETS = tasks.sets()
needs_solutions = pytest.mark.skipif(not tasks.SOLUTIONS.exists(), reason="solutions are not handed out here")


def in_work(name: str) -> bool:
    """Whether a task file was changed, in place, to more than docstrings and `raise NotImplementedError`."""
    names = {task.name for task in tasks.tasks_of(name)}
    tree = ast.parse((EXERCISES / f"{name}.py").read_text(encoding="utf-8"))
    bodies = [node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    return any(len(body) != 2 or ast.unparse(body[1]) != "raise NotImplementedError" for body in bodies)


@needs_solutions
@pytest.mark.parametrize("name", ["chapter01", "my_sampler", "my_loss"])
def test_a_solution_is_right(name):
    """All take most of a minute, so `.ci/run` has the grader grade them."""
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


@pytest.fixture
def short_search(monkeypatch):
    """A fifth of the inputs on which a property should fail: what it accepts is tried on all of them."""
    monkeypatch.setattr(grading, "SEARCHING", settings(grading.SEARCHING, max_examples=100))


@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("name, exercise, words, text", wrong.WRONG, ids=[one[1] for one in wrong.WRONG])
def test_a_wrong_answer_that_looks_right_is_told_so(name, exercise, words, text):
    checks = child.checks_of(name)
    task = next(one for one in tasks.tasks_of(name) if one.name == exercise)
    result, told, _ = child.grade(getattr(checks, f"check_{exercise}"), student(wrong.HEAD + text), task, given(name))
    assert result == "wrong" and words in told


def property_told(property_text: str) -> str:
    checks = child.checks_of("chapter01")
    with pytest.raises(grading.Wrong) as error:
        checks.check_masking_property(student(property_text))
    return str(error.value)


@pytest.mark.usefixtures("short_search")
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
