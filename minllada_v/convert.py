"""Halve a checkpoint: `python -m minllada_v.convert --from run/last --out DIR` writes its weights in bfloat16.

Training keeps weights in float32, because many small steps would be lost in bfloat16's 8 bits. To be used they need no
more than that; the released checkpoint and the built-in model are stored so.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from .checkpoint import load_pretrained
from .command import run_command
from .errors import InputError
from .training.checkpoints import save_checkpoint
from .training.start import read_files


def convert(source: Path, target: Path):
    """Write the checkpoint `source` to the new folder `target`, in bfloat16. Raises `InputError` if `source` is no
    checkpoint or `target` is there already."""
    if target.exists():
        raise InputError(f"{target} exists already; name a new folder")
    model, _ = load_pretrained(source, "cpu")
    for parameter in model.parameters():  # one by one, so that memory never holds all of it twice
        parameter.data = parameter.data.to(torch.bfloat16)
    save_checkpoint(target, model, read_files(source))


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.convert",
                                     description="Write a checkpoint's weights in bfloat16.")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see command.py)."""
    def run():
        arguments = parse_arguments(argv)
        convert(arguments.source, arguments.out)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
