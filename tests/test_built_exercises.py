"""The checks of what students build, of the bugs that they find and of the last chapters notice a planted slip; and a
model learns from a student's own parts."""

import shutil
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
needs_solutions = pytest.mark.skipif(not (TUTORIALS / "solutions").exists(), reason="solutions are not handed out here")


@needs_solutions
@pytest.mark.parametrize("exercise", FIRST)
def test_a_slip_in_the_solution_is_noticed(exercise, monkeypatch):
    """On few examples; `tests/exercises/slips.py` tries all slips on as many as students get."""
    monkeypatch.setattr(child.grading, "GRADING", settings(child.grading.GRADING, max_examples=20))
    monkeypatch.setattr(child.grading, "SEARCHING", settings(child.grading.SEARCHING, max_examples=50))
    name, right, slip = FIRST[exercise]
    check = getattr(child.checks_of(name), f"check_{exercise}")
    words = slips.told(check, name, right, slip)
    assert words and not words.startswith("The solution has no"), f"{right} -> {slip}"


@pytest.fixture
def colours(monkeypatch):
    """The command, for a student whose files nobody has imported yet."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_loss", "my_sampler"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return load(TUTORIALS / "exercises" / "colours.py")


@needs_solutions
def test_a_model_learns_from_a_students_own_parts(colours, tmp_path, capsys):
    """For one step: it runs, answers with the student's sampler, and draws. How well it learns is measured apart."""
    shutil.copy(TUTORIALS / "solutions" / "my_loss.py", tmp_path)
    text = (TUTORIALS / "solutions" / "my_sampler.py").read_text(encoding="utf-8")
    (tmp_path / "my_sampler.py").write_text(text + "\nright = write\ndef write(*arguments):\n    print('asked')\n"
                                            "    return right(*arguments)\n", encoding="utf-8")
    colours.main(["--answers", str(tmp_path), "--steps", "1", "--questions", "1"])
    told = capsys.readouterr().out
    assert told.startswith("asked\nloss: ") and told.count("asked") == 2 and "answers are right" in told
    assert (tmp_path / "colours.png").stat().st_size > 0


def test_who_has_no_loss_yet_is_told_so(colours, tmp_path, capsys):
    shutil.copy(TUTORIALS / "exercises" / "my_loss.py", tmp_path)
    with pytest.raises(SystemExit) as end:
        colours.main(["--answers", str(tmp_path)])
    assert end.value.code == 2 and "its `train` is not written yet" in capsys.readouterr().err
