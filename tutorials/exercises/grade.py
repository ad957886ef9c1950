"""Grades the exercises of the course: `grade.py [FOLDER …] [--only NAME]`. See the README beside it.

One folder is graded as a student reads it, several as a class. Each set of exercises runs in a process of its own with
limits (`grader/watch.py`); what came of it stands in `--out` too, where everything is "did not finish" beforehand.
"""

import argparse
import csv
import json
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "grader"))
from notes import notes  # noqa: E402
from tasks import EXERCISES, Task, chosen, hints, sets  # noqa: E402
from watch import UNFINISHED, Run, run_set  # noqa: E402

RIGHT, MISSING = "right", "not implemented yet"
RESULTS = (RIGHT, "wrong", MISSING, UNFINISHED, "not believed")


def start(folder: Path) -> int:
    """Copy the tasks to `folder`; what is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    new = [name for name in sets() if not (folder / f"{name}.py").exists()]
    for name in new:
        shutil.copyfile(EXERCISES / f"{name}.py", folder / f"{name}.py")
    kept = len(sets()) - len(new)
    print(f"{folder}: {len(new)} files of tasks" + (f"; {kept} were there and stay as they are" if kept else ""))
    return 0


def begun(folder: Path, name: str) -> bool:
    """Whether there is a file for this set, and not just a copy of the task."""
    path = folder / f"{name}.py"
    return path.exists() and (not path.is_file() or path.read_bytes() != (EXERCISES / f"{name}.py").read_bytes())


def entry(task: Task, result: str, message: str = "", seconds: float = 0.0) -> dict:
    return {"set": task.set, "exercise": task.name, "difficulty": task.difficulty, "importance": task.importance,
            "result": result, "message": message, "seconds": round(seconds, 2)}


def summary(folder: Path, entries: list[dict], noted: list[str]) -> dict:
    right = [one for one in entries if one["result"] == RIGHT]
    return {"student": folder.resolve().name, "folder": str(folder), "right": len(right), "of": len(entries),
            "stars": sum(one["difficulty"] for one in right), "of_stars": sum(one["difficulty"] for one in entries),
            "notes": noted, "exercises": entries}


def write(out: Path, summed: dict):
    path = out / f"{summed['student']}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(summed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(path)


def grade(folder: Path, tasks: list[Task], out: Path, seconds: int, pool: ThreadPoolExecutor, stop: threading.Event):
    """Begin to grade a folder, and return a function that waits for what came of it. "Did not finish" is written first,
    so that it also stands there if this program is ended."""
    write(out, summary(folder, [entry(task, UNFINISHED, "The grader was ended.") for task in tasks], []))
    parts = [list(group) for _, group in groupby(tasks, lambda task: task.set)]
    running = [pool.submit(run_set, folder, part, seconds, stop) if begun(folder, part[0].set) else None
               for part in parts]

    def finished() -> tuple[dict, str]:
        entries, noted, printed = [], notes(folder), []
        for part, future in zip(parts, running):
            run = future.result() if future else Run({task.name: {"result": MISSING} for task in part})
            noted += [f"{part[0].set}.py {words}" for words in run.notes]
            printed += [run.printed] * bool(run.printed.strip())
            for task in part:
                got = run.entries[task.name]
                entries.append(entry(task, got["result"], got.get("message", ""), got.get("seconds", 0.0)))
                if got.get("picture"):
                    path = out / folder.resolve().name / f"{task.set}_{task.name}.png"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(got["picture"])
                    entries[-1]["message"] += f"\nA picture of it: {path}"
        summed = summary(folder, entries, noted)
        write(out, summed)
        return summed, "".join(printed)

    return finished


def told(summed: dict, printed: str) -> str:
    """What a student reads."""
    lines = []
    for one in summed["exercises"]:
        marks = f"{'★' * one['difficulty']:<3} {'●' * one['importance']:<3}"
        lines.append(f"{one['set']:<10}  {marks}  {one['exercise']:<28}  {one['result']}")
        lines += [f"            {line}" for line in one["message"].splitlines()]
    if printed.strip():
        lines += ["", "Your program printed:", *printed.rstrip().splitlines()[:20]]
    complete = {one["set"] for one in summed["exercises"]} - {one["set"] for one in summed["exercises"]
                                                             if one["result"] != RIGHT}
    if complete:
        cat = (HERE / "cat.txt").read_text(encoding="utf-8").rstrip()
        lines += ["", cat, "", f"Complete: {', '.join(sorted(complete))}."]
    else:
        stuck = next(one["exercise"] for one in summed["exercises"] if one["result"] != RIGHT)
        lines += ["", f"Stuck? Try --only {stuck} --hint 1."]
    return "\n".join(lines)


def row(summed: dict) -> dict:
    """A line of the class's table."""
    counts = {result: sum(one["result"] == result for one in summed["exercises"]) for result in RESULTS}
    return {"student": summed["student"], "stars": summed["stars"], "of stars": summed["of_stars"], **counts,
            "worth a look": len(summed["notes"])}


def table(rows: list[dict]) -> str:
    columns = {name: max(len(name), *(len(str(line[name])) for line in rows)) for name in rows[0]}
    lines = [{name: name for name in columns}, *rows]
    return "\n".join("  ".join(f"{line[name]:<{wide}}" if name == "student" else f"{line[name]:>{wide}}"
                               for name, wide in columns.items()) for line in lines)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="grade.py", description="Grade the exercises of the course.")
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", default=[Path("answers")],
                        help="where a student's files are; left out: answers")
    parser.add_argument("--start", action="store_true", help="copy the tasks to the folder, and grade nothing")
    parser.add_argument("--only", metavar="NAME", help="a chapter's number, a file without .py, or an exercise")
    parser.add_argument("--hint", type=int, choices=(1, 2, 3), help="show so many hints, and grade nothing")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path("grades"),
                        help="where JSON, class.csv and pictures go; left out: grades")
    parser.add_argument("--seconds", type=int, default=10, metavar="N",
                        help="of the processor that one exercise may take; left out: 10")
    options = parser.parse_args(arguments)
    options.tasks = chosen(options.only)
    if not options.tasks:
        parser.error(f"--only: there is no chapter, file or exercise {options.only}; files are {', '.join(sets())}")
    if options.hint and not options.only:
        parser.error("--hint: say with --only which exercise")
    if options.seconds < 1:
        parser.error("--seconds: at least 1")
    if not options.start and not options.hint:
        for folder in options.folders:
            if not folder.is_dir():
                parser.error(f"there is no folder {folder}" + (
                    "; --start makes it" if options.folders == [Path("answers")] else ""))
        names = [folder.resolve().name for folder in options.folders]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            parser.error(f"two folders are called {twice}; students are told apart by that name")
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--out: {options.out}: {error.strerror}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    if options.start:
        return max(map(start, options.folders))
    if options.hint:
        for task in options.tasks:
            print(f"{task.set}  {task.name}\n")
            print("\n\n".join(f"{number}. {text}" for number, text in enumerate(hints(task)[: options.hint], 1)), "\n")
        return 0
    stop, rows, right = threading.Event(), [], True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            running = [grade(folder, options.tasks, options.out, options.seconds, pool, stop)
                       for folder in options.folders]
            for finished in tqdm(running, "students", unit="student", delay=2, leave=False):
                summed, printed = finished()
                right &= summed["right"] == summed["of"]
                rows.append(row(summed) | {f"{one['set']} {one['exercise']}": one["result"]
                                           for one in summed["exercises"]})
                if len(running) == 1:
                    print(told(summed, printed))
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            return 130
    if len(rows) > 1:
        with open(options.out / "class.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        print(table([{name: line[name] for name in row(summed)} for line in rows]))
        print(f"\nWhat each student may read, and what is worth a look: {options.out}/STUDENT.json. "
              f"All results: {options.out}/class.csv")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
