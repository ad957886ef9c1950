"""A checkpoint folder to a model: safetensors files under the released tensor names.

Weights are memory-mapped: on a CPU a tensor is a view of its file, and pages are read when they are first used.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from .config import Config
from .config_json import read_config
from .errors import InputError, quote
from .files import kind_of, read_json
from .low_bits import low_bit_types, pack_weights, shrink_layers
from .model import LLaDAV
from .tensor_names import beyond_last_layer, package_name, released_name, would_matter
from .tokenizer import Tokenizer
from .tokenizer_json import read_tokenizer

BUILTIN = Path(__file__).with_name("builtin")  # a small trained model that comes with the package
FLOATS = (torch.float32, torch.bfloat16, torch.float16)  # what weights may be stored as


def load_pretrained(
    path: str | Path | None = None, device: str | torch.device | None = None, dtype: torch.dtype | None = None,
    bits: int | None = None,
) -> tuple[LLaDAV, Tokenizer]:
    """Load the checkpoint folder `path`, or the built-in model; returns it, ready to answer, and its tokenizer.

    `device` None takes a GPU where there is one. `dtype` None keeps the type of the stored weights; on a CPU each
    layer then computes in float32 whatever that type is. A given `dtype` converts the weights and computes in it.
    `bits` 8 or 4 stores the language model's layers in so few (see low_bits.py), and the other weights in bfloat16.
    Raises `InputError` for a folder that is incomplete, broken or not supported; nothing in it is ever executed.
    """
    folder = checkpoint_folder(path)
    if dtype not in (None, *FLOATS):
        raise InputError(f"the type of weights must be one of {', '.join(map(str, FLOATS))} or None, not {dtype!r}")
    device = pick_device(device)
    config = read_config(folder / "config.json")
    tokenizer = matching_tokenizer(folder, config)
    model = empty_model(config)
    weights = find_weights(model, open_tensors(folder), folder)
    if bits not in (None, config.weight_bits):
        model, weights = with_low_bits(model, weights, folder, bits, device)
    fixed = low_bit_types(model)
    bar = tqdm(weights.items(), desc="loading", unit="tensor", delay=2, leave=False)
    load_weights(model, {name: tensor.to(device, fixed.get(name, dtype)) for name, tensor in bar})
    stored = model.language_model.embed_tokens.weight.dtype
    model.compute_dtype = dtype or (torch.float32 if device.type == "cpu" else stored)
    return model.requires_grad_(False).eval(), tokenizer


def checkpoint_folder(path: str | Path | None = None) -> Path:
    """The folder `path`, or that of the built-in model. Raises `InputError` if there is none, or just an adapter."""
    folder = BUILTIN if path is None else Path(path)
    if kind_of(folder) != "folder":
        raise InputError(f"{folder} is not a folder; give the folder with the checkpoint's config.json")
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder} holds a LoRA adapter; merge it into the weights first (convert --adapter), or give "
                         "it as --adapter beside them")
    return folder


class _NoRandomWeights(TorchFunctionMode):
    """Skips what `torch.nn.init` does. On tensors without memory it is for nothing, and the first time takes torch a
    second or two: it imports its compiler."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        if getattr(function, "__module__", None) == "torch.nn.init":
            return arguments[0] if arguments else named["tensor"]
        return function(*arguments, **(named or {}))


def empty_model(config: Config) -> LLaDAV:
    """The model without its weights: shapes only, no memory."""
    with torch.device("meta"), _NoRandomWeights():
        model = LLaDAV(config)
        if config.weight_bits:
            shrink_layers(model)
        return model


def load_weights(model: LLaDAV, weights: dict[str, Tensor]):
    """Make `weights`, by the names of all parameters, those of `model`, without a copy."""
    model.load_state_dict(weights, assign=True)
    tie_embeddings(model)


def tie_embeddings(model: LLaDAV):
    """Let the last layer have the embeddings' weights, if the config says so: one parameter, with both gradients."""
    if model.config.tied_embeddings:
        model.language_model.lm_head.weight = model.language_model.embed_tokens.weight


def matching_tokenizer(folder: Path, config: Config) -> Tokenizer:
    """The tokenizer in a folder. Raises `InputError` if it has ids that the model does not."""
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    if tokenizer.largest_id >= config.vocab_size:
        raise InputError(f"{folder / 'tokenizer.json'} has the id {tokenizer.largest_id}, and the config a vocab_size "
                         f"of {config.vocab_size}; they belong to different models")
    return tokenizer


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device to use; None takes CUDA, else MPS, else the CPU. Raises `InputError` if a named one is absent."""
    present = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device is None:
        device = next((name for name, is_there in present.items() if is_there()), "cpu")
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"there is no device {device!r}; use cpu, cuda or mps") from None
    if device.type in present and not present[device.type]():
        raise InputError(f"the device {device.type} was asked for, but this machine or this PyTorch has none; "
                         "use the CPU instead")
    if device.type == "cuda":  # cuDNN's convolutions round float32 to 10 bits, and add up in any order, if let
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans for 70 ms at each new shape, which every step has
    return device


def with_low_bits(
    model: LLaDAV, weights: dict[str, Tensor], folder: Path, bits: int, device: torch.device
) -> tuple[LLaDAV, dict[str, Tensor]]:
    """`model` and its `weights` from `folder`, with the layers of the language model in 8 or 4 bits.

    A mapped file keeps in memory what was read of it. So it is mapped anew for the few rows that are packed at once.
    """
    if bits not in (8, 4):
        raise InputError(f"weights can be stored in 8 or 4 bits, not in {bits!r}")
    if model.config.weight_bits:
        raise InputError(f"{folder} holds weights in {model.config.weight_bits} bits, and what they lost does not come "
                         f"back; for {bits} bits give the original weights")
    files = {package_name(name): (path, name) for name, path in tensor_files(folder).items()}

    def read(name: str, rows: slice) -> Tensor:
        path, name_there = files[name]
        with safe_open(path, "pt") as file:
            return file.get_slice(name_there)[rows]

    model = empty_model(replace(model.config, weight_bits=bits))
    packed = pack_weights(model, read, device)
    return model, {name: tensor.bfloat16() for name, tensor in weights.items() if name not in packed} | packed


def open_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint folder by its name in the file, memory-mapped on the CPU. Raises `InputError` as
    `tensor_files` does, or if a file is missing or broken."""
    files = tensor_files(folder)
    opened = {path: open_file(path) for path in sorted(set(files.values()))}
    for name, path in files.items():
        if name not in opened[path]:
            raise InputError(f"{path} lacks the tensor {name} that model.safetensors.index.json expects there")
    return {name: opened[path][name] for name, path in files.items()}


def tensor_files(folder: Path) -> dict[str, Path]:
    """In which file of a checkpoint folder each tensor is, by its name there.

    That is `model.safetensors`, or what `model.safetensors.index.json` says. Raises `InputError` if neither is there,
    the index points outside the folder, or a LoRA adapter would change the weights.
    """
    checkpoint_folder(folder)
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        return dict.fromkeys(open_file(single), single)
    if not index.exists():
        raise InputError(f"{folder} has neither model.safetensors nor model.safetensors.index.json; "
                         "weights in other formats are not read")
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(s, str) for s in weight_map.values()):
        raise InputError(f"{index} has no weight_map from tensors to files")
    for shard in set(weight_map.values()):
        if shard in ("", ".", "..") or re.search(r"[/\\:]", shard):
            raise InputError(f"{index} points outside the folder, to {quote(shard)}; shards must lie beside it")
    return {name: folder / shard for name, shard in weight_map.items()}


def open_file(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, memory-mapped on the CPU. Raises `InputError` if it is missing or broken."""
    if kind_of(path) != "file":
        raise InputError(f"{path} is missing, or not a file")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is truncated or not a safetensors file: {error}") from None


def find_weights(model: LLaDAV, tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The tensor for every parameter of `model`, by the parameter's name.

    Raises `InputError`, naming the tensors with both shapes, if some are missing, have another shape or type (any of
    `FLOATS`, but for low bits), or would change what is computed and have no place. Says in one line on
    stderr which others were left over. Where embeddings are tied, `lm_head` may be missing.
    """
    expected = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    fixed_types = low_bit_types(model)
    found, leftover, problems = {}, [], []
    for name, tensor in tensors.items():
        ours = package_name(name)
        shape = tuple(tensor.shape)
        if ours not in expected:
            if beyond_last_layer(ours, model.config):
                problems.append(f"{name} {shape} belongs to a layer that the config does not have")
            elif would_matter(name, ours, model.config):
                problems.append(f"{name} {shape} has no place in the model, and without it the answers are others")
            else:
                leftover.append(name)
        elif shape != expected[ours]:
            problems.append(f"{name} is {shape} in the file and should be {expected[ours]}")
        elif ours in fixed_types and tensor.dtype != fixed_types[ours]:
            problems.append(f"{name} is stored as {tensor.dtype}, not as {fixed_types[ours]}")
        elif ours not in fixed_types and tensor.dtype not in FLOATS:
            problems.append(f"{name} is stored as {tensor.dtype}, not as one of {', '.join(map(str, FLOATS))}")
        elif name.endswith("_scale") and not (tensor.isfinite() & (tensor != 0)).all():
            problems.append(f"{name} is damaged: a scale in it is 0, infinite or not a number")
        elif ours in found:
            problems.append(f"{name} {shape} is there twice, the other time under another model's name")
        else:
            found[ours] = tensor
    embeddings, head = (found.get(f"language_model.{name}.weight") for name in ("embed_tokens", "lm_head"))
    if model.config.tied_embeddings and embeddings is not None:
        if head is not None and not head.equal(embeddings):
            problems.append("lm_head.weight differs from model.embed_tokens.weight, and tie_word_embeddings is true; "
                            "take out one of the two")
        found["language_model.lm_head.weight"] = embeddings
    if not problems:
        problems = [f"{released_name(name)} {shape} is missing"
                    for name, shape in expected.items() if name not in found]
    if problems:
        raise InputError(f"{folder}: {shortened(problems, '; ')}")
    if leftover:
        print(f"{folder}: {len(leftover)} tensors have no place in the model and are ignored: "
              f"{shortened(leftover, ', ')}", file=sys.stderr)
    return found


def shortened(items: list[str], separator: str) -> str:
    """At most four of the `items` on one line, and how many more there are."""
    shown = separator.join(item if len(item) <= 300 else item[:299] + "…" for item in items[:4])
    return shown if len(items) <= 4 else f"{shown}{separator}and {len(items) - 4} more"
