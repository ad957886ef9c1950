"""The options of the main job's command line."""

import argparse
from collections.abc import Sequence

import torch

from . import __version__

DTYPES = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

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
    option("--version", action="version", version=__version__)
    option("--weights", metavar="DIR", help="folder of a checkpoint (a small built-in model)")
    option("--adapter", metavar="DIR", help="a LoRA adapter that belongs to them")
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
    option("--factor", metavar="F", type=float,
           help="fast: n surest while 1 - F/(n+1) sure (LLaDA-V: threshold)")
    option("--stop", metavar="TEXT", action="append", default=[], help="end before TEXT, as whole tokens; repeatable")
    option("--suffix", metavar="TEXT", default="", help="text that the answer must lead up to")
    option("--seed", metavar="N", type=int, default=0, help="for temperature and random remasking (0)")
    option("--device", metavar="DEVICE", choices=("auto", "cpu", "cuda", "mps"), default="auto",
           help="auto, cpu, cuda or mps")
    option("--dtype", metavar="TYPE", choices=tuple(DTYPES), default="auto",
           help="auto (as stored), float32, bfloat16 or float16")
    option("--bits", metavar="N", type=int, choices=(8, 4), help="store weights in 8 or 4 bits while loading them")
    option("--compile", action="store_true", help="fast on a GPU: compile the layers; needs a compiler")
    option("--watch", action="store_true", help="show the answer filling in, on a terminal")
    option("--trace", metavar="FILE", help="draw the denoising, as a .gif or a .png")
    option("--json", action="store_true", help="print text, tokens, steps, time, memory as JSON")
    option("--batch", metavar="FILE", help="answer a file: JSON lines of image, prompt and id")
    option("--out", metavar="FILE", help="its answers, appended; those it has are not asked again")
    option("--batch-size", metavar="N", type=int, default=8, help="questions of --batch at once (8)")
    arguments = parser.parse_args(argv)
    if "" in (arguments.weights, arguments.adapter, arguments.video, arguments.batch, arguments.out, *arguments.image):
        parser.error("the name of a file or folder is empty")
    if arguments.chat and (arguments.json or arguments.trace is not None or arguments.prompt is not None):
        parser.error("--chat reads its turns from standard input; leave out --prompt, --json and --trace")
    if (arguments.batch is None) != (arguments.out is None) or arguments.batch_size < 1:
        parser.error("--batch FILE needs --out FILE, and --out needs --batch; --batch-size is at least 1")
    if arguments.batch is not None:
        alone = ("image", "video", "prompt", "chat", "watch", "trace", "json")
        if any(getattr(arguments, name) not in (None, False, []) for name in alone):
            parser.error(f"--batch finds its questions in the file; leave out --{', --'.join(alone)}")
    elif arguments.weights is not None and not arguments.chat and arguments.prompt is None:
        parser.error("give a --prompt, or start a conversation with --chat")
    return arguments
