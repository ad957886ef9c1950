"""Solutions of the exercises of chapter 5."""

import math


def rotate_pair(pair, position, speed):
    (x, y), angle = pair, position * speed
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def rotary(vector, position, theta):
    half = len(vector) // 2
    pairs = [rotate_pair((vector[i], vector[i + half]), position, theta ** (-i / half)) for i in range(half)]
    return [x for x, _ in pairs] + [y for _, y in pairs]


def dialogue_mask(messages):
    turn_of, turn, previous = [], 0, None
    for role, tokens in messages:
        turn += previous == "assistant" and role == "user"
        turn_of += [turn] * tokens
        previous = role
    return [[theirs <= own for theirs in turn_of] for own in turn_of]


def rotary_property(turn, q, k, m, n, shift):
    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))

    def same(a, b):
        return math.isclose(a, b, rel_tol=0, abs_tol=1e-6)

    kept = same(math.hypot(*turn(q, m)), math.hypot(*q)) and same(math.hypot(*turn(k, n)), math.hypot(*k))
    moved = same(dot(turn(q, m), turn(k, n)), dot(turn(q, m + shift), turn(k, n + shift)))
    return kept and moved and all(map(same, turn(q, 0), q))
