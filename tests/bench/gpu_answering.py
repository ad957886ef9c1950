"""For gpu.py, one process each: what answers take on the full 8B shape, with random weights of one kind.

    python tests/bench/gpu_answering.py bfloat16|8|4|compiled [--tiny]

The weights are drawn on the device, and packed there matrix by matrix: neither a file nor the host ever holds them. The
photograph is real; what the model says of it means nothing. Passes are timed by the sampler's own steps, at the end of
which the GPU is waited for. Every line is Markdown and is printed as soon as it is known.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from minllada_v import LLaDAV, SamplerConfig
from minllada_v.answer import encode_images, prepare, prompt_ids, sample_all
from minllada_v.checkpoint import empty_model, load_weights, pick_device
from minllada_v.compiled import compile_layers
from minllada_v.config import Config, VisionConfig
from minllada_v.low_bits import pack_weights
from minllada_v.tokenizer_json import read_tokenizer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from literal import literal_sample  # noqa: E402

TINY = "--tiny" in sys.argv
DEVICE = pick_device("cpu" if TINY else "cuda")
GRIDS = tuple((columns, rows) for columns in range(1, 7) for rows in range(1, 7))
CONFIG = Config(4096, 12288, 32, 32, 32, 126_464, 1e-5, 500000.0, 8192, VisionConfig(), GRIDS)
if TINY:
    CONFIG = Config(64, 128, 2, 4, 4, 1000, 1e-5, 500000.0, 8192, VisionConfig(32, 48, 3, 4, 14, 56), GRIDS)
with Image.open(ROOT / "tutorials" / "pictures" / "chelsea.png") as small:
    PHOTO = small.convert("RGB").resize((1353, 900))  # as large as photographs are
TOKENIZER = read_tokenizer(ROOT / "tests" / "golden" / "checkpoint" / "tokenizer.json")  # its ids fit any vocabulary
LENGTH = 128
EXACT = SamplerConfig(LENGTH)
REFRESH = {f"refresh {every}": replace(EXACT, refresh_every=every) for every in (2, 8, 32)}
BLOCKS = {"refresh 32, blocks of 32": replace(EXACT, block_length=32, refresh_every=32)}
PEAKS = {"bfloat16": 19, "8": 11.5, "4": 8}  # GB, the targets of an exact answer
ONE_PASS, WEIGHTS_ONCE = 0.5, 1.5  # at least this share of the matrix rate; at most so often the time to read weights


def random_model(bits: int | None = None) -> LLaDAV:
    """The model with random weights on the device, in bfloat16, or with its layers in 8 or 4 bits."""
    model = empty_model(replace(CONFIG, weight_bits=bits))

    def read(name: str, rows: slice) -> torch.Tensor:
        layer = model.get_submodule(name.removesuffix(".weight"))
        return 0.02 * torch.randn(min(rows.stop, layer.out_features) - rows.start, layer.in_features, device=DEVICE)

    weights = pack_weights(model, read, DEVICE) if bits else {}
    for name, parameter in model.state_dict().items():
        if name not in weights:
            weights[name] = torch.empty(parameter.shape, dtype=torch.bfloat16, device=DEVICE)
            weights[name].fill_(1) if "norm" in name else weights[name].normal_(std=0.02)
    load_weights(model, weights)
    model.compute_dtype = torch.bfloat16
    return model.requires_grad_(False).eval()


def seconds_now() -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def median_seconds(run: Callable, times: int = 10) -> float:
    """Of `run`, after two calls to warm up."""
    taken = []
    for _ in range(times + 2):
        start = seconds_now()
        run()
        taken.append(seconds_now() - start)
    return statistics.median(taken[2:])


def card_rates() -> tuple[float, float]:
    """What this card reaches: FLOP/s of a square bfloat16 product, and bytes/s of a copy, read and written."""
    n = 256 if TINY else 8192
    a, b = (torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    large = torch.zeros(10**6 if TINY else 2 * 10**9, dtype=torch.uint8, device=DEVICE)
    other = torch.empty_like(large)
    return 2 * n**3 / median_seconds(lambda: a @ b), 2 * len(large) / median_seconds(lambda: other.copy_(large))


def pass_flops(config: Config, n: int, asked: int) -> float:
    """Multiplications and additions of one pass over n positions with logits at `asked` of them.

    A position takes 2 for each weight of q, o (d · d), k, v (d · their width) and the MLP (3 · d · m), and attention
    4 · n · d: its scores and what it gathers. In the last layer only keys and values are for all n.
    """
    d, m, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    keys_values = 4 * d * d * config.num_key_value_heads / config.num_attention_heads
    rest = 4 * d * d + 6 * d * m + 4 * n * d
    return (layers - 1) * n * (keys_values + rest) + n * keys_values + asked * (rest + 2 * d * config.vocab_size)


def make_canvases(model: LLaDAV, features: list, sampler: SamplerConfig, batch: int) -> list:
    ids = prompt_ids(TOKENIZER, "Describe the image in detail.", features)
    return [prepare(model, TOKENIZER, ids, sampler) for _ in range(batch)]


def step_seconds(model: LLaDAV, features: list, sampler: SamplerConfig, batch: int, count: int) -> tuple[float, float]:
    """Median seconds of the steps that run the whole canvas, and of those that run a block (0 if none do), among the
    first `count`; two steps warm up."""
    def start_over():
        return sample_all(model, TOKENIZER, make_canvases(model, features, sampler, batch), [features] * batch)

    for _ in islice(start_over(), 2):
        pass
    whole, block, start = [], [], seconds_now()
    for number, _ in enumerate(islice(start_over(), count)):
        is_block = number % sampler.block_length % sampler.refresh_every > 0
        (block if is_block else whole).append(time.perf_counter() - start)
        start = time.perf_counter()
    return statistics.median(whole), statistics.median(block or [0.0])


def literal_seconds(model: LLaDAV, features: list) -> float:
    """Of a step as the released code computes it: logits and a float64 softmax everywhere."""
    ids, times = prompt_ids(TOKENIZER, "Describe the image in detail.", features), []

    def all_logits(canvas: torch.Tensor, seen: list[int]) -> torch.Tensor:
        return model(canvas.to(DEVICE), features)

    with torch.no_grad():
        literal_sample(all_logits, ids.tolist(), LENGTH, 3, LENGTH, 0.0, 0.0, "low_confidence", TOKENIZER.token_id(
            "<|mdm_mask|>"), [0], [], [], after_step=lambda: times.append(seconds_now()))
    return statistics.median(after - before for before, after in zip(times, times[1:]))


def report(title: str, batch: int, sampler: SamplerConfig, measure: Callable[[], tuple[float, float]]):
    """Print a row of the table; returns both kinds of seconds and the peak in GB, or None where it failed."""
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        whole, block = measure()
    except Exception as error:  # such as too little memory: the other modes go on
        print(f"| {title} | failed: {' '.join(str(error).split())[:150]} |", flush=True)
        return None
    refreshes = sampler.blocks * -(-sampler.block_length // sampler.refresh_every)
    total = refreshes * whole + (LENGTH - refreshes) * block
    peak = torch.cuda.max_memory_allocated() / 1e9 if DEVICE.type == "cuda" else 0.0
    print(f"| {title} | {1e3 * whole:.1f} | {f'{1e3 * block:.1f}' if block else '–'} | {total:.2f} | "
          f"{batch * LENGTH / total:.1f} | {peak:.1f} |", flush=True)
    return whole, block, peak


@torch.no_grad()
def main(kind: str):
    rate, bandwidth = card_rates()
    start = seconds_now()
    model = random_model(int(kind) if kind in "84" else None)
    features = encode_images(model, [PHOTO])
    prompt = len(prompt_ids(TOKENIZER, "Describe the image in detail.", features))
    print(f"Weights: {kind}, ready after {seconds_now() - start:.1f} s. Prompt with the photograph: {prompt} tokens. "
          f"This card: {rate / 1e12:.0f} TFLOP/s in bfloat16 products, {bandwidth / 1e9:.0f} GB/s in copies.\n")
    print("| mode | whole pass, ms | block, ms | 128 tokens, s | tokens / s | peak, GB |\n|---|---|---|---|---|---|")
    if kind == "bfloat16":
        report("literal", 1, EXACT, lambda: (literal_seconds(model, features), 0.0))
    if kind == "compiled":
        if TINY:  # without the slow compiler behind it
            torch.nn.Module.compile = partialmethod(torch.nn.Module.compile, backend="eager")
        compile_layers(model)
        start = seconds_now()
    found = {}
    for name, sampler in {"exact": EXACT, **({} if kind in "84" else REFRESH), **BLOCKS}.items():
        count = max(6, 2 * min(sampler.refresh_every, 17))
        found[name] = report(name, 1, sampler, lambda s=sampler, c=count: step_seconds(model, features, s, 1, c))
    if kind == "compiled":
        print(f"\n- compiling and all of this took {seconds_now() - start:.0f} s")
    if kind == "bfloat16":
        torch.backends.cuda.enable_cudnn_sdp(True)  # which the package turns off; see `pick_device`
        for name, sampler in {"exact": EXACT, "refresh 32": REFRESH["refresh 32"]}.items():
            report(f"{name}, with cuDNN", 1, sampler, lambda s=sampler: step_seconds(model, features, s, 1, 12))
        torch.backends.cuda.enable_cudnn_sdp(False)
        for name, sampler in {"exact": EXACT, "refresh 32": REFRESH["refresh 32"], **BLOCKS}.items():
            report(f"{name}, batch of 8", 8, sampler, lambda s=sampler: step_seconds(model, features, s, 8, 4))
        video = encode_images(model, video=[PHOTO.crop((x, 0, x + 900, 900)) for x in range(0, 384, 12)])
        for name, sampler in {"exact": EXACT, "refresh 32": REFRESH["refresh 32"]}.items():
            report(f"{name}, 32 frames ({len(video[0])} rows)", 1, sampler,
                   lambda s=sampler: step_seconds(model, video, s, 1, 4))
    print()
    if found["exact"]:
        share = pass_flops(CONFIG, prompt + LENGTH, LENGTH) / found["exact"][0] / rate
        print(f"- exact pass: {share:.0%} of the measured rate of products (target: at least {ONE_PASS:.0%})")
        if kind in PEAKS:
            print(f"- exact, peak: {found['exact'][2]:.1f} GB (target: at most {PEAKS[kind]})")
    for name in BLOCKS:
        if found[name]:
            language = [parameter for part, parameter in model.language_model.named_parameters() if "embed" not in part]
            once = sum(parameter.numel() * parameter.element_size() for parameter in language) / bandwidth
            print(f"- {name}, a block: {found[name][1] / once:.2f} times the {1e3 * once:.1f} ms in which the weights "
                  f"are read once (target: at most {WEIGHTS_ONCE})")


if __name__ == "__main__":
    main(sys.argv[1])
