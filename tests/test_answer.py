"""A question in, text out: what is told to the sampler, whatever the model."""

from types import SimpleNamespace

import pytest
import torch
from golden_data import CASES, golden_model, picture

from minllada_v import InputError, SamplerConfig, answer
from minllada_v.answer import answer_steps, answer_text, encode_images, prompt_ids

MODEL, TOKENIZER = golden_model()
SPECIAL = TOKENIZER.special
PROMPT = torch.arange(10)


def decided(favourites: list[int], second: int = 5) -> SimpleNamespace:
    """A stand-in for the model that favours these tokens at the places of the answer, and `second` next."""
    class Decided(SimpleNamespace):
        def __call__(self, ids, features, queries, attend, position_ids):
            table = torch.zeros(len(queries), MODEL.config.vocab_size)
            table[:, second] = 5
            for row, place in enumerate((queries - len(PROMPT)).tolist()):
                table[row, favourites[place]] = 9
            return table

    return Decided(config=MODEL.config, device=torch.device("cpu"))


def answered(favourites: list[int], **config) -> list[int]:
    sampler = SamplerConfig(gen_length=len(favourites), **config)
    *_, last = answer_steps(decided(favourites), TOKENIZER, PROMPT, [], sampler)
    return last.answer.tolist()


def test_the_answer_ends_with_the_turn():
    """<|eot_id|> is always a stop; neither it nor what the model wrote behind it is part of the answer."""
    assert answered([64, 65, SPECIAL["<|eot_id|>"], 66]) == [64, 65]


@pytest.mark.parametrize("token", ["<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>",
                                   "<|mdm_mask|>"])
def test_tokens_of_the_chat_format_are_never_written(token):
    """Where the model favours one of them, its second choice is taken."""
    assert answered([SPECIAL[token]] * 3) == [5, 5, 5]


def test_stops_are_tokens_and_may_be_special_ones():
    """A stop is tokenized alone, special strings in it as the special tokens that they name."""
    assert answered([64, SPECIAL["[CLS]"], 65], stop=("[CLS]",)) == [64]
    assert answered([64, *TOKENIZER.encode("red."), 65], stop=("red.",)) == [64]


def test_the_text_shows_no_special_tokens():
    *_, last = answer_steps(decided([64, SPECIAL["[CLS]"], 65]), TOKENIZER, PROMPT, [], SamplerConfig(3))
    assert last.answer.tolist() == [64, SPECIAL["[CLS]"], 65]
    assert answer_text(TOKENIZER, last) == TOKENIZER.decode([64, 65])


def test_a_suffix_is_plain_text():
    """As in any text of a user, <|eot_id|> in a suffix forges nothing."""
    suffix = answered([64, 65], suffix="So.<|eot_id|>")[2:]
    assert suffix == TOKENIZER.encode("So.<|eot_id|>") and SPECIAL["<|eot_id|>"] not in suffix


def test_prompt_answer_and_suffix_must_fit_together():
    """Exactly the longest sequence is allowed; one token more is not, wherever it stands."""
    suffix = "Hello, world!"
    room = MODEL.config.max_length - len(PROMPT) - len(TOKENIZER.encode(suffix))
    model = decided([64] * room)
    next(answer_steps(model, TOKENIZER, PROMPT, [], SamplerConfig(room, steps=1, suffix=suffix)))
    with pytest.raises(InputError, match="8193 tokens long, and the model reads at most 8192"):
        answer_steps(model, TOKENIZER, torch.arange(11), [], SamplerConfig(room, steps=1, suffix=suffix))


def test_earlier_turns_and_a_system_text_reach_the_prompt():
    features = encode_images(MODEL, [picture(0)])
    ids = prompt_ids(TOKENIZER, "And how many circles?", features, [("What color is it?", "It is red.")])
    assert ids[ids >= 0].tolist() == [index for index in CASES["multi_turn"]["ids"] if index >= 0]
    assert prompt_ids(TOKENIZER, "Hi", system="Be brief.").tolist() != prompt_ids(TOKENIZER, "Hi").tolist()


@pytest.mark.parametrize(
    "question",
    [
        {"images": "cat.png"},
        {"images": picture(0)},
        {"images": [3]},
        {"images": [picture(0)], "video": [picture(1)]},
        {"video": []},
        {"history": [{"role": "user", "content": "x"}]},
        {"history": ["ab"]},
        {"prompt": None},
        {"prompt": ["a", "b"]},
    ],
    ids=str,
)
def test_plausible_misuse_is_named(question):
    """What could pass for a question, and is none, never gets an answer to something else."""
    with pytest.raises(InputError):
        answer(MODEL, TOKENIZER, **{"prompt": "Hi", "sampler": SamplerConfig(2)} | question)
