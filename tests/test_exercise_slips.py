"""The checks of what students build, of the bugs that they find and of the last chapters notice a planted slip."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
TUTORIALS = TESTS.parent / "tutorials"


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = load(TUTORIALS / "exercises" / "grader" / "child.py")
slips = load(TESTS / "exercises" / "slips.py")
FIRST = {exercise: (name, right, slip) for name, exercise, right, slip in reversed(slips.SLIPS)}


@pytest.mark.skipif(not (TUTORIALS / "solutions").exists(), reason="solutions are not handed out here")
@pytest.mark.parametrize("exercise", FIRST)
def test_a_slip_in_the_solution_is_noticed(exercise, monkeypatch):
    """On few examples; `tests/exercises/slips.py` tries all slips on as many as students get."""
    monkeypatch.setattr(child.grading, "GRADING", settings(child.grading.GRADING, max_examples=20))
    monkeypatch.setattr(child.grading, "SEARCHING", settings(child.grading.SEARCHING, max_examples=50))
    name, right, slip = FIRST[exercise]
    check = getattr(child.checks_of(name), f"check_{exercise}")
    words = slips.told(check, name, right, slip)
    assert words and not words.startswith("The solution has no"), f"{right} -> {slip}"
