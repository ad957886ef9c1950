"""What LoRA teaches in a few minutes: a fifth shape, which the built-in model has never seen.

    python tests/bench/lora.py [--new corner|heart] [--rank 8] [--steps 800] [--count 40] [--out DIR]

A corner is a word of one token, a heart one of two: all that stands behind it in an answer moves to another place.

Draws samples of the small world, and in a third of them puts the new shape in the place of an old one, in picture and
text. On these the training command makes an adapter, and then trains all weights for as long. Prints how often each is
right about the new shape and about all that the model knew before, on samples that training never draws.
"""

import argparse
import json
import math
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from minllada_v import SamplerConfig, load_pretrained
from minllada_v.checkpoint import BUILTIN
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.questions import Question, sample_question
from minllada_v.train import main as train
from minllada_v.training.adapters import load_adapter
from minllada_v.world.lessons import LESSONS
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import Sample, draw_sample, draw_samples, filled_up, write_sample
from minllada_v.world.scenes import CORNERS, SHAPES, paint

HEART = [(0.5 + 0.5 * math.sin(t) ** 3, 0.5 - (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
                                               - math.cos(4 * t) + 2.5) / 29)
         for t in (math.pi * step / 12 for step in range(24))]
CORNER = [(0, 0), (0.3, 0), (0.3, 0.7), (1, 0.7), (1, 1), (0, 1)]
SHOWN = ("colour", "shape", "yes_no", "count", "place", "describe")  # the abilities that teach it, and ask about it
BATCH = 8
LEARNING_RATES = {"LoRA": 1.5e-3, "all weights": 8e-4}
PATIENCE = 15  # steps that tell how long one takes


def with_new(sample: Sample, new: str, old: str, tokenizer, canvas: int) -> Sample | None:
    """The sample with the new shape in place of an old one; None if that was not spoken of, or there is no room."""
    said = [message["value"] for message in sample.conversation]
    if not any(re.search(old, text, re.IGNORECASE) for text in said):
        return None

    def say(found: re.Match) -> str:
        return new.upper() if found[0].isupper() else new.capitalize() if found[0][0].isupper() else new

    said = [re.sub(old, say, text, flags=re.IGNORECASE) for text in said]
    room = canvas - 1 - len(tokenizer.encode(said[-1].rstrip(" ")))
    if room < 0:
        return None
    said[-1] = said[-1].rstrip(" ") + " " * (room if said[-1].endswith(" ") else 0)
    scenes = [[replace(thing, name=new) if thing.name == old else thing for thing in scene] for scene in sample.scenes]
    pictures = [paint(scene, picture.size, picture.getpixel((0, 0)))
                for scene, picture in zip(scenes, sample.pictures, strict=True)]
    conversation = [message | {"value": text} for message, text in zip(sample.conversation, said, strict=True)]
    return replace(sample, pictures=pictures, scenes=scenes, conversation=conversation)


def samples_with_new(new: str, split: str, tokenizer, canvas: int, ability: str | None = None) -> Iterator[Sample]:
    """Such samples without end, of one of the abilities or of all in turn."""
    seed = 0
    while True:
        drawn = draw_sample(ability or SHOWN[seed % len(SHOWN)], seed, split)
        seed += 1
        if split == "train" and seed % 3 == 0:
            drawn = filled_up(drawn)
        old = SHAPES[seed // len(SHOWN) % len(SHAPES)]  # each in turn, so that the new one stands beside all others
        if (changed := with_new(drawn, new, old, tokenizer, canvas)) is not None:
            yield changed


def write_lesson(folder: Path, count: int, new: str, tokenizer, canvas: int):
    """`count` training samples, every third with the new shape, in the LLaVA format."""
    (folder / "pictures").mkdir(parents=True)
    known = draw_samples(0, "train", abilities=LESSONS["practice"].abilities)
    kinds = samples_with_new(new, "train", tokenizer, canvas), known
    entries = [write_sample(folder, f"{number:06}", next(kinds[number % 3 > 0]))
               for number in tqdm(range(count), desc="drawing", unit="sample")]
    (folder / "conversations.json").write_text(json.dumps(entries))


def exam(new: str, count: int, tokenizer, canvas: int) -> dict[str, list[Question]]:
    """Questions about the new shape, by ability, and about all that is old, from the test split."""
    asked = {f"new: {ability}": samples_with_new(new, "test", tokenizer, canvas, ability) for ability in SHOWN}
    asked |= {ability: [draw_sample(ability, seed, "test") for seed in range(count)] for ability in ABILITIES}
    return {name: [sample_question(f"{name} {number}", sample) for number, sample in zip(range(count), samples)]
            for name, samples in asked.items()}


def grade(questions: dict[str, list[Question]], weights: Path, adapter: Path | None = None) -> dict[str, float]:
    """The share of right answers, by ability."""
    model, tokenizer = load_pretrained(weights, "cpu")
    if adapter:
        load_adapter(model, adapter, weights)
    benchmark = replace(BENCHMARKS["small-world"], sampler=SamplerConfig(model.config.gen_length))
    judge = Judge(model, tokenizer, benchmark, model.config.system)
    shares = {}
    for name, some in tqdm(questions.items(), desc="asking", unit="ability"):
        scores = [record["score"] for first in range(0, len(some), BATCH)
                  for record in judge.records(some[first:first + BATCH])]
        shares[name] = sum(scores) / len(scores)
    return shares


def learn(out: Path, data: Path, canvas: int, steps: int, way: str, rank: int) -> float:
    """Train so many steps with the command; returns the seconds that it took."""
    options = ["--out", out, "--data", data / "conversations.json", "--from", BUILTIN, "--canvas", canvas,
               "--batch-size", BATCH, "--steps", steps, "--learning-rate", LEARNING_RATES[way], "--held-out", 0,
               "--evaluate-every", steps, "--save-every", steps, "--device", "cpu",
               *(["--lora", rank] if way == "LoRA" else [])]
    start = time.perf_counter()
    if train([str(option) for option in options]):
        raise SystemExit("training failed")
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--new", choices=("corner", "heart"), default="corner", help="the shape (corner)")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=800, help=f"of LoRA, with {BATCH} samples each (800)")
    parser.add_argument("--samples", type=int, default=6400, help="that are drawn for training (6400)")
    parser.add_argument("--count", type=int, default=40, help="questions of each ability (40)")
    parser.add_argument("--out", type=Path, help="keep samples and checkpoints in this new folder")
    arguments = parser.parse_args()
    CORNERS.update(corner=CORNER, heart=HEART)
    with tempfile.TemporaryDirectory() as rubbish:
        out = arguments.out or Path(rubbish)
        model, tokenizer = load_pretrained(device="cpu")
        canvas = model.config.gen_length
        write_lesson(out / "lesson", arguments.samples, arguments.new, tokenizer, canvas)
        questions = exam(arguments.new, arguments.count, tokenizer, canvas)
        seconds = {"LoRA": learn(out / "lora", out / "lesson", canvas, arguments.steps, "LoRA", arguments.rank)}
        short = learn(out / "short", out / "lesson", canvas, PATIENCE, "all weights", 0) / PATIENCE
        steps = max(1, round(seconds["LoRA"] / short))
        seconds["all weights"] = learn(out / "all", out / "lesson", canvas, steps, "all weights", 0)
        results = {"before": grade(questions, BUILTIN), f"LoRA, rank {arguments.rank}": grade(
            questions, BUILTIN, out / "lora" / "last"), "all weights": grade(questions, out / "all" / "last")}
        size = (out / "lora" / "last" / "adapter_model.safetensors").stat().st_size
    print(f"{arguments.new}: {arguments.count} questions a row, {torch.get_num_threads()} threads; LoRA "
          f"{arguments.steps} steps in {seconds['LoRA']:.0f} s, an adapter of {size / 1e3:.0f} kB; all weights {steps} "
          f"steps in {seconds['all weights']:.0f} s\n")
    print(f"| | {' | '.join(results)} |\n|---|{'---|' * len(results)}")
    old = [name for name in questions if not name.startswith("new: ")]
    rows = {name: [name] for name in questions if name not in old}
    rows |= {"**new, all**": [*rows], "**old, all**": old}
    for name, parts in rows.items():
        shares = [sum(result[part] for part in parts) / len(parts) for result in results.values()]
        print(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")


if __name__ == "__main__":
    main()
