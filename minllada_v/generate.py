"""The main job's command line: `python -m minllada_v.generate --weights DIR --image FILE --prompt TEXT`.

Without `--weights` the built-in model answers and, without a picture, is shown the one that comes with it. The answer,
and nothing else, goes to stdout. Exit code 2 says that something given was wrong, 1 that the run failed.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

from .answer import answer_steps, answer_text, encode_images, prepare, prompt_ids
from .evaluation.batch_run import read_questions, read_records, run_batch
from .chat import IMAGE, MASK
from .checkpoint import checkpoint_folder, load_pretrained, pick_device
from .compiled import compile_layers
from .config import read_config
from .errors import InputError, complain, read_json
from .generate_options import DTYPES, parse_arguments
from .image import read_frames
from .model import LLaDAV
from .processes import join_processes
from .sampler import Step
from .sampler_config import SamplerConfig
from .tokenizer import Tokenizer
from .drawing.trace import check_target, save_trace
from .drawing.terminal import Watch

DESCRIBE = "describe the picture."  # what the built-in model is asked about a picture that comes without a question


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _prepare_streams()
    arguments = parse_arguments(argv)
    try:
        run(arguments)
        return 0
    except InputError as error:
        return complain(error, 2)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except (MemoryError, torch.OutOfMemoryError, OSError) as error:
        return complain(f"failed: {str(error) or type(error).__name__}", 1)
    except RuntimeError as error:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = " ".join(str(error).split())[:300]
            return complain(f"failed: this machine cannot compile, so leave out --compile: {reason}", 1)
        if "can't allocate memory" not in str(error):  # how PyTorch says it on a CPU
            raise
        return complain("failed: out of memory", 1)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


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
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    if not (arguments.chat or prompt.strip()):
        raise InputError("the prompt is empty")
    device = pick_device(None if arguments.device == "auto" else arguments.device)
    video = read_frames(arguments.video, arguments.frames) if arguments.video is not None else None
    model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype])
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
    taken = []
    for count, last in enumerate(shown(steps, tokenizer, sampler, arguments.watch), start=1):
        taken += [last] if trace else []
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
        return ["the built-in model knows only its small world of drawn shapes, digits and bars (see questions.py); "
                "what it says about other pictures means nothing"] + [f"asked: {DESCRIBE}"] * asks
    example = read_json(folder / "example.json")
    picture = folder / example["image"]
    arguments.image = [str(picture)]
    if asks:
        arguments.prompt = example["conversations"][0]["value"].removeprefix(IMAGE).strip()
    shown_as = picture.relative_to(Path.cwd()) if picture.is_relative_to(Path.cwd()) else picture
    return [f"about {shown_as}" + f": {arguments.prompt}" * asks]


def batch(arguments: argparse.Namespace, folder: Path, sampler: SamplerConfig, notes: list[str]):
    """Answer the questions of a file, all of them or, under torchrun, this process's share."""
    questions, out = Path(arguments.batch), Path(arguments.out)
    lines = read_questions(questions, arguments.system, sampler)
    if out.exists() and out.samefile(questions):
        raise InputError(f"{out} holds the questions; name another file for the answers with --out")
    done = read_records(out)
    device = join_processes(arguments.device, shard=False)
    model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype])
    prepare(model, tokenizer, torch.arange(0), sampler)  # what fits no question must not become every one's record
    if arguments.compile:
        compile_layers(model)
    for note in notes:
        complain(note, 0)
    run_batch(model, tokenizer, lines, done, out, arguments.batch_size)


def chat(
    model: LLaDAV, tokenizer: Tokenizer, features: list[Tensor], arguments: argparse.Namespace, sampler: SamplerConfig
):
    """Answer each line of standard input, remembering the turns before. A turn that cannot be answered is reported
    and forgotten."""
    history: list[tuple[str, str]] = []
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
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


def _prepare_streams():
    """No terminal setting may cost an answer: open streams that were closed, and accept any bytes both ways."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if hasattr(stream, "reconfigure"):  # not so where a test stands in for it
            stream.reconfigure(errors=errors)
    warnings.filterwarnings("ignore", module="PIL")  # what cannot be read is an error of ours; the rest can


if __name__ == "__main__":
    sys.exit(main())
