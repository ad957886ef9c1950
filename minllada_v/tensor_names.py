"""What a parameter of this package is called in the checkpoints of others."""

import re

from .config import Config

# (tensor name in the file, name in this package); {i} is the number of a layer. The first ten rows are released
# LLaDA-V, the next the text-only LLaDA-8B, then SigLIP 2 as `transformers` 4 saves it, and its tower as 5 does.
NAMES = [
    ("model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.", "vision_tower.patch_embedding."),
    ("model.vision_tower.vision_tower.vision_model.embeddings.position_embedding.", "vision_tower.position_embedding."),
    ("model.vision_tower.vision_tower.vision_model.encoder.layers.", "vision_tower.layers."),
    ("model.vision_tower.vision_tower.vision_model.post_layernorm.", "vision_tower.post_layernorm."),
    ("model.mm_projector.", "mm_projector."),
    ("model.image_newline", "image_newline"),
    ("model.embed_tokens.", "language_model.embed_tokens."),
    ("model.layers.", "language_model.layers."),
    ("model.norm.", "language_model.norm."),
    ("lm_head.", "language_model.lm_head."),
    ("model.transformer.wte.", "language_model.embed_tokens."),
    ("model.transformer.blocks.{i}.attn_norm.", "language_model.layers.{i}.input_layernorm."),
    ("model.transformer.blocks.{i}.q_proj.", "language_model.layers.{i}.self_attn.q_proj."),
    ("model.transformer.blocks.{i}.k_proj.", "language_model.layers.{i}.self_attn.k_proj."),
    ("model.transformer.blocks.{i}.v_proj.", "language_model.layers.{i}.self_attn.v_proj."),
    ("model.transformer.blocks.{i}.attn_out.", "language_model.layers.{i}.self_attn.o_proj."),
    ("model.transformer.blocks.{i}.ff_norm.", "language_model.layers.{i}.post_attention_layernorm."),
    ("model.transformer.blocks.{i}.ff_proj.", "language_model.layers.{i}.mlp.gate_proj."),
    ("model.transformer.blocks.{i}.up_proj.", "language_model.layers.{i}.mlp.up_proj."),
    ("model.transformer.blocks.{i}.ff_out.", "language_model.layers.{i}.mlp.down_proj."),
    ("model.transformer.ln_f.", "language_model.norm."),
    ("model.transformer.ff_out.", "language_model.lm_head."),
    ("vision_model.embeddings.patch_embedding.", "vision_tower.patch_embedding."),
    ("vision_model.embeddings.position_embedding.", "vision_tower.position_embedding."),
    ("vision_model.encoder.layers.", "vision_tower.layers."),
    ("vision_model.post_layernorm.", "vision_tower.post_layernorm."),
    ("embeddings.patch_embedding.", "vision_tower.patch_embedding."),
    ("embeddings.position_embedding.", "vision_tower.position_embedding."),
    ("encoder.layers.", "vision_tower.layers."),
    ("post_layernorm.", "vision_tower.post_layernorm."),
]


def package_name(name: str) -> str | None:
    """The name in this package of a checkpoint's tensor, or None."""
    for theirs, ours in NAMES:
        if match := re.match(re.escape(theirs).replace(r"\{i\}", r"(\d{1,9})"), name):
            return (ours.replace("{i}", match[1]) if "{i}" in ours else ours) + name[match.end():]
    return None


def released_name(name: str) -> str:
    """The tensor name in a released LLaDA-V checkpoint of a parameter of this package."""
    theirs, ours = next(row for row in NAMES if name.startswith(row[1]))
    return theirs + name.removeprefix(ours)


def beyond_last_layer(name: str | None, config: Config) -> bool:
    """Whether a tensor belongs to a layer that the config does not count. SigLIP's last layer is counted, and
    dropped: left over, but no mistake."""
    layer = re.match(r"(language_model|vision_tower)\.layers\.(\d{1,9})\.", name or "")
    if not layer or (layer[1] == "vision_tower" and config.vision is None):
        return False
    counted = config.num_hidden_layers if layer[1] == "language_model" else config.vision.num_hidden_layers
    return int(layer[2]) >= counted


def would_matter(name: str, ours: str | None, config: Config) -> bool:
    """Whether the model that has a tensor without a place computes something else: a LoRA, a bias, the scale of
    quantized weights. Not so of what is computed anew, of SigLIP's dropped layer, and of what a text-only model of ours
    leaves out."""
    if "lora_" in name:
        return True
    if ours is None or ".rotary_emb." in name or (config.vision is None and not ours.startswith("language_model.")):
        return False
    layer = re.match(r"vision_tower\.layers\.(\d{1,9})\.", ours)
    return not layer or int(layer[1]) < config.vision.kept_layers
