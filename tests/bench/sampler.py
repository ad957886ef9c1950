"""How much the sampler saves: ours against the literal one, in one run on this machine.

    python tests/bench/sampler.py

The model is random: width 512, 8 layers, 8 heads, MLP 1536, vocabulary 126,464; the prompt has 1,548 tokens and the
answer 128. The literal sampler computes float32 logits and a float64 softmax at every position of the canvas. Each
mode runs in a process of its own, so that peak memory can be told apart. The two that run the whole canvas at every
step run 4 and 8 steps of 16 tokens, in which no fewer places are open on average than in 128 steps, and must agree.

The last lines are about a model that was trained with `--attention prompt-first`: its prompt at every step or once,
with the same attention and in one process, for as many steps as the exact sampler runs. The two must agree too.

What a mode costs in answers only a trained model can tell: see bench/answers.py.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm

from minllada_v.config import Config
from minllada_v.model import LLaDAV
from minllada_v.packing import packed_denoiser
from minllada_v.prompt_first import prompt_first_denoiser
from minllada_v.sampler import Canvas, sample
from minllada_v.sampler_config import SamplerConfig

sys.path.insert(0, str(Path(__file__).parents[1]))  # the folder tests, where the literal sampler lies
from literal import literal_sample  # noqa: E402

CONFIG = Config(hidden_size=512, intermediate_size=1536, num_hidden_layers=8, num_attention_heads=8,
                num_key_value_heads=8, vocab_size=126_464, rms_norm_eps=1e-5, rope_theta=500000.0, max_length=8192)
PROMPT_LENGTH, GEN_LENGTH = 1548, 128
MASK_ID, FORBIDDEN = 126_336, [126_080, 126_081, 126_346, 126_347]
FEW_STEPS, LITERAL_STEPS = 8, 4
MODES = {
    "exact": SamplerConfig(GEN_LENGTH, steps=FEW_STEPS),
    "refresh 32, one block": SamplerConfig(GEN_LENGTH, refresh_every=32),
    "refresh 32, blocks of 32": SamplerConfig(GEN_LENGTH, block_length=32, refresh_every=32),
}
TARGETS = {"exact": 6, "refresh 32, one block": 25, "refresh 32, blocks of 32": 40}
TYPES = {  # stored weights, arithmetic
    "float32": (torch.float32, torch.float32),
    "bfloat16, computed in float32": (torch.bfloat16, torch.float32),
    "bfloat16, computed in bfloat16": (torch.bfloat16, torch.bfloat16),
}


class Enough(Exception):
    """The literal sampler has run as many steps as wanted."""


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()


def random_model(stored: torch.dtype = torch.float32, computed: torch.dtype = torch.float32) -> LLaDAV:
    torch.manual_seed(0)
    model = LLaDAV(CONFIG, computed).requires_grad_(False).to(stored)
    model(torch.arange(8))  # warm up, and touch every weight
    return model


def random_prompt() -> torch.Tensor:
    return torch.randint(0, 126_000, (PROMPT_LENGTH,), generator=torch.Generator().manual_seed(1))


def measure_literal() -> dict:
    """The literal sampler's first steps, and the canvas that they lead to."""
    model, canvases, times, before = random_model(), [], [], peak_bytes()
    bar = tqdm(total=LITERAL_STEPS, desc="literal", unit="step")

    def all_logits(canvas, seen):
        canvases.append(canvas.tolist())
        times.append(time.perf_counter())
        bar.update(len(times) > 1)
        if len(times) > LITERAL_STEPS:
            raise Enough
        return model(canvas)

    try:
        literal_sample(all_logits, random_prompt().tolist(), GEN_LENGTH, FEW_STEPS, GEN_LENGTH, 0.0, 0.0,
                       "low_confidence", MASK_ID, FORBIDDEN, [], [])
    except Enough:
        seconds = [after - start for start, after in zip(times, times[1:])]
        return {"step": statistics.median(seconds), "canvas": canvases[-1], "peak": peak_bytes() - before}


def run_steps(model: LLaDAV, config: SamplerConfig, count: int) -> tuple[list[float], list[float], list]:
    """Seconds of the first `count` steps, of those that run the whole canvas and of those that run a block, and the
    states after all."""
    canvas = Canvas(random_prompt(), config, MASK_ID, FORBIDDEN)
    whole, block, steps = [], [], []
    bar, start = tqdm(total=count, unit="step"), time.perf_counter()
    for [(_, step)] in sample(packed_denoiser(model, [[]]), [canvas]):
        step_in_block = len(steps) % config.block_length
        (block if step_in_block % config.refresh_every else whole).append(time.perf_counter() - start)
        steps.append(step)
        bar.update()
        if len(steps) == count:
            break
        start = time.perf_counter()
    return whole, block, steps


def measure_mode(mode: str) -> dict:
    model, config, before = random_model(), MODES[mode], peak_bytes()
    whole, block, steps = run_steps(model, config, config.steps)
    result = {"step": statistics.median(block or whole), "peak": peak_bytes() - before,
              "all": sum(whole + block) * GEN_LENGTH / config.steps, "canvas": steps[LITERAL_STEPS - 1].canvas.tolist()}
    return result | {"products": time_products(model, config.block_length)} if block else result


def time_products(model: LLaDAV, block: int) -> float:
    """The matrix products of a step that runs a block of which half is open, with the model's weights, and nothing
    else: median seconds."""
    language, heads = model.language_model, CONFIG.num_attention_heads
    head_width, length = CONFIG.hidden_size // heads, PROMPT_LENGTH + GEN_LENGTH
    wide, deep = torch.randn(block, CONFIG.hidden_size), torch.randn(block, CONFIG.intermediate_size)
    q, keys = torch.randn(heads, block, head_width), torch.randn(heads, length, head_width)
    scores, seconds = torch.randn(heads, block, length), []
    for _ in range(12):
        start = time.perf_counter()
        for layer in language.layers:
            for name, projection in layer.named_modules():
                if isinstance(projection, torch.nn.Linear):
                    F.linear(deep if name == "mlp.down_proj" else wide, projection.weight)
            q @ keys.transpose(1, 2), scores @ keys
        F.linear(wide[:(block + 1) // 2], language.lm_head.weight)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_type(name: str) -> dict:
    """Passes over the whole canvas and over a block of 32, with weights and arithmetic of some type."""
    before = resident_bytes()
    model = random_model(*TYPES[name])
    weights = resident_bytes() - before
    whole, block, _ = run_steps(model, SamplerConfig(GEN_LENGTH, block_length=32, refresh_every=4), 12)
    return {"whole": statistics.median(whole), "block": statistics.median(block), "weights": weights}


def measure_prompt_first() -> dict:
    """Seconds of a step that runs everything, of the first step that keeps the prompt, and of the later ones."""
    model = random_model()
    model.config = replace(CONFIG, attention="prompt-first")

    def fresh():
        return prompt_first_denoiser(model, [[0] * PROMPT_LENGTH], [[]])

    seconds, answers = [], []
    for denoise in (lambda inputs: fresh()(inputs), fresh()):  # one that knows nothing at each step, and one that keeps
        canvas = Canvas(random_prompt(), SamplerConfig(GEN_LENGTH, steps=FEW_STEPS), MASK_ID, FORBIDDEN)
        times = [time.perf_counter()]
        for [(_, step)] in sample(denoise, [canvas]):
            times.append(time.perf_counter())
            answer = step.answer.tolist()
        seconds.append([after - start for start, after in zip(times, times[1:])])
        answers.append(answer)
    return {"everything": statistics.median(seconds[0]), "first": seconds[1][0],
            "later": statistics.median(seconds[1][1:]), "agree": answers[0] == answers[1]}


@torch.no_grad()
def measure(kind: str) -> dict:
    if kind == "prompt-first":
        return measure_prompt_first()
    return measure_literal() if kind == "literal" else measure_type(kind) if kind in TYPES else measure_mode(kind)


def in_a_process(kind: str) -> dict:
    worker = subprocess.run([sys.executable, __file__, kind], stdout=subprocess.PIPE, check=True)
    return json.loads(worker.stdout)


def main():
    literal = in_a_process("literal")
    results = {mode: in_a_process(mode) for mode in MODES}
    if literal["canvas"] != results["exact"]["canvas"]:
        sys.exit("the two samplers disagree")
    all_literal = literal["step"] * GEN_LENGTH
    print(f"prompt {PROMPT_LENGTH}, {GEN_LENGTH} tokens, {torch.get_num_threads()} threads; literal and exact agree")
    print(f"{'mode':<26}{'s / step':>9}{'128 steps, s':>14}{'times as fast':>15}{'target':>8}"
          f"{'peak above weights, MB':>24}")
    print(f"{'literal':<26}{literal['step']:>9.2f}{all_literal:>14.0f}{1:>15.1f}{'':>8}{literal['peak'] / 1e6:>24,.0f}")
    for mode, result in results.items():
        print(f"{mode:<26}{result['step']:>9.2f}{result['all']:>14.0f}{all_literal / result['all']:>15.1f}"
              f"{TARGETS[mode]:>8}{result['peak'] / 1e6:>24,.0f}")
    print("(s / step of the last two is that of a block alone)")
    for mode, result in results.items():
        if "products" in result:
            print(f"{mode}: a block takes {result['step'] / result['products']:.2f} times its matrix products, "
                  f"{result['step'] * 1e3:.0f} against {result['products'] * 1e3:.0f} ms (target: at most 1.5)")
    result = in_a_process("prompt-first")
    if not result["agree"]:
        sys.exit("a prompt that is kept and one that is computed again disagree")
    again, once = result["everything"] * GEN_LENGTH, result["first"] + result["later"] * (GEN_LENGTH - 1)
    print(f"\nprompt-first, 128 steps: {again:.1f} s with the prompt at each step, {once:.1f} s with the prompt once, "
          f"{again / once:.1f} times as fast ({result['later']:.2f} s / step); the same tokens")
    print(f"\n{'weights':<32}{'in memory, MB':>14}{'whole canvas, s':>17}{'block of 32, s':>16}")
    for name in TYPES:
        result = in_a_process(name)
        print(f"{name:<32}{result['weights'] / 1e6:>14,.0f}{result['whole']:>17.2f}{result['block']:>16.3f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
