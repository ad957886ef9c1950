"""How many questions a model answers right, as one line of JSON on stdout.

`python tutorials/study/measure.py --weights DIR --lesson questions --count 300 --gen-length 10` asks about pictures
that no training set of the study holds; `--lesson long-answers` asks those of the small world whose words depend on
each other. A model that was trained with hidden turns must be asked with `--attention dialogue-causal`.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from lessons import ABILITIES, draw
from orders import RULES, revising
from tqdm import tqdm

from minllada_v.answer import answer_text, encode_images, prepare, prompt_ids
from minllada_v.checkpoint import load_pretrained
from minllada_v.errors import InputError, complain
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.metrics import exact_match
from minllada_v.evaluation.questions import Question, sample_question, world_questions
from minllada_v.model import LLaDAV
from minllada_v.packing import packed_denoiser
from minllada_v.sampler import ModelInput, sample
from minllada_v.sampler_config import SamplerConfig
from minllada_v.tokenizer import Tokenizer
from minllada_v.training.batch import dialogue_causal_mask, masked
from minllada_v.training.conversations import parts

BATCH = 8  # questions at once
LONG_ANSWERS = ("count", "describe", "difference", "where")


class ByTurns(Judge):
    """Asks a model that was trained with --attention dialogue-causal."""

    def generate(self, questions, asked, histories):
        return [{"answer": answer_by_turns(self.model, self.tokenizer, text, question.images, history, self.system,
                                           self.benchmark.sampler)}
                for question, text, history in zip(questions, asked, histories)]


@torch.no_grad()
def answer_by_turns(
    model: LLaDAV, tokenizer: Tokenizer, prompt: str, images: Sequence, history: Sequence[tuple[str, str]],
    system: str | None, sampler: SamplerConfig,
) -> str:
    """As `answer`, but what was said in earlier turns cannot see the question that is asked now."""
    features = encode_images(model, images)
    ids = prompt_ids(tokenizer, prompt, features, history, system)
    canvas = prepare(model, tokenizer, ids, sampler)
    turn_ids = torch.tensor([parts(tokenizer, canvas.ids.tolist())]) // 2
    attend = masked(dialogue_causal_mask(turn_ids))

    def denoise(inputs: Sequence[ModelInput]) -> torch.Tensor:
        [it] = inputs
        return model(it.ids, features, it.logits_at, attend)

    *_, [(_, last)] = sample(denoise, [canvas])
    return answer_text(tokenizer, last)


@dataclass(frozen=True)
class ByRule(Judge):
    """Asks in an order of writing of `orders.py`, and counts tokens (the end of the turn is one) and passes."""

    rule: str = "low_confidence"

    @torch.no_grad()
    def generate(self, questions, asked, histories):
        features = [encode_images(self.model, question.images, question.video) for question in questions]
        canvases = [prepare(self.model, self.tokenizer, prompt_ids(self.tokenizer, *each, self.system),
                            replace(self.benchmark.sampler, remasking=RULES[self.rule]()))
                    for each in zip(asked, features, histories)]
        if self.rule == "revising":
            canvases = [revising(canvas) for canvas in canvases]
        last = {}
        for steps in sample(packed_denoiser(self.model, features), canvases):
            last.update(steps)
        return [{"answer": answer_text(self.tokenizer, step), "tokens": len(step.answer) + 1,
                 "passes": step.forward_passes} for _, step in sorted(last.items())]


def held_out(lesson: str, count: int) -> list[Question]:
    """The questions, always the same: `count` of a lesson, or of each of `LONG_ANSWERS`, and as many of these in
    wordings that training never draws."""
    if lesson == "long-answers":
        return [question for question in world_questions(count) if question.group.split(",")[0] in LONG_ANSWERS]
    return [sample_question(str(number), each) for number, each in enumerate(islice(draw(lesson, 0, "test"), count))]


def ask(judge: Judge, questions: Sequence[Question]) -> list[dict]:
    """What is written down about each question. Raises `InputError` if one cannot be asked."""
    records = []
    for first in tqdm(range(0, len(questions), BATCH), "asking", unit="batch"):
        records += judge.records(questions[first:first + BATCH])
        if broken := next((record for record in records[first:] if "error" in record), None):
            raise InputError(f"question {broken['id']}: {broken['error']}")
    return records


def right_answers(records: Sequence[dict]) -> dict[str, list[int]]:
    """For each ability how many questions were answered right, and how many were asked; of dialogues also for each
    turn."""
    right = defaultdict(lambda: [0, 0])

    def count(name: str, score: float):
        right[name][0] += int(score)
        right[name][1] += 1

    for record in records:
        count(record["group"], record["score"])
        for number, turn in enumerate(record["turns"], start=1):
            if len(record["turns"]) > 1:
                count(f"turn {number}", exact_match(turn["answer"], turn["expected"][0]))
    return dict(right)


def wrong_length(tokenizer: Tokenizer, records: Sequence[dict]) -> int:
    """How many answers have another number of tokens than the right one."""
    return sum(len(tokenizer.encode(turn["answer"])) != len(tokenizer.encode(turn["expected"][0]))
               for record in records for turn in record["turns"])


def measure(arguments: argparse.Namespace) -> dict:
    """Load the model and ask it: how long its canvas was, and what was right. `each` has a 1 for each right answer and
    a 0 for each other; of an order of writing `tokens` and `passes` are counted too. Raises `InputError`."""
    model, tokenizer = load_pretrained(arguments.weights, "cpu")
    length = arguments.gen_length or model.config.gen_length
    sampler = SamplerConfig(length, steps=arguments.steps, seed=arguments.seed)
    kind = ByTurns if arguments.attention else Judge
    judge = kind(model, tokenizer, replace(BENCHMARKS["small-world"], sampler=sampler), model.config.system)
    if arguments.rule:
        judge = ByRule(model, tokenizer, judge.benchmark, judge.system, rule=arguments.rule)
    records = ask(judge, held_out(arguments.lesson, arguments.count))
    counted = {name: sum(turn[name] for record in records for turn in record["turns"])
               for name in ("tokens", "passes") if arguments.rule}
    return {"gen_length": length, "right": right_answers(records), "wrong_length": wrong_length(tokenizer, records),
            "each": "".join(str(int(record["score"])) for record in records), **counted}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Ask a model of the study.")
    option = parser.add_argument
    option("--weights", metavar="DIR", help="folder of a checkpoint (the built-in model)")
    option("--lesson", choices=[*ABILITIES, "long-answers"], required=True)
    option("--count", metavar="N", type=int, required=True, help="questions, of long-answers for each ability")
    option("--gen-length", metavar="N", type=int, help="tokens of an answer (the model's own)")
    option("--steps", metavar="N", type=int, help="denoising steps (one a token)")
    option("--rule", choices=RULES, help="an order of writing")
    option("--seed", metavar="N", type=int, default=0, help="of random remasking (0)")
    option("--attention", choices=("dialogue-causal",), help="as the model was trained")
    try:
        print(json.dumps(measure(parser.parse_args(argv))), flush=True)
        return 0
    except InputError as error:
        return complain(error, 2)


if __name__ == "__main__":
    sys.exit(main())
