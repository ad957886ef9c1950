"""What training starts from: a checkpoint, a language model and a vision tower of their own, or nothing.

The paper's first stage starts from LLaDA-8B-Instruct, SigLIP 2 and a fresh projector between them.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import (
    empty_model,
    find_weights,
    load_pretrained,
    load_weights,
    matching_tokenizer,
    open_tensors,
    tie_embeddings,
)
from ..config import Config, VisionConfig
from ..config_json import check_config, siglip_values, translate_keys
from ..errors import InputError
from ..files import read_json
from ..language import Attention
from ..model import LLaDAV
from ..projector import Projector
from ..tensor_names import package_name, released_name
from ..tokenizer import Tokenizer

# What the released config.json has in addition to a language model's, which may say otherwise.
LLADA_V_CONFIG = {
    "image_aspect_ratio": "anyres_max_4",
    "image_grid_pinpoints": "(1x1),...,(6x6)",
    "mm_patch_merge_type": "spatial_unpad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_spatial_pool_mode": "bilinear",
    "mm_newline_position": "grid",
    "max_position_embeddings": 16384,
    "tokenizer_model_max_length": 8192,
}
BESIDE_WEIGHTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Start:
    """A model to train, and the files that stand beside its weights in a checkpoint, by name."""

    model: LLaDAV
    tokenizer: Tokenizer
    files: dict[str, bytes]


def from_checkpoint(folder: Path) -> Start:
    """The model of a checkpoint folder, as it is. Raises `InputError` as `load_pretrained` does."""
    model, tokenizer = load_pretrained(folder, "cpu")
    return Start(model, tokenizer, read_files(folder))


def from_parts(language: Path, vision: Path, seed: int) -> Start:
    """A language model (under LLaDA-8B's names or ours), a SigLIP 2 tower (its names or ours) and a fresh projector.

    Of 27 vision layers 26 are used. Raises `InputError` if a part is missing or does not fit its config.
    """
    tower = siglip_values(read_json(vision / "config.json"))
    width = tower.get("hidden_size", VisionConfig.hidden_size) if isinstance(tower, dict) else None
    values = LLADA_V_CONFIG | translate_keys(read_json(language / "config.json")) | {
        "architectures": ["LlavaLLaDAModelLM"], "model_type": "llava_llada", "vision_config": tower,
        "mm_hidden_size": width}
    config = check_config(values, f"{language / 'config.json'} with {vision / 'config.json'}")
    tokenizer = matching_tokenizer(language, config)

    tensors: dict[str, Tensor] = {}
    for folder, part in ((language, "language_model."), (vision, "vision_tower.")):
        for name, tensor in open_tensors(folder).items():
            ours = package_name(name) or ""
            if ours.startswith(part):  # not SigLIP's text tower, nor what a LLaDA-V checkpoint has of the other part
                tensors[released_name(ours)] = tensor
    model = empty_model(config)
    fresh = fresh_projector(config, seed)
    tensors |= {released_name(name): tensor for name, tensor in fresh.items()}
    load_weights(model, find_weights(model, tensors, Path(f"{language} with {vision}")))
    return Start(model, tokenizer, read_files(language) | {"config.json": as_json(values)})


def from_nothing(config_file: Path, seed: int) -> Start:
    """Random weights for a config. tokenizer.json lies beside it. Raises `InputError` if one does not make sense."""
    values = read_json(config_file)
    config = check_config(values, str(config_file))
    if config.weight_bits:
        raise InputError(f"{config_file}: weights in {config.weight_bits} bits are too coarse to learn in small steps; "
                         "leave out weight_bits")
    tokenizer = matching_tokenizer(config_file.parent, config)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = LLaDAV(config)
        draw_weights(model)
    tie_embeddings(model)
    if config.vision:
        model.load_state_dict(fresh_projector(config, seed), strict=False)
    return Start(model, tokenizer, read_files(config_file.parent) | {"config.json": as_json(values)})


def draw_weights(model: LLaDAV):
    """Random weights, drawn from torch's global generator."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            # Small enough for many layers to be added up (Nguyen and Salazar, arXiv 1910.05895).
            nn.init.normal_(module.weight, std=math.sqrt(2 / (5 * module.weight.shape[1])))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)  # longer than what a layer adds at first
    for layer in model.language_model.layers:
        look_for_likeness(layer.self_attn)


def look_for_likeness(attention: Attention):
    """Let the first half of the heads begin by attending to what resembles the query's own position, and copying it.

    "star" in a question then finds the patches that show one as soon as these point to the same embedding. Heads that
    begin anywhere need twice as many examples to get there.
    """
    width = attention.q_proj.weight.shape[1]
    keys = len(attention.k_proj.weight) // 2 // attention.head_width * attention.head_width
    copies = len(attention.q_proj.weight) // len(attention.k_proj.weight)  # query heads that share a key head
    alike, copied = (nn.init.orthogonal_(torch.empty(width, width))[:keys] for _ in range(2))

    def shared(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (-1, attention.head_width)).repeat_interleave(copies, dim=0).flatten(0, 1)

    with torch.no_grad():
        attention.k_proj.weight[:keys] = 0.8 * alike
        attention.v_proj.weight[:keys] = 0.6 * copied
        attention.q_proj.weight[:keys * copies] = 0.8 * shared(alike)
        attention.o_proj.weight[:, :keys * copies] = 0.6 / copies * shared(copied).T


def fresh_projector(config: Config, seed: int) -> dict[str, Tensor]:
    """Random weights of the projector, as torch draws them, and a newline embedding about as long as a feature."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        projector = Projector(config.vision.hidden_size, config.hidden_size)
        newline = torch.randn(config.hidden_size) / math.sqrt(config.hidden_size)
    named = {f"mm_projector.{name}": tensor for name, tensor in projector.state_dict().items()}
    return named | {"image_newline": newline}


def read_files(folder: Path) -> dict[str, bytes]:
    """Those of the files beside the weights that are there."""
    return {name: (folder / name).read_bytes() for name in BESIDE_WEIGHTS if (folder / name).is_file()}


def as_json(values: dict) -> bytes:
    """The content of a JSON file that holds `values`."""
    return (json.dumps(values, indent=1) + "\n").encode()
