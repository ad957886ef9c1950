"""What `config.json` says: the sizes of the parts and how pictures are cut up."""

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
    system: str | None = None  # the system text that the model was trained with; None is the released one
    gen_length: int = 128  # [MASK] tokens that an answer starts from where nothing else is asked for
    autoregressive: bool = False  # trained to write from left to right (see autoregressive.py)


MOST_LAYERS, MOST_TILES = 1000, 100  # more is a slip of the pen

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
    are understood. Unknown keys are ignored. Three keys are our own, for models that were trained in another way than
    the released one: `system`, their system text, `gen_length`, how long a canvas their answers start from, and
    `autoregressive`, true for a twin that was trained to predict the next token.
    """
    return check_config(read_json(Path(path)), str(path))


def check_config(values: dict, where: str) -> Config:
    """As `read_config`, from the object itself. `where` names it in errors."""
    text_only = not any(key.startswith("mm_") or key == "vision_config" for key in values)
    if text_only:
        values = translate_keys(values)
    checked = _Checked(values, where)
    for key, allowed in SUPPORTED.items():
        if key in values and values[key] not in allowed:
            choices = " or ".join(map(repr, allowed))
            checked.fail(f"{key} is {values[key]!r}, and only {choices} is supported")
    language = _language_sizes(checked)
    return Config(**language) if text_only else Config(**language, **_vision_settings(checked))


def translate_keys(values: dict) -> dict:
    """A language model's config with LLaDA-8B's names replaced. What such a name says counts: beside its
    `embedding_size`, LLaDA-8B's `vocab_size` may be smaller."""
    values = {key: value for key, value in values.items() if value is not None}
    return values | {ours: values[theirs] for theirs, ours in LLADA_8B_KEYS.items() if theirs in values}


class _Checked:
    """Takes values out of a JSON object; fails with the file and the key where one is missing or nonsensical."""

    def __init__(self, values: dict, where: str):
        self.values, self.where = values, where

    def fail(self, problem: str):
        raise InputError(f"{self.where}: {problem}")

    def get(self, key: str, default=None):
        value = self.values.get(key)
        value = default if value is None else value
        return self.fail(f"{key} is missing") if value is None else value

    def integer(self, key: str, default: int | None = None, most: int = 2**24) -> int:
        value = self.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            self.fail(f"{key} must be a whole number from 1 to {most}, not {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if type(value) not in (int, float) or not 0 < value < 1e12:
            self.fail(f"{key} must be a number above 0, not {value!r}")
        return float(value)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if not isinstance(value, str | None):
            self.fail(f"{key} must be a text, not {value!r}")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key, False)
        if type(value) is not bool:
            self.fail(f"{key} must be true or false, not {value!r}")
        return value


def _language_sizes(checked: _Checked) -> dict:
    width, heads = checked.integer("hidden_size"), checked.integer("num_attention_heads")
    key_value_heads = checked.integer("num_key_value_heads", default=heads)
    if width % heads or width // heads % 2:  # rotary embeddings turn pairs
        checked.fail(f"hidden_size {width} cannot be cut into {heads} attention heads of even width")
    if heads % key_value_heads:
        checked.fail(f"num_attention_heads {heads} must be a multiple of num_key_value_heads {key_value_heads}")
    return {
        "hidden_size": width,
        "intermediate_size": checked.integer("intermediate_size"),
        "num_hidden_layers": checked.integer("num_hidden_layers", most=MOST_LAYERS),
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": checked.integer("vocab_size"),
        "rms_norm_eps": checked.number("rms_norm_eps"),
        "rope_theta": checked.number("rope_theta"),
        "max_length": checked.integer(
            "tokenizer_model_max_length", default=checked.values.get("max_position_embeddings")
        ),
        "system": checked.text("system"),
        "gen_length": checked.integer("gen_length", Config.gen_length),
        "autoregressive": checked.flag("autoregressive"),
    }


def _vision_settings(checked: _Checked) -> dict:
    for key in ("mm_projector_type", "mm_patch_merge_type"):
        checked.get(key)
    vision = _vision_config(checked.values.get("vision_config"), checked.where)
    if checked.integer("mm_hidden_size") != vision.hidden_size:
        checked.fail(f"mm_hidden_size is {checked.values['mm_hidden_size']}, "
                     f"but the vision tower is {vision.hidden_size} wide")
    anyres = re.fullmatch(r"anyres_max_([1-9]\d{0,2})", str(checked.get("image_aspect_ratio")))
    if not anyres:
        checked.fail(f"image_aspect_ratio is {checked.get('image_aspect_ratio')!r}, "
                     "and only 'anyres_max_N' is supported")
    grids = _grids(checked.get("image_grid_pinpoints"), vision.image_size)
    if not grids:
        checked.fail("image_grid_pinpoints must be '(1x1),...,(6x6)' or a list of [width, height], multiples of the "
                     f"tile size {vision.image_size}, not {checked.get('image_grid_pinpoints')!r}")
    return {"vision": vision, "grids": grids, "anyres_max": int(anyres[1]),
            "newline_position": checked.values.get("mm_newline_position", "grid")}


def _vision_config(described: dict | None, where: str) -> VisionConfig:
    """The vision tower as `described` by config.json, where it is, else SigLIP 2 so400m."""
    if described is None:
        return VisionConfig()
    checked = _Checked(described, f"{where}: vision_config")
    if not isinstance(described, dict):
        checked.fail(f"it must be an object, not {described!r}")
    if described.get("hidden_act", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
        checked.fail(f"hidden_act is {described['hidden_act']!r}, and only 'gelu_pytorch_tanh' is supported")
    default = VisionConfig()
    vision = VisionConfig(
        hidden_size=checked.integer("hidden_size", default.hidden_size),
        intermediate_size=checked.integer("intermediate_size", default.intermediate_size),
        num_hidden_layers=checked.integer("num_hidden_layers", default.num_hidden_layers, MOST_LAYERS),
        num_attention_heads=checked.integer("num_attention_heads", default.num_attention_heads),
        patch_size=checked.integer("patch_size", default.patch_size),
        image_size=checked.integer("image_size", default.image_size, most=2**14),
        layer_norm_eps=checked.number("layer_norm_eps", default.layer_norm_eps),
    )
    if vision.hidden_size % vision.num_attention_heads:
        checked.fail(f"hidden_size {vision.hidden_size} cannot be cut into {vision.num_attention_heads} "
                     "attention heads")
    if vision.num_hidden_layers < 2:
        checked.fail("num_hidden_layers must be at least 2: the last layer is dropped")
    if vision.patch_size > vision.image_size:
        checked.fail(f"patch_size {vision.patch_size} is larger than image_size {vision.image_size}")
    return vision


def _grids(pinpoints, tile: int) -> tuple[tuple[int, int], ...]:
    """The candidate grids, or () where `pinpoints` makes no sense."""
    if isinstance(pinpoints, str):
        ends = re.fullmatch(r"\((\d+)x(\d+)\),\.\.\.,\((\d+)x(\d+)\)", pinpoints.replace(" ", "")[:100])
        if not ends:
            return ()
        a0, b0, a1, b1 = map(int, ends.groups())
        if max(a1, b1) > MOST_TILES:
            return ()
        grids = [(a, b) for a in range(a0, a1 + 1) for b in range(b0, b1 + 1)]
    elif isinstance(pinpoints, list):
        sizes = [size for size in pinpoints if isinstance(size, list) and len(size) == 2
                 and all(type(side) is int and side % tile == 0 for side in size)]
        grids = [(width // tile, height // tile) for width, height in sizes] if len(sizes) == len(pinpoints) else []
    else:
        return ()
    return tuple(grids) if all(0 < a <= MOST_TILES and 0 < b <= MOST_TILES for a, b in grids) else ()
