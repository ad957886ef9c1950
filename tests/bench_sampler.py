"""How much the sampler saves: the exact sampler against the literal one, in one run on this machine.

    python tests/bench_sampler.py

The model is random: width 512, 8 layers, 8 heads, MLP 1536, vocabulary 126,464; the prompt has 1,548 tokens and the
answer 32, in 8 steps. The literal sampler computes float32 logits and a float64 softmax at every position of the
canvas; ours does both only at the places that can be filled, and the last layer too. Each runs in a process of its
own, so that peak memory can be told apart, and both give the same tokens. Times are medians over the steps.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from literal import literal_sample
from tqdm import tqdm

from minllada_v.config import Config
from minllada_v.model import LLaDAV
from minllada_v.sampler import SamplerConfig, sample

CONFIG = Config(hidden_size=512, intermediate_size=1536, num_hidden_layers=8, num_attention_heads=8,
                num_key_value_heads=8, vocab_size=126_464, rms_norm_eps=1e-5, rope_theta=500000.0, max_length=8192)
PROMPT_LENGTH, GEN_LENGTH, STEPS = 1548, 32, 8
MASK_ID, FORBIDDEN = 126_336, [126_080, 126_081, 126_346, 126_347]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@torch.no_grad()
def measure(kind: str) -> dict:
    """Sample once with the sampler `kind`; its answer, seconds a step and peak memory above the weights."""
    torch.manual_seed(0)
    model = LLaDAV(CONFIG)
    prompt = torch.randint(0, 126_000, (PROMPT_LENGTH,))
    no_pictures = torch.empty(0, CONFIG.hidden_size)
    model.logits(prompt[:8], no_pictures, torch.arange(4))  # warm up, and touch every weight
    before, bar, times = peak_bytes(), tqdm(total=STEPS, desc=kind, unit="step"), [time.perf_counter()]

    def after_step():
        times.append(time.perf_counter())
        bar.update()

    if kind == "literal":
        def all_logits(canvas):
            return model.logits(canvas, no_pictures, torch.arange(len(canvas)))
        tokens = literal_sample(all_logits, prompt.tolist(), GEN_LENGTH, STEPS, GEN_LENGTH, 0.0, 0.0,
                                "low_confidence", MASK_ID, FORBIDDEN, [], [], after_step=after_step)
    else:
        def denoise(canvas, positions):
            return model.logits(canvas, no_pictures, positions)
        for step in sample(denoise, prompt, SamplerConfig(GEN_LENGTH, STEPS), MASK_ID, FORBIDDEN):
            after_step()
        tokens = step.answer.tolist()
    seconds = [after - start for start, after in zip(times, times[1:])]
    return {"tokens": tokens, "seconds": statistics.median(seconds), "total": sum(seconds),
            "peak": peak_bytes() - before}


def main():
    results = {}
    for kind in ("literal", "exact"):
        worker = subprocess.run([sys.executable, __file__, kind], stdout=subprocess.PIPE, check=True)
        results[kind] = json.loads(worker.stdout)
    if results["literal"]["tokens"] != results["exact"]["tokens"]:
        sys.exit("the two samplers disagree")
    print(f"prompt {PROMPT_LENGTH}, {GEN_LENGTH} tokens in {STEPS} steps, {torch.get_num_threads()} threads, equal answers")
    print(f"{'sampler':<9}{'s / step':>9}{'all, s':>9}{'peak above weights, MB':>25}")
    for kind, result in results.items():
        print(f"{kind:<9}{result['seconds']:>9.2f}{result['total']:>9.1f}{result['peak'] / 1e6:>25,.0f}")
    literal, exact = results["literal"], results["exact"]
    print(f"exact is {literal['seconds'] / exact['seconds']:.1f} times as fast a step, "
          f"{literal['total'] / exact['total']:.1f} times in all, with 1/{literal['peak'] / exact['peak']:.0f} of the memory")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
