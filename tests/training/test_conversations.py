"""Conversations to ids and labels: what is a target, what the released preparation changes, and what a canvas asks."""

import pytest
from golden_data import CASES, golden_model
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.chat import END_OF_TURN, EOS, IGNORED, IMAGE, IMAGE_ID, chat_prompt
from minllada_v.training.conversations import canvas_example, parts, prepare_conversation, training_example
from minllada_v.training.data import WorldData
from minllada_v.world.lessons import LESSONS

hostile_text = st.lists(st.sampled_from([*CASES["special_ids"], "\n", " ", "user", "assistant"]) | st.text(max_size=5),
                        max_size=8).map("".join)
texts = st.lists(st.sampled_from([IMAGE, "What", " ", "\n", "is it?"]), max_size=6).map("".join)


@pytest.mark.parametrize("sample", CASES["samples"], ids=lambda sample: sample["conversations"][0]["value"][:12])
def test_golden_training_labels(sample):
    input_ids, labels, part_ids = training_example(golden_model()[1], sample["conversations"])
    assert (input_ids, labels) == (sample["input_ids"], sample["labels"])
    assert len(part_ids) == len(input_ids)


def test_golden_turn_ids():
    case = CASES["conversation_ids"]
    _, _, part_ids = training_example(golden_model()[1], CASES["samples"][case["sample"]]["conversations"])
    assert [part // 2 for part in part_ids] == case["ids"]


def test_a_turn_begins_where_a_user_follows_an_assistant():
    """Neither a second question nor a second answer in a row begins a new turn."""
    speakers = ["human", "human", "gpt", "gpt", "human", "gpt"]
    conversation = [{"from": speaker, "value": "x"} for speaker in speakers]
    input_ids, _, part_ids = training_example(golden_model()[1], conversation)
    ends = [part // 2 for index, part in zip(input_ids, part_ids) if index == CASES["special_ids"]["<|eot_id|>"]]
    assert ends == [0, 0, 0, 0, 0, 1, 1]  # the system's message comes first


@settings(deadline=None)
@given(st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=3))
def test_labels_are_ids_or_ignored(turns):
    """Every label is the id in its place or -100; all of an answer is a target and no word of a question is."""
    tokenizer = golden_model()[1]
    conversation = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn)]
    input_ids, labels, part_ids = training_example(tokenizer, conversation)
    assert all(label in (index, IGNORED) for index, label in zip(input_ids, labels))
    target = [index for index, label in zip(input_ids, labels) if label != IGNORED]
    special = {tokenizer.special[token] for token in
               ("<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")}
    words = [index for index in target if index not in special]
    expected = [index for _, text in turns for index in tokenizer.encode("assistant") + tokenizer.encode("\n\n" + text)]
    assert words == expected
    assert part_ids == sorted(part_ids) and set(part_ids) == set(range(2 * len(turns)))


@settings(deadline=None)
@given(st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=4))
def test_the_parts_of_a_chat_are_told_by_its_headers_alone(exchange):
    """Oracle: the parts put together one by one, in training and, up to the last answer, in use. What stands in the
    texts forges no part, but a line break may melt with the first one of an answer, which is then all the answer's."""
    tokenizer = golden_model()[1]
    eot, breaks = tokenizer.token_id(END_OF_TURN), tokenizer.encode("\n\n")
    conversation = [{"from": who, "value": text} for turn in exchange for who, text in zip(("human", "gpt"), turn)]
    input_ids, _, part_ids = training_example(tokenizer, conversation)
    ends = [place + 1 for place, index in enumerate(input_ids) if index == eot][1:]  # of questions and answers, in turn
    expected, header = [], 2 + len(tokenizer.encode("assistant"))
    for number, (question, answer) in enumerate(zip(ends[::2], ends[1::2])):
        start = question + header
        if input_ids[start:start + len(breaks)] == breaks:
            start += len(breaks)
        expected += [2 * number] * (start - len(expected)) + [2 * number + 1] * (answer - start)
    assert part_ids == expected

    *history, (question, answer) = exchange
    prompt = chat_prompt(tokenizer, question, 0, history) if IMAGE not in str(exchange) else None
    if prompt:
        last = 2 * len(history)
        assert set(parts(tokenizer, prompt)) == set(range(last + 1))
        assert parts(tokenizer, prompt + [9] * 3) == parts(tokenizer, prompt) + [last + 1] * 3


@pytest.mark.parametrize("message", [{"from": "robot", "value": "x"}, {"from": "gpt"}, {"value": "x"}])
def test_a_broken_message_is_named(message):
    with pytest.raises(InputError, match="a message must be"):
        training_example(golden_model()[1], [message])


@settings(deadline=None)
@given(st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=3))
def test_without_pictures_a_placeholder_is_text_like_any_other(turns):
    """Whoever speaks. Oracle: the same conversation with a word of the same spelling that is no placeholder, whose
    tokens are then those of `<image>`."""
    tokenizer = golden_model()[1]
    spoken = [(who, f"{text}<image>") for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    conversation = [{"from": who, "value": text} for who, text in spoken]
    ids, labels, _ = training_example(tokenizer, conversation, with_pictures=False)
    assert IMAGE_ID not in ids and IMAGE_ID not in labels
    for _, text in spoken:
        body = tokenizer.encode("\n\n" + text)
        assert any(ids[start:start + len(body)] == body for start in range(len(ids)))
    assert training_example(tokenizer, conversation)[0].count(IMAGE_ID) == sum(
        text.count("<image>") for who, text in spoken if who == "human")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["human", "gpt"]), texts), max_size=4), st.booleans())
def test_preparation_moves_single_placeholders_and_changes_nothing_else(spoken, has_pictures):
    """Without pictures nothing moves. With them a message with one `<image>` begins with it; the words behind it are
    those of the message, in order. What is prepared stays as it is, as long as the human speaks first."""
    prepared = prepare_conversation([{"from": who, "value": text} for who, text in spoken], has_pictures)
    expected = spoken[1:] if spoken and spoken[0][0] == "gpt" else spoken
    assert [message["from"] for message in prepared] == [who for who, _ in expected]
    for message, (_, text) in zip(prepared, expected, strict=True):
        if has_pictures and text.count(IMAGE) == 1 and not text.startswith(IMAGE):
            assert message["value"] == IMAGE + "\n" + "".join(text.split(IMAGE)).strip()
        else:
            assert message["value"] == text
    if prepared and prepared[0]["from"] == "human":
        assert prepare_conversation(prepared, has_pictures) == prepared


def test_the_small_world_needs_no_preparation():
    data = WorldData(LESSONS["everything"], seed=0)
    records = [data.training_record(number) for number in range(40)]
    assert len({record.name.split()[0] for record in records}) > 5
    assert [prepare_conversation(it.conversation, True) for it in records] == [it.conversation for it in records]


@settings(deadline=None)
@given(st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=3), st.integers(0, 5))
def test_on_a_canvas_only_the_last_answer_is_asked_for_just_as_in_use(turns, spare):
    """The prompt is that of `chat_prompt`; behind it come the answer, the end of the turn and padding, all targets."""
    tokenizer = golden_model()[1]
    conversation = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn)]
    *history, (question, last) = turns
    prompt = chat_prompt(tokenizer, question, 0, history, "Be brief.")
    answer = [*tokenizer.encode(last), tokenizer.token_id(END_OF_TURN)]
    room = len(answer) + spare
    ids, labels, part_ids = canvas_example(tokenizer, conversation, 0, room, "Be brief.")
    assert ids == prompt + answer + [tokenizer.token_id(EOS)] * spare
    assert labels == [IGNORED] * len(prompt) + ids[len(prompt):]
    assert part_ids[:-room] == parts(tokenizer, prompt)
    assert part_ids[-room:] == [2 * len(turns) - 1] * room and set(part_ids) == set(range(2 * len(turns)))
    with pytest.raises(InputError, match=f"{len(answer)} tokens long, and the canvas only {len(answer) - 1}"):
        canvas_example(tokenizer, conversation, 0, len(answer) - 1)


@pytest.mark.parametrize("speakers", ["human human gpt", "human human", "human gpt gpt gpt", "gpt human", "human", ""])
def test_on_a_canvas_human_and_gpt_take_turns(speakers):
    conversation = [{"from": who, "value": "Is it red?"} for who in speakers.split()]
    with pytest.raises(InputError, match="human and gpt in turn"):
        canvas_example(golden_model()[1], conversation, 0, 40)
