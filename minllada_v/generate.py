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
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .answer import answer_text, denoise_answer, look, read_question
from .chat import IMAGE, MASK
from .checkpoint import checkpoint_folder, load_pretrained, pick_device
from .config import read_config
from .errors import InputError, complain, read_json
from .image import read_frames
from .model import LLaDAV
from .sampler import SamplerConfig, Step
from .tokenizer import Tokenizer
from .trace import check_target, save_trace
from .watch import Watch

DTYPES = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

DESCRIBE = "describe the picture."  # what the built-in model is asked about a picture that comes without a question

EXAMPLES = """examples:
  python -m minllada_v.generate --watch
  python -m minllada_v.generate --weights DIR --video frames/ --prompt - < file
  python -m minllada_v.generate --weights DIR --image a.png --image b.png --chat
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m minllada_v.generate",
        usage="%(prog)s [--image FILE] [--prompt TEXT] [...]",
        description="Answer a question about pictures by masked diffusion.",
        epilog=EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80),
    )
    option = parser.add_argument
    option("--weights", metavar="DIR", help="folder of a checkpoint (a small built-in model)")
    option("--image", metavar="FILE", action="append", default=[], help="a picture; repeat it for several")
    option("--video", metavar="PATH", help="a folder of frames, or an animated GIF or WebP")
    option("--frames", metavar="N", type=int, default=32, help="frames to look at, evenly spaced (32)")
    option("--prompt", metavar="TEXT", help="the question; - reads it from standard input")
    option("--chat", action="store_true", help="a conversation: each input line is a turn")
    option("--system", metavar="TEXT", help="system text in place of the model's own")
    option("--gen-length", metavar="N", type=int, help="[MASK] tokens to start from (128, or the model's)")
    option("--steps", metavar="N", type=int, help="denoising steps (one for each token)")
    option("--block-length", metavar="N", type=int, help="finish blocks of N tokens in order (one block)")
    option("--temperature", metavar="T", type=float, default=0.0, help="0 takes the likeliest token (0)")
    option("--cfg-scale", metavar="W", type=float, default=0.0, help="classifier-free guidance; 0 is off (0)")
    option("--remasking", metavar="HOW", choices=("low_confidence", "random"), default="low_confidence",
           help="tokens to keep: low_confidence (default) or random")
    option("--refresh-every", metavar="R", type=int, default=1,
           help="fast: run all only every R steps, else a block (1)")
    option("--threshold", metavar="P", type=float, help="fast: fill in all that is as sure as P at once")
    option("--stop", metavar="TEXT", action="append", default=[], help="end before TEXT, as whole tokens; repeatable")
    option("--suffix", metavar="TEXT", default="", help="text that the answer must lead up to")
    option("--seed", metavar="N", type=int, default=0, help="for temperature and random remasking (0)")
    option("--device", metavar="DEVICE", choices=("auto", "cpu", "cuda", "mps"), default="auto",
           help="auto, cpu, cuda or mps")
    option("--dtype", metavar="TYPE", choices=tuple(DTYPES), default="auto",
           help="auto (as stored), float32, bfloat16 or float16")
    option("--watch", action="store_true", help="show the answer filling in, on a terminal")
    option("--trace", metavar="FILE", help="draw the denoising, as a .gif or a .png")
    option("--json", action="store_true", help="print text, tokens, steps, time, memory as JSON")
    arguments = parser.parse_args(argv)
    if "" in (arguments.weights, arguments.video, *arguments.image):
        parser.error("the name of a file or folder is empty")
    if arguments.chat and (arguments.json or arguments.trace is not None or arguments.prompt is not None):
        parser.error("--chat reads its turns from standard input; leave out --prompt, --json and --trace")
    if arguments.weights is not None and not arguments.chat and arguments.prompt is None:
        parser.error("give a --prompt, or start a conversation with --chat")
    return arguments


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
        if "can't allocate memory" not in str(error):  # how PyTorch says it on a CPU
            raise
        return complain("failed: out of memory", 1)


def run(arguments: argparse.Namespace):
    """Load the model, look at the pictures once, answer. Raises `InputError`."""
    trace = None if arguments.trace is None else check_target(arguments.trace)
    folder = checkpoint_folder(arguments.weights)
    notes = fill_in_defaults(arguments, folder)
    sampler = SamplerConfig(
        arguments.gen_length, arguments.steps, arguments.block_length, arguments.temperature, arguments.cfg_scale,
        arguments.remasking, tuple(arguments.stop), arguments.suffix, arguments.seed, arguments.refresh_every,
        arguments.threshold,
    )
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    if not (arguments.chat or prompt.strip()):
        raise InputError("the prompt is empty")
    device = pick_device(None if arguments.device == "auto" else arguments.device)
    video = read_frames(arguments.video, arguments.frames) if arguments.video is not None else None
    model, tokenizer = load_pretrained(folder, device, DTYPES[arguments.dtype])
    for note in notes:
        complain(note, 0)
    start = time.perf_counter()
    features = look(model, arguments.image, video)
    if arguments.chat:
        chat(model, tokenizer, features, arguments, sampler)
        return
    ids = read_question(tokenizer, prompt, features, system=arguments.system)
    steps = denoise_answer(model, tokenizer, ids, features, sampler)
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
    if arguments.image or arguments.video is not None:
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
            ids = read_question(tokenizer, line, features, history, arguments.system)
            steps = denoise_answer(model, tokenizer, ids, features, sampler)
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
