"""The autoregressive twin: what causal means, that keeping keys and values changes nothing, and the textbook loss."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from device import DEVICE, assert_close
from golden_data import golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError, SamplerConfig, answer
from minllada_v.answer import answer_steps, encode_images, prompt_ids
from minllada_v.autoregressive import causal, next_token_loss
from minllada_v.config import Config
from minllada_v.language import LanguageModel
from minllada_v.model import LLaDAV
from minllada_v.training.batch import Batch, masked, pad, splice_batch
from minllada_v.training.conversations import training_example

GOLDEN, TOKENIZER = golden_model()
SMALL = Config(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
               vocab_size=50, rms_norm_eps=1e-5, rope_theta=500000.0, max_length=64)
NEVER = [TOKENIZER.special[name] for name in (
    "<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|mdm_mask|>")]
TWIN = deepcopy(GOLDEN)  # the same weights, said to have been trained to write from left to right
TWIN.config = replace(GOLDEN.config, autoregressive=True)
seeds = st.integers(0, 2**32)


def random_model(seed: int, config: Config = SMALL) -> LLaDAV:
    model = LLaDAV(config, torch.float64).requires_grad_(False).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.to(DEVICE)


def random_embeds(seed: int, length: int) -> torch.Tensor:
    return torch.randn(1, length, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(DEVICE)


def decode(model: LLaDAV, ids: torch.Tensor, features: list[torch.Tensor], sampler: SamplerConfig) -> list[int]:
    """The tokens of the answer to the prompt `ids`."""
    *_, last = answer_steps(model, TOKENIZER, ids, features, sampler)
    return last.answer.tolist()


def masked_everywhere(model: LanguageModel, embeds: torch.Tensor) -> torch.Tensor:
    """The same by the released network's own forward, told by a mask what is hidden: no cache, no other code."""
    length = embeds.shape[1]
    return model(embeds, masked(torch.ones(length, length, device=DEVICE).tril().bool()[None, None]))


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 9), st.data())
def test_a_position_never_depends_on_later_ones(seed, length, data):
    """Changing one input leaves everything before it as it was, and changes it and everything behind it."""
    model, embeds = random_model(seed).language_model, random_embeds(seed, length)
    place = data.draw(st.integers(0, length - 1))
    changed = embeds.clone()
    changed[0, place] += 1
    before, after = model(embeds, causal())[0], model(changed, causal())[0]
    assert_close(before[:place], after[:place])
    assert ((before - after)[place:].abs().sum(dim=-1) > 1e-9).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 9), st.sampled_from([1, 2, 4]))
def test_it_is_the_same_network_with_a_causal_mask(seed, length, key_value_heads):
    """Whatever the number of key-value heads."""
    model = random_model(seed, replace(SMALL, num_key_value_heads=key_value_heads)).language_model
    embeds = random_embeds(seed, length)
    assert_close(model(embeds, causal()), masked_everywhere(model, embeds))


@settings(deadline=None, max_examples=30)
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_cached_keys_and_values_change_nothing(seed, pieces):
    """However a sequence is cut into pieces, one call after another gives what a single one does, at all positions or
    at some."""
    length = sum(pieces)
    model, embeds = random_model(seed).language_model, random_embeds(seed, length)
    kv_cache, found, some, before = [], [], [], 0
    expected = model(embeds, causal())
    for piece in embeds.split(pieces, dim=1):
        position_ids = torch.arange(before, before + piece.shape[1], device=DEVICE)
        last = torch.tensor([piece.shape[1] - 1, 0])
        found.append(model(piece, causal(kv_cache, before, length), None, position_ids))
        some.append(model(piece, causal(kv_cache, before, length), last, position_ids))
        assert_close(some[-1], expected[:, position_ids[last]])
        before += piece.shape[1]
    assert_close(torch.cat(found, dim=1), expected)
    assert [k.shape[2] for k, _ in kv_cache] == [length] * 2


def textbook_loss(model: LLaDAV, ids: torch.Tensor, labels: torch.Tensor) -> float:
    """Σ −log p(token | the tokens before it) / n, each probability from a pass over no more than those before."""
    nats = []
    for place in range(1, len(ids)):
        if labels[place] != -100:
            hidden_states = masked_everywhere(model.language_model, model.embed(ids[None, :place], ()))
            probabilities = model.language_model.lm_head(hidden_states[0, -1]).softmax(dim=-1)
            nats.append(-math.log(probabilities[labels[place]]))
    return sum(nats) / len(nats)


@settings(deadline=None, max_examples=20)
@given(seeds, st.lists(st.integers(2, 7), min_size=1, max_size=3))
def test_the_loss_is_the_textbook_sum(seed, lengths):
    """For sequences of any length beside each other, some of whose tokens are no targets: each has the loss that it
    has alone, and what fills up the shorter ones counts nowhere."""
    model, generator = random_model(seed), torch.Generator().manual_seed(seed)
    ids, labels = (torch.full((len(lengths), max(lengths)), fill) for fill in (0, -100))
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(0, 50, (length,), generator=generator)
        targets = torch.rand(length, generator=generator) < 0.6
        targets[-1] = True
        labels[row, :length] = ids[row, :length].where(targets, torch.tensor(-100))
    ids, labels = ids.to(DEVICE), labels.to(DEVICE)
    losses = next_token_loss(model, Batch(ids, labels, (), None))
    for row, length in enumerate(lengths):
        assert losses[row].item() == pytest.approx(textbook_loss(model, ids[row, :length], labels[row, :length]))


def test_conversations_about_pictures_have_the_same_targets_as_in_diffusion():
    """Two examples of unequal length, padded and spliced as for the masked loss: each loss is its mean over the padded
    targets, worked out from the logits of a pass of its own."""
    conversations = [[{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A red star."}],
                     [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello. What can I do?"}]]
    examples = [training_example(TOKENIZER, conversation, "Be brief.") for conversation in conversations]
    input_ids, labels, _ = (part.to(DEVICE) for part in pad(examples, TOKENIZER.special["<|endoftext|>"]))
    features = [encode_images(GOLDEN, [picture(0)]), []]
    losses = next_token_loss(GOLDEN, splice_batch(input_ids, labels, features))
    for row in range(2):
        single = splice_batch(input_ids[row:row + 1], labels[row:row + 1], features[row:row + 1])
        embeds = GOLDEN.embed(single.ids, single.features)
        hidden_states = masked_everywhere(GOLDEN.language_model, embeds)
        log_p = GOLDEN.language_model.lm_head(hidden_states[0]).log_softmax(dim=-1)
        places = [place for place in range(1, single.labels.shape[1]) if single.labels[0, place] != -100]
        expected = -sum(log_p[place - 1, single.labels[0, place]].item() for place in places) / len(places)
        assert losses[row].item() == pytest.approx(expected, rel=1e-4)


def test_who_knows_nothing_pays_log_v_per_token_and_learns_by_the_gradient():
    model = random_model(0)
    model.language_model.lm_head.weight.zero_()
    ids = torch.arange(6, device=DEVICE)[None]
    assert next_token_loss(model, Batch(ids, ids, (), None)).item() == pytest.approx(math.log(50))
    model.requires_grad_(True)
    next_token_loss(model, Batch(ids, ids, (), None)).sum().backward()
    gradient = model.language_model.lm_head.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


@pytest.mark.parametrize("labels", [[-100, -100, -100], [7, -100, -100]])
def test_a_sequence_without_targets_is_named(labels):
    """The first token is none: nothing comes before it."""
    ids = torch.tensor([[1, 2, 3], [1, 2, 3]])
    with pytest.raises(InputError, match="sequence 1 of the batch has no target"):
        next_token_loss(random_model(0), Batch(ids, torch.tensor([[1, 2, 3], labels]), (), None))


@pytest.mark.parametrize("shown", [0, 1])
def test_greedy_decoding_takes_the_likeliest_token_each_time(shown):
    """As a loop does that runs everything again for every token; the tokens of the chat format are never written."""
    features = encode_images(GOLDEN, [picture(0)]) if shown else []
    ids = prompt = prompt_ids(TOKENIZER, "What is in the picture?", features).to(DEVICE)
    for _ in range(8):
        hidden_states = masked_everywhere(GOLDEN.language_model, GOLDEN.embed(ids[None], features))
        logits = GOLDEN.language_model.lm_head(hidden_states[0, -1])
        logits[NEVER] = -torch.inf
        ids = torch.cat([ids, logits.argmax()[None]])
    said = decode(TWIN, prompt, features, SamplerConfig(8))
    expected = ids[len(prompt):].tolist()
    assert said == expected[:len(said)]
    assert len(said) == 8 or expected[len(said)] == TOKENIZER.special["<|eot_id|>"]


def test_a_temperature_draws_by_the_seed():
    """Equal seeds give equal answers, others differ; a tiny temperature is none, and a huge one draws all over."""
    ids = prompt_ids(TOKENIZER, "What?")
    said = [tuple(decode(TWIN, ids, [], SamplerConfig(6, temperature=temperature, seed=seed)))
            for temperature, seed in ((2.0, 1), (2.0, 1), (2.0, 2), (1e-9, 1), (0.0, 1))]
    assert said[0] == said[1] != said[2] and said[3] == said[4] != said[0]
    drawn = [decode(TWIN, ids, [], SamplerConfig(1, temperature=100.0, seed=seed)) for seed in range(40)]
    assert len({token for tokens in drawn for token in tokens}) > 25 and not {*sum(drawn, [])} & {*NEVER}


def test_tokens_of_the_chat_format_are_never_written():
    """However much the model favours them."""
    model = deepcopy(TWIN)
    model.language_model.lm_head.weight[NEVER] *= 100
    for temperature in (0.0, 1.0):
        said = decode(model, prompt_ids(TOKENIZER, "What?"), [], SamplerConfig(8, temperature=temperature))
        assert said and not {*said} & {*NEVER}


def test_logits_that_are_no_numbers_are_named():
    model = deepcopy(TWIN)
    model.language_model.norm.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="the logits are not finite"):
        decode(model, prompt_ids(TOKENIZER, "What?"), [], SamplerConfig(2))


def test_it_stops_before_a_stop():
    ids = prompt_ids(TOKENIZER, "What?")
    said = decode(TWIN, ids, [], SamplerConfig(6))
    stop = TOKENIZER.decode(said[3:4])
    assert TOKENIZER.encode(stop) == said[3:4]
    assert decode(TWIN, ids, [], SamplerConfig(6, stop=(stop,))) == said[:said.index(said[3])]


def test_a_twin_is_asked_as_any_model():
    """`answer` gives the text of the tokens that it writes from left to right, with the system text and the length that
    it was trained with unless something else is said; what is too long is named."""
    features = encode_images(TWIN, [picture(0)])
    ids = prompt_ids(TOKENIZER, "What?", features)
    text = TOKENIZER.decode(decode(TWIN, ids, features, SamplerConfig(5)), skip_special_tokens=True).strip()
    assert answer(TWIN, TOKENIZER, "What?", [picture(0)], sampler=SamplerConfig(5)) == text
    assert text != answer(GOLDEN, TOKENIZER, "What?", [picture(0)], sampler=SamplerConfig(5))
    made_so = deepcopy(TWIN)
    made_so.config = replace(TWIN.config, system="Look.", gen_length=4)
    assert answer(made_so, TOKENIZER, "What?") == answer(
        TWIN, TOKENIZER, "What?", system="Look.", sampler=SamplerConfig(4))
    assert answer(made_so, TOKENIZER, "What?", system="", sampler=SamplerConfig(2)) == answer(
        TWIN, TOKENIZER, "What?", system="", sampler=SamplerConfig(2))
    with pytest.raises(InputError, match="tokens long, and the model reads at most 8192"):
        answer(TWIN, TOKENIZER, "What?", sampler=SamplerConfig(8192))


@pytest.mark.parametrize("setting", [{"cfg_scale": 1.0}, {"remasking": "random"}, {"suffix": "So."},
                                     {"refresh_every": 2}, {"threshold": 0.9}, {"factor": 1.0}], ids=str)
def test_what_only_masked_diffusion_can_do_is_refused_by_name(setting):
    """Nothing that was asked for is left out in silence."""
    with pytest.raises(InputError, match=f"has no {next(iter(setting))}"):
        answer(TWIN, TOKENIZER, "What?", sampler=SamplerConfig(4, **setting))


def test_steps_and_blocks_mean_nothing_to_a_twin():
    """It writes one token per pass, whatever a benchmark's settings say of several."""
    ids = prompt_ids(TOKENIZER, "What?")
    sampler = SamplerConfig(6, steps=3, block_length=2)
    steps = list(answer_steps(TWIN, TOKENIZER, ids, [], sampler))
    assert [step.committed.tolist() for step in steps] == [[len(ids) + number] for number in range(len(steps))]
    assert [step.forward_passes for step in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].answer.tolist() == decode(TWIN, ids, [], SamplerConfig(6))
