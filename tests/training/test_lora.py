"""LoRA: nothing changes but by what learns, which is little; what is saved is `peft`'s; and it belongs to one base."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from device import COMMAND, DEVICE, assert_close, same, same_files
from golden_data import CHECKPOINT, golden_model
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import minllada_v.train
from minllada_v import InputError, LLaDAV, convert, evaluate, generate, load_pretrained
from minllada_v.checkpoint import open_tensors
from minllada_v.config import Config
from minllada_v.evaluation.answers import fingerprint
from minllada_v.layers import Linear
from minllada_v.low_bits import LowBitLinear
from minllada_v.tensor_names import package_name, released_name
from minllada_v.train import main
from minllada_v.training.adapters import load_adapter, version
from minllada_v.training.data import WorldData
from minllada_v.training.distributed import Learner, own_weights, save_memory
from minllada_v.training.examples import Example, Examples
from minllada_v.training.frozen import keep_no_copies
from minllada_v.training.lora import LoRA, add_lora, choose_adapters, linear_layers, merge_adapters
from minllada_v.training.objectives import choose_objective
from minllada_v.training.settings import Settings
from minllada_v.training.start import from_checkpoint
from minllada_v.world.lessons import LESSONS

RANK, ALPHA = 3, 5.0
TUNE = Settings(Path("out"))
RUN = ["--from", str(CHECKPOINT), "--world", *COMMAND, "--answer-length", "2", "--held-out", "2",
       "--batch-size", "2", "--learning-rate", "1e-2", "--steps", "4", "--save-every", "2", "--evaluate-every", "2",
       "--lora", str(RANK), "--lora-alpha", str(ALPHA)]
# Of the golden model, spelled out: each linear layer of the language model, inputs and outputs.
SHAPES = {f"model.layers.{i}.{name}": shape for i in (0, 1) for name, shape in {
    **{f"self_attn.{each}_proj": (32, 32) for each in "qkvo"}, "mlp.gate_proj": (32, 64), "mlp.up_proj": (32, 64),
    "mlp.down_proj": (64, 32)}.items()} | {"lm_head": (32, 640)}
BESIDE = {"model.image_newline": (32,), "model.mm_projector.0.weight": (32, 24), "model.mm_projector.0.bias": (32,),
          "model.mm_projector.2.weight": (32, 32), "model.mm_projector.2.bias": (32,)}
IDS, POSITIONS, NOTHING = torch.arange(20, device=DEVICE), torch.arange(5, 12), torch.empty(0, 32, device=DEVICE)


def adapted(seed: int = 0, stored: torch.dtype | int | None = None) -> LLaDAV:
    """The golden model with fresh adapters, its weights `stored` as a type or in so many bits, computing in float32."""
    in_bits = isinstance(stored, int)
    model, _ = load_pretrained(CHECKPOINT, DEVICE, None if in_bits else stored, stored if in_bits else None)
    model.compute_dtype = torch.float32
    add_lora(model, RANK, ALPHA, seed)
    return model.to(DEVICE)


def randomize(model: LLaDAV, seed: int = 0):
    """Give every B random numbers, as if it had learned."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, LoRA):
            layer.lora_B.data = 0.1 * torch.randn(layer.lora_B.shape, generator=generator).to(DEVICE)


def logits(model: LLaDAV) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS, NOTHING, POSITIONS)


def learner_of(model: LLaDAV) -> Learner:
    tokenizer = golden_model()[1]
    return Learner(model, tokenizer, choose_objective(TUNE, tokenizer))


def drawn(count: int) -> list[Example]:
    model, tokenizer = golden_model()
    data = Examples(WorldData(LESSONS["everything"], seed=0), tokenizer, model.config, TUNE)
    return [data[number] for number in range(count)]


def gradients(learner: Learner, examples: list[Example]) -> dict[str, torch.Tensor]:
    learner.zero_grad()
    learner(examples, torch.full((len(examples),), 0.5), range(len(examples))).mean().backward()
    return {name: p.grad.clone() for name, p in learner.model.named_parameters() if p.grad is not None}


def run(capsys, command, *arguments) -> tuple[int, str, str]:
    """Exit code, stdout and the last line of stderr."""
    try:
        code = command([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse
        code = end.code
    out, err = capsys.readouterr()
    return code, out, err.strip().split("\n")[-1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("finished")
    assert main(["--out", str(out), *RUN]) == 0
    return out


def adapter_copy(finished: Path, folder: Path, tensors: dict | None = None, **config) -> Path:
    """The adapter of that run with other tensors, or other values in its config."""
    folder.mkdir()
    values = json.loads((finished / "last" / "adapter_config.json").read_text()) | config
    (folder / "adapter_config.json").write_text(json.dumps(values))
    if tensors is None:
        shutil.copy(finished / "last" / "adapter_model.safetensors", folder)
    else:
        save_file(tensors, folder / "adapter_model.safetensors")
    return folder


# What is computed.


@settings(max_examples=15, deadline=None)
@given(inputs=st.integers(1, 9), outputs=st.integers(1, 9), rank=st.integers(1, 5), alpha=st.floats(-4, 64),
       seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_an_adapted_layer_is_one_with_the_changed_matrix(inputs, outputs, rank, alpha, seed, dtype):
    """y = (W + alpha / r · B A) x, in float64 by hand; however W is stored, it stays as it was."""
    generator = torch.Generator().manual_seed(seed)
    w, a, b, x = (torch.randn(shape, generator=generator) for shape in (
        (outputs, inputs), (rank, inputs), (outputs, rank), (2, 3, inputs)))
    base = Linear(inputs, outputs, bias=False)
    base.weight = torch.nn.Parameter(w.to(dtype))
    layer = LoRA(base, a, b, alpha)
    changed = base.weight.double() + alpha / rank * b.double() @ a.double()
    assert_close(layer(x), (x.double() @ changed.T).float(), rtol=1e-4, atol=1e-4 * (1 + abs(alpha)))
    assert base.weight.equal(w.to(dtype)) and layer(x).dtype == x.dtype


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, 8, 4])
def test_at_first_the_adapted_model_is_its_base_bit_for_bit(stored):
    model = adapted(stored=stored)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoRA)}
    assert {released_name(f"{name}.")[:-1] for name in layers} == {*SHAPES}
    at_first = logits(model)
    randomize(model)
    assert not logits(model).equal(at_first)
    for name, layer in layers.items():
        model.set_submodule(name, layer.base_layer)
    assert logits(model).equal(at_first)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_merged_equals_adapted_within_rounding(seed):
    model = adapted(seed)
    randomize(model, seed)
    expected = logits(model)
    merge_adapters(model, torch.float32)
    assert not any(isinstance(module, LoRA) for module in model.modules())
    assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)


def test_one_seed_draws_one_adapter_and_no_two_layers_the_same():
    one, same, other = (dict(adapted(seed).named_parameters()) for seed in (0, 0, 1))
    drawn = [name for name in one if name.endswith("lora_A")]
    assert len(drawn) == 15 and all(one[name].equal(same[name]) for name in one)
    assert not any(one[name].equal(other[name]) for name in drawn)
    assert len({one[name].sum().item() for name in drawn}) == len(drawn)


def test_an_lm_head_that_is_the_embeddings_has_no_adapter():
    """With its own it would no longer be the same matrix."""
    config = Config(16, 16, 1, 2, 2, 20, 1e-5, 1e4, 64, tied_embeddings=True)
    assert len(linear_layers(LLaDAV(config))) == 7


# What learns.


@pytest.mark.parametrize("only", [False, True])
def test_only_what_should_has_gradients_and_they_do_not_depend_on_checkpointing(only):
    """At first those of A are 0, for B is."""
    model = adapted()
    choose_adapters(model, only)
    own_weights(model)
    learner, examples = learner_of(model), drawn(2)
    found = gradients(learner, examples)
    expected = {f"{name}.lora_{part}" for name in linear_layers(golden_model()[0]) for part in "AB"}
    if not only:
        expected |= {name for name, _ in model.named_parameters() if name.startswith(("mm_projector", "image_newline"))}
    assert {*found} == expected
    assert all(bool(found[name].any()) == (not name.endswith("lora_A")) for name in found)
    save_memory(model)
    assert all(same(tensor, found[name]) for name, tensor in gradients(learner, examples).items())


@pytest.mark.parametrize("stored, types", [
    (torch.bfloat16, {torch.bfloat16}), (8, {torch.bfloat16, torch.int8}),
    (4, {torch.bfloat16, torch.int8, torch.uint8})])  # lm_head has 8
def test_frozen_weights_stay_as_they_are_stored_and_learn_nothing(stored, types):
    """No copy of them in another type is kept for the way back. The gradients are those of a model whose matrices hold
    the same numbers in float32, in plain layers."""
    model, examples = adapted(stored=stored), drawn(2)
    choose_adapters(model, only=False)
    own_weights(model)
    plain = copy.deepcopy(model)
    for layer in [module for module in plain.modules() if isinstance(module, LoRA)]:
        base = layer.base_layer
        matrix = torch.cat([*base.unpacked()]) if isinstance(base, LowBitLinear) else base.weight.float()
        layer.base_layer = Linear(base.in_features, base.out_features, bias=False)
        layer.base_layer.weight = torch.nn.Parameter(matrix, requires_grad=False)
    expected = gradients(learner_of(plain), examples)

    keep_no_copies(model)
    frozen = {name: parameter.clone() for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {tensor.dtype for tensor in frozen.values()} == types
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        found = gradients(learner_of(model), examples)
    matrices = [shape[::way] for shape in SHAPES.values() for way in (1, -1)]
    copies = [tensor for tensor in kept if tuple(tensor.shape) in matrices and not tensor.requires_grad]
    assert [tensor for tensor in copies if tensor.dtype == torch.float32] == [] and len(kept) > 20
    assert all(tensor.equal(model.get_parameter(name)) for name, tensor in frozen.items())
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)


# What is saved, and going on.


@pytest.mark.parametrize("only", [False, True])
def test_a_run_saves_an_adapter_under_the_names_of_peft(tmp_path, finished, only):
    """And nothing of the base: names and shapes spelled out, all float32."""
    out = finished
    if only:
        out = tmp_path / "out"
        assert main(["--out", str(out), *RUN, "--lora-only", "--steps", "1"]) == 0
    expected = {f"base_model.model.{name}.lora_A.weight": (RANK, shape[0]) for name, shape in SHAPES.items()}
    expected |= {f"base_model.model.{name}.lora_B.weight": (shape[1], RANK) for name, shape in SHAPES.items()}
    expected |= {} if only else {f"base_model.model.{name}": shape for name, shape in BESIDE.items()}
    for folder in (out / "last", out / "best"):
        tensors = load_file(folder / "adapter_model.safetensors")
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == expected
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA" and (config["r"], config["lora_alpha"]) == (RANK, ALPHA)
        assert config["base_model_name_or_path"] == str(CHECKPOINT) and config["bias"] == "none"
        assert config["modules_to_save"] == (None if only else ["mm_projector"])
        assert not (folder / "model.safetensors").exists()
    moments = load_file(out / "last" / "optimizer.safetensors")
    assert len(moments) == 3 * len(expected) and not (out / "best" / "optimizer.safetensors").exists()


def test_targets_are_the_language_models_layers_for_peft_too(finished):
    """It matches module names as a whole with a regular expression. The vision tower has a q_proj as well."""
    pattern = json.loads((finished / "last" / "adapter_config.json").read_text())["target_modules"]
    names = [released_name(f"{name}.")[:-1] for name, module in golden_model()[0].named_modules()
             if isinstance(module, torch.nn.Linear)]
    assert {name for name in names if re.fullmatch(pattern, name)} == {*SHAPES} and len(names) > 2 * len(SHAPES)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def test_killed_and_started_again_equals_uninterrupted(tmp_path, capsys, monkeypatch, finished):
    """The log, the adapter and the optimizer's state, byte for byte."""
    out, save = tmp_path / "out", minllada_v.train.save

    def killed(run, name, *others):
        if (name, run.progress.step) == ("last", 4):
            raise Killed
        save(run, name, *others)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("minllada_v.train.save", killed)
        main(["--out", str(out), *RUN])
    assert "holds step 2," in minllada_v.train.what_stands(out / "last")
    assert run(capsys, main, "--out", out, *RUN)[0] == 0
    for name in ("log.jsonl", "last/adapter_model.safetensors", "last/optimizer.safetensors",
                 "last/adapter_config.json", "best/adapter_model.safetensors"):
        assert same_files(out / name, finished / name)


def test_a_run_goes_on_with_its_own_adapters_only(capsys, finished):
    for others, problem in ((["--lora", 4], "lora 3, and now it is 4"), (["--lora-only"], "lora-only None, and now")):
        code, _, line = run(capsys, main, "--out", finished, *RUN, *others)
        assert code == 2 and problem in line
    code, _, line = run(capsys, main, "--out", finished, *RUN[:-4])
    assert code == 2 and "lora 3, and now it is None" in line


# What uses it.


def test_generate_evaluate_and_convert_read_it(tmp_path, capsys, finished):
    """Merged by hand in float64, each tensor is what `convert` writes, rounded once; it has all that the base has. With
    the adapter the model computes what it does with the tensors merged by hand."""
    last, merged, by_hand = finished / "last", tmp_path / "merged", {}
    assert run(capsys, convert.main, "--from", CHECKPOINT, "--adapter", last, "--out", merged)[0] == 0
    base, found, learned = open_tensors(CHECKPOINT), open_tensors(merged), load_file(last / "adapter_model.safetensors")
    assert found.keys() == base.keys()
    for name, tensor in found.items():
        theirs = f"base_model.model.{name}"
        expected = learned.get(theirs, base[name]).double()
        if name.removesuffix(".weight") in SHAPES:
            a, b = (learned[theirs.replace("weight", f"lora_{part}.weight")].double() for part in "AB")
            expected = expected + ALPHA / RANK * b @ a
            assert not tensor.equal(base[name].bfloat16())
        by_hand[package_name(name)] = expected.float()
        assert tensor.dtype == torch.bfloat16
        assert_close(tensor.double(), expected, rtol=2**-7.99, atol=1e-7)  # rounded once
    for name in ("config.json", "tokenizer.json"):
        assert (merged / name).read_bytes() == (CHECKPOINT / name).read_bytes()

    model, _ = load_pretrained(CHECKPOINT, DEVICE)
    load_adapter(model, last, CHECKPOINT)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    other, _ = load_pretrained(CHECKPOINT, DEVICE)
    other.load_state_dict(by_hand)
    assert_close(logits(model), logits(other), rtol=1e-4, atol=1e-4)
    tiles = torch.zeros(1, 3, 56, 56)
    assert_close(model.project(tiles), other.project(tiles), rtol=1e-4, atol=1e-4)
    assert model.image_newline.equal(other.image_newline)
    asked = ["--prompt", "Hi", "--gen-length", "6", *COMMAND]
    code, said, _ = run(capsys, generate.main, "--weights", CHECKPOINT, "--adapter", last, *asked)
    assert code == 0 and said != run(capsys, generate.main, "--weights", CHECKPOINT, *asked)[1]
    asked = ["--benchmark", "small-world", "--lesson", "colour", "--count", "1", "--steps", "1", *COMMAND]
    code, _, _ = run(capsys, evaluate.main, *asked, "--weights", CHECKPOINT, "--adapter", last, "--out", tmp_path / "a")
    assert code == 0
    code, _, line = run(capsys, evaluate.main, *asked, "--weights", CHECKPOINT, "--out", tmp_path / "a")
    assert code == 2 and "weights" in line  # the answers belong to the adapter


def test_a_fingerprint_tells_adapters_apart_by_numbers_and_by_alpha(finished, tmp_path):
    said = set()
    for folder in (finished / "last", adapter_copy(finished, tmp_path / "other", lora_alpha=6)):
        model, _ = load_pretrained(CHECKPOINT, DEVICE)
        said |= {fingerprint(model)}
        load_adapter(model, folder, CHECKPOINT)
        said |= {fingerprint(model)}
    assert len(said) == 3


# What is refused.


def test_an_adapter_for_other_weights_is_refused_by_name(tmp_path, capsys, finished):
    """Weights of the same shapes, with one norm that differs. In another type or in 4 bits they are the same weights.
    Into those no adapter can be merged."""
    half = {name: tensor.bfloat16() for name, tensor in open_tensors(CHECKPOINT).items()}
    for folder, change in (("same", 0), ("other", 1)):
        shutil.copytree(CHECKPOINT, tmp_path / folder, ignore=shutil.ignore_patterns("*.safetensors*"))
        save_file(half | {"model.norm.weight": half["model.norm.weight"] + change},
                  tmp_path / folder / "model.safetensors")
    assert version(tmp_path / "same") == version(CHECKPOINT) != version(tmp_path / "other")
    load_adapter(load_pretrained(tmp_path / "same", "cpu")[0], finished / "last", tmp_path / "same")
    small, merge = tmp_path / "4", ["--adapter", finished / "last", "--out", tmp_path / "merged"]
    convert.convert(CHECKPOINT, small, bits=4)
    load_adapter(load_pretrained(small, "cpu")[0], finished / "last", small)
    code, _, line = run(capsys, convert.main, "--from", small, *merge)
    assert code == 2 and "give the original weights" in line
    code, _, line = run(capsys, convert.main, "--from", CHECKPOINT, "--bits", 4, *merge)
    assert code == 2 and "--adapter first" in line
    with pytest.raises(InputError, match="last was trained on other weights than .*other.* then stood in .*checkpoint"):
        load_adapter(load_pretrained(tmp_path / "other", "cpu")[0], finished / "last", tmp_path / "other")


Q_PROJ = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize("change, problem", [
    ({Q_PROJ: torch.zeros(RANK, 31)}, r"q_proj.lora_A.weight is \(3, 31\) in the file and should be \(3, 32\)"),
    ({Q_PROJ: None}, r"q_proj.lora_A.weight \(3, 32\) is missing"),
    ({Q_PROJ.replace("layers.1", "layers.2"): torch.zeros(RANK, 32)}, r"layers.2.*\(3, 32\) has no place in the model"),
    ({Q_PROJ.replace("lora_A.weight", "lora_magnitude_vector"): torch.zeros(32)}, "vector .*has no place in the model"),
    ({Q_PROJ: torch.zeros(RANK, 32, dtype=torch.int8)}, "is stored as torch.int8"),
    ({"base_model.model.model.image_newline": torch.zeros(31)}, r"newline is \(31,\) in the file and should be \(32,"),
    (None, "it is empty"),
], ids=["shape", "half", "layers", "dora", "type", "newline", "empty"])
def test_adapters_that_do_not_fit_are_named_with_their_shapes(tmp_path, finished, change, problem):
    tensors = {} if change is None else load_file(finished / "last" / "adapter_model.safetensors") | change
    folder = adapter_copy(finished, tmp_path / "a", {name: it for name, it in tensors.items() if it is not None})
    with pytest.raises(InputError, match=f"adapter_model.safetensors does not fit the weights of .*{problem}"):
        load_adapter(load_pretrained(CHECKPOINT, DEVICE)[0], folder, CHECKPOINT)


@pytest.mark.parametrize("config, problem", [
    ({"peft_type": "LOHA"}, "peft_type is 'LOHA', and only LORA is supported"),
    ({"use_rslora": True}, "use_rslora is True"), ({"alpha_pattern": {"q_proj": 1}}, "alpha_pattern is"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"), ({"r": 0}, "r must be"), ({"r": True}, "r must"),
    ({"lora_alpha": None}, "lora_alpha a number"), ({"r": 4}, "is .3, 32. in the file and should be .4, 32."),
])
def test_kinds_of_adapters_that_are_not_supported_are_named(tmp_path, finished, config, problem):
    with pytest.raises(InputError, match=problem):
        adapter = adapter_copy(finished, tmp_path / "a", **config)
        load_adapter(load_pretrained(CHECKPOINT, DEVICE)[0], adapter, CHECKPOINT)


def test_an_adapter_without_what_is_ours_is_read_by_its_shapes(tmp_path, finished):
    """As peft may write it: without `revision`, in bfloat16, on a part of the layers."""
    some = {name: tensor.bfloat16() for name, tensor in load_file(
        finished / "last" / "adapter_model.safetensors").items() if "q_proj" in name}
    folder = adapter_copy(finished, tmp_path / "a", some, revision=None, target_modules=["q_proj"])
    model, _ = load_pretrained(CHECKPOINT, DEVICE)
    load_adapter(model, folder, CHECKPOINT)
    assert len(some) == 4 and sum(isinstance(module, LoRA) for module in model.modules()) == 2
    assert not logits(model).equal(logits(golden_model()[0]))


def test_what_is_no_adapter_is_named_and_an_adapter_is_no_checkpoint(tmp_path, capsys, finished):
    last, base = finished / "last", ["--weights", CHECKPOINT]
    for adapter, problem in ((CHECKPOINT, "has no adapter_config.json"), (tmp_path / "none", "none has no")):
        code, _, line = run(capsys, generate.main, *base, "--adapter", adapter, "--prompt", "Hi", *COMMAND)
        assert code == 2 and problem in line
    code, _, line = run(capsys, generate.main, "--weights", last, "--prompt", "Hi", *COMMAND)
    assert code == 2 and "holds a LoRA adapter" in line and "--adapter" in line
    code, _, line = run(capsys, main, "--out", tmp_path / "out", *RUN, "--from", last)
    assert code == 2 and "holds a LoRA adapter; merge it" in line


@pytest.mark.parametrize("arguments, problem", [
    (["--lora", "0"], "at least 1"), (["--lora", "4", "--stage", "align"], "adapts the checkpoint of --from"),
    (["--lora", "4", "--system", "x"], "leave out --system"),
    (["--lora", "4", "--vision-learning-rate", "1"], "leave out --system and --vision-learning-rate"),
    (["--lora-only"], "need --lora RANK"), (["--lora-alpha", "4"], "need --lora RANK"),
    (["--lora", "4", "--lora-alpha", "nan"], "0 or more"), (["--lora", "4", "--autoregressive"], "leave out --autoreg"),
])
def test_wrong_options_are_named(tmp_path, capsys, arguments, problem):
    start = ["--out", tmp_path / "out", "--from", CHECKPOINT, "--data", tmp_path / "data.json", *COMMAND]
    (tmp_path / "data.json").write_text(json.dumps([{"conversations": []}]))
    code, _, line = run(capsys, main, *start, *arguments)
    assert code == 2 and problem in line


def test_what_is_not_given_has_the_usual_value():
    chosen = Settings(Path("out"), lora=8)
    assert (chosen.lora_alpha, chosen.learning_rate, chosen.vision_learning_rate) == (16, 2e-4, 0)
    assert Settings(Path("out")).fixed()["lora"] is None
    assert from_checkpoint(CHECKPOINT).model.config == golden_model()[0].config
