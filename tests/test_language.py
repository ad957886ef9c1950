"""The bidirectional transformer: the released logits, and what bidirectional means."""

from dataclasses import replace

import pytest
import torch
from device import DEVICE, assert_close, same
from golden_data import CASES, CLOSE, TENSORS, golden_model, picture
from hypothesis import example, given, settings
from hypothesis import strategies as st
from literal import literal_attention, literal_block_pass

from minllada_v.answer import encode_images, prompt_ids
from minllada_v.config import Config
from minllada_v.language import LanguageModel, bidirectional, rotary_angles, rotate
from minllada_v.layers import ROWS, LayerNorm, Linear, RMSNorm
from minllada_v.model import splice
from minllada_v.packing import Segment, packed
from minllada_v.training.batch import dialogue_causal_mask, masked
from minllada_v.training.conversations import training_example

MODEL, TOKENIZER = golden_model()
SMALL = Config(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
               vocab_size=50, rms_norm_eps=1e-5, rope_theta=500000.0, max_length=64)
seeds = st.integers(0, 2**32)


def random_model(seed: int, config: Config = SMALL) -> LanguageModel:
    model = LanguageModel(config).requires_grad_(False).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.to(DEVICE)


def random_embeds(seed: int, length: int) -> torch.Tensor:
    return torch.randn(1, length, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(DEVICE)


@pytest.mark.parametrize("index", range(7))
def test_golden_logits(index):
    features = encode_images(MODEL, [picture(CASES["prompts"][index]["image"])])
    ids = prompt_ids(TOKENIZER, "Describe the image in detail.", features).to(DEVICE)
    last = torch.arange(len(ids) - 8, len(ids))
    logits = MODEL(ids, features, last)
    assert_close(logits, TENSORS[f"prompt/{index}/last_logits"], **CLOSE)
    hidden_states = MODEL.language_model(MODEL.embed(ids[None], features))[0]
    assert_close(hidden_states.norm(dim=-1), TENSORS[f"prompt/{index}/hidden_norms"], **CLOSE)


def test_golden_logits_of_two_pictures():
    features = encode_images(MODEL, [picture(index) for index in CASES["multi"]["images"]])
    ids = prompt_ids(TOKENIZER, "What is the difference?", features).to(DEVICE)
    logits = MODEL(ids, features, torch.arange(len(ids) - 4, len(ids)))
    assert_close(logits, TENSORS["multi/last_logits"], **CLOSE)


def test_golden_dialogue_causal_logits():
    """Sample 1, nothing masked; the features of the picture belong to the turn they stand in."""
    case = CASES["dialogue"]
    input_ids, _, part_ids = training_example(TOKENIZER, CASES["samples"][case["sample"]]["conversations"])
    features = encode_images(MODEL, [picture(case["image"])])
    source = splice(torch.tensor(input_ids), [len(features[0])])
    embeds = MODEL.embed(torch.tensor(input_ids)[source][None].to(DEVICE), features)
    mask = dialogue_causal_mask(torch.tensor(part_ids)[source][None] // 2).to(DEVICE)
    logits = MODEL.language_model.lm_head(MODEL.language_model(embeds, masked(mask)))[0]
    assert_close(logits[:4], TENSORS["dialogue/first_logits"], **CLOSE)
    assert_close(logits[-4:], TENSORS["dialogue/last_logits"], **CLOSE)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 7), st.sampled_from([1, 2, 4]), st.booleans())
def test_attention_is_the_literal_softmax(seed, length, key_value_heads, hides):
    """Grouped-query attention equals a loop over heads and queries, with and without a mask."""
    layer = random_model(seed, replace(SMALL, num_key_value_heads=key_value_heads)).layers[0].self_attn
    x = random_embeds(seed, length)
    cos, sin = (angle.double() for angle in rotary_angles(torch.arange(length, device=DEVICE), 4, 100.0))
    mask = torch.rand(length, length, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask = (mask | torch.eye(length, dtype=torch.bool)).to(DEVICE)
    attend = masked(mask[None, None]) if hides else bidirectional
    out = layer(x, cos, sin, attend, slice(None), 0)
    q, k, v = ((x[0] @ projection.weight.T).view(length, -1, 4).transpose(0, 1)
               for projection in (layer.q_proj, layer.k_proj, layer.v_proj))
    expected = literal_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, mask if hides else None)
    assert_close(out[0], expected.transpose(0, 1).flatten(1) @ layer.o_proj.weight.T)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 9))
def test_asking_for_some_positions_gives_what_all_would(seed, length):
    """Restricting the last layer to the asked positions changes nothing there, in any order, with repeats."""
    model, embeds = random_model(seed), random_embeds(seed, length)
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randint(0, length, (5,), generator=generator)
    mask = dialogue_causal_mask(torch.randint(0, 3, (1, length), generator=generator)).to(DEVICE)
    for attend in (bidirectional, masked(mask)):
        everything = model(embeds, attend)
        assert_close(model(embeds, attend, positions), everything[:, positions])


@settings(deadline=None, max_examples=30)
@given(seeds, st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7), st.booleans()), min_size=1, max_size=4))
@example(0, [(1, 3, False), (3, 1, True)])  # as many are asked as there are, but not of each
def test_sequences_in_one_pass_do_not_see_each_other(seed, sequences):
    """Several sequences one behind another, each with positions of its own, give at what is asked of each what each
    alone gives there, with a cache or without."""
    model, generator = random_model(seed), torch.Generator().manual_seed(seed)
    embeds = [random_embeds(seed + number, length) for number, (length, _, _) in enumerate(sequences)]
    asked = [torch.randint(0, length, (count,), generator=generator) for length, count, _ in sequences]
    position_ids = [torch.arange(length) for length, _, _ in sequences]
    start, segments = 0, []
    for (length, count, keeps), own in zip(sequences, asked):
        segments.append(Segment(length, count, slice(0, length), slice(0, length), [] if keeps else None))
        own += start
        start += length
    together = model(torch.cat(embeds, 1), packed(segments), torch.cat(asked), torch.cat(position_ids).to(DEVICE))
    alone = [model(own)[:, chosen - sum(length for length, _, _ in sequences[:number])]
             for number, (own, chosen) in enumerate(zip(embeds, asked))]
    assert_close(together, torch.cat(alone, 1))
    assert [it.kv_cache and len(it.kv_cache) for it in segments] == [2 if keeps else None for _, _, keeps in sequences]


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 6), st.integers(1, 4), st.integers(0, 4), st.sampled_from([1, 2, 4]))
def test_a_block_alone_sees_the_rest_as_it_was(seed, start, width, behind, key_value_heads):
    """Running only a block gives what the literal pass gives that keeps all layers' other keys and values. Running
    everything again gives what it would without anything kept, bit for bit."""
    model = random_model(seed, replace(SMALL, num_key_value_heads=key_value_heads))
    stop, length, kv_cache = start + width, start + width + behind, []
    before, after, last = (random_embeds(seed + number, length) for number in range(3))

    def run(embeds, place):
        count = place.stop - place.start
        segment = Segment(count, count, place, slice(0, length), kv_cache)
        return model(embeds[:, place], packed([segment]), None, torch.arange(length, device=DEVICE)[place])

    whole, block = slice(0, length), slice(start, stop)
    assert same(run(before, whole), model(before))
    assert_close(run(after, block)[0], literal_block_pass(model, before[0], after[0], start, stop))
    assert_close(run(last, block)[0], literal_block_pass(model, before[0], last[0], start, stop))
    assert same(run(after, whole), model(after))


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_places_that_left_are_seen_no_more(seed, width, gap, behind):
    """After positions have left the middle of a sequence, a pass over what is left looks at nothing else that is kept,
    and the places behind the gap keep their positions."""
    model, kv_cache, length = random_model(seed), [], width + gap + behind
    embeds = random_embeds(seed, length)
    left = torch.cat([torch.arange(width), torch.arange(width + gap, length)]).to(DEVICE)
    everything = Segment(length, length, slice(0, length), slice(0, length), kv_cache)
    model(embeds, packed([everything]), None, torch.arange(length, device=DEVICE))
    fresh = model(embeds[:, left], packed([Segment(len(left), len(left), left, left, kv_cache)]), None, left)
    assert_close(fresh, model(embeds[:, left], bidirectional, None, left))
    block = Segment(width, width, slice(0, width), left, kv_cache)
    assert_close(model(embeds[:, :width], packed([block]), None, left[:width]), fresh[:, :width])


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 8), st.data())
def test_every_position_sees_every_other(seed, length, data):
    """Bidirectional: changing any one input changes the output everywhere, before it too."""
    model, embeds = random_model(seed), random_embeds(seed, length)
    changed = embeds.clone()
    changed[0, data.draw(st.integers(0, length - 1))] += 1
    assert ((model(embeds) - model(changed)).abs().sum(-1) > 0).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_a_turn_never_sees_a_later_one(seed, turns):
    """Dialogue-causal: changing the inputs of the last turn leaves all earlier turns as they were."""
    turn_ids = torch.tensor([sorted(turns)], device=DEVICE)
    model, embeds = random_model(seed), random_embeds(seed, len(turns))
    changed = embeds.clone()
    last = turn_ids[0] == turn_ids.max()
    changed[0, last] += 1
    mask = dialogue_causal_mask(turn_ids)
    before, after = model(embeds, masked(mask))[0], model(changed, masked(mask))[0]
    assert same(before[~last], after[~last]) and not same(before[last], after[last])


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_rotary_products_depend_on_the_distance_only(seed, first, second, shift):
    """⟨rotate(q, i), rotate(k, j)⟩ = ⟨rotate(q, i + s), rotate(k, j + s)⟩, and lengths never change."""
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cos, sin = (angle.double() for angle in rotary_angles(torch.arange(41), 8, 500000.0))
    at = lambda x, place: rotate(x, cos[place], sin[place])  # noqa: E731
    here, there = at(q, first) @ at(k, second), at(q, first + shift) @ at(k, second + shift)
    assert_close(here, there, rtol=1e-5, atol=1e-5)
    assert_close(at(q, first).norm(), q.norm(), rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([1, 5, ROWS + 3]))
def test_stored_bfloat16_computes_as_if_converted(seed, width):
    """Weights kept in bfloat16 give, for float32 input, what float32 copies of them give."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 16, generator=generator).to(DEVICE)
    for layer in (Linear(16, width), Linear(16, width, bias=False), LayerNorm(16), RMSNorm(16)):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            stored = layer.to(DEVICE, torch.bfloat16)
            out = stored(x)
            assert out.dtype == torch.float32 and next(stored.parameters()).dtype == torch.bfloat16
            assert_close(out, layer.float()(x))


def test_every_norm_uses_the_configured_epsilon():
    """Where the input is tiny, x / √(x² + ε) is x / √ε: with ε = 4 every norm of the model halves it."""
    model = random_model(0, replace(SMALL, rms_norm_eps=4.0))
    norms = [model.norm, *(norm for layer in model.layers
                           for norm in (layer.input_layernorm, layer.post_attention_layernorm))]
    assert len(norms) == 1 + 2 * SMALL.num_hidden_layers
    tiny = torch.full((16,), 1e-6, dtype=torch.float64, device=DEVICE)
    for norm in norms:
        assert_close(norm(tiny), tiny / 2 * norm.weight)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 9))
def test_a_mask_of_keys_hides_them_from_everybody(seed, length):
    """A mask (batch, 1, 1, length), as padding needs it, gives what the dense one does, at all or at some positions."""
    model, embeds = random_model(seed), random_embeds(seed, length)
    keys = torch.rand(1, 1, 1, length, generator=torch.Generator().manual_seed(seed)) < 0.5
    keys[..., 0] = True
    keys = keys.to(DEVICE)
    dense, some = keys.expand(1, 1, length, length), torch.tensor([length - 1, 0])
    assert_close(model(embeds, masked(keys)), model(embeds, masked(dense)))
    assert_close(model(embeds, masked(keys), some), model(embeds, masked(dense))[:, some])


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_rms_statistics_are_float32(seed):
    """In bfloat16 the mean square is taken in float32 and the result rounded once."""
    x = torch.randn(3, 512, generator=torch.Generator().manual_seed(seed)).bfloat16().to(DEVICE) * 100
    exact = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)
    assert_close(RMSNorm(512, eps=1e-5).to(DEVICE, torch.bfloat16)(x), exact.bfloat16(), rtol=0.008, atol=0)
