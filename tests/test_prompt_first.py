"""A prompt that does not see its answer: kept keys and values are those that computing everything again would give."""

from copy import copy
from dataclasses import replace

import pytest
import torch
from device import DEVICE, assert_close
from golden_data import golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answer_batch import requests

from minllada_v import InputError, Request, SamplerConfig, answer_batch
from minllada_v.answer import encode_images, prepare, prompt_ids
from minllada_v.chat import END_OF_TURN, IGNORED, MASK
from minllada_v.evaluation.likelihood import answer_bounds, likelihood_bound
from minllada_v.language import attention, bidirectional
from minllada_v.packing import packed_denoiser, update
from minllada_v.prompt_first import prompt_first_denoiser
from minllada_v.sampler import ModelInput, sample
from minllada_v.training.batch import masked
from minllada_v.training.conversations import parts

BIDIRECTIONAL, TOKENIZER = golden_model()
MODEL = copy(BIDIRECTIONAL)  # the same weights
MODEL.config = replace(BIDIRECTIONAL.config, attention="prompt-first")


def table(part_ids) -> torch.Tensor:
    """(length, length) bool, True where a query (row) sees a key: no part sees a later one."""
    return torch.tensor([[key <= query for key in part_ids] for query in part_ids], device=DEVICE)


def everything_again(prompts: list[list[int]], features: list):
    """A slow denoiser: it runs whatever the sampler asks for, the prompt included, with a table of who sees whom. What
    the sampler itself keeps between its refreshes is as old as it would be without this attention."""
    def logits(it: ModelInput) -> torch.Tensor:
        length = int(it.position_ids[-1]) + 1
        sees = table(prompts[it.canvas] + [prompts[it.canvas][-1] + 1] * (length - len(prompts[it.canvas])))
        there, visible = it.position_ids[it.window].to(DEVICE), it.position_ids.to(DEVICE)

        def attend(q, k, v, queries, layer):
            if it.kv_cache is not None:
                k, v = (each[:, :, visible] for each in update(it.kv_cache, layer, k, v, there, length))
            return attention(q, k, v, sees[there][:, visible][queries])

        ids = it.ids[it.window].to(DEVICE)
        asked = it.logits_at.to(DEVICE) - it.window.start
        return MODEL(ids, features[it.canvas] if (ids < 0).any() else (), asked, attend, there)

    return torch.no_grad()(lambda inputs: torch.cat([logits(it) for it in inputs]))


@settings(deadline=None, max_examples=12)
@given(st.lists(requests(), min_size=1, max_size=3))
def test_what_is_kept_is_what_would_be_computed_again(asked):
    """At each step all logits are those of the slow denoiser, and the answers are the same, token for token, whatever
    the prompts, pictures, earlier turns and settings."""
    features = [encode_images(MODEL, request.images) for request in asked]
    canvases = [prepare(MODEL, TOKENIZER, prompt_ids(TOKENIZER, request.prompt, shown, request.history, "Be brief."),
                        request.sampler) for request, shown in zip(asked, features)]
    prompts = [parts(TOKENIZER, canvas.ids[:canvas.first].tolist()) for canvas in canvases]
    assert [prompt[-1] for prompt in prompts] == [2 * len(request.history) for request in asked]
    slow, kept, answers = everything_again(prompts, features), prompt_first_denoiser(MODEL, prompts, features), {}

    def both(inputs):
        expected = slow(inputs)
        assert_close(kept(inputs), expected, rtol=1e-4, atol=1e-4)
        return expected

    for steps in sample(both, canvases):
        answers |= {number: step.answer.tolist() for number, step in steps}
    replies = answer_batch(MODEL, TOKENIZER, [replace(request, system="Be brief.") for request in asked])
    assert [reply.tokens for reply in replies] == [answers[number] for number in range(len(asked))]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_a_prompt_notices_nothing_of_its_answer(seed, turns):
    """Nor does any part of a dialogue notice a later one; in the bidirectional model every place does."""
    history = [("Hi", "Hello.")] * (turns - 1)
    prompt = prompt_ids(TOKENIZER, "What is it?", (), history)
    part_ids = parts(TOKENIZER, prompt.tolist() + [9] * 4)
    generator = torch.Generator().manual_seed(seed)
    changed_part = int(torch.randint(1, 2 * turns, (), generator=generator))
    one = torch.cat([prompt, torch.randint(0, 200, (4,), generator=generator)])
    other = torch.where(torch.tensor(part_ids) == changed_part, (one + 1) % 200, one)
    earlier = torch.tensor(part_ids, device=DEVICE) < changed_part
    assert earlier.any() and not earlier.all()
    for attend, notices in ((masked(table(part_ids)[None, None]), ~earlier), (bidirectional, earlier | True)):
        with torch.no_grad():
            before, after = (MODEL.language_model(MODEL.embed(ids[None].to(DEVICE), ()), attend)[0]
                             for ids in (one, other))
        assert (((before - after).abs().amax(dim=-1) > 0) == notices).all()


def test_a_prompt_runs_once(monkeypatch):
    """For guidance a second one does, all masks. After that only what stands behind it runs."""
    sizes, forward = [], type(MODEL).forward
    monkeypatch.setattr(type(MODEL), "forward", lambda model, ids, *rest: sizes.append(len(ids)) or forward(
        model, ids, *rest))
    samplers = [SamplerConfig(4, steps=2), SamplerConfig(4, refresh_every=4),
                SamplerConfig(2, steps=1, cfg_scale=1.0, suffix="So.")]
    asked = [Request("Hi", [picture(0)], sampler=samplers[0]), Request("And?", (), sampler=samplers[1]),
             Request("And that?", history=[("Hi", "Hello.")], sampler=samplers[2])]
    lengths = [len(prompt_ids(TOKENIZER, it.prompt, encode_images(MODEL, it.images), it.history)) for it in asked]
    answer_batch(MODEL, TOKENIZER, asked)
    suffix = len(TOKENIZER.encode("So."))
    assert sizes == [*lengths, lengths[2], 4 + 4 + 2 * (2 + suffix), 4 + 4, 4, 4]


def test_the_bound_of_an_answer_is_that_of_a_network_handed_the_table():
    features = encode_images(MODEL, [picture(0)])
    ids = prompt_ids(TOKENIZER, "What?", features, system="Be brief.").tolist()
    bounds, expected = [answer_bounds(it, TOKENIZER, "What?", ["Yes", "Not"], features, "Be brief.", 4, 7)
                        for it in (MODEL, BIDIRECTIONAL)], []
    for text in ("Yes", "Not"):
        tokens = [*TOKENIZER.encode(text), TOKENIZER.token_id(END_OF_TURN)]
        row = torch.tensor([ids + tokens], device=DEVICE)
        attend = masked(table([0] * len(ids) + [1] * len(tokens))[None, None])
        labels = row.clone()
        labels[:, :len(ids)] = IGNORED

        def denoise(canvas, masked, attend=attend):
            hidden_states = MODEL.language_model(MODEL.embed(canvas, features), attend)
            return MODEL.language_model.lm_head(hidden_states[masked])

        with torch.no_grad():
            expected.append(likelihood_bound(denoise, row, labels, TOKENIZER.token_id(MASK), 4,
                                             torch.Generator().manual_seed(7)).mean().item())
    assert bounds[0] == pytest.approx(expected, rel=1e-5) and bounds[1] != pytest.approx(expected, rel=1e-3)


def test_a_model_is_not_asked_in_another_way_than_it_was_trained_in():
    with pytest.raises(InputError, match="attention prompt-first, and would be asked with bidirectional"):
        packed_denoiser(MODEL, [[]])
    with pytest.raises(InputError, match="attention bidirectional, and would be asked with prompt-first"):
        prompt_first_denoiser(BIDIRECTIONAL, [[0]], [[]])
