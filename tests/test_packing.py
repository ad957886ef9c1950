"""Several canvases in one pass: the logits that each gives alone, and no more work or waiting than that takes."""

from contextlib import ExitStack
from copy import deepcopy
from unittest.mock import patch

import torch
from device import DEVICE, assert_close
from golden_data import golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answer_batch import requests
from torch.utils._python_dispatch import TorchDispatchMode

from minllada_v.answer import encode_images, prepare, prompt_ids
from minllada_v.packing import packed_denoiser
from minllada_v.sampler import ModelInput, sample

MODEL, TOKENIZER = golden_model()
NUMBERLESS = deepcopy(MODEL).to("meta")
FEATURES = [[], encode_images(MODEL, [picture(0)])]


@st.composite
def canvases(draw):
    """Whether its keys and values are kept, pictures, token ids, where the active block is and what a stop cuts out."""
    features = draw(st.sampled_from(FEATURES))
    prompt = prompt_ids(TOKENIZER, draw(st.sampled_from(["Hi", "What is it?"])), features)
    block, behind, gap, suffix = (draw(st.integers(least, 4)) for least in (1, 0, 0, 0))
    start = len(prompt)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    ids = torch.cat([prompt, torch.randint(0, 200, (block + behind + gap + suffix,), generator=generator)])
    left = torch.cat([torch.arange(start + block + behind), torch.arange(len(ids) - suffix, len(ids))])
    return draw(st.booleans()), features, ids, left, slice(start, start + block)


@settings(deadline=None, max_examples=25)
@given(st.lists(canvases(), min_size=1, max_size=3))
def test_each_input_gets_what_the_model_says_of_its_canvas_alone(drawn):
    """Side by side and while the canvases stay as they are: all of each, then what a stop leaves of it, then the block
    from what is kept. Every place keeps its position, and what was cut out is seen no more."""
    denoise = packed_denoiser(MODEL, [features for _, features, *_ in drawn])
    kv_caches = [[] if keeps else None for keeps, *_ in drawn]

    def check(cut: bool, alone: bool):
        inputs, expected = [], []
        for number, (keeps, features, ids, left, block) in enumerate(drawn):
            positions = left if cut else torch.arange(len(ids))
            window, asked = block if alone and keeps else slice(0, len(positions)), torch.arange(len(ids))[block]
            inputs.append(ModelInput(number, ids[positions], positions, window, asked, kv_caches[number]))
            expected.append(MODEL(ids[positions].to(DEVICE), features, asked, position_ids=positions.to(DEVICE)))
        assert_close(denoise(inputs), torch.cat(expected), rtol=1e-4, atol=1e-4)

    with torch.no_grad():
        check(cut=False, alone=False)
        check(cut=False, alone=True)
        check(cut=True, alone=False)
        check(cut=True, alone=True)


class Numberless(TorchDispatchMode):
    """The meta device in place of a GPU: its tensors have shapes but no numbers, so whatever asks for one fails. Only
    copies to the CPU are let through, as made-up choices of the sampler. `waits` counts what a GPU is waited for."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator, self.waits = torch.Generator().manual_seed(seed), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        there = (kwargs or {}).get("device")
        if func is torch.ops.aten._to_copy.default and there not in (None, args[0].device):
            self.waits += not kwargs.get("non_blocking")
            if there.type == "cpu":
                return torch.rand(args[0].shape, generator=self.generator, dtype=torch.float64)  # token 0, how sure
        if func is torch.ops.aten.index_put_.default:  # with a mask, whose True would be counted
            self.waits += any(index is not None and index.dtype == torch.bool for index in args[1])
        return func(*args, **(kwargs or {}))


@settings(deadline=None, max_examples=12)
@given(st.lists(requests(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_step_waits_for_the_device_once_and_computes_what_is_asked(asked, seed):
    """Whatever the settings: after each pass a GPU is waited for once, to fetch the choices; attention never gets a
    mask; and the last layer computes only keys and values where no logits are asked for."""
    features = [encode_images(MODEL, request.images) for request in asked]
    denoise = packed_denoiser(NUMBERLESS, features)
    canvases = [prepare(MODEL, TOKENIZER, prompt_ids(TOKENIZER, request.prompt, shown, request.history),
                        request.sampler) for request, shown in zip(asked, features, strict=True)]
    for canvas in canvases:
        canvas.generator = None  # there is none for this device
    masks, sizes, passes = set(), set(), 0
    language_model, attention = NUMBERLESS.language_model, torch.nn.functional.scaled_dot_product_attention

    def attend(*tensors, attn_mask=None, **options):
        masks.add(attn_mask)
        return attention(*tensors, attn_mask=attn_mask, **options)

    last = language_model.layers[-1]
    with ExitStack() as stack:
        for module in (last.self_attn.q_proj, last.self_attn.o_proj, last.mlp, language_model.lm_head):
            stack.callback(module.register_forward_pre_hook(lambda _, inputs: sizes.add(inputs[0].shape[-2])).remove)
        stack.enter_context(patch("torch.nn.functional.scaled_dot_product_attention", attend))
        watched = stack.enter_context(Numberless(seed))
        for steps in sample(denoise, canvases):
            passes += 1
            assert sizes == {sum(len(step.candidates) * (2 if canvases[number].config.cfg_scale else 1)
                                 for number, step in steps)}
            sizes.clear()
    assert masks == {None} and watched.waits == passes
