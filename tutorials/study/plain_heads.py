"""The same checkpoint with attention drawn at random: `python tutorials/study/plain_heads.py --from DIR --out DIR`.

Small models here begin with heads that look for likeness (chapter 9), which was found on the diffusion model. What
learns from this checkpoint must do without.
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import nn

from minllada_v.errors import InputError, complain
from minllada_v.training.checkpoints import save_checkpoint
from minllada_v.training.start import from_checkpoint


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw the attention of a checkpoint anew, at random.")
    parser.add_argument("--from", dest="start", metavar="DIR", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the new one goes")
    arguments = parser.parse_args(argv)
    try:
        start = from_checkpoint(arguments.start)
        generator = torch.Generator().manual_seed(0)
        for layer in start.model.language_model.layers:
            for part in layer.self_attn.children():  # the four projections, as `training.start` draws them at first
                nn.init.normal_(part.weight, std=math.sqrt(2 / (5 * part.weight.shape[1])), generator=generator)
        save_checkpoint(arguments.out, start.model, start.files)
        return 0
    except InputError as error:
        return complain(error, 2)


if __name__ == "__main__":
    sys.exit(main())
