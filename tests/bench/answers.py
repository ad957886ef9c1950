"""What the approximate modes cost in answers, and what they save, on a trained model and its small world.

    python tests/bench/answers.py [--weights DIR] [--count 200] [--picture FILE]

Asks questions of the test split that training never sees, in every mode, in batches, and prints how often a mode's
answer is the right one, how often it is the exact mode's, and how many tokens a forward pass fills in. `--picture`
draws speed against accuracy with 95 % intervals. Last, a batch of 8 against 8 single runs.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from minllada_v import Request, SamplerConfig, load_pretrained
from minllada_v.answer import answer_text, encode_images, last_steps, prepare, prompt_ids
from minllada_v.drawing.charts import BLACK, BLUE, ORANGE
from minllada_v.drawing.curve import line_chart
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample

REFRESH, THRESHOLD = (2, 4, 8, 16, 32), (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
ROUNDS = 2  # of all modes; the faster one counts, for a mode takes seconds and machines are noisy


def modes(length: int) -> dict[str, SamplerConfig]:
    """Every mode by its name, for answers of `length` tokens."""
    exact, block = SamplerConfig(gen_length=length), max(1, length // 4)
    return {
        "exact": exact,
        **{f"refresh {every}": replace(exact, refresh_every=every) for every in REFRESH},
        **{f"threshold {sure}": replace(exact, threshold=sure) for sure in THRESHOLD},
        f"blocks of {block}": replace(exact, block_length=block),
        f"blocks of {block}, refresh {block}": replace(exact, block_length=block, refresh_every=block),
        "threshold 0.9, refresh 8": replace(exact, threshold=0.9, refresh_every=8),
        "threshold 0.9, refresh 32": replace(exact, threshold=0.9, refresh_every=32),
    }


def draw_questions(count: int) -> list[tuple[Request, str]]:
    """`count` questions, every ability in turn, with their answers. Of a conversation the first turn is asked."""
    abilities, questions = list(ABILITIES), []
    for number in tqdm(range(count), desc="drawing", unit="sample", delay=2):
        sample = draw_sample(abilities[number % len(abilities)], number // len(abilities), "test")
        asked, expected = (message["value"] for message in sample.conversation[:2])
        shown = {"video": sample.pictures} if sample.video else {"images": sample.pictures}
        questions.append((Request(asked, **shown), expected))
    return questions


def answer_all(model, tokenizer, requests: list[Request], batch_size: int, feature_cache: dict, name: str) -> dict:
    """The texts, the tokens filled in, the forward passes that led to them, and the seconds for all of it."""
    texts, filled, passes, seconds = [], 0, 0, 0.0
    for first in tqdm(range(0, len(requests), batch_size), desc=name, unit="batch", delay=2):
        some = requests[first:first + batch_size]
        features = [encode_images(model, request.images, request.video, feature_cache) for request in some]
        canvases = [prepare(model, tokenizer, prompt_ids(tokenizer, request.prompt, pictures, (), model.config.system),
                            request.sampler) for request, pictures in zip(some, features, strict=True)]
        start = time.perf_counter()
        steps = last_steps(model, tokenizer, canvases, features)
        seconds += time.perf_counter() - start
        for step, canvas in zip(steps, canvases, strict=True):
            filled += int((step.canvas[canvas.first:canvas.last] != canvas.mask_id).sum())
            passes += step.forward_passes
            texts.append(answer_text(tokenizer, step))
    return {"texts": texts, "filled": filled, "passes": passes, "seconds": seconds}


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in `count` questions (Wilson 1927), which never leaves 0 to 1."""
    z = 1.96
    middle, spread = share + z * z / 2 / count, z * math.sqrt(share * (1 - share) / count + z * z / 4 / count**2)
    return (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)


def draw_picture(rows: dict[str, tuple[float, float]], count: int, path: Path):
    """Speed (times the exact mode's) to the right, the share of right answers among `count` upward, for each mode by
    its name: a point with its 95 % bar, and the value of its knob beside it."""
    names = {"exact": ["exact"], "refresh every": [f"refresh {every}" for every in REFRESH],
             "threshold": [f"threshold {sure}" for sure in THRESHOLD]}
    series = {name: [(speed, 100 * right, *(100 * end for end in wilson(right, count)))
                     for speed, right in map(rows.get, modes)] for name, modes in names.items()}
    labels = {name: [mode.rpartition(" ")[2] for mode in modes] for name, modes in names.items() if modes[1:]}
    lowest = min(low for points in series.values() for *_, low, _ in points)
    line_chart(series, "questions a second, times the exact mode's", "right answers, %", (math.floor(lowest), 100),
               (BLACK, BLUE, ORANGE), (800, 480), labels=labels).save(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, help="a checkpoint folder (the built-in model)")
    parser.add_argument("--count", type=int, default=200, help="questions (200)")
    parser.add_argument("--batch-size", type=int, default=8, help="questions at once (8)")
    parser.add_argument("--picture", type=Path, help="draw speed against accuracy into this file")
    arguments = parser.parse_args()
    model, tokenizer = load_pretrained(*([arguments.weights] if arguments.weights else []), device="cpu")
    drawn = draw_questions(arguments.count)
    requests, expected = [request for request, _ in drawn], [answer for _, answer in drawn]
    feature_cache: dict = {}
    ways = modes(model.config.gen_length)
    rounds = [{name: answer_all(model, tokenizer, [replace(request, sampler=sampler) for request in requests],
                                arguments.batch_size, feature_cache, name) for name, sampler in ways.items()}
              for _ in range(ROUNDS)]
    results = {name: min((each[name] for each in rounds), key=lambda result: result["seconds"]) for name in ways}
    exact = results["exact"]
    print(f"{len(requests)} questions of the test split, {model.config.gen_length} tokens, batches of "
          f"{arguments.batch_size}, {torch.get_num_threads()} threads")
    print(f"{'mode':<26}{'right':>8}{'as exact':>10}{'tokens / pass':>15}{'passes':>8}{'s':>8}{'times as fast':>15}")
    rows = {}
    for name, result in results.items():
        right = sum(text == answer for text, answer in zip(result["texts"], expected)) / len(expected)
        same = sum(map(str.__eq__, result["texts"], exact["texts"])) / len(expected)
        rows[name] = exact["seconds"] / result["seconds"], right
        print(f"{name:<26}{right:>8.1%}{same:>10.1%}{result['filled'] / result['passes']:>15.2f}{result['passes']:>8}"
              f"{result['seconds']:>8.1f}{rows[name][0]:>15.1f}")
    if arguments.picture:
        draw_picture(rows, len(requests), arguments.picture)
    for name in ("exact", "refresh 8", "threshold 0.9"):
        eight = [replace(request, sampler=ways[name]) for request in requests[:8]]
        together, singles = (answer_all(model, tokenizer, eight, size, feature_cache, f"{name}, {size} at once")
                             for size in (8, 1))
        assert together["texts"] == singles["texts"]
        print(f"{name}: 8 questions take {singles['seconds']:.2f} s one by one, {together['seconds']:.2f} s as a "
              f"batch: {singles['seconds'] / together['seconds']:.1f} times the tokens a second (target: 2)")


if __name__ == "__main__":
    main()
