"""Halve a checkpoint: `python -m minllada_v.convert --from run/last --out DIR` writes its weights in bfloat16.

Training keeps weights in float32, because many small steps would be lost in bfloat16's 8 bits. To be used they need no
more than that; the released checkpoint and the built-in model are stored so. With `--adapter` what LoRA has learned is
added to the weights first.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from .checkpoint import load_pretrained
from .command import run_command
from .errors import InputError
from .training.adapters import load_adapter
from .training.checkpoints import save_checkpoint
from .training.lora import merge_adapters
from .training.start import read_files


def convert(source: Path, target: Path, adapter: Path | None = None):
    """Write the checkpoint `source` to the new folder `target`, in bfloat16, with `adapter` merged into it if there is
    one. Raises `InputError` if `source` is no checkpoint, `adapter` does not fit it, or `target` is there already."""
    if target.exists():
        raise InputError(f"{target} exists already; name a new folder")
    model, _ = load_pretrained(source, "cpu")
    if adapter is not None:
        load_adapter(model, adapter, source)
        merge_adapters(model, torch.bfloat16)
    for parameter in model.parameters():  # one by one, so that memory never holds all of it twice
        parameter.data = parameter.data.to(torch.bfloat16)
    save_checkpoint(target, model, read_files(source))


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.convert",
                                     description="Write a checkpoint's weights in bfloat16.")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--adapter", metavar="DIR", type=Path, help="merge this LoRA adapter into the weights")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see command.py)."""
    def run():
        arguments = parse_arguments(argv)
        convert(arguments.source, arguments.out, arguments.adapter)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
