"""Thirty made-up students: what is handed in by those who are right, who err, who look for shortcuts, and worse.

`write(folder)` writes a folder for each, `disagreements` compares what was graded with what should have been.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SOLUTIONS, EXERCISES = ROOT / "tutorials" / "solutions", ROOT / "tutorials" / "exercises"
GUESS = (SOLUTIONS / "chapter01.py").read_text(encoding="utf-8") if SOLUTIONS.exists() else ""


def first(body: str, before: str = "") -> dict[str, str]:
    """A chapter 1 whose first exercise does something odd; the others are right."""
    return {"chapter01.py": f"{GUESS}\n{before}\ndef mask_words(words, t, uniform):\n    {body}\n"}


NONSENSE = "def mask_words(words, t, uniform):\n    return 1\n"
# name: (its files, or "all" for all solutions; the result of mask_words; words in its message or in the notes)
STUDENTS: dict[str, tuple[dict[str, str] | str, str, str]] = {
    **{name: ("all", "right", "") for name in ("anna", "bea", "carl", "dora", "emil", "fay")},
    "nothing": ({}, "not implemented yet", ""),
    "untouched": ("tasks", "not implemented yet", ""),
    "wrong": (first("return list(words)"), "wrong", "should give"),
    "none": (first("pass"), "wrong", "Is a `return` missing?"),
    "syntax": ({"chapter01.py": "def mask_words(:\n", "chapter07.py": ""}, "wrong", "line 1: invalid syntax"),
    "latin": ({"chapter01.py": "name = '\udce9'\n" + NONSENSE}, "wrong", "cannot be read"),
    "parts": ({"chapter01.py": NONSENSE}, "wrong", "yours gives  1"),
    "endless": (first("while True: pass"), "did not finish", "loop that never ends"),
    "swallows": (first("while True:\n        try: len(words)\n        except: pass"), "did not finish", "never ends"),
    "sums": (first("return sum(range(10**12))"), "did not finish", "never ends"),
    "sleeps": (first("time.sleep(10**6)", "import time"), "did not finish", "never ends"),
    "reads": (first("return words", "while True: pass"), "did not finish", "Reading your file"),
    "memory": (first("x = bytearray(2**28)\n    while True: x = x + x"), "wrong", "MemoryError"),
    "exits": (first("os._exit(0)", "import os"), "did not finish", "ended the whole program (exit code 0)"),
    "quits": (first("quit()"), "wrong", "SystemExit"),
    "asks": (first("return input()"), "wrong", "EOFError"),
    "crashes": (first("ctypes.string_at(0)", "import ctypes"), "did not finish", "SIGSEGV"),
    "writes": (first("open('here.txt', 'w').write('x'); return mask_right(words, t, uniform)",
                     "mask_right = mask_words"), "right", "writes files (here.txt)"),
    "elsewhere": (first("open(os.path.expanduser('~/FRED_WAS_HERE.txt'), 'w')", "import os"), "wrong",
                  "the grader does not let it"),
    "copies": ({"chapter01.py": "import sys\nsys.path.insert(0, '" + str(SOLUTIONS.parent)
                + "')\nfrom solutions.chapter01 import *\n"}, "right", "imports solutions.chapter01"),
    "patches": ({"chapter01.py": "import grading\ngrading.require = grading.agree = lambda *_: None\n" + NONSENSE},
                "not believed", "change grading."),
    "deceives": (first("return list(words) if len(words) > 4 else mask_right(words, t, uniform)",
                       "import hypothesis.core\nhypothesis.core.StateForActualGivenExecution.run_engine = "
                       "lambda self: None\nmask_right = mask_words"), "not believed",
                 "change StateForActualGivenExecution.run_engine"),
    "helped": ({"chapter01.py": "from helper import mask_words\n", "helper.py": "from chapter06 import mask_words\n",
                "chapter06.py": GUESS}, "right", ""),
    "names": ({"chapter01.py": GUESS, "answers": "", "wrong": "", **{
        f"{name}.py": "raise SystemExit(3)\n" for name in (
            "random", "torch", "grading", "grade", "tasks", "hypothesis", "conftest", "ast", "test_chapter01")}},
        "right", ""),
}


def write(folder: Path, names: list[str] | None = None):
    """Write the submissions of these students, or of all, each into a folder of its own in `folder`."""
    for name in names or STUDENTS:
        files = STUDENTS[name][0]
        if isinstance(files, str):
            source = SOLUTIONS if files == "all" else EXERCISES
            files = {path.name: path.read_text(encoding="utf-8") for path in source.glob("*.py")}
            files.pop("grade.py", None)
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text, encoding="utf-8", errors="surrogateescape")


def disagreements(summary: dict) -> list[str]:
    """What the JSON of a student says that it should not."""
    name = summary["student"]
    _, result, words = STUDENTS[name]
    entry = next(one for one in summary["exercises"] if one["exercise"] == "mask_words")
    complaints = []
    if entry["result"] != result:
        complaints.append(f"{name}: mask_words is {entry['result']}, and should be {result}: {entry['message']}")
    if words not in entry["message"] + "\n".join(summary["notes"]):
        complaints.append(f"{name}: nobody is told {words!r}: {entry['message']} {summary['notes']}")
    others = {one["result"] for one in summary["exercises"] if one["set"] == "chapter01"} - {result}
    if result == "did not finish" and name != "reads" and others != {"right"}:
        complaints.append(f"{name}: what followed in the same file is {others}, and should be right")
    return complaints
