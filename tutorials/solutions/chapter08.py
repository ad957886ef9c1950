"""Solutions of the exercises of chapter 8."""

from math import exp, log

MASK = "[MASK]"


def schedule(masked, steps):
    each, more = divmod(masked, steps)
    return [each + 1] * more + [each] * (steps - more)


def choose_token(logits, temperature, uniform, forbidden):
    allowed = [token for token in range(len(logits)) if token not in forbidden]
    token = max(allowed, key=lambda v: logits[v] - temperature * log(-log(uniform[v])))
    return token, exp(logits[token]) / sum(exp(logits[v]) for v in allowed)


def fill_surest(canvas, guesses, count, start, stop):
    open_places = [place for place in range(start, stop) if canvas[place] == MASK]
    surest = sorted(open_places, key=lambda place: -max(guesses[place].values()))
    filled = list(canvas)
    for place in surest[:count]:
        filled[place] = max(guesses[place], key=guesses[place].get)
    return filled


def sampler_property(sampler, model, length, block):
    canvases = sampler(model, length, block)
    if canvases[0] != [MASK] * length or MASK in canvases[-1]:
        return False
    for before, after in zip(canvases, canvases[1:]):
        changed = [place for place in range(length) if before[place] != after[place]]
        if len(changed) != 1 or before[changed[0]] != MASK:
            return False
        first = before.index(MASK) // block * block
        guesses = model(before)
        candidates = [place for place in range(first, first + block) if before[place] == MASK]
        if changed[0] != max(candidates, key=lambda place: guesses[place][1]):
            return False
        if after[changed[0]] != guesses[changed[0]][0]:
            return False
    return True
