"""How many questions of a benchmark are answered right: `python -m minllada_v.evaluate --benchmark NAME --data FILE`.

The table goes to stdout. `--benchmark small-world` draws its questions and needs no file.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .answer import Request, answer_batch, encode_images
from .checkpoint import checkpoint_folder, load_pretrained
from .command import run_command
from .errors import InputError, RunError
from .evaluation.answers import AnswerFile, fingerprint
from .evaluation.benchmarks import BENCHMARKS, Benchmark, candidates, check_pairs, check_question, prompts, score
from .evaluation.likelihood import answer_bounds
from .evaluation.questions import Question, read_questions, world_questions
from .evaluation.table import format_table
from .generate_options import DTYPES
from .model import LLaDAV
from .processes import join_processes
from .sampler_config import SamplerConfig
from .tokenizer import Tokenizer
from .training.adapters import load_adapter
from .world.lessons import LESSONS

WORLD_COUNT = 40  # questions of each ability of the small world

EXAMPLES = """examples:
  python -m minllada_v.evaluate --benchmark small-world
  python -m minllada_v.evaluate --benchmark mmmu --data mmmu/val.jsonl \\
      --weights LLaDA-V --out mmmu-answers.jsonl

The same command again goes on where it was stopped. Under torchrun each process
asks its share, and all write to the one FILE.
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
    option("--adapter", metavar="DIR", type=Path, help="a LoRA adapter that belongs to them")
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
        record = {"id": question.id, "group": question.group, "shown": question.shown,
                  "video": question.video is not None}
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
    device = join_processes(arguments.device, shard=False)
    with AnswerFile(arguments.out) as file:
        folder = checkpoint_folder(arguments.weights)
        model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype])
        if arguments.adapter is not None:
            load_adapter(model, arguments.adapter, folder)
        sampler = benchmark.sampler or SamplerConfig(model.config.gen_length)
        benchmark = replace(benchmark, sampler=replace(sampler, steps=arguments.steps or sampler.steps))
        system = model.config.system if arguments.system is None else arguments.system
        settings = {"benchmark": name, "score": arguments.score, "system": system, "weights": fingerprint(model)}
        if arguments.lesson:
            settings["lesson"] = arguments.lesson
        if arguments.score == "generation":
            settings |= asdict(benchmark.sampler)
        file.begin(settings)
        judge = Judge(model, tokenizer, benchmark, system, arguments.score == "likelihood")
        file.fill(questions, lambda question: prompts(benchmark, question), judge.records, arguments.batch_size,
                  benchmark.title)
    if file.rank > 0:
        return
    how = "likelihood of the options"
    if arguments.score == "generation":
        order = "from left to right" if model.config.autoregressive else f"in {benchmark.sampler.steps} steps"
        how = f"generation, {benchmark.sampler.gen_length} tokens {order}"
    records = [file.records[question.id] for question in questions]
    print(f"{benchmark.title}, by {how}\n\n{format_table(name, benchmark, records)}", flush=True)
    broken = [record for record in records if "error" in record]
    if broken:
        raise RunError(f"{len(broken)} of {len(records)} questions could not be asked, and count as wrong; the first: "
                       f"{broken[0]['id']}: {broken[0]['error']}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 where something given was wrong, 1 where the run failed."""
    return run_command(lambda: run(parse_arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
