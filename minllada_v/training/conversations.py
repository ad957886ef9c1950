"""Conversations to token ids and labels: which tokens are targets, in each of three ways to learn.

An example is `(input_ids, labels, part_ids)`, lists of one length. -200 stands in `input_ids` where a picture goes, and
-100 in `labels` where nothing is asked. A part id says in which part of the conversation a token stands (see `parts`).
"""

from collections.abc import Sequence

from ..chat import (
    BOS,
    END_HEADER,
    END_OF_TURN,
    EOS,
    IGNORED,
    IMAGE,
    IMAGE_ID,
    START_HEADER,
    SYSTEM,
    chat_prompt,
    encode_message,
    encode_prompt,
)
from ..errors import InputError, quote
from ..tokenizer import Tokenizer

Labelled = tuple[list[int], list[int], list[int]]

SPEAKERS = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}


def prepare_conversation(messages: Sequence[dict], has_pictures: bool) -> list[dict]:
    """The messages of a record as the released code (LLaVA's) prepares them for training, as a list of
    `{"from": "human" or "gpt", "value": text}`.

    Half of LLaVA's data has `<image>` behind the question. In a record that `has_pictures`, a message with exactly one
    `<image>`, not at its start, gets it in front: the rest is stripped, and a line break comes between. A first message
    from gpt is dropped, since it answers nothing. `role` and `content`, `user` and `assistant`, which the released code
    means to read too, count as `from` and `value`, `human` and `gpt`. Raises `InputError` for any other message.
    """
    prepared = []
    for message in messages:
        speaker, text = message.get("from", message.get("role")), message.get("value", message.get("content"))
        if speaker not in tuple(SPEAKERS) or not isinstance(text, str):
            raise InputError("a message must be {'from': 'human' or 'gpt', 'value': text}, or "
                             f"{{'role': 'user' or 'assistant', 'content': text}}, not {quote(message)}")
        if has_pictures and text.count(IMAGE) == 1 and not text.startswith(IMAGE):
            text = f"{IMAGE}\n{text.replace(IMAGE, '').strip()}"
        prepared.append({"from": SPEAKERS[speaker], "value": text})
    return prepared[1:] if prepared and prepared[0]["from"] == "gpt" else prepared


def training_example(
    tokenizer: Tokenizer, conversation: Sequence[dict], system: str | None = None, with_pictures: bool = True
) -> Labelled:
    """The paper's targets: all that the assistant says in a conversation of `{"from": "human" | "gpt", "value": text}`.

    Its messages are targets whole, header and `<|eot_id|>` included; of the other messages only the special tokens are,
    a legacy of LLaVA-NeXT's code. Text is taken as it is, not stripped. Only `with_pictures` is `<image>` the place of
    a picture; else it is plain text. Raises `InputError` for a message of another form.
    """
    roles = {"human": "user", "gpt": "assistant"}
    messages = [("system", SYSTEM if system is None else system)]
    for message in conversation:
        if message.get("from") not in tuple(roles) or not isinstance(message.get("value"), str):
            raise InputError(f"a message must be {{'from': 'human' or 'gpt', 'value': text}}, not {quote(message)}")
        messages.append((roles[message["from"]], message["value"]))

    special = {tokenizer.token_id(token) for token in (BOS, START_HEADER, END_HEADER, END_OF_TURN)}
    input_ids, labels = [tokenizer.token_id(BOS)], [tokenizer.token_id(BOS)]
    for role, text in messages:
        ids = encode_message(tokenizer, role, text, with_pictures, drop_space=False)
        input_ids += ids
        labels += ids if role == "assistant" else [index if index in special else IGNORED for index in ids]
    return input_ids, labels, parts(tokenizer, input_ids)


def canvas_example(
    tokenizer: Tokenizer, conversation: Sequence[dict], pictures: int, canvas: int, system: str | None = None
) -> Labelled:
    """Our small models' targets, just as the model will be used: the prompt of the last question, then a canvas of
    `canvas` tokens that holds the answer, `<|eot_id|>` and as many `<|endoftext|>` as there is room. Only the canvas is
    a target: a small model learns sooner if nothing else is asked of it.

    Without `pictures` `<image>` is plain text. Raises `InputError` if human and gpt do not take turns, or the answer is
    longer than the canvas.
    """
    texts = [message["value"] for message in conversation]
    if not texts or [message["from"] for message in conversation] != ["human", "gpt"] * (len(texts) // 2):
        raise InputError("with a canvas, messages must be from human and gpt in turn")
    *earlier, question, last = texts
    if pictures:
        history = list(zip(earlier[::2], earlier[1::2], strict=True))
        prompt = chat_prompt(tokenizer, question, pictures, history, system)
    else:
        roles = ["system", *("user", "assistant") * (len(texts) // 2)]
        messages = zip(roles, [SYSTEM if system is None else system, *earlier, question], strict=False)
        prompt = encode_prompt(tokenizer, list(messages), with_pictures=False)
    ids = [*tokenizer.encode(last), tokenizer.token_id(END_OF_TURN)]
    if len(ids) > canvas:
        raise InputError(f"the answer is {len(ids)} tokens long, and the canvas only {canvas}")
    ids += [tokenizer.token_id(EOS)] * (canvas - len(ids))
    return prompt + ids, [IGNORED] * len(prompt) + ids, parts(tokenizer, prompt + ids)


def caption_example(tokenizer: Tokenizer, conversation: list[dict]) -> Labelled:
    """The first stage's targets: the caption behind its picture, and a line break. There is no chat format around them,
    and what the human says does not count, but for its `<image>`.

    As in the released first stage the picture is one square tile, squeezed, whose features come without newline
    embedding (729 at the released size), and only the projector learns. Three things differ from the released run.
    Weights that learn are float32, not bfloat16. AdamW's second beta is 0.98, not its usual 0.999. And `image_newline`
    exists already, at random and frozen, where the released code adds it at the start of the second stage.
    """
    if [message.get("from") for message in conversation] != ["human", "gpt"]:
        raise InputError("stage align needs one message from human, with the picture, and one from gpt, its caption")
    shown, caption = (message.get("value") for message in conversation)
    if not isinstance(shown, str) or not isinstance(caption, str) or shown.count(IMAGE) != 1:
        raise InputError(f"stage align needs a message with one {IMAGE}, and a caption that is text")
    ids = tokenizer.encode(caption + "\n")
    return [IMAGE_ID, *ids], [IGNORED, *ids], [0] * (1 + len(ids))


def parts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """The part ids of a chat's token `ids`: 0 from the system message to the header of the first answer, 1 in that
    answer, 2 in the next question to the header of its answer, and so on. So a turn is `part // 2`.

    Only the header's own line break belongs to it, the one that also ends a prompt.
    """
    start, line_break = tokenizer.token_id(START_HEADER), tokenizer.encode("\n\n")
    header = [start, *tokenizer.encode("assistant"), tokenizer.token_id(END_HEADER)]
    part_ids: list[int] = []
    part = answer = 0  # `answer`: where the last header of the assistant ends
    for place, index in enumerate(ids):
        if index == start and list(ids[place:place + len(header)]) == header:
            answer = place + len(header)
            answer += len(line_break) * (list(ids[answer:answer + len(line_break)]) == line_break)
        elif index == start:
            part += part % 2  # a question behind an answer
        if place == answer > 0:
            part += 1 - part % 2
        part_ids.append(part)
    return part_ids
