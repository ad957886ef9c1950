"""Where the tests compute, which `pytest --device` says, and how near two results must be there.

On a CPU, what should be equal is compared bit for bit. A GPU takes other kernels for other shapes, and adds up in no
fixed order: there the tolerance of the type counts.
"""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

DEVICE = os.environ.get("TEST_DEVICE", "cpu")  # conftest.py has put it there
# Relative and absolute, on a GPU, by the type of the arithmetic; `float` is for what a run of several steps logs.
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 2e-2, float: 1e-3}
COMMAND = ["--device", DEVICE]  # options of every command: the types of a CPU
if DEVICE != "cpu":
    COMMAND += ["--dtype", "float32"]


def assert_close(found: Tensor, expected: Tensor, rtol: float | None = None, atol: float | None = None):
    """torch's, wherever both lie; on a GPU with the tolerance of their type at least."""
    if DEVICE != "cpu":
        rtol, atol = (max(given or 0, TOLERANCE[expected.dtype]) for given in (rtol, atol))
    torch.testing.assert_close(found.cpu(), expected.cpu(), rtol=rtol, atol=atol)


def same(found: Tensor, expected: Tensor, but: float = 0.0) -> bool:
    """Whether they are equal; on a GPU, whether they are close but for this share of the numbers. (AdamW's first steps
    are nearly the sign of the gradient: where that is rounding, any will do.)"""
    if DEVICE == "cpu":
        return found.equal(expected)
    tolerance = TOLERANCE[expected.dtype]
    close = found.cpu().double().isclose(expected.cpu().double(), tolerance, tolerance)
    return close.shape == expected.shape and (~close).sum() <= but * close.numel()


def alike(found, expected) -> bool:
    """Whether what a log holds is equal; on a GPU, whether its numbers nearly are."""
    if DEVICE == "cpu" or not isinstance(expected, (dict, list, float)):
        return found == expected
    if isinstance(expected, float):
        return abs(found - expected) <= TOLERANCE[float] * abs(expected)
    keys = expected if isinstance(expected, dict) else range(len(expected))
    return len(found) == len(expected) and all(alike(found[key], expected[key]) for key in keys)


def same_files(found: Path, expected: Path) -> bool:
    """Whether two checkpoint files or logs are equal, byte for byte; on a GPU, whether their numbers nearly are."""
    if DEVICE == "cpu" or expected.suffix == ".json":
        return found.read_bytes() == expected.read_bytes()
    if expected.suffix == ".jsonl":
        return alike(*([json.loads(line) for line in path.read_text().splitlines()] for path in (found, expected)))
    one, other = load_file(found), load_file(expected)
    return one.keys() == other.keys() and same(*(torch.cat([tensors[name].flatten().float() for name in other])
                                                 for tensors in (one, other)), but=0.01)
