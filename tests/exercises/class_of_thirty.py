"""Grades thirty made-up students of all kinds (`submissions.py`) and says what came of it and how long it took:
`python tests/exercises/class_of_thirty.py FOLDER`, where FOLDER is new. The exit code is 1 if a verdict is wrong."""

import json
import subprocess
import sys
import time
from pathlib import Path

import submissions

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    submissions.write(folder / "in")
    start = time.perf_counter()
    students = sorted(str(path) for path in (folder / "in").iterdir())
    command = [sys.executable, str(submissions.EXERCISES / "grade.py"), *students, "--out", str(folder / "out")]
    subprocess.run(command, cwd=folder)
    complaints = [words for name in submissions.STUDENTS for words in submissions.disagreements(
        json.loads((folder / "out" / f"{name}.json").read_text(encoding="utf-8")))]
    print(f"\n{len(students)} students in {(time.perf_counter() - start) / 60:.1f} minutes")
    print("\n".join(complaints) or "All verdicts are as they should be.")
    sys.exit(bool(complaints))
