"""How many questions a model answers right, as one line of JSON on stdout.

`python tutorials/study/measure.py --weights DIR --lesson questions --count 300 --gen-length 10` asks about pictures
that no training set of the study holds; `--lesson small-world` asks the benchmark of that name. How a model was trained
to attend must be said.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import torch
from lessons import ABILITIES, draw
from tqdm import tqdm

from minllada_v.answer import answer_text, encode_images, prepare, prompt_ids
from minllada_v.checkpoint import load_pretrained
from minllada_v.errors import InputError, complain
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.metrics import exact_match
from minllada_v.evaluation.questions import Question, sample_question, world_questions
from minllada_v.model import LLaDAV
from minllada_v.sampler import ModelInput, sample
from minllada_v.sampler_config import SamplerConfig
from minllada_v.tokenizer import Tokenizer
from minllada_v.training.batch import dialogue_causal_mask, masked
from minllada_v.training.conversations import parts

BATCH = 8  # questions at once


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


def held_out(lesson: str, count: int) -> list[Question]:
    """The questions, always the same: `count` of a lesson, or of each ability of the small world."""
    if lesson == "small-world":
        return world_questions(count)
    return [sample_question(str(number), each) for number, each in enumerate(islice(draw(lesson, 0, "test"), count))]


def right_answers(judge: Judge, questions: Sequence[Question]) -> dict[str, list[int]]:
    """For each ability how many questions were answered right, and how many were asked; of dialogues also for each
    turn."""
    right = defaultdict(lambda: [0, 0])

    def count(name: str, score: float):
        right[name][0] += int(score)
        right[name][1] += 1

    for first in tqdm(range(0, len(questions), BATCH), "asking", unit="batch"):
        for record in judge.records(questions[first:first + BATCH]):
            if "error" in record:
                raise InputError(f"question {record['id']}: {record['error']}")
            count(record["group"], record["score"])
            for number, turn in enumerate(record["turns"], start=1):
                if len(record["turns"]) > 1:
                    count(f"turn {number}", exact_match(turn["answer"], turn["expected"][0]))
    return dict(right)


def measure(arguments: argparse.Namespace) -> dict:
    """Load the model and ask it: what was right, and how long its canvas was. Raises `InputError`."""
    model, tokenizer = load_pretrained(arguments.weights, "cpu")
    length = arguments.gen_length or model.config.gen_length
    sampler = SamplerConfig(length, steps=arguments.steps, remasking=arguments.remasking, seed=arguments.seed)
    kind = ByTurns if arguments.attention else Judge
    judge = kind(model, tokenizer, replace(BENCHMARKS["small-world"], sampler=sampler), model.config.system)
    return {"gen_length": length, "right": right_answers(judge, held_out(arguments.lesson, arguments.count))}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Ask a model of the study.")
    option = parser.add_argument
    option("--weights", metavar="DIR", help="folder of a checkpoint (the built-in model)")
    option("--lesson", choices=[*ABILITIES, "small-world"], required=True)
    option("--count", metavar="N", type=int, required=True, help="questions, of small-world for each ability")
    option("--gen-length", metavar="N", type=int, help="tokens of an answer (the model's own)")
    option("--steps", metavar="N", type=int, help="denoising steps (one a token)")
    option("--remasking", choices=("low_confidence", "random"), default="low_confidence")
    option("--seed", metavar="N", type=int, default=0, help="of random remasking (0)")
    option("--attention", choices=("dialogue-causal",), help="as the model was trained")
    try:
        print(json.dumps(measure(parser.parse_args(argv))), flush=True)
        return 0
    except InputError as error:
        return complain(error, 2)


if __name__ == "__main__":
    sys.exit(main())
