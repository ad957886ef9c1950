"""Adapters on the disk, as the library `peft` writes and reads them: `adapter_config.json`, and
`adapter_model.safetensors` under the names that the released LLaDA-V's modules have with `peft` around them.

What learned beside the adapters, projector and newline, stands in the same file, whole. `peft` knows the projector by
`modules_to_save`; the newline is no module, and there its name is enough.
"""

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import FLOATS, open_file, open_tensors, shortened
from ..errors import InputError, quote
from ..files import kind_of, read_json
from ..model import LLaDAV
from ..tensor_names import package_name, released_name
from .lora import LoRA, linear_layers

ADAPTER_CONFIG, ADAPTER_WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
TARGETS = r"model\.layers\.\d+\..*_proj|lm_head"  # "q_proj" alone would be found in the vision tower too
# What other values mean would not show in names and shapes. The first of a row is what it means not to be there.
SUPPORTED = {"peft_type": ("LORA",), "fan_in_fan_out": (False, None), "use_rslora": (False, None),
             "alpha_pattern": ({}, None), "layer_replication": (None,), "alora_invocation_tokens": (None,),
             "init_lora_weights": (True, False, "gaussian", "orthogonal")}  # others change W too


def adapter_config(base: Path, rank: int, alpha: float, only: bool) -> bytes:
    """The `adapter_config.json` of adapters that learn on the weights in the folder `base`; `only` they, or also the
    projector. No `task_type` of peft's fits masked diffusion; without one it takes any model."""
    values = {"peft_type": "LORA", "task_type": None, "base_model_name_or_path": str(base), "revision": version(base),
              "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none", "target_modules": TARGETS,
              "modules_to_save": None if only else ["mm_projector"], "inference_mode": True}
    return (json.dumps(values, indent=1) + "\n").encode()


def version(base: Path) -> str:
    """Letters that tell the weights in the folder `base` from others. Embeddings, norms and biases count, rounded to
    bfloat16: they are the same in a copy whose matrices are stored in 16, 8 or 4 bits."""
    found = {package_name(name): tensor for name, tensor in open_tensors(base).items()}
    digest = hashlib.sha256()
    for name in sorted(filter(None, found)):
        if "embed_tokens." in name or found[name].dim() == 1 and not name.endswith("_scale"):
            digest.update(found[name].bfloat16().contiguous().view(torch.int16).numpy())
    return f"weights {digest.hexdigest()[:16]}"


def adapter_tensors(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of the model's parameters → by their names in an adapter's file."""
    return {PREFIX + released_name(name) + (".weight" if ".lora_" in name else ""): tensor
            for name, tensor in parameters.items()}


def load_adapter(model: LLaDAV, folder: Path, base: Path):
    """Put the adapters of `folder` on `model`, which was loaded from the folder `base`, with what learned beside them.

    Raises `InputError` if these are none, or of a kind that is not supported, or if they belong to other weights.
    """
    path = folder / ADAPTER_CONFIG
    if kind_of(path) != "file":
        raise InputError(f"{folder} has no {ADAPTER_CONFIG}, so it is not a folder with a LoRA adapter")
    config = read_json(path)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    for key, allowed in SUPPORTED.items():
        if (value := config.get(key, allowed[0])) not in allowed:
            raise InputError(f"{path}: {key} is {quote(value)}, and only {allowed[0]} is supported")
    if type(rank) is not int or rank < 1 or type(alpha) not in (int, float):
        raise InputError(f"{path}: r must be a whole number above 0, and lora_alpha a number")
    if str(config.get("revision")).startswith("weights ") and config["revision"] != version(base):
        raise InputError(f"{folder} was trained on other weights than {base} holds, on those that then stood in "
                         f"{quote(config.get('base_model_name_or_path'))}")
    found, layers = open_file(folder / ADAPTER_WEIGHTS), linear_layers(model)
    places = {name: tuple(each.shape) for name, each in model.named_parameters() if each.is_floating_point()}
    for name, layer in layers.items():
        places |= {f"{name}.lora_A": (rank, layer.in_features), f"{name}.lora_B": (layer.out_features, rank)}
    check_fit(found, adapter_tensors(places), folder, base)
    found = {name: found[theirs].float().to(model.device)
             for theirs, name in adapter_tensors({name: name for name in places}).items() if theirs in found}
    for name, layer in layers.items():
        if f"{name}.lora_A" in found:
            model.set_submodule(name, LoRA(layer, found.pop(f"{name}.lora_A"), found.pop(f"{name}.lora_B"), alpha))
    for name, tensor in found.items():
        model.get_parameter(name).data = tensor
    model.requires_grad_(False)


def check_fit(found: dict[str, Tensor], places: dict[str, tuple[int, ...]], folder: Path, base: Path):
    """Raises `InputError` unless all that was `found` in the adapter's `folder` has one of the `places`, in its shape,
    and no half of an adapter is alone."""
    problems = [] if found else ["it is empty"]
    for name, tensor in found.items():
        shape, to_b = tuple(tensor.shape), name.replace(".lora_A.", ".lora_B.")
        other = to_b if to_b != name else name.replace(".lora_B.", ".lora_A.")
        if name not in places:
            problems.append(f"{name} {shape} has no place in the model")
        elif shape != places[name]:
            problems.append(f"{name} is {shape} in the file and should be {places[name]}")
        elif tensor.dtype not in FLOATS:
            problems.append(f"{name} is stored as {tensor.dtype}, not as one of {', '.join(map(str, FLOATS))}")
        elif other not in found:
            problems.append(f"{other} {places[other]} is missing")
    if problems:
        raise InputError(f"{folder / ADAPTER_WEIGHTS} does not fit the weights of {base}: {shortened(problems, '; ')}")
