"""What 8 and 4 bits cost: error, right answers, and time, against bfloat16 and other levels for 4 bits.

    python tests/bench/low_bits.py [--weights DIR] [--count 40]

Levels are compared by their error on Gaussian weights, and by the right answers of the built-in model (or `--weights
DIR`) to questions of the test split that training never sees, `--count` of each ability. All have one scale for 64
inputs, and one bfloat16 more where there is a zero point; `lm_head` has 8 bits. Times are those of the random model of
bench/sampler.py: CPU time of one pass, the kinds by turns, and the median of the ratios to bfloat16 storage.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from sampler import CONFIG, GEN_LENGTH, PROMPT_LENGTH, random_model
from torch import Tensor
from torch.nn import functional as F

from minllada_v import SamplerConfig, load_pretrained
from minllada_v.checkpoint import empty_model, load_weights
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.questions import world_questions
from minllada_v.low_bits import GROUP, low_bit_layers, pack, pack_weights, round_up, unpack
from minllada_v.world.lessons import LESSONS

NF4 = torch.tensor([-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803,
                    0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0])  # arXiv 2305.14314


def ours(rows: Tensor, bits: int) -> Tensor:
    return unpack(*pack(rows, bits), rows.shape[1], torch.float32)


def by_group(levels: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A way to store groups (n, groups, 64), for rows."""
    def store(rows: Tensor) -> Tensor:
        inputs = rows.shape[1]
        return levels(F.pad(rows.float(), (0, -inputs % GROUP)).unflatten(1, (-1, GROUP))).flatten(1)[:, :inputs]

    return store


def symmetric(groups: Tensor) -> Tensor:
    scale = round_up(groups.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 7).float()
    return (groups / scale).round() * scale


def zero_point(groups: Tensor) -> Tensor:
    least, most = groups.amin(-1, keepdim=True).bfloat16().float(), groups.amax(-1, keepdim=True)
    scale = round_up(((most - least) / 15).clamp(min=1e-30)).float()
    return ((groups - least) / scale).round().clamp(0, 15) * scale + least


def nf4(groups: Tensor) -> Tensor:
    scale = round_up(groups.abs().amax(-1, keepdim=True).clamp(min=1e-30)).float()
    middles = (NF4[1:] + NF4[:-1]) / 2
    return NF4[torch.bucketize(groups / scale, middles)] * scale


WAYS = {
    "bfloat16": lambda rows: rows.bfloat16().float(),
    "8 bits": lambda rows: ours(rows, 8),
    "4 bits": lambda rows: ours(rows, 4),
    "4 bits, levels -7 ... 7": by_group(symmetric),
    "4 bits, zero point": by_group(zero_point),
    "4 bits, NF4": by_group(nf4),
}


def relative_error(way: Callable[[Tensor], Tensor]) -> float:
    rows = torch.randn(512, 4096, generator=torch.Generator().manual_seed(0))
    return math.sqrt((way(rows) - rows).square().mean() / rows.square().mean())


def right_answers(weights: Path | None, count: int) -> tuple[int, dict[str, list[float]]]:
    """The score of each question, for each way to store."""
    model, tokenizer = load_pretrained(weights, "cpu", torch.float32)
    with_low_bits, _ = load_pretrained(weights, "cpu", bits=8)
    small, before = [f"{name}.weight" for name in low_bit_layers(with_low_bits)], dict(model.state_dict())
    benchmark = replace(BENCHMARKS["small-world"], sampler=SamplerConfig(model.config.gen_length))
    judge = Judge(model, tokenizer, benchmark, model.config.system)
    questions = world_questions(count, LESSONS["everything"])
    scores = {}
    for kind, way in WAYS.items():
        eight_at_most = WAYS["8 bits"] if kind != "bfloat16" else way
        load_weights(model, before | {name: (eight_at_most if "lm_head" in name else way)(before[name])
                                      for name in small})
        scores[kind] = [record["score"] for first in range(0, len(questions), 8)
                        for record in judge.records(questions[first:first + 8])]
    return len(questions), scores


@torch.no_grad()
def times(rounds: int, length: int) -> dict[str, float]:
    """CPU time of a pass over `length` positions, of which 64 need logits, as a multiple of bfloat16's."""
    models = {"bfloat16": random_model(torch.bfloat16)}
    weights = models["bfloat16"].state_dict()
    for bits in (8, 4):
        model = empty_model(replace(CONFIG, weight_bits=bits))
        packed = pack_weights(model, lambda name, rows: weights[name][rows], torch.device("cpu"))
        load_weights(model, {name: packed.get(name, weights.get(name)) for name in model.state_dict()})
        models[f"{bits} bits"] = model
    ids, queries = torch.arange(length), torch.arange(min(length, GEN_LENGTH // 2))
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for _ in range(rounds):
        for kind, model in models.items():
            start = time.process_time()
            model(ids, (), queries)
            seconds[kind].append(time.process_time() - start)
    return {kind: statistics.median(taken / plain for taken, plain in zip(seconds[kind][1:], seconds["bfloat16"][1:]))
            for kind in models}  # the first round warms up


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, help="a checkpoint folder (the built-in model)")
    parser.add_argument("--count", type=int, default=40, help="questions of each ability (40)")
    parser.add_argument("--rounds", type=int, default=6, help="of the passes whose time is taken (6)")
    arguments = parser.parse_args()
    canvas, block = times(arguments.rounds, PROMPT_LENGTH + GEN_LENGTH), times(arguments.rounds, 32)
    count, scores = right_answers(arguments.weights, arguments.count)
    print(f"{count} questions of the test split; {torch.get_num_threads()} threads")
    print(f"{'weights':<26}{'error, Gaussian':>16}{'right':>9}{'lost / won':>12}{'whole canvas':>14}"
          f"{'block of 32':>13}")
    for kind, way in WAYS.items():
        right = sum(scores[kind]) / count
        pairs = list(zip(scores[kind], scores["bfloat16"]))
        lost, won = sum(score < plain for score, plain in pairs), sum(score > plain for score, plain in pairs)
        taken = f"{canvas[kind]:>13.2f}x{block[kind]:>12.2f}x" if kind in canvas else ""
        print(f"{kind:<26}{relative_error(way):>16.4f}{right:>9.1%}{f'{lost} / {won}':>12}{taken}")


if __name__ == "__main__":
    main()
