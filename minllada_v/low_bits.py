"""Weights in 8 or 4 bits: stored as small whole numbers, computed in the type of the activations.

Nearby weights share a scale s, and each is stored as a whole number q: ŵ = q · s. With 8 bits q is one of −128 … 127,
and a row of a matrix (one output) has one scale; with 4 bits q is one of −8 … 7, and every 64 inputs have their own. No
other number lies nearer: |w − ŵ| ≤ |s| / 2.

There is one level more below zero than above. So a scale is negative where the largest weight is positive: the extra
level goes where it is needed, and a weight of zero stays zero. On Gaussian weights the error of 4 bits is 0.095 of the
weights' own size, 0.108 with the levels −7 … 7. NF4, the levels of QLoRA (arXiv 2305.14314), gets 0.092, but looks
every weight up in a table, which takes a CPU longer than the multiplication here (see tests/bench/low_bits.py).
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from tqdm import tqdm

from .errors import InputError
from .model import LLaDAV
from .tensor_names import released_name

GROUP = 64  # inputs that share a scale, with 4 bits
SMALLEST = 2.0**-126  # of scales: below it lie numbers that some processors take for zero


def pack(rows: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Rows of a weight matrix (n, inputs), in any float type, as `bits` 8 or 4: (weight, scale).

    With 8 bits `weight` is (n, inputs) int8 and `scale` (n, 1) bfloat16. With 4 bits `weight` is (n, ⌈inputs / 2⌉)
    uint8 and `scale` (n, ⌈inputs / 64⌉) bfloat16. Byte j holds input j in its lower four bits and input
    j + ⌈inputs / 2⌉ in its upper four, both in two's complement. Raises `InputError` for weights that are not finite,
    or as large as numbers get.
    """
    inputs, most = rows.shape[1], 2 ** (bits - 1)
    group = inputs if bits == 8 else GROUP
    padded = F.pad(rows.float(), (0, -inputs % group)).unflatten(1, (-1, group))  # (n, groups, group)
    above, below = padded.amax(-1), -padded.amin(-1)
    # The larger side ends at level −most, the other at most − 1, which is the nearest to all up to most − ½.
    step = torch.maximum(torch.maximum(above, below) / most, torch.minimum(above, below) / (most - 0.5))
    step = round_up(step.clamp(min=SMALLEST))
    if not (step.float() * most).isfinite().all():
        raise InputError(f"a weight is not a number, infinite or too large to be stored in {bits} bits")
    scale = torch.where(above > below, -step, step)
    levels = (padded / scale.float()[..., None]).round().clamp(-most, most - 1).flatten(1)[:, :inputs].to(torch.int8)
    if bits == 8:
        return levels, scale
    low, high = F.pad(levels, (0, inputs % 2)).view(torch.uint8).chunk(2, dim=1)
    return low & 15 | high << 4, scale


def round_up(x: Tensor) -> Tensor:
    """`x`, positive float32, as bfloat16, never less."""
    nearest = x.bfloat16()
    above = (nearest.view(torch.int16) + 1).view(torch.bfloat16)  # the next; not all devices have torch.nextafter
    return torch.where(nearest < x, above, nearest)


def unpack(weight: Tensor, scale: Tensor, inputs: int, dtype: torch.dtype) -> Tensor:
    """The rows (n, inputs) that `pack` stored, in `dtype`. The type of `weight` says in how many bits they are."""
    group = inputs
    if weight.dtype == torch.uint8:  # shifted back as int8, four bits bring their sign with them
        low, high = (weight << 4).view(torch.int8) >> 4, weight.view(torch.int8) >> 4
        weight, group = torch.cat([low, high], dim=1)[:, :inputs], GROUP
    rows = weight.to(dtype, memory_format=torch.contiguous_format)
    whole = inputs // group  # groups; a last one may be shorter
    rows[:, :whole * group].unflatten(1, (-1, group)).mul_(scale[:, :whole, None])
    rows[:, whole * group:].mul_(scale[:, whole:])
    return rows


class LowBitLinear(nn.Module):
    """y = x Ŵᵀ with a frozen weight in 8 or 4 bits, computed in the type of x.

    `weight` and `weight_scale` are shaped as `pack` says. They never learn, but gradients go through to x: what stands
    before this layer can learn, and so can an adapter beside it.
    """

    def __init__(self, in_features: int, out_features: int, bits: int):
        super().__init__()
        self.in_features, self.out_features, self.bits = in_features, out_features, bits
        columns, groups = (in_features, 1) if bits == 8 else (-(-in_features // 2), -(-in_features // GROUP))
        weight = torch.empty(out_features, columns, dtype=torch.int8 if bits == 8 else torch.uint8)
        scale = torch.empty(out_features, groups, dtype=torch.bfloat16)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.weight_scale = nn.Parameter(scale, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        return _Product.apply(x, self.weight, self.weight_scale)

    def unpacked(self, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
        """The rows of the matrix, in order, a few (n, inputs) at a time."""
        return _unpacked(self.weight, self.weight_scale, self.in_features, dtype)


def rows_at_once(inputs: int, device: torch.device) -> int:
    """How many rows to hold unpacked: on a CPU what its cache holds, elsewhere what keeps it busy. Even in float32
    that is 4 and 256 MB. From 64 on, a multiple of it: a GPU multiplies odd numbers of rows several times as slowly."""
    rows = max(1, 2 ** (20 if device.type == "cpu" else 26) // inputs)
    return rows // 64 * 64 or rows


def _unpacked(weight: Tensor, scale: Tensor, inputs: int, dtype: torch.dtype) -> Iterator[Tensor]:
    some = rows_at_once(inputs, weight.device)
    return (unpack(*pair, inputs, dtype) for pair in zip(weight.split(some), scale.split(some), strict=True))


class _Product(Function):
    """x Ŵᵀ. Autograd would keep the unpacked rows for the way back; this unpacks them again (as QLoRA does).

    Results go into a tensor that is there already. Small new ones would lie between the places that unpacked rows have
    left, which the C library could then not use again: in the end each row would have had a place of its own.
    """

    @staticmethod
    def forward(context, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        context.save_for_backward(weight, scale)
        context.inputs = x.shape[-1]
        y = x.new_empty(*x.shape[:-1], len(weight))
        parts = y.split(rows_at_once(x.shape[-1], x.device), dim=-1)
        for part, rows in zip(parts, _unpacked(weight, scale, x.shape[-1], x.dtype), strict=True):
            part.copy_(F.linear(x, rows))
        return y

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None, None]:
        dtype = gradient.dtype
        wide = torch.promote_types(dtype, torch.float32)  # in which to add up
        total = gradient.new_zeros(*gradient.shape[:-1], context.inputs, dtype=wide)
        parts = gradient.split(rows_at_once(context.inputs, gradient.device), dim=-1)
        for part, rows in zip(parts, _unpacked(*context.saved_tensors, context.inputs, dtype), strict=True):
            total += part @ rows
        return total.to(dtype), None, None


def shrink_layers(model: LLaDAV):
    """Put low-bit layers without weights, as the config says, in place of the language model's linear layers.

    Only `lm_head` stays with 8 bits: nothing behind it evens out its errors. Where it has the embeddings' weights, it
    stays as it is.
    """
    for parent in list(model.language_model.modules()):
        for name, linear in list(parent.named_children()):
            bits = 8 if name == "lm_head" else model.config.weight_bits
            if isinstance(linear, nn.Linear) and not (name == "lm_head" and model.config.tied_embeddings):
                setattr(parent, name, LowBitLinear(linear.in_features, linear.out_features, bits))


def low_bit_layers(model: nn.Module) -> dict[str, LowBitLinear]:
    """The low-bit layers in a model, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LowBitLinear)}


def low_bit_types(model: nn.Module) -> dict[str, torch.dtype]:
    """The types of their weights and scales, by name."""
    return {f"{name}.{key}": part.dtype for name, layer in low_bit_layers(model).items()
            for key, part in layer.named_parameters()}


def pack_weights(model: LLaDAV, read: Callable[[str, slice], Tensor], device: torch.device) -> dict[str, Tensor]:
    """Weights and scales for the low-bit layers of `model`, by name, on `device`.

    `read` gives some rows of a weight in a float type, so no matrix need ever be there whole. Raises `InputError` as
    `pack` does, with the name.
    """
    layers = low_bit_layers(model)
    packed = {f"{name}.{key}": torch.empty(part.shape, dtype=part.dtype, device=device)
              for name, layer in layers.items() for key, part in layer.named_parameters()}
    for name, layer in tqdm(layers.items(), desc="packing", unit="matrix", delay=2, leave=False):
        weight, scale = packed[f"{name}.weight"], packed[f"{name}.weight_scale"]
        some = rows_at_once(layer.in_features, device)
        for first in range(0, layer.out_features, some):
            rows = slice(first, first + some)
            try:
                weight[rows], scale[rows] = pack(read(f"{name}.weight", rows).to(device), layer.bits)
            except InputError as error:
                raise InputError(f"{released_name(name)}.weight: {error}") from None
    return packed
