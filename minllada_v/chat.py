"""A conversation to token ids: the prompt of a question.

Every turn is `<|start_header_id|>role<|end_header_id|>\\n\\ntext<|eot_id|>`. The special tokens are
put in by id and the text between them is tokenized as plain text, so no text can forge a turn.
`<image>` in a user message is the place of one picture (or one video); its id is -200 until the
features take that place. Labels for training are made in `training/conversations.py`.
"""

from collections.abc import Sequence

from .errors import InputError
from .tokenizer import Tokenizer

IMAGE = "<image>"
IMAGE_ID = -200
IGNORED = -100  # the label where nothing is to be predicted; as in torch

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
    tokenizer: Tokenizer, question: str, pictures: int = 0,
    history: Sequence[tuple[str, str]] = (), system: str | None = None,
) -> list[int]:
    """Token ids of the prompt: `question` about that many `pictures`, and -200 in each one's place.

    `history` holds the earlier turns as (question, answer). Where no user message has an `<image>`,
    one for each picture goes in front of the first. Messages are stripped of outer white space.
    Raises `InputError` if the number of `<image>` differs from `pictures`.
    """
    questions = [*(text for text, _ in history), question]
    if pictures and not any(IMAGE in text for text in questions):
        questions[0] = " ".join([IMAGE] * pictures) + "\n" + questions[0]
    placeholders = sum(text.count(IMAGE) for text in questions)
    if placeholders != pictures:
        raise InputError(f"the prompt has {placeholders} {IMAGE}, but {pictures} pictures were "
                         f"given; write one {IMAGE} for each, or none at all")

    messages = [("system", SYSTEM if system is None else system)]
    for text, (_, answer) in zip(questions, history, strict=False):  # the last has no answer yet
        messages += [("user", text), ("assistant", answer)]
    return encode_prompt(tokenizer, [*messages, ("user", questions[-1])])


def encode_prompt(
    tokenizer: Tokenizer, messages: Sequence[tuple[str, str]], with_pictures: bool = True
) -> list[int]:
    """Token ids of `messages` (role, text), stripped of outer white space, and of the header of the
    answer. Without `with_pictures`, an `<image>` in them is plain text."""
    ids = [tokenizer.token_id(BOS)]
    for role, text in messages:
        ids += encode_message(tokenizer, role, text.strip(), with_pictures, drop_space=True)
    return ids + _header(tokenizer, "assistant") + tokenizer.encode("\n\n")


def _header(tokenizer: Tokenizer, role: str) -> list[int]:
    start, end = tokenizer.token_id(START_HEADER), tokenizer.token_id(END_HEADER)
    return [start, *tokenizer.encode(role), end]


def encode_message(
    tokenizer: Tokenizer, role: str, text: str, with_pictures: bool, drop_space: bool
) -> list[int]:
    """Token ids of one turn. With `drop_space`, a first token behind `<image>` that is only white
    space is left out. The released generation code drops that token whatever it is, and loses the
    word of `<image>What`."""
    body, shows = "\n\n" + text, with_pictures and role == "user"  # only the user shows pictures
    first, *others = body.split(IMAGE) if shows else [body]
    ids = _header(tokenizer, role) + tokenizer.encode(first)
    for piece in others:
        tokens = tokenizer.encode(piece)
        if drop_space and tokens and tokenizer.decode(tokens[:1]).isspace():
            tokens = tokens[1:]
        ids += [IMAGE_ID, *tokens]
    return [*ids, tokenizer.token_id(END_OF_TURN)]
