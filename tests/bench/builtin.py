"""How good the built-in model is: the table of its README, from questions about pictures that training never sees.

    python tests/bench/builtin.py [--weights DIR] [--count 150] [--wrong FILE]

Every ability in wordings that were trained and in wordings that never were; what is not there and what the model cannot
know; and what few steps and a threshold cost. A follow-up (dialogue) counts if both turns are right, where the model's
own answer is the history of the second. An answer is right if it is the expected text, letter for letter. Intervals
are those of Wilson, 95 %. `--wrong` draws some wrong answers with their pictures.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from minllada_v import SamplerConfig, load_pretrained
from minllada_v.answer import answer_text, encode_images, last_steps, prepare, prompt_ids
from minllada_v.world.lessons import LESSONS
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import Sample, draw_exam
from minllada_v.world.sentences import NO_SHAPES, UNKNOWN

HONEST = ("not_there", "unknown", "no_shapes")
ANSWERABLE = tuple(ability for ability in ABILITIES if ability not in (*HONEST, "talk"))  # talks are beyond its aims
BATCH = 8


@dataclass
class Asked:
    """A sample with what the model said in each turn."""

    sample: Sample
    said: list[str]
    filled: int = 0  # tokens
    passes: int = 0  # of the model

    @property
    def turns(self) -> list[tuple[str, str]]:
        values = [message["value"] for message in self.sample.conversation]
        return list(zip(values[::2], values[1::2]))

    @property
    def right(self) -> bool:
        return self.said == [answer for _, answer in self.turns]


def ask(model, tokenizer, samples: Sequence[Sample], sampler: SamplerConfig, name: str) -> list[Asked]:
    """Ask all turns of all samples, in batches."""
    every = [Asked(sample, []) for sample in samples]
    with tqdm(total=len(every), desc=name, unit="sample", delay=2, leave=False) as bar:
        for first in range(0, len(every), BATCH):
            some = every[first:first + BATCH]
            bar.update(len(some))
            seen: dict = {}
            while live := [it for it in some if len(it.said) < len(it.turns)]:
                canvases, features = [], []
                for it in live:
                    shown = {"video": it.sample.pictures} if it.sample.video else {"images": it.sample.pictures}
                    history = [(asked, said) for (asked, _), said in zip(it.turns, it.said)]
                    features.append(encode_images(model, **shown, feature_cache=seen))
                    ids = prompt_ids(tokenizer, it.turns[len(it.said)][0], features[-1], history, model.config.system)
                    canvases.append(prepare(model, tokenizer, ids, sampler))
                steps = last_steps(model, tokenizer, canvases, features)
                for it, canvas, step in zip(live, canvases, steps, strict=True):
                    it.said.append(answer_text(tokenizer, step))
                    it.filled += int((step.canvas[canvas.first:canvas.last] != canvas.mask_id).sum())
                    it.passes += step.forward_passes
    return every


def share(hits: Sequence[bool]) -> str:
    """In percent, with Wilson's interval."""
    total, p, z = len(hits), sum(hits) / len(hits), 1.96
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return f"{100 * p:5.1f}  {100 * max(0, middle - reach):5.1f} to {100 * min(1, middle + reach):5.1f}"


def draw_wrong(wrong: Sequence[Asked], path: Path):
    """A sheet of pictures with the last question, the expected answer and what the model said."""
    font = ImageFont.load_default(13)
    sheet = Image.new("RGB", (860, 106 * len(wrong) + 10), "white")
    draw = ImageDraw.Draw(sheet)
    for row, it in enumerate(wrong):
        top, picture = 10 + 106 * row, it.sample.pictures[0]
        shown = [round(length * 96 / max(picture.size)) for length in picture.size]
        sheet.paste(picture.resize(shown, Image.Resampling.NEAREST), (10, top))
        number = next(place for place, (said, (_, right)) in enumerate(zip(it.said, it.turns)) if said != right)
        question, right = it.turns[number]
        lines = (f"{it.sample.ability}: {question.split(chr(10))[-1]}", f"right: {right}", f"said: {it.said[number]}")
        for line, text in enumerate(lines):
            draw.text((120, top + 16 + 22 * line), text, "black", font=font)
    sheet.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, help="a checkpoint folder (the built-in model)")
    parser.add_argument("--count", type=int, default=150, help="samples of each row (150)")
    parser.add_argument("--wrong", type=Path, help="draw ten wrong answers into this file")
    arguments = parser.parse_args()
    model, tokenizer = load_pretrained(*([arguments.weights] if arguments.weights else []), device="cpu")
    lesson, exact = LESSONS["everything"], SamplerConfig(model.config.gen_length)
    exam = [sample for _, sample in draw_exam(arguments.count, lesson.max_shapes, lesson.sizes, lesson.abilities, True)]
    start = time.perf_counter()
    answered = ask(model, tokenizer, exam, exact, "exact")
    print(f"{len(exam)} held-out samples, {exact.gen_length} tokens and steps, {torch.get_num_threads()} threads, "
          f"{time.perf_counter() - start:.0f} s")

    def rows(abilities: Sequence[str], results: Sequence[Asked] = answered) -> list[bool]:
        return [it.right for it in results if it.sample.ability in abilities]

    print(f"{'':<16}{'trained':>7}  {'95 %':<16}{'new':>7}  95 %")
    for ability in ABILITIES:
        print(f"{ability:<18}{share(rows([ability]))}  {share(rows([f'{ability}, new']))}")
    new = [f"{ability}, new" for ability in ANSWERABLE]
    print(f"{'all answerable':<18}{share(rows(ANSWERABLE))}  {share(rows(new))}")
    honest = [f"{ability}{end}" for ability in HONEST for end in ("", ", new")]
    print(f"{'honest, both':<18}{share(rows(honest))}")
    refused = [any(said in (UNKNOWN, NO_SHAPES) and said != right for said, (_, right) in zip(it.said, it.turns))
               for it in answered if it.sample.ability in (*ANSWERABLE, *new)]
    print(f"{'refused, both':<18}{share(refused)}  of what can be answered")

    trained = [it.sample for it in answered if it.sample.ability in ANSWERABLE]
    for name, sampler in (("a quarter", replace(exact, steps=exact.gen_length // 4)),
                          ("threshold 0.9", replace(exact, threshold=0.9))):
        quick = ask(model, tokenizer, trained, sampler, name)
        print(f"{name:<18}{share(rows(ANSWERABLE, quick))}  {share(rows(['count'], quick))} in counting, "
              f"{sum(it.filled for it in quick) / sum(it.passes for it in quick):.1f} tokens a pass")
    wrong = [it for it in answered if not it.right]
    if arguments.wrong and wrong:
        step = max(1, len(wrong) // 10)
        draw_wrong(wrong[::step][:10], arguments.wrong)


if __name__ == "__main__":
    main()
