"""`config.json` to a `Config`: every value is checked, and what would change the computation is refused by name."""

import re
from pathlib import Path

from .config import Config, VisionConfig
from .errors import InputError, quote
from .files import read_json

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
    "weight_tying": "tie_word_embeddings",
}

# Settings that would change the computation. Only these values are implemented; null means that it is not set.
SUPPORTED = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False, None),
    "rope_scaling": (None,),
    "quantization_config": (None,),
    "weight_bits": (8, 4, None),
    "attention": ("prompt-first", None),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_spatial_pool_mode": ("bilinear",),
    "mm_newline_position": ("grid", "frame", "one_token", "no_token"),
    # LLaDA-8B's own
    "activation_type": ("silu",),
    "alibi": (False, None),
    "attention_layer_norm": (False, None),
    "bias_for_layer_norm": (False, None),
    "block_type": ("llama",),
    "clip_qkv": (None,),
    "include_bias": (False,),
    "include_qkv_bias": (False, None),
    "input_emb_norm": (False, None),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "multi_query_attention": (False, None),
    "rope": (True,),
    "scale_logits": (False, None),
}

# What a SigLIP's own config leaves out, because it is the default there.
SIGLIP_DEFAULTS = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
                   "patch_size": 16, "image_size": 224}


def read_config(path: str | Path) -> Config:
    """Read and check the file `config.json`. Raises `InputError` naming the key that is missing or nonsensical.

    A config without any vision key (`mm_…`, `vision_config`) is a text-only LLaDA's, and LLaDA-8B's own key names
    are understood. Unknown keys are ignored. Five keys are our own. Four are for models that were trained in another
    way than the released one: `system`, their system text, `gen_length`, how long a canvas their answers start from,
    `autoregressive`, true for a twin that was trained to predict the next token, and `attention`, "prompt-first" where
    prompts did not see their answers. `weight_bits`, 8 or 4, says how `convert` stored the weights.
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
            choices = " or ".join(repr(value) for value in allowed if value is not None or len(allowed) == 1)
            checked.fail(f"{key} is {quote(values[key])}, and only {choices} is supported")
    language = _language_sizes(checked)
    if language["autoregressive"] and language["attention"]:
        checked.fail(f"autoregressive cannot stand beside attention {quote(language['attention'])}")
    return Config(**language) if text_only else Config(**language, **_vision_settings(checked))


def translate_keys(values: dict) -> dict:
    """A language model's config with LLaDA-8B's names replaced. What such a name says counts: beside its
    `embedding_size`, LLaDA-8B's `vocab_size` may be smaller."""
    values = {key: value for key, value in values.items() if value is not None}
    return values | {ours: values[theirs] for theirs, ours in LLADA_8B_KEYS.items() if theirs in values}


def siglip_values(values: dict) -> dict:
    """The `vision_config` for the vision tower that `values`, a config.json, describes: a SigLIP tower's own, or that
    of a whole SigLIP or LLaVA model; {} where it describes none."""
    alone = values.get("model_type") == "siglip_vision_model"
    described = values if alone else values.get("vision_config") or {}
    its_own = (alone or values.get("model_type") == "siglip") and isinstance(described, dict)
    return SIGLIP_DEFAULTS | described if its_own else described


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
            self.fail(f"{key} must be a whole number from 1 to {most}, not {quote(value)}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if type(value) not in (int, float) or not 0 < value < 1e12:
            self.fail(f"{key} must be a number above 0, not {quote(value)}")
        return float(value)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if not isinstance(value, str | None):
            self.fail(f"{key} must be a text, not {quote(value)}")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key, False)
        if type(value) is not bool:
            self.fail(f"{key} must be true or false, not {quote(value)}")
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
        "tied_embeddings": checked.flag("tie_word_embeddings"),
        "system": checked.text("system"),
        "gen_length": checked.integer("gen_length", Config.gen_length),
        "autoregressive": checked.flag("autoregressive"),
        "weight_bits": checked.values.get("weight_bits"),
        "attention": checked.values.get("attention"),
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
        checked.fail(f"image_aspect_ratio is {quote(checked.get('image_aspect_ratio'))}, "
                     "and only 'anyres_max_N' is supported")
    grids = _grids(checked.get("image_grid_pinpoints"), vision.image_size)
    if not grids:
        checked.fail("image_grid_pinpoints must be '(1x1),...,(6x6)' or a list of [width, height], multiples of the "
                     f"tile size {vision.image_size}, not {quote(checked.get('image_grid_pinpoints'))}")
    return {"vision": vision, "grids": grids, "anyres_max": int(anyres[1]),
            "newline_position": checked.values.get("mm_newline_position", "one_token")}  # as the released code


def _vision_config(described: dict | None, where: str) -> VisionConfig:
    """The vision tower as `described` by config.json, where it is, else SigLIP 2 so400m."""
    if described is None:
        return VisionConfig()
    checked = _Checked(described, f"{where}: vision_config")
    if not isinstance(described, dict):
        checked.fail(f"it must be an object, not {quote(described)}")
    if described.get("hidden_act", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
        checked.fail(f"hidden_act is {quote(described['hidden_act'])}, and only 'gelu_pytorch_tanh' is supported")
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
