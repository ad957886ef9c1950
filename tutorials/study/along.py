"""Trains a model of the study and asks it along the way; prints what it measured as one line of JSON.

`python tutorials/study/along.py --marks 10 40 160 --lesson questions --count 400 --out DIR ...` takes the options of
`python -m minllada_v.train` beside its own three, and like that command goes on where it was stopped. At each of the
steps `--marks` it notes, on questions that no training set holds, right answers and the loss; until the last of them it
is asked half of the questions.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from lessons import ABILITIES, draw
from measure import ask, held_out, right_answers
from torch import Tensor

from minllada_v import train
from minllada_v.autoregressive import causal
from minllada_v.chat import BOS, END_HEADER, EOS, IGNORED, MASK, START_HEADER
from minllada_v.errors import InputError
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.masking import draw_times
from minllada_v.model import LLaDAV
from minllada_v.sampler_config import SamplerConfig
from minllada_v.tokenizer import Tokenizer
from minllada_v.training.data import Record, derive_seed
from minllada_v.training.examples import Example, Examples, encode
from minllada_v.training.objectives import make_batch
from minllada_v.training.step import Run

DRAWS = 2  # times and masks of each example in the loss
BATCH = 16


class Remembered(Examples):
    """The examples of a small set. They come again in each epoch, and are prepared only once."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.known = {}

    def __getitem__(self, number: int) -> Example | InputError:
        index = self.data.index(number)
        if index not in self.known:
            self.known[index] = super().__getitem__(number)
        return self.known[index]


def held_out_examples(run: Run, lesson: str, count: int) -> list[Example]:
    """What `count` questions of the test split look like in training."""
    model, tokenizer = run.learner.model, run.learner.tokenizer
    return [encode(Record("", sample.conversation, sample.pictures, False), tokenizer, model.config, "tune",
                   model.config.system, run.settings.canvas) for sample in islice(draw(lesson, 0, "test"), count)]


@torch.no_grad()
def held_out_loss(run: Run, examples: Sequence[Example]) -> float:
    """The mean training loss, in nats per target. Times and masks are the same at every mark."""
    losses = []
    for number in range(DRAWS):
        times = draw_times(len(examples), torch.Generator().manual_seed(number), stratified=True)
        for first in range(0, len(examples), BATCH):
            some = examples[first:first + BATCH]
            seeds = [derive_seed(number, place) for place in range(first, first + len(some))]
            losses.append(run.learner(some, times[first:first + BATCH], seeds))
    return torch.cat(losses).mean().item()


@torch.no_grad()
def twin_says(model: LLaDAV, tokenizer: Tokenizer, examples: Sequence[Example]) -> Tensor:
    """Whether the twin would write the answer of each example, (examples,) bool.

    Writing takes a pass for each token. But the likeliest token is the right one all the way exactly if it is so behind
    every beginning of the right answer, and one pass looks at all of these.
    """
    padding = tokenizer.token_id(EOS)
    batch, _ = make_batch(model, examples, padding)
    hidden_states = model.language_model(model.embed(batch.ids, batch.features), causal())
    logits = model.language_model.lm_head(hidden_states[:, :-1])
    logits[..., [tokenizer.token_id(token) for token in (MASK, EOS, BOS, START_HEADER, END_HEADER)]] = -torch.inf
    labels = batch.labels[:, 1:]
    return ((logits.argmax(dim=-1) == labels) | (labels == IGNORED) | (labels == padding)).all(dim=1)


def right(run: Run, lesson: str, examples: Sequence[Example]) -> dict[str, list[int]]:
    """Right answers to the questions of `examples`, and how many were asked, of each ability."""
    model, tokenizer, questions = run.learner.model, run.learner.tokenizer, held_out(lesson, len(examples))
    if not model.config.autoregressive:
        benchmark = replace(BENCHMARKS["small-world"], sampler=SamplerConfig(run.settings.canvas))
        return right_answers(ask(Judge(model, tokenizer, benchmark, model.config.system), questions))
    said = torch.cat([twin_says(model, tokenizer, examples[first:first + BATCH])
                      for first in range(0, len(examples), BATCH)]).tolist()
    return right_answers([{"group": question.group, "score": score, "turns": []}
                          for question, score in zip(questions, said, strict=True)])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train a model of the study, and ask it along the way.")
    option = parser.add_argument
    option("--marks", metavar="N", type=int, nargs="+", required=True, help="steps after which it is asked")
    option("--lesson", choices=ABILITIES, required=True)
    option("--count", metavar="N", type=int, required=True, help="questions")
    option("--out", metavar="DIR", type=Path, required=True, help="folder of the run")
    option("--canvas", metavar="N", type=int, required=True, help="tokens of the canvas, in training and asking")
    arguments, others = parser.parse_known_args(argv)

    def evaluate(run: Run):
        if run.progress.step in arguments.marks:
            examples = held_out_examples(run, arguments.lesson, arguments.count)
            asked = examples if run.progress.step == run.steps else examples[:arguments.count // 2]
            run.log.write(step=run.progress.step, held_out_loss=held_out_loss(run, examples),
                          right=right(run, arguments.lesson, asked))

    train.Examples = Remembered
    train.evaluate = evaluate  # in place of the loss and the few answers that training looks at
    code = train.main(["--out", str(arguments.out), "--canvas", str(arguments.canvas), *others])
    if code:
        return code
    log = [json.loads(line) for line in (arguments.out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    curve = [{"updates": entry["step"], "loss": entry["held_out_loss"], "right": entry["right"]} for entry in log
             if "right" in entry]
    print(json.dumps({"gen_length": arguments.canvas, "right": curve[-1]["right"], "curve": curve}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
