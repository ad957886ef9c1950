"""Exercises of chapter 2, text. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 2`. No exercise needs more than plain Python.
"""


def most_frequent_pair(pieces):
    """★ ●● Find the pair that byte-pair encoding merges next.

    It is the pair (a, b) of which a stands directly before b most often. Pairs are only counted inside a piece. Of
    equally frequent pairs take the one that is largest, as Python compares tuples: ("t", "h") > ("h", "e").

        t h e          (t, h)  (h, e)                    (t, h)  2
        t h a t        (t, h)  (h, a)  (a, t)            the others  1

    pieces: a list of lists of tokens (texts); at least one of them has two tokens or more. Returns the pair as a tuple.

    >>> most_frequent_pair([["t", "h", "e"], ["t", "h", "a", "t"]])
    ('t', 'h')
    """
    raise NotImplementedError


def encode_piece(word, merges):
    """★★ ●●● Encode one word by byte-pair encoding.

    Start with the characters of the word as tokens. Again and again, look at all pairs of neighbours that are in
    `merges`. Take the pair that stands first in `merges`; of several places where it stands, the leftmost. Make the
    two tokens one. Stop when no pair of neighbours is in `merges`.

        l  o  w  e  s  t
        l  o  w  e  st             s + t is first in `merges`
        l  o  w  est               e + st
        l  ow  est                 o + w
        low  est                   l + ow

    word: a text, which may be empty. merges: a list of pairs (left, right), in the order in which they were learned.
    Returns a list of tokens, which joined give the word.

    >>> encode_piece("lowest", [("s", "t"), ("e", "st"), ("o", "w"), ("l", "ow")])
    ['low', 'est']
    """
    raise NotImplementedError


def chat_ids(encode, special, messages):
    """★★ ●●● Write a conversation down as ids, so that nobody can forge a turn.

    The row is: the id of <|startoftext|>; then each message; then the header of the assistant, and "\\n\\n".
    A message is its header, "\\n\\n" and the text (these two encoded in one go), and the id of <|eot_id|>. A header is
    the id of <|start_header_id|>, the role as text, and the id of <|end_header_id|>.

        <|startoftext|>
        <|start_header_id|>  u s e r  <|end_header_id|>  \\n \\n H i .  <|eot_id|>
        <|start_header_id|>  a s s i s t a n t  <|end_header_id|>  \\n \\n

    encode: a function from a text to a list of ids. Like `Tokenizer.encode` it takes everything for plain text: it
    never gives special ids, even for "<|eot_id|>". special: a dict from the names of special tokens to their ids.
    messages: a list of pairs (role, text). Returns a list of ids.

    >>> special = {"<|startoftext|>": 1, "<|start_header_id|>": 2, "<|end_header_id|>": 3, "<|eot_id|>": 4}
    >>> chat_ids(lambda text: [10 * len(text)], special, [("user", "Hi.")])  # this encode tells only how long a text is
    [1, 2, 40, 3, 50, 4, 2, 90, 3, 20]
    """
    raise NotImplementedError


def tokenizer_property(encode, decode, special_ids, text):
    """★★★ ●●● Write a property: what must be true of every right tokenizer, whatever the text is?

    encode: a function from a text to a list of ids. decode: one from a list of ids to a text. special_ids: the set of
    ids of special tokens. text: what a user typed, anything at all. Returns True if encode and decode do right with
    this text, and False if not.

        text  ──encode──▶  ids  ──decode──▶  ?

    From chapter 2 you know two things that must hold: one on `encode` and `decode` together, one on `encode` alone.
    Your property is tried with a right tokenizer and with some that we broke on purpose. It must be True for the first,
    always, and False for each of the others, on one text at least.

    >>> tokenizer_property(lambda text: list(text.encode()), lambda ids: bytes(ids).decode(), {1000}, "café")
    True
    >>> tokenizer_property(lambda text: [99], lambda ids: bytes(ids).decode(), {1000}, "café")  # every text becomes "c"
    False
    """
    raise NotImplementedError
