"""What `config.json` says: the sizes of the parts and how pictures are cut up."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError, read_json


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the vision tower. The defaults are SigLIP 2 so400m, which the released config never describes."""

    hidden_size: int = 1152
    intermediate_size: int = 4304
    num_hidden_layers: int = 27  # as SigLIP was released; LLaDA-V drops the last one
    num_attention_heads: int = 16
    patch_size: int = 14
    image_size: int = 384
    layer_norm_eps: float = 1e-6

    @property
    def kept_layers(self) -> int:
        return self.num_hidden_layers - 1

    @property
    def patches_per_side(self) -> int:
        return self.image_size // self.patch_size  # 27: the convolution leaves the last 6 of 384 pixels out


@dataclass(frozen=True)
class Config:
    """Everything the package needs of `config.json`. `vision` is None for a text-only LLaDA checkpoint."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    max_length: int  # longest sequence, prompt and answer together
    vision: VisionConfig | None = None
    grids: tuple[tuple[int, int], ...] = ()  # (columns, rows) of tiles that a picture may be cut into
    anyres_max: int = 4  # a merged map is shrunk to about this many tiles' worth of features
    newline_position: str = "grid"  # where a video's features get their newline embeddings


# LLaDA-8B, the text-only base model, says the same under other names.
LLADA_8B_KEYS = {
    "d_model": "hidden_size",
    "mlp_hidden_size": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "embedding_size": "vocab_size",
    "max_sequence_length": "max_position_embeddings",
}

# Settings of the released config that would change the computation. Only these values are implemented.
SUPPORTED = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "rope_scaling": (None,),
    "tie_word_embeddings": (False,),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_spatial_pool_mode": ("bilinear",),
    "mm_newline_position": ("grid", "frame", "one_token", "no_token"),
}


def read_config(path: str | Path) -> Config:
    """Read and check the file `config.json`. Raises `InputError` naming the key that is missing or nonsensical.

    A config without any vision key (`mm_…`, `vision_config`) is a text-only LLaDA's, and LLaDA-8B's own key names
    are understood. Unknown keys are ignored.
    """
    path = Path(path)
    values = read_json(path)
    text_only = not any(key.startswith("mm_") or key == "vision_config" for key in values)
    if text_only:
        values = {LLADA_8B_KEYS.get(key, key): value for key, value in values.items() if value is not None}

    def fail(problem: str):
        raise InputError(f"{path}: {problem}")

    def get(key: str, source: dict = values, default=None):
        value = source.get(key, default)
        if value is None:
            fail(f"{key} is missing")
        return value

    def integer(key: str, source: dict = values, default: int | None = None) -> int:
        value = get(key, source, default)
        if type(value) is not int or value < 1:
            fail(f"{key} must be a whole number above 0, not {value!r}")
        return value

    def number(key: str, source: dict = values, default: float | None = None) -> float:
        value = get(key, source, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            fail(f"{key} must be a number above 0, not {value!r}")
        return float(value)

    def heads(width: int, count: int, name: str, even: bool):
        if width % count or (even and width // count % 2):
            fail(f"{name} {width} cannot be cut into {count} attention heads" + (" of even width" if even else ""))

    for key, allowed in SUPPORTED.items():
        if key in values and values[key] not in allowed:
            choices = " or ".join(repr(choice) for choice in allowed)
            fail(f"{key} is {values[key]!r}, and only {choices} is supported")

    language = {
        "hidden_size": integer("hidden_size"),
        "intermediate_size": integer("intermediate_size"),
        "num_hidden_layers": integer("num_hidden_layers"),
        "num_attention_heads": integer("num_attention_heads"),
        "num_key_value_heads": integer("num_key_value_heads", default=values.get("num_attention_heads")),
        "vocab_size": integer("vocab_size"),
        "rms_norm_eps": number("rms_norm_eps"),
        "rope_theta": number("rope_theta"),
        "max_length": integer("tokenizer_model_max_length", default=values.get("max_position_embeddings")),
    }
    heads(language["hidden_size"], language["num_attention_heads"], "hidden_size", even=True)  # rotary halves
    if language["num_attention_heads"] % language["num_key_value_heads"]:
        fail("num_attention_heads must be a multiple of num_key_value_heads")
    if text_only:
        return Config(**language)

    for key in ("mm_projector_type", "mm_patch_merge_type"):
        get(key)
    described = values.get("vision_config") or {}
    if not isinstance(described, dict):
        fail("vision_config must be an object")
    if described.get("hidden_act", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
        fail(f"vision_config.hidden_act is {described['hidden_act']!r}, and only 'gelu_pytorch_tanh' is supported")
    sizes = VisionConfig.__dataclass_fields__
    vision = VisionConfig(**{
        key: (number if key == "layer_norm_eps" else integer)(key, described, sizes[key].default) for key in sizes
    })
    heads(vision.hidden_size, vision.num_attention_heads, "vision_config.hidden_size", even=False)
    if vision.num_hidden_layers < 2:
        fail("vision_config.num_hidden_layers must be at least 2: the last layer is dropped")
    if vision.patch_size > vision.image_size:
        fail("vision_config.patch_size must not be larger than image_size")
    if integer("mm_hidden_size") != vision.hidden_size:
        fail(f"mm_hidden_size is {values['mm_hidden_size']}, but the vision tower is {vision.hidden_size} wide")

    aspect = re.fullmatch(r"anyres_max_([1-9]\d*)", str(get("image_aspect_ratio")))
    if not aspect:
        fail(f"image_aspect_ratio is {values['image_aspect_ratio']!r}, and only 'anyres_max_N' is supported")
    grids = _grids(get("image_grid_pinpoints"), vision.image_size)
    if not grids:
        fail("image_grid_pinpoints must be '(1x1),...,(6x6)' or a list of [width, height], "
             f"multiples of the tile size {vision.image_size}, not {values['image_grid_pinpoints']!r}")
    return Config(**language, vision=vision, grids=grids, anyres_max=int(aspect[1]),
                  newline_position=values.get("mm_newline_position", "grid"))


def _grids(pinpoints, tile: int) -> tuple[tuple[int, int], ...]:
    """The candidate grids, or () where `pinpoints` makes no sense."""
    if isinstance(pinpoints, str):
        ends = re.fullmatch(r"\((\d+)x(\d+)\),\.\.\.,\((\d+)x(\d+)\)", pinpoints.replace(" ", ""))
        if not ends:
            return ()
        a0, b0, a1, b1 = map(int, ends.groups())
        grids = [(a, b) for a in range(a0, a1 + 1) for b in range(b0, b1 + 1)]
    elif isinstance(pinpoints, list):
        sizes = [size for size in pinpoints if isinstance(size, list) and len(size) == 2
                 and all(type(side) is int and side % tile == 0 for side in size)]
        grids = [(width // tile, height // tile) for width, height in sizes] if len(sizes) == len(pinpoints) else []
    else:
        return ()
    return tuple(grids) if all(a > 0 and b > 0 for a, b in grids) else ()
