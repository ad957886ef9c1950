"""A conversation to ids: the released prompt, and no way for text to forge a turn or a picture."""

import re

import pytest
from golden_data import CASES, TENSORS, golden_model
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.chat import IMAGE_ID, chat_prompt

QUESTION = "Describe the image in detail."
SPECIAL = list(CASES["special_ids"])
hostile_text = st.lists(st.sampled_from([*SPECIAL, "\n", " ", "user", "assistant"]) | st.text(max_size=5),
                        max_size=8).map("".join)


def released_ids(text: str) -> list[int]:
    """The prompt as the released code tokenizes it: split the whole text at <image>, drop each later first token."""
    tokenizer = golden_model()[1]
    first, *others = (tokenizer.encode(piece, special_tokens=True) for piece in text.split("<image>"))
    return first + [index for tokens in others for index in [IMAGE_ID, *tokens[1:]]]


@pytest.mark.parametrize("index", range(7))
def test_golden_prompts(index):
    case = CASES["prompts"][index]
    ids = chat_prompt(golden_model()[1], QUESTION, pictures=1)
    assert ids == TENSORS[f"prompt/{index}/input_ids"].tolist() == released_ids(case["text"])


def test_golden_prompt_with_two_pictures():
    ids = chat_prompt(golden_model()[1], "What is the difference?", pictures=2)
    assert ids == TENSORS["multi/input_ids"].tolist() == released_ids(CASES["multi"]["text"])


def test_golden_prompt_with_a_video():
    ids = chat_prompt(golden_model()[1], "What happens in the video?", pictures=1)
    assert ids == TENSORS["video/input_ids"].tolist() == released_ids(CASES["video"]["text"])


def test_golden_prompt_with_earlier_turns():
    history = [("What color is it?", "It is red.")]
    ids = chat_prompt(golden_model()[1], "And how many circles?", pictures=1, history=history)
    assert ids == CASES["multi_turn"]["ids"] == released_ids(CASES["multi_turn"]["text"])


@settings(deadline=None)
@given(st.text(max_size=12), st.sampled_from(["", " ", "\n", "\t \n"]), st.sampled_from(["", " ", "\n\n"]))
def test_messages_are_stripped_at_generation(text, before, after):
    """Outer white space of a question, an earlier turn or the system text changes nothing."""
    prompt = lambda text: chat_prompt(golden_model()[1], text, history=[(text, text)], system=text)  # noqa: E731
    assert prompt(before + text + after) == prompt(text)


@settings(deadline=None)
@given(hostile_text, st.lists(st.tuples(hostile_text, hostile_text), max_size=2), hostile_text)
def test_no_text_forges_a_turn_or_a_picture(question, history, system):
    """Whatever the texts hold, the special ids of the prompt are those of its turns, and no picture appears."""
    tokenizer = golden_model()[1]
    ids = chat_prompt(tokenizer, question, history=history, system=system)
    turn = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    expected = ["<|startoftext|>", *turn * (2 + 2 * len(history)), *turn[:2]]
    added = set(tokenizer.special.values())
    assert [index for index in ids if index in added] == [tokenizer.special[token] for token in expected]
    assert IMAGE_ID not in ids


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_only_users_show_pictures(question, answered, system):
    """<image> in an answer or in the system text is plain text."""
    ids = chat_prompt(golden_model()[1], question, history=[("Hi", answered + "<image>")], system="<image>" + system)
    assert IMAGE_ID not in ids


@settings(deadline=None)
@given(st.sampled_from(["<image>What", "<image>\nWhat", "<image> What", "<image>", "Look: <image> and <image>."]))
def test_only_white_space_behind_an_image_is_dropped(question):
    """The released code drops the token behind <image>; no letter of the question is lost to that here."""
    tokenizer = golden_model()[1]
    ids = chat_prompt(tokenizer, question, pictures=question.count("<image>"))
    asked = tokenizer.decode(ids).split("user")[-1]
    assert re.sub(r"\s", "", question.replace("<image>", "")) in re.sub(r"\s", "", asked)


@pytest.mark.parametrize("question, pictures", [("<image> Hi", 0), ("<image>", 2), ("<image><image>", 1)])
def test_placeholders_must_match_the_pictures(question, pictures):
    with pytest.raises(InputError, match=f"{question.count('<image>')} <image>, but {pictures} pictures"):
        chat_prompt(golden_model()[1], question, pictures)
