"""Find the bug: five faults of samplers and tokenizers that really happened, in code written anew.

Each function below is wrong; its docstring says what it should do. You need not repair it. Write a hypothesis test that
tells a right implementation from a wrong one: it gets one, does nothing if that is right, and fails an `assert` if it
is wrong. Which inputs to try is part of the question: a bug that everybody meets would not have lived long.

A test is right if it passes two right implementations, written in different ways, and fails the one above as well as
a relative or two that you do not see. So ask for what must hold, and for nothing else. Grade yourself with
`python tutorials/exercises/grade.py --only bugs_sampler`.

An example with all that there is. `share` splits a sum among people, as equally as whole numbers allow:

    def share(total, people):
        return [total // people] * people  # the bug: what is left over is lost

    def share_test(share):
        @given(st.integers(0, 100), st.integers(1, 10))
        def everything_is_shared(total, people):
            shares = share(total, people)
            assert sum(shares) == total and max(shares) - min(shares) <= 1

        everything_is_shared()
"""

from math import exp, inf, log

from hypothesis import assume, given  # for your code
from hypothesis import strategies as st

MASK = "[MASK]"


def fails(test, implementation) -> bool:
    """Whether `test` finds a fault in `implementation`."""
    try:
        test(implementation)
    except NotImplementedError:
        raise
    except Exception:
        return True
    return False


def choose(logits, temperature, uniform):
    """The token at a place, and how sure the model is of it.

    The token is argmax over v of l[v] − T · ln(−ln u[v]). The confidence is the probability that the model gives it: by
    softmax of the logits, whatever the temperature and the numbers u are.

    logits: a list of numbers. temperature: T, 0 or more. uniform: as many numbers u between 0 and 1, both excluded.
    """
    noisy = [logit - temperature * log(-log(u)) for logit, u in zip(logits, uniform)]
    token = noisy.index(max(noisy))
    return token, exp(noisy[token]) / sum(exp(number) for number in noisy)


def choose_test(choose):
    """★★ ●●● "With temperature 0 all is well. With a higher one the sampler fills in nonsense first, and is quite sure
    of it."

        logits, temperature, uniform  ──▶  choose  ──▶  token, confidence  ──▶  your test: right, or not?

    choose: a function like the one above, right or wrong. Returns nothing; fails if `choose` is wrong.

    >>> fails(choose_test, choose)
    True
    """
    raise NotImplementedError


def draw(logits, forbidden, temperature, uniform):
    """The token at a place: argmax over v of l[v] − T · ln(−ln u[v]), but never a forbidden one.

    logits, temperature, uniform: as for `choose`. forbidden: a list of tokens, never all of them.
    """
    allowed = [-inf if token in forbidden else logit for token, logit in enumerate(logits)]
    if temperature == 0:
        return allowed.index(max(allowed))
    noisy = [logit - temperature * log(-log(u)) for logit, u in zip(logits, uniform)]
    return noisy.index(max(noisy))


def draw_test(draw):
    """★ ●●● "We forbid the token that ends an answer, so that answers grow longer. For half of our users it helped."

        logits, forbidden, temperature, uniform  ──▶  draw  ──▶  token  ──▶  your test: right, or not?

    draw: a function like the one above, right or wrong. Returns nothing; fails if `draw` is wrong.

    >>> fails(draw_test, draw)
    True
    """
    raise NotImplementedError


def remask(canvas, guesses, sure, count):
    """A step of a sampler that guesses everything, and then masks again what it is least sure of.

    Every MASK of the canvas gets its guess. Of the places that were just filled, the `count` least sure become MASK
    again. A word that was on the canvas before stays.

    canvas: a list of words and MASKs. guesses: a word for each place. sure: a number between 0 and 1 for each place, no
    two of them equal. count: a whole number from 0 to one less than there are MASKs. Returns the new canvas.
    """
    filled = [guess if word == MASK else word for word, guess in zip(canvas, guesses)]
    sure = [confidence if word == MASK else inf for word, confidence in zip(filled, sure)]  # what is known stays
    limit = sorted(sure)[count]
    return [MASK if confidence < limit else word for word, confidence in zip(filled, sure)]


def remask_test(remask):
    """★★ ●● "It takes 16 steps as it should, and the bar goes to the end. But the answers are those of a single step."

        canvas, guesses, sure, count  ──▶  remask  ──▶  the next canvas  ──▶  your test: right, or not?

    remask: a function like the one above, right or wrong. Returns nothing; fails if `remask` is wrong.

    >>> fails(remask_test, remask)
    True
    """
    raise NotImplementedError


def end_of(answer, stops):
    """Where an answer ends: at the earliest place where one of the stops begins, or behind its last word.

    answer: a list of words. stops: a list of stops, each a list of words, none of them empty. Returns a whole number.
    """
    for stop in stops:
        for start in range(len(answer) - len(stop) + 1):
            if answer[start:start + len(stop)] == stop:
                return start
    return len(answer)


def end_of_test(end_of):
    """★★ ●● "Our colleagues gave the same two stops in another order, and got another score."

        answer, stops  ──▶  end_of  ──▶  where it ends  ──▶  your test: right, or not?

    end_of: a function like the one above, right or wrong. Returns nothing; fails if `end_of` is wrong.

    >>> fails(end_of_test, end_of)
    True
    """
    raise NotImplementedError


def merge(pieces, pair):
    """A step of byte-pair encoding: wherever the two pieces of the pair stand side by side, they become one.

    It goes from left to right, and a piece that was merged is not merged again in the same step.

    pieces: a list of texts, none of them empty. pair: two of them. Returns a new list.
    """
    left, right = pair
    merged = list(pieces)
    places = [place for place in range(len(pieces) - 1) if (pieces[place], pieces[place + 1]) == pair]
    for place in reversed(places):  # from the right, so that the places further left stay what they are
        merged[place:place + 2] = [left + right]
    return merged


def merge_test(merge):
    """★★ ●●● "A million texts came back as they were. One was shorter."

        pieces, pair  ──▶  merge  ──▶  fewer pieces  ──▶  your test: right, or not?

    merge: a function like the one above, right or wrong. Returns nothing; fails if `merge` is wrong.

    >>> fails(merge_test, merge)
    True
    """
    raise NotImplementedError
