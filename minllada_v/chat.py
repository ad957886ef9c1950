"""A conversation to token ids: the prompt of a question, and the labels of a training example.

Every turn is `<|start_header_id|>role<|end_header_id|>\\n\\ntext<|eot_id|>`. The special tokens are
put in by id and the text between them is tokenized as plain text, so no text can forge a turn.
`<image>` in a user message is the place of one picture (or one video); its id is -200 until the
features take that place.
"""

from collections.abc import Sequence
from itertools import accumulate

from .errors import InputError
from .tokenizer import Tokenizer

IMAGE = "<image>"
IMAGE_ID = -200
IGNORED = -100  # the label of a position that is no target

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"  # also the padding
START_HEADER = "<|start_header_id|>"
END_HEADER = "<|end_header_id|>"
END_OF_TURN = "<|eot_id|>"
MASK = "<|mdm_mask|>"

SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language."
)


def chat_prompt(
    tokenizer: Tokenizer,
    question: str,
    pictures: int = 0,
    history: Sequence[tuple[str, str]] = (),
    system: str | None = None,
) -> list[int]:
    """Token ids of the prompt that asks `question` about that many pictures; -200 stands where each
    one goes.

    `history` holds the earlier turns as (question, answer). Where no user message has an `<image>`,
    one for each picture goes in front of the first. Messages are stripped of outer white space.
    Raises `InputError` if the number of `<image>` differs from `pictures`, or the texts are none.
    """
    if not isinstance(question, str):
        raise InputError(f"the question must be text, not a {type(question).__name__}")
    for turn in history:
        pair = isinstance(turn, (tuple, list)) and len(turn) == 2
        if not pair or not all(isinstance(text, str) for text in turn):
            raise InputError("an earlier turn must be a pair of texts, question and answer, "
                             f"not {turn!r}")
    questions = [*(asked for asked, _ in history), question]
    if pictures and not any(IMAGE in asked for asked in questions):
        questions[0] = " ".join([IMAGE] * pictures) + "\n" + questions[0]
    places = sum(asked.count(IMAGE) for asked in questions)
    if places != pictures:
        raise InputError(f"the prompt has {places} {IMAGE}, but {pictures} pictures were given; "
                         f"write one {IMAGE} for each, or none at all")

    messages = [("system", SYSTEM if system is None else system)]
    for asked, (_, answered) in zip(questions, history, strict=False):
        messages += [("user", asked), ("assistant", answered)]
    return encode_prompt(tokenizer, [*messages, ("user", questions[-1])])


def encode_prompt(
    tokenizer: Tokenizer, messages: Sequence[tuple[str, str]], with_pictures: bool = True
) -> list[int]:
    """Token ids of `messages` (role, text), stripped of outer white space, and of the header of the
    answer. Only `with_pictures` is `<image>` the place of a picture; else it is plain text."""
    ids = [tokenizer.token_id(BOS)]
    for role, text in messages:
        ids += _message(tokenizer, role, text.strip(), with_pictures, drop_space=True)
    return ids + _header(tokenizer, "assistant") + tokenizer.encode("\n\n")


def training_example(
    tokenizer: Tokenizer,
    conversation: Sequence[dict],
    system: str | None = None,
    with_pictures: bool = True,
) -> tuple[list[int], list[int], list[int]]:
    """`(input_ids, labels, turn_ids)` of a conversation in the LLaVA format, three lists of one
    length.

    `conversation` is a list of `{"from": "human" | "gpt", "value": text}`. Assistant messages are
    targets whole, header and `<|eot_id|>` included; of the other messages only the special tokens
    are. Every other label is -100. A turn id says in which turn a token stands: it rises by one
    when a user message follows an assistant message (paper: the dialogue-causal ablation). Text is
    taken as it is, not stripped. Only `with_pictures` is `<image>` the place of a picture; else it
    is plain text. What the released code changes in a record before this is in `training/data.py`,
    `prepare_conversation`. Raises `InputError` for a message of another form.
    """
    roles = {"human": "user", "gpt": "assistant"}
    messages = [("system", SYSTEM if system is None else system)]
    for message in conversation:
        if message.get("from") not in tuple(roles) or not isinstance(message.get("value"), str):
            raise InputError("a message must be {'from': 'human' or 'gpt', 'value': text}, "
                             f"not {message!r}")
        messages.append((roles[message["from"]], message["value"]))

    special = {tokenizer.token_id(token) for token in (BOS, START_HEADER, END_HEADER, END_OF_TURN)}
    input_ids, labels, turn_ids = [tokenizer.token_id(BOS)], [tokenizer.token_id(BOS)], [0]
    turn, previous = 0, "system"
    for role, text in messages:
        turn += previous == "assistant" and role == "user"
        ids = _message(tokenizer, role, text, with_pictures, drop_space=False)
        input_ids += ids
        labels += ids if role == "assistant" else [i if i in special else IGNORED for i in ids]
        turn_ids += [turn] * len(ids)
        previous = role
    return input_ids, labels, turn_ids


def turns(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """The turn in which each token of a chat stands, where user and assistant take turns: 0 from
    the system message to the first answer, and one more with each question. As the turn ids of
    `training_example`."""
    header = tokenizer.token_id(START_HEADER)
    # How many headers stand up to here: 1 in the system message, 2 in the first question.
    headers = accumulate(index == header for index in ids)
    return [max(0, count - 2) // 2 for count in headers]


def _header(tokenizer: Tokenizer, role: str) -> list[int]:
    start, end = tokenizer.token_id(START_HEADER), tokenizer.token_id(END_HEADER)
    return [start, *tokenizer.encode(role), end]


def _message(
    tokenizer: Tokenizer, role: str, text: str, with_pictures: bool, drop_space: bool
) -> list[int]:
    """One turn. With `drop_space`, a first token behind `<image>` that is only white space is left
    out: the released generation code drops that token whatever it is, which would eat the word of
    `<image>What`."""
    body, shows = "\n\n" + text, with_pictures and role == "user"  # only the user shows pictures
    first, *others = body.split(IMAGE) if shows else [body]
    ids = _header(tokenizer, role) + tokenizer.encode(first)
    for piece in others:
        tokens = tokenizer.encode(piece)
        if drop_space and tokens and tokenizer.decode(tokens[:1]).isspace():
            tokens = tokens[1:]
        ids += [IMAGE_ID, *tokens]
    return [*ids, tokenizer.token_id(END_OF_TURN)]
