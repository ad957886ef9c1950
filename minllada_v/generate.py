"""The main job's command line: `python -m minllada_v.generate --weights DIR --image FILE --prompt TEXT`.

Without `--weights` the built-in model answers and, without a picture, is shown the one that comes with it. The answer,
and nothing else, goes to stdout. Exit code 2 says that something given was wrong, 1 that the run failed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .answer import Request, answer_batch, answer_steps, answer_text, encode_images, prepare, prompt_ids
from .autoregressive import refuse_what_needs_masks
from .chat import IMAGE, MASK
from .checkpoint import checkpoint_folder, load_pretrained, pick_device
from .command import run_command
from .compiled import compile_layers
from .config_json import read_config
from .drawing.terminal import Watch
from .drawing.trace import check_target, save_trace
from .errors import InputError, complain
from .evaluation.answers import AnswerFile, fingerprint
from .evaluation.questions import Question, read_questions
from .files import read_input, read_json
from .generate_options import DTYPES, parse_arguments
from .image import read_frames
from .model import LLaDAV
from .processes import join_processes
from .sampler import Step
from .sampler_config import SamplerConfig
from .tokenizer import Tokenizer
from .training.adapters import load_adapter

DESCRIBE = "describe the picture."  # what the built-in model is asked about a picture that comes without a question


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(lambda: run(parse_arguments(argv)))


def run(arguments: argparse.Namespace):
    """Load the model, look at the pictures once, answer. Raises `InputError`."""
    trace = None if arguments.trace is None else check_target(arguments.trace)
    folder = checkpoint_folder(arguments.weights)
    notes = fill_in_defaults(arguments, folder)
    names = [setting.name for setting in fields(SamplerConfig)]
    sampler = SamplerConfig(**{name: getattr(arguments, name) for name in names} | {"stop": tuple(arguments.stop)})
    if arguments.batch is not None:
        batch(arguments, folder, sampler, notes)
        return
    prompt = read_input(sys.stdin.read) if arguments.prompt == "-" else arguments.prompt
    if not (arguments.chat or prompt.strip()):
        raise InputError("the prompt is empty")
    device = pick_device(None if arguments.device == "auto" else arguments.device)
    video = read_frames(arguments.video, arguments.frames) if arguments.video is not None else None
    model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype], arguments.bits)
    if arguments.adapter is not None:
        load_adapter(model, Path(arguments.adapter), folder)
    if arguments.compile:
        compile_layers(model)
    for note in notes:
        complain(note, 0)
    start = time.perf_counter()
    features = encode_images(model, arguments.image, video)
    if arguments.chat:
        chat(model, tokenizer, features, arguments, sampler)
        return
    ids = prompt_ids(tokenizer, prompt, features, system=arguments.system)
    steps = answer_steps(model, tokenizer, ids, features, sampler)
    taken, count = [], 0
    for last in shown(steps, tokenizer, sampler, arguments.watch):
        count += 1
        if trace:
            taken.append(last)
    text = answer_text(tokenizer, last)
    if arguments.json:
        text = json.dumps({
            "text": text,
            "tokens": last.answer.tolist(),
            "steps": count,
            "forward_passes": last.forward_passes,
            "prompt_length": len(ids),
            "seconds": round(time.perf_counter() - start, 3),
            "peak_memory_bytes": peak_memory(device),
        })
    print(text, flush=True)
    if trace:
        shade = "confidence" if sampler.remasking == "low_confidence" else "random order"
        save_trace(trace, taken, len(ids), tokenizer, tokenizer.token_id(MASK), shade)


def fill_in_defaults(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Take what the command line leaves open from the model in `folder`; returns what the user should know of it. The
    built-in model brings a picture and a question too."""
    config = read_config(folder / "config.json")
    arguments.system = config.system if arguments.system is None else arguments.system
    arguments.gen_length = config.gen_length if arguments.gen_length is None else arguments.gen_length
    if arguments.weights is not None:
        return []
    asks = not arguments.chat and arguments.prompt is None
    if arguments.batch is not None or arguments.image or arguments.video is not None:
        asks = asks and arguments.batch is None
        arguments.prompt = DESCRIBE if asks else arguments.prompt
        return ["the built-in model knows only its small world of drawn shapes, digits and bars (see "
                "world/questions.py); what it says about other pictures means nothing"] + [f"asked: {DESCRIBE}"] * asks
    example = read_json(folder / "example.json")
    picture = folder / example["image"]
    arguments.image = [str(picture)]
    if asks:
        arguments.prompt = example["conversations"][0]["value"].removeprefix(IMAGE).strip()
    shown_as = picture.relative_to(Path.cwd()) if picture.is_relative_to(Path.cwd()) else picture
    return [f"about {shown_as}" + f": {arguments.prompt}" * asks]


def batch(arguments: argparse.Namespace, folder: Path, sampler: SamplerConfig, notes: list[str]):
    """Answer the questions of a file, all of them or, under torchrun, this process's share."""
    source, out = Path(arguments.batch), Path(arguments.out)
    questions = read_questions(source, judged=False)
    if out.exists() and out.samefile(source):
        raise InputError(f"{out} holds the questions; name another file for the answers with --out")
    device = join_processes(arguments.device, shard=False)
    with AnswerFile(out) as file:
        model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype], arguments.bits)
        if arguments.adapter is not None:
            load_adapter(model, Path(arguments.adapter), folder)
        canvas = prepare(model, tokenizer, torch.arange(0), sampler)  # what fits no question must not be said of each
        if model.config.autoregressive:
            refuse_what_needs_masks(canvas)
        file.begin(asdict(sampler) | {"system": arguments.system, "weights": fingerprint(model)})
        if arguments.compile:
            compile_layers(model)
        for note in notes:
            complain(note, 0)
        cache: dict = {}

        def ask(batch: Sequence[Question]) -> list[dict]:
            if len(cache) > arguments.batch_size:  # questions about one picture are usually neighbours
                cache.clear()
            requests = [Request(question.turns[0][0], question.images, system=arguments.system, sampler=sampler)
                        for question in batch]
            return [{"error": str(reply)} if isinstance(reply, InputError) else asdict(reply)
                    for reply in answer_batch(model, tokenizer, requests, cache)]

        file.fill(questions, lambda question: [text for text, _ in question.turns], ask, arguments.batch_size,
                  "answering")
    errors = sum("error" in file.records[question.id] for question in questions) if file.rank == 0 else 0
    if errors:
        complain(f"{errors} of {len(questions)} questions could not be answered; {out} says why", 0)


def chat(
    model: LLaDAV, tokenizer: Tokenizer, features: list[Tensor], arguments: argparse.Namespace, sampler: SamplerConfig
):
    """Answer each line of standard input, remembering the turns before. A turn that cannot be answered is reported
    and forgotten."""
    history: list[tuple[str, str]] = []
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = read_input(sys.stdin.readline)
        if not line:
            return
        if not line.strip():
            continue
        try:
            ids = prompt_ids(tokenizer, line, features, history, arguments.system)
            steps = answer_steps(model, tokenizer, ids, features, sampler)
            *_, last = shown(steps, tokenizer, sampler, arguments.watch)
        except InputError as error:
            complain(error, 2)
            continue
        text = answer_text(tokenizer, last)
        history.append((line, text))
        print(text, flush=True)


def shown(steps: Iterator[Step], tokenizer: Tokenizer, sampler: SamplerConfig, watch: bool) -> Iterator[Step]:
    """Pass the steps on while stderr shows a progress bar or, with `watch`, the answer filling in."""
    if not (watch and sys.stderr.isatty()):
        yield from tqdm(steps, total=min(sampler.steps, sampler.gen_length), desc="denoising", unit="step")
        return
    with Watch(tokenizer, tokenizer.token_id(MASK)) as screen:
        for step in steps:
            screen.draw(step)
            yield step


def peak_memory(device: torch.device) -> int | None:
    """Most bytes in use until now: on the GPU where there is one, else of the process. None where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
