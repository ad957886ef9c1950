"""The small world as files: `python -m minllada_v.world --out DIR --count N` writes pictures and conversations in the
LLaVA format."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, complain
from .samples import SPLITS, draw_samples, write_samples


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 where something given was wrong, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m minllada_v.world",
                                     description="Draw pictures and write questions about them, in the LLaVA format.")
    option = parser.add_argument
    option("--out", metavar="DIR", required=True, type=Path, help="a new or empty folder")
    option("--count", metavar="N", required=True, type=int, help="how many samples")
    option("--split", choices=SPLITS, default="train", help="draws from seeds of its own: train, the default, or test")
    option("--seed", metavar="N", type=int, default=0, help="another seed, other samples (default 0)")
    arguments = parser.parse_args(argv)
    try:
        write_samples(arguments.out, draw_samples(arguments.seed, arguments.split), arguments.count)
        return 0
    except InputError as error:
        return complain(error, 2)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except OSError as error:
        return complain(f"failed: {error}", 1)


if __name__ == "__main__":
    sys.exit(main())
