"""Grades chapter 5: turning a pair, turning a head, the dialogue-causal mask, and what every right turning keeps."""

import cmath
import math

from grading import GRADING, agree, ask, call, grade_property, require, spelled
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -3.0])
POSITIONS = st.integers(0, 40)
SPEEDS = st.sampled_from([1.0, 0.5, 0.1, math.pi / 2])
VECTORS = st.integers(1, 3).flatmap(lambda half: st.lists(NUMBERS, min_size=2 * half, max_size=2 * half))
ROLES = st.sampled_from(["system", "user", "assistant"])
MESSAGES = st.lists(st.tuples(ROLES, st.integers(1, 2)), min_size=1, max_size=5)
TURNED = st.integers(1, 3).flatmap(lambda half: st.tuples(
    *[st.lists(NUMBERS, min_size=2 * half, max_size=2 * half)] * 2, POSITIONS, POSITIONS, POSITIONS))


def around(pair, position, speed):
    """A pair as a complex number: to turn it is to multiply."""
    turned = complex(*pair) * cmath.exp(1j * position * speed)
    return turned.real, turned.imag


def speed_of(number, width, theta=100.0):
    return theta ** (-2 * number / width)


def in_halves(vector, position, theta=100.0):
    width = len(vector)
    result = list(vector)
    for i in range(width // 2):
        pair = vector[i], vector[i + width // 2]
        result[i], result[i + width // 2] = around(pair, position, speed_of(i, width, theta))
    return result


def side_by_side(vector, position):
    """The other convention: neighbours are a pair."""
    pairs = [around(vector[2 * i : 2 * i + 2], position, speed_of(i, len(vector))) for i in range(len(vector) // 2)]
    return [number for pair in pairs for number in pair]


def turns(messages) -> list[int]:
    """For each token the number of user messages, up to its own, that come right after one of the assistant."""
    roles = [role for role, _ in messages]
    return [sum(roles[end - 1 : end + 1] == ["assistant", "user"] for end in range(1, index + 1))
            for index, (_, tokens) in enumerate(messages) for _ in range(tokens)]


def drawn(messages, expected: list[list[bool]], found: list[list[bool]]):
    """Both masks; a row is a token that looks, with its role and its turn."""
    from minllada_v.drawing.charts import BLUE, Box, cells, stack, token_strips

    roles = [role for role, tokens in messages for _ in range(tokens)]
    names = [f"{role}, turn {turn}" for role, turn in zip(roles, turns(messages))]
    parts = []
    for title, mask in (("as it should be", expected), ("yours", found)):
        parts += [token_strips([[Box(title, "#ffffff")]]),
                  cells([[BLUE if seen else "#e4e4e4" for seen in row] for row in mask],
                        names, [str(place) for place in range(len(mask))])]
    return stack([*parts, token_strips([[Box("may look", BLUE), Box("may not", "#e4e4e4")]])])


@GRADING
@given(st.tuples(NUMBERS, NUMBERS), POSITIONS, SPEEDS)
def check_rotate_pair(student, pair, position, speed):
    agree(student.rotate_pair, around, pair, position, speed)


@GRADING
@given(VECTORS, POSITIONS, st.sampled_from([100.0, 10000.0]))
def check_rotary(student, vector, position, theta):
    agree(student.rotary, in_halves, vector, position, theta)


@GRADING
@given(MESSAGES)
def check_dialogue_mask(student, messages):
    found, turn = ask(student.dialogue_mask, messages), turns(messages)
    expected = [[theirs <= own for theirs in turn] for own in turn]
    case = f"{call(student.dialogue_mask, messages)} gave {spelled(found)}: "
    require(isinstance(found, list | tuple) and [len(row) if isinstance(row, list | tuple) else None for row in found]
            == [len(turn)] * len(turn), case + f"it should be {len(turn)} lists of {len(turn)} bools.")
    for query, row in enumerate(found):
        for key, seen in enumerate(row):
            require(seen == expected[query][key], case + f"token {query} (counted from 0) is in turn {turn[query]} and "
                    f"token {key} in turn {turn[key]}, so token {query} may "
                    f"{'' if expected[query][key] else 'not '}look at token {key}.",
                    lambda: drawn(messages, expected, found))


def check_rotary_property(student):
    def mirrored(vector, position):
        half, turned = len(vector) // 2, in_halves(vector, position)
        return turned[:half] + [-number for number in turned[half:]]

    def without_minus(vector, position):
        half = len(vector) // 2
        result = list(vector)
        for i in range(half):
            (x, y), angle = (vector[i], vector[i + half]), position * speed_of(i, len(vector))
            result[i] = x * math.cos(angle) + y * math.sin(angle)
            result[i + half] = x * math.sin(angle) + y * math.cos(angle)
        return result

    def both(turn, q, k, m, n, shift):
        return turn(q, m), turn(k, n)

    planted = {
        "adds the position instead of turning": lambda vector, position: [number + position for number in vector],
        "forgets the minus sign": without_minus,
        "turns by the square of the position": lambda vector, position: in_halves(vector, position**2),
        "starts again at 0 after 16 positions": lambda vector, position: in_halves(vector, position % 16),
        "lets far vectors fade": lambda vector, position: [0.99**position * x for x in in_halves(vector, position)],
        "makes every vector twice as long": lambda vector, position: [2 * x for x in in_halves(vector, position)],
        "counts positions from 1": lambda vector, position: in_halves(vector, position + 1),
        "mirrors every pair": mirrored,
        "turns large numbers faster": lambda vector, position: in_halves(vector, position * (1 + abs(vector[0]))),
    }
    grade_property(student.rotary_property, in_halves, planted, TURNED, both)
    grade_property(student.rotary_property, side_by_side, {}, TURNED, both)
