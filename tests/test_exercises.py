"""The exercises of the course: solutions are right, what is untouched is not implemented yet, mistakes get words."""

import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXERCISES, SOLUTIONS = ROOT / "tutorials" / "exercises", ROOT / "tutorials" / "solutions"
CHAPTERS = [path.stem for path in sorted(EXERCISES.glob("chapter[0-9][0-9].py"))]
MISTAKES = '''
MASK = "[MASK]"

def mask_words(words, t, uniform):
    return [MASK if number < t else word for word, number in zip(words, uniform)]

def guess_word(world, canvas, place):
    return {sentence[place]: world["the"] for sentence in world}

def fill_most_confident(world, canvas):
    return canvas

def masking_property(mask, words, low, high, uniform):
    return len(mask(words, low, uniform)) == len(words)
'''


def grade(answers: Path, out: Path, *options: str) -> tuple[dict, subprocess.CompletedProcess]:
    """The summary of `answers`, and the finished process."""
    command = [sys.executable, "-m", "pytest", str(EXERCISES), "-p", "no:cacheprovider", "--answers", str(answers),
               "--grade", str(out), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    return json.loads(out.read_text(encoding="utf-8")), done


def results(summary: dict) -> dict[str, str]:
    return {f"{entry['chapter']} {entry['exercise']}": entry["result"] for entry in summary["exercises"]}


@cache
def functions(chapter: str) -> dict:
    """The exercises in a student's file: its functions, by name."""
    spec = spec_from_file_location(f"pristine_{chapter}", EXERCISES / f"{chapter}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: one for name, one in vars(module).items()
            if inspect.isfunction(one) and one.__module__ == module.__name__}


def all_exercises() -> set[str]:
    return {f"{chapter} {name}" for chapter in CHAPTERS for name in functions(chapter)}


def test_every_solution_is_right(tmp_path):
    summary, done = grade(SOLUTIONS, tmp_path / "out.json")
    assert results(summary) == dict.fromkeys(all_exercises(), "right"), done.stdout
    assert done.returncode == 0 and summary["right"] == summary["of"] and summary["stars"] == summary["of_stars"]


def test_every_untouched_exercise_is_not_implemented_yet(tmp_path):
    """As the file is handed out; a grader must not fail before it gets to ask."""
    summary, done = grade(EXERCISES, tmp_path / "out.json")
    assert results(summary) == dict.fromkeys(all_exercises(), "not implemented yet"), done.stdout
    assert done.returncode == 1 and summary["right"] == summary["stars"] == 0


def test_mistakes_are_told_in_words(tmp_path):
    """The smallest example, the student's own line, a planted fault that was not noticed, a file that is no Python, a
    file that was not handed in; never a traceback."""
    (tmp_path / "chapter01.py").write_text(MISTAKES)
    (tmp_path / "chapter02.py").write_text("MASK = 1\ndef mask_words(:\n")
    summary, done = grade(tmp_path, tmp_path / "out.json", "-k", "chapter01 or chapter02 or chapter03")
    entries = {(entry["chapter"], entry["result"]) for entry in summary["exercises"]}
    assert entries == {("chapter01", "wrong"), ("chapter02", "wrong"), ("chapter03", "not implemented yet")}
    messages = {entry["exercise"]: entry["message"] for entry in summary["exercises"]
                if entry["chapter"] == "chapter01"}
    assert "mask_words(['the'], 0.0, [0.0])" in messages["mask_words"]
    assert "stopped in line 8: KeyError: 'the'" in messages["guess_word"]
    assert "exactly one place should be filled in, not 0" in messages["fill_most_confident"]
    assert "accepts an implementation that writes another word" in messages["masking_property"]
    assert all(line in done.stdout for message in messages.values() for line in message.splitlines())
    assert {entry["message"] for entry in summary["exercises"] if entry["chapter"] == "chapter02"} == {
        "chapter02.py cannot be read: line 2: invalid syntax"}
    assert "Traceback" not in done.stdout + done.stderr and done.returncode == 1


def test_a_mistake_is_drawn_beside_the_students_own_files(tmp_path):
    """So that grading a class keeps everyone's pictures."""
    (tmp_path / "chapter06.py").write_text("def mask_answers(labels, t, uniform):\n    return uniform < 2\n")
    summary, _ = grade(tmp_path, tmp_path / "out.json", "-k", "mask_answers")
    [message] = [entry["message"] for entry in summary["exercises"]]
    path = Path(message.split("A picture of it: ")[1])
    assert path.parent == tmp_path / "wrong" and Image.open(path).size[0] > 100


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_says_how_hard_it_is_and_stands_in_the_teachers_table(chapter):
    """One to three stars at the start of the docstring, and the same in the README's row; 2 to 4 exercises a file."""
    table = re.findall(r"^\| (\d\d) \| `(\w+)` \| (★+) \| \d+ \| .+ \|$", (EXERCISES / "README.md").read_text(), re.M)
    rows = {name: stars for number, name, stars in table if f"chapter{number}" == chapter}
    said = {name: re.match("★{1,3} ", inspect.getdoc(one))[0].strip() for name, one in functions(chapter).items()}
    assert said == rows
    assert 2 <= len(rows) <= 4
