"""All that needs a GPU, in one run of at most seven minutes: the tests on it, and the full 8B shape on it.

    python tests/bench/gpu.py [--tiny]

Prints Markdown, and writes it to $OUT/gpu.md where OUT is set. Every part runs in processes of its own, each with a
limit, so that none takes the others along; what it printed until then stays. `--tiny` runs all of it on a CPU, on a
model of no size: it tries the script and measures nothing.

Needed are torch, numpy, pillow, safetensors, tqdm, pytest and hypothesis, and no network. Nothing is installed.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
BENCH, CHECKPOINT = ROOT / "tests" / "bench", ROOT / "tests" / "golden" / "checkpoint"
LIMIT = 415  # seconds for everything
KINDS = {"bfloat16": 90, "8": 40, "4": 40, "compiled": 90}  # seconds for each process of answering
TRAINED = {"align": 40, "lora": 40, "lora-4-bits": 40}
TRAINING_HEAD = "| training | learns | step, s | peak, GB | first loss |\n|---|---|---|---|---|"


class Report:
    """The Markdown, printed and written as it grows."""

    def __init__(self, slack: int):
        """Every limit is `slack` times what it would be on a GPU."""
        self.path = Path(os.environ["OUT"]) / "gpu.md" if os.environ.get("OUT") else None
        self.text, self.start, self.slack = "", time.monotonic(), slack

    def say(self, text: str):
        print(text, flush=True)
        self.text += text + "\n"
        if self.path:
            self.path.write_text(self.text, encoding="utf-8")

    def most(self, seconds: float) -> float:
        """What may be taken for a part: no more than is left of the whole run."""
        left = self.slack * LIMIT - (time.monotonic() - self.start)
        return max(1.0, min(self.slack * seconds, left))


class Child:
    """A process that has begun. Its output goes to files, so that a limit loses none of it."""

    def __init__(self, *command: object, environment: dict[str, str] | None = None):
        self.out, self.err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        self.start = time.monotonic()
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
        self.process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=self.out,
                                        stderr=self.err, env=os.environ | paths | (environment or {}),
                                        start_new_session=True)

    def end(self, limit: float) -> tuple[str, str]:
        """Wait for it, at most `limit` seconds from its start; its output, and what went wrong ("" if nothing)."""
        problem = ""
        try:
            code = self.process.wait(max(1.0, limit - (time.monotonic() - self.start)))
        except subprocess.TimeoutExpired:
            problem = f"stopped after {limit:.0f} s. "
            for number in (signal.SIGTERM, signal.SIGKILL):  # of its own group: what it has started ends too
                try:
                    os.killpg(self.process.pid, number)
                    code = self.process.wait(8)
                    break
                except (subprocess.TimeoutExpired, ProcessLookupError):
                    continue
        self.seconds = time.monotonic() - self.start
        said, complained = (self._read(file) for file in (self.out, self.err))
        if self.process.returncode:
            lines = [line for line in re.split(r"[\r\n]+", complained) if line.strip()]
            problem += f"exit code {code}: " + " / ".join(lines[-3:])[-600:]
        return said, problem

    @staticmethod
    def _read(file) -> str:
        file.seek(0)
        return file.read()


def tests(report: Report, tiny: bool):
    """The tests whose models compute on the device, all files at once. The others have nothing to do with it."""
    concerned = [path.relative_to(ROOT) for path in sorted((ROOT / "tests").rglob("test_*.py"))
                 if re.search(r"^from (device|golden_data) import", path.read_text(encoding="utf-8"), re.MULTILINE)]
    options = ["-p", "no:cacheprovider", "--tb=short", "--device", "cpu" if tiny else "cuda"]
    if tiny:
        concerned = [Path("tests/test_cuda.py"), Path("tests/test_language.py")]
        options += ["-k", "lies_there or golden_logits"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what else is installed has no say
    children = {path: Child("-m", "pytest", path, *options, environment=alone) for path in concerned}
    whole = ""
    for path, child in children.items():
        said, problem = child.end(report.most(150))
        lines = said.strip().splitlines() or [""]
        report.say(f"- {path}: {lines[-1]}{f' ({problem})' if problem else ''}")
        if problem:
            told = [line for line in lines if re.match(r"(FAILED|ERROR|E  |____)", line)]
            report.say("```\n" + "\n".join(told[-40:]) + "\n```")
        whole += f"{path}\n\n{said}\n\n"
    if report.path:
        report.path.with_name("tests.txt").write_text(whole, encoding="utf-8")
    report.say("")


def answering(report: Report, tiny: bool):
    for kind, limit in KINDS.items():
        child = Child(BENCH / "gpu_answering.py", kind, *["--tiny"] * tiny)
        said, problem = child.end(report.most(limit))
        report.say(f"{said}{f'- {kind}: {problem}' if problem else ''}\n")


def training(report: Report, tiny: bool):
    report.say(TRAINING_HEAD)
    for kind, limit in TRAINED.items():
        said, problem = Child(BENCH / "gpu_training.py", kind, *["--tiny"] * tiny).end(report.most(limit))
        report.say(said.strip() or f"| {kind} | failed: {problem.replace('|', '/')} |")
    report.say("")


def processes(report: Report, tiny: bool):
    """The same short training four times at once: twice alone, then as the one process of torchrun's."""
    single = ["-m", "minllada_v.train"]
    grouped = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", *single]
    with tempfile.TemporaryDirectory() as folder:
        common = ["--from", CHECKPOINT, "--world", "--steps", "6", "--batch-size", "4", "--learning-rate", "1e-3",
                  "--held-out", "4", "--answer-length", "2", "--dtype", "float32",
                  "--device", "cpu" if tiny else "cuda"]
        ways = {"alone": single, "alone again": single, "torchrun": grouped, "torchrun, sharded": grouped}
        children = {way: Child(*command, "--out", Path(folder, way), *common, *["--shard"] * ("sharded" in way))
                    for way, command in ways.items()}
        ended = {way: child.end(report.most(60)) for way, child in children.items()}
        for way, (_, problem) in ended.items():
            try:
                losses = [json.loads(line)["loss"] for line in Path(folder, way, "log.jsonl").read_text().splitlines()
                          if '"loss"' in line]
                first = losses if way == "alone" else first
                furthest = max(abs(loss / other - 1) for loss, other in zip(losses, first, strict=True))
                report.say(f"- {way}: {len(losses)} steps, last loss {losses[-1]:.6f}; furthest from the first run's: "
                           f"{furthest:.1e}. {problem}")
            except (OSError, ValueError, NameError) as error:
                report.say(f"- {way}: failed: {problem or error}")
    report.say("")


def lesson(report: Report, tiny: bool):
    """The first lesson from random weights, and how much it has taught."""
    device = "cpu" if tiny else "cuda"
    with tempfile.TemporaryDirectory() as folder:
        child = Child("-m", "minllada_v.train", "--preset", "first-lesson", "--out", folder, "--device", device,
                      "--workers", "0" if tiny else "4", *(["--steps", "1", "--held-out", "2"] if tiny else []))
        _, problem = child.end(max(20, report.most(LIMIT) - 25))
        report.say(f"- trained from scratch in {child.seconds:.0f} s. {problem}")
        said, problem = Child("-m", "minllada_v.evaluate", "--benchmark", "small-world", "--lesson", "first-lesson",
                              "--weights", Path(folder, "tune", "last"), "--device", device, "--count",
                              "1" if tiny else "100").end(report.most(40))
        report.say(f"\n```\n{said.strip() or problem}\n```")


PARTS = {"Answering": answering, "Training": training, "NCCL, and the same numbers twice": processes, "Tests": tests,
         "The first lesson": lesson}


def main():
    parser = argparse.ArgumentParser(description="Test and measure on a GPU.")
    parser.add_argument("--tiny", action="store_true", help="try the script on a CPU")
    tiny = parser.parse_args().tiny
    if not (tiny or torch.cuda.is_available()):
        parser.error("this machine, or this PyTorch, has no CUDA; --tiny tries the script on a CPU")
    report = Report(slack=4 if tiny else 1)
    card = "a CPU, tiny" if tiny else torch.cuda.get_device_name()
    report.say(f"# On {card}\n\ntorch {torch.__version__}, {os.cpu_count()} processors\n")
    for title, part in PARTS.items():
        report.say(f"## {title}\n")
        try:
            part(report, tiny)
        except Exception as error:  # of this script: the other parts go on
            report.say(f"failed: {type(error).__name__}: {error}\n")
    report.say(f"\nAll of it took {time.monotonic() - report.start:.0f} s.")


if __name__ == "__main__":
    main()
