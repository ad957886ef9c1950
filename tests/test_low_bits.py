"""Weights in 8 and 4 bits: the nearest there are, computed as they are stored, in a folder that says what it is."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from minllada_v import low_bits
from minllada_v.errors import InputError
from minllada_v.low_bits import GROUP, LowBitLinear, pack, unpack

each_width = pytest.mark.parametrize("bits", [8, 4])
SPECIAL = [0.0, -0.0, 1.0, -1.0, 3e38, -3e38, 1e-45, -1e-45, 2.0**-126, 2.0**-133, 1e-30, 0.3]


@st.composite
def matrices(draw) -> torch.Tensor:
    """Weights (rows, inputs) float32 of any size, with some special ones among them; also rows of one kind only."""
    rows, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 200))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    matrix = torch.randn(rows, inputs, generator=generator) * draw(st.sampled_from([0.0, 1e-44, 1e-38, 0.02, 1.0, 1e30]))
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
    layer.weight.data, layer.weight_scale.data = pack(torch.randn(outputs, inputs), bits)
    return layer, unpack(layer.weight, layer.weight_scale, inputs, torch.float32)


@each_width
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("inputs", [64, 100, 65])
def test_the_layer_and_its_gradient_are_those_of_a_linear_layer_with_the_unpacked_weight(
    bits, dtype, inputs, monkeypatch
):
    """In each type; with all rows at once bit for bit, and within rounding where a few rows are unpacked at a time."""
    layer, matrix = random_layer(inputs, 7, bits)
    matrix, x = matrix.to(dtype), torch.randn(2, 3, inputs, dtype=dtype, requires_grad=True)
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
            assert found.equal(plain) and x.grad.equal(expected)
        else:
            close = {"rtol": 0, "atol": 64 * torch.finfo(dtype).eps}
            torch.testing.assert_close(found, plain, **close)
            torch.testing.assert_close(x.grad, expected, **close)
    assert layer.weight.grad is None and layer.weight_scale.grad is None


@each_width
def test_the_way_back_keeps_nothing_but_the_small_weights(bits):
    """What autograd saves for it is the weight and the scale, no unpacked rows and no copy."""
    layer, _ = random_layer(100, 30, bits)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        layer(torch.randn(5, 100, requires_grad=True)).sum()
    kept = [tensor for tensor in saved if tensor.numel() > 5 * 30]
    assert {tensor.data_ptr() for tensor in saved} <= {layer.weight.data_ptr(), layer.weight_scale.data_ptr()}
    assert len(kept) == 1 and kept[0].data_ptr() == layer.weight.data_ptr()


@each_width
def test_under_autocast_the_layer_computes_in_its_type(bits):
    layer, matrix = random_layer(100, 7, bits)
    x = torch.randn(3, 100)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.equal(F.linear(x.bfloat16(), matrix.bfloat16()))


@pytest.mark.parametrize("inputs", [1, 4096, 12288, 2**26])
def test_what_is_unpacked_at_once_costs_at_most_150_megabytes(inputs):
    """In float32, with the whole numbers that it is made from; a row is the least there is."""
    for device in ("cpu", "meta"):
        rows = low_bits.rows_at_once(inputs, torch.device(device))
        assert rows == 1 or rows * inputs * (4 + 2) <= 150e6
