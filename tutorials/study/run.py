"""Runs the study: `python tutorials/study/run.py data`, or another of the figures that plan.py names.

Each figure is a list of runs (see plan.py). A run is a few commands, one after another: training, then questions. What
it measured becomes a line of JSON in `results`. A run whose line is there is left out, and a training that was stopped
goes on, so the same command may be given until all is done. Then the figure is drawn.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch
from figures import RESULTS, add_result, chart, read_results, table
from plan import FIGURES, FULL, QUICK, RUNS, Run, preparations
from tqdm import tqdm

from minllada_v.errors import InputError, RunError, complain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ROOT = Path(__file__).parent.parent.parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Worker:
    """Runs commands as processes of their own, which end with this one."""

    def __init__(self, folder: Path):
        """Raises `InputError` if someone works in `folder` already."""
        self.folder, self.processes, self.stopped = folder, set(), False
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = (folder / "lock").open("w")
        if fcntl:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"a study is at work in {folder}, perhaps the last training of one that was killed; "
                                 "wait for its end, or end it") from None

    def run(self, command: str, log: Path) -> str:
        """What a command prints; what it complains about goes to `log`. Raises `RunError` if it fails."""
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        with log.open("a", encoding="utf-8") as errors:
            if self.stopped:
                raise RunError("stopped")
            process = subprocess.Popen(
                words, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | ONE_THREAD, **(
                    {"pass_fds": (self.lock.fileno(),), "process_group": 0} if fcntl else {}))
            # The lock is held until the last of them has ended, and a Ctrl-C reaches them through `stop` alone.
            self.processes.add(process)
            if self.stopped:
                process.terminate()
            printed, _ = process.communicate()
            self.processes.discard(process)
        if process.returncode:
            last = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").strip().split("\n")[-1]
            raise RunError(f"{command}\nended with code {process.returncode}; {log} ends with: {last}")
        return printed

    def make(self, run: Run) -> dict:
        """The result of a run. Its optimizer's state is thrown away, its weights are kept."""
        start, log = time.monotonic(), self.folder / f"{run.name}.txt"
        resumed = log.exists()  # then part of the time was spent before
        *_, printed = [self.run(command, log) for command in run.commands]
        for optimizer in self.folder.glob(f"{run.name}*/*/optimizer.safetensors"):
            optimizer.unlink()
        measured = json.loads(printed)
        right = measured["right"]
        total = [sum(numbers) for numbers in zip(*(right[name] for name in right if not name.startswith("turn ")))]
        return {"run": run.name, "seed": run.seed, **run.settings, "accuracy": 100 * total[0] / total[1], **measured,
                "seconds": round(time.monotonic() - start, 3), "resumed": resumed, "commands": list(run.commands),
                "machine": f"{platform.machine()}, torch {torch.__version__}, 1 thread"}

    def stop(self):
        """Tell what runs to save and end, and wait for it."""
        self.stopped = True
        for process in list(self.processes):
            process.terminate()
        for process in list(self.processes):
            process.wait()


def work(figure: str, folder: Path, results: Path, quick: bool, jobs: int):
    """Make what there is no result of yet, `jobs` runs at a time. Raises `RunError` or `InputError`."""
    scale, name = QUICK if quick else FULL, name_of(folder)
    made = {(entry["run"], *entry["commands"]) for entry in read_results(figure, results)}
    runs = RUNS[figure](name, scale)
    missing = [run for run in runs if (run.name, *run.commands) not in made]
    if not missing:
        return
    worker = Worker(folder)
    results.mkdir(parents=True, exist_ok=True)
    pool = ThreadPoolExecutor(jobs)
    try:
        prepared = preparations(figure, name, scale)
        for done, command in tqdm(prepared, "preparing", unit="step"):
            if not is_done(Path(ROOT, done), command):
                worker.run(command, folder / "preparing.txt")
        with tqdm(total=len(runs), initial=len(runs) - len(missing), desc=figure, unit="run") as bar:
            for future in as_completed([pool.submit(worker.make, run) for run in missing]):
                add_result(figure, results, future.result())
                bar.update()
    finally:
        worker.stop()
        pool.shutdown(cancel_futures=True)


def is_done(path: Path, command: str) -> bool:
    """Whether a preparation was brought to its end. Training ends at once where there is nothing left to do, so it is
    just asked."""
    return path.exists() and "minllada_v.train" not in command


def name_of(folder: Path) -> str:
    """How commands name the folder: from the repository, where it lies in it."""
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run a part of the study, and draw its figure.")
    option = parser.add_argument
    option("figure", choices=FIGURES)
    option("--quick", action="store_true", help="about a tenth of it, kept apart from the whole")
    option("--jobs", metavar="N", type=int, default=2, help="runs side by side, each on one thread (2)")
    arguments = parser.parse_args(argv)
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    folder = ROOT / "run" / ("study-quick" if arguments.quick else "study")
    results = folder / "results" if arguments.quick else RESULTS
    pictures = folder if arguments.quick else ROOT / "tutorials" / "pictures"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that what runs is told to end
    try:
        work(arguments.figure, folder, results, arguments.quick, arguments.jobs)
        entries = read_results(arguments.figure, results)
        path = pictures / f"12_{arguments.figure}.png"
        chart(arguments.figure, entries).save(path)
        print(f"{table(arguments.figure, entries)}\n\n{path} shows it")
        return 0
    except InputError as error:
        return complain(error, 2)
    except KeyboardInterrupt:
        return complain("interrupted; the same command goes on from there", 130)
    except (RunError, OSError) as error:
        return complain(error, 1)


if __name__ == "__main__":
    sys.exit(main())
