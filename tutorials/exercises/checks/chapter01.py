"""Grades chapter 1: masking by a time, guessing from a table, filling in the surest word."""

from grading import GRADING, THOROUGH, agree, ask, call, grade_property, require, spelled
from hypothesis import example, given
from hypothesis import strategies as st

MASK = "[MASK]"
WORDS = st.sampled_from(["the", "a", "cat", "dog", "sleeps"])
TIMES = st.floats(0, 1, width=16)


@st.composite
def sentences(draw):
    """(words, uniform), two lists of one length."""
    words = draw(st.lists(WORDS, min_size=1, max_size=6))
    return words, draw(st.lists(st.floats(0, 1, exclude_max=True, width=16), min_size=len(words), max_size=len(words)))


@st.composite
def canvases(draw):
    """(world, canvas): a table of sentences of one length, and one of them with at least one mask."""
    length = draw(st.integers(1, 4))
    chosen = draw(st.lists(st.tuples(*[WORDS] * length), min_size=1, max_size=5, unique=True))
    counts = draw(st.lists(st.integers(1, 9), min_size=len(chosen), max_size=len(chosen)))
    world = {sentence: count / sum(counts) for sentence, count in zip(chosen, counts)}
    masked = draw(st.sets(st.integers(0, length - 1), min_size=1))
    return world, [MASK if place in masked else word for place, word in enumerate(draw(st.sampled_from(chosen)))]


def masked_words(words, t, uniform):
    return [MASK if number < 0.999 * t + 0.001 else word for word, number in zip(words, uniform)]


def guesses(world, canvas, place):
    fitting = [sentence for sentence in world if all(seen in (MASK, word) for seen, word in zip(canvas, sentence))]
    total = sum(world[sentence] for sentence in fitting)
    return {word: sum(world[sentence] for sentence in fitting if sentence[place] == word) / total
            for word in {sentence[place] for sentence in fitting}}


@THOROUGH
@example((["the"], [0.001]), 0.0)
@example((["the"], [0.0005]), 0.0)
@given(sentences(), TIMES)
def check_mask_words(student, sentence, t):
    words, uniform = sentence
    agree(student.mask_words, masked_words, words, t, uniform)


@GRADING
@given(canvases())
def check_guess_word(student, world_and_canvas):
    world, canvas = world_and_canvas
    agree(student.guess_word, guesses, world, canvas, canvas.index(MASK))


@THOROUGH
@given(canvases())
def check_fill_most_confident(student, world_and_canvas):
    world, canvas = world_and_canvas
    pairs = {(place, word): p for place, seen in enumerate(canvas) if seen == MASK
             for word, p in guesses(world, canvas, place).items()}
    filled = ask(student.fill_most_confident, world, canvas)
    found = f"{call(student.fill_most_confident, world, canvas)} gave {spelled(filled)}: "
    require(isinstance(filled, list | tuple) and len(filled) == len(canvas),
            found + f"it should be a list of {len(canvas)} words.")
    changed = [(place, new) for place, (old, new) in enumerate(zip(canvas, filled)) if old != new]
    require(len(changed) == 1, found + f"exactly one place should be filled in, not {len(changed)}.")
    require(changed[0] in pairs, found + f"{changed[0][1]!r} cannot stand at place {changed[0][0]}.")
    (place, word), best = max(pairs.items(), key=lambda item: item[1])
    require(pairs[changed[0]] > best - 1e-9,
            found + f"{changed[0][1]!r} at place {changed[0][0]} has the probability {pairs[changed[0]]:.3f}, but "
                    f"{word!r} at place {place} has {best:.3f}.")


def check_masking_property(student):
    def times_and_sentence(drawn):
        (words, uniform), times = drawn
        return words, min(times), max(times), uniform

    def as_many_others(words, t, uniform):
        count = masked_words(words, t, uniform).count(MASK)
        places = range(count) if count % 2 else range(len(words) - count, len(words))
        return [MASK if place in places else word for place, word in enumerate(words)]

    def both_times(mask, words, low, high, uniform):
        return mask(words, low, uniform), mask(words, high, uniform)

    grade_property(student.masking_property, masked_words, {
        "loses the last word": lambda words, t, uniform: masked_words(words[:-1], t, uniform),
        "leaves masked words out": lambda words, t, uniform: [
            word for word in masked_words(words, t, uniform) if word != MASK],
        "writes another word where it should mask": lambda words, t, uniform: [
            word if seen == word else "cat" for word, seen in zip(words, masked_words(words, t, uniform))],
        "masks where the number is larger than p(t)": lambda words, t, uniform: [
            MASK if number > t else word for word, number in zip(words, uniform)],
        "masks with probability 1 − t": lambda words, t, uniform: masked_words(words, 1 - t, uniform),
        "masks as many words as it should, but others at each time": as_many_others,
        "masks other places at each time": lambda words, t, uniform: masked_words(
            words, t, [(number + 7 * t) % 1 for number in uniform]),
    }, st.tuples(sentences(), st.tuples(TIMES, TIMES)).map(times_and_sentence), both_times)
