"""How much memory training takes above the weights: a formula, measured on a middle-sized model, and its table for the
8B model.

    python tests/bench/training_memory.py [--formula]

Each way of training runs in a process of its own on the CPU, two steps of one example with a picture, with gradient
checkpointing. Its peak is that of the resident memory after the model has been loaded and taken into memory.
`--formula` prints the table only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from minllada_v.checkpoint import empty_model
from minllada_v.config import Config
from minllada_v.config_json import check_config
from minllada_v.convert import convert
from minllada_v.model import LLaDAV
from minllada_v.train import begin
from minllada_v.training.checkpoints import save_checkpoint
from minllada_v.training.distributed import Signals
from minllada_v.training.examples import batches_of
from minllada_v.training.lora import linear_layers
from minllada_v.training.settings import Settings
from minllada_v.training.start import as_json, draw_weights
from minllada_v.training.step import take_step

TOKENIZER = Path(__file__).parents[1] / "golden" / "checkpoint" / "tokenizer.json"
RELEASED = {  # see the released config.json
    "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "vocab_size": 126464,
    "image_aspect_ratio": "anyres_max_4", "image_grid_pinpoints": "(1x1),...,(6x6)",
    "mm_patch_merge_type": "spatial_unpad", "mm_projector_type": "mlp2x_gelu", "mm_hidden_size": 1152,
    "mm_newline_position": "grid", "tokenizer_model_max_length": 8192}
MIDDLE = RELEASED | {
    "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8,
    "num_key_value_heads": 8, "vocab_size": 8000, "mm_hidden_size": 64,
    "vision_config": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2,
                      "image_size": 224, "patch_size": 14}}
SMALL = MIDDLE | {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 640}
RANK = 8
WAYS = {"all weights": None, "align": None, "LoRA": None, "LoRA on 8 bits": 8, "LoRA on 4 bits": 4}  # bits
TARGETS = 128  # tokens of the answer


@dataclass(frozen=True)
class Memory:
    """Bytes that training one example takes."""

    weights: float  # as they are stored while they rest; what learns counts below
    learning: float  # what learns in float32, its gradients, and AdamW's two moments
    activations: float

    @property
    def above(self) -> float:
        """What comes on top once the model is loaded and what learns is float32."""
        return self.learning * 3 / 4 + self.activations


def formula(config: Config, way: str, tokens: int, targets: int, autocast: bool) -> Memory:
    """The memory of one example of `tokens` positions, of which `targets` are asked for at once.

    `autocast`: products, and what is kept for them, in bfloat16, as on a GPU; else all in float32.
    """
    model = empty_model(replace(config, weight_bits=WAYS[way]))
    numbers = {name: parameter.numel() for name, parameter in model.named_parameters()}
    learning = {name for name in numbers if name.startswith(("mm_projector.", "image_newline"))}
    if way == "align":
        learning = {name for name in learning if name != "image_newline"}
    if way == "all weights":
        learning = {name for name in numbers if not name.startswith("vision_tower.")}
    # 16 bytes for each number that learns: 4 its own, 4 the gradient, 8 AdamW's averages of gradients and squares.
    trained = sum(numbers[name] for name in learning)
    if way.startswith("LoRA"):  # A is r × in, B is out × r
        trained += RANK * sum(layer.in_features + layer.out_features for layer in linear_layers(model).values())
    # What rests is stored in bfloat16, or in the low bits that the config says.
    weights = sum(parameter.numel() * (parameter.element_size() if not parameter.is_floating_point() else 2)
                  for name, parameter in model.named_parameters() if name not in learning)
    width, inner = config.hidden_size, config.intermediate_size
    half = 2 if autocast else 4  # bytes of a number in products
    # Checkpointing keeps what enters each layer, in float32: the residual stream. In front of the first layer there are
    # the embeddings before and after the pictures' features take their places, these, and their gradient.
    streams = (config.num_hidden_layers + 4) * tokens * width * 4
    # One layer at a time is computed again, with all that its way back needs. For each position that is, of attention,
    # what enters q, k and v (once in float32; autocast converts it for each), q, k, v, what they gather, and that once
    # more in the order that o_proj reads; of the MLP, what comes out of attention, its norm for gate and up (likewise),
    # and gate, silu(gate), up and their product, which are `inner` wide.
    kept = width * ((3 * half if autocast else 4) + 5 * half + 4 + (2 * half if autocast else 4)) + 4 * inner * half
    # On the way back the gradients of three such wide rows are there at once, and of three of the stream.
    passing = 3 * inner * half + 3 * width * 4
    layer = tokens * (kept + passing)
    # Logits, at the targets only: from lm_head, the adapter and their sum; then in float32 the logits, their
    # probabilities, and the gradient.
    logits = targets * config.vocab_size * (3 * half + 3 * 4)
    return Memory(weights, 16 * trained, streams + max(layer, logits))


# Measuring.


def write_model(folder: Path, values: dict):
    """A random checkpoint in bfloat16, one of 8 and one of 4 bits, and a record with a picture."""
    torch.manual_seed(0)
    model = LLaDAV(check_config(values, "here"))
    draw_weights(model)
    files = {"config.json": as_json(values), "tokenizer.json": TOKENIZER.read_bytes()}
    save_checkpoint(folder / "16", model.bfloat16(), files)
    for bits in (8, 4):
        convert(folder / "16", folder / str(bits), bits)
    Image.effect_noise((448, 448), 50).convert("RGB").save(folder / "a.png")
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "Noise. " * 32}]
    (folder / "data.json").write_text(json.dumps([{"image": "a.png", "conversations": turns}] * 4))


def status(key: str) -> int:
    """A line of /proc/self/status, in bytes."""
    return int(re.search(rf"{key}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def measure(folder: Path, way: str) -> dict:
    """Two steps of training; the bytes above the weights, and the tokens of the example."""
    stage = "align" if way == "align" else "tune"
    settings = Settings(folder / way, data=folder / "data.json", start=folder / str(WAYS[way] or 16),
                        stage=stage, lora=RANK if way.startswith("LoRA") else None, batch_size=1, steps=2, held_out=0,
                        vision_learning_rate=0.0, checkpointing=True, device="cpu")
    run = begin(settings, torch.device("cpu"))
    tokens = []
    run.learner.model.language_model.layers[0].register_forward_pre_hook(lambda _, x: tokens.append(x[0].shape[1]))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    batches = (list(run.data[number] for number in numbers) for numbers in batches_of(0, 1, 1, 1, range(2)))
    with Signals() as signals:
        for _ in range(2):
            take_step(run, batches, signals)
    return {"above": status("VmHWM") - before, "tokens": max(tokens)}


def table_8b(tokens: int):
    """Print the formula's table for the released size."""
    config = check_config(RELEASED, "released")
    print(f"8B, one example of {tokens:,} tokens, {TARGETS} targets, bfloat16 products, gradient checkpointing, GB\n")
    print("| way | weights that rest | what learns, gradients, AdamW | activations | together |\n|---|---|---|---|---|")
    for way in WAYS:
        it = formula(config, way, tokens, TARGETS, autocast=True)
        parts = it.weights, it.learning, it.activations
        print(f"| {way} | {' | '.join(f'{part / 1e9:.1f}' for part in (*parts, sum(parts)))} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--formula", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    table_8b(3200)
    if arguments.formula:
        return
    config = check_config(MIDDLE, "middle")
    print("\nA middle-sized model, float32 products, MB above its weights\n\n|way|measured|formula|\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, values in (("small", SMALL), ("middle", MIDDLE)):
            write_model(Path(folder) / name, values)
        # The C library keeps what was freed, unless it is larger than this.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
        for way in WAYS:
            worker = subprocess.run([sys.executable, __file__, "measure", folder, way], stdout=subprocess.PIPE,
                                    env=environment, check=True)
            found = json.loads(worker.stdout)
            it = formula(config, way, found["tokens"], TARGETS, autocast=False)
            print(f"| {way} | {found['above'] / 1e6:,.0f} | {it.above / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]) / "small", sys.argv[3])  # what torch reads and sets up at first is not counted
        print(json.dumps(measure(Path(sys.argv[2]) / "middle", sys.argv[3])))
    else:
        main()
