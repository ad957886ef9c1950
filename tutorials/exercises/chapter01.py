"""Exercises of chapter 1, masked diffusion in one page. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 1`. No exercise needs more than plain Python.
"""

MASK = "[MASK]"
EPSILON = 0.001  # ε, the least probability of a mask


def mask_words(words, t, uniform):
    """★ ●●● Mask a sentence at time t.

    Every word has a number between 0 and 1 in `uniform`. Replace the word by MASK where its number is smaller than

        p(t) = (1 − ε) t + ε

        words       the      cat     drinks    milk
        uniform     0.9      0.2      0.4      0.7        p(0.5) = 0.5005
        result      the    [MASK]   [MASK]     milk

    words: a list of texts. t: a number from 0 to 1. uniform: a list of numbers in [0, 1), as long as `words`.
    Returns a new list of the same length.

    >>> mask_words(["the", "cat", "drinks", "milk"], 0.5, [0.9, 0.2, 0.4, 0.7])
    ['the', '[MASK]', '[MASK]', 'milk']
    """
    raise NotImplementedError


def guess_word(world, canvas, place):
    """★★ ●●● Say what may stand behind one mask, and how likely each word is.

    The world is a table of sentences. A sentence fits the canvas if it has the same words wherever the canvas shows
    one. Only sentences that fit are possible now, and how likely they are to each other has not changed.

        world                   canvas  a [MASK]         at place 1
        a dog     0.2           fits                     dog  0.2 / 0.8
        a cat     0.6           fits                     cat  0.6 / 0.8
        the cat   0.2           does not fit

    world: a dict from sentences (tuples of words) to their probabilities, which are above 0. canvas: a list of words
    and MASKs, as long as each sentence. place: the index of a MASK in it. At least one sentence fits.
    Returns a dict from words to probabilities, with no word whose probability is 0.

    >>> guess_word({("a", "dog"): 0.2, ("a", "cat"): 0.6, ("the", "cat"): 0.2}, ["a", MASK], 1)
    {'dog': 0.25, 'cat': 0.75}
    """
    raise NotImplementedError


def fill_most_confident(world, canvas):
    """★★ ●●● Do one step of the reverse process: fill in the one word that is most certain.

    Of all masked places and all words take the pair with the largest P(word at place | canvas), and write the word
    there. Everything else stays as it is. If several pairs are equally likely, any of them is right.

        canvas    [MASK]               [MASK]
        guesses   a 0.9, the 0.1       cat 0.7, dog 0.3
        result    a                    [MASK]

    world, canvas: as for `guess_word`; the canvas has at least one MASK. Returns a new list.

    >>> fill_most_confident({("a", "dog"): 0.3, ("a", "cat"): 0.6, ("the", "cat"): 0.1}, [MASK, MASK])
    ['a', '[MASK]']
    """
    raise NotImplementedError


def masking_property(mask, words, low, high, uniform):
    """★★★ ●●● Write a property: what must be true of every right `mask_words`, whatever its input is?

    mask: a function that is used like `mask_words` above; it may be right or wrong. words, uniform: as there.
    low, high: two times, low ≤ high. Returns True if `mask` does right with these inputs, and False if not.

        mask ──▶ at `low`    the  [MASK]  drinks           at `high`   the  [MASK]  [MASK]        True
        mask ──▶ at `low`    the  [MASK]  drinks           at `high`   a     cat    [MASK]        False, twice over

    What must hold? To compute the right result again would be `mask_words` itself; ask what is true of all results.
    Your property is tried with a right implementation and with some that we broke on purpose. It must be True for the
    first, always, and False for each of the others, on one input at least.

    >>> def below_t(words, t, uniform):
    ...     return [MASK if number < t else word for word, number in zip(words, uniform)]
    >>> masking_property(below_t, ["the", "cat"], 0.2, 0.7, [0.5, 0.9])
    True
    >>> masking_property(lambda words, t, uniform: ["the"], ["the", "cat"], 0.2, 0.7, [0.5, 0.9])  # a word is lost
    False
    """
    raise NotImplementedError
