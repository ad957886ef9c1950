"""How much memory loading takes: peak resident memory against the size of a made-up checkpoint.

    python tests/bench/loading.py [GIGABYTES]

Writes a text-only bfloat16 checkpoint of 4 GB (or as many as asked for) with random weights to a temporary folder,
once as a single file and once as shards. Each is loaded on the CPU in a process of its own, as it is and in 8 and 4
bits. The process then answers a question, so that every weight is really read. "size" is that of the loaded weights.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from minllada_v import SamplerConfig, answer, load_pretrained
from minllada_v.config_json import read_config
from minllada_v.model import LLaDAV
from minllada_v.tensor_names import released_name

TOKENIZER = Path(__file__).parents[1] / "golden" / "checkpoint" / "tokenizer.json"
BYTES_A_LAYER = 2 * (4 * 2048**2 + 3 * 2048 * 6144)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_checkpoint(folder: Path, gigabytes: float, shards: int):
    """Write a random checkpoint in the released layout."""
    shutil.copy(TOKENIZER, folder)
    embeddings = 2 * 2 * 126_464 * 2048
    layers = max(1, round((gigabytes * 1e9 - embeddings) / BYTES_A_LAYER + 0.5))
    (folder / "config.json").write_text(json.dumps({
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": layers, "num_attention_heads": 16,
        "vocab_size": 126_464, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 8192}))
    with torch.device("meta"):
        shapes = {released_name(name): tensor.shape
                  for name, tensor in LLaDAV(read_config(folder / "config.json")).state_dict().items()}
    names, weight_map, noise = list(shapes), {}, 0.02 * torch.randn(1_000_003).bfloat16()
    for number in tqdm(range(shards), desc=f"writing {shards} file(s)", unit="file"):
        part = names[number::shards]
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        save_file({name: noise.repeat(shapes[name].numel() // len(noise) + 1)[:shapes[name].numel()].view(shapes[name])
                   for name in part}, folder / file)
        weight_map |= {name: file for name in part}
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def measure(folder: str, bits: int | None = None) -> dict:
    """Load and answer; seconds and peak memory of both, and the bytes of the weights."""
    start = time.perf_counter()
    model, tokenizer = load_pretrained(folder, device="cpu", bits=bits)
    result = {"load_seconds": time.perf_counter() - start}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.flatten()[::512].sum()  # touch every page
    result |= {"loaded": peak_bytes(), "size": sum(tensor.nbytes for tensor in model.state_dict().values())}
    answer(model, tokenizer, "Hello?", sampler=SamplerConfig(gen_length=4, steps=1))
    return result | {"answered": peak_bytes()}


def main(gigabytes: float):
    print(f"{'checkpoint':<22}{'size, MB':>10}{'load, s':>9}{'peak when loaded':>19}{'peak after an answer':>22}")
    for name, shards in (("single file", 1), ("4 shards", 4)):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, "write", folder, str(gigabytes), str(shards)], check=True)
            for options in ([], ["8"], ["4"]):
                worker = subprocess.run([sys.executable, __file__, "load", folder, *options], stdout=subprocess.PIPE,
                                        check=True)
                result = json.loads(worker.stdout)
                kind = f"{name}, {options[0]} bits" if options else name
                over = {key: f"size + {(result[key] - result['size']) / 1e6:,.0f} MB" for key in ("loaded", "answered")}
                print(f"{kind:<22}{result['size'] / 1e6:>10,.0f}{result['load_seconds']:>9.2f}{over['loaded']:>19}"
                      f"{over['answered']:>22}", flush=True)


if __name__ == "__main__":
    command, *rest = sys.argv[1:] or ["4"]
    if command == "write":
        write_checkpoint(Path(rest[0]), float(rest[1]), int(rest[2]))
    elif command == "load":
        print(json.dumps(measure(rest[0], *map(int, rest[1:]))))
    else:
        main(float(command))
