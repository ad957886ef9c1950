"""Solutions of the exercises of chapter 2."""

from collections import Counter


def most_frequent_pair(pieces):
    pairs = Counter(pair for piece in pieces for pair in zip(piece, piece[1:]))
    return max(pairs, key=lambda pair: (pairs[pair], pair))


def encode_piece(word, merges):
    tokens = list(word)
    while True:
        places = [place for place, pair in enumerate(zip(tokens, tokens[1:])) if pair in merges]
        if not places:
            return tokens
        first = min(places, key=lambda place: merges.index((tokens[place], tokens[place + 1])))
        tokens[first:first + 2] = [tokens[first] + tokens[first + 1]]


def chat_ids(encode, special, messages):
    def header(role):
        return [special["<|start_header_id|>"], *encode(role), special["<|end_header_id|>"]]

    ids = [special["<|startoftext|>"]]
    for role, text in messages:
        ids += header(role) + encode("\n\n" + text) + [special["<|eot_id|>"]]
    return ids + header("assistant") + encode("\n\n")


def tokenizer_property(encode, decode, special_ids, text):
    ids = encode(text)
    return decode(ids) == text and not any(index in special_ids for index in ids)
