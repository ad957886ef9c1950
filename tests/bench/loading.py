"""How much memory loading takes: peak resident memory against the size of a made-up checkpoint.

    python tests/bench/loading.py [GIGABYTES]

Writes a text-only bfloat16 checkpoint of 4 GB (or as many as asked for) with random weights to a temporary folder,
once as a single file and once as shards. Each is loaded on the CPU in a process of its own, which then answers a
question, so that every weight is really read.
"""

import json
import re
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


def write_checkpoint(folder: Path, gigabytes: float, shards: int) -> int:
    """A random checkpoint in the released layout; returns the bytes of its weights."""
    shutil.copy(TOKENIZER, folder)
    embeddings = 2 * 2 * 126_464 * 2048
    layers = max(1, round((gigabytes * 1e9 - embeddings) / BYTES_A_LAYER + 0.5))
    (folder / "config.json").write_text(json.dumps({
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": layers, "num_attention_heads": 16,
        "vocab_size": 126_464, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 8192}))
    with torch.device("meta"):
        shapes = {released_name(name): tensor.shape
                  for name, tensor in LLaDAV(read_config(folder / "config.json")).state_dict().items()}
    names, weight_map = list(shapes), {}
    for number in tqdm(range(shards), desc=f"writing {shards} file(s)", unit="file"):
        part = names[number::shards]
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        save_file({name: torch.randn(shapes[name], dtype=torch.bfloat16) * 0.02 for name in part}, folder / file)
        weight_map |= {name: file for name in part}
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def measure(folder: str) -> dict:
    """Load and answer; seconds and peak memory of both."""
    start = time.perf_counter()
    model, tokenizer = load_pretrained(folder, device="cpu")
    result = {"load_seconds": time.perf_counter() - start}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.flatten()[::512].sum()  # touch every page
    result["loaded"] = peak_bytes()
    answer(model, tokenizer, "Hello?", sampler=SamplerConfig(gen_length=4, steps=1))
    return result | {"answered": peak_bytes()}


def main(gigabytes: float):
    print(f"{'checkpoint':<13}{'size, MB':>10}{'load, s':>9}{'peak when loaded':>19}{'peak after an answer':>22}")
    for name, shards in (("single file", 1), ("4 shards", 4)):
        with tempfile.TemporaryDirectory() as folder:
            maker = subprocess.run([sys.executable, __file__, "write", folder, str(gigabytes), str(shards)],
                                   stdout=subprocess.PIPE, check=True)
            size = int(re.findall(rb"\d+", maker.stdout)[-1])
            worker = subprocess.run([sys.executable, __file__, "load", folder], stdout=subprocess.PIPE, check=True)
            result = json.loads(worker.stdout)
        over = {key: f"size + {(result[key] - size) / 1e6:,.0f} MB" for key in ("loaded", "answered")}
        print(f"{name:<13}{size / 1e6:>10,.0f}{result['load_seconds']:>9.2f}{over['loaded']:>19}{over['answered']:>22}")


if __name__ == "__main__":
    command, *rest = sys.argv[1:] or ["4"]
    if command == "write":
        print(write_checkpoint(Path(rest[0]), float(rest[1]), int(rest[2])))
    elif command == "load":
        print(json.dumps(measure(rest[0])))
    else:
        main(float(command))
