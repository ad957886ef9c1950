"""Exercises of chapter 8, the reverse process. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 8`. No exercise needs more than plain Python. A
**canvas** is a list of words and MASKs.
"""

from math import exp, log  # for your code

MASK = "[MASK]"


def schedule(masked, steps):
    """★ ●● The transfer schedule: how many masks does each step fill in?

    All of them are filled in, as evenly as whole numbers allow; steps that fill in one more come first.

        8 masks, 3 steps:        ■■■  ■■■  ■■

    masked: a whole number, 0 or more. steps: a whole number, 1 or more. Returns a list of `steps` whole numbers.

    >>> schedule(8, 3)
    [3, 3, 2]
    """
    raise NotImplementedError


def choose_token(logits, temperature, uniform, forbidden):
    """★★ ●●● Choose a token at one place, by Gumbel's trick, and say how sure the model is of it.

    A forbidden token has the logit −∞, before anything else is done. With logits l and a temperature T the token is

        x = argmax over v of  l[v] − T · ln(−ln u[v])

    where u are the uniform numbers. At temperature 0 it is the token with the largest logit; if there are several, the
    first. The confidence is the probability of x among what is allowed, as the model says it: without noise and
    temperature.

        token       0        1        2
        logit      2.0      1.0      5.0
        allowed    yes      yes      no               token 0, and its confidence is e² / (e² + e¹)

    logits: a list of numbers, one for each token of the vocabulary. temperature: 0 or more. uniform: as many numbers
    between 0 and 1, no two of them equal. forbidden: a list of tokens, never all of them. Returns (token, confidence).

    >>> choose_token([2.0, 1.0, 5.0], 0.0, [0.5, 0.6, 0.7], [2])
    (0, 0.7310585786300049)
    >>> choose_token([2.0, 0.0], 2.0, [0.05, 0.95], [])  # the noise outweighs the logits
    (1, 0.11920292202211757)
    """
    raise NotImplementedError


def fill_surest(canvas, guesses, count, start, stop):
    """★★ ●●● Do one step of low-confidence remasking within a block.

    At each MASK of the block, the places `start` to `stop - 1`, take the likeliest word; its probability is the
    confidence of that place. Write the word at the `count` places with the largest confidence. Everything else stays as
    it is: words that are there, masks outside the block, and masks of the block that the model is less sure of.

        canvas        [MASK]      star      [MASK]   │   [MASK]        the block is the places 0 to 2
        likeliest    red 0.6                left 0.7 │    . 0.9        count 1
        result        [MASK]      star       left    │   [MASK]

    canvas: a list of words and MASKs. guesses: for each place of the canvas a dict from words to probabilities. (The
    model gives one for places that are filled in, too. These do not count.) count: 1 or more. If fewer places of the
    block are masked, all of them are filled in. Returns a new list.

    No two words of a dict are equally likely. Of equally sure places the one further left goes first.

    >>> fill_surest([MASK, "star", MASK, MASK], [{"red": 0.6, "blue": 0.4}, {"star": 1.0},
    ...             {"left": 0.7, "right": 0.3}, {".": 0.9, "!": 0.1}], 1, 0, 3)
    ['[MASK]', 'star', 'left', '[MASK]']
    """
    raise NotImplementedError


def sampler_property(sampler, model, length, block):
    """★★★ ●●● Write a property: what must be true of every right sampler that fills in one place a step?

    sampler: a function; `sampler(model, length, block)` returns the canvases of a run: the one it starts from, and the
    canvas after each step. It may be right or wrong.
    model: a function; `model(canvas)` returns, for each place of a canvas, a pair: the likeliest word there and its
    confidence. It says the same whenever it is asked about the same canvas. All confidences differ.
    length: how many places the canvas has. block: how many a block has; `length` is a multiple of it.
    Returns True if `sampler` does right with these inputs, and False if not.

        ■ ■ │ ■ ■        the first canvas
        ■ a │ ■ ■        in the left block, the surest place first
        b a │ ■ ■
        b a │ c ■        now the right block
        b a │ c d        the last canvas

    What must hold of the first and the last canvas? What from one canvas to the next: how many places, which of them,
    and which word? Your property is tried with a right implementation and with some that we broke on purpose. It must
    be True for the first, always, and False for each of the others, on one input at least.

    >>> sampler_property(lambda model, length, block: [[MASK], ["red"]], lambda canvas: [("red", 0.8)], 1, 1)
    True
    >>> sampler_property(lambda model, length, block: [[MASK], ["blue"]], lambda canvas: [("red", 0.8)], 1, 1)
    False
    """
    raise NotImplementedError
