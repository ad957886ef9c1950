"""How many questions of a benchmark are answered right: `python -m minllada_v.evaluate --benchmark NAME --data FILE`.

The table goes to stdout. `--benchmark small-world` draws its questions and needs no file.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from .answer import Request, answer_batch, encode_images
from .evaluation.answers import AnswerFile, fingerprint
from .evaluation.questions import Question, read_questions, world_questions
from .evaluation.benchmarks import BENCHMARKS, Benchmark, candidates, check_pairs, check_question, prompts, score
from .checkpoint import load_pretrained, pick_device
from .errors import InputError, RunError, complain
from .generate_options import DTYPES
from .world.lessons import LESSONS
from .evaluation.likelihood import answer_bounds
from .model import LLaDAV
from .sampler_config import SamplerConfig
from .evaluation.table import format_table
from .tokenizer import Tokenizer

WORLD_COUNT = 40  # questions of each ability of the small world

EXAMPLES = """examples:
  python -m minllada_v.evaluate --benchmark small-world
  python -m minllada_v.evaluate --benchmark mmmu --data mmmu/val.jsonl \\
      --weights LLaDA-V --out mmmu-answers.jsonl

The same command again goes on where it was stopped.
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m minllada_v.evaluate",
        usage="%(prog)s --benchmark NAME [--data FILE --out FILE] [--weights DIR] [...]",
        description="Ask a model the questions of a benchmark, and print how many it gets right.",
        epilog=EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80),
    )
    option = parser.add_argument
    option("--benchmark", metavar="NAME", required=True, choices=BENCHMARKS, help=", ".join(BENCHMARKS))
    option("--data", metavar="FILE", type=Path, help="its questions, as JSON lines")
    option("--image-folder", metavar="DIR", type=Path, help="where its pictures are (the folder of FILE)")
    option("--count", metavar="N", type=int, help=f"of small-world: questions of each ability ({WORLD_COUNT})")
    option("--lesson", metavar="NAME", choices=tuple(LESSONS), help="of small-world: a part of it, as in training")
    option("--weights", metavar="DIR", help="folder of a checkpoint (the built-in model)")
    option("--out", metavar="FILE", type=Path, help="every answer, as JSON lines; go on from there")
    option("--score", choices=("generation", "likelihood"), default="generation",
           help="likelihood: take the likeliest option, or yes or no")
    option("--steps", metavar="N", type=int, help="denoising steps in place of the benchmark's")
    option("--batch-size", metavar="N", type=int, default=8, help="questions at once (8)")
    option("--system", metavar="TEXT", help="system text in place of the model's own")
    option("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="auto, cpu, cuda or mps")
    option("--dtype", choices=tuple(DTYPES), default="auto", help="auto (as stored), float32, bfloat16 or float16")
    arguments = parser.parse_args(argv)
    drawn = arguments.benchmark == "small-world"
    if drawn and (arguments.data or arguments.image_folder):
        parser.error("small-world draws its questions; leave out --data and --image-folder")
    if not drawn and (arguments.data is None or arguments.out is None or arguments.count is not None
                      or arguments.lesson):
        parser.error(f"{arguments.benchmark} needs --data FILE, its questions, and --out FILE, for the answers; "
                     "--count and --lesson are for small-world")
    for name in ("count", "steps", "batch_size"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    return arguments


@dataclass(frozen=True)
class Judge:
    """A model, a benchmark, and how its answers are had."""

    model: LLaDAV
    tokenizer: Tokenizer
    benchmark: Benchmark
    system: str | None = None
    by_likelihood: bool = False

    def records(self, questions: Sequence[Question]) -> list[dict]:
        """What is written down about each question. One that cannot be asked has an `error`, and scores 0."""
        said: list[list[dict | InputError]] = [[] for _ in questions]
        asked = [prompts(self.benchmark, question) for question in questions]
        for turn in range(max(map(len, asked))):
            active = [place for place, turns in enumerate(asked) if turn < len(turns)
                      and not any(isinstance(reply, InputError) for reply in said[place])]
            histories = [[(text, reply["answer"]) for text, reply in zip(asked[place], said[place])]
                         for place in active]
            ask = self.likeliest if self.by_likelihood else self.generate
            replies = ask([questions[place] for place in active], [asked[place][turn] for place in active], histories)
            for place, reply in zip(active, replies, strict=True):
                said[place].append(reply)
        return [self.record(*each) for each in zip(questions, asked, said)]

    def record(self, question: Question, asked: Sequence[str], said: Sequence[dict | InputError]) -> dict:
        """The record of one question."""
        record = {"id": question.id, "group": question.group, "shown": question.shown}
        turns = [{"question": text, "expected": list(expected)} for text, (_, expected) in zip(asked, question.turns)]
        errors = [reply for reply in said if isinstance(reply, InputError)]
        if errors:
            return record | {"turns": turns, "score": 0.0, "error": str(errors[0])}
        turns = [turn | reply for turn, reply in zip(turns, said)]
        return record | {"turns": turns, "score": score(self.benchmark, question, [turn["answer"] for turn in turns])}

    def generate(self, questions: Sequence[Question], asked: Sequence[str], histories: Sequence[list]) -> list:
        """An answer in the model's own words to each question, `{"answer": text}`, or why there is none."""
        requests = [Request(text, question.images, question.video, history, self.system, self.benchmark.sampler)
                    for question, text, history in zip(questions, asked, histories)]
        replies = answer_batch(self.model, self.tokenizer, requests)
        return [reply if isinstance(reply, InputError) else {"answer": reply.text} for reply in replies]

    def likeliest(self, questions: Sequence[Question], asked: Sequence[str], histories: Sequence[list]) -> list:
        """The likeliest of the known answers to each question, with the bound of each in nats."""
        replies = []
        for question, text in zip(questions, asked):
            known = candidates(self.benchmark, question)
            try:
                features = encode_images(self.model, question.images, question.video)
                bounds = answer_bounds(self.model, self.tokenizer, text, known, features, self.system)
                nats = dict(zip(known, bounds))
                replies.append({"answer": min(nats, key=nats.get), "nats": nats})
            except InputError as error:
                replies.append(error)
        return replies


def judged(judge: Judge, questions: Sequence[Question], file: AnswerFile, batch_size: int) -> Iterator[int]:
    """Ask whatever `file` has no answer to yet, and add it; yields how many questions were done each time."""
    open_questions = [question for question in questions if not is_answered(judge.benchmark, question, file.records)]
    yield len(questions) - len(open_questions)
    for first in range(0, len(open_questions), batch_size):
        batch = open_questions[first:first + batch_size]
        file.add(judge.records(batch))
        yield len(batch)


def is_answered(benchmark: Benchmark, question: Question, records: dict[str, dict]) -> bool:
    """Whether there is an answer to this very question. What could not be asked is tried again."""
    record = records.get(question.id)
    if record is None or "error" in record or (record["group"], record["shown"]) != (question.group, question.shown):
        return False
    turns = [(asked, list(expected)) for asked, (_, expected) in zip(prompts(benchmark, question), question.turns)]
    return turns == [(turn["question"], turn["expected"]) for turn in record["turns"]]


def run(arguments: argparse.Namespace):
    """Evaluate and print the table. Raises `InputError`, or `RunError` if there were questions that could not be
    asked."""
    name = arguments.benchmark
    benchmark = BENCHMARKS[name]
    if name == "small-world":
        questions = world_questions(arguments.count or WORLD_COUNT, LESSONS[arguments.lesson or "everything"])
    else:
        questions = read_questions(arguments.data, arguments.image_folder)
    for question in questions:
        check_question(benchmark, question)
        if arguments.score == "likelihood":
            candidates(benchmark, question)
    if name == "mme":
        check_pairs(questions)
    device = pick_device(None if arguments.device == "auto" else arguments.device)
    model, tokenizer = load_pretrained(arguments.weights, device, DTYPES[arguments.dtype])
    sampler = benchmark.sampler or SamplerConfig(model.config.gen_length)
    benchmark = replace(benchmark, sampler=replace(sampler, steps=arguments.steps or sampler.steps))
    system = model.config.system if arguments.system is None else arguments.system
    settings = {"benchmark": name, "score": arguments.score, "system": system, "weights": fingerprint(model)}
    if arguments.lesson:
        settings["lesson"] = arguments.lesson
    if arguments.score == "generation":
        settings |= asdict(benchmark.sampler) | {"stop": list(benchmark.sampler.stop)}
    file = AnswerFile(arguments.out, settings)
    judge = Judge(model, tokenizer, benchmark, system, arguments.score == "likelihood")
    with tqdm(total=len(questions), desc=benchmark.title, unit="question") as bar:
        for count in judged(judge, questions, file, arguments.batch_size):
            bar.update(count)
    records = [file.records[question.id] for question in questions]
    how = (f"generation, {benchmark.sampler.gen_length} tokens in {benchmark.sampler.steps} steps"
           if arguments.score == "generation" else "likelihood of the options")
    print(f"{benchmark.title}, by {how}\n\n{format_table(name, benchmark, records)}", flush=True)
    broken = [record for record in records if "error" in record]
    if broken:
        raise RunError(f"{len(broken)} of {len(records)} questions could not be asked, and count as wrong; the first: "
                       f"{broken[0]['id']}: {broken[0]['error']}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 where something given was wrong, 1 where the run failed."""
    arguments = parse_arguments(argv)
    kept = f"; {arguments.out} holds what was answered, and the same command goes on from there" * bool(arguments.out)
    try:
        run(arguments)
        return 0
    except InputError as error:
        return complain(error, 2)
    except KeyboardInterrupt:
        return complain(f"interrupted{kept}", 130)
    except RunError as error:
        return complain(error, 1)
    except (MemoryError, torch.OutOfMemoryError, OSError) as error:
        return complain(f"failed: {str(error) or type(error).__name__}{kept}", 1)


if __name__ == "__main__":
    sys.exit(main())
