"""What exercises there are, read from the task files without running them, and their hints."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

EXERCISES = Path(__file__).parent.parent
SOLUTIONS = EXERCISES.parent / "solutions"


@dataclass(frozen=True)
class Task:
    """One exercise: a function that a student writes."""

    set: str  # the file's name without .py
    name: str
    difficulty: int  # 1 to 3 stars
    importance: int  # 1 to 3 dots
    text: str  # the docstring


def sets() -> list[str]:
    """The names of all sets of exercises, chapters first."""
    return sorted(path.stem for path in (EXERCISES / "checks").glob("*.py"))


def tasks_of(name: str) -> list[Task]:
    """The exercises of a set, in the order of its file: the functions whose docstring starts with stars."""
    tasks = []
    for node in ast.parse((EXERCISES / f"{name}.py").read_text(encoding="utf-8")).body:
        text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
        marks = re.match(r"(★{1,3}) (●{1,3}) ", text or "")
        if marks:
            tasks.append(Task(name, node.name, len(marks[1]), len(marks[2]), text))
    return tasks


def chosen(word: str | None) -> list[Task]:
    """The exercises that `word` names: a chapter's number, a set or an exercise; with None all. May be empty."""
    every = [task for name in sets() for task in tasks_of(name)]
    if word is None:
        return every
    names = {word, f"chapter{word.zfill(2)}"}
    return [task for task in every if task.set in names or task.name in names]


def hints(task: Task) -> list[str]:
    """Its hints, three of them, from one that says where to look to one that nearly gives it away."""
    text = (EXERCISES / "hints" / f"{task.set}.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {task.name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    items = re.findall(r"^\d\. (.*?)(?=^\d\. |\Z)", section[1] if section else "", re.MULTILINE | re.DOTALL)
    return [re.sub(r"\n {3}", "\n", item).strip() for item in items]
