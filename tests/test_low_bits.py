"""Weights in 8 and 4 bits: the nearest there are, computed as they are stored, in a folder that says what it is."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from device import COMMAND, DEVICE, assert_close, same
from golden_data import CHECKPOINT, golden_model, picture
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_checkpoint import GOLDEN_CONFIG, RELEASED_CONFIG, golden_tensors, headless, single_file
from test_generate import BASE, run
from torch.nn import functional as F

from minllada_v import SamplerConfig, answer, convert, load_pretrained, low_bits, train
from minllada_v.checkpoint import empty_model
from minllada_v.config_json import check_config
from minllada_v.errors import InputError
from minllada_v.low_bits import GROUP, LowBitLinear, low_bit_layers, pack, unpack
from minllada_v.training.objectives import choose_trainable
from minllada_v.training.start import from_nothing

each_width = pytest.mark.parametrize("bits", [8, 4])
SPECIAL = [0.0, -0.0, 1.0, -1.0, 3e38, -3e38, 1e-45, -1e-45, 2.0**-126, 2.0**-133, 1e-30, 0.3]


@st.composite
def matrices(draw) -> torch.Tensor:
    """Weights (rows, inputs) float32 of any size, with some special ones among them; also rows of one kind only."""
    rows, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 200))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([0.0, 1e-44, 1e-38, 0.02, 1.0, 1e30]))
    matrix = torch.randn(rows, inputs, generator=generator) * size
    if draw(st.booleans()):
        matrix = matrix.abs() * draw(st.sampled_from([1.0, -1.0]))
    for value in draw(st.lists(st.sampled_from(SPECIAL), max_size=4)):
        matrix[draw(st.integers(0, rows - 1)), draw(st.integers(0, inputs - 1))] = value
    return matrix


def literal_unpack(weight: torch.Tensor, scale: torch.Tensor, inputs: int) -> list[list[float]]:
    """What is stored, weight by weight, in Python's numbers."""
    rows = []
    for stored, scales in zip(weight.tolist(), scale.tolist()):
        if weight.dtype == torch.uint8:
            nibbles = [byte % 16 for byte in stored] + [byte // 16 for byte in stored]
            levels = [nibble - 16 if nibble > 7 else nibble for nibble in nibbles[:inputs]]
            rows.append([level * scales[place // 64] for place, level in enumerate(levels)])
        else:
            rows.append([level * scales[0] for level in stored])
    return rows


@each_width
@given(matrix=matrices())
@example(matrix=torch.tensor([[8.0, -7.5, 0.0], [7.0, -7.0, 1.0], [-127.5, 128.0, 0.5]]))
@settings(max_examples=60)
def test_no_weight_moves_by_more_than_half_a_step_of_its_own_scale(bits, matrix):
    """And to the nearest level there is; and the step is no larger than the largest weight of its group needs."""
    weight, scale = pack(matrix, bits)
    group = matrix.shape[1] if bits == 8 else GROUP
    assert weight.dtype == (torch.int8 if bits == 8 else torch.uint8) and scale.dtype == torch.bfloat16
    assert scale.shape == (len(matrix), math.ceil(matrix.shape[1] / group))
    found = unpack(weight, scale, matrix.shape[1], torch.float32).double()
    step = scale.double().repeat_interleave(group, dim=1)[:, :matrix.shape[1]]
    error = (found - matrix.double()).abs()
    assert (error <= step.abs() / 2 * (1 + 1e-6)).all()
    levels = torch.arange(-2 ** (bits - 1), 2 ** (bits - 1))
    nearest = (step[..., None] * levels - matrix.double()[..., None]).abs().amin(-1)
    assert (error <= nearest + step.abs() * 1e-6).all()
    for first in range(0, matrix.shape[1], group):
        largest = matrix[:, first:first + group].double().abs().amax(dim=1)
        assert (step[:, first].abs() <= (largest / (2 ** (bits - 1) - 0.5) * (1 + 2.0**-7)).clamp(min=2.0**-126)).all()


@each_width
@given(rows=st.integers(1, 3), inputs=st.integers(1, 200), seed=st.integers(0, 2**32), exponent=st.integers(-120, 110))
@settings(max_examples=40)
def test_what_can_be_represented_comes_back_exactly(bits, rows, inputs, seed, exponent):
    """Whole multiples of a bfloat16 scale, as far as the levels go. A scale is known by its last level: each group of
    weights has one there."""
    generator = torch.Generator().manual_seed(seed)
    group, most = inputs if bits == 8 else GROUP, 2 ** (bits - 1)
    groups = math.ceil(inputs / group)
    scale = (torch.rand(rows, groups, generator=generator) + 1).bfloat16() * 2.0**exponent
    scale *= torch.randint(0, 2, scale.shape, generator=generator) * 2 - 1
    levels = torch.randint(-most, most, (rows, inputs), generator=generator)
    levels[:, ::group] = -most
    matrix = levels * scale.float().repeat_interleave(group, dim=1)[:, :inputs]
    packed = pack(matrix, bits)
    assert packed[1].equal(scale) and unpack(*packed, inputs, torch.float32).equal(matrix)


@each_width
@given(rows=st.integers(1, 3), inputs=st.integers(1, 140), seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_whatever_bytes_are_stored_are_read_as_the_docstring_says(bits, rows, inputs, seed):
    """Compared with a loop over single weights. −128 is a level like any other, and the last half of a byte may be
    unused."""
    generator = torch.Generator().manual_seed(seed)
    layer = LowBitLinear(inputs, rows, bits)
    weight = torch.randint(0, 256, layer.weight.shape, generator=generator).to(torch.uint8).view(layer.weight.dtype)
    scale = torch.randn(layer.weight_scale.shape, generator=generator).bfloat16()
    assert unpack(weight, scale, inputs, torch.float32).tolist() == literal_unpack(weight, scale, inputs)


@each_width
def test_rows_of_zeros_stay_zeros_beside_others(bits):
    """Of either sign, with a step that can be divided by."""
    matrix = torch.stack([torch.zeros(70), -torch.zeros(70), torch.ones(70)])
    weight, scale = pack(matrix, bits)
    assert unpack(weight, scale, 70, torch.float32).equal(matrix) and (scale != 0).all()


@each_width
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3.4e38])
def test_weights_that_no_scale_can_hold_are_refused(bits, value):
    matrix = torch.ones(2, 70)
    matrix[1, 69] = value
    with pytest.raises(InputError, match=f"not a number, infinite or too large to be stored in {bits} bits"):
        pack(matrix, bits)


def random_layer(inputs: int, outputs: int, bits: int) -> tuple[LowBitLinear, torch.Tensor]:
    """A layer, and its matrix in float32."""
    layer = LowBitLinear(inputs, outputs, bits)
    matrix = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(inputs)) / inputs**0.5
    layer.weight.data, layer.weight_scale.data = pack(matrix, bits)
    layer = layer.to(DEVICE)
    return layer, unpack(layer.weight, layer.weight_scale, inputs, torch.float32)


@each_width
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("inputs", [64, 100, 65])
def test_the_layer_and_its_gradient_are_those_of_a_linear_layer_with_the_unpacked_weight(
    bits, dtype, inputs, monkeypatch
):
    """In each type; with all rows at once bit for bit, and within rounding where a few rows are unpacked at a time."""
    layer, matrix = random_layer(inputs, 7, bits)
    x = torch.randn(2, 3, inputs, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype).requires_grad_()
    matrix = matrix.to(dtype)
    plain = F.linear(x, matrix)
    plain.backward(torch.ones_like(plain))
    expected = x.grad
    for at_once in (7, 3, 1):
        monkeypatch.setattr(low_bits, "rows_at_once", lambda inputs, device, count=at_once: count)
        x.grad, found = None, layer(x)
        found.backward(torch.ones_like(found))
        parts = list(layer.unpacked(dtype))
        assert len(parts) == math.ceil(7 / at_once) and torch.cat(parts).equal(matrix)
        if at_once == 7:
            assert same(found, plain) and same(x.grad, expected)
        else:
            close = {"rtol": 0, "atol": 8 * torch.finfo(dtype).eps}
            assert_close(found, plain, **close)
            assert_close(x.grad, expected, **close)
    assert layer.weight.grad is None and layer.weight_scale.grad is None


@each_width
def test_the_way_back_keeps_nothing_but_the_small_weights(bits):
    """What autograd saves for it is the weight and the scale, no unpacked rows and no copy."""
    layer, _ = random_layer(100, 30, bits)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        layer(torch.randn(5, 100, device=DEVICE, requires_grad=True)).sum()
    kept = [tensor for tensor in saved if tensor.numel() > 5 * 30]
    assert {tensor.data_ptr() for tensor in saved} <= {layer.weight.data_ptr(), layer.weight_scale.data_ptr()}
    assert len(kept) == 1 and kept[0].data_ptr() == layer.weight.data_ptr()


@each_width
def test_under_autocast_the_layer_computes_in_its_type(bits):
    layer, matrix = random_layer(100, 7, bits)
    x = torch.randn(3, 100, device=DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        found = layer(x)
    assert same(found, F.linear(x.bfloat16(), matrix.bfloat16()))


@pytest.mark.parametrize("inputs", [1, 4096, 12288, 2**26])
def test_what_is_unpacked_at_once_is_little_and_a_round_number_of_rows(inputs):
    """In float32, with the whole numbers that it is made from; a row is the least there is. The meta device stands for
    a GPU, which multiplies 1,365 rows with a kernel for badly aligned matrices, nine times as slow."""
    for device, most in (("cpu", 7e6), ("meta", 410e6)):
        rows = low_bits.rows_at_once(inputs, torch.device(device))
        assert rows == 1 or rows * inputs * (4 + 2) <= most
        assert rows == 1 or rows % 64 == 0


@pytest.mark.parametrize("bits, most", [(None, 17.2e9), (8, 9.6e9), (4, 6.4e9)])
def test_the_released_model_fits_where_it_should(bits, most):
    """All its weights and scales, in bytes, from their shapes alone; the others are bfloat16."""
    model = empty_model(replace(check_config(RELEASED_CONFIG, "config.json"), weight_bits=bits))
    sizes = [parameter.numel() * (2 if parameter.dtype == torch.float32 else parameter.element_size())
             for parameter in model.parameters()]
    assert most * 0.94 < sum(sizes) <= most


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The golden checkpoint in 8 and in 4 bits, as `convert` writes it."""
    folder = tmp_path_factory.mktemp("small")
    for bits in (8, 4):
        assert convert.main(["--from", str(CHECKPOINT), "--out", str(folder / str(bits)), "--bits", str(bits)]) == 0
    return {bits: folder / str(bits) for bits in (8, 4)}


@each_width
def test_a_folder_holds_the_packed_layers_and_all_else_in_bfloat16(bits, folders):
    """Under the released names, with `weight_scale` beside `weight`; and config.json says so, and nothing else new."""
    stored, before = load_file(folders[bits] / "model.safetensors"), golden_tensors()
    small = {name for name in before if name == "lm_head.weight" or "_proj.weight" in name and ".layers." in name
             and "vision_tower" not in name}
    assert len(small) == 1 + 2 * 7
    assert set(stored) == set(before) | {name.replace("weight", "weight_scale") for name in small}
    for name, tensor in before.items():
        if name in small:
            weight, scale = pack(tensor, 8 if name == "lm_head.weight" else bits)
            assert stored[name].equal(weight) and stored[name.replace("weight", "weight_scale")].equal(scale)
        else:
            assert stored[name].equal(tensor.bfloat16())
    assert json.loads((folders[bits] / "config.json").read_text()) == GOLDEN_CONFIG | {"weight_bits": bits}


@each_width
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_a_folder_is_the_model_that_is_packed_while_it_is_loaded(bits, dtype, folders, monkeypatch):
    """From shards, some rows at a time; in whatever type the rest is, whole numbers and scales stay as they are."""
    monkeypatch.setattr(low_bits, "rows_at_once", lambda inputs, device: 7)
    read, tokenizer = load_pretrained(folders[bits], "cpu", dtype)
    packed, _ = load_pretrained(CHECKPOINT, "cpu", dtype, bits)
    assert read.config == packed.config == replace(golden_model()[0].config, weight_bits=bits)
    ours, theirs = read.state_dict(), packed.state_dict()
    assert list(ours) == list(theirs) and len(low_bit_layers(read)) == 15
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype and tensor.equal(theirs[name])
        assert tensor.dtype in (dtype or torch.bfloat16, torch.int8, torch.uint8) or name.endswith("weight_scale")
    assert read.compute_dtype == packed.compute_dtype == (dtype or torch.float32)
    assert not any(parameter.requires_grad for parameter in read.parameters())


@each_width
def test_the_logits_are_those_of_a_model_with_the_unpacked_weights(bits, folders):
    small, tokenizer = load_pretrained(folders[bits], "cpu")
    plain, _ = load_pretrained(CHECKPOINT, "cpu")
    weights = {name: tensor.float() for name, tensor in small.state_dict().items()}
    for name, layer in low_bit_layers(small).items():
        weights[f"{name}.weight"] = torch.cat(list(layer.unpacked()))
        del weights[f"{name}.weight_scale"]
    plain.load_state_dict(weights)
    ids = torch.arange(20)
    torch.testing.assert_close(small(ids), plain(ids))


@each_width
def test_both_ways_answer_alike_on_the_command_line(bits, folders, capsys):
    asked = [*COMMAND, "--gen-length", "8", "--prompt", "What is 1+1?"]
    read = run(capsys, "--weights", str(folders[bits]), *asked)
    packed = run(capsys, "--weights", str(CHECKPOINT), "--bits", str(bits), *asked)
    assert read[:2] == packed[:2] and read[0] == 0 and read[1].strip()


def test_tied_embeddings_stay_as_they_are(tmp_path):
    """Also where they are the last layer."""
    folder = single_file(tmp_path, headless(), tie_word_embeddings=True)
    model, tokenizer = load_pretrained(folder, "cpu", bits=4)
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
    assert model.language_model.lm_head.weight.dtype == torch.bfloat16 and len(low_bit_layers(model)) == 14
    convert.convert(folder, tmp_path / "small", 4)
    again, _ = load_pretrained(tmp_path / "small", "cpu")
    asked = {"prompt": "What is 1+1?", "sampler": SamplerConfig(8)}
    assert answer(model, tokenizer, **asked) == answer(again, tokenizer, **asked)


Q_PROJ = "model.layers.1.self_attn.q_proj"


def damaged(value: float):
    def change(tensors):
        tensors[f"{Q_PROJ}.weight_scale"][-1, -1] = value

    return change


@pytest.mark.parametrize("change, says", [
    (lambda tensors: tensors.pop(f"{Q_PROJ}.weight_scale"), rf"{Q_PROJ}.weight_scale \(32, 1\) is missing"),
    (damaged(math.nan), f"{Q_PROJ}.weight_scale is damaged: a scale in it is 0, infinite or not a number"),
    (damaged(math.inf), "is damaged"),
    (damaged(0.0), "is damaged"),
    (lambda tensors: tensors.update({f"{Q_PROJ}.weight_scale": torch.ones(32, 2).bfloat16()}),
     rf"{Q_PROJ}.weight_scale is \(32, 2\) in the file and should be \(32, 1\)"),
    (lambda tensors: tensors.update({f"{Q_PROJ}.weight_scale": torch.ones(32, 1)}),
     "weight_scale is stored as torch.float32, not as torch.bfloat16"),
    (lambda tensors: tensors.update({f"{Q_PROJ}.weight": torch.ones(32, 32)}),
     r"q_proj.weight is \(32, 32\) in the file and should be \(32, 16\)"),
    (lambda tensors: tensors.update({f"{Q_PROJ}.weight": torch.ones(32, 16, dtype=torch.int8)}),
     "q_proj.weight is stored as torch.int8, not as torch.uint8"),
    (lambda tensors: tensors.update({"lm_head.weight": torch.ones(640, 32)}),
     "lm_head.weight is stored as torch.float32, not as torch.int8"),
], ids=["missing", "not a number", "infinite", "zero", "shape", "type", "plain shape", "other bits", "plain type"])
def test_weights_and_scales_that_do_not_fit_are_named(change, says, folders, tmp_path):
    shutil.copytree(folders[4], tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=says):
        load_pretrained(tmp_path, "cpu")


@pytest.mark.parametrize("said, says", [
    (None, "lm_head.weight is stored as torch.int8, not as one of torch.float32"),
    (4, r"down_proj.weight is \(32, 64\) in the file and should be \(32, 32\)"),
    (5, "weight_bits is 5, and only 8 or 4 is supported"),
    ("8", "weight_bits is '8', and only 8 or 4 is supported"),
])
def test_a_config_that_says_something_else_than_the_file_is_refused(said, says, folders, tmp_path):
    shutil.copytree(folders[8], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps(GOLDEN_CONFIG | {"weight_bits": said}))
    with pytest.raises(InputError, match=says):
        load_pretrained(tmp_path, "cpu")


def test_low_bits_are_made_of_the_original_weights_only(folders, tmp_path, capsys):
    """Whatever is asked for: the same bits, others, or bfloat16."""
    for options in (["--bits", "8"], ["--bits", "4"], []):
        assert convert.main(["--from", str(folders[4]), "--out", str(tmp_path / "new"), *options]) == 2
        printed = capsys.readouterr().err
        assert "holds weights in 4 bits" in printed and "give" in printed and not any(tmp_path.iterdir())
    code, out, err = run(capsys, "--weights", str(folders[4]), *BASE[2:], "--prompt", "Hi", "--bits", "8")
    assert (code, out) == (2, "") and "for 8 bits give the original weights" in err
    assert load_pretrained(folders[4], "cpu", bits=4)[0].config.weight_bits == 4
    with pytest.raises(InputError, match="in 8 or 4 bits, not in 5"):
        load_pretrained(CHECKPOINT, "cpu", bits=5)


def test_weights_that_cannot_be_stored_are_named(tmp_path, capsys):
    tensors = golden_tensors()
    tensors[f"{Q_PROJ}.weight"][3, 3] = math.nan
    folder = single_file(tmp_path / "broken", tensors)
    assert convert.main(["--from", str(folder), "--out", str(tmp_path / "new"), "--bits", "4"]) == 2
    assert f"{Q_PROJ}.weight: a weight is not a number" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_weights_in_low_bits_do_not_learn(folders, tmp_path, capsys):
    """What would train them is refused before it begins. The projector before them can learn; they stay as they are."""
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "data.json").write_text(json.dumps([{"image": "a.png", "conversations": [
        {"from": "human", "value": "<image>"}, {"from": "gpt", "value": "A cat."}]}] * 2))
    asked = ["--data", str(tmp_path / "data.json"), "--from", str(folders[4]), *COMMAND, "--held-out", "1",
             "--answer-length", "1", "--learning-rate", "1e-2", "--steps", "1"]
    assert train.main(["--out", str(tmp_path / "tune"), *asked]) == 2
    assert "weights in 4 bits are too coarse to learn" in capsys.readouterr().err
    assert train.main(["--out", str(tmp_path / "align"), "--stage", "align", *asked]) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (folders[4], tmp_path / "align" / "last"))
    changed = {name for name, tensor in after.items()
               if tensor.dtype != before[name].dtype or not tensor.equal(before[name])}
    assert set(after) == set(before) and {name.split(".")[1] for name in changed} == {"mm_projector"}
    model, _ = load_pretrained(folders[4], "cpu")
    with pytest.raises(InputError, match="too coarse to learn"):
        choose_trainable(model, "tune", train_vision=False)
    shutil.copy(CHECKPOINT / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(GOLDEN_CONFIG | {"weight_bits": 8}))
    with pytest.raises(InputError, match="config.json: weights in 8 bits are too coarse.*leave out weight_bits"):
        from_nothing(tmp_path / "config.json", 0)
