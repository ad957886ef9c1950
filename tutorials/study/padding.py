"""Trains with another treatment of what is behind an answer: `python tutorials/study/padding.py --padding WAY ...`.

The other options are those of `python -m minllada_v.train`. Of the four ways
    asked      fills the canvas with <|endoftext|>, and each counts as much as a token of the answer;
    tenth      lets each count a tenth as much, which is what training with --canvas does;
    unasked    fills the canvas too, and hides the filling like the rest, but never asks for it;
    batch      fills only up to the longest answer of a batch, and asks, which is how the released code trains.
"""

import argparse
import sys

from minllada_v import train
from minllada_v.training import examples, objectives

WEIGHTS = {"asked": 1.0, "tenth": objectives.PADDING_WEIGHT, "unasked": 0.0, "batch": 1.0}


def not_filled(tokenizer, conversation, pictures, canvas, system=None):
    """As `canvas_example`, without the <|endoftext|> behind the answer."""
    parts = filled(tokenizer, conversation, pictures, canvas, system)
    answer = tokenizer.encode(conversation[-1]["value"])
    length = len(parts[0]) - canvas + len(answer) + 1  # the end of the turn is one
    return tuple(part[:length] for part in parts)


filled = examples.canvas_example


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train with another treatment of what is behind an answer.")
    parser.add_argument("--padding", choices=WEIGHTS, required=True)
    arguments, others = parser.parse_known_args(argv)
    objectives.PADDING_WEIGHT = WEIGHTS[arguments.padding]
    examples.canvas_example = not_filled if arguments.padding == "batch" else filled
    return train.main(others)


if __name__ == "__main__":
    sys.exit(main())
