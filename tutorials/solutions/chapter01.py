"""Solutions of the exercises of chapter 1."""

MASK = "[MASK]"
EPSILON = 0.001


def mask_words(words, t, uniform):
    p = (1 - EPSILON) * t + EPSILON
    return [MASK if number < p else word for word, number in zip(words, uniform)]


def guess_word(world, canvas, place):
    sums = {}
    for sentence, p in world.items():
        if all(seen in (MASK, word) for seen, word in zip(canvas, sentence)):
            sums[sentence[place]] = sums.get(sentence[place], 0) + p
    total = sum(sums.values())
    return {word: p / total for word, p in sums.items()}


def fill_most_confident(world, canvas):
    pairs = [(p, place, word) for place, seen in enumerate(canvas) if seen == MASK
             for word, p in guess_word(world, canvas, place).items()]
    _, place, word = max(pairs)
    return [*canvas[:place], word, *canvas[place + 1:]]


def masking_property(mask, words, low, high, uniform):
    early, late = mask(words, low, uniform), mask(words, high, uniform)
    if len(early) != len(words) or len(late) != len(words):
        return False
    if any(seen not in (MASK, word) for seen, word in zip([*early, *late], [*words, *words])):
        return False
    return all(then == MASK for now, then in zip(early, late) if now == MASK)
