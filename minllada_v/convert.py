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
from .errors import InputError, complain
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 where something given was wrong, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.convert",
                                     description="Write a checkpoint's weights in bfloat16.")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    arguments = parser.parse_args(argv)
    try:
        convert(arguments.source, arguments.out)
        return 0
    except InputError as error:
        return complain(error, 2)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except (MemoryError, OSError) as error:
        return complain(f"failed: {str(error) or type(error).__name__}", 1)


if __name__ == "__main__":
    sys.exit(main())
