"""What the approximate modes cost in answers, and what they save, on a trained model and its small world.

    python tests/bench_answers.py [--weights DIR] [--count 200] [--picture FILE]

Asks questions of the test split that training never sees, in every mode, in batches, and prints how often a mode's
answer is the right one, how often it is the exact mode's, and how many tokens a forward pass fills in. `--picture`
draws speed against accuracy. Last, a batch of 8 against 8 single runs.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw
from tqdm import tqdm

from minllada_v import Request, SamplerConfig, load_pretrained
from minllada_v.answer import answer_text
from minllada_v.batch_answer import last_steps, read_request
from minllada_v.questions import ABILITIES
from minllada_v.world import draw_sample

EXACT = SamplerConfig(gen_length=32)
MODES = {
    "exact": EXACT,
    **{f"refresh {every}": replace(EXACT, refresh_every=every) for every in (2, 4, 8, 16, 32)},
    **{f"threshold {sure}": replace(EXACT, threshold=sure) for sure in (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)},
    "blocks of 8": replace(EXACT, block_length=8),
    "blocks of 8, refresh 8": replace(EXACT, block_length=8, refresh_every=8),
    "threshold 0.9, refresh 8": replace(EXACT, threshold=0.9, refresh_every=8),
    "threshold 0.9, refresh 32": replace(EXACT, threshold=0.9, refresh_every=32),
}
COLOURS = {"exact": (0, 0, 0), "refresh": (31, 119, 180), "threshold": (214, 39, 40), "blocks": (44, 160, 44)}


def draw_questions(count: int) -> list[tuple[Request, str]]:
    """`count` questions, every ability in turn, with their answers. Of a conversation the first turn is asked."""
    abilities, questions = list(ABILITIES), []
    for number in tqdm(range(count), desc="drawing", unit="sample", delay=2):
        sample = draw_sample(abilities[number % len(abilities)], number // len(abilities), "test")
        asked, expected = (message["value"] for message in sample.conversation[:2])
        shown = {"video": sample.pictures} if sample.video else {"images": sample.pictures}
        questions.append((Request(asked, **shown, sampler=EXACT), expected))
    return questions


def answer_all(model, tokenizer, requests: list[Request], batch_size: int, seen: dict, name: str) -> dict:
    """The texts, the tokens filled in, the forward passes that led to them, and the seconds for all of it."""
    texts, filled, passes, seconds = [], 0, 0, 0.0
    for first in tqdm(range(0, len(requests), batch_size), desc=name, unit="batch"):
        questions = [read_request(model, tokenizer, request, seen) for request in requests[first:first + batch_size]]
        start = time.perf_counter()
        steps = last_steps(model, questions)
        seconds += time.perf_counter() - start
        for step, (row, _) in zip(steps, questions):
            response = step.canvas[len(row.prompt):len(row.prompt) + row.config.gen_length]
            filled += int((response != row.mask_id).sum())
            passes += step.forward_passes
            texts.append(answer_text(tokenizer, step))
    return {"texts": texts, "filled": filled, "passes": passes, "seconds": seconds}


def draw_picture(rows: list[tuple[str, float, float]], path: Path):
    """Speed (times the exact mode's) to the right, accuracy upward, a dot for each (mode, speed, accuracy)."""
    width, height, left, bottom = 900, 560, 70, 60
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    fastest = max(speed for _, speed, _ in rows) * 1.25
    lowest = max(0.0, min(accuracy for _, _, accuracy in rows) - 0.05)
    highest = min(1.0, max(accuracy for _, _, accuracy in rows) + 0.03) + 1e-9

    def place(speed: float, accuracy: float) -> tuple[float, float]:
        return (left + (width - left - 20) * speed / fastest,
                height - bottom - (height - bottom - 20) * (accuracy - lowest) / (highest - lowest))

    for tick in range(5):
        accuracy, speed = lowest + (highest - lowest) * tick / 4, fastest * tick / 4
        draw.line([place(0, accuracy), place(fastest, accuracy)], fill=(225, 225, 225))
        draw.text((10, place(0, accuracy)[1] - 6), f"{accuracy:.0%}", fill="black")
        draw.text((place(speed, lowest)[0] - 10, height - bottom + 8), f"{speed:.1f}x", fill="black")
    draw.text((width // 2 - 120, height - 25), "questions a second, against the exact mode", fill="black")
    draw.text((left + 8, 6), "right answers", fill="black")
    for name, speed, accuracy in rows:
        x, y = place(speed, accuracy)
        draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill=COLOURS[name.split()[0]])
        draw.text((x + 8, y - 6), name, fill=COLOURS[name.split()[0]])
    image.save(path)


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
    seen: dict = {}
    results = {name: answer_all(model, tokenizer, [replace(request, sampler=sampler) for request in requests],
                                arguments.batch_size, seen, name) for name, sampler in MODES.items()}
    exact = results["exact"]
    print(f"{len(requests)} questions of the test split, {EXACT.gen_length} tokens, batches of {arguments.batch_size}")
    print(f"{'mode':<26}{'right':>8}{'as exact':>10}{'tokens / pass':>15}{'passes':>8}{'s':>8}{'times as fast':>15}")
    rows = []
    for name, result in results.items():
        right = sum(text == answer for text, answer in zip(result["texts"], expected)) / len(expected)
        same = sum(map(str.__eq__, result["texts"], exact["texts"])) / len(expected)
        rows.append((name, exact["seconds"] / result["seconds"], right))
        print(f"{name:<26}{right:>8.1%}{same:>10.1%}{result['filled'] / result['passes']:>15.2f}{result['passes']:>8}"
              f"{result['seconds']:>8.1f}{rows[-1][1]:>15.1f}")
    if arguments.picture:
        draw_picture(rows, arguments.picture)
    for name in ("exact", "refresh 8", "threshold 0.9"):
        eight = [replace(request, sampler=MODES[name]) for request in requests[:8]]
        together, singles = (answer_all(model, tokenizer, eight, size, seen, f"{name}, {size} at once") for size in (8, 1))
        assert together["texts"] == singles["texts"]
        print(f"{name}: 8 questions take {singles['seconds']:.2f} s one by one, {together['seconds']:.2f} s as a batch: "
              f"{singles['seconds'] / together['seconds']:.1f} times the tokens a second (target: 2)")


if __name__ == "__main__":
    main()
