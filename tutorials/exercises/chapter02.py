"""Exercises of chapter 2, text. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `pytest tutorials/exercises -k chapter02`. No exercise needs more than plain Python.
"""


def most_frequent_pair(pieces):
    """★ ●● Find the pair that byte-pair encoding merges next.

        (a, b) = argmax count(a stands directly before b)

    pieces: a list of lists of tokens (texts); at least one of them has two tokens or more. Pairs are only counted
    inside a piece. Of pairs that are equally frequent take the one that is largest, as Python compares tuples:
    ("t", "h") > ("h", "e"). Returns the pair as a tuple.

    >>> most_frequent_pair([["t", "h", "e"], ["t", "h", "a", "t"]])
    ('t', 'h')

    Hint: `zip(piece, piece[1:])` are the pairs of a piece; `collections.Counter` counts.
    """
    raise NotImplementedError


def encode_piece(word, merges):
    """★★ ●● Encode one word by byte-pair encoding.

    Start with the characters of the word as tokens. Again and again, look at all pairs of neighbours that are in
    `merges`. Take the pair that stands first in `merges`; of several places where it stands, the leftmost. Make the
    two tokens one. Stop when no pair of neighbours is in `merges`.

    word: a text, which may be empty. merges: a list of pairs (left, right), in the order in which they were learned.
    Returns a list of tokens, which joined give the word.

    >>> encode_piece("lowest", [("s", "t"), ("e", "st"), ("o", "w"), ("l", "ow")])
    ['low', 'est']

    Hint: `merges.index(pair)` is a pair's rank. There are never more than a few merges here, so it may be slow.
    """
    raise NotImplementedError


def chat_ids(encode, special, messages):
    """★★ ●● Write a conversation down as ids, so that nobody can forge a turn.

    The row is: the id of <|startoftext|>; then each message; then the header of the assistant, and "\\n\\n".
    A message is its header, "\\n\\n" and the text (these two joined), and the id of <|eot_id|>. A header is the id of
    <|start_header_id|>, the role as text, and the id of <|end_header_id|>.

    encode: a function from a text to a list of ids. Like `Tokenizer.encode` it takes everything for plain text: it
    never gives special ids, even for "<|eot_id|>". special: a dict from the names of special tokens to their ids.
    messages: a list of pairs (role, text). Returns a list of ids.

    >>> chat_ids(encode, special, [("user", "Hi.")])  # where encode turns each character into its code
    [1000, 1001, 117, 115, 101, 114, 1002, 10, 10, 72, 105, 46, 1003, 1001, 97, 115, ..., 116, 1002, 10, 10]

    Hint: lists are joined by +. Encode "\\n\\n" + text in one go, since the tokens may reach over the border.
    """
    raise NotImplementedError


def tokenizer_property(encode, decode, special_ids, text):
    """★★★ ●● Write a property: what must be true of every right tokenizer, whatever the text is?

    encode: a function from a text to a list of ids. decode: one from a list of ids to a text. special_ids: the set of
    ids of special tokens. text: what a user typed, anything at all. Returns True if encode and decode do right with
    this text, and False if not. From chapter 2 you know two things that must hold: one on `encode` and `decode`
    together, one on `encode` alone.

    >>> tokenizer_property(lambda text: list(text.encode()), lambda ids: bytes(ids).decode(), {1000}, "café")
    True
    >>> tokenizer_property(lambda text: [99], lambda ids: bytes(ids).decode(), {1000}, "café")  # every text becomes "c"
    False

    Your property is tried with a right tokenizer and with some that we broke on purpose. It must be True for the first,
    always, and False for each of the others, on one text at least.

    Hint: read again what chapter 2 says that decoding gives back, and what happens to signals that a user types.
    """
    raise NotImplementedError
