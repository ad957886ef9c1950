"""Grades the exercises: `pytest tutorials/exercises -k chapter01 [--answers FOLDER] [--grade out.json]`.

The function `test_NAME` in `test_chapterNN.py` grades the student's function `NAME` in `chapterNN.py`. Each exercise
is right, wrong (with the reason in words), or not implemented yet.
"""

import importlib.util
import json
import re
import signal
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from grading import NotYet
from hypothesis.errors import Flaky

HERE = Path(__file__).parent
SECONDS = 60  # that one exercise may take
RIGHT, WRONG, MISSING = "right", "wrong", "not implemented yet"


class TooLong(BaseException):
    """Raised in an exercise that takes too long. Not an `Exception`, so that neither it nor hypothesis catches it."""


def pytest_addoption(parser):
    parser.addoption("--answers", metavar="FOLDER", type=Path, default=HERE,
                     help="where the student's chapterNN.py are; left out: tutorials/exercises")
    parser.addoption("--grade", metavar="FILE", type=Path, help="write a summary as JSON")


def pytest_configure(config):
    config.graded = []
    if not config.getoption("--answers").is_dir():
        raise pytest.UsageError(f"--answers: there is no folder {config.getoption('--answers')}")


def load(path: Path) -> ModuleType:
    """The Python file `path` as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def student(request) -> ModuleType:
    """The student's file for the chapter of this grader."""
    path = request.config.getoption("--answers") / (request.module.__name__.removeprefix("test_") + ".py")
    if not path.exists():
        raise NotImplementedError
    def left_out(*_):
        raise NotImplementedError

    try:
        module = load(path)
    except SystemExit as error:  # pytest would end too
        raise RuntimeError("it ends the program") from error
    for grader in filter(re.compile("test_").match, vars(request.module)):
        vars(module).setdefault(grader.removeprefix("test_"), left_out)
    return module


def stars(chapter: str, exercise: str) -> int:
    """How difficult an exercise is, which the first line of its docstring says. The file may be broken."""
    text = (HERE / f"{chapter}.py").read_text(encoding="utf-8")
    found = re.search(rf'^def {exercise}\(.*\n +"""(★*)', text, re.MULTILINE)
    return len(found[1]) if found else 0


@contextmanager
def stopped_with(error: type[BaseException]):
    """Raise `error` in whatever takes longer than `SECONDS`, where the system has a way to do so."""
    def stop(*_):
        raise error

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with stopped_with(TimeoutError):  # the student's file is read here; pytest remembers an `Exception`
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with stopped_with(TooLong):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when != "call" and not call.excinfo:
        return report
    exercise, chapter = item.name.removeprefix("test_"), item.path.stem.removeprefix("test_")
    result, words = verdict(call.excinfo.value, chapter) if call.excinfo else (RIGHT, "")
    picture = getattr(call.excinfo.value, "picture", None) if call.excinfo else None
    if picture:
        folder = item.config.getoption("--answers") / "wrong"  # each student's own, so that a class overwrites none
        folder.mkdir(exist_ok=True)
        path = folder / f"{chapter}_{exercise}.png"
        picture.save(path)
        words += f"\nA picture of it: {path}"
    report.result, report.longrepr = result, words or None
    item.config.graded.append({"chapter": chapter, "exercise": exercise, "stars": stars(chapter, exercise),
                               "result": result, "message": words})
    return report


def verdict(error: BaseException, chapter: str) -> tuple[str, str]:
    """Result and words for the student, of what a grader ended with."""
    if isinstance(error, NotYet | NotImplementedError):
        return MISSING, ""
    if isinstance(error, TooLong | TimeoutError):
        return WRONG, f"It took longer than {SECONDS} s. Is there a loop that never ends?"
    if isinstance(error, AssertionError):
        return WRONG, str(error)
    if isinstance(error, Flaky):
        return WRONG, "It gave different results for the same input. Does it use chance, or remember something?"
    if isinstance(error, SyntaxError):
        return WRONG, f"{chapter}.py cannot be read: line {error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).stem == chapter]
    line = f", line {frames[-1].lineno}" if frames else ""
    return WRONG, f"{chapter}.py{line}, or what it returned, led to {type(error).__name__}: {error}"


def pytest_report_teststatus(report):
    if hasattr(report, "result"):
        return report.result, {RIGHT: ".", WRONG: "F", MISSING: "-"}[report.result], report.result


def pytest_terminal_summary(terminalreporter, config):
    for graded in config.graded:
        head = f"{graded['chapter']}  {'★' * graded['stars']:<3}  {graded['exercise']:<28}  {graded['result']}"
        terminalreporter.write_line(head, green=graded["result"] == RIGHT, red=graded["result"] == WRONG)
        for line in graded["message"].splitlines():
            terminalreporter.write_line(f"           {line}")


def pytest_sessionfinish(session):
    graded, path = session.config.graded, session.config.getoption("--grade")
    if path:
        right = [entry for entry in graded if entry["result"] == RIGHT]
        summary = {"answers": str(session.config.getoption("--answers")), "right": len(right), "of": len(graded),
                   "stars": sum(entry["stars"] for entry in right), "of_stars": sum(entry["stars"] for entry in graded),
                   "exercises": graded}
        path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
