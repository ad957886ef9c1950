"""Runs the grader's children: one for each student and set, with limits, and a new one after each that was killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tasks import EXERCISES, Task

CHILD = Path(__file__).parent / "child.py"
UNFINISHED = "did not finish"
START = 300  # seconds that a child has for its own imports; a busy machine may need many
WAITING = 50  # seconds that an exercise may take by the clock, beside those of the processor
LOST = 300  # seconds after which no new child is started for what a killed one left


@dataclass
class Run:
    """What came of the exercises of one set."""

    entries: dict[str, dict]  # for each exercise its result, message, seconds and picture (a file's bytes, or None)
    notes: list[str] = field(default_factory=list)
    printed: str = ""


def run_set(folder: Path, tasks: list[Task], seconds: int, stop: threading.Event) -> Run:
    """Grade the exercises `tasks` of one set in `folder`. Each takes at most `seconds` of the processor, or what its
    check asks for. Whatever the student's code does, this returns, with an entry for each exercise."""
    names = [task.name for task in tasks]
    run = Run({name: unfinished("It was not run: others in this file took too long.") for name in names})
    left, until = names, time.monotonic() + LOST
    while left and not stop.is_set() and time.monotonic() < until:
        stage, words = run_child(folder, tasks[0].set, left, seconds, stop, run)
        left = [name for name in left if run.entries[name]["result"] == UNFINISHED]
        for name in [stage] if stage in left else [] if stage in names else left:
            run.entries[name] = unfinished(words)
        left = [name for name in left if run.entries[name]["message"] != words]
    return run


def unfinished(words: str) -> dict:
    return {"result": UNFINISHED, "message": words, "seconds": 0.0, "picture": None}


def run_child(folder: Path, name: str, wanted: list[str], seconds: int, stop: threading.Event, run: Run):
    """One child. Returns the stage that it ended in ("done", an exercise, "reading" or "") and why, in words."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        work, results = Path(place, "work"), Path(place, "results")
        work.mkdir()
        results.touch()
        path = [str(EXERCISES.parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
            "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "TMPDIR": str(work),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(work / ".hypothesis"), "TORCHINDUCTOR_CACHE_DIR": str(work / ".torch")}
        with open(work / ".printed", "wb") as printed:
            child = subprocess.Popen(
                [sys.executable, "-P", str(CHILD), name, str(folder.resolve()), str(results), str(seconds), *wanted],
                cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                start_new_session=True)
        try:
            stage, words = follow(child, results, seconds, stop, run)
        finally:
            end(child)
        for entry, exercise in ((run.entries[one], one) for one in wanted):
            picture = work / f".{exercise}.png"
            if picture.is_file() and not picture.is_symlink():
                entry["picture"] = picture.read_bytes()
        for path in sorted(work.iterdir())[:20]:
            if not path.name.startswith("."):
                note(run, f"writes files ({path.name})")
        with open(work / ".printed", encoding="utf-8", errors="replace") as printed:
            run.printed = run.printed or printed.read(2000)
    return stage, words


def follow(child: subprocess.Popen, results: Path, seconds: int, stop: threading.Event, run: Run) -> tuple[str, str]:
    """Read what `child` writes until it ends, or takes too long at something."""
    stage, limit, since, read = "", START, time.monotonic(), 0
    while True:
        ended = child.poll() is not None or stop.wait(0.05)
        lines = results.read_bytes()[read:]
        for line in lines[: lines.rfind(b"\n") + 1].splitlines(keepends=True):
            read, since = read + len(line), time.monotonic()
            try:
                told = json.loads(line)
                for words in told["notes"]:
                    note(run, words)
                if "stage" in told:
                    stage, limit = told["stage"], WAITING + told["seconds"]
                elif told.get("done"):
                    return "done", ""
                elif told["exercise"] in run.entries:
                    run.entries[told["exercise"]] = {key: told[key] for key in ("result", "message", "seconds")} | {
                        "picture": None}
            except (ValueError, KeyError, TypeError):
                note(run, "writes to the file of the grader's results")
        if ended:
            return stage, why(child.returncode, stage, seconds)
        if time.monotonic() - since > limit:
            return stage, f"{what(stage)} took longer than {limit} s. Is there a loop that never ends?"


def what(stage: str) -> str:
    return {"": "The grader's own start", "reading": "Reading your file"}.get(stage, "It")


def why(code: int | None, stage: str, seconds: int) -> str:
    """How a child that did not reach its end ended."""
    if code is not None and code < 0:
        if -code == getattr(signal, "SIGXCPU", None):
            return f"{what(stage)} took too much time of the processor. Is there a loop that never ends?"
        return f"{what(stage)} was ended by the system ({signal.Signals(-code).name}). Did it take too much memory?"
    return f"{what(stage)} ended the whole program (exit code {code}), as os._exit does."


def note(run: Run, words: str):
    if words not in run.notes:
        run.notes.append(words)


def end(child: subprocess.Popen):
    """Kill `child`, and whatever it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # there are no groups on Windows; or all have ended
        pass
    child.kill()
    child.wait()
