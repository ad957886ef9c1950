"""A checkpoint folder to a model: every released tensor has its place, and every mistake its line."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_data import CASES, CHECKPOINT, golden_model
from safetensors.torch import load_file, save_file

from minllada_v import InputError, LLaDAV, SamplerConfig, answer, load_pretrained
from minllada_v.checkpoint import empty_model, load_weights, open_tensors
from minllada_v.config import Config, VisionConfig
from minllada_v.config_json import LLADA_8B_KEYS, check_config, read_config, siglip_values
from minllada_v.tensor_names import NAMES, package_name, released_name
from minllada_v.training.checkpoints import save_checkpoint
from minllada_v.training.start import from_checkpoint, from_nothing, from_parts, read_files

GOLDEN_CONFIG = json.loads((CHECKPOINT / "config.json").read_text())
RELEASED_CONFIG = {  # section 2 of the description; it says nothing of the vision tower
    "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 16384,
    "vocab_size": 126464, "image_aspect_ratio": "anyres_max_4", "image_grid_pinpoints": "(1x1),...,(6x6)",
    "mm_patch_merge_type": "spatial_unpad", "mm_projector_type": "mlp2x_gelu", "mm_hidden_size": 1152,
    "mm_spatial_pool_mode": "bilinear", "mm_newline_position": "grid", "tokenizer_model_max_length": 8192,
    "mm_vision_select_layer": -2, "some_key_of_the_future": [1, 2],
}


def released_tensors() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the released 8B checkpoint, spelled out from section 2."""
    tensors = {"model.embed_tokens.weight": (126464, 4096), "lm_head.weight": (126464, 4096),
               "model.norm.weight": (4096,), "model.image_newline": (4096,),
               "model.mm_projector.0.weight": (4096, 1152), "model.mm_projector.0.bias": (4096,),
               "model.mm_projector.2.weight": (4096, 4096), "model.mm_projector.2.bias": (4096,)}
    for i in range(32):
        layer = f"model.layers.{i}"
        tensors |= {f"{layer}.self_attn.{name}_proj.weight": (4096, 4096) for name in "qkvo"}
        tensors |= {f"{layer}.mlp.{name}_proj.weight": (12288, 4096) for name in ("gate", "up")}
        tensors |= {f"{layer}.mlp.down_proj.weight": (4096, 12288), f"{layer}.input_layernorm.weight": (4096,),
                    f"{layer}.post_attention_layernorm.weight": (4096,)}
    tower = "model.vision_tower.vision_tower.vision_model"
    tensors |= {f"{tower}.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
                f"{tower}.embeddings.patch_embedding.bias": (1152,),
                f"{tower}.embeddings.position_embedding.weight": (729, 1152),
                f"{tower}.post_layernorm.weight": (1152,), f"{tower}.post_layernorm.bias": (1152,)}
    for i in range(26):
        layer = f"{tower}.encoder.layers.{i}"
        for name, shape in [("layer_norm1", (1152,)), ("layer_norm2", (1152,)), ("mlp.fc1", (4304, 1152)),
                            ("mlp.fc2", (1152, 4304)), *((f"self_attn.{part}", (1152, 1152)) for part in
                                                         ("q_proj", "k_proj", "v_proj", "out_proj"))]:
            tensors |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    return tensors


def test_the_full_size_model_has_exactly_the_released_tensors(tmp_path):
    """Built on the meta device, without memory, from the released config: same names, same shapes, none missing."""
    (tmp_path / "config.json").write_text(json.dumps(RELEASED_CONFIG))
    with torch.device("meta"):
        model = LLaDAV(read_config(tmp_path / "config.json"))
    ours = {released_name(name): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert ours == released_tensors()
    assert all(package_name(released_name(name)) == name for name in model.state_dict())


def test_the_released_config_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(RELEASED_CONFIG))
    config = read_config(tmp_path / "config.json")
    assert config.vision == VisionConfig(1152, 4304, 27, 16, 14, 384, 1e-6)
    assert config.grids == tuple((a, b) for a in range(1, 7) for b in range(1, 7))
    assert (config.anyres_max, config.newline_position, config.max_length) == (4, "grid", 8192)


def test_every_setting_of_the_config_arrives(tmp_path):
    """Values other than the released ones are not overlooked."""
    other = RELEASED_CONFIG | {"mm_newline_position": "frame", "image_aspect_ratio": "anyres_max_9",
                               "vision_config": {"layer_norm_eps": 0.5}, "num_key_value_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(other))
    config = read_config(tmp_path / "config.json")
    assert (config.newline_position, config.anyres_max, config.num_key_value_heads) == ("frame", 9, 8)
    assert config.vision.layer_norm_eps == 0.5
    with torch.device("meta"):
        layer = LLaDAV(replace(config, num_hidden_layers=1)).vision_tower.layers[0]
    assert layer.layer_norm1.eps == layer.layer_norm2.eps == 0.5


@pytest.mark.parametrize("arguments", [{"device": "gpu"}, {"device": 1.5}, {"dtype": "float32"}, {"dtype": torch.int8}])
def test_devices_and_types_that_do_not_exist_are_named(arguments):
    with pytest.raises(InputError, match="there is no device|the type of weights must be"):
        load_pretrained(CHECKPOINT, **arguments)


def test_grids_can_be_listed(tmp_path):
    listed = {"image_grid_pinpoints": [[384, 768], [768, 384]]}
    (tmp_path / "config.json").write_text(json.dumps(RELEASED_CONFIG | listed))
    assert read_config(tmp_path / "config.json").grids == ((1, 2), (2, 1))


def golden_copy(folder: Path) -> Path:
    shutil.copytree(CHECKPOINT, folder, dirs_exist_ok=True)
    return folder


def golden_tensors() -> dict[str, torch.Tensor]:
    return load_file(CHECKPOINT / "model-00001-of-00002.safetensors") | load_file(
        CHECKPOINT / "model-00002-of-00002.safetensors")


def single_file(folder: Path, tensors: dict[str, torch.Tensor], **config) -> Path:
    """The golden checkpoint with other tensors in one file, and other values in its config."""
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CHECKPOINT / name, folder)
    (folder / "config.json").write_text(json.dumps(GOLDEN_CONFIG | config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_one_file_equals_shards_and_what_we_write_we_read(tmp_path):
    model, _ = golden_model("cpu")
    single_file(tmp_path, golden_tensors())
    for _ in range(2):
        again, _ = load_pretrained(tmp_path, device="cpu")
        assert all(tensor.equal(again.state_dict()[name]) for name, tensor in model.state_dict().items())
        save_checkpoint(tmp_path, again, read_files(tmp_path))
        assert {name: tensor.shape for name, tensor in open_tensors(tmp_path).items()} == {
            name: tensor.shape for name, tensor in golden_tensors().items()}


def test_the_text_only_8b_names_load_and_give_the_golden_answer(tmp_path):
    """The language model's tensors under LLaDA-8B's names, with its config keys, answer the text-only golden case."""
    in_8b = {}
    for name, tensor in golden_tensors().items():
        ours = package_name(name)
        rows = [(theirs, here) for theirs, here in NAMES if theirs.startswith("model.transformer.")]
        for theirs, here in rows:
            if match := re.match(re.escape(here).replace(r"\{i\}", r"(\d+)"), ours):
                in_8b[theirs.replace("{i}", match[1] if "{i}" in here else "") + ours[match.end():]] = tensor
    assert len(in_8b) == 3 + 2 * 9
    single_file(tmp_path, in_8b)
    back = {new: old for old, new in LLADA_8B_KEYS.items()}
    language = {back.get(key, key): value for key, value in GOLDEN_CONFIG.items()
                if not key.startswith("mm_") and key not in ("vision_config", "tokenizer_model_max_length")}
    (tmp_path / "config.json").write_text(json.dumps(language))
    model, tokenizer = load_pretrained(tmp_path, device="cpu")
    case = CASES["generate_text_only"]
    sampler = SamplerConfig(case["gen_length"], steps=case["steps"], block_length=case["block_length"])
    expected = tokenizer.decode(case["output"], skip_special_tokens=True).strip()
    assert answer(model, tokenizer, "What is 1+1?", sampler=sampler) == expected
    with pytest.raises(InputError, match="text-only"):
        answer(model, tokenizer, "What is it?", [Path(__file__)])


def test_weights_keep_their_stored_type_on_a_cpu(tmp_path):
    """bfloat16 weights stay bfloat16 and give, in float32 arithmetic, what float32 copies of them give."""
    single_file(tmp_path, {name: tensor.bfloat16() for name, tensor in golden_tensors().items()})
    stored, tokenizer = load_pretrained(tmp_path, device="cpu")
    converted, _ = load_pretrained(tmp_path, device="cpu", dtype=torch.float32)
    assert {tensor.dtype for tensor in stored.state_dict().values()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in converted.state_dict().values()} == {torch.float32}
    ids, positions, none = torch.arange(20), torch.arange(5, 9), torch.empty(0, 32)
    assert stored.compute_dtype == torch.float32
    torch.testing.assert_close(stored(ids, none, positions), converted(ids, none, positions))
    pixel_values = torch.randn(1, 3, 56, 56)
    torch.testing.assert_close(stored.project(pixel_values), converted.project(pixel_values))
    native, _ = load_pretrained(tmp_path, device="cpu", dtype=torch.bfloat16)
    assert native(ids, none, positions).dtype == torch.bfloat16


def test_a_loaded_model_is_ready_to_answer():
    """It asks for no gradients, which would keep every activation in memory."""
    model, _ = load_pretrained(CHECKPOINT, "cpu")
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())


def test_tensors_without_a_place_get_one_line(tmp_path, capsys):
    """A pooling head, SigLIP's dropped last layer and rotary buffers are said to be ignored, in one line."""
    tower = "model.vision_tower.vision_tower.vision_model"
    extra = {f"{tower}.head.probe": torch.zeros(1), f"{tower}.encoder.layers.3.mlp.fc1.bias": torch.zeros(1),
             "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}
    load_pretrained(single_file(tmp_path, golden_tensors() | extra), device="cpu")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "3 tensors have no place" in lines[0] and "head.probe" in lines[0]


def rename(old: str, new: str):
    tensors = golden_tensors()
    return {new if name == old else name: tensor for name, tensor in tensors.items()}


Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    "tensors, says",
    [
        (lambda: rename(Q_PROJ, "x"), rf"{Q_PROJ} \(32, 32\) is missing"),
        (lambda: golden_tensors() | {Q_PROJ: torch.zeros(32, 31)}, rf"{Q_PROJ} is \(32, 31\).* should be \(32, 32\)"),
        (lambda: golden_tensors() | {"model.layers.2.mlp.up_proj.weight": torch.zeros(64, 32)},
         r"model.layers.2.mlp.up_proj.weight \(64, 32\) belongs to a layer that the config does not have"),
        (lambda: golden_tensors() | {Q_PROJ: torch.zeros(32, 32, dtype=torch.int8)}, "stored as torch.int8"),
        (lambda: {"model.norm.weight": torch.zeros(32)}, f"is missing.* and {len(golden_tensors()) - 1 - 4} more$"),
        (lambda: golden_tensors() | {"model.transformer.ff_out.weight": torch.zeros(640, 32)}, "is there twice"),
    ],
    ids=["missing", "shape", "layers", "type", "most missing", "twice"],
)
def test_tensors_that_do_not_fit_are_named_with_their_shapes(tensors, says, tmp_path):
    with pytest.raises(InputError, match=says):
        load_pretrained(single_file(tmp_path, tensors()), device="cpu")


def test_a_config_of_another_size_names_both_shapes(tmp_path):
    single_file(tmp_path, golden_tensors(), vocab_size=641)
    with pytest.raises(InputError, match=r"\(640, 32\) in the file and should be \(641, 32\)"):
        load_pretrained(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(), "00002-of-00002.* is missing"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not valid JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "must hold a JSON object"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
        (lambda folder: (folder / "model.safetensors.index.json").unlink(), "neither model.safetensors nor"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "truncated or not a safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x02pickle" * 99), "not a safetensors"),
        (lambda folder: truncate(folder / "model-00001-of-00002.safetensors"), "00001-of-00002.*truncated"),
        (lambda folder: point_index(folder, "../other.safetensors"), "points outside the folder"),
        (lambda folder: point_index(folder, "/etc/passwd"), "points outside the folder"),
        (lambda folder: point_index(folder, ".."), "points outside the folder"),
        (lambda folder: point_index(folder, "model-00002-of-00002.safetensors"), "lacks the tensor lm_head.weight"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "no weight_map"),
    ],
)
def test_broken_folders_are_named(change, says, tmp_path):
    change(golden_copy(tmp_path))
    with pytest.raises(InputError, match=says):
        load_pretrained(tmp_path, device="cpu")


def truncate(file: Path):
    file.write_bytes(file.read_bytes()[:-100])


def point_index(folder: Path, shard: str):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["lm_head.weight"] = shard
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("hidden_size", None, "hidden_size is missing"),
        ("hidden_size", -4, "hidden_size must be a whole number from 1"),
        ("hidden_size", True, "hidden_size must be a whole number from 1"),
        ("hidden_size", 2**40, "hidden_size must be a whole number from 1"),
        ("num_hidden_layers", 10**6, "num_hidden_layers must be a whole number from 1 to 1000"),
        ("rope_theta", 10**400, "rope_theta must be a number above 0"),
        ("image_grid_pinpoints", "(1x1),...,(9999x9999)", "image_grid_pinpoints must be"),
        ("image_grid_pinpoints", [[56_000_000, 56]], "image_grid_pinpoints must be"),
        ("attention_bias", True, "attention_bias is True"),
        ("mm_spatial_pool_mode", "max", "mm_spatial_pool_mode is 'max'"),
        ("hidden_size", 30, "hidden_size 30 cannot be cut into 4 attention heads"),
        ("hidden_size", 36, "cannot be cut into 4 attention heads of even width"),
        ("num_key_value_heads", 3, "must be a multiple of num_key_value_heads"),
        ("rms_norm_eps", 0, "rms_norm_eps must be a number above 0"),
        ("rms_norm_eps", float("nan"), "rms_norm_eps must be a number above 0"),
        ("rope_theta", "big", "rope_theta must be a number above 0"),
        ("vocab_size", 6.5, "vocab_size must be a whole number"),
        ("rope_scaling", {"type": "linear"}, "rope_scaling is .* only None is supported"),
        ("hidden_act", "gelu", "hidden_act is 'gelu'"),
        ("tie_word_embeddings", "yes", "tie_word_embeddings must be true or false"),
        ("mm_projector_type", "linear", "mm_projector_type is 'linear'"),
        ("mm_projector_type", None, "mm_projector_type"),
        ("mm_newline_position", "nowhere", "mm_newline_position is 'nowhere'"),
        ("image_aspect_ratio", "pad", "only 'anyres_max_N' is supported"),
        ("image_grid_pinpoints", "6x6", "image_grid_pinpoints must be"),
        ("image_grid_pinpoints", [[100, 56]], "multiples of the tile size 56"),
        ("image_grid_pinpoints", [], "image_grid_pinpoints must be"),
        ("mm_hidden_size", 25, "mm_hidden_size is 25, but the vision tower is 24 wide"),
        ("vision_config", 5, "vision_config: it must be an object"),
        ("vision_config", {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1}, "must be at least 2"),
        ("vision_config", {"hidden_size": 25, "num_attention_heads": 2}, "hidden_size 25 cannot be cut into 2"),
        ("vision_config", {"patch_size": 400}, "patch_size 400 is larger than image_size 384"),
        ("vision_config", {"hidden_act": "relu"}, "vision_config: hidden_act is 'relu'"),
    ],
)
def test_nonsensical_config_values_are_named(key, value, says, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(GOLDEN_CONFIG | {key: value}))
    with pytest.raises(InputError, match=f"config.json: .*{says}"):
        read_config(tmp_path / "config.json")


def headless() -> dict[str, torch.Tensor]:
    """The golden tensors but for the last layer's, which tied embeddings do not need."""
    return {name: tensor for name, tensor in golden_tensors().items() if name != "lm_head.weight"}


def test_tied_embeddings_are_one_parameter_and_answer_as_two_equal_ones(tmp_path):
    """Without lm_head in the file, and with an equal one; and what we write of it is read again."""
    head = golden_tensors()["model.embed_tokens.weight"]
    untied, tokenizer = load_pretrained(single_file(tmp_path / "untied", headless() | {"lm_head.weight": head}), "cpu")
    expected = answer(untied, tokenizer, "What is 1+1?", sampler=SamplerConfig(8))
    for number, tensors in enumerate([headless(), headless() | {"lm_head.weight": head.clone()}]):
        folder = single_file(tmp_path / str(number), tensors, tie_word_embeddings=True)
        for _ in range(2):
            model, _ = load_pretrained(folder, "cpu")
            assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
            assert answer(model, tokenizer, "What is 1+1?", sampler=SamplerConfig(8)) == expected
            save_checkpoint(folder, model, read_files(folder))
        assert "lm_head.weight" not in open_tensors(folder)


@pytest.mark.parametrize("start", [from_checkpoint, lambda folder: from_nothing(folder / "config.json", 0),
                                   lambda folder: from_parts(folder, folder, 0)])
def test_tied_embeddings_stay_tied_in_training(start, tmp_path):
    model = start(single_file(tmp_path / "tied", headless(), tie_word_embeddings=True)).model
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
    assert "language_model.lm_head.weight" not in dict(model.named_parameters())


def test_a_last_layer_that_contradicts_tied_embeddings_is_refused(tmp_path):
    with pytest.raises(InputError, match="lm_head.weight differs from model.embed_tokens.weight"):
        load_pretrained(single_file(tmp_path, golden_tensors(), tie_word_embeddings=True), "cpu")
    with pytest.raises(InputError, match=r"lm_head.weight \(640, 32\) is missing"):
        load_pretrained(single_file(tmp_path, headless()), "cpu")


LORA = "model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize("name, dtype", [
    (LORA, torch.bfloat16), (LORA, torch.int8), (f"base_model.model.{LORA}", torch.float32),
    ("model.layers.0.self_attn.q_proj.bias", torch.float32), ("model.layers.1.mlp.up_proj.SCB", torch.float32),
    ("model.layers.0.self_attn.q_norm.weight", torch.float32), ("lm_head.bias", torch.float32),
    ("model.mm_projector.4.weight", torch.float32),
    ("model.vision_tower.vision_tower.vision_model.encoder.layers.1.mlp.fc3.bias", torch.float32),
])
def test_tensors_that_would_change_the_result_are_refused(name, dtype, tmp_path):
    """A bias, a LoRA or a scale beside whole weights: without it the model answers something else."""
    with pytest.raises(InputError, match=rf"{name} \(4,\) has no place"):
        load_pretrained(single_file(tmp_path, golden_tensors() | {name: torch.zeros(4, dtype=dtype)}), "cpu")


def test_a_folder_with_a_lora_adapter_is_refused(tmp_path):
    single_file(tmp_path, golden_tensors())
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="LoRA adapter; merge it"):
        load_pretrained(tmp_path, "cpu")


def test_a_text_only_model_leaves_the_pictures_parts_out(tmp_path, capsys):
    folder = single_file(tmp_path, golden_tensors())
    (folder / "config.json").write_text(json.dumps({
        key: value for key, value in GOLDEN_CONFIG.items() if not key.startswith("mm_") and key != "vision_config"}))
    assert load_pretrained(folder, "cpu")[0].config.vision is None
    assert "tensors have no place" in capsys.readouterr().err


TOWER = "model.vision_tower.vision_tower."


@pytest.mark.parametrize("prefix, alone", [("vision_model.", False), ("vision_model.", True), ("", True)],
                         ids=["SigLIP whole", "tower by transformers 4", "tower by transformers 5"])
def test_a_vision_tower_is_read_however_it_was_saved(prefix, alone, tmp_path):
    """Whole or alone, with and without the prefix: the same weights in the same places."""
    tower = GOLDEN_CONFIG["vision_config"]
    whole_config = {"model_type": "siglip", "vision_config": tower}
    config = {"model_type": "siglip_vision_model"} | tower if alone else whole_config
    tensors = {prefix + name.removeprefix(TOWER + "vision_model."): tensor
               for name, tensor in golden_tensors().items() if name.startswith(TOWER)}
    tensors[f"{prefix}head.probe"] = torch.zeros(1, 1, 24)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(tensors, tmp_path / "model.safetensors")
    model, whole = from_parts(CHECKPOINT, tmp_path, 0).model, golden_model("cpu")[0]
    assert model.config.vision == whole.config.vision
    weights = whole.vision_tower.state_dict()
    assert weights and all(tensor.equal(weights[name]) for name, tensor in model.vision_tower.state_dict().items())


def test_what_a_siglip_config_leaves_out_is_siglips_default():
    """Its `to_diff_dict` writes only what differs; ours is so400m, whose tower LLaDA-V has."""
    base = siglip_values({"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}})
    assert (base["hidden_size"], base["num_attention_heads"], base["patch_size"], base["image_size"]) == (
        768, 12, 16, 224)
    assert siglip_values({"model_type": "llava_llada"}) == {}
    assert siglip_values({"model_type": "siglip", "vision_config": 5}) == 5  # refused with the config


LLADA_8B_CONFIG = {  # as published, without what is about files and the optimizer
    "activation_type": "silu", "alibi": False, "alibi_bias_max": 8.0, "attention_dropout": 0.0,
    "attention_layer_norm": False, "attention_layer_norm_with_affine": True, "bias_for_layer_norm": False,
    "block_group_size": 1, "block_type": "llama", "d_model": 4096, "embedding_dropout": 0.0,
    "embedding_size": 126464, "flash_attention": False, "include_bias": False, "include_qkv_bias": False,
    "init_fn": "mitchell", "init_std": 0.02, "input_emb_norm": False, "layer_norm_type": "rms",
    "layer_norm_with_affine": True, "max_sequence_length": 4096, "mlp_hidden_size": 12288, "mlp_ratio": 4,
    "model_type": "llada", "multi_query_attention": None, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32,
    "residual_dropout": 0.0, "rms_norm_eps": 1e-05, "rope": True, "rope_full_precision": True, "rope_theta": 500000.0,
    "scale_logits": False, "vocab_size": 126464, "weight_tying": False,
}


def test_the_published_config_of_llada_8b_is_read():
    config = check_config(LLADA_8B_CONFIG, "config.json")
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size, config.max_length) == (
        4096, 32, 126464, 4096)
    assert config.vision is None and not config.tied_embeddings
    assert check_config(LLADA_8B_CONFIG | {"weight_tying": True}, "config.json").tied_embeddings


@pytest.mark.parametrize("key, value", [
    ("activation_type", "gelu"), ("activation_type", "swiglu"), ("alibi", True), ("attention_layer_norm", True),
    ("bias_for_layer_norm", True), ("block_type", "sequential"), ("clip_qkv", 8.0), ("include_bias", True),
    ("include_qkv_bias", True), ("input_emb_norm", True), ("layer_norm_type", "default"),
    ("layer_norm_with_affine", False), ("multi_query_attention", True), ("rope", False), ("scale_logits", True),
    ("mlp_bias", True), ("quantization_config", {"load_in_8bit": True}),
])
def test_switches_that_are_not_implemented_are_refused(key, value):
    """LLaDA-8B's own names as well as LLaMA's, in a text-only config and in LLaDA-V's."""
    for config in (LLADA_8B_CONFIG, GOLDEN_CONFIG):
        with pytest.raises(InputError, match=f"c.json: {key} is .*, and only .* is supported"):
            check_config(config | {key: value}, "c.json")


def test_a_config_that_does_not_say_where_newlines_stand_means_one(tmp_path):
    """As in the released code, whose own config says "grid"."""
    without = {key: value for key, value in GOLDEN_CONFIG.items() if key != "mm_newline_position"}
    assert check_config(without, "config.json").newline_position == "one_token"
    assert check_config(GOLDEN_CONFIG, "config.json").newline_position == GOLDEN_CONFIG["mm_newline_position"]


def test_what_is_saved_is_readable_as_other_files_are(tmp_path):
    """Whatever the umask is; safetensors alone would let only the owner read it."""
    before = os.umask(0o027)
    try:
        save_checkpoint(tmp_path / "new", golden_model("cpu")[0], read_files(CHECKPOINT))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert modes["model.safetensors"] == modes["config.json"] == 0o640


def test_error_lines_quote_no_more_than_200_characters():
    for key in ("image_grid_pinpoints", "hidden_size", "hidden_act", "system"):
        with pytest.raises(InputError) as caught:
            check_config(GOLDEN_CONFIG | {key: ["x" * 1000] * 1000}, "config.json")
        assert key in str(caught.value) and len(str(caught.value)) < 420


MEASURE = """
import re, sys, torch
from minllada_v import load_pretrained
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
def load(**options):
    before = peak()
    model, _ = load_pretrained(sys.argv[1], device="cpu", **options)
    for tensor in model.state_dict().values():
        tensor.flatten()[::512].sum()  # touch every page
    for _ in range(3 * len(options)):
        model.language_model.lm_head(torch.zeros(9, 512))
    print(peak() - before, sum(tensor.nbytes for tensor in model.state_dict().values()))
load(bits=4)
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
load()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_loading_never_holds_the_weights_twice(tmp_path):
    """A 210 MB checkpoint adds at most 150 MB more than itself to the process, where a second copy would add 210 and
    random weights first 420. In 4 bits it adds 110 MB more than it then has, where what was read would add 132, and
    the unpacked last layer 156.
    (`bench/loading.py` measures a checkpoint of 4 GB.)"""
    config = Config(512, 1536, 8, 8, 8, 76_000, 1e-5, 5e5, 8192)
    model = empty_model(config)
    load_weights(model, {name: torch.zeros_like(tensor, dtype=torch.bfloat16, device="cpu")
                         for name, tensor in model.state_dict().items()})
    shutil.copy(CHECKPOINT / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({
        "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8,
        "vocab_size": 76_000, "rms_norm_eps": 1e-5, "rope_theta": 5e5, "max_position_embeddings": 8192}))
    save_checkpoint(tmp_path / "made-up", model, read_files(tmp_path))
    tmp_path = tmp_path / "made-up"
    size = (tmp_path / "model.safetensors").stat().st_size
    assert size > 200e6
    measured = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, check=True).stdout
    packed, small, added, whole = map(int, measured.split())
    assert small * 0.9 < packed < small + 110e6 and size * 0.9 < added < size + 150e6 and small < 0.7 * whole
