"""The autoregressive twin: what causal means, that keeping keys and values changes nothing, and the textbook loss."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from golden_data import golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.answer import look, read_question
from minllada_v.autoregressive import answer_left_to_right, causal_hidden_states, decode, next_token_loss
from minllada_v.training.batch import Batch, pad, splice_batch
from minllada_v.chat import training_example
from minllada_v.config import Config
from minllada_v.language import LanguageModel
from minllada_v.model import LLaDAV

GOLDEN, TOKENIZER = golden_model()
SMALL = Config(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
               vocab_size=50, rms_norm_eps=1e-5, rope_theta=500000.0, max_length=64)
NEVER = [TOKENIZER.special[name] for name in (
    "<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|mdm_mask|>")]
seeds = st.integers(0, 2**32)


def random_model(seed: int, config: Config = SMALL) -> LLaDAV:
    model = LLaDAV(config, torch.float64).requires_grad_(False).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def random_embeds(seed: int, length: int) -> torch.Tensor:
    return torch.randn(1, length, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masked_everywhere(model: LanguageModel, embeds: torch.Tensor) -> torch.Tensor:
    """The same by the released network's own forward, told by a mask what is hidden: no cache, no other code."""
    length = embeds.shape[1]
    return model(embeds, torch.ones(length, length).tril().bool()[None, None])


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 9), st.data())
def test_a_position_never_depends_on_later_ones(seed, length, data):
    """Changing one input leaves everything before it as it was, and changes it and everything behind it."""
    model, embeds = random_model(seed).language_model, random_embeds(seed, length)
    place = data.draw(st.integers(0, length - 1))
    changed = embeds.clone()
    changed[0, place] += 1
    before, after = causal_hidden_states(model, embeds)[0], causal_hidden_states(model, changed)[0]
    torch.testing.assert_close(before[:place], after[:place])
    assert ((before - after)[place:].abs().sum(dim=-1) > 1e-9).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 9), st.sampled_from([1, 2, 4]))
def test_it_is_the_same_network_with_a_causal_mask(seed, length, key_value_heads):
    """Whatever the number of key-value heads."""
    model = random_model(seed, replace(SMALL, num_key_value_heads=key_value_heads)).language_model
    embeds = random_embeds(seed, length)
    torch.testing.assert_close(causal_hidden_states(model, embeds), masked_everywhere(model, embeds))


@settings(deadline=None, max_examples=30)
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_kept_keys_and_values_change_nothing(seed, pieces):
    """However a sequence is cut into pieces, one call after another gives what a single one does."""
    model, embeds = random_model(seed).language_model, random_embeds(seed, sum(pieces))
    kept = []
    found = [causal_hidden_states(model, piece, kept) for piece in embeds.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), causal_hidden_states(model, embeds))
    assert [k.shape[2] for k, _ in kept] == [sum(pieces)] * 2


def textbook_loss(model: LLaDAV, ids: torch.Tensor, labels: torch.Tensor) -> float:
    """Σ −log p(token | the tokens before it) / n, each probability from a pass over no more than those before."""
    nats = []
    for place in range(1, len(ids)):
        if labels[place] != -100:
            hidden_states = masked_everywhere(model.language_model, model.embed(ids[None, :place], torch.empty(0, 16)))
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
    losses = next_token_loss(model, Batch(ids, labels, (), None))
    for row, length in enumerate(lengths):
        assert losses[row].item() == pytest.approx(textbook_loss(model, ids[row, :length], labels[row, :length]))


def test_conversations_about_pictures_have_the_same_targets_as_in_diffusion():
    """Two examples of unequal length, padded and spliced as for the masked loss: each loss is its mean over the padded
    targets, worked out from the logits of a pass of its own."""
    conversations = [[{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A red star."}],
                     [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello. What can I do?"}]]
    examples = [training_example(TOKENIZER, conversation, "Be brief.") for conversation in conversations]
    input_ids, labels, _ = pad(examples, TOKENIZER.special["<|endoftext|>"])
    features = [look(GOLDEN, [picture(0)]), []]
    losses = next_token_loss(GOLDEN, splice_batch(input_ids, labels, features))
    for row in range(2):
        single = splice_batch(input_ids[row:row + 1], labels[row:row + 1], features[row:row + 1])
        embeds = GOLDEN.embed(single.ids, torch.cat([torch.empty(0, 32), *single.features]))
        hidden_states = masked_everywhere(GOLDEN.language_model, embeds)
        log_p = GOLDEN.language_model.lm_head(hidden_states[0]).log_softmax(dim=-1)
        places = [place for place in range(1, single.labels.shape[1]) if single.labels[0, place] != -100]
        expected = -sum(log_p[place - 1, single.labels[0, place]].item() for place in places) / len(places)
        assert losses[row].item() == pytest.approx(expected, rel=1e-4)


def test_who_knows_nothing_pays_log_v_per_token_and_learns_by_the_gradient():
    model = random_model(0)
    model.language_model.lm_head.weight.zero_()
    ids = torch.arange(6)[None]
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
    features = look(GOLDEN, [picture(0)]) if shown else []
    ids = prompt = read_question(TOKENIZER, "What is in the picture?", features)
    rows = torch.cat([torch.empty(0, 32), *features])
    for _ in range(8):
        hidden_states = masked_everywhere(GOLDEN.language_model, GOLDEN.embed(ids[None], rows))
        logits = GOLDEN.language_model.lm_head(hidden_states[0, -1])
        logits[NEVER] = -torch.inf
        ids = torch.cat([ids, logits.argmax()[None]])
    said = decode(GOLDEN, TOKENIZER, prompt, features, 8)
    expected = ids[len(prompt):].tolist()
    assert said == expected[:len(said)]
    assert len(said) == 8 or expected[len(said)] == TOKENIZER.special["<|eot_id|>"]


def test_a_temperature_draws_by_the_seed():
    """Equal seeds give equal answers, others differ; a tiny temperature is none, and a huge one draws all over."""
    ids = read_question(TOKENIZER, "What?")
    said = [tuple(decode(GOLDEN, TOKENIZER, ids, [], 6, temperature, seed=seed))
            for temperature, seed in ((2.0, 1), (2.0, 1), (2.0, 2), (1e-9, 1), (0.0, 1))]
    assert said[0] == said[1] != said[2] and said[3] == said[4] != said[0]
    drawn = [decode(GOLDEN, TOKENIZER, ids, [], 1, 100.0, seed=seed) for seed in range(40)]
    assert len({token for tokens in drawn for token in tokens}) > 25 and not {*sum(drawn, [])} & {*NEVER}


def test_tokens_of_the_chat_format_are_never_written():
    """However much the model favours them."""
    model = deepcopy(GOLDEN)
    model.language_model.lm_head.weight[NEVER] *= 100
    for temperature in (0.0, 1.0):
        said = decode(model, TOKENIZER, read_question(TOKENIZER, "What?"), [], 8, temperature)
        assert said and not {*said} & {*NEVER}


def test_logits_that_are_no_numbers_are_named():
    model = deepcopy(GOLDEN)
    model.language_model.norm.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="the logits are not finite"):
        decode(model, TOKENIZER, read_question(TOKENIZER, "What?"), [], 2)


def test_it_stops_before_a_stop():
    ids = read_question(TOKENIZER, "What?")
    said = decode(GOLDEN, TOKENIZER, ids, [], 6)
    stop = TOKENIZER.decode(said[3:4])
    assert TOKENIZER.encode(stop) == said[3:4]
    assert decode(GOLDEN, TOKENIZER, ids, [], 6, stop=[stop]) == said[:said.index(said[3])]


def test_the_text_is_that_of_the_tokens_and_what_is_too_long_is_named():
    features = look(GOLDEN, [picture(0)])
    ids = read_question(TOKENIZER, "What?", features)
    text = TOKENIZER.decode(decode(GOLDEN, TOKENIZER, ids, features, 5), skip_special_tokens=True).strip()
    assert answer_left_to_right(GOLDEN, TOKENIZER, "What?", [picture(0)], gen_length=5) == text
    config = replace(GOLDEN.config, system="Look.", gen_length=4)
    made_so, usual = (deepcopy(GOLDEN) for _ in range(2))
    made_so.config = config  # what the model was trained with, unless something else is said
    assert answer_left_to_right(made_so, TOKENIZER, "What?") == answer_left_to_right(
        usual, TOKENIZER, "What?", system="Look.", gen_length=4)
    assert answer_left_to_right(made_so, TOKENIZER, "What?", system="", gen_length=2) == answer_left_to_right(
        usual, TOKENIZER, "What?", system="", gen_length=2)
    with pytest.raises(InputError, match="tokens long, and the model reads at most 8192"):
        decode(GOLDEN, TOKENIZER, ids, features, 8192)
