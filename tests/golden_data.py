"""What the released implementation computed (see golden/README.md), for the tests that compare with it."""

import json
from functools import cache
from pathlib import Path

from device import DEVICE
from PIL import Image
from safetensors.torch import load_file

from minllada_v import load_pretrained

GOLDEN = Path(__file__).parent / "golden"
CHECKPOINT = GOLDEN / "checkpoint"
CASES = json.loads((GOLDEN / "cases.json").read_text())
TENSORS = load_file(GOLDEN / "cases.safetensors")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # the agreement that golden/README.md promises


@cache
def golden_model(device: str = DEVICE):
    """(model, tokenizer) of the golden checkpoint."""
    return load_pretrained(CHECKPOINT, device)


def picture(index: int) -> Image.Image:
    """Golden picture `index`."""
    return Image.fromarray(TENSORS[f"image/{index}/rgb"].numpy())


def video_frames() -> list[Image.Image]:
    """The four frames of the golden video."""
    return [Image.fromarray(frame) for frame in TENSORS["video/frames_rgb"].numpy()]
