"""The small world as files: `python -m minllada_v.world --out DIR --count N` writes pictures and conversations in the
LLaVA format."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..command import leaving, run_command
from .samples import SPLITS, UNFINISHED, draw_samples, write_samples


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line. Exits with code 2 where they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.world",
                                     description="Draw pictures and write questions about them, in the LLaVA format.")
    option = parser.add_argument
    option("--out", metavar="DIR", required=True, type=Path, help="a new or empty folder")
    option("--count", metavar="N", required=True, type=int, help="how many samples")
    option("--split", choices=SPLITS, default="train", help="draws from seeds of its own: train, the default, or test")
    option("--seed", metavar="N", type=int, default=0, help="another seed, other samples (default 0)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see command.py)."""
    def run():
        arguments = parse_arguments(argv)
        with leaving(lambda: f"{arguments.out} is not complete, and the same command begins it again"
                     if (arguments.out / UNFINISHED).exists() else ""):
            write_samples(arguments.out, draw_samples(arguments.seed, arguments.split), arguments.count)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
