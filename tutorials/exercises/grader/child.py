"""Grades exercises of one set, in a process of its own that may be killed: `child.py SET FOLDER RESULTS SECONDS NAME…`.

It is started by `watch.py`, in an empty working folder. A line of JSON is written to the file RESULTS before and after
each exercise, so that nothing that was graded is lost with the process. The checks and all they need are imported
before the student's file, so that no file of the student's stands in for one of theirs.

The student's code runs in this process too. What it changes here by mistake or for a shortcut is noticed (`changed`,
`fooled`, `Guard`). Whoever means harm can get around it: see the README.
"""

import builtins
import copy
import doctest
import importlib.util
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import grading  # noqa: E402
import hypothesis  # noqa: E402
from guard import Guard  # noqa: E402
from hypothesis.errors import Flaky  # noqa: E402
from hypothesis.internal.conjecture import engine  # noqa: E402
from tasks import EXERCISES, Task, tasks_of  # noqa: E402

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None

sys.path.remove(str(HERE))
RIGHT, WRONG, MISSING, UNBELIEVED = "right", "wrong", "not implemented yet", "not believed"
ROOM = 3 * 2**30  # bytes of address space that a student's code may take, beside what the checks have
LONGEST = 50 * 2**20  # bytes of a file that it writes


def load(path: Path, name: str) -> ModuleType:
    """The Python file `path` as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checks_of(name: str) -> ModuleType:
    """The checks of a set. They say `from grading import …`, and the file of that name is ours."""
    sys.path.insert(0, str(HERE))
    try:
        return load(EXERCISES / "checks" / f"{name}.py", f"checks_{name}")
    finally:
        sys.path.remove(str(HERE))


def examples_hold(student: ModuleType, task: Task, given: dict):
    """Run the examples of the docstring as it was handed out, in the student's file; raises as a check does. `given` is
    what the task file has. An example that needs another function of the student, not written yet, says nothing."""
    torch = sys.modules.get("torch")
    names = given | vars(student)
    values = {"torch": torch, "tensor": torch.tensor if torch else None, "inf": math.inf, "nan": math.nan}
    for example in doctest.DocTestParser().get_examples(task.text):
        source = example.source.strip()
        try:
            if not example.want:
                exec(compile(source, "<the example>", "exec"), names)
                continue
            found = eval(compile(source, "<the example>", "eval"), names)
        except NotImplementedError as error:
            if traceback.extract_tb(error.__traceback__)[-1].name == task.name:
                raise grading.NotYet from None
            return
        except (Exception, SystemExit) as error:
            raise grading.Wrong(f"An example of the task, {source}, stopped{line_in(task.set, error)}: "
                                f"{type(error).__name__}: {error}") from None
        expected = eval(example.want, values)
        grading.require(found is not None, f"An example of the task, {source}, gave None. Is a `return` missing?")
        grading.require(grading.same(found, expected, 1e-4), f"An example of the task comes out wrong: {source}\n"
                        f"should give  {grading.spelled(expected)}\nyours gives  {grading.spelled(found)}")


def line_in(name: str, error: BaseException) -> str:
    """The student's own line that led to an error, if there is one."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).stem == name]
    return f" in line {frames[-1].lineno}" if frames else ""


def verdict(error: BaseException, name: str) -> tuple[str, str]:
    """Result and words for the student, of what a check ended with."""
    if isinstance(error, grading.NotYet | NotImplementedError):
        return MISSING, ""
    if isinstance(error, grading.Wrong):
        return WRONG, grading.shortened(str(error), 4000)
    if isinstance(error, Flaky):
        return WRONG, "It gave different results for the same input. Does it use chance, or remember something?"
    if isinstance(error, SyntaxError):
        return WRONG, f"{name}.py cannot be read: line {error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return WRONG, f"{name}.py ends the program{line_in(name, error)}"
    return WRONG, (f"{name}.py{line_in(name, error).replace(' in', ',')}, or what it returned, led to "
                   f"{type(error).__name__}: {grading.shortened(str(error))}")


def grade(check: Callable, student: ModuleType, task: Task, given: dict) -> tuple[str, str, object]:
    """Result, words and picture (or None) of one exercise. The examples of the task come first: whoever fails them
    should look at these, and not at what hypothesis finds."""
    try:
        if not hasattr(student, task.name):
            return MISSING, "", None
        examples_hold(student, task, given)
        check(student)
    except BaseException as error:  # whatever it is, it is the student's
        return *verdict(error, task.set), getattr(error, "picture", None)
    return RIGHT, "", None


class Nothing:
    """A student all of whose functions return nothing, which no check may call right."""

    def __getattr__(self, name):
        return lambda *_, **__: None


def fooled(check: Callable) -> bool:
    """Whether a check has been brought to call everything right."""
    try:
        check(Nothing())
    except BaseException:
        return False
    return True


def tools(checks: ModuleType) -> dict[str, tuple]:
    """What grades, and what it leans on: each function by name, with its code."""
    torch = sys.modules.get("torch")
    owners = [builtins, copy, doctest, math, json, hypothesis, hypothesis.core, engine, hypothesis.strategies, grading,
              checks, sys.modules[__name__], *([torch, torch.Tensor] if torch else [])]
    owners += [one for module in (hypothesis.core, engine) for one in vars(module).values() if isinstance(one, type)]
    return {f"{owner.__name__}.{name}": (one, one.__code__ if isinstance(one, FunctionType) else None)
            for owner in owners for name, one in vars(owner).items() if callable(one)}


def changed(before: dict[str, tuple], checks: ModuleType) -> str:
    """The name of a tool that is another one now, or nothing."""
    now = tools(checks)
    return next((name for name, one in before.items()
                 if name not in now or any(a is not b for a, b in zip(one, now[name]))), "")


def trimmed(picture):
    """The picture without the empty margins around what it shows."""
    from PIL import Image, ImageChops

    empty = Image.new(picture.mode, picture.size, picture.getpixel((picture.width - 1, picture.height - 1)))
    left, top, right, bottom = ImageChops.difference(picture, empty).getbbox() or (0, 0, *picture.size)
    right, bottom = min(right + 8, picture.width), min(bottom + 8, picture.height)
    return picture.crop((max(0, left - 8), max(0, top - 8), right, bottom))


def allow(seconds: int):
    """End this process when it takes `seconds` of the processor from now on (where the system has a way to)."""
    if resource:
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = math.ceil(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def limit_memory():
    """Let this process have `ROOM` more than it has now, and write no file longer than `LONGEST`."""
    if resource:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LONGEST, LONGEST))
    if resource and Path("/proc/self/statm").exists():
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))


def main(name: str, folder: str, results: str, seconds: str, *wanted: str):
    lines = os.open(results, os.O_WRONLY | os.O_APPEND)
    sys.argv = [f"{name}.py"]

    def tell(**entries):
        os.write(lines, (json.dumps(entries | {"notes": guard.notes}) + "\n").encode())

    guard = Guard(Path.cwd())
    checks, given = checks_of(name), vars(load(EXERCISES / f"{name}.py", f"handed_out_{name}"))
    tasks = [task for task in tasks_of(name) if task.name in wanted]
    before, weighed = tools(checks), False
    limit_memory()
    tell(stage="reading", seconds=int(seconds))
    allow(int(seconds))
    sys.path.append(folder)  # behind all that is installed, for a student's file may have any name
    guard.start()
    try:
        student, unread = load(Path(folder) / f"{name}.py", name), None
    except BaseException as error:
        unread = verdict(error, name)
    for task in tasks:
        check = getattr(checks, f"check_{task.name}")
        limit = max(int(seconds), getattr(check, "seconds", 0))
        tell(stage=task.name, seconds=limit)
        allow(limit)
        start = time.process_time()
        result, words, picture = (*unread, None) if unread else grade(check, student, task, given)
        tool = changed(before, checks)
        if result == RIGHT and not weighed:  # once is enough: it takes as long as some exercises
            weighed = not fooled(check)
            if not weighed:
                result, words = UNBELIEVED, "With your file, the grader calls functions right that return nothing."
        if tool:
            result, words = UNBELIEVED, f"Your files change {tool}, which the grader works with."
        if picture:
            trimmed(picture).save(f".{task.name}.png")
        tell(exercise=task.name, result=result, message=words, seconds=time.process_time() - start)
    tell(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
