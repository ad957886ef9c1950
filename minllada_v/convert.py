"""Make a checkpoint smaller: `python -m minllada_v.convert --from run/last --out DIR` writes its weights in bfloat16.

Training keeps weights in float32, because many small steps would be lost in bfloat16's 8 bits. To be used they need no
more than that; the released checkpoint and the built-in model are stored so. With `--bits 8` or `--bits 4` the layers
of the language model get smaller still (see low_bits.py). With `--adapter` what LoRA has learned becomes part of the
weights.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from .checkpoint import load_pretrained
from .command import run_command
from .errors import InputError
from .files import read_json
from .training.adapters import load_adapter
from .training.checkpoints import save_checkpoint
from .training.lora import merge_adapters
from .training.start import as_json, read_files


def convert(source: Path, target: Path, bits: int | None = None, adapter: Path | None = None):
    """Write the checkpoint `source` to the new folder `target`, in bfloat16, and the layers of the language model in
    `bits`, if given, or with `adapter` merged into them. Raises `InputError` if `source` is no checkpoint, or one in
    low bits, if `adapter` does not fit it, or if `target` is there."""
    if target.exists():
        raise InputError(f"{target} exists already; name a new folder")
    model, _ = load_pretrained(source, "cpu", bits=bits)
    files = read_files(source)
    values = read_json(source / "config.json")
    if values.get("weight_bits"):
        raise InputError(f"{source} holds weights in {values['weight_bits']} bits already; give the original weights")
    if bits:
        files["config.json"] = as_json(values | {"weight_bits": bits})
    else:
        if adapter is not None:
            load_adapter(model, adapter, source)
            merge_adapters(model, torch.bfloat16)
        for parameter in model.parameters():  # one by one, so that memory never holds all of it twice
            parameter.data = parameter.data.to(torch.bfloat16)
    save_checkpoint(target, model, files)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.convert",
                                     description="Write a checkpoint's weights in bfloat16, or smaller.")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--bits", type=int, choices=(8, 4), help="store the language model's layers in so few")
    parser.add_argument("--adapter", metavar="DIR", type=Path, help="merge this LoRA adapter into the weights")
    arguments = parser.parse_args(argv)
    if arguments.bits and arguments.adapter is not None:
        parser.error("merge with --adapter first, and make what comes out smaller with --bits then")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see command.py)."""
    def run():
        arguments = parse_arguments(argv)
        convert(arguments.source, arguments.out, arguments.bits, arguments.adapter)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
