"""For gpu.py, one process each: a training step on the full 8B shape, with random weights.

    python tests/bench/gpu_training.py align|lora|lora-4-bits [--tiny]

`align` trains the projector through the whole frozen model, on a picture of one tile and a caption; the others train
adapters of rank 8 on a conversation about the photograph, over weights in bfloat16 or in 4 bits. Arithmetic is
bfloat16, layers are computed twice (`--checkpointing`), and a batch is one example: what a GPU of 12 or 24 GB can do.
"""

import statistics
import sys
from pathlib import Path

import torch
from gpu_answering import DEVICE, PHOTO, TOKENIZER, random_model, seconds_now

from minllada_v.training.data import Record
from minllada_v.training.distributed import Learner, distribute, save_memory
from minllada_v.training.examples import encode
from minllada_v.training.frozen import keep_no_copies
from minllada_v.training.lora import add_lora, choose_adapters
from minllada_v.training.objectives import choose_objective, choose_trainable
from minllada_v.training.settings import Settings
from minllada_v.training.step import make_optimizer

STEPS = 4
RANK = 8
MOST = {"lora": 24, "lora-4-bits": 12}  # GB, what the table promises for a picture
SAID = [{"from": "human", "value": "<image>\nWhat is in the picture?"},
        {"from": "gpt", "value": "A cat with brown and grey fur, which looks past the camera. " * 4}]


def main(kind: str):
    model = random_model(4 if kind == "lora-4-bits" else None)
    stage = "align" if kind == "align" else "tune"
    settings = Settings(Path("out"), stage=stage, learning_rate=1e-5)
    if kind == "align":
        choose_trainable(model, stage, train_vision=False)
    else:
        add_lora(model, RANK, 2 * RANK, seed=0)
        choose_adapters(model, only=False)
    model.compute_dtype = torch.float32  # of what passes from layer to layer, as in training
    keep_no_copies(model)
    save_memory(model)
    learner = Learner(model, TOKENIZER, choose_objective(settings, TOKENIZER), bfloat16=True)
    module = distribute(learner, DEVICE, shard=False)
    optimizer = make_optimizer(learner, settings.learning_rate, 0.0)
    example = encode(Record("chelsea", SAID, [PHOTO], False), TOKENIZER, model.config, stage)
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trained, times, losses = [p for p in learner.parameters() if p.requires_grad], [], []
    for number in range(STEPS):
        start = seconds_now()
        optimizer.zero_grad()
        loss = module([example], torch.full((1,), 0.5), [number]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        times.append(seconds_now() - start)
        losses.append(loss.item())
    peak = torch.cuda.max_memory_allocated() / 1e9 if DEVICE.type == "cuda" else 0.0
    target = f" (target: at most {MOST[kind]})" if kind in MOST else ""
    print(f"| {kind} | {sum(p.numel() for p in trained) / 1e6:.1f} M | {statistics.median(times[1:]):.3f} | "
          f"{peak:.1f}{target} | {losses[0]:.3f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
