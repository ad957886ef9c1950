"""Grades "find the bug", samplers and tokenizers."""

from math import exp, inf, log

from finding import grade_test

MASK = "[MASK]"


def noisy(logits, temperature, uniform):
    return [logit - temperature * log(-log(u)) for logit, u in zip(logits, uniform)]


def softmax(logits):
    whole = [exp(logit - max(logits)) for logit in logits]
    return [one / sum(whole) for one in whole]


def largest(numbers):
    return max(range(len(numbers)), key=numbers.__getitem__)


def chosen(confidence):
    def choose(logits, temperature, uniform):
        token = largest(noisy(logits, temperature, uniform))
        return token, confidence(logits, temperature, uniform, token)
    return choose


def check_choose_test(student):
    def one_by_one(logits, temperature, uniform):
        best, score = 0, -inf
        for token, (logit, u) in enumerate(zip(logits, uniform)):
            if logit - temperature * log(-log(u)) > score:
                best, score = token, logit - temperature * log(-log(u))
        return best, 1 / sum(exp(logit - logits[best]) for logit in logits)

    grade_test(
        student.choose_test,
        [chosen(lambda logits, temperature, uniform, token: softmax(logits)[token]), one_by_one],
        chosen(lambda logits, temperature, uniform, token: softmax(noisy(logits, temperature, uniform))[token]),
        {"divides the logits by the temperature before it says how sure the model is":
            chosen(lambda logits, temperature, uniform, token: softmax(
                [logit / (temperature or 1) for logit in logits])[token]),
         "says how sure the model is of the likeliest token, and not of the chosen one":
            chosen(lambda logits, temperature, uniform, token: max(softmax(logits)))})


def drawn(logits, forbidden, temperature, uniform, lowest=-inf):
    return largest(noisy([lowest if token in forbidden else logit for token, logit in enumerate(logits)],
                         temperature, uniform))


def check_draw_test(student):
    def among_the_others(logits, forbidden, temperature, uniform):
        scores = noisy(logits, temperature, uniform)
        return max((score, -token) for token, score in enumerate(scores) if token not in forbidden)[1] * -1

    def without_effect(logits, forbidden, temperature, uniform):
        return drawn(logits, [] if temperature else forbidden, temperature, uniform)

    grade_test(
        student.draw_test, [drawn, among_the_others], without_effect,
        {"gives a forbidden token the lowest logit that there is, in place of minus infinity":
            lambda logits, forbidden, temperature, uniform: drawn(
                logits, forbidden, temperature, uniform, lowest=min(logits) - 1),
         "forbids only the first token of the list":
            lambda logits, forbidden, temperature, uniform: drawn(logits, forbidden[:1], temperature, uniform)})


def remasked(choice):
    def remask(canvas, guesses, sure, count):
        filled = [guess if word == MASK else word for word, guess in zip(canvas, guesses)]
        for place in choice(canvas, sure)[:count]:
            filled[place] = MASK
        return filled
    return remask


def opened(canvas):
    return [place for place, word in enumerate(canvas) if word == MASK]


def check_remask_test(student):
    def by_a_limit(canvas, guesses, sure, count):
        sure = [one if word == MASK else inf for word, one in zip(canvas, sure)]
        limit = sorted(sure)[count]
        return [MASK if one < limit else guess if word == MASK else word
                for word, guess, one in zip(canvas, guesses, sure)]

    grade_test(
        student.remask_test, [remasked(lambda canvas, sure: sorted(opened(canvas), key=sure.__getitem__)), by_a_limit],
        remasked(lambda canvas, sure: []),
        {"masks the surest again": remasked(lambda canvas, sure: sorted(opened(canvas), key=lambda it: -sure[it])),
         "masks words again that stood on the canvas before":
            remasked(lambda canvas, sure: sorted(range(len(canvas)), key=sure.__getitem__))})


def check_end_of_test(student):
    def begins(answer, start, stop):
        return answer[start:start + len(stop)] == stop

    def place_by_place(answer, stops):
        return next((start for start in range(len(answer)) if any(begins(answer, start, stop) for stop in stops)),
                    len(answer))

    def starts(answer, stop, behind=1):
        return [start for start in range(len(answer) - len(stop) + behind) if begins(answer, start, stop)]

    def earliest(answer, stops):
        return min((start for stop in stops for start in starts(answer, stop)), default=len(answer))

    def first_listed(answer, stops):
        return next((starts(answer, stop)[0] for stop in stops if starts(answer, stop)), len(answer))

    grade_test(
        student.end_of_test, [place_by_place, earliest], first_listed,
        {"does not find a stop at the very end": lambda answer, stops: min(
            (start for stop in stops for start in starts(answer, stop, behind=0)), default=len(answer)),
         "looks for the longest stop first": lambda answer, stops: first_listed(
             answer, sorted(stops, key=len, reverse=True)),
         "takes a stop's first word for the whole of it": lambda answer, stops: place_by_place(
             answer, [stop[:1] for stop in stops])})


def check_merge_test(student):
    def in_a_loop(pieces, pair, skip=0, most=inf):
        merged, place, count = [], 0, 0
        while place < len(pieces):
            if tuple(pieces[place:place + 2]) == tuple(pair) and count < most:
                merged += ["".join(pair), *pieces[place + 2:place + 2 + skip]]
                place, count = place + 2 + skip, count + 1
            else:
                merged, place = [*merged, pieces[place]], place + 1
        return merged

    def from_behind(pieces, pair):
        if len(pieces) < 2:
            return list(pieces)
        if (pieces[0], pieces[1]) == tuple(pair):
            return [pieces[0] + pieces[1], *from_behind(pieces[2:], pair)]
        return [pieces[0], *from_behind(pieces[1:], pair)]

    def overlapping(pieces, pair):
        merged = list(pieces)
        for place in reversed([one for one in range(len(pieces) - 1) if tuple(pieces[one:one + 2]) == tuple(pair)]):
            merged[place:place + 2] = ["".join(pair)]
        return merged

    grade_test(
        student.merge_test, [in_a_loop, from_behind], overlapping,
        {"passes over the piece behind a pair that it merged": lambda pieces, pair: in_a_loop(pieces, pair, skip=1),
         "merges the first of such pairs only": lambda pieces, pair: in_a_loop(pieces, pair, most=1),
         "merges nothing": lambda pieces, pair: list(pieces)})
