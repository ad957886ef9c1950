"""Exercises of chapter 5, the bidirectional transformer. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 5`. No exercise needs more than plain Python.
"""

import math  # for your code


def rotate_pair(pair, position, speed):
    """★ ●● Turn a pair of numbers by the angle of its position.

        φ = position · speed        (x, y) → (x cos φ − y sin φ, x sin φ + y cos φ)

        speed π/2, a quarter of a turn a place:

        position       0          1          2           3
        (1, 0)         →          ↑          ←           ↓

    pair: (x, y). position: a whole number. speed: in radians a place. Returns a pair.

    >>> rotate_pair((1.0, 0.0), 3, math.pi / 2)  # three quarters of a turn
    (0.0, -1.0)
    """
    raise NotImplementedError


def rotary(vector, position, theta):
    """★★ ●●● Turn a query or key by its position, as LLaDA-V does.

    The vector has d numbers, d even. Number i of its first half and number i of its second half are a pair, which is
    turned by

        φ_i = position · θ^(−2i / d)        i = 0, …, d/2 − 1

    as in `rotate_pair`. Each result stays where its number was.

        vector     a   b │ c   d             pairs  (a, c), the fast one, and (b, d), a slow one
        result     a′  b′│ c′  d′

    vector: a list of d numbers. position: a whole number. theta: θ. Returns a list of d numbers.

    >>> rotary([1.0, 0.0, 0.0, 1.0], 2, 100.0)  # the pairs (1, 0), turned by 2, and (0, 1), turned by 0.2
    [-0.4161, -0.1987, 0.9093, 0.9801]
    """
    raise NotImplementedError


def dialogue_mask(messages):
    """★★ ●● Say who may look at whom in a conversation, in dialogue-causal attention.

    A conversation is a row of messages. It starts in turn 0. A new turn starts with each "user" message that comes
    right after an "assistant" message. Every token is in the turn of its message. A token may look at another one if
    the other's turn is not later than its own.

        turn 0  user         ■ ■ □
        turn 0  assistant    ■ ■ □              a row is a token that looks; ■ it may, □ it may not
        turn 1  user         ■ ■ ■

    messages: a list of (role, tokens), where role is "system", "user" or "assistant" and tokens is how many tokens the
    message has, 1 or more. Returns a list of n lists of n bools, where n is the number of all tokens: entry [i][j] is
    True if token i may look at token j.

    >>> dialogue_mask([("user", 1), ("assistant", 1), ("user", 1)])
    [[True, True, False], [True, True, False], [True, True, True]]
    """
    raise NotImplementedError


def rotary_property(turn, q, k, m, n, shift):
    """★★★ ●●● Write a property: what must be true of every right way to put positions into queries and keys by turning?

    turn: a function of a vector, which is a list of numbers, and a position. It returns a list of as many numbers.
    q, k: two vectors of the same, even length. m, n, shift: whole numbers, 0 or more. Returns True if `turn` does right
    with these inputs, and False if not. Numbers that differ by less than 1e-6 count as equal.

        q at m  ──turn──▶  ╲                            q at m + shift  ──turn──▶  ╲
                             score                                                   score
        k at n  ──turn──▶  ╱                            k at n + shift  ──turn──▶  ╱

    Three things must hold: one on lengths, one on scores, one on position 0. Your property is tried with two right
    implementations, which pair the numbers in different ways, and with some that we broke on purpose. (One that turns
    nothing at all would hold too, and would be no use.)

    >>> def turn(vector, position):
    ...     (x, y), angle = vector, 0.1 * position
    ...     return [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)]
    >>> rotary_property(turn, [1.0, 2.0], [3.0, 4.0], 1, 2, 5)
    True
    >>> rotary_property(lambda vector, position: [x + position for x in vector], [1.0, 2.0], [3.0, 4.0], 1, 2, 5)
    False
    """
    raise NotImplementedError
