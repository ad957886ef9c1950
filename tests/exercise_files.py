"""The exercises' grader, loaded as modules: `tutorials` is no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
EXERCISES = ROOT / "tutorials" / "exercises"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


grade = load(EXERCISES / "grade.py")  # which makes the others known, too
child = load(EXERCISES / "grader" / "child.py")
tasks, grading, notes = (sys.modules[name] for name in ("tasks", "grading", "notes"))


def given(name: str) -> dict:
    """What a task file has as it is handed out."""
    return vars(child.load(EXERCISES / f"{name}.py", f"handed_out_{name}"))


def student(text: str) -> ModuleType:
    """A student's file."""
    module = ModuleType("student")
    exec(text, vars(module))
    return module
